//! Ollama's own API.

use serde_json::Value;

use super::{
    json::{count, flag, quote, text},
    model::Model,
    reply::{Reply, Then},
    state::State,
};

const CREATED: &str = "2026-01-02T03:04:05.123456789Z";
const DURATIONS: &str = r#""total_duration":5191566416,"load_duration":2154458"#;

/// Answers a request below `/api`.
pub(super) fn answer(state: &mut State, method: &str, path: &str, body: &[u8]) -> Reply {
    let allowed = match path {
        "/api/tags" | "/api/version" => &["GET", "HEAD"][..],
        "/api/ps" => &["GET"],
        "/api/delete" => &["DELETE"],
        "/api/generate" | "/api/chat" | "/api/embed" | "/api/embeddings" | "/api/show" | "/api/pull" => {
            &["POST"]
        }
        _ => return Reply::text(404, "404 page not found"),
    };
    if !allowed.contains(&method) {
        return Reply::text(405, "405 method not allowed");
    }
    match path {
        "/api/tags" => return Reply::json(200, tags(&state.models)),
        "/api/version" => return Reply::json(200, format!(r#"{{"version":{}}}"#, quote(&state.version))),
        "/api/ps" => return Reply::json(200, ps(&state.models)),
        _ => {}
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Reply::json(400, r#"{"error":"invalid character in request body"}"#);
    };
    let name = match text(&body, "model") {
        "" => text(&body, "name"),
        name => name,
    }
    .to_owned();
    if path == "/api/pull" {
        return pull(state, &name, flag(&body, "stream", true));
    }
    if state.model(&name).is_none() {
        return Reply::json(404, format!(r#"{{"error":{}}}"#, quote(&format!("model '{name}' not found"))));
    }
    match path {
        "/api/generate" => generate(state, &name, &body),
        "/api/chat" => chat(state, &name, &body),
        "/api/embed" => embed(&name, &body),
        "/api/embeddings" => {
            Reply::json(200, r#"{"embedding":[0.5670403838157654,0.009260174818336964,0.23178744316101074]}"#)
        }
        "/api/show" => Reply::json(200, show(state.model(&name).expect("just found"))),
        _ => {
            state.models.retain(|m| m.name != name && m.name != format!("{name}:latest"));
            Reply { content_type: "", ..Reply::json(200, "") }
        }
    }
}

fn details(model: &Model) -> String {
    format!(
        r#"{{"parent_model":"","format":"gguf","family":{0},"families":[{0}],"parameter_size":"3.2B","quantization_level":"Q4_K_M"}}"#,
        quote(&model.family)
    )
}

fn tags(models: &[Model]) -> String {
    let rows: Vec<String> = models
        .iter()
        .map(|m| {
            let remote = m
                .remote_host
                .as_ref()
                .map(|host| format!(r#""remote_model":{},"remote_host":{},"#, quote(&m.name), quote(host)))
                .unwrap_or_default();
            format!(
                r#"{{"name":{0},"model":{0},{remote}"modified_at":{1},"size":{2},"digest":{3},"details":{4}}}"#,
                quote(&m.name),
                quote(&m.modified_at),
                m.size,
                quote(&m.digest),
                details(m)
            )
        })
        .collect();
    format!(r#"{{"models":[{}]}}"#, rows.join(","))
}

fn ps(models: &[Model]) -> String {
    let rows: Vec<String> = models
        .iter()
        .filter(|m| m.loaded)
        .map(|m| {
            format!(
                r#"{{"name":{0},"model":{0},"size":{1},"digest":{2},"details":{3},"expires_at":"2026-01-02T03:09:05.1Z","size_vram":{1},"context_length":4096}}"#,
                quote(&m.name),
                m.size,
                quote(&m.digest),
                details(m)
            )
        })
        .collect();
    format!(r#"{{"models":[{}]}}"#, rows.join(","))
}

fn show(model: &Model) -> String {
    let remote = model
        .remote_host
        .as_ref()
        .map(|host| format!(r#""remote_host":{},"#, quote(host)))
        .unwrap_or_default();
    format!(
        r##"{{"license":"MIT","modelfile":"# Modelfile\nFROM {0}\n","parameters":"stop \"\u003c|eot|\u003e\"","template":"{{{{ .Prompt }}}}",{remote}"details":{1},"model_info":{{"general.architecture":"llama","general.parameter_count":3212749888,"llama.context_length":131072}},"capabilities":["completion","tools"],"modified_at":{2}}}"##,
        model.name,
        details(model),
        quote(&model.modified_at)
    )
}

/// Whether the request only loads or unloads the model, and which.
fn only_loads(state: &mut State, name: &str, body: &Value) -> Option<&'static str> {
    let empty = match body.get("messages") {
        Some(messages) => messages.as_array().is_none_or(Vec::is_empty),
        None => text(body, "prompt").is_empty(),
    };
    let unload = matches!(body.get("keep_alive"), Some(Value::Number(n)) if n.as_f64() == Some(0.0))
        || matches!(text(body, "keep_alive"), "0" | "0s" | "0m");
    state.model(name)?.loaded = !(empty && unload);
    empty.then_some(if unload { "unload" } else { "load" })
}

/// The node's tokens, cut or repeated to the length asked for.
pub(super) fn tokens(state: &State, limit: Option<u64>) -> (Vec<String>, bool) {
    let count = limit.map_or(state.tokens.len(), |n| usize::try_from(n).unwrap_or(usize::MAX));
    (state.tokens.iter().cycle().take(count).cloned().collect(), limit.is_some())
}

fn counts(body: &Value, tokens: usize) -> String {
    let images = body.get("images").and_then(Value::as_array).map_or(0, Vec::len);
    let prompt = body.get("messages").or_else(|| body.get("prompt")).map_or(0, count) + images * 256;
    format!(
        r#"{DURATIONS},"prompt_eval_count":{prompt},"prompt_eval_duration":130079000,"eval_count":{tokens},"eval_duration":4232710000"#
    )
}

fn num_predict(body: &Value) -> Option<u64> {
    body.get("options")?.get("num_predict")?.as_u64()
}

fn generate(state: &mut State, name: &str, body: &Value) -> Reply {
    let model = quote(name);
    if let Some(reason) = only_loads(state, name, body) {
        return Reply::json(
            200,
            format!(
                r#"{{"model":{model},"created_at":"{CREATED}","response":"","done":true,"done_reason":"{reason}"}}"#
            ),
        );
    }
    let (words, limited) = tokens(state, num_predict(body));
    let reason = if limited { "length" } else { "stop" };
    let last = |response: &str| {
        format!(
            r#"{{"model":{model},"created_at":"{CREATED}","response":{},"done":true,"done_reason":"{reason}","context":[1,2,3],{}}}"#,
            quote(response),
            counts(body, words.len())
        )
    };
    if !flag(body, "stream", true) {
        return Reply::json(200, last(&words.concat()));
    }
    let mut lines: Vec<String> = words
        .iter()
        .map(|word| {
            format!(r#"{{"model":{model},"created_at":"{CREATED}","response":{},"done":false}}"#, quote(word))
        })
        .collect();
    lines.push(last(""));
    Reply::ndjson(lines)
}

fn chat(state: &mut State, name: &str, body: &Value) -> Reply {
    let model = quote(name);
    if let Some(reason) = only_loads(state, name, body) {
        return Reply::json(
            200,
            format!(
                r#"{{"model":{model},"created_at":"{CREATED}","message":{{"role":"assistant","content":""}},"done":true,"done_reason":"{reason}"}}"#
            ),
        );
    }
    if let Some(wrong) = bad_image(body) {
        return wrong;
    }
    let (mut words, limited) = tokens(state, num_predict(body));
    if body.get("format").is_some_and(|f| !f.is_null() && f != "") {
        words = ["{\"answer\"", ": ", "42", "}"].map(str::to_owned).to_vec();
    }
    let tool = body.get("tools").and_then(Value::as_array).and_then(|t| t.first()).map(|tool| {
        format!(
            r#"[{{"id":"call_1234abcd","function":{{"index":0,"name":{},"arguments":{{"city":"Paris"}}}}}}]"#,
            quote(tool["function"]["name"].as_str().unwrap_or_default())
        )
    });
    let thinking = flag(body, "think", false).then_some(["Let me", " think."]);
    let reason = if limited { "length" } else { "stop" };
    let line = |message: String| {
        format!(
            r#"{{"model":{model},"created_at":"{CREATED}","message":{{"role":"assistant",{message}}},"done":false}}"#
        )
    };
    let last = |message: String| {
        format!(
            r#"{{"model":{model},"created_at":"{CREATED}","message":{{"role":"assistant",{message}}},"done":true,"done_reason":"{reason}",{}}}"#,
            counts(body, words.len())
        )
    };
    if !flag(body, "stream", true) {
        let content = if tool.is_some() { String::new() } else { words.concat() };
        let mut message = format!(r#""content":{}"#, quote(&content));
        if let Some(thoughts) = thinking {
            message += &format!(r#","thinking":{}"#, quote(&thoughts.concat()));
        }
        if let Some(calls) = tool {
            message += &format!(r#","tool_calls":{calls}"#);
        }
        return Reply::json(200, last(message));
    }
    let mut lines: Vec<String> = thinking
        .iter()
        .flatten()
        .map(|thought| line(format!(r#""content":"","thinking":{}"#, quote(thought))))
        .collect();
    match tool {
        Some(calls) => lines.push(line(format!(r#""content":"","tool_calls":{calls}"#))),
        None => lines.extend(words.iter().map(|word| line(format!(r#""content":{}"#, quote(word))))),
    }
    lines.push(last(r#""content":"""#.to_owned()));
    Reply::ndjson(lines)
}

/// Ollama refuses images that are not base64.
fn bad_image(body: &Value) -> Option<Reply> {
    let messages = body.get("messages")?.as_array()?;
    let images = messages.iter().filter_map(|m| m.get("images")?.as_array()).flatten();
    let is_base64 = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
    };
    images
        .into_iter()
        .any(|image| !image.as_str().is_some_and(is_base64))
        .then(|| Reply::json(400, r#"{"error":"illegal base64 data at input byte 0"}"#))
}

fn embed(name: &str, body: &Value) -> Reply {
    let inputs = match body.get("input") {
        Some(Value::Array(items)) => items.len(),
        Some(Value::String(_)) => 1,
        _ => 0,
    };
    let rows: Vec<String> =
        (0..inputs).map(|n| format!("[0.010071029,-0.0017594862,0.05007221{n}]")).collect();
    Reply::json(
        200,
        format!(
            r#"{{"model":{},"embeddings":[{}],"total_duration":14143917,"load_duration":1019500,"prompt_eval_count":{}}}"#,
            quote(name),
            rows.join(","),
            body.get("input").map_or(0, count)
        ),
    )
}

fn pull(state: &State, name: &str, stream: bool) -> Reply {
    if name.contains("missing") {
        let error = r#"{"error":"pull model manifest: file does not exist"}"#;
        if !stream {
            return Reply::json(500, error);
        }
        return Reply::ndjson(vec![r#"{"status":"pulling manifest"}"#.to_owned(), error.to_owned()]);
    }
    let mut lines = vec![r#"{"status":"pulling manifest"}"#.to_owned()];
    for (layer, total) in [("aa11", 3_000_000_u64), ("bb22", 1_200)] {
        let digest = format!("sha256:{}", layer.repeat(16));
        let short = &digest[7..19];
        lines.push(format!(r#"{{"status":"pulling {short}","digest":"{digest}","total":{total}}}"#));
        for step in 1..=state.pull_steps {
            let completed = total * step / state.pull_steps;
            lines.push(format!(
                r#"{{"status":"pulling {short}","digest":"{digest}","total":{total},"completed":{completed}}}"#
            ));
        }
    }
    for status in ["verifying sha256 digest", "writing manifest", "success"] {
        lines.push(format!(r#"{{"status":"{status}"}}"#));
    }
    let tail = name.rsplit('/').next().unwrap_or(name);
    let tagged = if tail.contains(':') { name.to_owned() } else { format!("{name}:latest") };
    let then = Some(Then::Pulled(tagged));
    if !stream {
        return Reply { then, ..Reply::json(200, r#"{"status":"success"}"#) };
    }
    Reply { then, ..Reply::ndjson(lines) }
}
