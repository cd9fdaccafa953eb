//! What a check or a job needs to talk to a node.

use std::{collections::BTreeMap, sync::Arc};

use aivonx_protocol::node::{AdminState, NodeKind, Pool};
use aivonx_store::NodeWakeRecord;
use tokio::sync::{Mutex, Notify};

use super::{
    Live,
    entry::{Entry, Prepared},
    sleep::Called,
};

#[derive(Debug, Clone)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) name: String,
    /// Id of the organization it is assigned to alone.
    pub(super) organization: Option<String>,
    pub(super) kind: NodeKind,
    pub(super) kind_assumed: bool,
    pub(super) admin_state: AdminState,
    pub(super) active: bool,
    /// It may sleep, and is not to be asked.
    pub(super) sleeps: bool,
    /// How it is woken, if it may sleep.
    pub(super) wake: Option<NodeWakeRecord>,
    /// Called when it is to be woken.
    pub(super) called: Arc<Called>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) at: Prepared,
    pub(super) live: Arc<Live>,
    pub(super) checking: Arc<Mutex<()>>,
    /// Notified when real traffic is reason to check it now.
    pub(super) doubted: Arc<Notify>,
}

impl Entry {
    pub(super) fn contact(&self) -> Contact {
        Contact {
            id: self.record.id.clone(),
            name: self.record.name.clone(),
            organization: self.record.organization.clone(),
            kind: self.record.kind,
            kind_assumed: self.record.kind_assumed,
            admin_state: self.record.admin_state,
            active: self.pool == Pool::Active && self.record.admin_state == AdminState::Enabled,
            sleeps: self.pool == Pool::Asleep && self.record.admin_state == AdminState::Enabled,
            wake: self.wake.clone(),
            called: self.called.clone(),
            labels: self.record.labels.clone(),
            at: self.at.clone(),
            live: self.live.clone(),
            checking: self.checking.clone(),
            doubted: self.doubted.clone(),
        }
    }
}
