//! Nodes that may sleep.

use std::time::Duration;

use aivonx_protocol::node::{AdminState, Node, NodeWake, Pool, Wake};
use clap::Args;
use serde::Serialize;

use crate::{
    exit::Failure,
    render::{Out, Table, text::safe},
    time_arg::span_argument,
};

/// How a node is woken.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct WakeArgs {
    /// It may sleep: leave it alone while nobody asks it, and wake it by its network card's address (aa:bb:cc:dd:ee:ff)
    #[arg(long, value_name = "MAC")]
    wake: Option<String>,
    /// Where the packet that wakes it is sent [default: 255.255.255.255:9]
    #[arg(long, value_name = "ADDRESS:PORT", requires = "wake")]
    wake_at: Option<String>,
    /// How long nobody asks it before it may sleep, such as 90s or 10m [default: 10m]
    #[arg(long, value_name = "TIME", requires = "wake", value_parser = span_argument)]
    wake_idle: Option<Duration>,
    /// Check it all the time again
    #[arg(long, conflicts_with = "wake")]
    no_wake: bool,
}

impl WakeArgs {
    pub(super) fn says_something(&self) -> bool {
        self.wake.is_some() || self.no_wake
    }

    /// How it is to be woken from now on.
    pub(super) fn wake(&self) -> Option<Wake> {
        let idle_seconds = self.wake_idle.map(|idle| idle.as_secs());
        self.wake.clone().map(|mac| Wake { mac, address: self.wake_at.clone(), idle_seconds })
    }
}

/// How a node is woken, as it is printed.
#[derive(Debug, Serialize)]
pub struct ShownWake {
    mac: String,
    address: String,
    idle_seconds: u64,
}

impl From<NodeWake> for ShownWake {
    fn from(wake: NodeWake) -> Self {
        let NodeWake { mac, address, idle_seconds, .. } = wake;
        Self { mac, address, idle_seconds }
    }
}

/// Writes how it is woken, if it is.
pub(super) fn show(out: &mut Out, wake: Option<&ShownWake>) -> Result<(), Failure> {
    let Some(ShownWake { mac, address, idle_seconds }) = wake else { return Ok(()) };
    let mut table = Table::pairs();
    let (mac, address) = (safe(mac), safe(address));
    table.pair("may sleep", format!("after {idle_seconds} s without requests; woken as {mac} at {address}"));
    out.table(&table)
}

/// One sentence about what becomes of a node that is woken by hand; `says` is what says when it is there: `its line says`.
pub(crate) fn called(node: &Node, says: &str) -> String {
    let name = safe(&node.name);
    match (node.admin_state, node.pool) {
        (AdminState::Disabled, _) => {
            format!("{name} is woken, but stays disabled: no requests, no checks until it is enabled")
        }
        (_, Pool::Active) => {
            format!("{name} is awake as far as is known; the packet that wakes it was sent, once")
        }
        (_, Pool::Standby | Pool::Asleep) => format!("{name} is being woken; {says} when it is there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_waking_fits_the_state_of_the_node() {
        let mut node = crate::samples::nodes().remove(0);
        for (state, pool, expected) in [
            (AdminState::Enabled, Pool::Asleep, "gpu1 is being woken; its line says when it is there"),
            (AdminState::Draining, Pool::Standby, "gpu1 is being woken; its line says when it is there"),
            (AdminState::Enabled, Pool::Active, "awake as far as is known"),
            (AdminState::Disabled, Pool::Standby, "stays disabled"),
        ] {
            (node.admin_state, node.pool) = (state, pool);
            let said = called(&node, "its line says");
            assert!(said.contains(expected), "{state:?} {pool:?}: {said}");
        }
    }
}
