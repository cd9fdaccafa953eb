//! Values with digits that may belong together, while a body is read.

use std::ops::Range;

/// Values with digits, nothing else between them.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) links: Vec<Link>,
    /// Their texts.
    pub(super) text: Vec<u8>,
    /// Edits before belong to what it stands in.
    pub(super) edits_from: usize,
}

/// The digits of a value, with what separates them.
#[derive(Debug)]
pub(super) struct Link {
    /// Where the value stands.
    pub(super) place: Range<usize>,
    /// Where they are in a string as it is decoded. None: it is a number.
    pub(super) inside: Option<Range<usize>>,
    /// The name it stands under.
    pub(super) name: Range<usize>,
    /// Where they are in the text of all.
    pub(super) text: Range<usize>,
}

impl Chain {
    /// A chain within a value of which no edits are there yet but the first `edits_from`, which are not of it.
    pub(super) fn new(edits_from: usize) -> Self {
        Self { edits_from, ..Self::default() }
    }

    pub(super) fn push(
        &mut self,
        place: Range<usize>,
        inside: Option<Range<usize>>,
        name: Range<usize>,
        digits: &[u8],
    ) {
        let from = self.text.len();
        self.text.extend_from_slice(digits);
        self.links.push(Link { place, inside, name, text: from..self.text.len() });
        self.text.push(b'\n');
    }

    pub(super) fn clear(&mut self) {
        self.links.clear();
        self.text.clear();
    }
}
