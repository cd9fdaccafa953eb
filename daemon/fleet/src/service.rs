//! The fleet service: what administrators and the data path ask of the fleet.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aivonx_config::Health;
use aivonx_domain::TenantScope;
use aivonx_protocol::node::{AdminState, NewNode, Node, NodeChange, Probe, Probed};
use aivonx_store::{Follower, InForce, PlacementRecord, Store, StoreError, node::NodeRecord, secrets::Vault};
use tokio::{
    runtime::Handle,
    sync::{broadcast, mpsc},
    task::{JoinHandle, JoinSet},
};
use uuid::Uuid;

use super::{
    AbortOnDrop, Hot, Jobs, add,
    bounds::{Bounds, Grounds},
    contexts::Contexts,
    copies::Copies,
    doubt::Traffic,
    drift,
    entry::{LOOKS, Prepared},
    error::FleetError,
    health::{Checker, Tasks},
    job_run::until_unloaded,
    probe::REFUSED,
    recall::Recall,
    record,
    registry::Registry,
    see_through::Loading,
    simulated,
    strategies::Strategies,
    update,
    watch::Told,
};

/// Reports of the data path that may wait; further ones are dropped, since a storm of them says no more.
const REPORTS: usize = 1024;

/// How long the start waits for first answers, so that a daemon that serves already has a catalogue.
const FIRST_CHECKS: Duration = Duration::from_secs(1);

/// How long a request for a model that nobody knows waits for the nodes to say whether they have it.
const LOOK: Duration = Duration::from_secs(2);

/// The nodes and everything about them. Lives on the control plane; the data path has [`Hot`] and
/// [`Fleet::report`].
#[derive(Debug)]
pub struct Fleet {
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) checker: Arc<Checker>,
    grounds: Arc<Grounds>,
    pub(super) tasks: Tasks,
    jobs: Jobs,
    pub(super) loading: Loading,
    pub(super) copies: Arc<Copies>,
    reports: mpsc::Sender<Report>,
    in_force: InForce,
    /// Held from a write to the store until it is taken in here, so that changes come in the store's order.
    edits: tokio::sync::Mutex<()>,
    /// When [`Fleet::look_again`] last began. Held while it goes on, so that those who ask meanwhile wait for the same.
    looked: tokio::sync::Mutex<Option<Instant>>,
    background: Mutex<Vec<JoinHandle<()>>>,
    recall: Arc<Recall>,
    /// What models are made of, as far as it was asked for.
    pub(super) weights: drift::Known,
}

#[derive(Debug)]
struct Report {
    node: Arc<str>,
    traffic: Traffic,
}

