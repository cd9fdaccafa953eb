//! Numbers second by second, over a window that moves.

use std::time::Duration;

pub use aivonx_domain::histogram::BUCKETS;

/// Seconds that are remembered.
pub const WINDOW: u64 = 300;

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

/// A request that ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What happened in the second of that moment.
    pub(super) ended: Numbers,
    /// What it did in the seconds before it, the latest first.
    before: Vec<Part>,
}

/// What came of a request in one second, before it ended.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    output_tokens: u64,
    busy_ms: u64,
}

impl Tally {
    /// Of a request of which nothing is known yet but what happened in the second it ended in.
    pub(super) fn begin(&mut self, ended: Numbers) {
        self.ended = ended;
        self.before.clear();
    }

    /// Spreads the output of a request over the time `answering` before `now`, and its work over all its `duration`.
    pub(super) fn spread(&mut self, output_tokens: u64, answering: Duration, duration: Duration, now: u64) {
        let second = now / 1000;
        let oldest = (now / 1000 + 1).saturating_sub(WINDOW);
        spread(output_tokens, answering, now, oldest, |at, part| {
            let sum = if at == second {
                &mut self.ended.output_tokens
            } else {
                &mut self.at(second - at).output_tokens
            };
            *sum = sum.saturating_add(part);
        });
        spread(millis(duration), duration, now, oldest, |at, part| {
            let sum = if at == second { &mut self.ended.busy_ms } else { &mut self.at(second - at).busy_ms };
            *sum = sum.saturating_add(part);
        });
    }

    /// So many seconds before the last, at least one.
    fn at(&mut self, ago: u64) -> &mut Part {
        // Within the window.
        let at = seconds(ago) - 1;
        if self.before.len() <= at {
            self.before.resize(at + 1, Part::default());
        }
        &mut self.before[at]
    }
}

/// Spreads `total` evenly over the time `lasted` that ended at `now`: hands over each second, from `oldest` on, and its
/// part. What lies before is left out.
fn spread(total: u64, lasted: Duration, now: u64, oldest: u64, mut put: impl FnMut(u64, u64)) {
    let (second, lasted) = (now / 1000, millis(lasted).min(now));
    if lasted == 0 {
        return put(second, total);
    }
    let begun = now - lasted;
    // How much of it had come by this moment.
    let by = |moment: u64| {
        let share = u128::from(total) * u128::from(moment - begun) / u128::from(lasted);
        // No more than `total`.
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    for at in (begun / 1000).max(oldest)..=second {
        let part = by(((at + 1) * 1000).min(now)) - by((at * 1000).max(begun));
        if part > 0 {
            put(at, part);
        }
    }
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
    pub(super) fn add(&mut self, tally: &Tally, now: u64) {
        let second = now / 1000;
        self.slot(second, second).add(&tally.ended);
        let oldest = self.oldest(second);
        for (at, part) in (oldest..second).rev().zip(&tally.before) {
            if part.output_tokens > 0 || part.busy_ms > 0 {
                let numbers = self.slot(at, second);
                numbers.output_tokens = numbers.output_tokens.saturating_add(part.output_tokens);
                numbers.busy_ms = numbers.busy_ms.saturating_add(part.busy_ms);
            }
        }
    }

    /// Adds a request that still goes on at `now`: what it has done so far, but not that it ended.
    pub(super) fn go_on(&mut self, pace: &Pace, now: u64) {
        let (second, oldest) = (now / 1000, self.oldest(now / 1000));
        if let Some(answering) = pace.answering {
            spread(pace.tokens, answering, now, oldest, |at, part| {
                let sum = &mut self.slot(at, second).output_tokens;
                *sum = sum.saturating_add(part);
            });
        }
        spread(millis(pace.age), pace.age, now, oldest, |at, part| {
            let sum = &mut self.slot(at, second).busy_ms;
            *sum = sum.saturating_add(part);
        });
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

    /// The seconds of the window that ends with `now` together with what `live` has, oldest first, those left out in
    /// which nothing happened; each with whether it has changed since the second `since`.
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
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// As an index or a length; the windows are small.
pub(super) fn seconds(seconds: u64) -> usize {
    usize::try_from(seconds).unwrap_or(usize::MAX)
}
