//! The listener of a simulated node. Whoever does not know the node's token, which nobody but the gateway does,
//! gets nothing but a refusal.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use subtle::ConstantTimeEq as _;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    answer::{self, Body},
    node::SimNode,
    ollama, openai,
};

/// Bytes of a request's body. The gateway has read it before, under its own cap.
const BODY_MAX: usize = 64 << 20;

/// Serves until dropped. While the node is down connections end as soon as they are made.
pub(super) async fn serve(listener: TcpListener, node: Arc<SimNode>, token: Arc<str>) {
    let mut stands = node.stands();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of descriptors: those there are will end.
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                };
                if *stands.borrow() {
                    connections.spawn(connection(stream, node.clone(), token.clone()));
                }
            }
            Ok(()) = stands.changed() => {
                if !*stands.borrow_and_update() {
                    connections.abort_all();
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, node: Arc<SimNode>, token: Arc<str>) {
    // Tokens are small and far between.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (node, token) = (node.clone(), token.clone());
        async move { Ok::<_, Infallible>(respond(&node, &token, request).await) }
    });
    // A client that leaves is no failure.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(node: &Arc<SimNode>, token: &str, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    if !is_known(&head.headers, token) {
        return answer::error(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return answer::error(StatusCode::PAYLOAD_TOO_LARGE, "request body too large");
        }
        // The client is gone, and so is this answer.
        Err(_) => Bytes::new(),
    };
    match head.uri.path() {
        "/" if [Method::GET, Method::HEAD].contains(&head.method) => {
            answer::plain(StatusCode::OK, "Ollama is running")
        }
        path if path.starts_with("/api/") => ollama::answer(node, &head.method, path, &body).await,
        path if path.starts_with("/v1/") => openai::answer(node, &head.method, path, &body).await,
        _ => answer::plain(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

fn is_known(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
    given.strip_prefix(b"Bearer ").is_some_and(|given| given.ct_eq(token.as_bytes()).into())
}
