//! Governed numbers.

use std::ops::Range;

use super::PeekError;
use crate::api::json::{Kind, Raw};

/// Longest number read. None that a node takes for an integer is longer.
const LONGEST: usize = 40;

/// So many digits always fit an i64.
const SURE: usize = 18;

/// A governed number as it stands in the body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Number {
    /// Where its value stands; None if the key is absent.
    pub(super) at: Option<Range<usize>>,
    given: Given,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Given {
    /// Absent or null.
    #[default]
    Nothing,
    /// Its whole part; beyond an i64 the nearest of them.
    Whole(i64),
    /// Something else.
    Wrong,
}

impl Number {
    /// A value of `kind` at `range`, with its bytes if it is a number.
    pub(super) fn read(kind: Kind, range: Range<usize>, raw: Option<Raw<'_>>) -> Self {
        let given = match (kind, raw) {
            (Kind::Number, Some(raw)) => whole(raw).map_or(Given::Wrong, Given::Whole),
            (Kind::Null, _) => Given::Nothing,
            _ => Given::Wrong,
        };
        Self { at: Some(range), given }
    }

    /// The number; None if it is absent or null.
    pub(super) fn value(&self) -> Option<i64> {
        if let Given::Whole(value) = self.given { Some(value) } else { None }
    }

    /// The number, if it bounds anything: nodes take zero and less as no bound.
    pub(super) fn bound(&self) -> Option<u64> {
        self.value().and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0)
    }

    /// # Errors
    /// [`PeekError::Type`] if it is no number.
    pub(super) fn check(&self, name: &'static str) -> Result<(), PeekError> {
        if self.given == Given::Wrong { Err(PeekError::Type(name, "a number")) } else { Ok(()) }
    }
}

/// A number that bounds what is asked for, by the name it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// As the client knows it: `max_tokens`, `options.num_predict`.
    pub(super) name: &'static str,
    pub(super) number: Number,
}

impl Named {
    /// Whether an answer may be longer than it says: it bounds from below, or a part of the answer.
    pub(super) fn is_partial(&self) -> bool {
        matches!(self.name, "min_tokens" | "min_new_tokens" | "min_length") || self.is_budget()
    }

    /// Whether it bounds the part of an answer that is for thinking.
    pub(super) fn is_budget(&self) -> bool {
        self.is_budget_of_thinking() || self.name == "reasoning.max_tokens"
    }

    /// Whether it does so in Anthropic's way.
    pub(super) fn is_budget_of_thinking(&self) -> bool {
        self.name == "thinking.budget_tokens"
    }

    /// Whether it says how many answers are made, of which only the best come back.
    pub(super) fn is_search(&self) -> bool {
        matches!(self.name, "best_of" | "num_beams" | "beam_width")
    }
}

/// The whole part of a number, as nodes cut it.
fn whole(raw: Raw<'_>) -> Option<i64> {
    if raw.length > LONGEST {
        return None;
    }
    if raw.length <= SURE && raw.bytes.iter().all(u8::is_ascii_digit) {
        return Some(raw.bytes.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')));
    }
    let text = std::str::from_utf8(raw.bytes).ok()?;
    if let Ok(value) = text.parse::<i64>() {
        return Some(value);
    }
    let value: f64 = text.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "saturates, which is what a bound wants")]
    Some(value as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LONGEST, whole};
    use crate::api::json::Raw;

    proptest! {
        #[test]
        fn numbers_are_read_as_by_the_library(
            text in prop_oneof!["[0-9]{1,20}", "-?[0-9]{1,45}", "[0-9.eE+-]{1,45}"]
        ) {
            let plain = text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|value| value as i64));
            let raw = Raw { bytes: text.as_bytes(), cut: false, length: text.len() };
            prop_assert_eq!(whole(raw), plain.filter(|_| text.len() <= LONGEST));
        }
    }
}
