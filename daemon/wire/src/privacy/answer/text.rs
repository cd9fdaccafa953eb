//! One text of an answer, piece by piece: what of it is judged, and what was found there.

use std::borrow::Cow;

use aivonx_domain::Findings;
use aivonx_protocol::privacy::{Category, PatternAction};

use super::{
    super::{
        Wanted,
        body::{Edit, apart},
        find::{Hint, find},
        marker::marker,
        pattern,
    },
    Rules, Stopped,
    hold::{LONGEST, is_boundary, settled},
};

/// What is kept of a text that is judged: words before a finding say what it is.
const KEPT: usize = 512;

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

/// What is replaced in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) start: usize,
    pub(super) end: usize,
    /// What stands in its place in a string of JSON.
    pub(super) marker: Cow<'static, str>,
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

    /// What is replaced in a range.
    pub(super) fn marks(&self, start: usize, end: usize) -> impl Iterator<Item = &Mark> + '_ {
        self.found.iter().filter(move |mark| mark.start < end && mark.end > start)
    }

    /// Forgets what was found before `at`.
    pub(super) fn forget(&mut self, at: usize) {
        self.found.retain(|mark| mark.end > at);
    }

    /// Judges what will not change any more; all of it, if nothing more comes.
    ///
    /// # Errors
    /// What cannot be judged yet is too long, or what is there is refused.
    pub(super) fn judge(
        &mut self,
        rules: &Rules,
        over: bool,
        findings: &mut Findings,
    ) -> Result<(), Stopped> {
        let judged = self.judged - self.from;
        let mut until = if over { self.kept.len() } else { self.settled(rules, judged) };
        if until > judged {
            let mut found = Vec::new();
            find(&self.kept, rules.wanted, Hint::default(), &mut found);
            let own = rules.own.as_ref().map(|own| pattern::find(own, &self.kept)).unwrap_or_default();
            // What goes on behind is judged with the rest of it.
            let ranges = found.iter().map(|found| (found.start, found.end));
            let ranges: Vec<_> = ranges.chain(own.iter().map(|one| (one.start, one.end))).collect();
            while let Some((start, _)) = ranges.iter().find(|(start, end)| *start < until && *end > until) {
                until = *start;
            }
            until = until.max(judged);
            // One that began before goes on behind: it waits as a whole.
            if until == judged {
                return self.wait(judged);
            }
            let is_new = |start: usize, end: usize| end > judged && start < until;
            let mut edits = Vec::new();
            for found in found.into_iter().filter(|found| is_new(found.start, found.end)) {
                findings.add(found.category);
                if rules.replaces {
                    edits.push(Edit { range: found.start..found.end, text: marker(found.category).into() });
                }
            }
            for one in own.into_iter().filter(|one| is_new(one.start, one.end)) {
                findings.add(Category::Pattern);
                match one.pattern.action {
                    PatternAction::Detect => {}
                    PatternAction::Redact => {
                        let text = one.pattern.marker.to_string().into();
                        edits.push(Edit { range: one.start..one.end, text });
                    }
                    PatternAction::Refuse => return Err(Stopped::Refused),
                }
            }
            apart(&mut edits, 0);
            for Edit { range, text } in edits {
                let marker = self.written(range.start, text);
                let (start, end) = (self.from + range.start.max(judged), self.from + range.end);
                self.found.push(Mark { start, end, marker });
            }
            self.judged = self.from + until;
        }
        self.wait(until)
    }

    /// Leaves what is behind `until` to wait.
    fn wait(&mut self, until: usize) -> Result<(), Stopped> {
        if self.kept.len() - until > LONGEST {
            return Err(Stopped::Held);
        }
        self.trim(until);
        Ok(())
    }

    /// How much of what is kept will not change any more.
    fn settled(&self, Rules { wanted, own, .. }: &Rules, judged: usize) -> usize {
        let usual = if *wanted == Wanted::NONE { self.kept.len() } else { settled(&self.kept, *wanted) };
        let own = own.as_ref().map_or(self.kept.len(), |own| pattern::settled(own, &self.kept, judged));
        (judged..=usual.min(own)).rev().find(|at| is_boundary(&self.kept, *at)).unwrap_or(judged)
    }

    /// A marker as it stands in a string of JSON.
    fn written(&mut self, at: usize, marker: Cow<'static, str>) -> Cow<'static, str> {
        let quoted = self.json && !self.is_in_string(at);
        let marker = if self.json { escaped(marker) } else { marker };
        escaped(if quoted { format!("\"{marker}\"").into() } else { marker })
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

fn escaped(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.contains(['"', '\\']) { text.replace('\\', "\\\\").replace('"', "\\\"").into() } else { text }
}
