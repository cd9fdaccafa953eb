#[cfg(feature = "cluster")]
mod bank;
mod child;
mod damage;
#[cfg(feature = "cluster")]
mod database;
mod failing;
mod interrupted;
mod kill;
mod layout;
mod losses;
mod migration;
mod odd;
mod records;
mod snapshots;
mod tenants;

use std::{collections::BTreeMap, path::Path, time::Duration};

use aivonx_protocol::{
    Fault,
    node::{AdminState, NodeKind},
};

use super::*;
pub(crate) use crate::testing::copy;

pub(super) fn options() -> StoreOptions {
    StoreOptions {
        cache_bytes: 16 << 20,
        snapshots: 3,
        // Snapshots are taken by hand in tests.
        snapshot_interval: Duration::from_secs(86_400),
        open_deadline: Duration::from_secs(10),
        operation_deadline: Duration::from_secs(20),
    }
}

pub(super) fn node(name: &str) -> NodeRecord {
    NodeRecord {
        max_parallel: 4,
        labels: BTreeMap::from([("site".into(), "west".into())]),
        ..NodeRecord::new(name, &format!("http://{name}.example:11434"))
    }
}

pub(super) async fn open(dir: &Path) -> Store {
    Store::open(dir, &options()).await.unwrap()
}

/// Number of the step of [`super::files`] after which a child ends, as if it had been killed.
pub(super) const END_AT: &str = "AIVONX_TEST_END_AT";

/// How often something is killed: a few times, or as often as `AIVONX_TEST_KILLS` asks for.
pub(crate) fn kills(few: usize) -> usize {
    std::env::var("AIVONX_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(few)
}
