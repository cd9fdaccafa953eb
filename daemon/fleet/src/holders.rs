//! What nodes hold in memory, and which of them a model may be kept on.

use std::{sync::Arc, time::Duration};

use aivonx_domain::{model_name, now};
use aivonx_protocol::node::NodeKind;
use aivonx_store::CopiesRecord;
use serde_json::{Value, json};

use super::{contact::Contact, inventory::Inventory, keep::Spot};

/// A node and what it has.
pub(super) type Holder = (Contact, Arc<Inventory>);

/// Those of `all` that a model may be kept on now, or once they are awake.
pub(super) fn nodes_for<'n>(record: &CopiesRecord, all: &'n [Holder]) -> Vec<&'n Holder> {
    let may = |(node, _): &&Holder| (node.active || node.sleeps) && is_on(record, node);
    // Only Ollama pulls what it does not have.
    let can = |(node, inventory): &&Holder| node.kind == NodeKind::Ollama || has(inventory, &record.normal);
    all.iter().filter(may).filter(can).collect()
}

pub(super) fn spot(node: &Contact, inventory: &Inventory, record: &CopiesRecord) -> Spot {
    Spot {
        node: node.id.clone(),
        has: has(inventory, &record.normal),
        held: held(node, inventory, &record.normal),
        sleeps: node.sleeps,
        loaded: if node.sleeps { 0 } else { inventory.loaded.len() },
    }
}

/// Whether a placement may be on a node. The fleet's is on an organization's own node only where that is named: requests
/// of others do not get there.
fn is_on(record: &CopiesRecord, node: &Contact) -> bool {
    let own = node.organization == record.organization;
    match record.on.as_deref().map(|on| on.split_once('=').ok_or(on)) {
        None => own,
        Some(Ok((label, value))) => own && node.labels.get(label).is_some_and(|found| found == value),
        Some(Err(name)) => (own || record.organization.is_none()) && (node.name == name || node.id == name),
    }
}

pub(super) fn has(inventory: &Inventory, normal: &str) -> bool {
    inventory.models.iter().any(|model| model_name::normalize(&model.name) == normal)
}

/// Whether the model is in memory, and until when: `Some(None)` is without an end. A node that sleeps holds nothing,
/// whatever it held before.
pub(super) fn held(node: &Contact, inventory: &Inventory, normal: &str) -> Option<Option<Duration>> {
    let mut loaded = inventory.loaded.iter().filter(|_| !node.sleeps);
    let loaded = loaded.find(|model| model_name::normalize(&model.name) == normal)?;
    let until = loaded.facts.expires();
    Some(until.map(|at| Duration::from_millis(at.saturating_sub(now()))).filter(|left| *left < FOR_EVER))
}

/// Nodes write a date centuries ahead for a model that stays.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The option that asks for the context that the model is loaded with: with another it would be loaded anew.
pub(super) fn context(inventory: &Inventory, normal: &str) -> Option<(String, Value)> {
    let loaded = inventory.loaded.iter().find(|model| model_name::normalize(&model.name) == normal)?;
    loaded.facts.context_length.map(|tokens| ("options".to_owned(), json!({"num_ctx": tokens})))
}
