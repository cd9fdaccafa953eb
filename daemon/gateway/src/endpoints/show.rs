//! What a model is, as Ollama says it, of nodes that have only OpenAI's list: clients ask for it before they chat.

use aivonx_fleet::{RoutingRules, Snapshot};
use aivonx_wire::api::Dialect;
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    answer::{self, Answer},
    headers,
};

/// The route that this is the answer to.
pub(crate) const PATH: &str = "/api/show";

/// Answers for `model`, which nodes have that do not serve the route.
pub(crate) fn answer(snapshot: &Snapshot, model: &str, eligible: &RoutingRules) -> Answer {
    let listed = snapshot.lists(eligible).model(model).and_then(|entry| serde_json::from_slice(entry).ok());
    let shown = shown(model, &listed.unwrap_or_default());
    let mut answer = answer::json(StatusCode::OK, shown.to_string().into());
    let names = format!("{}>{}", Dialect::Ollama.name(), Dialect::Openai.name());
    if let Ok(names) = HeaderValue::from_str(&names) {
        answer.headers_mut().insert(headers::X_AIVONX_TRANSLATED, names);
    }
    answer
}

/// From an entry of `GET /v1/models`. What servers add to it differs; what is not there stays unsaid.
fn shown(model: &str, entry: &Value) -> Value {
    let number = |of: &Value, names: &[&str]| names.iter().find_map(|name| of[*name].as_u64());
    let mut info = json!({"general.architecture": "unknown"});
    let context = number(entry, &["max_model_len", "context_length", "max_context_length", "context_window"]);
    let context = context.or_else(|| number(&entry["meta"], &["n_ctx", "n_ctx_train"]));
    if let Some(context) = context {
        info["unknown.context_length"] = context.into();
    }
    let parameters = number(&entry["meta"], &["n_params"]);
    if let Some(parameters) = parameters {
        info["general.parameter_count"] = parameters.into();
    }
    let says =
        |list: &Value, word: &str| list.as_array().is_some_and(|list| list.iter().any(|one| one == word));
    let sees = says(&entry["capabilities"], "vision")
        || says(&entry["capabilities"], "multimodal")
        || says(&entry["architecture"]["input_modalities"], "image");
    let capabilities = match (model.to_ascii_lowercase().contains("embed"), sees) {
        (true, _) => json!(["embedding"]),
        (false, true) => json!(["completion", "tools", "vision"]),
        (false, false) => json!(["completion", "tools"]),
    };
    #[expect(clippy::cast_precision_loss, reason = "shown to a tenth of a billion")]
    let size = parameters.map_or_else(String::new, |count| format!("{:.1}B", count as f64 / 1e9));
    let created =
        entry["created"].as_i64().and_then(|at| Timestamp::from_second(at).ok()).unwrap_or_default();
    json!({
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": {
            "parent_model": "", "format": "", "family": "", "families": null,
            "parameter_size": size, "quantization_level": "",
        },
        "model_info": info,
        "capabilities": capabilities,
        "modified_at": created.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_list_is_shown() {
        let vllm = json!({"id": "q", "created": 1_700_000_000, "owned_by": "vllm", "max_model_len": 40960});
        let shown_vllm = shown("q", &vllm);
        assert_eq!(shown_vllm["model_info"]["unknown.context_length"], 40960);
        assert_eq!(shown_vllm["modified_at"], "2023-11-14T22:13:20Z");
        assert_eq!(shown_vllm["capabilities"], json!(["completion", "tools"]));
        let llama = json!({"id": "q", "meta": {"n_ctx_train": 8192, "n_params": 134_515_008_u64}});
        let shown_llama = shown("q", &llama);
        assert_eq!(shown_llama["model_info"]["unknown.context_length"], 8192);
        assert_eq!(shown_llama["details"]["parameter_size"], "0.1B");
        assert_eq!(shown("nomic-embed", &Value::Null)["capabilities"], json!(["embedding"]));
        let sees = json!({"architecture": {"input_modalities": ["text", "image"]}});
        assert!(shown("q", &sees)["capabilities"].to_string().contains("vision"));
    }
}
