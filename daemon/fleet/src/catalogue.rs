//! The catalogue: what all nodes have, merged.

use std::{collections::HashMap, sync::Arc};

use aivonx_domain::model_name;
use aivonx_protocol::{
    model::{Model, ModelOnNode},
    node::NodeKind,
};
use jiff::Timestamp;

use super::{
    Dispatch, Node, RoutingRules, Snapshot,
    dispatch::Bells,
    inventory::{Inventory, LoadedFacts, SeenModel},
    lists::{ListsFor, answers},
    snapshot::ModelEntry,
    strategies::Strategies,
    tenants::View,
};

/// A node and what its last good check found.
pub(super) type Known = (Arc<Node>, Option<Arc<Inventory>>);

/// One model while the nodes are gone through.
pub(super) struct Gathered<'a> {
    pub(super) newest: &'a SeenModel,
    pub(super) modified: Option<Timestamp>,
    nodes: Vec<u16>,
    /// Those of the nodes that hand its prompts on to a third party.
    cloud: Vec<u16>,
    /// Whether a node that takes requests now has it: only then do clients see it listed.
    pub(super) listed: bool,
}

/// Puts a snapshot together. `known` is in the order of names.
pub(super) fn build(
    known: Vec<Known>,
    strategies: &Strategies,
    dispatch: Arc<Dispatch>,
    looks: impl Fn(&str) -> Option<Bells>,
) -> Snapshot {
    let numbers = dispatch.take_in(&known, looks);
    let version = known
        .iter()
        .filter(|(node, _)| node.kind == NodeKind::Ollama && node.takes_requests())
        .filter_map(|(node, _)| node.seen.version.as_ref())
        .min_by_key(|(_, parsed)| *parsed)
        .map(|(text, _)| text.clone());
    let entries = |kind| {
        let entry = |(key, model): (String, Gathered<'_>)| {
            let normal = model_name::normalize(&model.newest.name);
            let entry = ModelEntry {
                name: (*model.newest.name).into(),
                number: dispatch.model(&normal),
                strategy: strategies.of(&normal),
                nodes: model.nodes,
                cloud: model.cloud,
            };
            (key.into_boxed_str(), entry)
        };
        gather(&known, kind, |_| Some(&RoutingRules::ALL)).into_iter().map(entry).collect()
    };
    Snapshot {
        strategy: strategies.fleet,
        third_parties: known.iter().any(|(node, _)| node.third_party),
        numbers,
        ollama: entries(NodeKind::Ollama),
        openai: entries(NodeKind::Openai),
        version,
        nodes: known.iter().map(|(node, _)| node.clone()).collect(),
        lists: ListsFor::new(&known),
        known,
        dispatch,
    }
}

/// A snapshot with a scheduler of its own.
#[cfg(test)]
pub(super) fn of(known: Vec<Known>, strategy: aivonx_protocol::strategy::Strategy) -> Snapshot {
    build(known, &Strategies::new(strategy, Vec::new()), Arc::default(), |_| None)
}

/// The models of the nodes of one kind, as far as `sees` lets one see of each node.
pub(super) fn gather<'a, 'e>(
    known: &'a [Known],
    kind: NodeKind,
    sees: impl Fn(&Node) -> Option<&'e RoutingRules>,
) -> Vec<(String, Gathered<'a>)> {
    let mut at: HashMap<String, usize> = HashMap::new();
    let mut all: Vec<(String, Gathered<'_>)> = Vec::new();
    for (index, (node, sight)) in (0_u16..).zip(known) {
        let Some(sight) = sight.as_ref().filter(|_| node.kind == kind) else { continue };
        let Some(eligible) = sees(node) else { continue };
        for model in &sight.models {
            let normal = model_name::normalize(&model.name);
            let cloud = node.third_party || model_name::names_cloud(&model.name) || model.facts.remote();
            if (cloud && !eligible.cloud()) || !eligible.allows_normal(&normal) {
                continue;
            }
            let key = match kind {
                NodeKind::Ollama => normal.into_owned(),
                NodeKind::Openai => model.name.to_string(),
            };
            let modified = model.facts.modified_at.as_deref().and_then(|text| text.parse().ok());
            let listed = node.takes_requests();
            let gathered = match at.get(&key) {
                Some(&at) => {
                    let (_, old) = &mut all[at];
                    // The nearest, and of these the newest: what is here as well is not had from elsewhere.
                    let near = |model: &SeenModel| std::cmp::Reverse(model.facts.gateways().count());
                    if (near(model), modified) > (near(old.newest), old.modified) {
                        (old.newest, old.modified) = (model, modified);
                    }
                    old.listed |= listed;
                    old
                }
                None => {
                    at.insert(key.clone(), all.len());
                    let (nodes, cloud) = (Vec::new(), Vec::new());
                    all.push((key, Gathered { newest: model, modified, nodes, cloud, listed }));
                    // Pushed on the line before.
                    let Some((_, new)) = all.last_mut() else { continue };
                    new
                }
            };
            if gathered.nodes.last() != Some(&index) {
                gathered.nodes.push(index);
            }
            if cloud && gathered.cloud.last() != Some(&index) {
                gathered.cloud.push(index);
            }
        }
    }
    all
}

/// The models as administrators see them, on nodes of every state, by name. Of nodes that are not their own they see
/// the models that they may use, but not the nodes.
pub(super) fn models(known: &[Known], view: &View) -> Vec<(NodeKind, Model)> {
    let mut all = Vec::new();
    for kind in [NodeKind::Ollama, NodeKind::Openai] {
        for (key, gathered) in gather(known, kind, |node| view.of(node)) {
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
                cloud: !gathered.cloud.is_empty(),
                nodes: gathered
                    .nodes
                    .iter()
                    .map(|at| &known[usize::from(*at)])
                    .filter(|(node, _)| view.owns(node))
                    .map(|known| on_node(known, &key))
                    .collect(),
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
        .filter(|sight| sight.tells && answers(node))
        .and_then(|sight| sight.loaded_by_name().remove(&*model_name::normalize(normal)));
    let facts = loaded.map(|model| &model.facts);
    ModelOnNode {
        node: node.name.to_string(),
        loaded: loaded.is_some(),
        size_vram: facts.and_then(|f| f.size_vram),
        expires_at: facts.and_then(LoadedFacts::expires),
        context_length: facts.and_then(|f| f.context_length),
    }
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
