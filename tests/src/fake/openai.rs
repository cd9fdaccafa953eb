//! The OpenAI API, as Ollama (and, close enough, llama.cpp's server) serves it.

use serde_json::Value;

use super::{
    Kind, anthropic,
    json::{count, flag, quote, text},
    ollama::tokens,
    reply::Reply,
    responses,
    state::State,
};

pub(super) const CREATED: u64 = 1_767_323_045;

/// Answers a request below `/v1`.
pub(super) fn answer(state: &mut State, method: &str, path: &str, body: &[u8]) -> Reply {
    let since = match path {
        "/v1/responses" => (0, 13, 3),
        "/v1/messages" => (0, 14, 0),
        _ => (0, 0, 0),
    };
    let known = matches!(
        path,
        "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" | "/v1/responses" | "/v1/messages"
    );
    if path == "/v1/models" && method == "GET" {
        return list(state);
    }
    if let Some(name) = path.strip_prefix("/v1/models/").filter(|_| method == "GET") {
        return retrieve(state, name);
    }
    if !known || state.kind == Kind::Ollama && version(&state.version) < since {
        return Reply::text(404, "404 page not found");
    }
    if method != "POST" {
        return Reply::text(405, "405 method not allowed");
    }
    let anthropic = path == "/v1/messages";
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return refuse(anthropic, 400, "invalid_request_error", "invalid character in request body");
    };
    let name = text(&body, "model").to_owned();
    let ollama = state.kind == Kind::Ollama;
    let Some(model) = state.model(&name) else {
        return refuse(anthropic, 404, "not_found_error", &format!("model '{name}' not found"));
    };
    model.loaded = ollama;
    match path {
        "/v1/chat/completions" => chat(state, &name, &body),
        "/v1/completions" => completion(state, &name, &body),
        "/v1/embeddings" => embeddings(&name, &body),
        "/v1/responses" => responses::answer(state, &name, &body),
        _ => anthropic::answer(state, &name, &body),
    }
}

