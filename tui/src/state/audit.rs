//! The audit log as the console knows it.

use aivonx_protocol::{
    UnixMillis,
    audit::{AuditEntry, AuditFilter},
};

use super::list::List;
use crate::msg::Ticket;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct AuditLog {
    /// The entries asked for, the newest first.
    pub(crate) list: List<AuditEntry>,
    /// What was asked for.
    pub(crate) query: AuditFilter,
    /// Where the next older ones begin; None if there are none.
    pub(crate) next: Option<u64>,
    /// Whether new entries are to come as they are written.
    pub(crate) follow: bool,
    /// The feed, while there is one.
    pub(crate) feed: Option<Ticket>,
    /// The walk of the whole chain, while there is one.
    pub(crate) walk: Option<Ticket>,
}

impl AuditLog {
    /// Entries of the feed: those that are not there yet.
    pub(crate) fn add(&mut self, entries: impl Iterator<Item = AuditEntry>, now: UnixMillis) {
        let newest = self.list.all().iter().map(|entry| entry.seq).max().unwrap_or(0);
        let fresh: Vec<AuditEntry> = entries.filter(|entry| entry.seq > newest).collect();
        if !fresh.is_empty() {
            self.list.extend(fresh, now);
        }
    }
}
