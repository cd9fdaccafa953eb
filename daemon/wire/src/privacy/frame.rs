//! Objects and arrays that are open while a body is read.

use std::ops::Range;

use super::{
    names::Said,
    rules::{Key, Zone},
};

/// An open object or array.
pub(super) struct Frame {
    pub(super) object: bool,
    pub(super) zone: Zone,
    /// Of an array: the key it stands under. Of an object: that of the member at hand.
    pub(super) key: Key,
    /// Where the key's name is, between its quotes.
    pub(super) name: Range<usize>,
    /// What is said of the value at hand.
    pub(super) said: Said,
    /// Whether a key comes next.
    pub(super) wants_key: bool,
    /// Whether it says that the data in it is text.
    pub(super) text: bool,
    /// Where data in it is, between its quotes.
    pub(super) data: Range<usize>,
}

/// Where a string stands, and what that says of it.
pub(super) struct Place {
    pub(super) key: Key,
    pub(super) name: Range<usize>,
    pub(super) said: Said,
}

impl Frame {
    /// Where the value at hand stands.
    pub(super) fn value(&self) -> Place {
        Place { key: self.key, name: self.name.clone(), said: self.said }
    }

    /// Whether it is an array whose numbers are looked at together.
    pub(super) fn is_list(&self) -> bool {
        !self.object && !matches!(self.zone, Zone::Root | Zone::Tokens(_)) && !self.is_parameter()
    }

    /// Whether its numbers are parameters.
    pub(super) fn is_parameter(&self) -> bool {
        matches!(self.key, Key::Parameter | Key::Seed)
    }
}
