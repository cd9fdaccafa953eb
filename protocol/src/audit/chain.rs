//! Walking a chain: what is wrong first, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Action, AuditEntry, Checkpoint, Digest, canonical};
use crate::UnixMillis;

/// What can be wrong with a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Problem {
    /// The entry is not what it was, or cannot be read.
    Changed,
    /// The entries are missing, later ones are there.
    Removed,
    /// Another entry stands in its place.
    Reordered,
    /// The entries are missing, and so is everything behind them.
    Cut,
    /// Entries were changed and the chain behind them made anew: a signed checkpoint says otherwise.
    Rewritten,
    /// The checkpoint of this entry is forged, damaged or missing.
    Checkpoint,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// The first entry concerned.
    pub seq: u64,
    /// The last entry concerned.
    pub through: u64,
    /// What is wrong.
    pub problem: Problem,
    /// How that shows.
    pub detail: String,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (noun, were) = if self.seq == self.through {
            (format!("entry {}", self.seq), "was")
        } else {
            (format!("entries {} to {}", self.seq, self.through), "were")
        };
        match self.problem {
            Problem::Changed => write!(f, "{noun} {were} changed")?,
            Problem::Removed => write!(f, "{noun} {were} removed")?,
            Problem::Reordered => write!(f, "{noun} {were} reordered")?,
            Problem::Cut => write!(f, "{noun} {were} cut off the end")?,
            Problem::Rewritten => write!(f, "within {noun} the log was rewritten")?,
            Problem::Checkpoint => write!(f, "the checkpoint of {noun} is not right")?,
        }
        write!(f, ": {}", self.detail)
    }
}

/// A place where the chain begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// The first entry of the new chain.
    pub seq: u64,
    /// When.
    pub time: UnixMillis,
    /// Why, as the entry says: `restored` after `aivonxd recover`; `lost` if nothing explains it.
    pub reason: String,
}

impl Restart {
    /// Whether a restored snapshot explains it.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.reason == "restored"
    }
}

/// A walk along a chain, from its first entry to its last.
#[derive(Debug, Clone)]
pub struct Chain {
    daemon: String,
    /// Id of the chain that the last entry belongs to, where it is known.
    chain: Option<String>,
    /// The entry that must come now; None takes any.
    next: Option<u64>,
    /// The hash it must be chained to; None takes any.
    hash: Option<Digest>,
    /// The entry that the last checkpoint was about.
    checkpoint: Option<u64>,
    restarts: Vec<Restart>,
    entries: u64,
    checkpoints: u64,
    found: Option<Break>,
    /// Whether it may begin with any entry.
    partial: bool,
}

impl Chain {
    /// The log of `daemon` from its first entry, which must be `first`.
    #[must_use]
    pub fn from_start(daemon: &str, first: u64) -> Self {
        Self {
            daemon: daemon.to_owned(),
            chain: None,
            next: Some(first),
            hash: None,
            checkpoint: None,
            restarts: Vec::new(),
            entries: 0,
            checkpoints: 0,
            found: None,
            partial: false,
        }
    }

    /// What stands behind `checkpoint`, everything before which was removed by age. The caller has checked its
    /// signature.
    #[must_use]
    pub fn behind(checkpoint: &Checkpoint) -> Self {
        Self {
            chain: Some(checkpoint.chain.clone()),
            hash: Some(checkpoint.hash),
            checkpoint: Some(checkpoint.seq),
            ..Self::from_start(&checkpoint.daemon, checkpoint.seq + 1)
        }
    }

    /// A part of a log, from the entry `first`.
    #[must_use]
    pub fn part(daemon: &str, first: u64) -> Self {
        Self { partial: true, ..Self::from_start(daemon, first) }
    }

    /// The entry that must come now, where it is known.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// What is wrong, once something is; nothing is looked at any more then.
    #[must_use]
    pub fn found(&self) -> Option<&Break> {
        self.found.as_ref()
    }

    /// Where the chain began anew so far.
    #[must_use]
    pub fn restarts(&self) -> &[Restart] {
        &self.restarts
    }

    /// Entries taken.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Checkpoints taken.
    #[must_use]
    pub fn checkpoints(&self) -> u64 {
        self.checkpoints
    }

    /// The last entry under a checkpoint.
    #[must_use]
    pub fn signed_through(&self) -> u64 {
        self.checkpoint.unwrap_or(0)
    }

