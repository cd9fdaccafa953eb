//! A JSON body taken apart into its texts.
//!
//! The body has been read by [`Peek`](crate::api::Peek) before, which says what is wrong with one that is not JSON;
//! here anything unexpected is simply an error. What is found is given as places of the bytes as sent.

use std::{borrow::Cow, ops::Range, sync::Arc};

use aivonx_domain::Findings;
use aivonx_protocol::privacy::{Category, PatternAction};
use serde::de::IgnoredAny;

use crate::api::{
    escape::{Skipped, skip},
    json::MAX_DEPTH,
    media::{self, Kind},
};

use super::{
    Wanted,
    find::{Found, Hint, find},
    frame::{Frame, Place},
    link::Chain,
    marker::marker,
    names::{self, Said, Says},
    numerals::Row,
    pattern::{self, Match, Patterns},
    rules::{self, Key, Zone},
    spread::Spread,
    text::{Malformed, Ruler, decode},
};

/// How deep JSON in strings of JSON is searched as JSON.
pub(super) const MAX_LEVEL: usize = 6;

/// How deep the messages of a body stand: what is in one is not read with what is in the next.
const MESSAGES: usize = 2;

/// Findings in one body. More would be a directory of people, not a prompt, and cost memory.
const MAX_FINDINGS: u64 = 1 << 18;

/// Why a body cannot be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsearchable {
    /// Tokens in place of text.
    #[error("{0} holds tokens, which cannot be searched; send text")]
    Tokens(&'static str),
    /// A document in base64 that is not plain text.
    #[error("a document in base64 cannot be searched; send its text")]
    Document,
    /// Not what JSON allows.
    #[error("the body cannot be searched: malformed JSON at byte {0}")]
    Malformed(usize),
    /// Not UTF-8.
    #[error("the body cannot be searched: it is not UTF-8")]
    Encoding,
    /// JSON in JSON in JSON.
    #[error("the body cannot be searched: JSON within strings of JSON more than {MAX_LEVEL} times")]
    Level,
    /// Too many findings.
    #[error("the body has more than {MAX_FINDINGS} findings of personal data")]
    Many,
}

/// One replacement in a text.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) text: Cow<'static, str>,
}

/// Puts the edits from `first` on in order, and no two over each other.
pub(super) fn apart(edits: &mut Vec<Edit>, first: usize) {
    let new = &mut edits[first..];
    new.sort_by_key(|edit| (edit.range.start, usize::MAX - edit.range.end));
    let mut done = 0;
    for edit in new {
        edit.range.start = edit.range.start.max(done);
        done = done.max(edit.range.end);
    }
    let mut at = 0;
    edits.retain(|edit| {
        at += 1;
        at <= first || edit.range.start < edit.range.end
    });
}

/// The text with `edits`, which are in order, made in it; nothing stays of what several of them are over.
pub(super) fn apply(text: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut kept = 0;
    for Edit { range, text: marker } in edits {
        out.extend_from_slice(text.get(kept..range.start).unwrap_or_default());
        out.extend_from_slice(marker.as_bytes());
        kept = kept.max(range.end);
    }
    out.extend_from_slice(text.get(kept..).unwrap_or_default());
    out
}

/// Searches bodies.
pub(super) struct Reader {
    pub(super) wanted: Wanted,
    /// Whether what cannot be searched is an error.
    pub(super) enforces: bool,
    pub(super) findings: Findings,
    /// The numbers last seen, if nothing else stands between them.
    pub(super) row: Row,
    /// The values with digits last seen, if nothing else stands between them.
    pub(super) chain: Chain,
    /// Patterns of the organization's own, and the first of them that refuses what was searched.
    pub(super) own: Option<Arc<Patterns>>,
    pub(super) refused: Option<Arc<str>>,
    /// What is said of the text that is looked at next, if that is JSON.
    outside: Said,
    /// Kept to be used again.
    pub(super) found: Vec<Found>,
    pub(super) spread: Spread,
    spare: Vec<Vec<u8>>,
}

