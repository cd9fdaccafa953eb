//! The daemon itself.

use serde::{Deserialize, Serialize};

use crate::{UnixMillis, operation::operations, pulse, strategy::Strategy};

/// What the daemon is and does now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Daemon version.
    pub version: String,
    /// Random id of this installation, kept in the store.
    pub daemon_id: String,
    /// Process id.
    pub pid: u32,
    /// When it started.
    pub started: UnixMillis,
    /// `dev` or `run`.
    pub mode: String,
    /// Who may use the gateway: `required`, `optional` or `open`.
    pub access: String,
    /// Whether there is an administrator. Until then `run` answers nothing but `/health`.
    pub set_up: bool,
    /// Whether it is shutting down.
    pub draining: bool,
    /// Addresses it listens on.
    pub listen: Vec<String>,
    /// Where the store is.
    pub data_dir: String,
    /// Where the log goes.
    pub log_sink: String,
    /// Scheduling strategy.
    pub strategy: Strategy,
    /// Nodes in the active pool, and those asleep, which are woken when they are needed.
    pub nodes_active: u32,
    /// Nodes in the standby pool.
    pub nodes_standby: u32,
    /// Nodes being drained.
    pub nodes_draining: u32,
    /// Nodes disabled.
    pub nodes_disabled: u32,
    /// Distinct models in the catalogue.
    pub models: u32,
    /// Requests at work now.
    pub active_requests: u32,
    /// Requests answered since start.
    pub requests_total: u64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// What needs attention, one sentence each, with the command that helps.
    pub warnings: Vec<String>,
    /// Days and months of limits and usage begin so many minutes after midnight UTC.
    pub day_offset_minutes: u32,
}

operations! {
    /// Requests about the daemon.
    Request::Daemon(DaemonRequest);

    /// What the daemon is and does now.
    "daemon.status" GetStatus -> Status as Status, needs Status;

    /// How it does right now.
    "daemon.pulse" Pulse {
        /// The seconds that have changed since this one (since 1970), as an earlier answer had them; None is all
        /// of the window.
        since: Option<u64>,
    } -> pulse::Pulse as Pulse, needs FleetRead;
}