    fn find(&mut self, seq: u64, through: u64, problem: Problem, detail: impl Into<String>) {
        self.found.get_or_insert(Break { seq, through, problem, detail: detail.into() });
    }

    /// Takes the entry that stands at `place`; `Err` says why it cannot be read.
    pub fn entry(&mut self, place: u64, entry: Result<&AuditEntry, String>) {
        if self.found.is_some() {
            return;
        }
        if let Some(next) = self.next
            && place > next
        {
            return self.find(next, place - 1, Problem::Removed, format!("the next one there is {place}"));
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(why) => return self.find(place, place, Problem::Changed, why),
        };
        if entry.seq != place {
            let detail = format!("entry {} stands in its place", entry.seq);
            return self.find(place, place, Problem::Reordered, detail);
        }
        if entry.chained(&entry.prev) != entry.hash {
            return self.find(place, place, Problem::Changed, "its hash is another");
        }
        let begins = entry.action == Action::ChainStart;
        if begins {
            self.begin(entry);
        } else if self.hash.is_none() && !self.partial {
            self.find(place, place, Problem::Changed, "the log does not begin with the start of a chain");
        }
        if let Some(hash) = self.hash
            && entry.prev != hash
        {
            // It fits its own hash, so it is as likely that the one before is not what it was.
            if begins || place <= 1 || Some(place - 1) == self.checkpoint {
                self.find(place, place, Problem::Changed, "it is chained to another entry");
            } else {
                self.find(
                    place - 1,
                    place - 1,
                    Problem::Changed,
                    format!("entry {place} is chained to another"),
                );
            }
        }
        if self.found.is_none() {
            (self.next, self.hash) = (Some(place + 1), Some(entry.hash));
            self.entries += 1;
        }
    }

    fn begin(&mut self, entry: &AuditEntry) {
        let chain = entry.details.get("chain").cloned().unwrap_or_default();
        self.hash = Some(canonical::genesis(&self.daemon, &chain));
        self.chain = Some(chain);
        let reason = entry.details.get("reason").cloned().unwrap_or_default();
        if entry.seq > 1 || reason != "new" {
            self.restarts.push(Restart { seq: entry.seq, time: entry.time, reason });
        }
    }

    /// Takes the checkpoint about the entry last taken. `signers` are the keys of the daemon.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint, signers: &[super::PublicKey]) {
        let seq = checkpoint.seq;
        if self.found.is_some() {
            return;
        }
        if self.next != Some(seq + 1) {
            return self.find(seq, seq, Problem::Checkpoint, "there is no such entry");
        }
        if !signers.contains(&checkpoint.signer) {
            return self.find(
                seq,
                seq,
                Problem::Checkpoint,
                "it is signed with a key that is not this daemon's",
            );
        }
        if !checkpoint.is_signed() {
            return self.find(seq, seq, Problem::Checkpoint, "its signature is wrong");
        }
        if checkpoint.daemon != self.daemon || self.chain.as_ref().is_some_and(|c| *c != checkpoint.chain) {
            return self.find(seq, seq, Problem::Checkpoint, "it is about another chain");
        }
        if let Some(last) = self.checkpoint
            && checkpoint.previous > last
        {
            let detail = "it was made and is not there";
            return self.find(checkpoint.previous, checkpoint.previous, Problem::Checkpoint, detail);
        }
        if self.hash != Some(checkpoint.hash) {
            let first = self.checkpoint.map_or(1, |last| last + 1).min(seq);
            let detail = format!("the signed checkpoint of entry {seq} has another hash");
            return self.find(first, seq, Problem::Rewritten, detail);
        }
        self.checkpoint = Some(seq);
        self.checkpoints += 1;
    }

    /// Takes the checkpoint about the entry last taken, which cannot be read.
    pub fn unreadable_checkpoint(&mut self, seq: u64, why: &str) {
        if self.found.is_none() {
            self.find(seq, seq, Problem::Checkpoint, why);
        }
    }

    /// Ends the walk. `last` is the last entry that is known to have been written.
    pub fn end(&mut self, last: u64) {
        let next = self.next.unwrap_or(1);
        if self.found.is_none() && last >= next {
            self.find(next, last, Problem::Cut, format!("the log ends before it, entry {last} was written"));
        }
    }
}
