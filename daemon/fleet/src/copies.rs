//! Models that are kept loaded: what administrators ask for, and the task that sees to it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use aivonx_domain::{TenantScope, model_name, now};
use aivonx_protocol::{job::JobState, model::Placement, node::AdminState};
use aivonx_store::CopiesRecord;
use serde_json::{Map, Value, json};
use tokio::{sync::Notify, time::timeout};

use super::{
    Fleet,
    error::FleetError,
    inventory::Inventory,
    job_state::Deed,
    jobs::check_name,
    keep::{Efforts, Spot, Step},
    memory,
    node_scope::NodeScope,
    registry::Contact,
    sanitize::shown,
};

/// Most nodes that one model is kept on.
const COPIES_MAX: u32 = 1000;

/// Most placements of one organization, or of the fleet.
const MOST: usize = 500;

/// How long a copy stays that nobody asks for: as long as the gateway is there it is asked for in time.
const KEEP: &str = "15m";

/// Longest time between two looks at what is kept. Changes of nodes and of what is to be kept are looked at at once.
const LOOK: Duration = Duration::from_secs(1);

/// What is to be kept loaded, and what is done for it.
#[derive(Debug, Default)]
pub(super) struct Copies {
    records: Mutex<Vec<CopiesRecord>>,
    efforts: Mutex<Efforts>,
    changed: Notify,
}

impl Copies {
    pub(super) fn set(&self, records: Vec<CopiesRecord>) {
        let mut efforts = self.efforts();
        let mut old = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().filter(|record| !old.contains(record)).for_each(|record| efforts.anew(&record.normal));
        *old = records;
        self.changed.notify_one();
    }

    fn all(&self) -> Vec<CopiesRecord> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whole at any time.
    fn efforts(&self) -> MutexGuard<'_, Efforts> {
        self.efforts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a placement is to be.
#[derive(Debug, Clone)]
pub struct NewPlacement {
    /// The model.
    pub model: String,
    /// On how many nodes.
    pub copies: u32,
    /// Only on the node of this name, or on those with this label.
    pub on: Option<String>,
    /// Whether it stays without an end.
    pub pin: bool,
    /// Whether it is pulled where it is missing.
    pub pull: bool,
}

impl Fleet {
    /// Keeps a model loaded from now on. One who reaches but an organization keeps it on that one's nodes.
    ///
    /// # Errors
    /// A field is wrong, there is no such node within reach, or there are too many placements.
    pub async fn place_model(
        &self,
        reach: &TenantScope,
        place: NewPlacement,
    ) -> Result<Placement, FleetError> {
        check_name(&place.model)?;
        if !(1..=COPIES_MAX).contains(&place.copies) {
            let message = format!("{} is no number of copies", place.copies);
            let fix = format!("use a number from 1 to {COPIES_MAX}, or --remove");
            return Err(FleetError::field("copies", message, &fix));
        }
        let scope = NodeScope::from(reach);
        let mut place = place;
        if let Some(on) = place.on.as_mut().filter(|on| !on.contains('=')) {
            let id = self.checker.registry.resolve(&scope, on)?;
            // Those of an organization may leave its slug out of the name.
            *on = self.checker.registry.contact(&id).map_or(id, |node| node.name);
        }
        let owner = scope.organization().map(str::to_owned);
        let normal = model_name::normalize(&place.model).into_owned();
        let records = self.store.copies();
        let record = match records.by_name(reach, owner.as_deref(), &normal).await? {
            Some(old) => {
                let NewPlacement { model, copies, on, pin, pull } = place;
                let change = move |new: &mut CopiesRecord| {
                    (new.model, new.copies, new.on, new.pin, new.pull) = (model, copies, on, pin, pull);
                };
                records.update(reach, &old.id, None, change).await?
            }
            None => {
                let others = records.list(reach).await?;
                if others.iter().filter(|other| other.organization == owner).count() >= MOST {
                    let message = format!("{MOST} models are kept loaded already, which is the most");
                    return Err(FleetError::field(
                        "model",
                        message,
                        "remove one: aivonx model place MODEL --remove",
                    ));
                }
                let NewPlacement { model, copies, on, pin, pull } = place;
                let (id, created, revision) = (String::new(), 0, 0);
                let organization = owner;
                let new = CopiesRecord {
                    id,
                    organization,
                    model,
                    normal,
                    copies,
                    on,
                    pin,
                    pull,
                    created,
                    revision,
                };
                records.insert(new).await?
            }
        };
        self.settle().await?;
        let model = shown(record.model.clone());
        tracing::info!(event = "model_placed", organization = record.organization.as_deref(), %model, copies = record.copies, "model is kept loaded");
        Ok(self.view_placement(record))
    }

