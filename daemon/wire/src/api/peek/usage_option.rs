//! `stream_options.include_usage`, and where to write it.

use std::ops::Range;

use crate::api::Edits;

/// How it stands in the body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum UsageOption {
    /// No `stream_options`.
    #[default]
    Absent,
    /// `stream_options` is null; its bytes.
    Null(Range<usize>),
    /// An object without the key; the byte after its `{`, and whether it is empty.
    Without(usize, bool),
    /// The key is there but not true; the bytes of its value.
    Off(Range<usize>),
    /// Asked for.
    On,
}

impl UsageOption {
    /// The object has a member.
    pub(super) fn member(&mut self) {
        if let Self::Without(_, empty) = self {
            *empty = false;
        }
    }

    /// Sets it to true; returns the member that the outermost object lacks for it, if any.
    pub(super) fn ask(&self, edits: &mut Edits) -> Option<&'static str> {
        match self {
            Self::On => {}
            Self::Absent => return Some(r#""stream_options":{"include_usage":true}"#),
            Self::Null(range) => edits.push(range.clone(), r#"{"include_usage":true}"#),
            Self::Without(at, empty) => {
                let comma = if *empty { "" } else { "," };
                edits.push(*at..*at, format!(r#""include_usage":true{comma}"#));
            }
            Self::Off(range) => edits.push(range.clone(), "true"),
        }
        None
    }
}
