//! Connections that the gateway closes on its clients, counted by why.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a connection is closed on a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is no room for it.
    Full,
    /// No keys were agreed on, or not in time.
    Handshake,
    /// No request came in time.
    Head,
    /// What came is not HTTP, or is more of it than anybody needs.
    Malformed,
    /// It takes nothing of its answer.
    Stalled,
}

impl Reason {
    const ALL: [(&'static str, Self); 5] = [
        ("full", Self::Full),
        ("handshake", Self::Handshake),
        ("head", Self::Head),
        ("malformed", Self::Malformed),
        ("stalled", Self::Stalled),
    ];
}

/// How many there were since the start.
#[derive(Debug, Default)]
pub struct Closed([AtomicU64; Reason::ALL.len()]);

impl Closed {
    pub(crate) fn count(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    /// Each reason with its number.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); Reason::ALL.len()] {
        Reason::ALL.map(|(word, reason)| (word, self.0[reason as usize].load(Relaxed)))
    }
}
