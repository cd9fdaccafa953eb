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

    /// The seconds of the window that ends with `now` that were added to in `since` or later, oldest first.
    pub(super) fn changed(&self, since: u64, now: u64) -> impl Iterator<Item = (u64, &Numbers)> {
        let len = self.slots.len() as u64;
        let slot = move |at: u64| &self.slots[usize::try_from(at % len).unwrap_or(0)];
        (self.oldest(now)..=now)
            .map(move |at| (at, slot(at)))
            .filter(move |(at, slot)| slot.at == *at && slot.changed >= since.max(1))
            .map(|(at, slot)| (at, &slot.numbers))
    }

    /// The last `seconds` up to `now` together.
    pub(super) fn sum(&self, seconds: u64, now: u64) -> Numbers {
        let first = (now + 1).saturating_sub(seconds);
        let mut sum = Numbers::default();
        for (_, numbers) in self.changed(0, now).filter(|(at, _)| *at >= first) {
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
