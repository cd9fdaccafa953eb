//! Numbers second by second, over a window that moves.

use std::time::Duration;

use crate::telemetry::histogram::BOUNDS;

/// Buckets of times to the first byte: one per bound, and one for what is beyond.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// What happened in one second, or in several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Requests that ended.
    pub requests: u32,
    /// Those of them that failed: answered with 5xx, or broken off by the node or a deadline.
    pub errors: u32,
    /// Those of them that were refused: answered with 4xx.
    pub refused: u32,
    /// Tokens of the prompts of requests that ended.
    pub prompt_tokens: u64,
    /// Tokens of output, when they came: a long answer's are spread over the time it took.
    pub output_tokens: u64,
    /// Milliseconds spent at work by all requests together: a thousand a second is one request at a time.
    pub busy_ms: u64,
    /// Times to the first byte of the inference that ended, by [`BUCKETS`].
    pub first_byte: [u32; BUCKETS],
}

impl Numbers {
    /// Adds what happened elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.refused = self.refused.saturating_add(other.refused);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.busy_ms = self.busy_ms.saturating_add(other.busy_ms);
        for (count, more) in self.first_byte.iter_mut().zip(other.first_byte) {
            *count = count.saturating_add(more);
        }
    }
}

/// A finished request, reduced to its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finished {
    pub(super) failed: bool,
    pub(super) refused: bool,
    pub(super) prompt_tokens: u64,
    pub(super) output_tokens: u64,
    /// None if it is not one that models answer.
    pub(super) first_byte: Option<Duration>,
    /// When the answer began, as time before the end.
    pub(super) answering: Duration,
    pub(super) duration: Duration,
}

/// A request that still goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Its route.
    pub route: &'static str,
    /// Since its head.
    pub age: Duration,
    /// Since its answer began; None before that.
    pub answering: Option<Duration>,
    /// Tokens of its answer so far, as they pass.
    pub tokens: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The second, since 1970.
    at: u64,
    /// The second in which anything was last added.
    changed: u64,
    numbers: Numbers,
}

/// The last seconds, so many as it was made for. Takes the memory of all of them at once, and no more.
#[derive(Debug)]
pub(super) struct Series {
    slots: Box<[Slot]>,
    /// The newest second anything was added in.
    newest: u64,
}

impl Series {
    pub(super) fn new(seconds: usize) -> Self {
        Self { slots: vec![Slot::default(); seconds.max(1)].into(), newest: 0 }
    }

    /// The newest second anything was added in.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Adds a request that ended at `now`, milliseconds since 1970.
    pub(super) fn add(&mut self, finished: &Finished, now: u64) {
        let second = now / 1000;
        let ended = self.slot(second, second);
        ended.requests = ended.requests.saturating_add(1);
        ended.errors = ended.errors.saturating_add(u32::from(finished.failed));
        ended.refused = ended.refused.saturating_add(u32::from(finished.refused));
        ended.prompt_tokens = ended.prompt_tokens.saturating_add(finished.prompt_tokens);
        if let Some(first_byte) = finished.first_byte {
            let count = &mut ended.first_byte[bucket(first_byte)];
            *count = count.saturating_add(1);
        }
        self.spread(finished.output_tokens, finished.answering, now, |n, part| {
            n.output_tokens = n.output_tokens.saturating_add(part);
        });
        let busy = millis(finished.duration);
        self.spread(busy, finished.duration, now, |n, part| n.busy_ms = n.busy_ms.saturating_add(part));
    }

    /// Adds a request that still goes on at `now`: what it has done so far, but not that it ended.
    pub(super) fn go_on(&mut self, pace: &Pace, now: u64) {
        if let Some(answering) = pace.answering {
            self.spread(pace.tokens, answering, now, |n, part| {
                n.output_tokens = n.output_tokens.saturating_add(part);
            });
        }
        let busy = millis(pace.age);
        self.spread(busy, pace.age, now, |n, part| n.busy_ms = n.busy_ms.saturating_add(part));
    }

    /// Spreads `total` evenly over the time `lasted` that ended at `now`. What lies before the window is left out.
    fn spread(&mut self, total: u64, lasted: Duration, now: u64, put: impl Fn(&mut Numbers, u64)) {
        let (second, lasted) = (now / 1000, millis(lasted).min(now));
        let begun = now - lasted;
        // How much of it had come by this moment.
        let by = |moment: u64| {
            let share = u128::from(total) * u128::from(moment - begun) / u128::from(lasted.max(1));
            // No more than `total`.
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        if lasted == 0 {
            put(self.slot(second, second), total);
            return;
        }
        let first = (begun / 1000).max(self.oldest(second));
        for at in first..=second {
            let part = by(((at + 1) * 1000).min(now)) - by((at * 1000).max(begun));
            if part > 0 {
                put(self.slot(at, second), part);
            }
        }
    }

    /// The second `at` of the window that ends with `now`, empty if nothing was added to it yet.
    fn slot(&mut self, at: u64, now: u64) -> &mut Numbers {
        self.newest = self.newest.max(now);
        let len = self.slots.len() as u64;
        // Less than the length, which is one of a slice.
        let slot = &mut self.slots[usize::try_from(at % len).unwrap_or(0)];
        if slot.at != at {
            *slot = Slot { at, ..Slot::default() };
        }
        slot.changed = now;
        &mut slot.numbers
    }

    /// The first second of the window that ends with `now`.
    fn oldest(&self, now: u64) -> u64 {
        (now + 1).saturating_sub(self.slots.len() as u64)
    }

    /// The seconds of the window that ends with `now`, oldest first, those left out in which nothing happened.
    pub(super) fn window(&self, now: u64) -> impl Iterator<Item = (u64, &Numbers)> {
        (self.oldest(now)..=now).filter_map(|at| Some((at, &self.get(at)?.numbers)))
    }

    /// The same together with what `live` has, each with whether it has changed since the second `since`.
    pub(super) fn with(&self, live: &Self, since: u64, now: u64) -> Vec<(u64, bool, Numbers)> {
        let mut all = Vec::new();
        for at in self.oldest(now)..=now {
            let (own, more) = (self.get(at), live.get(at));
            let changed = own.is_some_and(|slot| slot.changed >= since) || more.is_some();
            let Some(slot) = own.or(more) else { continue };
            let mut numbers = slot.numbers;
            if let (Some(_), Some(more)) = (own, more) {
                numbers.add(&more.numbers);
            }
            all.push((at, changed, numbers));
        }
        all
    }

    fn get(&self, at: u64) -> Option<&Slot> {
        let slot = &self.slots[usize::try_from(at % self.slots.len() as u64).unwrap_or(0)];
        // Nothing happened in 1970.
        (slot.at == at && at > 0).then_some(slot)
    }

    /// The last `seconds` up to `now` together.
    pub(super) fn sum(&self, seconds: u64, now: u64) -> Numbers {
        let first = (now + 1).saturating_sub(seconds);
        let mut sum = Numbers::default();
        for (_, numbers) in self.window(now).filter(|(at, _)| *at >= first) {
            sum.add(numbers);
        }
        sum
    }
}

/// The bucket of a time to the first byte.
fn bucket(first_byte: Duration) -> usize {
    let seconds = first_byte.as_secs_f64();
    BOUNDS.partition_point(|bound| *bound < seconds)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