impl Fleet {
    /// Reads the nodes from `store` and begins to check them. Waits for the first answers, a second at most.
    /// `connect_timeout` bounds connecting to a node, TLS included; `contexts` says what models are loaded with. To be
    /// called on the control plane's runtime, which carries everything the fleet does.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn start(
        store: Store,
        vault: Vault,
        health: Health,
        connect_timeout: Duration,
        contexts: Contexts,
    ) -> Result<Arc<Self>, FleetError> {
        simulated::forget_all(&store).await?;
        let runtime = Handle::current();
        let follower = Follower::new(&store);
        let strategies = Strategies::load(&store.settings()).await?;
        let checker = Arc::new(Checker::new(
            Registry::new(strategies, health),
            store.nodes(),
            connect_timeout,
            contexts,
        ));
        let (reports, inbox) = mpsc::channel(REPORTS);
        let (recall, mut recalled) = Recall::open(store.clone(), checker.clone()).await?;
        let fleet = Arc::new(Self {
            tasks: Tasks::new(checker.clone(), runtime.clone()),
            jobs: Jobs::new(checker.clone(), runtime),
            loading: Loading::default(),
            copies: Arc::default(),
            grounds: Grounds::new(&checker.registry.hot()),
            in_force: follower.in_force(),
            store,
            vault,
            checker: checker.clone(),
            reports,
            edits: tokio::sync::Mutex::default(),
            looked: tokio::sync::Mutex::default(),
            background: Mutex::default(),
            recall: Arc::new(recall),
            weights: drift::Known::default(),
        });
        let background = [
            tokio::spawn(take_reports(checker.clone(), inbox)),
            follower.follow(&fleet),
            tokio::spawn(look_every_second(checker.clone())),
            tokio::spawn(fleet.recall.clone().keep_on()),
            tokio::spawn(Self::keep_copies(Arc::downgrade(&fleet))),
        ];
        fleet.background.lock().unwrap_or_else(PoisonError::into_inner).extend(background);

        fleet.sync_tenants().await?;
        fleet.sync_copies().await?;
        fleet.sync_traits().await?;
        fleet.sync_wakes().await?;
        let mut first = JoinSet::new();
        for node in fleet.store.nodes().list().await? {
            let (id, enabled) = (node.id.clone(), node.admin_state != AdminState::Disabled);
            let at = fleet.restore(&node).await?;
            checker.registry.apply(node, at, None);
            if let Some(kept) = recalled.inventories.remove(&id) {
                checker.registry.slept(&id, kept);
            }
            if enabled {
                let (checker, id) = (checker.clone(), id.clone());
                first.spawn(async move { checker.check(&id).await });
            }
            fleet.tasks.watch(&id, true);
        }
        checker.registry.dispatch.recall(recalled.memo);
        let all = async { while first.join_next().await.is_some() {} };
        if tokio::time::timeout(FIRST_CHECKS, all).await.is_err() {
            first.detach_all();
        }
        Ok(fleet)
    }

    /// Says where the gateway itself listens: no node is looked for there.
    pub fn listens_on(&self, addresses: &[SocketAddr]) {
        self.grounds.set_own(addresses);
    }

    /// The pointer to the snapshots.
    #[must_use]
    pub fn hot(&self) -> Arc<Hot> {
        self.checker.registry.hot()
    }

    /// Every change of any node from now on.
    pub(super) fn changes(&self) -> broadcast::Receiver<Told> {
        self.checker.registry.changes()
    }

    /// All nodes within reach, by name.
    #[must_use]
    pub fn list(&self, reach: &TenantScope) -> Vec<Node> {
        self.checker.registry.views(&reach.into())
    }

    /// One node, by its name or id.
    ///
    /// # Errors
    /// [`FleetError::UnknownNode`], with names like it.
    pub fn show(&self, reach: &TenantScope, node: &str) -> Result<Node, FleetError> {
        let id = self.checker.registry.resolve(&reach.into(), node)?;
        self.view(reach, &id)
    }

    /// Probes a node and adds it. A node that does not answer at all is added too, as standby, and taken in
    /// when it answers; a server that answers but is no node is refused unless its kind is given or forced.
    /// One who reaches but an organization adds nodes for that alone.
    ///
    /// # Errors
    /// A field is wrong, the name is taken, the organization is not there or not the caller's.
    pub async fn add(&self, reach: &TenantScope, new: NewNode) -> Result<Probe, FleetError> {
        add::add(self, reach, new, Uuid::now_v7().to_string(), false).await
    }

    /// The same for a node of which nothing is known but that it is wanted: whatever answers there, it is added, and
    /// taken in once it turns out to be a node.
    ///
    /// # Errors
    /// As [`Self::add`], but for a server that is no node.
    pub async fn add_whatever(&self, reach: &TenantScope, new: NewNode) -> Result<Probe, FleetError> {
        add::add(self, reach, new, Uuid::now_v7().to_string(), true).await
    }

    /// Asks a server what it is, as if it were to be added. Adds and changes nothing.
    ///
    /// # Errors
    /// A field that decides about asking is wrong. What the server says is no error.
    pub async fn probe(&self, reach: &TenantScope, new: &NewNode) -> Result<Probed, FleetError> {
        add::probe(self, reach, new).await
    }

    /// Asks a node what it is, as if it were changed so. Changes nothing. The stored credential goes to the node's own
    /// address alone: for another one it has to be given.
    ///
    /// # Errors
    /// A field is wrong, there is no such node within reach, or the credential has to be given.
    pub async fn probe_change(
        &self,
        reach: &TenantScope,
        node: &str,
        change: &NodeChange,
    ) -> Result<Probed, FleetError> {
        update::probe(self, reach, node, change).await
    }

    /// Changes fields of a node. `revision` is the one the caller saw; None changes any revision. A node that is
    /// moved is probed first, so that it goes on serving if it can. One assigned to another
    /// organization finishes what it works on and takes new requests of the new one alone; assigning is for
    /// those who reach the whole fleet.
    ///
    /// # Errors
    /// A field is wrong, there is no such node within reach, or it has changed.
    pub async fn set(
        &self,
        reach: &TenantScope,
        node: &str,
        revision: Option<u64>,
        change: NodeChange,
    ) -> Result<Node, FleetError> {
        update::set(self, reach, node, revision, change).await
    }

    /// Enables, drains or disables a node. One that is enabled again is checked at once.
    ///
    /// # Errors
    /// There is no such node within reach, or it has changed.
    pub async fn set_state(
        &self,
        reach: &TenantScope,
        node: &str,
        revision: Option<u64>,
        state: AdminState,
    ) -> Result<Node, FleetError> {
        update::set_state(self, reach, node, revision, state).await
    }

    /// Forgets a node; the requests it is working on end.
    ///
    /// # Errors
    /// There is no such node within reach, or it has changed.
    pub async fn remove(
        &self,
        reach: &TenantScope,
        node: &str,
        revision: Option<u64>,
    ) -> Result<(), FleetError> {
        let id = self.checker.registry.resolve(&reach.into(), node)?;
        let _turn = self.edits.lock().await;
        self.store.nodes().within().remove(reach, &id, revision).await?;
        self.forget(&id);
        Ok(())
    }

    /// Checks a node now.
    ///
    /// # Errors
    /// [`FleetError::UnknownNode`].
    pub async fn check(&self, reach: &TenantScope, node: &str) -> Result<Probe, FleetError> {
        let id = self.checker.registry.resolve(&reach.into(), node)?;
        let finding = self.checker.check(&id).await.ok_or_else(|| FleetError::gone(node))?;
        Ok(Probe { node: self.view(reach, &id)?, finding: finding.text, healthy: finding.healthy })
    }

    /// The nodes that refuse their credential, and what they said.
    #[must_use]
    pub fn refusing(&self) -> Vec<(String, String)> {
        let refused = |node: Node| {
            let said = node.last_error.filter(|why| why.contains(REFUSED))?;
            Some((node.name, said.replace(REFUSED, "")))
        };
        self.list(&TenantScope::All).into_iter().filter_map(refused).collect()
    }

    /// From now on checks nodes so.
    pub fn set_health(&self, health: Health) {
        self.checker.set_health(health);
    }

    /// Returns once what others changed of organizations and placements holds for the nodes.
    ///
    /// # Errors
    /// As of [`InForce::settle`].
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.in_force.settle().await
    }

    /// The jobs.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Takes a report of real traffic about the node with this id. Never blocks; for any thread.
    pub fn report(&self, node: Arc<str>, traffic: Traffic) {
        // Full means that the control plane has a thousand of them to draw the same conclusion from.
        let _ = self.reports.try_send(Report { node, traffic });
    }

    /// Looks at once at what the nodes have: someone asks for a model that none is known to have. At most once a second;
    /// returns when the nodes have said so, or after [`LOOK`].
    pub async fn look_again(&self) {
        let asked = Instant::now();
        let mut last = self.looked.lock().await;
        if last.is_some_and(|at| at + LOOKS > asked) {
            return;
        }
        *last = Some(Instant::now());
        let mut looks = JoinSet::new();
        for id in self.checker.registry.may_look() {
            let checker = self.checker.clone();
            looks.spawn(async move { checker.check(&id).await });
        }
        let all = async { while looks.join_next().await.is_some() {} };
        if tokio::time::timeout(LOOK, all).await.is_err() {
            looks.detach_all();
        }
    }

    /// Ends checks and jobs, and keeps what was learned.
    pub async fn stop(&self) {
        self.recall.keep().await;
        self.jobs.stop().await;
        self.tasks.stop();
        let background = std::mem::take(&mut *self.background.lock().unwrap_or_else(PoisonError::into_inner));
        background.into_iter().for_each(|task| task.abort());
    }

    pub(super) async fn edit(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.edits.lock().await
    }

    pub(super) fn view(&self, reach: &TenantScope, id: &str) -> Result<Node, FleetError> {
        self.checker.registry.view(&reach.into(), id).ok_or_else(|| FleetError::gone(id))
    }

    /// The id of an organization that a node may be assigned to, by its slug or id.
    pub(super) async fn organization(&self, reach: &TenantScope, wanted: &str) -> Result<String, FleetError> {
        let record = self.store.organizations().find(reach, None, wanted).await?;
        // It may have been made a moment ago, and its name is wanted at once.
        self.checker.registry.know_tenant(&record);
        Ok(record.id)
    }

    /// What a node is called that one of `reach` calls `name`.
    ///
    /// # Errors
    /// It is no name for a node; or the store fails.
    pub(super) async fn full_name(&self, reach: &TenantScope, name: &str) -> Result<String, FleetError> {
        record::check_name(name)?;
        let Some(id) = reach.organization() else { return Ok(name.to_owned()) };
        let organization = self.store.organizations().find(&TenantScope::All, None, id).await?;
        let full = record::full_name(&organization.slug, name);
        record::check_name(&full)?;
        Ok(full)
    }

    /// To what a node is held whose address somebody of this organization named, or somebody of none.
    pub(super) async fn bounds(&self, node: &str, organization: Option<&str>) -> Result<Bounds, StoreError> {
        let networks = match organization {
            Some(organization) => Some(self.store.placements().of(organization).await?.networks),
            None => None,
        };
        Ok(Bounds::new(&self.grounds, node, networks.as_deref()))
    }

    /// To what a node is held whose address is as it was.
    pub(super) async fn bounds_of(&self, node: &NodeRecord) -> Result<Bounds, StoreError> {
        let placement = match &node.organization {
            Some(organization) => self.store.placements().of(organization).await?,
            None => PlacementRecord::default(),
        };
        let networks = placement.nodes.contains(&node.id).then_some(&*placement.networks);
        Ok(Bounds::new(&self.grounds, &node.id, networks))
    }

    /// The endpoint of a stored record.
    pub(super) async fn restore(&self, node: &NodeRecord) -> Result<Prepared, StoreError> {
        Ok(record::restore(&self.vault, node, self.bounds_of(node).await?))
    }

    pub(super) fn keep_checking(&self, id: &str) {
        self.tasks.watch(id, true);
    }

    pub(super) fn forget(&self, id: &str) {
        self.tasks.forget(id);
        self.checker.registry.remove(id);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let background = self.background.get_mut().unwrap_or_else(PoisonError::into_inner);
        background.iter().for_each(JoinHandle::abort);
    }
}

async fn take_reports(checker: Arc<Checker>, mut inbox: mpsc::Receiver<Report>) {
    // Nodes that are looked at until a model has left their memory.
    let mut unloading: HashMap<(Arc<str>, Box<str>), AbortOnDrop<()>> = HashMap::new();
    while let Some(Report { node, traffic }) = inbox.recv().await {
        let unloads = if let Traffic::Unloads(model) = &traffic { Some(model.clone()) } else { None };
        checker.registry.traffic(&node, traffic);
        let Some(model) = unloads else { continue };
        unloading.retain(|_, looks| !looks.0.is_finished());
        unloading.entry((node.clone(), model.clone())).or_insert_with(|| {
            let checker = checker.clone();
            AbortOnDrop(tokio::spawn(async move { until_unloaded(&checker, &node, &model).await }))
        });
    }
}

async fn look_every_second(checker: Arc<Checker>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut last = seconds.tick().await;
    loop {
        let now = seconds.tick().await;
        checker.registry.look((now - last).as_secs().max(1));
        last = now;
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
pub(super) mod tests;
