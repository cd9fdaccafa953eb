//! The OpenAI API as Ollama serves it.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    answer::{Body, SSE, V1, flag, plain, quote, text, tokens, whole},
    anthropic::Messages,
    generate::{DIMENSIONS, Done, Form, Plan, embed, generate, inputs, missing, vector},
    node::{Keep, Model, SimNode},
    responses::Responses,
};

/// Answers a request below `/v1`.
pub(super) async fn answer(node: &Arc<SimNode>, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
    if path == "/v1/models" && method == Method::GET {
        let rows: Vec<String> = node.models().iter().map(row).collect();
        return v1(StatusCode::OK, format!(r#"{{"object":"list","data":[{}]}}"#, rows.join(",")));
    }
    if let Some(name) = path.strip_prefix("/v1/models/").filter(|_| method == Method::GET) {
        return match node.model(name) {
            Some(model) => v1(StatusCode::OK, row(&model)),
            None => refuse(false, StatusCode::NOT_FOUND, "not_found_error", &missing(name)),
        };
    }
    let known = matches!(
        path,
        "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" | "/v1/responses" | "/v1/messages"
    );
    if !known {
        return plain(StatusCode::NOT_FOUND, "404 page not found");
    }
    if method != Method::POST {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed");
    }
    let anthropic = path == "/v1/messages";
    let bad = |why: &str| refuse(anthropic, StatusCode::BAD_REQUEST, "invalid_request_error", why);
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return bad("invalid character in request body");
    };
    let name = text(&body, "model");
    let absent = || refuse(anthropic, StatusCode::NOT_FOUND, "not_found_error", &missing(name));
    if node.model(name).is_none() {
        return absent();
    }
    let head =
        Head { model: quote(name), created: Timestamp::now().as_second(), number: node.random() % 1000 };
    let number = |key: &str| body.get(key).and_then(Value::as_u64);
    let limit = number("max_tokens").or(number("max_completion_tokens")).or(number("max_output_tokens"));
    let prompt = ["messages", "prompt", "input"].iter().find_map(|key| body.get(key)).map_or(0, tokens);
    let plan = Plan {
        model: name.to_owned(),
        prompt,
        limit,
        as_json: body.get("response_format").is_some_and(|format| format["type"] != "text"),
        context: None,
        keep: Keep::Usual,
        stream: flag(&body, "stream", false),
        seed: number("seed"),
    };
    let counted = body.get("stream_options").is_some_and(|options| flag(options, "include_usage", false));
    let node = node.clone();
    let answered = match path {
        "/v1/chat/completions" => generate(node, plan, Completion { head, chat: true, counted }).await,
        "/v1/completions" => generate(node, plan, Completion { head, chat: false, counted }).await,
        "/v1/responses" => generate(node, plan, Responses::new(head)).await,
        "/v1/messages" => generate(node, plan, Messages { head }).await,
        _ => match inputs(&body) {
            Some(inputs) => embeddings(&node, name, &inputs, prompt, &body).await,
            None => return bad("invalid input"),
        },
    };
    // It was removed while the request waited.
    answered.unwrap_or_else(absent)
}

/// What every answer begins with.
pub(super) struct Head {
    /// Quoted.
    pub(super) model: String,
    /// Seconds since the epoch.
    pub(super) created: i64,
    /// As in `chatcmpl-607`. Not unique, as with Ollama.
    pub(super) number: u64,
}

fn v1(status: StatusCode, body: String) -> Response<Body> {
    whole(status, V1, body + "\n")
}

fn refuse(anthropic: bool, status: StatusCode, kind: &str, message: &str) -> Response<Body> {
    let message = quote(message);
    let body = if anthropic {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}},"request_id":"req_0"}}"#)
    } else {
        format!(r#"{{"error":{{"message":{message},"type":"{kind}","param":null,"code":null}}}}"#)
    };
    v1(status, body)
}

fn row(model: &Model) -> String {
    format!(
        r#"{{"id":{},"object":"model","created":{},"owned_by":"library"}}"#,
        quote(&model.weights.name),
        model.modified.as_second()
    )
}

/// `/v1/chat/completions` and `/v1/completions`.
struct Completion {
    head: Head,
    chat: bool,
    /// Whether a stream ends with the usage.
    counted: bool,
}

impl Completion {
    fn head(&self, chunk: bool) -> String {
        let (id, object) = match (self.chat, chunk) {
            (true, true) => ("chatcmpl", "chat.completion.chunk"),
            (true, false) => ("chatcmpl", "chat.completion"),
            (false, _) => ("cmpl", "text_completion"),
        };
        let Head { model, created, number } = &self.head;
        format!(
            r#"{{"id":"{id}-{number}","object":"{object}","created":{created},"model":{model},"system_fingerprint":"fp_ollama""#
        )
    }

    fn chunk(&self, text: &str, finish: &str) -> String {
        let text = quote(text);
        let said = if self.chat {
            format!(r#""delta":{{"role":"assistant","content":{text}}}"#)
        } else {
            format!(r#""text":{text}"#)
        };
        let head = self.head(true);
        format!("data: {head},\"choices\":[{{\"index\":0,{said},\"finish_reason\":{finish}}}]}}\n\n")
    }
}

fn usage(done: &Done) -> String {
    let (prompt, made) = (done.prompt, done.made);
    format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{made},"total_tokens":{}}}"#, prompt + made)
}

fn finish(done: &Done) -> &'static str {
    if done.cut { r#""length""# } else { r#""stop""# }
}

impl Form for Completion {
    const TYPES: (&'static str, &'static str) = (V1, SSE);

    fn token(&mut self, text: &str) -> String {
        self.chunk(text, "null")
    }

    fn end(&mut self, _text: &str, done: &Done) -> String {
        let mut events = self.chunk("", finish(done));
        if self.counted {
            events += &format!("data: {},\"choices\":[],\"usage\":{}}}\n\n", self.head(true), usage(done));
        }
        events + "data: [DONE]\n\n"
    }

    fn whole(&mut self, text: &str, done: &Done) -> String {
        let text = quote(text);
        let said = if self.chat {
            format!(r#""message":{{"role":"assistant","content":{text}}}"#)
        } else {
            format!(r#""text":{text}"#)
        };
        format!(
            "{},\"choices\":[{{\"index\":0,{said},\"finish_reason\":{}}}],\"usage\":{}}}\n",
            self.head(false),
            finish(done),
            usage(done)
        )
    }
}

async fn embeddings(
    node: &SimNode,
    name: &str,
    inputs: &[&str],
    prompt: u64,
    body: &Value,
) -> Option<Response<Body>> {
    embed(node, name, prompt, Keep::Usual).await?;
    let base64 = text(body, "encoding_format") == "base64";
    let rows = inputs.iter().enumerate().map(|(n, input)| {
        let vector = vector(input, DIMENSIONS);
        let embedding = if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            quote(&STANDARD.encode(bytes))
        } else {
            let numbers: Vec<String> = vector.iter().map(ToString::to_string).collect();
            format!("[{}]", numbers.join(","))
        };
        format!(r#"{{"object":"embedding","embedding":{embedding},"index":{n}}}"#)
    });
    let rows: Vec<String> = rows.collect();
    Some(v1(
        StatusCode::OK,
        format!(
            r#"{{"object":"list","data":[{}],"model":{},"usage":{{"prompt_tokens":{prompt},"total_tokens":{prompt}}}}}"#,
            rows.join(","),
            quote(name)
        ),
    ))
}
