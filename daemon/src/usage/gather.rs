//! What was seen and is not written yet.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use aivonx_protocol::limit::LimitName;

use super::seen::Seen;
use crate::telemetry::Outcome;

/// Most requests that wait to be written: some fifteen megabytes.
pub(super) const WAITING_MAX: usize = 65_536;

/// Most kinds of refusals told apart between two writes.
const REFUSALS_MAX: usize = 4096;

/// What refusals must share to be alike: whose, on which route and model, with which status and limit. The
/// first three by where they lie in memory, which the records kept here hold.
type Alike = (usize, &'static str, usize, u16, Option<LimitName>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    waiting: Mutex<Waiting>,
    /// Requests that found no room.
    pub(super) lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Each stands for so many.
    seen: Vec<(Seen, u32)>,
    refused: HashMap<Alike, (Seen, u32)>,
}

impl Gathered {
    /// Takes finished requests. Never waits.
    pub(super) fn take(&self, seen: Vec<Seen>) {
        let mut waiting = self.waiting();
        let mut lost = 0;
        for seen in seen {
            if seen.outcome == Outcome::Refused {
                lost += u64::from(!waiting.refuse(seen));
            } else if waiting.seen.len() < WAITING_MAX {
                waiting.seen.push((seen, 1));
            } else {
                lost += 1;
            }
        }
        self.lost.fetch_add(lost, Ordering::Relaxed);
    }

    /// What waits, each with how many it stands for.
    pub(super) fn drain(&self) -> Vec<(Seen, u32)> {
        let mut waiting = self.waiting();
        // The next group will be about as large as this one.
        let next = Vec::with_capacity(waiting.seen.len());
        let mut seen = std::mem::replace(&mut waiting.seen, next);
        seen.extend(waiting.refused.drain().map(|(_, refused)| refused));
        seen
    }

    /// Puts back what could not be written, before what has come since, as far as there is room.
    pub(super) fn put_back(&self, mut seen: Vec<(Seen, u32)>) {
        let mut waiting = self.waiting();
        let room = WAITING_MAX.saturating_sub(waiting.seen.len());
        let over = seen.len().saturating_sub(room);
        let lost: u64 = seen.drain(..over).map(|(_, times)| u64::from(times)).sum();
        self.lost.fetch_add(lost, Ordering::Relaxed);
        seen.append(&mut waiting.seen);
        waiting.seen = seen;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // What is there is whole, whatever its holder died of.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Counts a refusal; false if there is no room for its kind.
    fn refuse(&mut self, seen: Seen) -> bool {
        let place = |text: &Option<std::sync::Arc<str>>| {
            text.as_ref().map_or(0, |text| std::sync::Arc::as_ptr(text).cast::<u8>() as usize)
        };
        let whose = seen.subject.as_ref().map_or(0, |subject| std::sync::Arc::as_ptr(subject) as usize);
        let alike = (whose, seen.route, place(&seen.model), seen.status, seen.limit);
        if let Some((last, times)) = self.refused.get_mut(&alike) {
            let mut findings = last.findings;
            findings.join(&seen.findings);
            *last = Seen { findings, ..seen };
            *times = times.saturating_add(1);
            return true;
        }
        if self.refused.len() >= REFUSALS_MAX {
            return false;
        }
        self.refused.insert(alike, (seen, 1));
        true
    }
}
