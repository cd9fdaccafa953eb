//! A node as the scheduler sees it.

use foldhash::HashMap;

use crate::{
    JobId, ModelId, Time,
    learned::{Assumed, Learned, Mean},
    memory::{Capacity, Memory},
    parallel::{Parallel, Serial},
};

/// A model on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Here {
    /// Names with equal weights share a runner.
    pub weights: u64,
    /// Bytes it takes in memory, about; 0 if unknown.
    pub bytes: u64,
    /// Always in memory, as on servers that are started with their model.
    pub resident: bool,
}

impl Here {
    pub(crate) const UNKNOWN: Self = Self { weights: 0, bytes: 0, resident: true };
}

#[derive(Debug)]
pub(crate) struct Node {
    /// Whether requests may be sent there.
    pub(crate) usable: bool,
    /// Not before it is woken.
    pub(crate) sleeps: bool,
    /// When it was called, until it is awake.
    pub(crate) called: Option<Time>,
    /// Seconds from the call until it is awake.
    pub(crate) waking: Mean,
    pub(crate) here: HashMap<ModelId, Here>,
    pub(crate) parallel: Parallel,
    pub(crate) serial: Serial,
    /// In memory once what was sent has begun.
    pub(crate) memory: Memory,
    /// In memory once what waits has begun, too.
    pub(crate) planned: Memory,
    pub(crate) capacity: Capacity,
    /// Tokens of prompts sent there that were not cached.
    pub(crate) sent: u64,
    /// Tokens after which a prompt is no longer cached.
    pub(crate) reach: u64,
    pub(crate) learned: Learned,
    /// Sent, and not begun to answer.
    pub(crate) unbegun: Vec<JobId>,
    /// Those of them that are no light work.
    pub(crate) heavy: Vec<JobId>,
    /// Requests that were ever sent.
    pub(crate) sends: u64,
    /// Answering.
    pub(crate) running: Vec<JobId>,
    /// Waiting to be sent, in no order.
    pub(crate) queue: Vec<JobId>,
    /// Requests sent in a row that were not chosen by their age alone.
    pub(crate) passed_over: u32,
    /// The turn in which it was assigned the last request.
    pub(crate) last: u64,
    /// When the last answer ended.
    pub(crate) ended: Time,
    /// When the last prompt was prefilled, and the seconds a token of it took; None after a load.
    pub(crate) pace: Option<(Time, f64)>,
}

/// Tokens that a node is assumed to keep of prompts.
pub(crate) const REACH: u64 = 1_000_000;
/// The least.
pub(crate) const LEAST_REACH: u64 = 8_000;

impl Node {
    pub(crate) fn new() -> Self {
        Self {
            usable: true,
            sleeps: false,
            called: None,
            waking: Mean::default(),
            here: HashMap::default(),
            parallel: Parallel::default(),
            serial: Serial::default(),
            memory: Memory::default(),
            planned: Memory::default(),
            capacity: Capacity::default(),
            sent: 0,
            reach: REACH,
            learned: Learned::default(),
            unbegun: Vec::new(),
            heavy: Vec::new(),
            sends: 0,
            running: Vec::new(),
            queue: Vec::new(),
            passed_over: 0,
            last: 0,
            ended: 0.0,
            pace: None,
        }
    }

    /// Seconds until it is awake.
    pub(crate) fn wakes_in(&self, now: Time) -> f64 {
        if !self.sleeps {
            return 0.0;
        }
        let takes = self.waking.get().unwrap_or(Assumed::WAKING);
        // One that is late is not there at once for that.
        self.called.map_or(takes, |called| (takes - (now - called)).max(takes / 10.0))
    }

    /// Requests there.
    pub(crate) fn active(&self) -> usize {
        self.unbegun.len() + self.running.len()
    }

    /// Takes a request out of those that have not begun.
    pub(crate) fn remove_unbegun(&mut self, id: JobId) {
        self.unbegun.retain(|other| *other != id);
        self.heavy.retain(|other| *other != id);
    }

    /// A prompt whose beginning was sent so many tokens `ago` was found cached, or not.
    pub(crate) fn saw_cache(&mut self, ago: u64, hit: bool) {
        if hit && ago > self.reach {
            self.reach = ago.min(self.reach + self.reach / 4);
        } else if !hit && ago <= self.reach {
            self.reach = ago.max(self.reach - self.reach / 4).max(LEAST_REACH);
        }
    }

    /// Whether one more may be sent there now, with so many before it that have not begun and are no light work: one
    /// prompt at a time where they are prefilled one after the other, two where nobody knows yet.
    pub(crate) fn takes(&mut self, light: bool, before: usize, loading: bool, now: Time) -> bool {
        let most = match () {
            () if self.serial.is_seen(now) || loading => 1,
            () if self.serial.is_refuted(now) => usize::MAX,
            () => 2,
        };
        (light || before < most) && self.parallel.has_room(self.active(), now)
    }
}
