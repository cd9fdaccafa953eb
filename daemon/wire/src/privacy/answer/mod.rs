//! Personal data and credentials in answers: found, counted and replaced, before a client sees them.
//!
//! A stream is taken apart into its objects, and those into the texts that they go on with ([`event`]). What of a text
//! may yet become a finding waits ([`hold`]), and the objects that carry it with it; all others go out byte for byte as
//! they came. An object is written anew only where something was found in it, or where much of it need not wait for the
//! rest. What cannot be searched, or would have to wait too long, ends the answer.

mod event;
mod frames;
mod hold;
mod stream;
#[cfg(test)]
mod tests;
mod text;

use std::{borrow::Cow, ops::Range, sync::Arc};

use aivonx_domain::Findings;
use aivonx_protocol::privacy::AnswerMode;
use bytes::Bytes;

use self::{
    event::{Malformed, Object},
    frames::BOM,
    stream::Streamed,
};
use super::{
    Screening, Wanted,
    body::{Edit, Reader, Unsearchable, apart, apply},
    find::Hint,
    pattern::{self, Patterns},
};
use crate::api::{Pieces, route::Stream};

/// Longest answer in one piece, and longest object of a stream: it is kept until it is whole.
const LONGEST: usize = 16 << 20;

/// Why an answer ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// What may become a finding goes on and on.
    Held,
    /// It is no JSON, or too long to be searched.
    Unsearchable,
    /// A pattern of the organization's own refuses it.
    Refused,
}

impl Stopped {
    /// What the client and the log are to know. It says nothing of the text.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Held => {
                "the answer was stopped: more than 4096 bytes of it may be personal data or a credential"
            }
            Self::Unsearchable => "the answer was stopped: it cannot be searched for personal data",
            Self::Refused => "the answer was stopped: it contains what a pattern of the organization refuses",
        }
    }
}

/// What is looked for in an answer.
#[derive(Debug)]
struct Rules {
    wanted: Wanted,
    /// What is wanted is replaced.
    replaces: bool,
    own: Option<Arc<Patterns>>,
}

impl Rules {
    fn of(Screening { privacy, own }: &Screening) -> Self {
        let wanted = if privacy.answers == AnswerMode::Off { Wanted::NONE } else { privacy.wanted };
        Self { wanted, replaces: privacy.answers == AnswerMode::Redact, own: own.clone() }
    }

    /// Whether anything may have to be kept from the client.
    fn holds(&self) -> bool {
        self.replaces || self.own.as_deref().is_some_and(pattern::act)
    }

    /// What must be replaced in what `read` reads.
    fn search(
        &self,
        findings: &mut Findings,
        mut read: impl FnMut(&mut Reader, &mut Vec<Edit>) -> Result<(), Unsearchable>,
    ) -> Result<Vec<Edit>, Stopped> {
        let mut edits = Vec::new();
        if self.wanted != Wanted::NONE {
            let mut reader = Reader::new(self.wanted, false);
            read(&mut reader, &mut edits).map_err(|_| Stopped::Unsearchable)?;
            findings.join(&reader.findings);
            if !self.replaces {
                edits.clear();
            }
        }
        if self.own.is_some() {
            let mut reader = Reader::new(Wanted::NONE, false);
            reader.own.clone_from(&self.own);
            let mut more = Vec::new();
            read(&mut reader, &mut more).map_err(|_| Stopped::Unsearchable)?;
            findings.join(&reader.findings);
            if reader.refused.is_some() {
                return Err(Stopped::Refused);
            }
            edits.append(&mut more);
            apart(&mut edits, 0);
        }
        Ok(edits)
    }
}

/// Screens one answer.
#[derive(Debug)]
pub struct Screen {
    rules: Rules,
    shape: Shape,
    findings: Findings,
}

#[derive(Debug)]
enum Shape {
    Stream(Streamed),
    /// What came of an answer in one piece.
    Whole(Vec<u8>),
}

