//! What a node says to a request and what it costs: the part that the dialects have in common.

use std::time::Duration;

use jiff::Timestamp;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;

use crate::{
    json,
    model::Keep,
    reply::{ReplyStep, Then},
    state::NodeState,
    words::{self, Words},
};

/// A limit from which on an answer of [`Ask::cuts_only`] goes on and on.
const ENDLESS: u64 = 10_000;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// The model as the client calls it.
    pub(crate) model: &'a str,
    pub(crate) prompt: Option<&'a Value>,
    /// Images beside the prompt.
    pub(crate) images: u64,
    /// Most tokens of the answer.
    pub(crate) limit: Option<u64>,
    /// Whether every request of the dialect has a limit: then a script is cut by it, not repeated up to it.
    pub(crate) cuts_only: bool,
    /// Whether the answer is to be JSON.
    pub(crate) as_json: bool,
    /// Context asked for, tokens.
    pub(crate) context: Option<u64>,
    /// How long the model is kept in memory.
    pub(crate) keep: Keep,
    /// The same seed gives the same text.
    pub(crate) seed: Option<u64>,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(model: &'a str, prompt: Option<&'a Value>, limit: Option<u64>) -> Self {
        Self {
            model,
            prompt,
            images: 0,
            limit,
            cuts_only: false,
            as_json: false,
            context: None,
            keep: Keep::Usual,
            seed: None,
        }
    }
}

/// An answer, in no dialect yet.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) words: Vec<String>,
    /// Pause before each word.
    pauses: Vec<Duration>,
    /// Time before the first byte.
    wait: Duration,
    /// Whether the limit ended it.
    pub(crate) cut: bool,
    /// Tokens of the prompt.
    pub(crate) prompt: u64,
    /// Putting the model into memory.
    pub(crate) load: Duration,
    /// Reading the prompt.
    pub(crate) reading: Duration,
    /// Making the tokens.
    pub(crate) making: Duration,
    pub(crate) created: Timestamp,
    /// As in `chatcmpl-607`. Not unique, as with Ollama.
    pub(crate) number: u64,
    /// Whether it calls the tools it is offered, and thinks if asked to.
    pub(crate) scripted: bool,
    /// What it changes as its last bytes go out.
    pub(crate) then: Then,
}

impl Draft {
    /// Tokens made.
    pub(crate) fn made(&self) -> u64 {
        self.words.len() as u64
    }

    /// All of its text.
    pub(crate) fn text(&self) -> String {
        self.words.concat()
    }

    /// All of the time it takes.
    pub(crate) fn total(&self) -> Duration {
        self.load + self.reading + self.making
    }

    /// How long it is until all of it is there.
    pub(crate) fn whole_after(&self) -> Duration {
        self.wait + self.pauses.iter().sum::<Duration>()
    }

    /// The steps of a stream: what comes before the first token, the tokens at their pace, and what comes after.
    pub(crate) fn steps(
        &self,
        before: Vec<String>,
        tokens: Vec<String>,
        after: Vec<String>,
    ) -> Vec<ReplyStep> {
        let tokens =
            tokens.into_iter().zip(self.pauses.iter().copied().chain(std::iter::repeat(Duration::ZERO)));
        let mut steps: Vec<ReplyStep> = before.into_iter().map(ReplyStep::now).collect();
        steps.extend(tokens.map(|(text, after)| ReplyStep { bytes: text.into(), after }));
        steps.extend(after.into_iter().map(ReplyStep::now));
        if let Some(first) = steps.first_mut() {
            first.after = self.wait;
        }
        steps
    }
}

impl NodeState {
    /// What is said to `ask`, whose model is there.
    pub(crate) fn draft(&mut self, ask: &Ask<'_>) -> Draft {
        let prompt = ask.prompt.map_or(0, |prompt| self.count(prompt));
        let load = self.load(ask.model, ask.context, ask.keep);
        let then = Then::Used(ask.model.to_owned(), ask.keep);
        let (Some(machine), Some(model)) = (self.machine, self.model(ask.model).cloned()) else {
            let (words, cut) = script(&self.tokens, ask);
            return Draft {
                pauses: Vec::new(),
                wait: Duration::ZERO,
                cut,
                words,
                prompt: prompt + ask.images * 256,
                load: Duration::from_nanos(2_154_458),
                reading: Duration::from_nanos(130_079_000),
                making: Duration::from_nanos(4_232_710_000),
                created: self.now(),
                number: 607,
                scripted: true,
                then,
            };
        };
        let seed = ask.seed.unwrap_or_else(|| self.random.random());
        let mut random = StdRng::seed_from_u64(seed);
        let (words, cut) = made_up(ask, &mut random);
        let (pace, reading) = (machine.pace(&model, self.at_work), machine.reading(&model, prompt));
        // Tokens come a little earlier or later than the pace, the first when the prompt is read.
        let pauses: Vec<Duration> = (0..words.len())
            .map(|n| if n == 0 { Duration::ZERO } else { pace.mul_f64(random.random_range(0.6..1.4)) })
            .collect();
        Draft {
            wait: load + reading,
            making: pauses.iter().sum(),
            pauses,
            cut,
            words,
            prompt,
            load,
            reading,
            created: self.now(),
            number: self.random.random_range(0..1000),
            scripted: false,
            then,
        }
    }

    /// What answers say the time is: in a script always the same.
    pub(crate) fn now(&self) -> Timestamp {
        match self.machine {
            Some(_) => Timestamp::now(),
            None => Timestamp::constant(1_767_323_045, 123_456_789),
        }
    }

    /// Tokens of a prompt. On a machine four are three words.
    pub(crate) fn count(&self, value: &Value) -> u64 {
        match json::words(value) {
            words if self.machine.is_none() => words,
            0 => 0,
            words => words * 4 / 3 + 6,
        }
    }
}

/// The tokens of the script, cut or repeated to the length asked for, and whether that ends them.
fn script(tokens: &[String], ask: &Ask<'_>) -> (Vec<String>, bool) {
    let limit = ask.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if ask.as_json {
        return (["{\"answer\"", ": ", "42", "}"].map(str::to_owned).to_vec(), limit.is_some());
    }
    let Some(limit) = limit else { return (tokens.to_vec(), false) };
    if ask.cuts_only && ask.limit.is_some_and(|limit| limit < ENDLESS) {
        return (tokens.iter().take(limit).cloned().collect(), limit < tokens.len());
    }
    (tokens.iter().cycle().take(limit).cloned().collect(), !ask.cuts_only)
}

/// Made-up words, and whether the limit cut them.
fn made_up(ask: &Ask<'_>, random: &mut StdRng) -> (Vec<String>, bool) {
    if ask.as_json {
        let words = ["{", "\"answer\"", ": ", "\"made up\"", ", ", "\"number\"", ": ", "42", "}"];
        return (words.map(str::to_owned).to_vec(), false);
    }
    let wished = words::length(random);
    let limit = ask.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    (Words::new(random.random()).take(wished.min(limit)).collect(), limit < wished)
}