    /// Keeps a model loaded no longer. What is loaded leaves when its node has other use for the memory.
    ///
    /// # Errors
    /// It is not kept loaded within reach.
    pub async fn unplace_model(&self, reach: &TenantScope, model: &str) -> Result<(), FleetError> {
        let scope = NodeScope::from(reach);
        let normal = model_name::normalize(model);
        let records = self.store.copies();
        let Some(record) = records.by_name(reach, scope.organization(), &normal).await? else {
            let message = format!("model '{}' is not kept loaded", shown(model.to_owned()));
            return Err(FleetError::field("model", message, "see `aivonx model place --list`"));
        };
        records.remove(reach, &record.id, None).await?;
        self.settle().await?;
        for (node, inventory) in self.checker.registry.inventories(&scope) {
            let holds = held(&inventory, &record.normal);
            if record.pin && holds.is_some_and(|left| left.is_none()) {
                // Without a time of its own it would stay for ever; now it is as long as the node is used to.
                let (connect, model) = (self.checker.connect, record.model.clone());
                let context = context(&inventory, &record.normal);
                tokio::spawn(async move {
                    let with = context.into_iter().collect();
                    // Best effort: whoever needs the memory has it leave anyway.
                    let _ = memory::load(&node.at.endpoint, connect, &model, &with).await;
                });
            }
        }
        Ok(())
    }

    /// The models that are kept loaded within reach, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn placements(&self, reach: &TenantScope) -> Result<Vec<Placement>, FleetError> {
        let records = self.store.copies().list(reach).await?;
        Ok(records.into_iter().map(|record| self.view_placement(record)).collect())
    }

    fn view_placement(&self, record: CopiesRecord) -> Placement {
        let nodes = self.nodes_for(&record);
        let efforts = self.copies.efforts();
        let (mut loaded, mut loading, mut lacks) = (Vec::new(), Vec::new(), None);
        for (node, inventory) in &nodes {
            if held(inventory, &record.normal).is_some() {
                loaded.push(node.name.clone());
            } else if efforts.is_under_way(&node.id, &record.normal) {
                loading.push(node.name.clone());
            } else if let Some(error) = efforts.error(&node.id, &record.normal) {
                lacks = Some(format!("{}: {error}", node.name));
            }
        }
        let have = nodes.iter().filter(|(_, inventory)| has(inventory, &record.normal)).count();
        if loaded.len() >= record.copies as usize {
            lacks = None;
        } else if lacks.is_none() && !record.pull && have < record.copies as usize {
            lacks = Some(format!("{have} of the active nodes for it have the model"));
        }
        let organization = record.organization.map(|id| self.checker.registry.slug(&id));
        let CopiesRecord { id, model, copies, on, pin, pull, created, revision, .. } = record;
        Placement {
            id,
            organization,
            model,
            copies,
            on,
            pin,
            pull,
            loaded,
            loading,
            lacks,
            created,
            revision,
        }
    }

    /// The nodes that a model may be kept on now, with what they have.
    fn nodes_for(&self, record: &CopiesRecord) -> Vec<(Contact, Arc<Inventory>)> {
        let reach = match &record.organization {
            Some(id) => TenantScope::Organization(id.clone()),
            None => TenantScope::All,
        };
        let mut nodes = self.checker.registry.inventories(&NodeScope::from(&reach));
        nodes.retain(|(node, _)| {
            node.active && node.admin_state == AdminState::Enabled && is_on(record, node)
        });
        nodes
    }

    /// Sees to it that what is to be kept loaded is. Ends with the fleet.
    pub(super) async fn keep_copies(fleet: Weak<Self>) {
        let Some(copies) = fleet.upgrade().map(|fleet| fleet.copies.clone()) else { return };
        loop {
            // Whatever changes is noticed at the next look.
            let _ = timeout(LOOK, copies.changed.notified()).await;
            let Some(fleet) = fleet.upgrade() else { return };
            fleet.look_after_copies();
        }
    }

    fn look_after_copies(self: &Arc<Self>) {
        let records = self.copies.all();
        if records.is_empty() {
            return;
        }
        let nodes: Vec<_> = records.iter().map(|record| self.nodes_for(record)).collect();
        let mut placed: HashMap<String, usize> = HashMap::new();
        for (record, nodes) in records.iter().zip(&nodes) {
            for (node, _) in nodes.iter().filter(|(_, inventory)| held(inventory, &record.normal).is_some()) {
                *placed.entry(node.id.clone()).or_default() += 1;
            }
        }
        for (record, nodes) in records.iter().zip(&nodes) {
            let spots: Vec<Spot> =
                nodes.iter().map(|(node, inventory)| spot(node, inventory, record)).collect();
            let steps = self.copies.efforts().steps(record, &spots, &placed, Instant::now());
            for step in steps {
                let Some((node, inventory)) = nodes.iter().find(|(node, _)| node.id == step.node()) else {
                    continue;
                };
                if self.copies.efforts().begin(&node.id, &record.normal) {
                    *placed.entry(node.id.clone()).or_default() += 1;
                    let context = context(inventory, &record.normal);
                    tokio::spawn(self.clone().carry_out(record.clone(), node.clone(), step, context));
                }
            }
        }
        let ids: Vec<String> = self.checker.registry.ids();
        let ids: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let models = records.iter().map(|record| &*record.normal).collect();
        self.copies.efforts().keep_only(&ids, &models);
    }

