//! Loading and unloading on servers of OpenAI's API, for which each engine has a way of its own. Which one a server has
//! shows in its answers: what it does not know is answered with 404 or the like.
//!
//! llama.cpp as a router: <https://github.com/ggml-org/llama.cpp/tree/master/tools/server>; LM Studio:
//! <https://lmstudio.ai/docs/developer/rest>; vLLM's sleep mode: <https://docs.vllm.ai/en/latest/features/sleep_mode.html>.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{
    Endpoint, Fleet, Node,
    client::Session,
    memory::{Failed, LONGEST},
    pull::refusal,
};

/// Time between two looks at whether a model that a router loads is there.
const LOOKS: Duration = Duration::from_millis(300);

/// What is said of a server that has none of the ways.
const NO_WAY: &str = "the server has no way to load or unload models that the gateway knows: it is neither llama.cpp as a \
                      router, nor LM Studio, nor vLLM with --enable-sleep-mode";

/// Loads `model` on the server at `endpoint`.
///
/// # Errors
/// Its own words, or what broke.
pub(super) async fn load(endpoint: &Endpoint, connect: Duration, model: &str) -> Result<(), Failed> {
    let mut session = Session::new(endpoint, connect);
    let loading = async {
        if post(&mut session, "/models/load", json!({"model": model})).await?.is_some() {
            return until_loaded(&mut session, model).await;
        }
        if post(&mut session, "/api/v1/models/load", json!({"model": model})).await?.is_some() {
            return Ok(());
        }
        wake(&mut session).await
    };
    tokio::time::timeout(LONGEST, loading).await.map_err(|_| Failed::TimedOut(LONGEST))?
}

/// Has vLLM wake, if it sleeps.
async fn wake(session: &mut Session<'_>) -> Result<(), Failed> {
    match is_sleeping(session).await? {
        Some(true) => post(session, "/wake_up", Value::Null).await.map(drop),
        Some(false) => Ok(()),
        None => Err(no_way()),
    }
}

impl Fleet {
    /// Has an engine that sleeps wake, within `most` (zero is no limit). One that does not says so to the request. Those
    /// who ask meanwhile wait for the same.
    pub async fn rouse(&self, node: &Node, most: Duration) {
        let until = Instant::now() + if most.is_zero() { LONGEST } else { most };
        let rousing = async {
            let Ok(_turn) = timeout_at(until, node.live.rousing.lock()).await else { return };
            // Another request may have had it woken.
            if !self.dozes(&node.id) {
                return;
            }
            let mut session = Session::new(&node.endpoint, self.checker.connect);
            let woken = matches!(timeout_at(until, wake(&mut session)).await, Ok(Ok(())));
            tracing::debug!(event = "engine_roused", node = %node.name, woken, "an engine that slept was woken for a request");
            self.checker.check(&node.id).await;
        };
        tokio::select! {
            () = rousing => {}
            () = node.live.until_retired() => {}
        }
    }

    /// Whether the engine of this node sleeps, by the last that is known.
    fn dozes(&self, id: &str) -> bool {
        self.hot().load().nodes.iter().any(|node| &*node.id == id && node.seen.dozes)
    }
}

/// Takes `model` out of the memory of the server at `endpoint`.
///
/// # Errors
/// Its own words, or what broke.
pub(super) async fn unload(endpoint: &Endpoint, connect: Duration, model: &str) -> Result<(), Failed> {
    let mut session = Session::new(endpoint, connect);
    let unloading = async {
        if post(&mut session, "/models/unload", json!({"model": model})).await?.is_some() {
            return Ok(());
        }
        if let Some(listed) = get(&mut session, "/api/v1/models").await? {
            for instance in instances(&listed, model) {
                post(&mut session, "/api/v1/models/unload", json!({"instance_id": instance})).await?;
            }
            return Ok(());
        }
        match is_sleeping(&mut session).await? {
            Some(true) => Ok(()),
            Some(false) => post(&mut session, "/sleep?level=1", Value::Null).await.map(drop),
            None => Err(no_way()),
        }
    };
    tokio::time::timeout(LONGEST, unloading).await.map_err(|_| Failed::TimedOut(LONGEST))?
}

fn no_way() -> Failed {
    Failed::Refused(StatusCode::NOT_IMPLEMENTED, NO_WAY.to_owned())
}

/// A router answers before the model is loaded.
async fn until_loaded(session: &mut Session<'_>, model: &str) -> Result<(), Failed> {
    loop {
        let listed = get(session, "/models").await?.unwrap_or_default();
        match state_of(&listed, model) {
            Some(RouterState::Loading) => tokio::time::sleep(LOOKS).await,
            Some(RouterState::Failed) => {
                let why = "the model failed to load; the server's own log says why".to_owned();
                return Err(Failed::Refused(StatusCode::INTERNAL_SERVER_ERROR, why));
            }
            // It does not say how far it is.
            Some(RouterState::Loaded) | None => return Ok(()),
        }
    }
}

#[derive(Debug, PartialEq)]
enum RouterState {
    Loading,
    Loaded,
    Failed,
}

#[derive(Deserialize)]
struct Router {
    #[serde(default)]
    data: Vec<RouterModel>,
}

