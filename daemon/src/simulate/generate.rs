//! Making text at a pace: what all dialects have in common.

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use http::{Response, StatusCode};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep, sleep_until},
};

use super::{
    answer::{self, Body, pieces, whole},
    node::{Keep, SimNode},
    words::{self, Words},
};

/// What is to be made.
#[derive(Debug)]
pub(super) struct Plan {
    /// The model as the client calls it, which is on the node.
    pub(super) model: String,
    /// Tokens of the prompt.
    pub(super) prompt: u64,
    /// Most tokens of the answer.
    pub(super) limit: Option<u64>,
    /// Whether the answer is to be JSON.
    pub(super) as_json: bool,
    /// Context asked for, tokens.
    pub(super) context: Option<u64>,
    /// How long the model is kept.
    pub(super) keep: Keep,
    /// Whether it is answered piece by piece.
    pub(super) stream: bool,
    /// Seed asked for: the same gives the same text.
    pub(super) seed: Option<u64>,
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Tokens of the prompt.
    pub(super) prompt: u64,
    /// Tokens made.
    pub(super) made: u64,
    /// Whether the limit ended it.
    pub(super) cut: bool,
    /// All of it.
    pub(super) total: Duration,
    /// Putting the model into memory.
    pub(super) load: Duration,
    /// Reading the prompt.
    pub(super) reading: Duration,
}

/// How a dialect writes an answer.
pub(super) trait Form: Send + 'static {
    /// How it calls a whole answer, and a streamed one.
    const TYPES: (&'static str, &'static str);

    /// What is sent before the first token.
    fn begin(&mut self, _prompt: u64) -> String {
        String::new()
    }
    /// A token.
    fn token(&mut self, text: &str) -> String;
    /// What is sent after the last.
    fn end(&mut self, text: &str, done: &Done) -> String;
    /// Everything at once.
    fn whole(&mut self, text: &str, done: &Done) -> String;
}

/// An answer being made.
struct Making<F> {
    form: F,
    words: std::vec::IntoIter<String>,
    node: Arc<SimNode>,
    plan: Plan,
    text: String,
    done: Done,
    began: Instant,
    /// When the next token is there.
    due: Instant,
    pace: Duration,
    random: StdRng,
    stage: Stage,
    place: Option<OwnedSemaphorePermit>,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Begin,
    Tokens,
    Over,
}

/// Waits for the model and a place, reads the prompt, and answers. As with Ollama the head goes with the first
/// token.
pub(super) async fn generate<F: Form>(node: Arc<SimNode>, plan: Plan, form: F) -> Option<Response<Body>> {
    let began = Instant::now();
    let place = node.places.clone().acquire_owned().await.ok();
    let weights = node.model(&plan.model)?.weights;
    let load = node.load(&plan.model, plan.context, plan.keep)?;
    sleep(load).await;
    let reading = node.reading(&weights, plan.prompt);
    sleep(reading).await;

    let mut random = StdRng::seed_from_u64(plan.seed.unwrap_or_else(|| node.random()));
    let (words, cut) = text(&plan, &mut random);
    let at_work = node.hardware.parallel as usize - node.places.available_permits();
    let pace = node.pace(&weights, at_work);
    let done =
        Done { prompt: plan.prompt, made: words.len() as u64, cut, total: Duration::ZERO, load, reading };
    let (stream, now) = (plan.stream, Instant::now());
    let mut making = Making {
        form,
        words: words.into_iter(),
        node,
        plan,
        text: String::new(),
        done,
        began,
        due: now,
        pace,
        random,
        stage: Stage::Begin,
        place,
    };
    if stream {
        return Some(pieces(F::TYPES.1, stream::unfold(making, Making::step)));
    }
    while let Some(word) = making.words.next() {
        making.text += &word;
        making.wait();
    }
    sleep_until(making.due).await;
    let done = making.finish();
    let text = std::mem::take(&mut making.text);
    Some(whole(StatusCode::OK, F::TYPES.0, making.form.whole(&text, &done)))
}

/// The words of the answer, and whether the limit cut it.
fn text(plan: &Plan, random: &mut StdRng) -> (Vec<String>, bool) {
    if plan.as_json {
        let words = ["{", "\"answer\"", ": ", "\"made up\"", ", ", "\"number\"", ": ", "42", "}"];
        return (words.map(str::to_owned).to_vec(), false);
    }
    let wished = words::length(random);
    let limit = plan.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    (Words::new(random.random()).take(wished.min(limit)).collect(), limit < wished)
}

impl<F: Form> Making<F> {
    /// The next token comes a little earlier or later than the pace.
    fn wait(&mut self) {
        self.due += self.pace.mul_f64(self.random.random_range(0.6..1.4));
    }

    async fn step(mut self) -> Option<(String, Self)> {
        match self.stage {
            Stage::Over => None,
            Stage::Begin => {
                self.stage = Stage::Tokens;
                let mut piece = self.form.begin(self.done.prompt);
                if let Some(word) = self.words.next() {
                    piece += &self.say(&word);
                }
                Some((piece, self))
            }
            Stage::Tokens => {
                let Some(word) = self.words.next() else {
                    self.stage = Stage::Over;
                    let done = self.finish();
                    let text = std::mem::take(&mut self.text);
                    return Some((self.form.end(&text, &done), self));
                };
                self.wait();
                sleep_until(self.due).await;
                Some((self.say(&word), self))
            }
        }
    }

    fn say(&mut self, word: &str) -> String {
        self.text += word;
        self.form.token(word)
    }

    /// The place is free for the next; the model stays for a while.
    fn finish(&mut self) -> Done {
        self.place = None;
        self.node.touch(&self.plan.model, self.plan.keep);
        Done { total: self.began.elapsed(), ..self.done }
    }
}

/// A vector for a text: made up, of length one, the same for the same text.
pub(super) fn vector(input: &str, dimensions: usize) -> Vec<f32> {
    let seed = input
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut random = StdRng::seed_from_u64(seed);
    let mut vector: Vec<f32> = (0..dimensions).map(|_| random.random_range(-1.0..1.0)).collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length.max(f32::MIN_POSITIVE));
    vector
}

/// What is to be embedded: a text, or several.
pub(super) fn inputs(body: &Value) -> Option<Vec<&str>> {
    match body.get("input")? {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// Waits as long as embedding so many tokens takes.
pub(super) async fn embed(node: &SimNode, model: &str, tokens: u64, keep: Keep) -> Option<Duration> {
    let began = Instant::now();
    let _place = node.places.acquire().await.ok();
    let weights = node.model(model)?.weights;
    sleep(node.load(model, None, keep)?).await;
    sleep(node.reading(&weights, tokens)).await;
    Some(began.elapsed())
}

/// Numbers of a vector: as many as such models have.
pub(super) const DIMENSIONS: usize = 384;

/// Nobody has this model, in the words of Ollama.
pub(super) fn not_found(name: &str) -> Response<Body> {
    answer::error(StatusCode::NOT_FOUND, &missing(name))
}

/// The words.
pub(super) fn missing(name: &str) -> String {
    format!("model '{name}' not found")
}
