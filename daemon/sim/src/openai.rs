//! The OpenAI API, as Ollama (and, close enough, llama.cpp's server) serves it.

use serde_json::Value;

use crate::{
    Face, Kind, Model, anthropic,
    draft::{Ask, Draft},
    embed, face,
    json::{first_tool, flag, quote, text},
    reply::Reply,
    responses,
    state::NodeState,
};

/// Answers a request below `/v1`.
pub(crate) fn answer(state: &mut NodeState, method: &str, path: &str, body: &[u8]) -> Reply {
    if let Some(name) = path.strip_prefix("/v1/models/").filter(|_| method == "GET") {
        let face = state.face;
        return match state.model(name) {
            Some(model) => Reply::v1(200, listed(face, model, name)),
            None => not_found(false, name),
        };
    }
    let asked = (method, body);
    match (method, path) {
        ("GET", "/v1/models") => {
            let rows: Vec<String> =
                state.models.iter().map(|model| listed(state.face, model, &model.name)).collect();
            Reply::v1(200, format!(r#"{{"object":"list","data":[{}]}}"#, rows.join(",")))
        }
        (_, "/v1/chat/completions") => {
            serve(state, asked, (0, 0, 0), false, |state, name, body| complete(state, name, body, true))
        }
        (_, "/v1/completions") => {
            serve(state, asked, (0, 0, 0), false, |state, name, body| complete(state, name, body, false))
        }
        (_, "/v1/embeddings") => serve(state, asked, (0, 0, 0), false, |state, name, body| {
            embed::openai(state, name, body)
                .unwrap_or_else(|| refuse(false, 400, "invalid_request_error", "invalid input"))
        }),
        (_, "/v1/responses") => serve(state, asked, (0, 13, 3), false, responses::answer),
        (_, "/v1/messages") => serve(state, asked, (0, 14, 0), true, anthropic::answer),
        _ => unknown(),
    }
}

/// Answers what Ollama serves `since` a version.
fn serve(
    state: &mut NodeState,
    (method, body): (&str, &[u8]),
    since: (u32, u32, u32),
    anthropic: bool,
    answer: impl FnOnce(&mut NodeState, &str, &Value) -> Reply,
) -> Reply {
    if state.kind == Kind::Ollama && version(&state.version) < since {
        return unknown();
    }
    if method != "POST" {
        return Reply::text(405, "405 method not allowed");
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return refuse(anthropic, 400, "invalid_request_error", "invalid character in request body");
    };
    let name = text(&body, "model");
    if state.model(name).is_none() {
        return not_found(anthropic, name);
    }
    answer(state, name, &body)
}

fn unknown() -> Reply {
    Reply::text(404, "404 page not found")
}

fn version(text: &str) -> (u32, u32, u32) {
    let mut parts = text.split('.').map(|p| p.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

fn not_found(anthropic: bool, name: &str) -> Reply {
    refuse(anthropic, 404, "not_found_error", &format!("model '{name}' not found"))
}

fn refuse(anthropic: bool, status: u16, kind: &str, message: &str) -> Reply {
    let message = quote(message);
    let body = if anthropic {
        format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}},"request_id":"req_0123"}}"#
        )
    } else {
        format!(r#"{{"error":{{"message":{message},"type":"{kind}","param":null,"code":null}}}}"#)
    };
    Reply::v1(status, body)
}

/// A model in the list, and by itself.
fn listed(face: Option<Face>, model: &Model, name: &str) -> String {
    match face {
        Some(Face::Router) => face::row(model).to_string(),
        Some(face) => row(model, name).replace("library", face.owner()),
        None => row(model, name),
    }
}

fn row(model: &Model, name: &str) -> String {
    let created = model.modified_at.as_second();
    format!(r#"{{"id":{},"object":"model","created":{created},"owned_by":"library"}}"#, quote(name))
}

const BROKEN: &str = "data: {\"error\":{\"message\":\"an error was encountered while running the model\",\"type\":\"api_error\",\"param\":null,\"code\":null}}\n\n";

/// `/v1/chat/completions` and `/v1/completions`.
fn complete(state: &mut NodeState, name: &str, body: &Value, chat: bool) -> Reply {
    let limit = body.get("max_tokens").or_else(|| body.get("max_completion_tokens")).and_then(Value::as_u64);
    let ask = Ask {
        as_json: chat && body.get("response_format").is_some_and(|format| format["type"] != "text"),
        seed: body.get("seed").and_then(Value::as_u64),
        ..Ask::new(name, body.get("messages").or_else(|| body.get("prompt")), limit)
    };
    let draft = state.draft(&ask);
    let tool = first_tool(body).filter(|_| chat && draft.scripted).map(|tool| {
        format!(
            r#","tool_calls":[{{"id":"call_1234abcd","index":0,"type":"function","function":{{"name":{},"arguments":"{{\"city\":\"Paris\"}}"}}}}]"#,
            quote(tool["function"]["name"].as_str().unwrap_or_default())
        )
    });
    let finish = match (&tool, draft.cut) {
        (Some(_), _) => r#""tool_calls""#,
        (None, true) => r#""length""#,
        (None, false) => r#""stop""#,
    };
    let (id, object) = if chat { ("chatcmpl", "chat.completion") } else { ("cmpl", "text_completion") };
    let head = |chunk: &str| {
        format!(
            r#"{{"id":"{id}-{}","object":"{object}{chunk}","created":{},"model":{},"system_fingerprint":"fp_ollama""#,
            draft.number,
            draft.created.as_second(),
            quote(name)
        )
    };
    let said = |inside: &str, text: &str, more: &str| {
        let text = quote(text);
        match chat {
            true => format!(r#""{inside}":{{"role":"assistant","content":{text}{more}}}"#),
            false => format!(r#""text":{text}"#),
        }
    };
    if !flag(body, "stream", false) {
        let text = if tool.is_some() { String::new() } else { draft.text() };
        let said = said("message", &text, &tool.unwrap_or_default());
        let choices = format!(r#""choices":[{{"index":0,{said},"finish_reason":{finish}}}]"#);
        let whole = format!(r#"{},{choices},"usage":{}}}"#, head(""), usage(&draft));
        return Reply::v1(200, whole).after(draft.whole_after()).then(draft.then);
    }
    let counted = body.get("stream_options").is_some_and(|options| flag(options, "include_usage", false));
    // Ollama adds an empty usage to every chunk of a completion when usage is asked for.
    let each = match counted && !chat {
        true => r#","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
        false => "",
    };
    let head = head(if chat { ".chunk" } else { "" });
    let chunk = |text: &str, more: &str, finish: &str| {
        let said = said("delta", text, more);
        format!("data: {head},\"choices\":[{{\"index\":0,{said},\"finish_reason\":{finish}}}]{each}}}\n\n")
    };
    let tokens = match tool {
        Some(call) => vec![chunk("", &call, "null")],
        None => draft.words.iter().map(|word| chunk(word, "", "null")).collect(),
    };
    let mut after = vec![chunk("", "", finish)];
    if counted {
        after.push(format!("data: {head},\"choices\":[],\"usage\":{}}}\n\n", usage(&draft)));
    }
    after.push("data: [DONE]\n\n".to_owned());
    Reply::sse(draft.steps(Vec::new(), tokens, after), BROKEN).then(draft.then)
}

fn usage(draft: &Draft) -> String {
    let (prompt, made) = (draft.prompt, draft.made());
    format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{made},"total_tokens":{}}}"#, prompt + made)
}
