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

use std::{borrow::Cow, ops::Range};

use aivonx_domain::Findings;
use aivonx_protocol::privacy::AnswerMode;
use bytes::Bytes;

use self::{event::Object, stream::Streamed};
use super::{
    Privacy,
    body::{Edit, Reader, apply},
    find::Hint,
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
        }
    }
}

/// Screens one answer.
#[derive(Debug)]
pub struct Screen {
    privacy: Privacy,
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
    pub fn new(privacy: Privacy, stream: Option<Stream>) -> Self {
        let redacts = privacy.answers == AnswerMode::Redact;
        let shape = stream.map_or(Shape::Whole(Vec::new()), |framing| {
            Shape::Stream(Streamed::new(privacy.wanted, redacts, framing))
        });
        Self { privacy, shape, findings: Findings::default() }
    }

    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> Findings {
        self.findings
    }

    fn redacts(&self) -> bool {
        self.privacy.answers == AnswerMode::Redact
    }

    /// Takes a piece of the answer, and puts what need not wait into `out`.
    ///
    /// # Errors
    /// The answer must end; never with `detect`.
    pub fn pass(&mut self, piece: Bytes, out: &mut Pieces) -> Result<(), Stopped> {
        let redacts = self.redacts();
        let passed = match &mut self.shape {
            Shape::Whole(kept) if kept.len() + piece.len() > LONGEST => {
                kept.clear();
                Err(Stopped::Unsearchable)
            }
            Shape::Whole(kept) => {
                kept.extend_from_slice(&piece);
                Ok(())
            }
            Shape::Stream(stream) => stream.pass(&piece, &mut self.findings, out),
        };
        if redacts {
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
        let redacts = self.redacts();
        let finished = match &mut self.shape {
            Shape::Whole(kept) => {
                let kept = std::mem::take(kept);
                match search(&kept, self.privacy, &mut self.findings) {
                    Ok(edits) if redacts => {
                        out.push(if edits.is_empty() { kept.into() } else { apply(&kept, &edits).into() });
                        Ok(())
                    }
                    searched => searched.map(drop),
                }
            }
            Shape::Stream(stream) => stream.finish(&mut self.findings, out),
        };
        if redacts { finished } else { Ok(()) }
    }
}

/// What must be replaced in an answer in one piece.
fn search(text: &[u8], privacy: Privacy, findings: &mut Findings) -> Result<Vec<Edit>, Stopped> {
    let Ok(object) = Object::whole(text) else {
        let text = std::str::from_utf8(text).map_err(|_| Stopped::Unsearchable)?;
        return plain(text.as_bytes(), privacy, findings);
    };
    let mut edits = rest(&object, privacy, findings)?;
    if findings.total() > 0 {
        edits.extend(object.echoes.into_iter().map(|echo| silenced(text, echo)));
        edits.sort_by_key(|edit| edit.range.start);
    }
    Ok(edits)
}

/// What must be replaced in a text that is no JSON.
fn plain(text: &[u8], privacy: Privacy, findings: &mut Findings) -> Result<Vec<Edit>, Stopped> {
    let (mut reader, mut edits) = (Reader::new(privacy.wanted, false), Vec::new());
    reader.text(text, Hint::default(), &mut edits).map_err(|_| Stopped::Unsearchable)?;
    findings.join(&reader.findings);
    Ok(edits)
}

/// What must be replaced in the texts of an object that do not go on.
fn rest(object: &Object, privacy: Privacy, findings: &mut Findings) -> Result<Vec<Edit>, Stopped> {
    let (mut reader, mut edits) = (Reader::new(privacy.wanted, false), Vec::new());
    reader.json(&object.rest, 0, &mut edits).map_err(|_| Stopped::Unsearchable)?;
    findings.join(&reader.findings);
    Ok(edits)
}

/// Takes out a value that repeats what was found.
fn silenced(text: &[u8], echo: Range<usize>) -> Edit {
    let empty = if text.get(echo.start) == Some(&b'[') { "[]" } else { "null" };
    Edit { range: echo, text: Cow::Borrowed(empty) }
}