impl Screen {
    /// For an answer in the framing of `stream`; None is one object.
    #[must_use]
    pub fn new(screening: &Screening, stream: Option<Stream>) -> Self {
        let rules = Rules::of(screening);
        let whole = Shape::Whole(Vec::new());
        let shape = stream.map_or(whole, |framing| Shape::Stream(Streamed::new(framing)));
        Self { rules, shape, findings: Findings::default() }
    }

    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> Findings {
        self.findings
    }

    /// Whether all of the answer is kept until it is whole.
    #[must_use]
    pub fn keeps_all(&self) -> bool {
        self.rules.holds() && matches!(self.shape, Shape::Whole(_))
    }

    /// Takes a piece of the answer, and puts what need not wait into `out`.
    ///
    /// # Errors
    /// The answer must end; never with `detect`.
    pub fn pass(&mut self, piece: Bytes, out: &mut Pieces) -> Result<(), Stopped> {
        let holds = self.rules.holds();
        let passed = match &mut self.shape {
            Shape::Whole(kept) if kept.len() + piece.len() > LONGEST => {
                kept.clear();
                Err(Stopped::Unsearchable)
            }
            Shape::Whole(kept) => {
                kept.extend_from_slice(&piece);
                Ok(())
            }
            Shape::Stream(stream) => stream.pass(&piece, &self.rules, &mut self.findings, out),
        };
        if holds {
            return passed;
        }
        out.push(piece);
        Ok(())
    }

    /// The answer is over: what waited goes out.
    ///
    /// # Errors
    /// As [`Self::pass`].
    pub fn finish(&mut self, out: &mut Pieces) -> Result<(), Stopped> {
        let holds = self.rules.holds();
        let finished = match &mut self.shape {
            Shape::Whole(kept) => {
                let mut kept = std::mem::take(kept);
                if kept.starts_with(BOM) {
                    kept.drain(..BOM.len());
                }
                match search(&kept, &self.rules, &mut self.findings) {
                    Ok(edits) if holds => {
                        out.push(if edits.is_empty() { kept.into() } else { apply(&kept, &edits).into() });
                        Ok(())
                    }
                    searched => searched.map(drop),
                }
            }
            Shape::Stream(stream) => stream.finish(&self.rules, &mut self.findings, out),
        };
        if holds { finished } else { Ok(()) }
    }
}

/// What must be replaced in an answer in one piece.
fn search(text: &[u8], rules: &Rules, findings: &mut Findings) -> Result<Vec<Edit>, Stopped> {
    // A number or word alone is text.
    let read = match text.trim_ascii_start() {
        [b'{' | b'[' | b'"', ..] => Object::whole(text),
        _ => Err(Malformed::Syntax),
    };
    let object = match read {
        Ok(object) => object,
        Err(Malformed::Large) => return Err(Stopped::Unsearchable),
        Err(Malformed::Syntax) => {
            let text = std::str::from_utf8(text).map_err(|_| Stopped::Unsearchable)?;
            return plain(text.as_bytes(), rules, findings);
        }
    };
    let mut edits = rest(&object, rules, findings)?;
    if findings.total() > 0 {
        edits.extend(object.echoes.into_iter().map(|echo| silenced(text, echo)));
        edits.sort_by_key(|edit| edit.range.start);
    }
    Ok(edits)
}

/// What must be replaced in a text that is no JSON.
fn plain(text: &[u8], rules: &Rules, findings: &mut Findings) -> Result<Vec<Edit>, Stopped> {
    rules.search(findings, |reader, edits| reader.text(text, Hint::default(), edits))
}

/// What must be replaced in the texts of an object that do not go on.
fn rest(object: &Object, rules: &Rules, findings: &mut Findings) -> Result<Vec<Edit>, Stopped> {
    rules.search(findings, |reader, edits| reader.json(&object.rest, 0, edits))
}

/// Takes out a value that repeats what was found.
fn silenced(text: &[u8], echo: Range<usize>) -> Edit {
    let empty = if text.get(echo.start) == Some(&b'[') { "[]" } else { "null" };
    Edit { range: echo, text: Cow::Borrowed(empty) }
}
