//! An HTTP/2 client with prior knowledge.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::within;

/// A connection.
#[derive(Debug, Clone)]
pub struct H2Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
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
        let stream = within("connecting", TcpStream::connect(address)).await.expect("a listener");
        let (sender, connection) =
            within("the handshake", handshake(TokioExecutor::new(), TokioIo::new(stream)))
                .await
                .expect("HTTP/2");
        tokio::spawn(connection);
        Self { sender, address }
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
        let (parts, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        let mut cut = None;
        while let Some(frame) = within("a frame", incoming.frame()).await {
            match frame {
                Ok(frame) => body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                Err(e) => {
                    cut = Some(e.to_string());
                    break;
                }
            }
        }
        H2Answer { status: parts.status, fields: parts.headers, body: body.into(), cut }
    }
}
