//! What the gateway writes into a body: all governed values in one place, so that two layers never write the same
//! key, nor add the same object twice.

use super::{Number, Options, Peek, PeekError, Value};
use crate::api::{Edits, route::Forward};

/// Values to be written. Those a route does not know are left out there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// Name of the model a node is asked for.
    pub model: Option<&'a str>,
    /// `keep_alive`, as JSON.
    pub keep_alive: Option<&'a str>,
    /// Size of the context, in tokens.
    pub num_ctx: Option<u64>,
    /// Most tokens of the answer, of each where several are asked for. What the client set lower stays.
    pub output: Option<u64>,
    /// Ask for usage in the stream.
    pub usage: bool,
}

/// Which keys bound a route's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// It has no output tokens.
    Nothing,
    /// `options.num_predict`
    Predict,
    /// `max_tokens`, and `max_completion_tokens`, which not every node knows.
    Chat,
    /// `max_tokens`
    Tokens,
    /// `max_output_tokens`
    Responses,
}

impl Output {
    fn of(route: &Forward) -> Self {
        match route.path {
            "/api/chat" | "/api/generate" => Self::Predict,
            "/v1/chat/completions" => Self::Chat,
            "/v1/completions" | "/v1/messages" => Self::Tokens,
            "/v1/responses" => Self::Responses,
            _ => Self::Nothing,
        }
    }
}

/// Whether a route takes `keep_alive` and `options`: those that run a model by Ollama's own API.
fn native(route: &Forward) -> bool {
    matches!(route.path, "/api/chat" | "/api/generate" | "/api/embed" | "/api/embeddings")
}

impl Peek {
    /// Looks at the values that mean something on `route`; on other routes nobody reads them.
    ///
    /// # Errors
    /// [`PeekError::Type`] for a number that is none, or for `options` that are no object.
    pub fn check(&self, route: &Forward) -> Result<(), PeekError> {
        if native(route) {
            if self.options == Options::Other {
                return Err(PeekError::Type("options", "an object"));
            }
            self.num_ctx.check("options.num_ctx")?;
        }
        match Output::of(route) {
            Output::Nothing => Ok(()),
            Output::Predict => self.num_predict.check("options.num_predict"),
            Output::Chat => {
                self.max_completion_tokens.check("max_completion_tokens")?;
                self.n.check("n")?;
                self.max_tokens.check("max_tokens")
            }
            Output::Tokens => {
                self.n.check("n")?;
                self.max_tokens.check("max_tokens")
            }
            Output::Responses => self.max_output_tokens.check("max_output_tokens"),
        }
    }

    /// Most tokens the client asks of `route` for one answer; see [`Peek::answers`] for how many answers it asks.
    /// Zero where a route has no output; None where the client sets no bound (nodes take zero and less as none).
    ///
    /// Of `max_tokens` and `max_completion_tokens` the larger one: nodes differ in which of them they heed. One
    /// that knows only `max_tokens` is not bound by the other, so whoever relies on the bound writes it, too
    /// ([`Changes::output`]).
    #[must_use]
    pub fn output_limit(&self, route: &Forward) -> Option<u64> {
        match Output::of(route) {
            Output::Nothing => Some(0),
            Output::Predict => self.num_predict.bound(),
            Output::Tokens => self.max_tokens.bound(),
            Output::Responses => self.max_output_tokens.bound(),
            // An absent one is less than any that is given.
            Output::Chat => self.max_tokens.bound().max(self.max_completion_tokens.bound()),
        }
    }

    /// How many answers the client asks of `route`: `n`, for each of the prompts of a batch.
    #[must_use]
    pub fn answers(&self, route: &Forward) -> u64 {
        let n = self.n.bound().unwrap_or(1);
        match route.path {
            "/v1/chat/completions" => n,
            "/v1/completions" => n.saturating_mul(self.prompts.max(1)),
            _ => 1,
        }
    }

    /// Whether the client sets how long the model stays in memory.
    #[must_use]
    pub fn sets_keep_alive(&self) -> bool {
        matches!(self.keep_alive, Value::Given(_))
    }

