//! The catalogue: what all nodes have, merged into the answers the gateway gives for the fleet.

use std::{collections::HashMap, sync::Arc};

use aivonx_protocol::{
    model::{Model, ModelOnNode},
    node::{AdminState, NodeKind, Pool},
    strategy::Strategy,
};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;

use super::{
    Node, Snapshot, model_name,
    sight::{SeenLoaded, SeenModel, Sight},
    snapshot::ModelEntry,
};

/// A node and what its last good check found.
pub(super) type Known = (Arc<Node>, Option<Arc<Sight>>);

/// One model while the nodes are gone through.
struct Gathered<'a> {
    newest: &'a SeenModel,
    modified: Option<Timestamp>,
    nodes: Vec<u16>,
    cloud: bool,
    /// Whether a node that takes requests now has it: only then do clients see it listed.
    listed: bool,
}

/// Puts a snapshot together. `known` is in the order of names.
pub(super) fn build(known: &[Known], strategy: Strategy) -> Snapshot {
    let ollama = gather(known, NodeKind::Ollama);
    let openai = gather(known, NodeKind::Openai);
    let version = known
        .iter()
        .filter(|(node, _)| node.kind == NodeKind::Ollama && takes_requests(node))
        .filter_map(|(node, _)| node.seen.version.as_ref())
        .min_by_key(|(_, parsed)| *parsed)
        .map(|(text, _)| text.clone());
    let mut snapshot = Snapshot {
        strategy,
        tags: tags(&ollama),
        ps: ps(known),
        models: Bytes::new(),
        version,
        ..Snapshot::default()
    };
    let mut data: Vec<(String, Bytes)> = Vec::new();
    for (normal, model) in &ollama {
        let object = openai_object(&model.newest.name, model.modified);
        if model.listed {
            data.push((model.newest.name.to_string(), object.clone()));
        }
        snapshot.ollama.insert(normal.as_str().into(), entry(model, object));
    }
    for (name, model) in &openai {
        let object = Bytes::copy_from_slice(model.newest.raw.get().as_bytes());
        if model.listed && !data.iter().any(|(listed, _)| listed == name) {
            data.push((name.clone(), object.clone()));
        }
        snapshot.openai.insert(name.as_str().into(), entry(model, object));
    }
    data.sort_by(|a, b| a.0.cmp(&b.0));
    snapshot.models = list("{\"object\":\"list\",\"data\":[", data.iter().map(|(_, object)| object));
    snapshot.nodes = known.iter().map(|(node, _)| node.clone()).collect();
    snapshot
}

fn takes_requests(node: &Node) -> bool {
    node.pool == Pool::Active && node.admin_state == AdminState::Enabled
}

/// What a node has in memory is true only while it answers.
fn answers(node: &Node) -> bool {
    node.pool == Pool::Active && node.admin_state != AdminState::Disabled
}

