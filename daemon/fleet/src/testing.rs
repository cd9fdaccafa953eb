//! A small node to test against: canned answers, scripted pulls, on a port of the kernel's choice.

#![allow(clippy::unwrap_used, reason = "tests fail where it fails")]

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use aivonx_protocol::node::{AdminState, NodeKind, Pool};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::PrivateKeyDer;
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{Endpoint, Live, Node, Seen, address::NodeUrl};

/// An active Ollama node for the data path, of which nothing is known.
pub fn node(name: &str) -> Node {
    let url = NodeUrl::parse(&format!("http://{name}")).unwrap();
    Node {
        id: name.into(),
        name: name.into(),
        heading: Node::heading(name),
        url: url.text.as_str().into(),
        kind: NodeKind::Ollama,
        admin_state: AdminState::Enabled,
        pool: Pool::Active,
        max_parallel: 0,
        labels: Arc::default(),
        organization: None,
        endpoint: Arc::new(Endpoint::new(&url, None, None, false)),
        seen: Arc::new(Seen::default()),
        live: Arc::new(Live::default()),
        third_party: false,
        models_at_once: None,
        revision: 1,
    }
}

/// What a fake node was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub line: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Default)]
struct State {
    answers: Mutex<HashMap<String, (u16, String)>>,
    asked: Mutex<Vec<Asked>>,
    pulls: Mutex<Vec<UnboundedReceiver<String>>>,
    silent: Mutex<HashSet<String>>,
}

/// A scripted node. Stops when dropped.
pub struct FakeNode {
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeNode {
    /// A server that answers 404 to everything.
    pub async fn bare() -> Self {
        Self::at("127.0.0.1:0").await
    }

    /// The same at a given address.
    pub async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let task = tokio::spawn(serve(listener, None, state.clone()));
        Self { address, state, task }
    }

    /// An Ollama behind TLS with a certificate of its own, good for `name`, and that certificate as PEM.
    pub async fn tls(name: &str) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(serve(listener, Some(acceptor), state.clone()));
        let node = Self { address, state, task };
        node.become_ollama(&["m:latest"]);
        (node, made.cert.pem())
    }

    /// An Ollama 0.14.0 that has `models`.
    pub async fn ollama(models: &[&str]) -> Self {
        let node = Self::bare().await;
        node.become_ollama(models);
        node
    }

    pub fn become_ollama(&self, models: &[&str]) {
        self.answer("GET /api/version", 200, r#"{"version":"0.14.0"}"#);
        let models: Vec<String> = models
            .iter()
            .map(|m| {
                format!(r#"{{"name":"{m}","model":"{m}","modified_at":"2026-01-01T00:00:00Z","size":1}}"#)
            })
            .collect();
        self.answer("GET /api/tags", 200, &format!(r#"{{"models":[{}]}}"#, models.join(",")));
        self.answer("GET /api/ps", 200, r#"{"models":[]}"#);
    }

    /// An OpenAI server that has `models`.
    pub async fn openai(models: &[&str]) -> Self {
        let node = Self::bare().await;
        node.become_openai(models);
        node
    }

    pub fn become_openai(&self, models: &[&str]) {
        let models: Vec<String> =
            models.iter().map(|m| format!(r#"{{"id":"{m}","object":"model","owned_by":"vllm"}}"#)).collect();
        self.answer("GET /v1/models", 200, &format!(r#"{{"object":"list","data":[{}]}}"#, models.join(",")));
    }

    /// From now on answers `line` (method and path) so.
    pub fn answer(&self, line: &str, status: u16, body: &str) {
        self.state.answers.lock().unwrap().insert(line.into(), (status, body.into()));
    }

    /// From now on never answers `line`.
    pub fn be_silent(&self, line: &str) {
        self.state.silent.lock().unwrap().insert(line.into());
    }

    /// The next pull streams what is sent here and ends when the sender is dropped.
    pub fn next_pull(&self) -> UnboundedSender<String> {
        let (lines, stream) = unbounded_channel();
        self.state.pulls.lock().unwrap().insert(0, stream);
        lines
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self, line: &str) -> Vec<Asked> {
        self.state.asked.lock().unwrap().iter().filter(|asked| asked.line == line).cloned().collect()
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (state, tls) = (state.clone(), tls.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| answer(state.clone(), request));
            let http = http1::Builder::new();
            let _ = match tls {
                None => http.serve_connection(TokioIo::new(stream), service).await,
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    http.serve_connection(TokioIo::new(stream), service).await
                }
            };
        });
    }
}

type Answer = Either<
    Full<Bytes>,
    StreamBody<futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>,
>;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Answer>, hyper::Error> {
    let line = format!("{} {}", request.method(), request.uri());
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    state.asked.lock().unwrap().push(Asked { line: line.clone(), headers: head.headers, body });
    let silent = state.silent.lock().unwrap().contains(&line);
    if silent {
        std::future::pending::<()>().await;
    }
    if line == "POST /api/pull"
        && let Some(stream) = state.pulls.lock().unwrap().pop()
    {
        let frames = futures_util::stream::unfold(stream, |mut stream| async move {
            let line = stream.recv().await?;
            Some((Ok(Frame::data(Bytes::from(line + "\n"))), stream))
        });
        return Ok(Response::new(Either::Right(StreamBody::new(Box::pin(frames)))));
    }
    let canned = state.answers.lock().unwrap().get(&line).cloned();
    let (status, body) = canned.unwrap_or((404, "404 page not found".into()));
    let mut response = Response::new(Either::Left(Full::from(body)));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    Ok(response)
}
