//! The control plane's own HTTP client: few requests, small answers, every one with a deadline and a cap.
//! The data path has its own, made for speed.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;

use super::{AbortOnDrop, Endpoint, dial::dial, dial_error::DialError, tls::cure, via};

/// Largest answer read as a whole: a catalogue of some ten thousand models.
pub(super) const ANSWER_CAP: usize = 16 << 20;

/// Why an exchange with a node failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection broke, or what came was not HTTP.
    #[error("no proper HTTP answer: {}{}", innermost(.0), handshake_cure(.0))]
    Http(#[from] hyper::Error),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The answer is larger than any proper one.
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
}

/// hyper's own texts stop short of the cause.
fn innermost(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

/// In TLS 1.3 a node refuses the gateway's certificate after the handshake, as far as the gateway sees.
fn handshake_cure(error: &hyper::Error) -> &'static str {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<std::io::Error>() {
            return cure(error);
        }
        source = inner.source();
    }
    ""
}

/// A connection to one node, for one request after the other. Closed when dropped.
#[derive(Debug)]
pub(super) struct Session<'a> {
    endpoint: &'a Endpoint,
    connect_timeout: Duration,
    /// Values of `Via` of the request it is for.
    before: &'a [HeaderValue],
    open: Option<Open>,
    gateway: Option<Box<str>>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDrop<()>,
}

impl<'a> Session<'a> {
    /// Connects with the first request.
    pub(super) fn new(endpoint: &'a Endpoint, connect_timeout: Duration) -> Self {
        Self { endpoint, connect_timeout, before: &[], open: None, gateway: None }
    }

    /// For a request that came with these values of `Via`: a circle of gateways is noticed where it closes.
    pub(super) fn after(self, before: &'a [HeaderValue]) -> Self {
        Self { before, ..self }
    }

    /// The open connection, or a new one where the node closed it after its last answer.
    async fn connected(&mut self) -> Result<&mut Open, CallError> {
        if let Some(mut open) = self.open.take()
            && open.sender.ready().await.is_ok()
        {
            return Ok(self.open.insert(open));
        }
        let stream = dial(self.endpoint, self.connect_timeout).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _driver = AbortOnDrop(tokio::spawn(async move {
            // An error of the connection reaches the caller through its pending answer.
            let _ = connection.await;
        }));
        Ok(self.open.insert(Open { sender, _driver }))
    }

    /// Sends one request and waits for the head of the answer. No deadline of its own but for connecting.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        json: Option<Bytes>,
    ) -> Result<Response<Incoming>, CallError> {
        let mut request = head(self.endpoint, method, path, json);
        stamp(&mut request, self.before);
        let answer = self.connected().await?.sender.send_request(request).await?;
        let gateway = answer.headers().get(via::X_AIVONX_HOPS).and_then(|name| name.to_str().ok());
        self.gateway = gateway.filter(|name| via::is_name(name)).map(Into::into);
        Ok(answer)
    }

    /// The name of the gateway that gave the last answer, if it was one and said so.
    pub(super) fn gateway(&self) -> Option<&str> {
        self.gateway.as_deref()
    }

    /// `GET path`, the answer read as a whole, and how long it took from sending to the last byte.
    pub(super) async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes, Duration), CallError> {
        self.whole(Method::GET, path, None).await
    }

    /// Sends one request and reads the whole answer.
    pub(super) async fn whole(
        &mut self,
        method: Method,
        path: &str,
        json: Option<Bytes>,
    ) -> Result<(StatusCode, Bytes, Duration), CallError> {
        // Connecting is no part of the time that counts as latency.
        self.connected().await?;
        let began = Instant::now();
        let answer = self.send(method, path, json).await?;
        let status = answer.status();
        let body = collect(answer.into_body(), ANSWER_CAP).await?;
        Ok((status, body, began.elapsed()))
    }
}

pub(super) fn head(
    endpoint: &Endpoint,
    method: Method,
    path: &str,
    json: Option<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(json.clone().unwrap_or_default()));
    *request.method_mut() = method;
    let target = format!("{}{path}", endpoint.prefix);
    // The prefix was checked when the endpoint was made and every path is one of ours.
    *request.uri_mut() = target.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(header::HOST, endpoint.authority.clone());
    headers
        .insert(header::USER_AGENT, HeaderValue::from_static(concat!("aivonx/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if json.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some((name, value)) = &endpoint.credential {
        headers.insert(name.clone(), value.clone());
    }
    request
}

/// Says which gateways a request came through.
pub(super) fn stamp<B>(request: &mut Request<B>, before: &[HeaderValue]) {
    // Last, so that it stands behind those. A node that is this gateway refuses it, and is never taken for one.
    let own = HeaderValue::from_str(&format!("1.1 {}", via::pseudonym())).ok();
    for via in before.iter().chain(&own) {
        request.headers_mut().append(header::VIA, via.clone());
        request.headers_mut().append(via::X_AIVONX_HOPS, via.clone());
    }
}

/// Reads a body to its end, up to `cap` bytes.
pub(super) async fn collect(mut body: Incoming, cap: usize) -> Result<Bytes, CallError> {
    if body.size_hint().lower() > cap as u64 {
        return Err(CallError::TooLarge(cap));
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if whole.len() + data.len() > cap {
                return Err(CallError::TooLarge(cap));
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}
