//! The part of a key, string, number or word that went by before the end of a segment.

use super::{
    numeral::Numeral,
    sink::{KEEP, Kind, Raw},
};

/// What was cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum What {
    #[default]
    Key,
    String,
    /// With what of it was there.
    Number(Numeral),
    /// `true`, `false` or `null`, with how many bytes of it were there.
    Word(Kind, usize),
}

/// The part of it that went by, in one segment or several.
#[derive(Debug, Default)]
pub(super) struct Cut {
    pub(super) what: What,
    /// The last byte was a backslash that escapes the next one.
    pub(super) escaped: bool,
    /// Whether the sink wants it.
    pub(super) wanted: bool,
    /// Its bytes, if so; at most [`KEEP`].
    bytes: Vec<u8>,
    /// How many there were.
    length: usize,
}

impl Cut {
    pub(super) fn begin(&mut self, what: What, wanted: bool) {
        self.what = what;
        self.escaped = false;
        self.wanted = wanted;
        self.bytes.clear();
        self.length = 0;
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        if self.wanted {
            let room = KEEP - self.bytes.len();
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
            self.length += bytes.len();
        }
    }

    pub(super) fn raw(&self) -> Raw<'_> {
        Raw { bytes: &self.bytes, cut: self.length > KEEP, length: self.length }
    }
}
