//! Changes to a request body: some of its bytes are replaced, all others go out as they came.

use std::ops::Range;

use bytes::Bytes;

/// Replacements of byte ranges of one body, all counted in the body as the client sent it. Ranges must not cross; of
/// one within another the outer alone is carried out. What is inserted at one place (an empty range) stands in the
/// order it was pushed.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    list: Vec<(Range<usize>, Bytes)>,
}

impl Edits {
    /// Puts `text` where the bytes of `range` are.
    pub fn push(&mut self, range: Range<usize>, text: impl Into<Bytes>) {
        self.list.push((range, text.into()));
    }

    /// Adds those of `other`.
    pub fn append(&mut self, mut other: Self) {
        if self.list.is_empty() {
            *self = other;
        } else {
            self.list.append(&mut other.list);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Bytes of memory they take.
    #[must_use]
    pub fn memory(&self) -> u64 {
        (self.list.capacity() * size_of::<(Range<usize>, Bytes)>()) as u64
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The body with the changes made. Bytes that stay are not copied.
    #[must_use]
    pub fn apply(&self, segments: &[Bytes]) -> Vec<Bytes> {
        let mut out = Vec::with_capacity(segments.len() + 2 * self.list.len());
        self.pieces(&Self::default(), segments, |piece| out.push(piece));
        out
    }

    /// Hands out the pieces of the body with the changes made, and those of `others`.
    pub fn pieces(&self, others: &Self, segments: &[Bytes], mut out: impl FnMut(Bytes)) {
        let mut edits: Vec<_> = self.list.iter().chain(&others.list).collect();
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut edits = edits.into_iter().peekable();
        let mut start = 0;
        // What is left of the range that is being left out.
        let mut skip = 0;
        for segment in segments {
            let end = start + segment.len();
            let mut at = start.max(skip).min(end);
            while let Some((range, text)) = edits.next_if(|(range, _)| range.start < end) {
                if range.start < skip {
                    // It was about bytes that have been replaced whole.
                    continue;
                }
                keep(&mut out, segment, at - start, range.start - start);
                keep(&mut out, text, 0, text.len());
                skip = range.end;
                at = skip.clamp(range.start, end);
            }
            keep(&mut out, segment, at - start, segment.len());
            start = end;
        }
        // What is appended.
        edits.map(|(_, text)| text.clone()).filter(|text| !text.is_empty()).for_each(out);
    }
}

fn keep(out: &mut impl FnMut(Bytes), from: &Bytes, start: usize, end: usize) {
    if start < end {
        out(from.slice(start..end));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::Edits;

    proptest! {
        #[test]
        fn only_what_is_named_changes_however_the_body_is_cut(
            body in prop::collection::vec(any::<u8>(), 0..60),
            cuts in prop::collection::vec(0usize..60, 0..5),
            marks in prop::collection::vec((0usize..8, 0usize..8, prop::collection::vec(any::<u8>(), 0..4)), 0..6),
            backwards: bool,
        ) {
            let mut wanted = Vec::new();
            let mut list = Vec::new();
            let mut at = 0;
            for (gap, length, text) in marks {
                let from = (at + gap).min(body.len());
                let to = (from + length).min(body.len());
                if list.last().is_some_and(|(range, _): &(std::ops::Range<usize>, _)| range.start == from) {
                    continue;
                }
                wanted.extend_from_slice(&body[at..from]);
                wanted.extend_from_slice(&text);
                list.push((from..to, text));
                at = to;
            }
            wanted.extend_from_slice(&body[at..]);
            if backwards {
                list.reverse();
            }
            let mut edits = Edits::default();
            for (range, text) in list {
                edits.push(range, text);
            }
            let whole = Bytes::from(body);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let segments: Vec<_> = cuts.windows(2).map(|pair| whole.slice(pair[0]..pair[1])).collect();
            prop_assert_eq!(edits.apply(&segments).concat(), wanted);
        }
    }

    #[test]
    fn what_is_replaced_whole_is_not_changed_inside() {
        let body = Bytes::from_static(br#"{"keep_alive":"bob@example.com","n":1}"#);
        let mut edits = Edits::default();
        edits.push(15..30, "[REDACTED_EMAIL]");
        edits.push(14..31, "-1");
        for cut in 0..=body.len() {
            let segments = [body.slice(..cut), body.slice(cut..)];
            assert_eq!(edits.apply(&segments).concat(), br#"{"keep_alive":-1,"n":1}"#, "cut at {cut}");
        }
    }

    #[test]
    fn insertions_at_one_place_keep_their_order() {
        let mut edits = Edits::default();
        edits.push(1..1, "a");
        edits.push(1..1, "b");
        edits.push(2..2, "c");
        assert_eq!(edits.apply(&[Bytes::from_static(b"[]")]).concat(), b"[ab]c");
    }
}