    /// `options.num_ctx`
    #[must_use]
    pub fn num_ctx(&self) -> Option<i64> {
        self.num_ctx.value()
    }

    /// Writes `changes` into the body of a request to `route`. To be called once per body: every governed key
    /// then stands in it once.
    pub fn write(&self, route: &Forward, changes: &Changes<'_>, edits: &mut Edits) {
        let mut missing = Vec::new();
        let output =
            changes.output.map(|most| self.output_limit(route).map_or(most, |asked| asked.min(most)));
        if let Some(model) = changes.model {
            let range = if self.model.as_deref().is_some_and(|m| !m.is_empty()) || !route.legacy_name {
                &self.model_at
            } else {
                &self.name_at
            };
            edits.push(range.clone(), quoted(model));
        }
        if native(route) {
            match (&self.keep_alive, changes.keep_alive) {
                (_, None) => {}
                (Value::Absent, Some(text)) => missing.push(format!(r#""keep_alive":{text}"#)),
                (Value::Null(range) | Value::Given(range), Some(text)) => {
                    edits.push(range.clone(), text.to_owned());
                }
            }
            let predict = output.filter(|_| Output::of(route) == Output::Predict);
            missing.extend(self.write_options(changes.num_ctx, predict, edits));
        }
        let mut bound = |number: &Number, name: &str, needed: bool| {
            let Some(output) = output else { return };
            missing.extend(bound_or_member(number, name, output, edits).filter(|_| needed));
        };
        match Output::of(route) {
            Output::Nothing | Output::Predict => {}
            Output::Tokens => bound(&self.max_tokens, "max_tokens", true),
            Output::Responses => bound(&self.max_output_tokens, "max_output_tokens", true),
            Output::Chat => {
                bound(&self.max_tokens, "max_tokens", true);
                bound(&self.max_completion_tokens, "max_completion_tokens", false);
            }
        }
        if changes.usage {
            missing.extend(self.usage.ask(edits).map(str::to_owned));
        }
        insert(&missing, self.inside, self.empty, edits);
    }

    /// Writes into `options`; returns the whole of it if the body has none.
    fn write_options(&self, ctx: Option<u64>, output: Option<u64>, edits: &mut Edits) -> Option<String> {
        let mut missing = Vec::new();
        if let Some(ctx) = ctx {
            missing.extend(number_or_member(&self.num_ctx, "num_ctx", ctx, edits));
        }
        if let Some(output) = output {
            missing.extend(bound_or_member(&self.num_predict, "num_predict", output, edits));
        }
        if missing.is_empty() {
            return None;
        }
        match &self.options {
            Options::Absent => return Some(format!(r#""options":{{{}}}"#, missing.join(","))),
            Options::Null(range) => edits.push(range.clone(), format!("{{{}}}", missing.join(","))),
            Options::Object { inside, empty } => insert(&missing, *inside, *empty, edits),
            // Refused by `check`.
            Options::Other => {}
        }
        None
    }
}

/// Writes `value` where the number stands; returns a member to be inserted if it stands nowhere.
fn number_or_member(number: &Number, name: &str, value: u64, edits: &mut Edits) -> Option<String> {
    let Some(range) = &number.at else { return Some(format!(r#""{name}":{value}"#)) };
    if number.bound() != Some(value) {
        edits.push(range.clone(), value.to_string());
    }
    None
}

/// The same for a bound: a lower one stays.
fn bound_or_member(number: &Number, name: &str, most: u64, edits: &mut Edits) -> Option<String> {
    if number.bound().is_some_and(|bound| bound <= most) {
        return None;
    }
    number_or_member(number, name, most, edits)
}

/// Inserts members at the beginning of an object.
fn insert(members: &[String], inside: usize, empty: bool, edits: &mut Edits) {
    if members.is_empty() {
        return;
    }
    let comma = if empty { "" } else { "," };
    edits.push(inside..inside, members.join(",") + comma);
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
