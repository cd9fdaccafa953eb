//! One text of an answer, piece by piece: what of it is judged, and what was found there.

use std::borrow::Cow;

use aivonx_domain::Findings;

use super::{
    super::{
        Wanted,
        find::{Found, Hint, find},
        marker::marker,
    },
    hold::settled,
};

/// Longest run that is held because it may become a finding.
pub(super) const LONGEST: usize = 4 << 10;

/// What is kept of a text that is judged: words before a finding say what it is.
const KEPT: usize = 512;

/// A text held more than [`LONGEST`] that may become a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// A text. All places are counted from its beginning.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// From `from` on.
    kept: Vec<u8>,
    from: usize,
    judged: usize,
    /// In what is judged; those that no event that waits has are forgotten.
    found: Vec<Mark>,
    /// JSON whose strings alone may hold a marker, and how far its quotes were followed.
    json: bool,
    followed: usize,
    in_string: bool,
    escaped: bool,
}

/// A finding, and whether its marker needs quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) found: Found,
    pub(super) quoted: bool,
}

impl Mark {
    /// What stands in its place in a string of JSON.
    pub(super) fn marker(self) -> Cow<'static, str> {
        let marker = marker(self.found.category);
        if self.quoted { format!("\\\"{marker}\\\"").into() } else { marker.into() }
    }
}

impl Text {
    pub(super) fn new(json: bool) -> Self {
        Self { json, ..Self::default() }
    }

    /// Appends a piece. Returns where it begins.
    pub(super) fn push(&mut self, piece: &[u8]) -> usize {
        let at = self.end();
        self.kept.extend_from_slice(piece);
        at
    }

    /// Where it ends, as far as it has come.
    pub(super) fn end(&self) -> usize {
        self.from + self.kept.len()
    }

    /// How far it is judged.
    pub(super) fn judged(&self) -> usize {
        self.judged
    }

    /// What was found in a range.
    pub(super) fn marks(&self, start: usize, end: usize) -> impl Iterator<Item = Mark> + '_ {
        let within = move |mark: &&Mark| mark.found.start < end && mark.found.end > start;
        self.found.iter().filter(within).copied()
    }

    /// Forgets what was found before `at`.
    pub(super) fn forget(&mut self, at: usize) {
        self.found.retain(|mark| mark.found.end > at);
    }

    /// Judges what will not change any more; all of it, if nothing more comes.
    ///
    /// # Errors
    /// What cannot be judged yet is too long.
    pub(super) fn judge(
        &mut self,
        wanted: Wanted,
        over: bool,
        findings: &mut Findings,
    ) -> Result<(), TooLong> {
        let judged = self.judged - self.from;
        let mut until = if over { self.kept.len() } else { settled(&self.kept).max(judged) };
        if until > judged {
            let mut found = Vec::new();
            find(&self.kept, wanted, Hint::default(), &mut found);
            if let Some(open) = found.iter().find(|found| found.start < until && found.end > until) {
                until = open.start.max(judged);
            }
            for found in found.into_iter().filter(|found| found.end > judged && found.start < until) {
                findings.add(found.category);
                let quoted = self.json && !self.is_in_string(found.start);
                let (start, end) = (self.from + found.start.max(judged), self.from + found.end);
                self.found.push(Mark { found: Found { start, end, ..found }, quoted });
            }
            self.judged = self.from + until;
        }
        if self.kept.len() - until > LONGEST {
            return Err(TooLong);
        }
        self.trim(until);
        Ok(())
    }

    /// Takes what is held for judged: it is not held for anybody.
    pub(super) fn give_up(&mut self) {
        self.judged = self.end();
        self.trim(self.kept.len());
    }

    /// Drops what is judged and out of reach.
    fn trim(&mut self, judged: usize) {
        if judged < 2 * KEPT {
            return;
        }
        let mut drop = judged - KEPT;
        while self.kept.get(drop).is_some_and(|byte| matches!(byte, 0x80..0xc0)) {
            drop += 1;
        }
        if self.json {
            self.is_in_string(drop);
            self.followed -= drop;
        }
        self.kept.drain(..drop);
        self.from += drop;
    }

    /// Whether the place is within a string of JSON. Asked in rising order.
    fn is_in_string(&mut self, at: usize) -> bool {
        while self.followed < at {
            let byte = self.kept[self.followed];
            self.followed += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.in_string,
                b'"' => self.in_string = !self.in_string,
                _ => {}
            }
        }
        self.in_string
    }
}