    async fn carry_out(
        self: Arc<Self>,
        record: CopiesRecord,
        node: Contact,
        step: Step,
        context: Option<(String, Value)>,
    ) {
        let keep_alive = if record.pin { json!(-1) } else { json!(KEEP) };
        let result = match step {
            Step::Load { pull, .. } => Some(self.load_copy(&record, &node, pull, keep_alive).await),
            Step::Stay { .. } => {
                let mut with: Map<String, Value> = context.into_iter().collect();
                with.insert("keep_alive".to_owned(), keep_alive);
                let asked = memory::load(&node.at.endpoint, self.checker.connect, &record.model, &with).await;
                self.checker.check(&node.id).await;
                asked.is_err().then(|| asked.map_err(|failed| shown(failed.to_string())))
            }
        };
        if let Some(Err(error)) = &result {
            tracing::warn!(event = "placement_failed", node = %node.name, organization = record.organization.as_deref(),
                model = %shown(record.model.clone()), %error, "a model that is to be kept loaded is not");
        }
        self.copies.efforts().end(&node.id, &record.normal, result, Instant::now());
        self.copies.changed.notify_one();
    }

    /// Loads the model on a node, in jobs that show what is done.
    async fn load_copy(
        &self,
        record: &CopiesRecord,
        node: &Contact,
        pull: bool,
        keep_alive: Value,
    ) -> Result<(), String> {
        let reach = match &record.organization {
            Some(id) => TenantScope::Organization(id.clone()),
            None => TenantScope::All,
        };
        let scope = NodeScope::from(&reach);
        let pull = pull.then_some(Deed::Pull { insecure: false });
        for deed in pull.into_iter().chain([Deed::Load { keep_alive: Some(keep_alive) }]) {
            let job = self.jobs().start(&scope, &record.model, deed, vec![node.clone()], Vec::new());
            let job = job.map_err(|error| error.to_string())?;
            let mut steps = self.jobs().follow(&reach, &job.id).map_err(|error| error.to_string())?;
            let ended = steps.wait_for(|job| job.state != JobState::Running).await;
            let ended = ended.map_err(|_| "the job was forgotten".to_owned())?;
            if ended.state != JobState::Done {
                let error = ended.targets.iter().find_map(|target| target.error.clone());
                return Err(error.unwrap_or_else(|| "the job was cancelled".to_owned()));
            }
        }
        Ok(())
    }
}

fn spot(node: &Contact, inventory: &Inventory, record: &CopiesRecord) -> Spot {
    Spot {
        node: node.id.clone(),
        has: has(inventory, &record.normal),
        held: held(inventory, &record.normal),
        loaded: inventory.loaded.len(),
    }
}

/// Whether a placement may be on a node. The fleet's is on an organization's own node only where that is named: requests
/// of others do not get there.
fn is_on(record: &CopiesRecord, node: &Contact) -> bool {
    let own = node.organization == record.organization;
    match record.on.as_deref().map(|on| on.split_once('=').ok_or(on)) {
        None => own,
        Some(Ok((label, value))) => own && node.labels.get(label).is_some_and(|found| found == value),
        Some(Err(name)) => node.name == name || node.id == name,
    }
}

fn has(inventory: &Inventory, normal: &str) -> bool {
    inventory.models.iter().any(|model| model_name::normalize(&model.name) == normal)
}

/// Whether the model is in memory, and until when: `Some(None)` is without an end.
fn held(inventory: &Inventory, normal: &str) -> Option<Option<Duration>> {
    let loaded = inventory.loaded.iter().find(|model| model_name::normalize(&model.name) == normal)?;
    let until = loaded.facts.expires();
    Some(until.map(|at| Duration::from_millis(at.saturating_sub(now()))).filter(|left| *left < FOR_EVER))
}

/// Nodes write a date centuries ahead for a model that stays.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The option that asks for the context that the model is loaded with: with another it would be loaded anew.
fn context(inventory: &Inventory, normal: &str) -> Option<(String, Value)> {
    let loaded = inventory.loaded.iter().find(|model| model_name::normalize(&model.name) == normal)?;
    loaded.facts.context_length.map(|tokens| ("options".to_owned(), json!({"num_ctx": tokens})))
}
