//! Waiting for more of a shared limit, without a lock and without asking anybody: [`super::refill`] does that.

use std::{
    sync::{Arc, MutexGuard},
    time::Duration,
};

use aivonx_protocol::limit::LimitName;
use tokio::{sync::watch, time::Instant};

use super::{Account, Levels, clock::Now, reserve::Before, slices::Patience, window::LiveCounters};

/// Longest time that a request waits.
const LONGEST: Duration = Duration::from_millis(2000);

/// What a request lacks.
#[derive(Debug)]
pub(super) struct Short {
    pub(super) waiting: Waiting,
    /// What it had taken before, which it still has.
    pub(super) before: Option<Before>,
}

/// A request that waits: as long as this lives, the refilling task asks for what it needs.
#[derive(Debug)]
pub(super) struct Waiting {
    needs: Vec<(Arc<Account>, LimitName, u64)>,
    arrives: Vec<watch::Receiver<u64>>,
}

impl Waiting {
    /// For `short`: of each level by its place, the limit and how much is asked of it.
    pub(super) fn begin(
        levels: &Levels<'_>,
        locked: &mut [Option<MutexGuard<'_, LiveCounters>>; 3],
        short: &[(usize, LimitName, u64)],
        patience: Patience,
    ) -> Self {
        let (mut needs, mut arrives) = (Vec::new(), Vec::new());
        for (at, limit, asked) in short {
            let (Some(level), Some(live)) = (levels[*at], &mut locked[*at]) else { continue };
            let Some(slices) = &mut live.slices else { continue };
            slices.wait(*limit, *asked, patience, &level.account);
            needs.push((level.account.clone(), *limit, *asked));
            arrives.push(slices.arrives());
        }
        Self { needs, arrives }
    }

    /// Returns when the bank has answered.
    async fn answered(&mut self) {
        if let Some(first) = self.arrives.first_mut() {
            // Its sender lives as long as the account, which is held here.
            let _ = first.changed().await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for (account, limit, asked) in &self.needs {
            if let Some(slices) = &mut account.lock().slices {
                slices.wait_ends(*limit, *asked);
            }
        }
    }
}

/// How long one request waits altogether.
#[derive(Debug, Default)]
pub(super) struct Wait {
    until: Option<Instant>,
    /// When it began, by the steady clock.
    since: i64,
    is_answered: bool,
    is_over: bool,
    /// Kept until the next try is over, so that what arrived is not given back in between.
    waiting: Option<Waiting>,
}

impl Wait {
    pub(super) fn patience(&self) -> Patience {
        match (self.is_over, self.is_answered) {
            (true, _) => Patience::Ended(self.since),
            (false, true) => Patience::Answered(self.since),
            (false, false) => Patience::Fresh,
        }
    }

    /// Waits for what `short` lacks, and returns what is to be tried again with.
    pub(super) async fn for_more(&mut self, short: Short, now: &Now) -> Option<Before> {
        let Short { waiting, before } = short;
        if self.until.is_none() {
            self.since = now.steady;
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + LONGEST);
        let waiting = self.waiting.insert(waiting);
        match tokio::time::timeout_at(until, waiting.answered()).await {
            Ok(()) => self.is_answered = true,
            Err(_) => self.is_over = true,
        }
        before
    }
}
