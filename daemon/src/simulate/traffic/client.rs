//! A client of the gateway's own listener, like any other.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

use super::people::Credential;

/// Longest time for one request: then the client gives up, as people do.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is asked.
#[derive(Debug)]
pub(super) struct Ask {
    /// Path.
    pub(super) path: &'static str,
    /// Body.
    pub(super) body: Value,
    /// What the client calls itself.
    pub(super) agent: &'static str,
    /// Pieces of the answer after which the client leaves.
    pub(super) leaves_after: Option<usize>,
}

/// Asks, and reads the answer to its end, or as far as the client wants it. None if there is none.
pub(super) async fn ask(
    gateway: SocketAddr,
    credential: Option<&Credential>,
    ask: Ask,
) -> Option<StatusCode> {
    timeout(PATIENCE, exchange(gateway, credential, ask)).await.ok().flatten()
}

async fn exchange(gateway: SocketAddr, credential: Option<&Credential>, ask: Ask) -> Option<StatusCode> {
    let stream = TcpStream::connect(gateway).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut request = Request::post(ask.path)
        .header(header::HOST, gateway.to_string())
        .header(header::USER_AGENT, ask.agent)
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(credential) = credential {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", credential.secret.expose())).ok()?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    if ask.path == "/v1/messages" {
        request = request.header("anthropic-version", "2023-06-01");
    }
    let request = request.body(Full::new(Bytes::from(ask.body.to_string()))).ok()?;
    let answer = async move {
        let mut response = sender.send_request(request).await.ok()?;
        let status = response.status();
        let mut pieces = 0;
        while let Some(Ok(_)) = response.frame().await {
            pieces += 1;
            if ask.leaves_after.is_some_and(|most| pieces >= most) {
                break;
            }
        }
        Some(status)
    };
    // The connection is this future's alone: whoever drops it leaves at once.
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        status = &mut answer => status,
        _ = &mut connection => answer.await,
    }
}
