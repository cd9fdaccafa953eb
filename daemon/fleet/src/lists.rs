//! The answers the gateway gives for the fleet, for those who may see all of it and for those who may not.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use aivonx_domain::model_name;
use aivonx_domain::table::Map;
use aivonx_protocol::node::{AdminState, NodeKind, Pool};
use bytes::Bytes;
use serde_json::json;

use super::{
    Node, RoutingRules,
    catalogue::{Gathered, Known, gather},
    inventory::SeenLoaded,
};

/// What a caller may see of the fleet's models.
#[derive(Debug, Default)]
pub struct Lists {
    /// Answer to `GET /api/tags`.
    pub tags: Bytes,
    /// Answer to `GET /api/ps`.
    pub ps: Bytes,
    /// Answer to `GET /v1/models` in OpenAI's shape.
    pub models: Bytes,
    /// Entries of `GET /v1/models/:model` in OpenAI's shape, of nodes of every state; of `ollama` nodes by normal
    /// name, of `openai` nodes by exact name.
    ollama: Map<Box<str>, Bytes>,
    openai: Map<Box<str>, Bytes>,
}

impl Lists {
    /// The answer to `GET /v1/models/:model` in OpenAI's shape.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Bytes> {
        model_name::with_normal(name, |normal| self.ollama.get(normal)).or_else(|| self.openai.get(name))
    }

    pub(super) fn of(known: &[Known], eligible: &RoutingRules) -> Self {
        let admitted = |node: &Node| eligible.admits(node).then_some(eligible);
        let ollama = gather(known, NodeKind::Ollama, admitted);
        let openai = gather(known, NodeKind::Openai, admitted);
        let mut lists = Self { tags: tags(&ollama, &openai), ps: ps(known, eligible), ..Self::default() };
        let mut data: Vec<(String, Bytes)> = Vec::new();
        for (normal, model) in &ollama {
            let object = openai_object(model);
            if model.listed {
                data.push((model.newest.name.to_string(), object.clone()));
            }
            lists.ollama.insert(normal.as_str().into(), object);
        }
        for (name, model) in &openai {
            let object = Bytes::copy_from_slice(model.newest.raw.get().as_bytes());
            if model.listed && !data.iter().any(|(listed, _)| listed == name) {
                data.push((name.clone(), object.clone()));
            }
            lists.openai.insert(name.as_str().into(), object);
        }
        data.sort_by(|a, b| a.0.cmp(&b.0));
        lists.models = list("{\"object\":\"list\",\"data\":[", data.iter().map(|(_, object)| object));
        lists
    }
}

/// Lists kept for callers who may not see everything; one more is made where it is asked for.
const KEPT: usize = 256;

/// The lists of one snapshot: for those who may see all made with it, for others when they first ask.
#[derive(Debug, Default)]
pub(super) struct ListsFor {
    whole: Arc<Lists>,
    others: Mutex<Map<RoutingRules, Arc<Lists>>>,
    /// Whether any node is assigned to an organization.
    assigned: bool,
}

impl ListsFor {
    pub(super) fn new(known: &[Known]) -> Self {
        Self {
            whole: Arc::new(Lists::of(known, &RoutingRules::ALL)),
            others: Mutex::default(),
            assigned: known.iter().any(|(node, _)| node.organization.is_some()),
        }
    }

    pub(super) fn get(&self, known: &[Known], eligible: &RoutingRules) -> Arc<Lists> {
        if eligible.leaves_out_nothing(self.assigned) {
            return self.whole.clone();
        }
        // Held for a look-up and an insertion, never while lists are made.
        let others = || self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lists) = others().get(eligible) {
            return lists.clone();
        }
        let lists = Arc::new(Lists::of(known, eligible));
        let mut others = others();
        if others.len() >= KEPT {
            others.clear();
        }
        others.insert(eligible.clone(), lists.clone());
        lists
    }
}

/// What a node has in memory is true only while it answers.
pub(super) fn answers(node: &Node) -> bool {
    node.pool == Pool::Active && node.admin_state != AdminState::Disabled
}

/// Newest first, as Ollama itself lists them; then those of other servers, which are asked by translation.
fn tags(models: &[(String, Gathered<'_>)], others: &[(String, Gathered<'_>)]) -> Bytes {
    let mut listed: Vec<_> = models.iter().filter(|(_, model)| model.listed).collect();
    listed.sort_by(|(a, x), (b, y)| y.modified.cmp(&x.modified).then_with(|| a.cmp(b)));
    let names: HashSet<&str> = listed.iter().map(|(normal, _)| &**normal).collect();
    let known = |name: &str| model_name::with_normal(name, |normal| names.contains(normal));
    let others = others.iter().filter(|(name, model)| model.listed && !known(name));
    let others: Vec<String> = others.map(|(_, model)| ollama_object(model)).collect();
    let native = listed.iter().map(|(_, model)| model.newest.raw.get());
    list("{\"models\":[", native.chain(others.iter().map(String::as_str)))
}

fn ollama_object(model: &Gathered<'_>) -> String {
    let name = json!(&*model.newest.name);
    format!(
        "{{\"name\":{name},\"model\":{name},\"modified_at\":\"1970-01-01T00:00:00Z\",\"size\":0,\"digest\":\"\",\
         \"details\":{{\"parent_model\":\"\",\"format\":\"\",\"family\":\"\",\"families\":null,\
         \"parameter_size\":\"\",\"quantization_level\":\"\"}}{}}}",
        gateways(model)
    )
}

/// The gateways that a request for the model goes through, as a member of an object.
fn gateways(model: &Gathered<'_>) -> String {
    let path: Vec<&str> = model.newest.facts.gateways().collect();
    if path.is_empty() { String::new() } else { format!(",\"aivonx_gateways\":{}", json!(path)) }
}

fn ps(known: &[Known], eligible: &RoutingRules) -> Bytes {
    let loaded = known
        .iter()
        .filter(|(node, _)| node.kind == NodeKind::Ollama && answers(node) && eligible.admits(node))
        .filter_map(|(node, sight)| Some((node, sight.as_ref()?)))
        .flat_map(|(node, sight)| {
            let allowed = sight.loaded.iter().filter(|model| eligible.allows(&model.name));
            allowed.map(|model| with_node(model, &node.name))
        });
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

fn openai_object(model: &Gathered<'_>) -> Bytes {
    let name = &*model.newest.name;
    let created = model.modified.map_or(0, jiff::Timestamp::as_second);
    let owner = match name.rsplit_once('/') {
        Some((path, _)) => path.rsplit('/').next().unwrap_or("library"),
        None => "library",
    };
    let path = gateways(model);
    // In the order in which Ollama writes them.
    let text = format!(
        "{{\"id\":{},\"object\":\"model\",\"created\":{created},\"owned_by\":{}{path}}}",
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
