//! Which process runs on which core.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Cores for the three kinds of process; `None` leaves the process where it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Placement {
    /// The proxies.
    pub(crate) proxy: Option<usize>,
    /// The load generator.
    pub(crate) load: Option<usize>,
    /// The fake node.
    pub(crate) node: Option<usize>,
}

impl Placement {
    /// The proxy gets a core of its own if there are two; load and node share the other, or take one each.
    pub(crate) fn choose() -> Self {
        let Ok(allowed) = sched_getaffinity(None) else { return Self::default() };
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        match cores.as_slice() {
            [] | [_] => Self::default(),
            [proxy, other] => Self { proxy: Some(*proxy), load: Some(*other), node: Some(*other) },
            [proxy, load, node, ..] => Self { proxy: Some(*proxy), load: Some(*load), node: Some(*node) },
        }
    }

    /// One line for people.
    pub(crate) fn describe(self) -> String {
        match (self.proxy, self.load, self.node) {
            (Some(proxy), Some(load), Some(node)) if load == node => {
                format!("proxy on core {proxy}, load and node on core {load}")
            }
            (Some(proxy), Some(load), Some(node)) => {
                format!("proxy on core {proxy}, load on core {load}, node on core {node}")
            }
            _ => "one core for everything, so expect noise".to_owned(),
        }
    }
}

/// Keeps the calling thread, and what it starts, on `core`.
pub(crate) fn pin(core: usize) -> rustix::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
}