fn gather(known: &[Known], kind: NodeKind) -> Vec<(String, Gathered<'_>)> {
    let mut at: HashMap<String, usize> = HashMap::new();
    let mut all: Vec<(String, Gathered<'_>)> = Vec::new();
    for (index, (node, sight)) in (0_u16..).zip(known) {
        let Some(sight) = sight.as_ref().filter(|_| node.kind == kind) else { continue };
        for model in &sight.models {
            let key = match kind {
                NodeKind::Ollama => model_name::normalize(&model.name).into_owned(),
                NodeKind::Openai => model.name.to_string(),
            };
            let modified = model.facts.modified_at.as_deref().and_then(|text| text.parse().ok());
            let cloud = model_name::names_cloud(&model.name) || model.facts.remote();
            let listed = takes_requests(node);
            match at.get(&key) {
                Some(&at) => {
                    let (_, old) = &mut all[at];
                    if modified > old.modified {
                        (old.newest, old.modified) = (model, modified);
                    }
                    if old.nodes.last() != Some(&index) {
                        old.nodes.push(index);
                    }
                    old.cloud |= cloud;
                    old.listed |= listed;
                }
                None => {
                    at.insert(key.clone(), all.len());
                    all.push((key, Gathered { newest: model, modified, nodes: vec![index], cloud, listed }));
                }
            }
        }
    }
    all
}

fn entry(model: &Gathered<'_>, openai_object: Bytes) -> ModelEntry {
    ModelEntry {
        name: (*model.newest.name).into(),
        nodes: model.nodes.clone(),
        cloud: model.cloud,
        openai_object,
    }
}

/// Newest first, as Ollama itself lists them.
fn tags(models: &[(String, Gathered<'_>)]) -> Bytes {
    let mut listed: Vec<_> = models.iter().filter(|(_, model)| model.listed).collect();
    listed.sort_by(|(a, x), (b, y)| y.modified.cmp(&x.modified).then_with(|| a.cmp(b)));
    list("{\"models\":[", listed.iter().map(|(_, model)| model.newest.raw.get()))
}

fn ps(known: &[Known]) -> Bytes {
    let loaded = known
        .iter()
        .filter(|(node, _)| answers(node))
        .filter_map(|(node, sight)| Some((node, sight.as_ref()?)))
        .flat_map(|(node, sight)| sight.loaded.iter().map(|model| with_node(model, &node.name)));
    list("{\"models\":[", loaded)
}

/// The node's own object with the node's name added. Names need no escaping: they are checked when added.
fn with_node(model: &SeenLoaded, node: &str) -> String {
    let raw = model.raw.get();
    if !model.facts.has_node()
        && let Some(body) = raw.strip_suffix('}')
    {
        let comma = if body.trim_end().ends_with('{') { "" } else { "," };
        return format!("{}{comma}\"node\":\"{node}\"}}", body.trim_end());
    }
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(raw).unwrap_or_default();
    object.insert("node".into(), node.into());
    serde_json::Value::Object(object).to_string()
}

fn openai_object(name: &str, modified: Option<Timestamp>) -> Bytes {
    let created = modified.map_or(0, Timestamp::as_second);
    let owner = match name.rsplit_once('/') {
        Some((path, _)) => path.rsplit('/').next().unwrap_or("library"),
        None => "library",
    };
    // In the order in which Ollama writes them.
    let text = format!(
        "{{\"id\":{},\"object\":\"model\",\"created\":{created},\"owned_by\":{}}}",
        json!(name),
        json!(owner)
    );
    text.into()
}

fn list<T: AsRef<[u8]>>(head: &str, items: impl Iterator<Item = T>) -> Bytes {
    let mut text = head.as_bytes().to_vec();
    for (at, item) in items.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(item.as_ref());
    }
    text.extend_from_slice(b"]}");
    text.into()
}

/// The models as administrators see them, on every node whatever its state, by name.
pub(super) fn models(known: &[Known]) -> Vec<(NodeKind, Model)> {
    let mut all = Vec::new();
    for kind in [NodeKind::Ollama, NodeKind::Openai] {
        for (key, gathered) in gather(known, kind) {
            let facts = &gathered.newest.facts;
            let details = facts.details.as_ref();
            let model = Model {
                name: gathered.newest.name.to_string(),
                size: facts.size,
                digest: facts.digest.clone(),
                family: details.and_then(|d| d.family.clone()).filter(|f| !f.is_empty()),
                parameters: details.and_then(|d| d.parameter_size.clone()).filter(|p| !p.is_empty()),
                quantization: details.and_then(|d| d.quantization_level.clone()).filter(|q| !q.is_empty()),
                modified_at: facts.modified_at.clone(),
                cloud: gathered.cloud,
                nodes: gathered.nodes.iter().map(|at| on_node(&known[usize::from(*at)], &key)).collect(),
            };
            all.push((kind, model));
        }
    }
    all.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    all
}

fn on_node((node, sight): &Known, normal: &str) -> ModelOnNode {
    let loaded = sight
        .as_ref()
        .filter(|_| node.kind == NodeKind::Ollama && answers(node))
        .and_then(|sight| sight.loaded_by_name().remove(normal));
    let facts = loaded.map(|model| &model.facts);
    ModelOnNode {
        node: node.name.to_string(),
        loaded: loaded.is_some(),
        size_vram: facts.and_then(|f| f.size_vram),
        expires_at: facts
            .and_then(|f| f.expires_at.as_deref()?.parse::<Timestamp>().ok())
            .and_then(|at| u64::try_from(at.as_millisecond()).ok()),
        context_length: facts.and_then(|f| f.context_length),
    }
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
