//! Averages that forget: how fast nodes are, learned from their answers.

use serde::{Deserialize, Serialize};

use crate::Time;

/// An average in which each sample counts a tenth less with each that follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mean {
    sum: f64,
    weight: f64,
}

/// What remains of a sample's weight after the next one.
const KEEP: f64 = 0.9;

impl Mean {
    /// Takes in `sum`, measured over `weight` units.
    pub(crate) fn add(&mut self, sum: f64, weight: f64) {
        self.sum = self.sum * KEEP + sum;
        self.weight = self.weight * KEEP + weight;
    }

    /// Without what is no number: nodes may state anything.
    pub(crate) fn sane(self) -> Self {
        let good = |number: f64| number.is_finite() && number >= 0.0;
        if good(self.sum) && good(self.weight) { self } else { Self::default() }
    }

    /// Per unit; None before the first sample.
    #[must_use]
    pub(crate) fn get(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// How fast a node is with a model. Absent before the first sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Speeds {
    /// Seconds to load the model.
    pub(crate) load: Mean,
    /// Seconds of prefill for a token that is not cached.
    pub(crate) prefill: Mean,
    /// Seconds for a generated token.
    pub(crate) decode: Mean,
}

/// Everything learned of one kind of thing: a pair of node and model, a node, or a model on all nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Learned {
    /// Speeds.
    pub(crate) speeds: Speeds,
    /// Tokens generated for a request.
    pub(crate) output: Mean,
}

impl Learned {
    /// Without what is no number.
    pub(crate) fn sane(self) -> Self {
        let Speeds { load, prefill, decode } = self.speeds;
        let speeds = Speeds { load: load.sane(), prefill: prefill.sane(), decode: decode.sane() };
        Self { speeds, output: self.output.sane() }
    }
}

/// What is assumed of what nobody has measured yet: a small model on a modest GPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Assumed;

impl Assumed {
    pub(crate) const PREFILL: f64 = 1.0 / 4000.0;
    pub(crate) const DECODE: f64 = 1.0 / 40.0;
    pub(crate) const OUTPUT: f64 = 300.0;
    /// Seconds for a machine to wake from sleep, and for the engine on it to answer.
    pub(crate) const WAKING: f64 = 20.0;
    /// Bytes read into memory in a second.
    const READING: f64 = 1.5e9;
    /// Seconds to start a runner.
    const START: f64 = 1.0;

    /// Seconds to load a model of so many bytes; 0 is unknown.
    pub(crate) fn load(bytes: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let bytes = if bytes == 0 { 6e9 } else { bytes as f64 };
        Self::START + bytes / Self::READING
    }
}

/// How often something happens, of late.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rate {
    count: f64,
    at: Time,
}

/// Seconds after which an event counts half.
const HALF_LIFE: Time = 60.0;

impl Rate {
    pub(crate) fn count(&mut self, now: Time) {
        self.add(1.0, now);
    }

    pub(crate) fn add(&mut self, events: f64, now: Time) {
        self.count = self.counted(now) + events;
        self.at = now;
    }

    fn counted(self, now: Time) -> f64 {
        self.count * (-(now - self.at).max(0.0) / HALF_LIFE).exp2()
    }

    /// Events a second.
    pub(crate) fn per_second(self, now: Time) -> f64 {
        self.counted(now) * std::f64::consts::LN_2 / HALF_LIFE
    }
}
