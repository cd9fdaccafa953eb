//! Digits that are spread over several values: members of an object, items of an array, parts of a message. They are
//! read as lines of one text.

use std::{borrow::Cow, ops::Range};

use aivonx_protocol::privacy::Category;

use super::{
    Wanted,
    apart::is_mark,
    body::{Edit, Reader, Unsearchable},
    find::{Found, Hint},
    link::Link,
    marker::marker,
    row::quoted,
    text::Ruler,
};

/// Values looked at together. More are a table.
const TOGETHER: usize = 64;

/// Longest beginning or end of a string that is looked at.
const LONGEST: usize = 48;

/// Digits of the shortest and of the longest card.
const CARD: std::ops::RangeInclusive<usize> = 13..=19;

impl Reader {
    /// A number that is a member of an object.
    pub(super) fn link_number(
        &mut self,
        text: &[u8],
        (place, name): (Range<usize>, Range<usize>),
        digits: &[u8],
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        if self.chain.links.len() == TOGETHER {
            self.end_chain(text, edits)?;
        }
        self.chain.push(place, None, name, digits);
        Ok(())
    }

    /// A string, at `place`, that reads `decoded`; what is outside of `free` was replaced.
    pub(super) fn link_string(
        &mut self,
        text: &[u8],
        (place, name): (Range<usize>, Range<usize>),
        decoded: &[u8],
        (free_to, free_from): (usize, usize),
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        let (head, tail) = (&decoded[..free_to], &decoded[free_from..]);
        let near = |byte: &u8| byte.is_ascii_digit() || is_mark(*byte);
        let leading = head.iter().take(LONGEST).take_while(|byte| near(byte)).count();
        let is_whole = leading == decoded.len();
        if is_whole && !decoded.iter().any(u8::is_ascii_digit) {
            return Ok(());
        }
        if self.chain.links.len() == TOGETHER {
            self.end_chain(text, edits)?;
        }
        let glued =
            |at: usize| decoded.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
        if (is_whole || !self.chain.links.is_empty())
            && let Some(digits) = trimmed(decoded, 0..leading)
            && !glued(digits.end)
        {
            self.chain.push(place.clone(), Some(digits.clone()), name.clone(), &decoded[digits]);
        }
        if is_whole {
            return Ok(());
        }
        self.end_chain(text, edits)?;
        let trailing = tail.iter().rev().take(LONGEST).take_while(|byte| near(byte)).count();
        if let Some(digits) = trimmed(decoded, decoded.len() - trailing..decoded.len())
            && !digits.start.checked_sub(1).is_some_and(glued)
        {
            self.chain.push(place, Some(digits.clone()), name, &decoded[digits]);
        }
        Ok(())
    }

    /// Searches the values that have followed each other for cards.
    pub(super) fn end_chain(&mut self, text: &[u8], edits: &mut Vec<Edit>) -> Result<(), Unsearchable> {
        if self.chain.links.len() > 1 && self.wanted.has(Category::Card) {
            let chain = std::mem::take(&mut self.chain);
            let from = chain.edits_from;
            let mut made = Vec::new();
            // What was replaced already is no digits.
            let overlaps = |range: &Range<usize>| {
                let next = from + edits[from..].partition_point(|edit| edit.range.end <= range.start);
                edits.get(next).is_some_and(|edit| edit.range.start < range.end)
            };
            let is_edited =
                |link: &Link| overlaps(&link.place) && overlaps(&link.edit(text, 0..link.text.len()).range);
            for links in chain.links.split(is_edited).filter(|links| links.len() > 1) {
                self.search_links(text, links, &chain.text, &mut made);
            }
            for edit in made {
                let at = from + edits[from..].partition_point(|other| other.range.start < edit.range.start);
                edits.insert(at, edit);
            }
            self.chain = chain;
        }
        self.chain.clear();
        self.bounded()
    }

    fn search_links(&mut self, body: &[u8], links: &[Link], text: &[u8], made: &mut Vec<Edit>) {
        let (Some(first), Some(last)) = (links.first(), links.last()) else { return };
        let text = &text[..last.text.end];
        let digits = text[first.text.start..].iter().filter(|byte| byte.is_ascii_digit()).count();
        if digits < *CARD.start() {
            return;
        }
        // Parts of one text may be cut anywhere.
        let is_cut =
            |link: &Link| link.inside.is_some() && body[link.name.clone()] == body[first.name.clone()];
        let hint = Hint { card: CARD.contains(&digits) && links.iter().all(is_cut), ..Hint::FORMS };
        let wanted = Wanted::from([Category::Card].as_slice());
        let mut found: Vec<Found> = Vec::new();
        let mut at = first.text.start;
        while at < text.len() {
            at = match text[at] {
                b'0'..=b'9' => self.spread.find(text, at, wanted, hint, &mut found),
                _ => at + 1,
            };
        }
        let mut done = 0;
        for found in found {
            if found.start < done {
                continue;
            }
            done = found.end;
            self.findings.add(found.category);
            for link in links {
                let (start, end) = (found.start.max(link.text.start), found.end.min(link.text.end));
                if start < end {
                    made.push(link.edit(body, start - link.text.start..end - link.text.start));
                }
            }
        }
    }
}

impl Link {
    /// A marker in place of some of the digits.
    fn edit(&self, body: &[u8], part: Range<usize>) -> Edit {
        let Some(inside) = &self.inside else { return quoted(self.place.clone(), Category::Card) };
        let mut ruler = Ruler::new(&body[self.place.clone()]);
        let raw = ruler.range(inside.start + part.start..inside.start + part.end);
        let range = self.place.start + raw.start..self.place.start + raw.end;
        Edit { range, text: Cow::Borrowed(marker(Category::Card)) }
    }
}

/// From the first digit to the last in `range` of the text. None if it has none.
fn trimmed(text: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let part = &text[range.clone()];
    let first = part.iter().position(u8::is_ascii_digit)?;
    let last = part.iter().rposition(u8::is_ascii_digit)?;
    Some(range.start + first..range.start + last + 1)
}
