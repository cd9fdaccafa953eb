//! Governed numbers.

use std::ops::Range;

use bytes::Bytes;

use super::PeekError;
use crate::api::json::Kind;

/// Longest number read. None that a node takes for an integer is longer.
const LONGEST: usize = 40;

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
    /// A number, not read yet.
    Unread,
    /// Its whole part; beyond an i64 the nearest of them.
    Whole(i64),
    /// Something else.
    Wrong,
}

impl Number {
    pub(super) fn at(kind: Kind, range: Range<usize>) -> Self {
        let given = match kind {
            Kind::Number => Given::Unread,
            Kind::Null => Given::Nothing,
            _ => Given::Wrong,
        };
        Self { at: Some(range), given }
    }

    /// Reads the value out of the body.
    pub(super) fn read(&mut self, segments: &[Bytes]) {
        let (Given::Unread, Some(range)) = (self.given, &self.at) else { return };
        self.given = whole(segments, range).map_or(Given::Wrong, Given::Whole);
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

/// The whole part of the number in `range`, as nodes cut it.
fn whole(segments: &[Bytes], range: &Range<usize>) -> Option<i64> {
    let mut text = [0_u8; LONGEST];
    let text = text.get_mut(..range.len())?;
    let mut start = 0;
    let mut filled = 0;
    for segment in segments {
        let end = start + segment.len();
        let from = range.start.clamp(start, end) - start;
        let to = range.end.clamp(start, end) - start;
        text[filled..filled + to - from].copy_from_slice(&segment[from..to]);
        filled += to - from;
        start = end;
        if filled == text.len() {
            break;
        }
    }
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(value) = text.parse::<i64>() {
        return Some(value);
    }
    let value: f64 = text.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "saturates, which is what a bound wants")]
    Some(value as i64)
}
