//! An HTTP/2 client with prior knowledge.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::watch};

use crate::within;

/// A connection.
#[derive(Debug, Clone)]
pub struct H2Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    /// Its other end is dropped with the connection.
    open: watch::Receiver<()>,
}

/// A whole answer.
#[derive(Debug)]
pub struct H2Answer {
    /// Status.
    pub status: StatusCode,
    /// Fields.
    pub fields: HeaderMap,
    /// The body, as far as it came.
    pub body: Bytes,
    /// Why it did not come to its end, if so.
    pub cut: Option<String>,
}

impl H2Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_by(address, &Builder::new(TokioExecutor::new())).await
    }

    /// Connects; of an answer that is not read, not more than `window` bytes are taken.
    pub async fn connect_with_window(address: SocketAddr, window: u32) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        Self::connect_by(address, &builder).await
    }

    async fn connect_by(address: SocketAddr, builder: &Builder<TokioExecutor>) -> Self {
        let stream = within("connecting", TcpStream::connect(address)).await.expect("a listener");
        let (sender, connection) =
            within("the handshake", builder.handshake(TokioIo::new(stream))).await.expect("HTTP/2");
        let (held, open) = watch::channel(());
        tokio::spawn(async move {
            let _held = held;
            connection.await
        });
        Self { sender, address, open }
    }

    /// Waits until the connection has ended.
    pub async fn closed(&mut self) {
        within("the connection's end", async { while self.open.changed().await.is_ok() {} }).await;
    }

    /// Begins a request; `fields` may hold `host`.
    ///
    /// # Errors
    /// If the peer refuses the stream.
    pub async fn begin(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> hyper::Result<hyper::Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        within("an answer's head", self.sender.send_request(request)).await
    }

    /// Asks and reads the answer.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> H2Answer {
        let response = self.begin(method, path, fields, body).await.expect("an answer");
        let (status, fields) = (response.status(), response.headers().clone());
        let (body, cut) = Self::rest(response).await;
        H2Answer { status, fields, body, cut }
    }

    /// The next piece of an answer's body; None at its end.
    ///
    /// # Errors
    /// If the stream ends before.
    pub async fn piece(response: &mut hyper::Response<Incoming>) -> hyper::Result<Option<Bytes>> {
        let frame = within("a frame", response.body_mut().frame()).await.transpose()?;
        Ok(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    /// What is left of an answer's body, and why it did not come to its end, if so.
    pub async fn rest(mut response: hyper::Response<Incoming>) -> (Bytes, Option<String>) {
        let mut body = Vec::new();
        let cut = loop {
            match Self::piece(&mut response).await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break None,
                Err(e) => break Some(e.to_string()),
            }
        };
        (body.into(), cut)
    }
}
