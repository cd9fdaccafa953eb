//! Ollama's own API.

use std::{sync::Arc, time::Duration};

use http::{Method, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    answer::{Body, JSON, NDJSON, error, flag, json, plain, quote, text, tokens, whole},
    generate::{DIMENSIONS, Done, Form, Plan, embed, generate, inputs, not_found, vector},
    hardware::Weights,
    node::{CONTEXT, Keep, Loaded, Model, SimNode},
    pull,
};

/// Answers a request below `/api`.
pub(super) async fn answer(node: &Arc<SimNode>, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
    let allowed: &[Method] = match path {
        "/api/tags" | "/api/version" => &[Method::GET, Method::HEAD],
        "/api/ps" => &[Method::GET],
        "/api/delete" => &[Method::DELETE],
        "/api/generate" | "/api/chat" | "/api/embed" | "/api/embeddings" | "/api/show" | "/api/pull"
        | "/api/copy" => &[Method::POST],
        _ => return plain(StatusCode::NOT_FOUND, "404 page not found"),
    };
    if !allowed.contains(method) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed");
    }
    match path {
        "/api/tags" => return json(tags(&node.models())),
        "/api/version" => return json(format!(r#"{{"version":{}}}"#, quote(node.hardware.version))),
        "/api/ps" => return json(ps(&node.models())),
        _ => {}
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return error(StatusCode::BAD_REQUEST, "invalid character in request body");
    };
    let given = |key| Some(text(&body, key)).filter(|name| !name.is_empty());
    let name = given("model").or(given("name")).or(given("source")).unwrap_or_default();
    if path == "/api/pull" {
        return pull::answer(node, name, flag(&body, "stream", true)).await;
    }
    let Some(model) = node.model(name) else { return not_found(name) };
    let answered = match path {
        "/api/generate" => talk(node, name, &body, false).await,
        "/api/chat" => talk(node, name, &body, true).await,
        "/api/embed" => embeddings(node, name, &body).await,
        "/api/embeddings" => embedding(node, name, &body).await,
        "/api/show" => Some(json(show(&model))),
        "/api/copy" => {
            let name = Weights::of(text(&body, "destination")).name;
            node.add(Weights { name, ..model.weights });
            Some(whole(StatusCode::OK, "", ""))
        }
        _ => node.remove(name).then(|| whole(StatusCode::OK, "", "")),
    };
    // It was removed while the request waited.
    answered.unwrap_or_else(|| not_found(name))
}

fn details(weights: &Weights) -> String {
    format!(
        r#"{{"parent_model":"","format":"gguf","family":{0},"families":[{0}],"parameter_size":"{1}","quantization_level":{2}}}"#,
        quote(&weights.family),
        weights.parameters(),
        quote(&weights.quantization)
    )
}

fn tags(models: &[Model]) -> String {
    let rows: Vec<String> = models
        .iter()
        .map(|Model { weights, modified, .. }| {
            format!(
                r#"{{"name":{0},"model":{0},"modified_at":"{modified}","size":{1},"digest":"{2}","details":{3}}}"#,
                quote(&weights.name),
                weights.size,
                weights.digest,
                details(weights)
            )
        })
        .collect();
    format!(r#"{{"models":[{}]}}"#, rows.join(","))
}

fn ps(models: &[Model]) -> String {
    let row = |weights: &Weights, loaded: Loaded| {
        format!(
            r#"{{"name":{0},"model":{0},"size":{1},"digest":"{2}","details":{3},"expires_at":"{4}","size_vram":{1},"context_length":{5}}}"#,
            quote(&weights.name),
            loaded.memory,
            weights.digest,
            details(weights),
            loaded.expires,
            loaded.context
        )
    };
    let rows: Vec<String> = models.iter().filter_map(|m| Some(row(&m.weights, m.loaded?))).collect();
    format!(r#"{{"models":[{}]}}"#, rows.join(","))
}

fn show(model: &Model) -> String {
    let weights = &model.weights;
    let family = &weights.family;
    let capability = if weights.embeds { "embedding" } else { "completion" };
    format!(
        r##"{{"license":"made up","modelfile":{0},"parameters":"num_ctx {CONTEXT}","template":"{{{{ .Prompt }}}}","details":{1},"model_info":{{"general.architecture":{2},"general.parameter_count":{3},{4}:{5}}},"capabilities":["{capability}"],"modified_at":"{6}"}}"##,
        quote(&format!("# A simulated model\nFROM {}\n", weights.name)),
        details(weights),
        quote(family),
        (weights.billions * 1e9) as u64,
        quote(&format!("{family}.context_length")),
        weights.context,
        model.modified
    )
}

/// `keep_alive`: seconds, or a duration such as `5m` or `1h30m`; negative is for ever.
fn keep_alive(body: &Value) -> Keep {
    let seconds = |seconds: f64| SignedDuration::try_from_secs_f64(seconds).ok();
    let kept = match body.get("keep_alive") {
        Some(Value::Number(number)) => number.as_f64().and_then(seconds),
        Some(Value::String(text)) => duration(text).and_then(seconds),
        _ => None,
    };
    kept.map_or(Keep::Usual, Keep::For)
}

/// A duration as Go reads it, in seconds.
fn duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let scale = match &unit[..end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * scale;
        rest = &unit[end..];
    }
    (!text.is_empty()).then_some(sign * sum)
}

/// `/api/generate` and `/api/chat`.
async fn talk(node: &Arc<SimNode>, name: &str, body: &Value, chat: bool) -> Option<Response<Body>> {
    let option = |key: &str| body.get("options").and_then(|options| options.get(key));
    let (prompt, empty) = if chat {
        let messages = body.get("messages").and_then(Value::as_array);
        (body.get("messages"), messages.is_none_or(Vec::is_empty))
    } else {
        (body.get("prompt"), text(body, "prompt").is_empty())
    };
    let keep = keep_alive(body);
    let context = option("num_ctx").and_then(Value::as_u64);
    let form = Native { model: quote(name), chat };
    if empty {
        // Nothing to say: it is about memory.
        let unload = keep == Keep::For(SignedDuration::ZERO);
        if unload {
            node.unload(name);
        } else {
            tokio::time::sleep(node.load(name, context, keep)?).await;
        }
        let reason = if unload { "unload" } else { "load" };
        return Some(json(form.line(true, "", &format!(r#","done_reason":"{reason}""#))));
    }
    let limit = option("num_predict").and_then(Value::as_i64).and_then(|n| u64::try_from(n).ok());
    let plan = Plan {
        model: name.to_owned(),
        prompt: prompt.map_or(0, tokens),
        limit,
        as_json: body.get("format").is_some_and(|format| !format.is_null() && format != ""),
        context,
        keep,
        stream: flag(body, "stream", true),
        seed: option("seed").and_then(Value::as_u64),
    };
    generate(node.clone(), plan, form).await
}

struct Native {
    /// Quoted.
    model: String,
    chat: bool,
}

impl Native {
    fn line(&self, done: bool, content: &str, rest: &str) -> String {
        let content = quote(content);
        let said = if self.chat {
            format!(r#""message":{{"role":"assistant","content":{content}}}"#)
        } else {
            format!(r#""response":{content}"#)
        };
        let now = Timestamp::now();
        format!(r#"{{"model":{},"created_at":"{now}",{said},"done":{done}{rest}}}"#, self.model)
    }

    fn last(&self, content: &str, done: &Done) -> String {
        let reason = if done.cut { "length" } else { "stop" };
        let context = if self.chat { "" } else { r#","context":[1,2,3]"# };
        let evaluating = done.total.saturating_sub(done.load + done.reading);
        let counts = format!(
            r#","done_reason":"{reason}"{context},"total_duration":{},"load_duration":{},"prompt_eval_count":{},"prompt_eval_duration":{},"eval_count":{},"eval_duration":{}"#,
            nanos(done.total),
            nanos(done.load),
            done.prompt,
            nanos(done.reading),
            done.made,
            nanos(evaluating)
        );
        self.line(true, content, &counts)
    }
}

impl Form for Native {
    const TYPES: (&'static str, &'static str) = (JSON, NDJSON);

    fn token(&mut self, text: &str) -> String {
        self.line(false, text, "") + "\n"
    }

    fn end(&mut self, _text: &str, done: &Done) -> String {
        self.last("", done) + "\n"
    }

    fn whole(&mut self, text: &str, done: &Done) -> String {
        self.last(text, done)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn numbers(vector: &[f32]) -> String {
    let numbers: Vec<String> = vector.iter().map(ToString::to_string).collect();
    format!("[{}]", numbers.join(","))
}

async fn embeddings(node: &SimNode, name: &str, body: &Value) -> Option<Response<Body>> {
    let Some(inputs) = inputs(body) else {
        return Some(error(StatusCode::BAD_REQUEST, "invalid input type"));
    };
    let prompt = body.get("input").map_or(0, tokens);
    let took = embed(node, name, prompt, keep_alive(body)).await?;
    let rows: Vec<String> = inputs.iter().map(|input| numbers(&vector(input, DIMENSIONS))).collect();
    Some(json(format!(
        r#"{{"model":{},"embeddings":[{}],"total_duration":{},"load_duration":1019500,"prompt_eval_count":{prompt}}}"#,
        quote(name),
        rows.join(","),
        nanos(took)
    )))
}

/// The older form, without counts.
async fn embedding(node: &SimNode, name: &str, body: &Value) -> Option<Response<Body>> {
    let prompt = text(body, "prompt");
    embed(node, name, body.get("prompt").map_or(0, tokens), keep_alive(body)).await?;
    let numbers = if prompt.is_empty() { "[]".to_owned() } else { numbers(&vector(prompt, DIMENSIONS)) };
    Some(json(format!(r#"{{"embedding":{numbers}}}"#)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alive_is_read_as_ollama_reads_it() {
        let of = |value: Value| keep_alive(&serde_json::json!({ "keep_alive": value }));
        let secs = |n| Keep::For(SignedDuration::from_secs(n));
        for (value, keep) in [
            (0.into(), secs(0)),
            (90.into(), secs(90)),
            ((-1).into(), secs(-1)),
            ("5m".into(), secs(300)),
            ("1h30m".into(), secs(5400)),
            ("-1s".into(), secs(-1)),
            ("0".into(), secs(0)),
            ("1500ms".into(), Keep::For(SignedDuration::from_millis(1500))),
            ("soon".into(), Keep::Usual),
            ("".into(), Keep::Usual),
            (Value::Null, Keep::Usual),
        ] {
            assert_eq!(of(value.clone()), keep, "{value}");
        }
    }
}