#[derive(Deserialize)]
struct RouterModel {
    #[serde(default)]
    id: String,
    status: Option<RouterStatus>,
}

#[derive(Deserialize)]
struct RouterStatus {
    #[serde(default)]
    value: String,
    #[serde(default)]
    failed: bool,
}

fn state_of(listed: &[u8], model: &str) -> Option<RouterState> {
    let listed: Router = serde_json::from_slice(listed).ok()?;
    let status = listed.data.into_iter().find(|one| one.id == model)?.status?;
    Some(match &*status.value {
        _ if status.failed => RouterState::Failed,
        "loading" => RouterState::Loading,
        "unloaded" | "failed" => RouterState::Failed,
        _ => RouterState::Loaded,
    })
}

#[derive(Deserialize)]
struct Studio {
    models: Vec<StudioModel>,
}

#[derive(Deserialize)]
struct StudioModel {
    #[serde(default)]
    key: String,
    #[serde(default)]
    loaded_instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    id: String,
}

/// The instances of a model that LM Studio holds in memory.
fn instances(listed: &[u8], model: &str) -> Vec<String> {
    let listed = serde_json::from_slice::<Studio>(listed).map(|listed| listed.models).unwrap_or_default();
    let of = listed
        .into_iter()
        .filter(|one| one.key == model || one.loaded_instances.iter().any(|i| i.id == model));
    of.flat_map(|one| one.loaded_instances).map(|instance| instance.id).collect()
}

/// The models that a server of LM Studio holds in memory, by the names that requests use; None if it is another server.
pub(super) fn studio_loaded(listed: &[u8]) -> Option<Vec<String>> {
    let listed = serde_json::from_slice::<Studio>(listed).ok()?.models;
    Some(listed.into_iter().filter(|one| !one.loaded_instances.is_empty()).map(|one| one.key).collect())
}

/// Whether vLLM sleeps; None if it is not vLLM, or has no sleep mode.
async fn is_sleeping(session: &mut Session<'_>) -> Result<Option<bool>, Failed> {
    Ok(get(session, "/is_sleeping").await?.and_then(|body| sleeps(&body)))
}

/// What vLLM says of that.
pub(super) fn sleeps(body: &[u8]) -> Option<bool> {
    serde_json::from_slice::<Value>(body).ok()?.get("is_sleeping")?.as_bool()
}

async fn get(session: &mut Session<'_>, path: &str) -> Result<Option<Bytes>, Failed> {
    let (status, body, _) = session.whole(Method::GET, path, None).await?;
    answer(status, body)
}

async fn post(session: &mut Session<'_>, path: &str, body: Value) -> Result<Option<Bytes>, Failed> {
    let body = (!body.is_null()).then(|| body.to_string().into());
    let (status, body, _) = session.whole(Method::POST, path, body).await?;
    answer(status, body)
}

/// The body; None if the server does not know the path, which LM Studio says with 200.
fn answer(status: StatusCode, body: Bytes) -> Result<Option<Bytes>, Failed> {
    let says = |words: &str| memchr::memmem::find(&body, words.as_bytes()).is_some();
    let unknown = matches!(status.as_u16(), 404 | 405 | 410 | 501) && !says("model") && !says("Model");
    if unknown || says("Unexpected endpoint") {
        return Ok(None);
    }
    if status.is_success() { Ok(Some(body)) } else { Err(Failed::Refused(status, refusal(status, &body))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_does_not_know_is_told_from_what_it_refuses() {
        let of = |status, body: &'static str| {
            answer(StatusCode::from_u16(status).unwrap(), Bytes::from_static(body.as_bytes()))
        };
        for (status, body) in [
            (404, r#"{"detail":"Not Found"}"#),
            (404, ""),
            (405, "method not allowed"),
            (501, r#"{"error":{"message":"This server does not support it"}}"#),
            (200, r#"{"error":"Unexpected endpoint or method. (POST /models/load)"}"#),
        ] {
            assert!(of(status, body).unwrap().is_none(), "{status} {body}");
        }
        assert!(of(200, r#"{"success":true}"#).unwrap().is_some());
        assert!(of(404, r#"{"error":{"message":"model not found"}}"#).is_err());
        assert!(of(500, "").is_err());
    }

    #[test]
    fn how_far_a_router_is_shows_in_its_list() {
        let list =
            br#"{"data":[{"id":"a","status":{"value":"loading"}},{"id":"b","status":{"value":"loaded"}},
            {"id":"c","status":{"value":"unloaded","failed":true}},{"id":"d"}]}"#;
        let of = |model| state_of(list, model);
        assert_eq!((of("a"), of("b")), (Some(RouterState::Loading), Some(RouterState::Loaded)));
        assert_eq!((of("c"), of("d"), of("e")), (Some(RouterState::Failed), None, None));
        let studio = br#"{"models":[{"key":"m","loaded_instances":[{"id":"m"},{"id":"m:2"}]},{"key":"n"}]}"#;
        assert_eq!(
            (instances(studio, "m"), studio_loaded(studio)),
            (vec!["m".into(), "m:2".into()], Some(vec!["m".into()]))
        );
        assert_eq!((sleeps(br#"{"is_sleeping":true}"#), sleeps(b"{}")), (Some(true), None));
    }
}
