//! How engines behind OpenAI's API are asked to load and unload models.

use serde_json::{Value, json};

use crate::{Model, json::text, model::Keep, reply::Reply, state::NodeState};

/// An engine that can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// llama.cpp's server as a router.
    Router,
    /// LM Studio.
    Studio,
    /// vLLM with its sleep mode: all or nothing.
    Sleeper,
}

impl Face {
    /// What it calls itself in its list of models.
    pub(crate) fn owner(self) -> &'static str {
        match self {
            Self::Router => "llamacpp",
            Self::Studio => "organization_owner",
            Self::Sleeper => "vllm",
        }
    }
}

/// Answers what only the engine with this face knows; None is for the others to answer.
pub(crate) fn answer(
    state: &mut NodeState,
    face: Face,
    method: &str,
    target: &str,
    body: &[u8],
) -> Option<Reply> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let ok = |value: Value| Some(Reply::json(200, value.to_string()));
    match (face, method, target) {
        (Face::Router, "GET", "/models") => {
            ok(json!({"data": state.models.iter().map(row).collect::<Vec<Value>>()}))
        }
        (Face::Router, "POST", "/models/load" | "/models/unload") => {
            let name = text(&body, "model");
            if !set(state, name, target == "/models/load") {
                return Some(Reply::json(404, r#"{"error":{"code":404,"message":"model not found"}}"#));
            }
            ok(json!({"success": true}))
        }
        (Face::Studio, "GET", "/api/v1/models") => {
            let rows = state.models.iter().map(|model| {
                let instances: Vec<Value> = model.loaded.iter().map(|_| json!({"id": model.name})).collect();
                json!({"type": "llm", "key": model.name, "loaded_instances": instances})
            });
            ok(json!({"models": rows.collect::<Vec<Value>>()}))
        }
        (Face::Studio, "POST", "/api/v1/models/load") => {
            let name = text(&body, "model");
            if !set(state, name, true) {
                return Some(Reply::json(
                    404,
                    r#"{"error":{"type":"model_not_found","message":"model not found"}}"#,
                ));
            }
            ok(json!({"type": "llm", "instance_id": name, "load_time_seconds": 1.5, "status": "loaded"}))
        }
        (Face::Studio, "POST", "/api/v1/models/unload") => {
            let name = text(&body, "instance_id");
            set(state, name, false);
            ok(json!({"instance_id": name}))
        }
        (Face::Studio, ..) if !target.starts_with("/v1/") => {
            ok(json!({"error": format!("Unexpected endpoint or method. ({method} {target})")}))
        }
        (Face::Sleeper, "GET", "/is_sleeping") => {
            ok(json!({"is_sleeping": state.models.iter().all(|model| model.loaded.is_none())}))
        }
        (Face::Sleeper, "POST", "/wake_up" | "/sleep?level=1") => {
            let names: Vec<String> = state.models.iter().map(|model| model.name.clone()).collect();
            for name in names {
                set(state, &name, target == "/wake_up");
            }
            Some(Reply::empty())
        }
        _ => None,
    }
}

/// A model in a router's list.
pub(crate) fn row(model: &Model) -> Value {
    let value = if model.loaded.is_some() { "loaded" } else { "unloaded" };
    json!({"id": model.name, "object": "model", "owned_by": Face::Router.owner(), "status": {"value": value}})
}

/// Puts a model into memory, or takes it out; false if there is none of this name.
fn set(state: &mut NodeState, name: &str, loaded: bool) -> bool {
    if loaded {
        state.load(name, None, Keep::Usual);
    }
    match state.model(name) {
        Some(model) if !loaded => {
            model.loaded = None;
            true
        }
        model => model.is_some(),
    }
}
