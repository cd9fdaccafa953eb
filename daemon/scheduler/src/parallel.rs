//! How many requests a node works on at once, and whether it prefills one prompt after the other. Where nobody states
//! it, busy answers and waits that nothing else explains say so.

use crate::Time;

/// Requests at once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parallel {
    /// Stated by an administrator or the engine.
    pub(crate) stated: Option<u32>,
    /// Learned.
    bound: Option<u32>,
    changed: Time,
    /// The most that were seen to answer at once.
    seen: u32,
}

/// Seconds after which one more than the learned bound is tried.
const TRY_MORE: Time = 20.0;

impl Parallel {
    pub(crate) fn bound(&self) -> Option<u32> {
        self.stated.or(self.bound)
    }

    /// What was learned, if anything was.
    pub(crate) fn learned(&self) -> Option<u32> {
        self.bound
    }

    /// What was learned at another time.
    pub(crate) fn recall(&mut self, bound: Option<u32>, now: Time) {
        (self.bound, self.changed) = (bound.filter(|bound| *bound > 0), now);
    }

    /// Whether one more than `active` may go there. Where the bound is learned, one more is tried now and then.
    pub(crate) fn has_room(&mut self, active: usize, now: Time) -> bool {
        let Some(bound) = self.bound() else { return true };
        let active = u32::try_from(active).unwrap_or(u32::MAX);
        if active < bound {
            return true;
        }
        let tries = self.stated.is_none() && active == bound && now - self.changed >= TRY_MORE;
        if tries {
            (self.bound, self.changed) = (Some(bound + 1 + bound / 4), now);
        }
        tries
    }

    /// So many answer at once.
    pub(crate) fn saw(&mut self, running: usize) {
        self.seen = self.seen.max(u32::try_from(running).unwrap_or(u32::MAX));
    }

    /// How many more than were ever seen to answer at once there would be with one more.
    pub(crate) fn beyond_seen(&self, running: usize) -> u32 {
        let running = u32::try_from(running).unwrap_or(u32::MAX);
        if self.bound().is_some() { 0 } else { (running + 1).saturating_sub(self.seen.max(1)) }
    }

    /// The node was full with `active` requests beside the one that it refused or let wait.
    pub(crate) fn full(&mut self, active: usize, now: Time) {
        let active = u32::try_from(active).unwrap_or(u32::MAX).max(1);
        if self.bound.is_none_or(|bound| active <= bound) {
            (self.bound, self.changed) = (Some(active), now);
        }
    }
}

/// Whether prompts are prefilled one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Serial {
    votes: f64,
    heard: Time,
}

/// Seconds after which half of what was seen counts: an engine may be replaced.
const HALF_LIFE: Time = 600.0;

/// Votes that count at most.
const MOST: f64 = 4.0;

impl Serial {
    fn votes(&self, now: Time) -> f64 {
        self.votes * (-(now - self.heard).max(0.0) / HALF_LIFE).exp2()
    }

    /// What was learned: as it was seen last, so that it does not change while nothing is seen.
    pub(crate) fn learned(&self) -> f64 {
        self.votes
    }

    /// What was learned at another time.
    pub(crate) fn recall(&mut self, votes: f64, now: Time) {
        (self.votes, self.heard) = (votes.clamp(-MOST, MOST), now);
    }

    /// Seen to be so.
    pub(crate) fn is_seen(&self, now: Time) -> bool {
        // Votes only fade, and what they come to now is reckoned many times a request.
        self.votes > 0.5 && self.votes(now) > 0.5
    }

    /// Seen to be otherwise.
    pub(crate) fn is_refuted(&self, now: Time) -> bool {
        self.votes < -1.5 && self.votes(now) < -1.5
    }

    /// Two prompts met: the second waited for the first, or did not.
    pub(crate) fn vote(&mut self, waited: bool, now: Time) {
        let vote = if waited { 1.0 } else { -1.0 };
        self.votes = (self.votes(now) + vote).clamp(-MOST, MOST);
        self.heard = now;
    }
}