impl Reader {
    pub(super) fn new(wanted: Wanted, enforces: bool) -> Self {
        Self {
            wanted,
            enforces,
            findings: Findings::default(),
            row: Row::default(),
            chain: Chain::default(),
            own: None,
            refused: None,
            outside: Said::default(),
            found: Vec::new(),
            spread: Spread::default(),
            spare: Vec::new(),
        }
    }

    /// Searches a whole JSON value; `level` 0 is the body.
    pub(super) fn json(
        &mut self,
        text: &[u8],
        level: usize,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        let outer = std::mem::replace(&mut self.chain, Chain::new(edits.len()));
        let searched = self.value(text, level, edits).and_then(|()| self.end_chain(text, edits));
        self.chain = outer;
        searched
    }

    fn value(&mut self, text: &[u8], level: usize, edits: &mut Vec<Edit>) -> Result<(), Unsearchable> {
        let mut stack: Vec<Frame> = Vec::with_capacity(16);
        let outside = std::mem::take(&mut self.outside);
        let outermost = if level == 0 { Zone::Root } else { Zone::Free };
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let top = stack.last_mut();
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b'-' | b'0'..=b'9' | b'"') {
                self.end_row(edits)?;
            }
            at = match byte {
                b' ' | b'\t' | b'\n' | b'\r' => at + 1,
                b',' => {
                    if let Some(frame) = top {
                        frame.wants_key = frame.object;
                    }
                    at + 1
                }
                b':' => at + 1,
                b'{' | b'[' => {
                    let object = *byte == b'{';
                    let (zone, key, name, said) = match top {
                        None => (outermost, Key::Other, 0..0, outside.inside(text, object)),
                        Some(frame) => {
                            let zone = rules::inside(frame.zone, frame.key, object);
                            (zone, frame.key, frame.name.clone(), frame.said.inside(text, object))
                        }
                    };
                    if stack.len() == MAX_DEPTH {
                        return Err(Unsearchable::Malformed(at));
                    }
                    stack.push(Frame {
                        object,
                        zone,
                        key,
                        name,
                        said,
                        wants_key: object,
                        text: false,
                        data: 0..0,
                    });
                    at + 1
                }
                b'}' | b']' => {
                    let inner = stack.pop().ok_or(Unsearchable::Malformed(at))?;
                    match stack.last_mut() {
                        Some(frame) if !inner.object => frame.said.pass_array(inner.said),
                        Some(frame) => frame.said.pass(),
                        None => {}
                    }
                    if level == 0 && stack.len() <= MESSAGES {
                        self.end_chain(text, edits)?;
                    }
                    at + 1
                }
                b'"' => {
                    let Skipped::Quote(after) = skip(text, at + 1) else {
                        return Err(Unsearchable::Malformed(at));
                    };
                    let raw = at + 1..after - 1;
                    match top {
                        Some(frame) if frame.wants_key => {
                            self.end_row(edits)?;
                            frame.wants_key = false;
                            frame.name = raw.clone();
                            (frame.key, frame.said.own) = self.key(text, raw, frame.zone, edits)?;
                        }
                        Some(frame) if frame.is_list() && is_digits(&text[raw.clone()]) => {
                            let mut own = Vec::new();
                            self.string(text, raw.clone(), frame.value(), level, &mut own)?;
                            frame.said.pass_text(text, &raw);
                            if own.is_empty() {
                                self.add_to_row(at..after, &text[raw], edits)?;
                            } else {
                                // Edits are in order.
                                self.end_row(edits)?;
                                edits.append(&mut own);
                            }
                        }
                        Some(frame) => {
                            self.end_row(edits)?;
                            let key = match frame.key {
                                Key::Data if frame.text => Key::Document,
                                key => key,
                            };
                            match key {
                                Key::Data => frame.data = raw.clone(),
                                Key::MediaType if media::is_text_type(&text[raw.clone()]) => {
                                    frame.text = true;
                                    self.said_text(&text[frame.data.clone()])?;
                                }
                                _ => {}
                            }
                            self.string(text, raw.clone(), Place { key, ..frame.value() }, level, edits)?;
                            frame.said.pass_text(text, &raw);
                        }
                        None => self.string(
                            text,
                            raw,
                            Place { key: Key::Other, name: 0..0, said: Said::default() },
                            level,
                            edits,
                        )?,
                    }
                    after
                }
                b'-' | b'0'..=b'9' => {
                    let more = |b: &u8| !matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                    let end = text[at..].iter().position(more).map_or(text.len(), |n| at + n);
                    if let Some(frame) = top {
                        self.number(text, at..end, frame, edits)?;
                        frame.said.pass();
                    }
                    end
                }
                b't' | b'n' => at + 4,
                b'f' => at + 5,
                _ => return Err(Unsearchable::Malformed(at)),
            };
        }
        if stack.is_empty() { Ok(()) } else { Err(Unsearchable::Malformed(text.len())) }
    }

    /// A key: what it means, and what is in it. Long mixed keys are names of things, and stay.
    fn key(
        &mut self,
        text: &[u8],
        raw: Range<usize>,
        zone: Zone,
        edits: &mut Vec<Edit>,
    ) -> Result<(Key, Says), Unsearchable> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        let slice = &text[raw.clone()];
        let (decoded, plain) = decoded(slice, raw.start, &mut buffer)?;
        let (key, says) = (rules::key(zone, decoded), names::says(decoded));
        // Where names mean something a pattern of an organization's own would change what the request is.
        let own = zone == Zone::Free && self.own.is_some();
        if decoded.len() >= 6 || own {
            let first = edits.len();
            self.categories(decoded, Hint::FORMS, edits);
            if own {
                self.own(decoded, edits);
            }
            self.bounded()?;
            place(edits, first, slice, raw.start, plain);
        }
        self.put_back(buffer);
        Ok((key, says))
    }

    /// A string value.
    fn string(
        &mut self,
        text: &[u8],
        raw: Range<usize>,
        Place { key, name, said }: Place,
        level: usize,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        if key == Key::Model {
            return Ok(());
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        let slice = &text[raw.clone()];
        let (decoded, plain) = decoded(slice, raw.start, &mut buffer)?;
        let first = edits.len();
        match key {
            // The shortest finding is "a@b.cd".
            _ if raw.len() < 6 && self.own.is_none() => {}
            // Nothing else is found in these, and text is no word of theirs.
            _ if !matches!(key, Key::Text(_)) && rules::is_word_of_the_apis(decoded) => {}
            Key::Vectors(name) if self.enforces => return Err(Unsearchable::Tokens(name)),
            // Their bytes in base64.
            Key::Ids(name)
                if self.enforces && media::decode(decoded).is_some_and(|data| data.kind() != Kind::Text) =>
            {
                return Err(Unsearchable::Tokens(name));
            }
            Key::Data | Key::Document | Key::Url | Key::Opaque => {
                self.data(decoded, key, said.hint(text, decoded), level, edits)?;
            }
            Key::Id => {
                let hint = said.hint(text, decoded);
                let hint = Hint { mixed: false, named: hint.beside, ..hint };
                self.text_or_json(decoded, hint, level, edits)?;
            }
            _ => {
                if matches!(decoded.trim_ascii_start().first(), Some(b'{' | b'[')) {
                    self.outside = said.within(text);
                }
                let assigned = said.assigned(text, &text[name.clone()], decoded);
                self.text_or_json(decoded, Hint { assigned, ..said.hint(text, decoded) }, level, edits)?;
                self.outside = Said::default();
            }
        }
        let free = match &edits[first..] {
            [] => (decoded.len(), 0),
            [one, .., last] => (one.range.start, last.range.end),
            [one] => (one.range.start, one.range.end),
        };
        place(edits, first, slice, raw.start, plain);
        let linked = match &text[name.clone()] {
            // What stands between the parts of a message.
            b"type" | b"role" if !decoded.iter().any(u8::is_ascii_digit) => Ok(()),
            _ => self.link_string(text, (raw, name), decoded, free, edits),
        };
        self.put_back(buffer);
        linked
    }

    /// A text that may itself be JSON; then it stays JSON.
    pub(super) fn text_or_json(
        &mut self,
        text: &[u8],
        hint: Hint,
        level: usize,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        if !is_json(text) {
            return self.plain(text, hint, level, edits);
        }
        if level >= MAX_LEVEL {
            return Err(Unsearchable::Level);
        }
        let (before, findings) = (edits.len(), self.findings);
        match self.json(text, level + 1, edits) {
            Err(Unsearchable::Malformed(_)) => {
                // Deeper than anything that is meant to be read.
                edits.truncate(before);
                self.findings = findings;
                self.row.clear();
                self.plain(text, hint, level, edits)
            }
            other => other,
        }
    }

    /// A text that is no JSON: perhaps a number alone, or base64 of a text.
    fn plain(
        &mut self,
        text: &[u8],
        hint: Hint,
        level: usize,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        let before = edits.len();
        self.whole(text, level, edits)?;
        if edits.len() > before {
            return Ok(());
        }
        self.text(text, hint, edits)?;
        if edits.len() > before {
            return Ok(());
        }
        if let Some(category) = self.worth(text.trim_ascii(), hint) {
            edits.push(Edit { range: 0..text.len(), text: Cow::Borrowed(marker(category)) });
        }
        self.bounded()
    }

    /// Text, as a person reads it.
    pub(super) fn text(
        &mut self,
        text: &[u8],
        hint: Hint,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Unsearchable> {
        self.categories(text, hint, edits);
        self.own(text, edits);
        self.bounded()
    }

    /// What is of the wanted categories.
    fn categories(&mut self, text: &[u8], hint: Hint, edits: &mut Vec<Edit>) {
        self.found.clear();
        find(text, self.wanted, hint, &mut self.found);
        for found in &self.found {
            self.findings.add(found.category);
            edits.push(Edit { range: found.start..found.end, text: Cow::Borrowed(marker(found.category)) });
        }
    }

    /// What matches patterns of the organization's own.
    pub(super) fn own(&mut self, text: &[u8], edits: &mut Vec<Edit>) {
        let Some(own) = self.own.clone() else { return };
        let first = edits.len();
        for Match { start, end, pattern } in pattern::find(&own, text) {
            self.findings.add(Category::Pattern);
            match pattern.action {
                PatternAction::Detect => {}
                PatternAction::Redact => {
                    edits.push(Edit { range: start..end, text: Cow::Owned(pattern.marker.to_string()) });
                }
                PatternAction::Refuse => {
                    self.refused.get_or_insert_with(|| pattern.name.clone());
                }
            }
        }
        apart(edits, first);
    }

    /// Whether there are not too many findings.
    pub(super) fn bounded(&self) -> Result<(), Unsearchable> {
        if self.findings.total() > MAX_FINDINGS { Err(Unsearchable::Many) } else { Ok(()) }
    }

    fn put_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare.push(buffer);
    }
}

