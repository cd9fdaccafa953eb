//! What the overview remembers of the last minutes.

use std::collections::VecDeque;

use aivonx_protocol::{UnixMillis, daemon::Status};

/// Readings kept: five minutes at one a second.
const KEPT: usize = 300;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    /// Requests answered per second, the oldest first.
    pub(crate) rate: VecDeque<f64>,
    /// Requests at work, the oldest first.
    pub(crate) active: VecDeque<f64>,
    /// When, since when it runs, and how many requests had been answered at the last reading.
    last: Option<(UnixMillis, UnixMillis, u64)>,
}

impl Overview {
    /// Notes a reading.
    pub(crate) fn note(&mut self, status: &Status, now: UnixMillis) {
        push(&mut self.active, f64::from(status.active_requests));
        if let Some((at, started, total)) = self.last
            && started == status.started
            && now > at
        {
            #[allow(clippy::cast_precision_loss, reason = "a rate of a few digits")]
            let rate = status.requests_total.saturating_sub(total) as f64 * 1000.0 / (now - at) as f64;
            push(&mut self.rate, rate);
        }
        self.last = Some((now, status.started, status.requests_total));
    }
}

fn push(readings: &mut VecDeque<f64>, reading: f64) {
    if readings.len() == KEPT {
        readings.pop_front();
    }
    readings.push_back(reading);
}
