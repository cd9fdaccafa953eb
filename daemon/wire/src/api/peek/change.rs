//! What the gateway writes into a body: all governed values in one place, so that two layers never write the same
//! key, nor add the same object twice.

use std::ops::Range;

use super::{Named, Number, Options, Peek, PeekError, Value};
use super::{error::MOST_ANSWERS, keys::Inner};
use crate::api::{
    Edits,
    route::{Forward, Output},
};

/// Least tokens that Anthropic and those who do as it does take for a budget of thinking. It has to be less than the
/// answer's bound.
const LEAST_BUDGET: u64 = 1024;

/// Values to be written. Those a route does not know are left out there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// Name of the model a node is asked for.
    pub model: Option<&'a str>,
    /// `keep_alive`, as JSON.
    pub keep_alive: Option<&'a str>,
    /// Size of the context, in tokens.
    pub num_ctx: Option<u64>,
    /// Leave out every other option for which a node loads the model anew. Only together with `num_ctx`.
    pub pinned: bool,
    /// Most tokens of the answer, of each where several are asked for. What the client set lower stays.
    pub output: Option<u64>,
    /// Whether the node takes a bound of zero as none at all, as Ollama does, and not as an answer without a token.
    pub endless_zero: bool,
    /// Ask for usage in the stream.
    pub usage: bool,
}

impl Peek {
    /// Looks at the values that mean something on `route`; on other routes nobody reads them.
    ///
    /// # Errors
    /// [`PeekError::Type`] for a value that must be a number, or for `options` that are no object;
    /// [`PeekError::Many`] for too many answers; [`PeekError::Replaced`] for what some node would put in the place of
    /// what was checked, and [`PeekError::Background`].
    pub fn check(&self, route: &Forward) -> Result<(), PeekError> {
        // Routes that only describe a model, or make one, do not carry these out.
        if let Some(refused) = self.refused.as_ref().filter(|_| route.prompts()) {
            return Err(refused.clone());
        }
        if route.native() {
            if self.options == Options::Other {
                return Err(PeekError::Type("options", "an object"));
            }
            self.num_ctx.check("options.num_ctx")?;
        }
        if route.output == Output::Nothing {
            return Ok(());
        }
        self.bounds
            .iter()
            .chain(&self.multiples)
            .try_for_each(|Named { name, number }| number.check(name))?;
        let many =
            |Named { name, number }: &Named| Some((*name, number.bound().filter(|n| *n > MOST_ANSWERS)?));
        match self.multiples.iter().find_map(many).filter(|_| !route.native()) {
            Some((name, answers)) => Err(PeekError::Many(name, answers)),
            None => Ok(()),
        }
    }

    /// Most tokens the client asks of `route` for one answer; see [`Peek::answers`] for how many answers it asks.
    /// Zero where a route has no output; None where the client sets no bound (nodes take zero and less as none).
    ///
    /// Of several bounds the largest one: nodes differ in which of them they heed. A node that does not know any of
    /// them is not bound at all, so a caller that relies on the bound writes it, too ([`Changes::output`]).
    #[must_use]
    pub fn output_limit(&self, route: &Forward) -> Option<u64> {
        if route.output == Output::Nothing {
            return Some(0);
        }
        let most = self.bounds.iter().filter(|bound| !bound.is_partial() && bound.number.value().is_some());
        // None of them, and one that is without end, is no bound.
        most.map(|bound| bound.number.bound().unwrap_or(u64::MAX)).max().filter(|most| *most < u64::MAX)
    }

    /// How many answers the client asks of `route`: `n` by any of its names, for each of the prompts of a batch.
    #[must_use]
    pub fn answers(&self, route: &Forward) -> u64 {
        self.times(route, self.multiple(false))
    }

    /// How many a node makes for [these](Self::answers), of which it sends the best ones.
    #[must_use]
    pub fn made(&self, route: &Forward) -> u64 {
        self.times(route, self.multiple(false).max(self.multiple(true)))
    }

    /// So many for each of the prompts of a batch, where `route` makes more than one answer.
    fn times(&self, route: &Forward, each: u64) -> u64 {
        if route.native() || route.output == Output::Nothing {
            return 1;
        }
        let prompts = if route.prompt_list { self.prompts.max(1) } else { 1 };
        each.saturating_mul(prompts)
    }

