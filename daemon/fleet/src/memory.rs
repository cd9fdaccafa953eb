//! Loading a model into a node's memory and taking it out, in the way Ollama has for it: a request for an answer
//! to nothing. <https://github.com/ollama/ollama/blob/main/docs/api.md#load-a-model>

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    Endpoint,
    client::{ANSWER_CAP, CallError, Session, collect},
    pull::refusal,
};

/// Longest a node may take: large models come from slow disks. The one who waits can end it earlier.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// What Ollama says of a model that makes embeddings and nothing else.
const EMBEDS_ONLY: &str = "does not support generate";

/// Why a node did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// It refused, in its own words.
    #[error("{1}")]
    Refused(StatusCode, String),
    /// It gave no answer.
    #[error("{0}")]
    Broke(#[from] CallError),
    /// It took too long.
    #[error("no answer within {} min", .0.as_secs() / 60)]
    TimedOut(Duration),
}

/// Loads `model` on the node at `endpoint`, `with` a time to keep it (`keep_alive` as the API writes it) and options, or
/// as the node is used to. Dropping the future closes the connection.
///
/// # Errors
/// The node's own words, or what broke.
pub(super) async fn load(
    endpoint: &Endpoint,
    connect: Duration,
    model: &str,
    with: &Map<String, Value>,
) -> Result<(), Failed> {
    ask(Session::new(endpoint, connect), model, with).await
}

/// Takes `model` out of the memory of the node at `endpoint`, once what it works on is done. The request for it came with
/// the values `before` of `Via`.
///
/// # Errors
/// The node's own words, or what broke.
pub(super) async fn unload(
    endpoint: &Endpoint,
    connect: Duration,
    model: &str,
    before: &[HeaderValue],
) -> Result<(), Failed> {
    let with = Map::from_iter([("keep_alive".to_owned(), json!(0))]);
    ask(Session::new(endpoint, connect).after(before), model, &with).await
}

async fn ask(mut session: Session<'_>, model: &str, with: &Map<String, Value>) -> Result<(), Failed> {
    let asked = async {
        match post(&mut session, "/api/generate", json!({"model": model, "stream": false}), with).await {
            Err(Failed::Refused(StatusCode::BAD_REQUEST, why)) if why.contains(EMBEDS_ONLY) => {
                post(&mut session, "/api/embed", json!({"model": model, "input": []}), with).await
            }
            done => done,
        }
    };
    tokio::time::timeout(LONGEST, asked).await.map_err(|_| Failed::TimedOut(LONGEST))?
}

/// Sends one request and waits for its end.
async fn post(
    session: &mut Session<'_>,
    path: &str,
    mut body: Value,
    with: &Map<String, Value>,
) -> Result<(), Failed> {
    for (key, value) in with {
        body[key] = value.clone();
    }
    let answer = session.send(Method::POST, path, Some(body.to_string().into())).await?;
    let status = answer.status();
    let body = collect(answer.into_body(), ANSWER_CAP).await?;
    if status == StatusCode::OK { Ok(()) } else { Err(Failed::Refused(status, refusal(status, &body))) }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