fn version(text: &str) -> (u32, u32, u32) {
    let mut parts = text.split('.').map(|p| p.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
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

fn list(state: &State) -> Reply {
    let rows: Vec<String> = state
        .models
        .iter()
        .map(|m| {
            format!(
                r#"{{"id":{},"object":"model","created":{CREATED},"owned_by":"library"}}"#,
                quote(&m.name)
            )
        })
        .collect();
    Reply::v1(200, format!(r#"{{"object":"list","data":[{}]}}"#, rows.join(",")))
}

fn retrieve(state: &mut State, name: &str) -> Reply {
    if state.model(name).is_none() {
        return refuse(false, 404, "not_found_error", &format!("model '{name}' not found"));
    }
    Reply::v1(
        200,
        format!(r#"{{"id":{},"object":"model","created":{CREATED},"owned_by":"library"}}"#, quote(name)),
    )
}

fn usage(body: &Value, completion: usize) -> String {
    let prompt = body.get("messages").or_else(|| body.get("prompt")).map_or(0, count);
    format!(
        r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{}}}"#,
        prompt + completion
    )
}

fn include_usage(body: &Value) -> bool {
    body.get("stream_options").is_some_and(|options| flag(options, "include_usage", false))
}

fn limit(body: &Value) -> Option<u64> {
    body.get("max_tokens").or_else(|| body.get("max_completion_tokens")).and_then(Value::as_u64)
}

const BROKEN: &str = "data: {\"error\":{\"message\":\"an error was encountered while running the model\",\"type\":\"api_error\",\"param\":null,\"code\":null}}\n\n";

fn chat(state: &State, name: &str, body: &Value) -> Reply {
    let model = quote(name);
    let (mut words, limited) = tokens(state, limit(body));
    if body.get("response_format").is_some_and(|f| f["type"] != "text") {
        words = ["{\"answer\"", ": ", "42", "}"].map(str::to_owned).to_vec();
    }
    let tool = body.get("tools").and_then(Value::as_array).and_then(|t| t.first()).map(|tool| {
        format!(
            r#"[{{"id":"call_1234abcd","index":0,"type":"function","function":{{"name":{},"arguments":"{{\"city\":\"Paris\"}}"}}}}]"#,
            quote(tool["function"]["name"].as_str().unwrap_or_default())
        )
    });
    let finish = match (&tool, limited) {
        (Some(_), _) => "tool_calls",
        (None, true) => "length",
        (None, false) => "stop",
    };
    if !flag(body, "stream", false) {
        let message = match &tool {
            Some(calls) => format!(r#""content":"","tool_calls":{calls}"#),
            None => format!(r#""content":{}"#, quote(&words.concat())),
        };
        return Reply::v1(
            200,
            format!(
                r#"{{"id":"chatcmpl-607","object":"chat.completion","created":{CREATED},"model":{model},"system_fingerprint":"fp_ollama","choices":[{{"index":0,"message":{{"role":"assistant",{message}}},"finish_reason":"{finish}"}}],"usage":{}}}"#,
                usage(body, words.len())
            ),
        );
    }
    let head = format!(
        r#"{{"id":"chatcmpl-607","object":"chat.completion.chunk","created":{CREATED},"model":{model},"system_fingerprint":"fp_ollama""#
    );
    let chunk = |delta: String, finish: &str| {
        format!(
            "data: {head},\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",{delta}}},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut events: Vec<String> = match &tool {
        Some(calls) => vec![chunk(format!(r#""content":"","tool_calls":{calls}"#), "null")],
        None => words.iter().map(|w| chunk(format!(r#""content":{}"#, quote(w)), "null")).collect(),
    };
    events.push(chunk(r#""content":"""#.to_owned(), &format!("\"{finish}\"")));
    if include_usage(body) {
        events.push(format!("data: {head},\"choices\":[],\"usage\":{}}}\n\n", usage(body, words.len())));
    }
    events.push("data: [DONE]\n\n".to_owned());
    Reply::sse(events, BROKEN)
}

fn completion(state: &State, name: &str, body: &Value) -> Reply {
    let model = quote(name);
    let (words, limited) = tokens(state, limit(body));
    let finish = if limited { "length" } else { "stop" };
    if !flag(body, "stream", false) {
        return Reply::v1(
            200,
            format!(
                r#"{{"id":"cmpl-511","object":"text_completion","created":{CREATED},"model":{model},"system_fingerprint":"fp_ollama","choices":[{{"text":{},"index":0,"finish_reason":"{finish}"}}],"usage":{}}}"#,
                quote(&words.concat()),
                usage(body, words.len())
            ),
        );
    }
    let head = format!(
        r#"{{"id":"cmpl-511","object":"text_completion","created":{CREATED},"model":{model},"system_fingerprint":"fp_ollama""#
    );
    // Ollama adds an empty usage to every chunk of a completion when usage is asked for.
    let wanted = include_usage(body);
    let nothing = r#","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
    let each = if wanted { nothing } else { "" };
    let chunk = |text: &str, finish: &str| {
        format!(
            "data: {head},\"choices\":[{{\"text\":{},\"index\":0,\"finish_reason\":{finish}}}]{each}}}\n\n",
            quote(text)
        )
    };
    let mut events: Vec<String> = words.iter().map(|w| chunk(w, "null")).collect();
    events.push(chunk("", &format!("\"{finish}\"")));
    if wanted {
        events.push(format!("data: {head},\"choices\":[],\"usage\":{}}}\n\n", usage(body, words.len())));
    }
    events.push("data: [DONE]\n\n".to_owned());
    Reply::sse(events, BROKEN)
}

fn embeddings(name: &str, body: &Value) -> Reply {
    let inputs = match body.get("input") {
        Some(Value::Array(items)) => items.len(),
        Some(Value::String(_)) => 1,
        _ => return refuse(false, 400, "invalid_request_error", "invalid input"),
    };
    let base64 = text(body, "encoding_format") == "base64";
    let rows: Vec<String> = (0..inputs)
        .map(|n| {
            let vector = if base64 { "\"AACAPwAAAEAAAEBA\"" } else { "[1.0,2.0,3.0]" };
            format!(r#"{{"object":"embedding","embedding":{vector},"index":{n}}}"#)
        })
        .collect();
    let tokens = body.get("input").map_or(0, count);
    Reply::v1(
        200,
        format!(
            r#"{{"object":"list","data":[{}],"model":{},"usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#,
            rows.join(","),
            quote(name)
        ),
    )
}
