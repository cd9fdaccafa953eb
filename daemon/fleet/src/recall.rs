//! Keeping what was learned of the nodes over a restart, and what those have that may sleep. It is an estimate: what cannot
//! be read is learned anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use aivonx_scheduler::{ModelMemo, NodeMemo};
use aivonx_store::{Store, StoreError};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Mutex;

use super::{health::Checker, kept_inventory::KeptInventory};

/// Time between two writes.
const EVERY: Duration = Duration::from_secs(120);

/// Under this key lies what is known of models on all nodes; all others are ids of nodes, those of what they have after
/// [`INVENTORY`].
const MODELS: &str = "models";
const INVENTORY: &str = "inventory:";

/// What was learned, by ids of nodes and names of models.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Memo {
    pub(super) nodes: BTreeMap<String, NodeMemo<String>>,
    pub(super) models: BTreeMap<String, ModelMemo>,
}

/// What was kept.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    pub(super) memo: Memo,
    /// What nodes have that may sleep, by their ids.
    pub(super) inventories: BTreeMap<String, KeptInventory>,
}

/// What was learned, as it is kept.
#[derive(Debug)]
pub(super) struct Recall {
    store: Store,
    checker: Arc<Checker>,
    /// Held while it is written.
    kept: Mutex<KeptTexts>,
}

#[derive(Debug, Default)]
struct KeptTexts {
    texts: BTreeMap<String, String>,
    /// Nodes whose inventories are too large, which was logged.
    too_large: BTreeSet<String>,
}

impl Recall {
    /// Reads what was kept.
    ///
    /// # Errors
    /// If the store is closed. What cannot be read is left out, and logged.
    pub(super) async fn open(store: Store, checker: Arc<Checker>) -> Result<(Self, Recalled), StoreError> {
        let (mut recalled, mut kept, mut damaged) = (Recalled::default(), BTreeMap::new(), 0_u64);
        let Recalled { memo, inventories } = &mut recalled;
        for (key, text) in store.learned().load().await? {
            // Others keep what they learned there, too.
            if key.contains(':') && !key.starts_with(INVENTORY) {
                continue;
            }
            let text = text.unwrap_or_default();
            let read = if key == MODELS {
                read(&text).map(|models| memo.models = models)
            } else if let Some(id) = key.strip_prefix(INVENTORY) {
                KeptInventory::read(&text).map(|kept| drop(inventories.insert(id.to_owned(), kept)))
            } else {
                read(&text).map(|node| drop(memo.nodes.insert(key.clone(), node)))
            };
            damaged += u64::from(read.is_none());
            kept.insert(key, text);
        }
        if damaged > 0 {
            tracing::warn!(
                event = "learned_lost",
                count = damaged,
                "what was learned of nodes and cannot be read is learned anew"
            );
        }
        Ok((
            Self { store, checker, kept: Mutex::new(KeptTexts { texts: kept, ..KeptTexts::default() }) },
            recalled,
        ))
    }

    /// Keeps what was learned until now. A failure is logged: what was kept before stays.
    pub(super) async fn keep(&self) {
        let mut kept = self.kept.lock().await;
        let registry = &self.checker.registry;
        let Memo { nodes, models } = registry.dispatch.memo();
        let mut now: BTreeMap<String, String> =
            nodes.into_iter().filter_map(|(id, node)| Some((id, write(&node)?))).collect();
        now.extend(write(&models).map(|models| (MODELS.to_owned(), models)));
        let mut too_large = BTreeSet::new();
        for (id, inventory) in registry.inventories_of_sleepers() {
            match inventory.write() {
                Some(text) => drop(now.insert(format!("{INVENTORY}{id}"), text)),
                None => drop(too_large.insert(id)),
            }
        }
        for node in too_large.difference(&kept.too_large).filter_map(|id| registry.record(id)) {
            tracing::warn!(event = "inventory_too_large", node = %node.name,
                organization = node.organization.as_deref(),
                "the node's list of models is too large to be kept: after a restart no request wakes it until it was awake");
        }
        kept.too_large = too_large;
        let keys: BTreeSet<&String> = kept.texts.keys().chain(now.keys()).collect();
        let changed = keys.into_iter().filter(|key| kept.texts.get(*key) != now.get(*key));
        let changed: Vec<_> = changed.map(|key| (key.clone(), now.get(key).cloned())).collect();
        if changed.is_empty() {
            return;
        }
        match self.store.learned().save(changed).await {
            Ok(()) => kept.texts = now,
            Err(error) => {
                tracing::warn!(event = "learned_lost", %error, "what was learned of the nodes is not kept");
            }
        }
    }