/// What `raw` reads as, and whether that is the bytes themselves.
fn decoded<'a>(raw: &'a [u8], at: usize, buffer: &'a mut Vec<u8>) -> Result<(&'a [u8], bool), Unsearchable> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Ok((raw, true));
    }
    decode(raw, buffer).map_err(|Malformed| Unsearchable::Malformed(at))?;
    Ok((buffer, false))
}

/// Moves the edits from `first` on, which are places of a decoded string, to where that stands raw. `plain`: it has no
/// escapes.
fn place(edits: &mut [Edit], first: usize, raw: &[u8], at: usize, plain: bool) {
    let mut ruler = Ruler::new(raw);
    for edit in &mut edits[first..] {
        if !plain {
            edit.range = ruler.range(edit.range.clone());
        }
        edit.range = at + edit.range.start..at + edit.range.end;
        if edit.text.contains(['"', '\\']) {
            edit.text = Cow::Owned(edit.text.replace('\\', "\\\\").replace('"', "\\\""));
        }
    }
}

/// Whether a string is digits alone, as many as a card has at most.
fn is_digits(raw: &[u8]) -> bool {
    (1..=19).contains(&raw.len()) && raw.iter().all(u8::is_ascii_digit)
}

/// Whether a text is an object or array of JSON, exactly as RFC 8259 has it. What is only like it is text: what of it a
/// lenient reader would read otherwise, a person reads as it stands.
fn is_json(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    matches!((text.first(), text.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
        && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}
