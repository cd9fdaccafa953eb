//! Ollama's own API.

use std::{cmp::Reverse, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    Model, create,
    draft::{Ask, Draft},
    embed,
    json::{first_tool, flag, quote, text},
    model::{Keep, tagged},
    pull,
    reply::Reply,
    state::{CONTEXT, NodeState},
};

/// Answers a request below `/api`.
pub(crate) fn answer(state: &mut NodeState, method: &str, path: &str, body: &[u8]) -> Reply {
    if let Some(digest) = path.strip_prefix("/api/blobs/") {
        return create::blob(state, method, digest, body);
    }
    let allowed = match path {
        "/api/tags" | "/api/version" => &["GET", "HEAD"][..],
        "/api/ps" => &["GET"],
        "/api/delete" => &["DELETE"],
        "/api/generate" | "/api/chat" | "/api/embed" | "/api/embeddings" | "/api/show" | "/api/pull"
        | "/api/copy" | "/api/create" | "/api/push" => &["POST"],
        _ => return Reply::text(404, "404 page not found"),
    };
    if !allowed.contains(&method) {
        return Reply::text(405, "405 method not allowed");
    }
    match path {
        "/api/tags" => return list(state, tag),
        "/api/ps" => return list(state, in_memory),
        "/api/version" => return Reply::json(200, format!(r#"{{"version":{}}}"#, quote(&state.version))),
        _ => {}
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Reply::error(400, "invalid character in request body");
    };
    let given = ["model", "name", "source"].map(|key| text(&body, key));
    let name = given.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    match path {
        "/api/pull" => return pull::answer(state, name, flag(&body, "stream", true)),
        "/api/create" => return create::answer(state, name, &body),
        _ => {}
    }
    let scripted = state.machine.is_none();
    let Some(model) = state.model(name) else {
        return Reply::error(404, &format!("model '{name}' not found"));
    };
    match path {
        "/api/generate" => talk(state, name, &body, false),
        "/api/chat" => talk(state, name, &body, true),
        "/api/embed" => embed::native(state, name, &body),
        "/api/embeddings" => embed::older(state, name, &body),
        "/api/show" => Reply::json(200, show(model, scripted)),
        "/api/push" => create::done(&["pushing manifest"]),
        "/api/copy" => {
            let mut copy = model.clone();
            (copy.name, copy.loaded) = (tagged(text(&body, "destination")), None);
            state.add(copy);
            Reply::empty()
        }
        _ => {
            let name = model.name.clone();
            state.models.retain(|m| m.name != name);
            Reply::empty()
        }
    }
}

fn details(model: &Model) -> String {
    format!(
        r#"{{"parent_model":"","format":"gguf","family":{0},"families":[{0}],"parameter_size":"{1}","quantization_level":"{2}"}}"#,
        quote(&model.family),
        model.parameters(),
        model.quantization
    )
}

/// A list of the models for which `row` returns something, the newest first.
fn list(state: &NodeState, row: fn(&Model) -> Option<String>) -> Reply {
    let mut models: Vec<&Model> = state.models.iter().collect();
    models.sort_by_key(|model| Reverse(model.modified_at));
    let rows: Vec<String> = models.into_iter().filter_map(row).collect();
    Reply::json(200, format!(r#"{{"models":[{}]}}"#, rows.join(",")))
}

fn tag(model: &Model) -> Option<String> {
    let name = quote(&model.name);
    let remote = model.remote_host.as_ref();
    let remote = remote.map(|host| format!(r#""remote_model":{name},"remote_host":{},"#, quote(host)));
    Some(format!(
        r#"{{"name":{name},"model":{name},{}"modified_at":"{}","size":{},"digest":"{}","details":{}}}"#,
        remote.unwrap_or_default(),
        model.modified_at,
        model.size,
        model.digest,
        details(model)
    ))
}

fn in_memory(model: &Model) -> Option<String> {
    let loaded = model.loaded?;
    Some(format!(
        r#"{{"name":{0},"model":{0},"size":{1},"digest":"{2}","details":{3},"expires_at":"{4}","size_vram":{1},"context_length":{5}}}"#,
        quote(&model.name),
        loaded.memory,
        model.digest,
        details(model),
        loaded.expires,
        loaded.context
    ))
}

fn show(model: &Model, scripted: bool) -> String {
    let remote = model.remote_host.as_ref().map(|host| format!(r#""remote_host":{},"#, quote(host)));
    let capabilities = match (model.embeds(), scripted) {
        (true, _) => r#""embedding""#,
        (false, false) => r#""completion""#,
        (false, true) => r#""completion","tools""#,
    };
    format!(
        r##"{{"license":"MIT","modelfile":{0},"parameters":"num_ctx {CONTEXT}","template":"{{{{ .Prompt }}}}",{1}"details":{2},"model_info":{{"general.architecture":{3},"general.parameter_count":{4},{5}:{6}}},"capabilities":[{capabilities}],"modified_at":"{7}"}}"##,
        quote(&format!("# A simulated model\nFROM /models/blobs/sha256-{}\n", model.weights)),
        remote.unwrap_or_default(),
        details(model),
        quote(&model.family),
        (model.billions * 1e9) as u64,
        quote(&format!("{}.context_length", model.family)),
        model.context,
        model.modified_at
    )
}

/// `/api/generate` and `/api/chat`.
fn talk(state: &mut NodeState, name: &str, body: &Value, chat: bool) -> Reply {
    let option = |key: &str| body.get("options")?.get(key);
    let (prompt, empty) = if chat {
        let messages = body.get("messages");
        (messages, messages.and_then(Value::as_array).is_none_or(Vec::is_empty))
    } else {
        (body.get("prompt"), text(body, "prompt").is_empty())
    };
    let (keep, context) = (Keep::of(body), option("num_ctx").and_then(Value::as_u64));
    let form = Form { model: quote(name), chat, created: state.now() };
    if empty {
        // Nothing to say: it is about memory.
        let (reason, wait) = if keep.is_zero() {
            state.model(name).into_iter().for_each(|model| model.loaded = None);
            ("unload", Duration::ZERO)
        } else {
            ("load", state.load(name, context, keep))
        };
        return Reply::json(200, form.line("", "", true, &format!(r#","done_reason":"{reason}""#)))
            .after(wait);
    }
    if has_bad_image(body) {
        return Reply::error(400, "illegal base64 data at input byte 0");
    }
    let limit = option("num_predict").and_then(Value::as_u64);
    let draft = state.draft(&Ask {
        images: body.get("images").and_then(Value::as_array).map_or(0, |images| images.len() as u64),
        as_json: body.get("format").is_some_and(|format| !format.is_null() && format != ""),
        context,
        keep,
        seed: option("seed").and_then(Value::as_u64),
        ..Ask::new(name, prompt, limit)
    });
    let tool = first_tool(body).filter(|_| chat && draft.scripted).map(|tool| {
        format!(
            r#","tool_calls":[{{"id":"call_1234abcd","function":{{"index":0,"name":{},"arguments":{{"city":"Paris"}}}}}}]"#,
            quote(tool["function"]["name"].as_str().unwrap_or_default())
        )
    });
    let thinks = chat && draft.scripted && flag(body, "think", false);
    let thoughts = if thinks { &["Let me", " think."][..] } else { &[] };
    let thinking = |thought: &str| format!(r#","thinking":{}"#, quote(thought));
    if !flag(body, "stream", true) {
        let content = if tool.is_some() { String::new() } else { draft.text() };
        let thinking = if thinks { thinking(&thoughts.concat()) } else { String::new() };
        let line = form.last(&content, &(thinking + &tool.unwrap_or_default()), &draft);
        return Reply::json(200, line).after(draft.whole_after()).then(draft.then);
    }
    let said = |content: &str, more: &str| form.line(content, more, false, "") + "\n";
    let before = thoughts.iter().map(|thought| said("", &thinking(thought))).collect();
    let tokens = match tool {
        Some(call) => vec![said("", &call)],
        None => draft.words.iter().map(|word| said(word, "")).collect(),
    };
    let lines = draft.steps(before, tokens, vec![form.last("", "", &draft) + "\n"]);
    Reply::ndjson(lines).then(draft.then)
}

/// How a line of an answer is written.
struct Form {
    /// Quoted.
    model: String,
    chat: bool,
    created: Timestamp,
}

impl Form {
    /// `more` are fields of the message, `rest` of the line.
    fn line(&self, content: &str, more: &str, done: bool, rest: &str) -> String {
        let content = quote(content);
        let said = if self.chat {
            format!(r#""message":{{"role":"assistant","content":{content}{more}}}"#)
        } else {
            format!(r#""response":{content}"#)
        };
        format!(r#"{{"model":{},"created_at":"{}",{said},"done":{done}{rest}}}"#, self.model, self.created)
    }

    fn last(&self, content: &str, more: &str, draft: &Draft) -> String {
        let reason = if draft.cut { "length" } else { "stop" };
        let context = if self.chat { "" } else { r#","context":[1,2,3]"# };
        let counts = format!(
            r#","done_reason":"{reason}"{context},"total_duration":{},"load_duration":{},"prompt_eval_count":{},"prompt_eval_duration":{},"eval_count":{},"eval_duration":{}"#,
            draft.total().as_nanos(),
            draft.load.as_nanos(),
            draft.prompt,
            draft.reading.as_nanos(),
            draft.made(),
            draft.making.as_nanos()
        );
        self.line(content, more, true, &counts)
    }
}

/// Ollama refuses images that are not base64.
fn has_bad_image(body: &Value) -> bool {
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let mut images = messages.filter_map(|m| m.get("images")?.as_array()).flatten();
    images.any(|image| {
        let text = image.as_str().unwrap_or_default();
        let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        text.is_empty() || !text.bytes().all(is_base64)
    })
}