    /// Keeps what is learned from time to time.
    pub(super) async fn keep_on(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.keep().await;
        }
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// None of what is no number.
fn write<T: Serialize>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::node::{AdminState, Pool, Wake};
    use aivonx_scheduler::Answer;

    use crate::{
        Place, RoutingRules, Want, Work,
        service::tests::{ALL, Rig},
        testing::FakeNode,
    };

    const WANT: Want<'_> = Want {
        overflow: crate::Overflow { after: 0.0, otherwise: None },
        model: Some("m"),
        granted: false,
        ollama: Some((0, 0, 0)),
        openai: true,
        api: 0,
        eligible: &RoutingRules::ALL,
    };

    fn load_predicted(rig: &Rig) -> f64 {
        let work = Work { prompt: 1000, streams: true, ..Work::default() };
        match rig.fleet.hot().load().place(WANT, work, &[]).unwrap() {
            Place::Now(lease) => lease.predicted().unwrap().load,
            Place::Waits(_) => panic!("nothing else runs"),
        }
    }

    /// A request is served that took so many seconds to load its model.
    fn serve(rig: &Rig, load: f64) {
        let Place::Now(mut lease) = rig.fleet.hot().load().place(WANT, Work::default(), &[]).unwrap() else {
            panic!("nothing else runs");
        };
        lease.answered(Answer { load: Some(load), ..Answer::default() });
    }

    async fn taught() -> (Rig, FakeNode) {
        let rig = Rig::new().await;
        let node = FakeNode::ollama(&["m:latest"]).await;
        rig.add("gpu1", &node).await;
        assert!(load_predicted(&rig) < 60.0);
        serve(&rig, 100.0);
        (rig, node)
    }

    #[tokio::test]
    async fn what_was_learned_survives_a_restart() {
        let (rig, _node) = taught().await;
        let rig = rig.restart().await;
        assert!((load_predicted(&rig) - 100.0).abs() < 1.0, "{}", load_predicted(&rig));
        // A node that is gone is forgotten.
        rig.fleet.remove(ALL, "gpu1", None).await.unwrap();
        let rig = rig.restart().await;
        let kept: Vec<_> =
            rig.store.learned().load().await.unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(kept, ["models"]);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_learned_anew() {
        let (rig, _node) = taught().await;
        rig.fleet.stop().await;
        let kept = rig.store.learned().load().await.unwrap();
        let damaged = kept.into_iter().map(|(key, _)| (key, Some("{\"learned\": 7".to_owned()))).collect();
        rig.store.learned().save(damaged).await.unwrap();
        let rig = rig.reopened().await;
        assert!(load_predicted(&rig) < 60.0);
        serve(&rig, 50.0);
        let rig = rig.restart().await;
        assert!((load_predicted(&rig) - 50.0).abs() < 1.0);
    }

    #[tokio::test]
    async fn a_node_that_sleeps_at_the_start_is_woken_for_what_it_had() {
        let rig = Rig::new().await;
        let node = FakeNode::ollama(&["m:latest"]).await;
        rig.add("gpu1", &node).await;
        let wake = Wake {
            mac: "aa:bb:cc:dd:ee:ff".to_owned(),
            address: Some("127.0.0.1:9".to_owned()),
            idle_seconds: None,
        };
        rig.fleet.set_wake(ALL, "gpu1", Some(wake)).await.unwrap();
        let address = node.address.to_string();
        drop(node);
        let rig = rig.restart().await;
        assert_eq!(rig.pool("gpu1"), Pool::Asleep);
        let waits = rig.fleet.hot().load().place(WANT, Work::default(), &[]).unwrap();
        assert!(matches!(waits, Place::Waits(_)));
        // What it has is known over restarts in which it is not used, too.
        let set = async |rig: &Rig, state| {
            rig.fleet.set_state(ALL, "gpu1", None, state).await.unwrap();
        };
        set(&rig, AdminState::Disabled).await;
        let rig = rig.restart().await.restart().await;
        assert_eq!(rig.pool("gpu1"), Pool::Standby);
        set(&rig, AdminState::Enabled).await;
        let rig = rig.restart().await;
        assert_eq!(rig.pool("gpu1"), Pool::Asleep);
        // One that is awake takes requests after its first check as ever.
        let node = FakeNode::at(&address).await;
        node.become_ollama(&["m:latest"]);
        let rig = rig.restart().await;
        assert!(rig.fleet.check(ALL, "gpu1").await.unwrap().healthy);
        assert_eq!(rig.pool("gpu1"), Pool::Active);
        // And one that nobody can wake is down.
        rig.fleet.set_wake(ALL, "gpu1", None).await.unwrap();
        drop(node);
        let rig = rig.restart().await;
        assert_eq!(rig.pool("gpu1"), Pool::Standby);
    }
}
