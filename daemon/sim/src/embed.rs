//! Embeddings: on a machine vectors of length one, the same for the same text.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;

use crate::{
    json::{quote, text},
    model::Keep,
    reply::{Reply, Then},
    state::NodeState,
};

/// Numbers of a vector: as many as such models have.
const DIMENSIONS: usize = 384;

/// A text, or several.
fn inputs(body: &Value) -> Option<Vec<String>> {
    match body.get("input")? {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => Some(
            items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect(),
        ),
        _ => None,
    }
}

impl NodeState {
    /// Time that embedding so many tokens takes, the model loaded before.
    fn embed(&mut self, model: &str, tokens: u64, keep: Keep) -> Duration {
        let load = self.load(model, None, keep);
        let Some(machine) = self.machine else { return load };
        load + self.model(model).map_or(Duration::ZERO, |model| machine.reading(model, tokens))
    }

    fn vector(&self, input: &str) -> Vec<f32> {
        if self.machine.is_none() {
            return vec![1.0, 2.0, 3.0];
        }
        let seed = input.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        let mut random = StdRng::seed_from_u64(seed);
        let mut vector: Vec<f32> = (0..DIMENSIONS).map(|_| random.random_range(-1.0..1.0)).collect();
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= length.max(f32::MIN_POSITIVE));
        vector
    }
}

fn numbers(vector: &[f32]) -> String {
    let numbers: Vec<String> = vector.iter().map(|x| format!("{x:?}")).collect();
    format!("[{}]", numbers.join(","))
}

/// `/api/embed`.
pub(crate) fn native(state: &mut NodeState, name: &str, body: &Value) -> Reply {
    let Some(inputs) = inputs(body) else { return Reply::error(400, "invalid input type") };
    let (prompt, keep) = (body.get("input").map_or(0, |input| state.count(input)), Keep::of(body));
    let took = state.embed(name, prompt, keep);
    let rows: Vec<String> = inputs.iter().map(|input| numbers(&state.vector(input))).collect();
    let answer = format!(
        r#"{{"model":{},"embeddings":[{}],"total_duration":{},"load_duration":1019500,"prompt_eval_count":{prompt}}}"#,
        quote(name),
        rows.join(","),
        took.max(Duration::from_millis(14)).as_nanos(),
    );
    Reply::json(200, answer).after(took).then(Then::Used(name.to_owned(), keep))
}

/// `/api/embeddings`, the older form: one text, no counts.
pub(crate) fn older(state: &mut NodeState, name: &str, body: &Value) -> Reply {
    let (prompt, keep) = (text(body, "prompt"), Keep::of(body));
    let tokens = body.get("prompt").map_or(0, |prompt| state.count(prompt));
    let took = state.embed(name, tokens, keep);
    let numbers = if prompt.is_empty() { "[]".to_owned() } else { numbers(&state.vector(prompt)) };
    let answer = Reply::json(200, format!(r#"{{"embedding":{numbers}}}"#));
    answer.after(took).then(Then::Used(name.to_owned(), keep))
}

/// `/v1/embeddings`. None where there is nothing to embed.
pub(crate) fn openai(state: &mut NodeState, name: &str, body: &Value) -> Option<Reply> {
    let inputs = inputs(body)?;
    let tokens = body.get("input").map_or(0, |input| state.count(input));
    let took = state.embed(name, tokens, Keep::Usual);
    let base64 = text(body, "encoding_format") == "base64";
    let row = |(n, input): (usize, &String)| {
        let vector = state.vector(input);
        let embedding = if base64 {
            quote(&STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()))
        } else {
            numbers(&vector)
        };
        format!(r#"{{"object":"embedding","embedding":{embedding},"index":{n}}}"#)
    };
    let rows: Vec<String> = inputs.iter().enumerate().map(row).collect();
    let answer = format!(
        r#"{{"object":"list","data":[{}],"model":{},"usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#,
        rows.join(","),
        quote(name)
    );
    Some(Reply::v1(200, answer).after(took).then(Then::Used(name.to_owned(), Keep::Usual)))
}
