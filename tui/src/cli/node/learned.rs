//! What was learned of a node.

use aivonx_protocol::{
    node::{Node, NodeTraits, NodeWake},
    strategy::{Learned, LearnedModel},
};
use serde::Serialize;

use super::wake::ShownWake;
use crate::{
    exit::Failure,
    render::{
        Cell, Column, Out, Table,
        text::{count, latency},
    },
};

/// A node, and what was learned of it.
#[derive(Debug, Serialize)]
pub struct Described {
    /// The node.
    #[serde(flatten)]
    pub node: Node,
    /// What was learned of it.
    pub learned: Learned,
    /// Whether it is a third party's.
    pub third_party: bool,
    /// Most models it holds in memory at once, if that was said.
    pub models_at_once: Option<u32>,
    /// How it is woken, if it may sleep.
    pub wake: Option<ShownWake>,
}

impl Described {
    pub(super) fn new(node: Node, learned: Learned, traits: &[NodeTraits], wakes: Vec<NodeWake>) -> Self {
        let said = traits.iter().find(|one| one.node == node.id);
        let models_at_once = said.and_then(|said| said.models_at_once);
        let wake = wakes.into_iter().find(|one| one.node == node.id).map(ShownWake::from);
        let third_party = said.is_some_and(|said| said.third_party);
        Self { node, learned, third_party, models_at_once, wake }
    }
}

/// Writes what was learned.
///
/// # Errors
/// [`Failure::Output`].
pub(super) fn show(out: &mut Out, learned: &Learned) -> Result<(), Failure> {
    out.line("")?;
    out.table(&about(learned))?;
    if learned.models.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.table(&speeds(&learned.models))
}

fn about(learned: &Learned) -> Table {
    const UNKNOWN: &str = "not known yet";
    let known = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    let mut table = Table::pairs();
    let from = if learned.parallel_stated { "stated" } else { "learned" };
    table.pair("requests at once", known(learned.parallel.map(|most| format!("{most} ({from})"))));
    let more = if learned.models_at_most { "more did not fit" } else { "more was not seen" };
    table.pair("models in memory", known(learned.models_at_once.map(|most| format!("{most} ({more})"))));
    table.pair(
        "keeps cached",
        known(learned.cached_tokens.map(|tokens| format!("{} tokens of prompts", count(tokens)))),
    );
    let prompts = |one_by_one| if one_by_one { "one after the other" } else { "at the same time" };
    table.pair("reads prompts", learned.one_by_one.map_or(UNKNOWN, prompts));
    table
}

fn speeds(models: &[LearnedModel]) -> Table {
    let mut table = Table::new([
        Column::text("LEARNED OF").cut(12),
        Column::number("LOADS IN"),
        Column::number("PROMPT TOK/S"),
        Column::number("OUTPUT TOK/S"),
    ]);
    let speed = |speed: Option<f64>| Cell::optional(speed.map(|speed| format!("{speed:.1}")));
    for one in models {
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let load = one.load_ms.map(|ms| latency(ms as f64));
        table.row([
            (&one.model).into(),
            Cell::optional(load),
            speed(one.prefill_per_second),
            speed(one.decode_per_second),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_says_so() {
        let mut learned = Learned {
            parallel: None,
            parallel_stated: false,
            models_at_once: None,
            models_at_most: false,
            cached_tokens: None,
            one_by_one: None,
            models: vec![LearnedModel {
                model: crate::samples::HOSTILE.into(),
                load_ms: Some(8000),
                prefill_per_second: Some(4000.0),
                decode_per_second: None,
            }],
        };
        assert_eq!(about(&learned).render(None, false).matches("not known yet").count(), 4);
        (learned.parallel, learned.parallel_stated, learned.one_by_one) = (Some(4), true, Some(true));
        (learned.models_at_once, learned.models_at_most) = (Some(3), true);
        let text = about(&learned).render(None, false);
        for part in ["4 (stated)", "3 (more did not fit)", "one after the other"] {
            assert!(text.contains(part), "{text}");
        }
        let speeds = speeds(&learned.models).render(None, false);
        assert!(speeds.contains("4000.0") && !speeds.contains('\u{1b}'), "{speeds}");
    }
}
