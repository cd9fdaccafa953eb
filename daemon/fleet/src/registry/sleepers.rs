//! Nodes that may sleep.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use aivonx_protocol::node::Pool;
use aivonx_store::NodeWakeRecord;

use super::{Contact, Registry, log_move};
use crate::{entry::Entry, kept_inventory::KeptInventory};

impl Registry {
    /// Takes in how nodes are woken.
    pub(crate) fn set_wakes(&self, wakes: Vec<NodeWakeRecord>) {
        let wakes: HashMap<String, NodeWakeRecord> =
            wakes.into_iter().map(|record| (record.id.clone(), record)).collect();
        for id in self.ids() {
            self.on_node(&id, |entry, _| entry.set_wake(wakes.get(&id).cloned()));
        }
        self.lock().wakes = wakes;
    }

    /// From now on these nodes, and no others, are not left alone though nobody asks them.
    pub(crate) fn keep_awake(&self, ids: &HashSet<String>) {
        for (id, entry) in &mut self.lock().nodes {
            entry.stays_awake(ids.contains(id), Instant::now());
        }
    }

    /// Leaves a node alone, so that it may sleep, if it is time for that.
    pub(crate) fn rests(&self, node: &Contact) {
        let moved = self.on_node(&node.id, |entry, _| entry.rests(Instant::now())).flatten();
        moved.into_iter().for_each(|(moved, why)| log_move(&node.into(), moved, why));
    }

    /// How a node is to be woken now that its checks find it down, if it may sleep and a packet is due.
    pub(crate) fn is_to_be_woken(&self, id: &str) -> Option<NodeWakeRecord> {
        self.lock().nodes.get_mut(id)?.is_to_be_woken(Instant::now())
    }

    /// Takes in what a node had before the start.
    pub(crate) fn slept(&self, id: &str, kept: KeptInventory) {
        self.on_node(id, |entry, _| entry.slept(kept));
    }

    /// What the nodes have that may sleep, by their ids.
    pub(crate) fn inventories_of_sleepers(&self) -> Vec<(String, KeptInventory)> {
        let state = self.lock();
        let sleepers = state.nodes.iter().filter(|(_, entry)| entry.wake.is_some());
        let kept = |entry: &Entry| {
            let (url, kind) = (entry.record.url.clone(), entry.record.kind);
            Some(KeptInventory { url, kind, inventory: entry.sight.clone()? })
        };
        sleepers.filter_map(|(id, entry)| Some((id.clone(), kept(entry)?))).collect()
    }

    /// Whether a node may sleep now.
    pub(crate) fn sleeps(&self, id: &str) -> bool {
        self.lock().nodes.get(id).is_some_and(|entry| entry.pool == Pool::Asleep)
    }

    /// A node was called in vain.
    pub(crate) fn does_not_wake(&self, node: &Contact) {
        let moved = self.on_node(&node.id, |entry, _| entry.does_not_wake(Instant::now())).flatten();
        moved.into_iter().for_each(|moved| log_move(&node.into(), moved, "it does not wake"));
    }
}
