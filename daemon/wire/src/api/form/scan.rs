//! Looking for bytes in a body that lies in several pieces, without joining them.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

/// A body in pieces.
pub(super) struct Scan<'a> {
    segments: &'a [Bytes],
}

impl<'a> Scan<'a> {
    pub(super) fn new(segments: &'a [Bytes]) -> Self {
        Self { segments }
    }

    /// Each piece, with where it begins.
    fn each(&self) -> impl Iterator<Item = (usize, &'a Bytes)> {
        self.segments.iter().scan(0, |at, segment| {
            let begin = *at;
            *at += segment.len();
            Some((begin, segment))
        })
    }

    /// Where `needle` is first found at `from` or behind it.
    pub(super) fn find(&self, needle: &[u8], from: usize) -> Option<usize> {
        let finder = memmem::Finder::new(needle);
        self.each().find_map(|(begin, segment)| {
            let end = begin + segment.len();
            if end <= from {
                return None;
            }
            let inside = from.saturating_sub(begin);
            finder.find(&segment[inside..]).map(|at| begin + inside + at).or_else(|| {
                // It may begin in this piece and end in a later one.
                let near = from.max(end.saturating_sub(needle.len() - 1));
                let over = self.copy(near..end + needle.len() - 1);
                finder.find(&over).map(|at| near + at)
            })
        })
    }

    /// The pieces of a range, as far as there are bytes.
    pub(super) fn slice(&self, range: Range<usize>) -> Vec<Bytes> {
        let within = |(begin, segment): (usize, &Bytes)| {
            let from = range.start.saturating_sub(begin).min(segment.len());
            let to = range.end.saturating_sub(begin).min(segment.len());
            (from < to).then(|| segment.slice(from..to))
        };
        self.each().filter_map(within).collect()
    }

    /// The bytes of a range, as far as there are any.
    pub(super) fn copy(&self, range: Range<usize>) -> Vec<u8> {
        self.slice(range).concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            text in "[ab]{0,40}",
            needle in "[ab]{1,4}",
            cuts in prop::collection::vec(0_usize..8, 0..12),
            from in 0_usize..40,
        ) {
            let mut rest = Bytes::from(text.clone());
            let mut segments = Vec::new();
            for cut in cuts {
                segments.push(rest.split_to(cut.min(rest.len())));
            }
            segments.push(rest);
            let scan = Scan::new(&segments);
            let whole = text.get(from..).and_then(|rest| rest.find(&needle)).map(|at| from + at);
            prop_assert_eq!(scan.find(needle.as_bytes(), from), whole);
            let end = (from + 5).min(text.len());
            let part = text.get(from..end).unwrap_or_default();
            prop_assert_eq!(scan.copy(from..end.max(from)), part.as_bytes());
        }
    }
}