    /// The largest number of answers to one prompt, as they come back or as they are made in a `search` for the best.
    fn multiple(&self, search: bool) -> u64 {
        let of_kind = self.multiples.iter().filter(|multiple| multiple.is_search() == search);
        of_kind.filter_map(|multiple| multiple.number.bound()).max().unwrap_or(1)
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
            if range.is_empty() {
                missing.push(format!(r#""model":{}"#, quoted(model)));
            } else {
                edits.push(range.clone(), if self.is_form { model.to_owned() } else { quoted(model) });
            }
        }
        if let Some(output) = output.filter(|_| route.output != Output::Nothing) {
            // Whichever of them a node heeds.
            for bound in &self.bounds {
                match &self.thinking {
                    Some(thinking) if bound.is_budget_of_thinking() => {
                        bound.lower_budget(output, (thinking, r#"{"type":"disabled"}"#), edits);
                    }
                    _ if bound.is_budget() => {
                        if let Some(at) = &bound.number.at {
                            bound.lower_budget(output, (at, "null"), edits);
                        }
                    }
                    _ => bound.lower(output, changes.endless_zero, edits),
                }
            }
        }
        let needs = |name: &str| output.filter(|_| self.bounds.iter().all(|bound| bound.name != name));
        if let Output::Key(name) = route.output
            && let Some(output) = needs(name)
        {
            missing.push(member(name, output));
        }
        if route.native() {
            match (&self.keep_alive, changes.keep_alive) {
                (_, None) => {}
                (Value::Absent, Some(text)) => missing.push(format!(r#""keep_alive":{text}"#)),
                (Value::Null(range) | Value::Given(range), Some(text)) => {
                    edits.push(range.clone(), text.to_owned());
                }
            }
            let predict = needs("options.num_predict").filter(|_| route.output == Output::Predict);
            missing.extend(self.write_options(changes, predict, edits));
        } else if let Some(size) = changes.num_ctx.filter(|_| route.openai && changes.pinned) {
            // Some servers hand them on to Ollama, those among `options` and those beside them.
            if self.reloads() {
                self.write_options(changes, None, edits);
            }
            for (key, value) in &self.beside {
                let pinned = if *key == Inner::NumCtx { size.to_string() } else { "null".to_owned() };
                edits.push(value.clone(), pinned);
            }
        }
        if changes.usage {
            missing.extend(self.usage.ask(edits).map(str::to_owned));
        }
        insert(&missing, self.inside, self.empty, edits);
    }

    /// Whether `options` has anything for which a node loads the model anew.
    fn reloads(&self) -> bool {
        matches!(&self.options, Options::Object { runner, .. } if !runner.is_empty())
    }

    /// Writes into `options`; returns the whole of it if the body has none.
    fn write_options(
        &self,
        changes: &Changes<'_>,
        predict: Option<u64>,
        edits: &mut Edits,
    ) -> Option<String> {
        let mut missing = Vec::new();
        // Where the first member goes, so does the comma after it.
        let mut bare = false;
        if let Some(ctx) = changes.num_ctx {
            match &self.options {
                // The context's size is among them.
                Options::Object { inside, runner, .. }
                    if changes.pinned && runner.len() > usize::from(self.num_ctx.at.is_some()) =>
                {
                    runner.iter().for_each(|member| edits.push(member.clone(), ""));
                    bare = runner.iter().any(|member| member.start == *inside);
                    missing.push(member("num_ctx", ctx));
                }
                _ if self.num_ctx.at.is_some() => self.num_ctx.set(ctx, edits),
                _ => missing.push(member("num_ctx", ctx)),
            }
        }
        missing.extend(predict.map(|most| member("num_predict", most)));
        if missing.is_empty() {
            return None;
        }
        match &self.options {
            Options::Absent => return Some(format!(r#""options":{{{}}}"#, missing.join(","))),
            Options::Null(range) => edits.push(range.clone(), format!("{{{}}}", missing.join(","))),
            Options::Object { inside, empty, .. } => insert(&missing, *inside, *empty || bare, edits),
            // Refused by `check`.
            Options::Other => {}
        }
        None
    }
}

impl Number {
    /// Writes `value` where the number stands.
    fn set(&self, value: u64, edits: &mut Edits) {
        if let Some(range) = &self.at
            && self.bound() != Some(value)
        {
            edits.push(range.clone(), value.to_string());
        }
    }
}

impl Named {
    /// Writes `most` where it allows more, or asks for more. Zero stays, or is the least that bounds at all where it is
    /// an `endless_zero`.
    fn lower(&self, most: u64, endless_zero: bool, edits: &mut Edits) {
        match (self.number.bound(), self.number.value()) {
            (Some(bound), _) if bound <= most => {}
            (None, _) if self.is_partial() => {}
            (None, Some(0)) if !endless_zero => {}
            (None, Some(0)) => self.number.set(1, edits),
            _ => self.number.set(most, edits),
        }
    }

    /// Keeps the part of an answer that is for thinking below `most`, the whole of it. Where too little is left for any,
    /// `without` is written instead: a text, and where.
    fn lower_budget(&self, most: u64, without: (&Range<usize>, &'static str), edits: &mut Edits) {
        if self.number.bound().is_none_or(|budget| budget < most) {
            return;
        }
        if most > LEAST_BUDGET {
            self.number.set(most - 1, edits);
        } else {
            edits.push(without.0.clone(), without.1);
        }
    }
}

fn member(name: &str, value: u64) -> String {
    format!(r#""{name}":{value}"#)
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

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
