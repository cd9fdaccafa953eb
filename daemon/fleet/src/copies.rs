//! Models that are kept loaded: what administrators ask for, and the task that sees to it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use aivonx_domain::{TenantScope, model_name};
use aivonx_protocol::{job::JobState, model::Placement, node::NodeKind};
use aivonx_store::CopiesRecord;
use serde_json::{Map, Value, json};
use tokio::{sync::Notify, time::timeout};

use super::{
    Fleet,
    contact::Contact,
    error::FleetError,
    holders::{Holder, context, has, held, nodes_for, spot},
    job_state::Deed,
    keep::{Efforts, Spot, Step},
    memory,
    node_scope::NodeScope,
    record::check_model_name,
    sanitize::shown,
    sleep::Cause,
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

/// What the last look at what is kept came to, by ids of nodes.
#[derive(Debug, Default, PartialEq)]
struct Looked {
    /// Normal names of models that are not to be driven out there.
    pinned: Vec<(String, String)>,
    /// Those that hold a copy that is wanted, or load one.
    in_use: HashSet<String>,
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
        check_model_name(&place.model)?;
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
        let old = records.by_name(reach, owner.as_deref(), &normal).await?;
        let record = match &old {
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
        if let Some(old) = old {
            self.release(&old, Some(&record));
        }
        let model = shown(record.model.clone());
        tracing::info!(event = "model_placed", organization = record.organization.as_deref(), %model, copies = record.copies, "model is kept loaded");
        Ok(self.view_placement(record, &self.everywhere()))
    }

    /// Keeps a model loaded no longer. What is loaded leaves when its node has other use for the memory. One who reaches
    /// the whole fleet removes what an organization keeps if it names it by its id, or if neither the fleet itself nor
    /// another organization keeps that model.
    ///
    /// # Errors
    /// It is not kept loaded within reach, or several organizations keep it.
    pub async fn unplace_model(&self, reach: &TenantScope, model: &str) -> Result<(), FleetError> {
        let scope = NodeScope::from(reach);
        let normal = model_name::normalize(model);
        let records = self.store.copies();
        let mut found = records.list(reach).await?;
        found.retain(|record| record.id == model || record.normal == normal);
        let own = |record: &CopiesRecord| record.organization.as_deref() == scope.organization();
        let named = found.iter().position(|record| record.id == model);
        let record = match (named.or_else(|| found.iter().position(own)), &found[..]) {
            (Some(at), _) => found.swap_remove(at),
            (None, [_]) => found.remove(0),
            (None, []) => {
                let message = format!("model '{}' is not kept loaded", shown(model.to_owned()));
                return Err(FleetError::field("model", message, "see `aivonx model place --list`"));
            }
            (None, several) => {
                let owners = several.iter().filter_map(|record| record.organization.as_deref());
                let owners: Vec<String> = owners.map(|id| self.checker.registry.slug(id)).collect();
                let message = format!(
                    "model '{}' is kept loaded by several organizations: {}",
                    shown(model.to_owned()),
                    owners.join(", ")
                );
                let fix = "remove one by its id, which `aivonx --output json model place --list` says: \
                           aivonx model place ID --remove";
                return Err(FleetError::field("model", message, fix));
            }
        };
        records.remove(reach, &record.id, None).await?;
        self.settle().await?;
        self.release(&record, None);
        Ok(())
    }

    /// Has copies that `old` pinned, and `new` does not, leave as any other does: without a time of their own they would
    /// stay for ever.
    fn release(&self, old: &CopiesRecord, new: Option<&CopiesRecord>) {
        if !old.pin {
            return;
        }
        let all = self.everywhere();
        let holding = |record: &CopiesRecord| -> Vec<_> {
            let nodes = nodes_for(record, &all).into_iter();
            nodes.filter(|(node, inventory)| held(node, inventory, &record.normal).is_some()).collect()
        };
        let mut wanted = new.filter(|new| new.pin).map(&holding).unwrap_or_default();
        wanted.truncate(new.map_or(0, |new| new.copies as usize));
        for (node, inventory) in holding(old) {
            let stays = wanted.iter().any(|(other, _)| other.id == node.id);
            let is_for_ever =
                node.kind == NodeKind::Ollama && held(node, inventory, &old.normal) == Some(None);
            if stays || !is_for_ever {
                continue;
            }
            let (connect, model, node) = (self.checker.connect, old.model.clone(), node.clone());
            let with = context(inventory, &old.normal).into_iter().collect();
            tokio::spawn(async move {
                // Best effort: who needs the memory has it leave anyway.
                let _ = memory::load(&node.at.endpoint, connect, &model, &with).await;
            });
        }
    }

    /// The models that are kept loaded within reach, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn placements(&self, reach: &TenantScope) -> Result<Vec<Placement>, FleetError> {
        let records = self.store.copies().list(reach).await?;
        let all = self.everywhere();
        Ok(records.into_iter().map(|record| self.view_placement(record, &all)).collect())
    }

    fn view_placement(&self, record: CopiesRecord, all: &[Holder]) -> Placement {
        let nodes = nodes_for(&record, all);
        let efforts = self.copies.efforts();
        let (mut loaded, mut loading, mut lacks) = (Vec::new(), Vec::new(), None);
        for (node, inventory) in &nodes {
            if held(node, inventory, &record.normal).is_some() {
                loaded.push(node.name.clone());
            } else if efforts.is_under_way(&node.id, &record.normal) {
                loading.push(node.name.clone());
            } else if let Some(error) = efforts.error(&node.id, &record.normal) {
                let asleep = if node.sleeps {
                    "; it is asleep, and woken again once the model is placed anew"
                } else {
                    ""
                };
                lacks = Some(format!("{}: {error}{asleep}", node.name));
            } else if node.sleeps && has(inventory, &record.normal) {
                lacks
                    .get_or_insert_with(|| format!("{}: it is asleep, and woken if it is needed", node.name));
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

    fn everywhere(&self) -> Vec<Holder> {
        self.checker.registry.inventories(&NodeScope::ALL)
    }

    /// Sees to it that what is to be kept loaded is. Ends with the fleet.
    pub(super) async fn keep_copies(fleet: Weak<Self>) {
        let Some(copies) = fleet.upgrade().map(|fleet| fleet.copies.clone()) else { return };
        let mut looked = Looked::default();
        loop {
            // Whatever changes is noticed at the next look.
            let _ = timeout(LOOK, copies.changed.notified()).await;
            let Some(fleet) = fleet.upgrade() else { return };
            let is_ours = fleet.store.has_duty("placements").await;
            fleet.look_after_copies(&mut looked, is_ours);
        }
    }

    /// Loads models only if `loads`: of several members one does.
    fn look_after_copies(self: &Arc<Self>, last: &mut Looked, loads: bool) {
        let records = self.copies.all();
        if records.is_empty() && *last == Looked::default() {
            return;
        }
        let all = self.everywhere();
        let nodes: Vec<_> = records.iter().map(|record| nodes_for(record, &all)).collect();
        let pins = records.iter().zip(&nodes).filter(|(record, _)| record.pin);
        let pins =
            pins.flat_map(|(record, nodes)| nodes.iter().map(|(n, _)| (n.id.clone(), record.normal.clone())));
        let pins: Vec<(String, String)> = pins.collect();
        if pins != last.pinned {
            self.checker.registry.dispatch.pin(&pins);
            last.pinned = pins;
        }
        let mut placed: HashMap<String, usize> = HashMap::new();
        for (record, nodes) in records.iter().zip(&nodes) {
            let holding =
                nodes.iter().filter(|(node, inventory)| held(node, inventory, &record.normal).is_some());
            for (node, _) in holding {
                *placed.entry(node.id.clone()).or_default() += 1;
            }
        }
        let mut in_use = HashSet::new();
        for (record, nodes) in records.iter().zip(&nodes) {
            let spots: Vec<Spot> =
                nodes.iter().map(|(node, inventory)| spot(node, inventory, record)).collect();
            let steps = self.copies.efforts().steps(record, &spots, &placed, Instant::now());
            for step in steps.into_iter().filter(|_| loads) {
                let Some((node, inventory)) = nodes.iter().find(|(node, _)| node.id == step.node()) else {
                    continue;
                };
                if node.sleeps {
                    // It is loaded at one of the next looks, if no other node can do it until then.
                    node.called.call(Cause::Placement);
                    continue;
                }
                if self.copies.efforts().begin(record, &step) {
                    *placed.entry(node.id.clone()).or_default() += 1;
                    let context = context(inventory, &record.normal);
                    tokio::spawn(self.clone().carry_out(record.clone(), node.clone(), step, context));
                }
            }
            let efforts = self.copies.efforts();
            let uses = |(node, inventory): &&&Holder| {
                held(node, inventory, &record.normal).is_some()
                    || efforts.is_under_way(&node.id, &record.normal)
            };
            let used = nodes.iter().filter(uses).take(record.copies as usize);
            in_use.extend(used.map(|(node, _)| node.id.clone()));
        }
        if in_use != last.in_use {
            self.checker.registry.keep_awake(&in_use);
            last.in_use = in_use;
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
            Step::Load { pull, .. } => self.load_copy(&record, &node, pull, keep_alive).await,
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
        let is_news = result.is_some();
        self.copies.efforts().end(&node.id, &record.normal, result, Instant::now());
        let current = self.copies.all();
        if !current.contains(&record) {
            self.release(&record, current.iter().find(|other| other.id == record.id));
        }
        // What came to nothing is tried again at the next look, and not at once.
        if is_news {
            self.copies.changed.notify_one();
        }
    }

    /// Loads the model on a node, in jobs that show what is done. None if too many jobs are at work.
    async fn load_copy(
        &self,
        record: &CopiesRecord,
        node: &Contact,
        pull: bool,
        keep_alive: Value,
    ) -> Option<Result<(), String>> {
        let reach = match &record.organization {
            Some(id) => TenantScope::Organization(id.clone()),
            None => TenantScope::All,
        };
        let scope = NodeScope::from(&reach);
        let pull = pull.then_some(Deed::Pull { insecure: false });
        for deed in pull.into_iter().chain([Deed::Load { keep_alive: Some(keep_alive) }]) {
            let job = self.jobs().start(&scope, &record.model, deed, vec![node.clone()], Vec::new());
            let followed = job.and_then(|job| self.jobs().follow(&reach, &job.id));
            let mut steps = match followed {
                Ok(steps) => steps,
                Err(FleetError::TooMany(_)) => return None,
                Err(error) => return Some(Err(error.to_string())),
            };
            let error = match steps.wait_for(|job| job.state != JobState::Running).await {
                Ok(ended) if ended.state == JobState::Done => continue,
                Ok(ended) => ended.targets.iter().find_map(|target| target.error.clone()),
                Err(_) => Some("the job was forgotten".to_owned()),
            };
            return Some(Err(error.unwrap_or_else(|| "the job was cancelled".to_owned())));
        }
        Some(Ok(()))
    }
}
