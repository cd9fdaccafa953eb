//! Drift: names under which nodes have different weights.
//!
//! A name's digest is that of its manifest, which differs between nodes that made the same model by themselves. What it
//! is made of is in its Modelfile, and that is asked for where digests differ. Under one digest it never changes, so each
//! is asked for once.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aivonx_domain::{TenantScope, model_name};
use aivonx_protocol::{
    model::{Drift, Weights},
    node::NodeKind,
};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Fleet, blobs::Digest, client::Session, contact::Contact};

/// How long a node may take to say what a model is made of.
const SHOW: Duration = Duration::from_secs(2);

/// Digests that are remembered.
const KNOWN: usize = 10_000;

/// What is known of weights, by the digest of a manifest.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<String, String>>);

impl Known {
    fn get(&self, digest: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn learn(&self, digest: String, weights: String) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(digest, weights);
    }
}

/// One name on one node.
struct Place {
    node: Contact,
    /// As that node writes it.
    name: String,
    digest: String,
}

impl Fleet {
    /// The names under which the caller's own nodes have different weights, as far as nodes say what they have.
    pub async fn drifts(&self, reach: &TenantScope) -> Vec<Drift> {
        let mut differing = self.differing(reach);
        self.ask_for_weights(differing.values().flatten()).await;
        let known = &self.weights;
        let weights = |place: &Place| known.get(&place.digest);
        differing.retain(|_, places| differ(places.iter().map(|place| (weights(place), &*place.digest))));
        // A name that differs is on two nodes at least, and is told as they write it.
        let drift = |places: Vec<Place>| Drift {
            model: places.first().map(|place| place.name.clone()).unwrap_or_default(),
            nodes: places
                .into_iter()
                .map(|place| Weights {
                    weights: weights(&place),
                    node: place.node.name,
                    digest: place.digest,
                })
                .collect(),
        };
        differing.into_values().map(drift).collect()
    }

    /// The names that have several digests, and where.
    fn differing(&self, reach: &TenantScope) -> BTreeMap<String, Vec<Place>> {
        let mut places: BTreeMap<String, Vec<Place>> = BTreeMap::new();
        for (node, inventory) in self.checker.registry.inventories(&reach.into()) {
            for model in &inventory.models {
                let Some(digest) = model.facts.digest.clone().filter(|digest| !digest.is_empty()) else {
                    continue;
                };
                let normal = model_name::normalize(&model.name).into_owned();
                let place = Place { node: node.clone(), name: model.name.to_string(), digest };
                places.entry(normal).or_default().push(place);
            }
        }
        places.retain(|_, places| places.iter().any(|place| place.digest != places[0].digest));
        places
    }

    /// Asks active nodes what the digests that are not known yet are made of: of each of them one, and each once.
    async fn ask_for_weights(&self, places: impl Iterator<Item = &Place>) {
        let mut asked = HashSet::new();
        let mut nodes: BTreeMap<String, (Contact, Vec<(String, String)>)> = BTreeMap::new();
        for Place { node, name, digest } in places {
            let fit = node.active && node.kind == NodeKind::Ollama && node.at.unusable.is_none();
            if fit && self.weights.get(digest).is_none() && asked.insert(digest.clone()) {
                let (_, models) = nodes.entry(node.id.clone()).or_insert_with(|| (node.clone(), Vec::new()));
                models.push((digest.clone(), name.clone()));
            }
        }
        let connect = self.checker.connect;
        let ask = |(node, models): (Contact, Vec<(String, String)>)| async move {
            let mut session = Session::new(&node.at.endpoint, connect);
            let mut learned = Vec::new();
            for (digest, model) in models {
                let body = json!({"model": model, "name": model}).to_string();
                let sent = session.whole(Method::POST, "/api/show", Some(body.into()));
                // A node that does not answer one does not answer the next.
                let Ok(Ok((status, answer, _))) = tokio::time::timeout(SHOW, sent).await else { break };
                if let Some(weights) = made_of(&answer).filter(|_| status == StatusCode::OK) {
                    learned.push((digest, weights));
                }
            }
            learned
        };
        let mut asking: JoinSet<_> = nodes.into_values().map(ask).collect();
        while let Some(learned) = asking.join_next().await {
            learned.into_iter().flatten().for_each(|(digest, weights)| self.weights.learn(digest, weights));
        }
    }
}

/// Whether some of the places, given by weights and digest, surely differ: of those that do not say what a model is made of,
/// the digest is all there is to compare, and that only with each other's.
fn differ<'a>(places: impl Iterator<Item = (Option<String>, &'a str)>) -> bool {
    let (mut made_of, mut silent) = (HashSet::new(), HashSet::new());
    for (weights, digest) in places {
        match weights {
            Some(weights) => made_of.insert(weights),
            None => silent.insert(digest),
        };
    }
    made_of.len() > 1 || silent.len() > 1
}

/// The files that a model is made of, by the answer to `/api/show`: weights, projectors and adapters.
fn made_of(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Shown {
        modelfile: String,
    }
    let Shown { modelfile } = serde_json::from_slice(answer).ok()?;
    let file = |line: &str| {
        let (word, path) = line.split_once(' ')?;
        let is_file = word.eq_ignore_ascii_case("FROM") || word.eq_ignore_ascii_case("ADAPTER");
        let digest = path.trim().trim_matches('"').rsplit(['/', '\\']).next().filter(|_| is_file)?;
        Digest::parse(digest).map(|digest| digest.to_string())
    };
    let files: Vec<String> = modelfile.lines().filter_map(file).collect();
    (!files.is_empty()).then(|| files.join(" "))
}

#[cfg(test)]
mod tests {
    use super::{differ, made_of};

    #[test]
    fn what_is_not_known_differs_from_nothing() {
        let of = |places: &[(Option<&str>, &'static str)]| {
            differ(places.iter().map(|(weights, digest)| (weights.map(str::to_owned), *digest)))
        };
        assert!(!of(&[(Some("w"), "a"), (None, "b")]), "nobody could ask the second");
        assert!(!of(&[(Some("w"), "a"), (Some("w"), "b"), (None, "c")]));
        assert!(of(&[(Some("w"), "a"), (Some("v"), "b")]));
        assert!(of(&[(None, "a"), (None, "b")]));
    }

    #[test]
    fn a_model_is_made_of_its_files() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let of =
            |modelfile: &str| made_of(serde_json::json!({"modelfile": modelfile}).to_string().as_bytes());
        let text = format!(
            "# Modelfile generated by \"ollama show\"\n# FROM m:latest\n\nFROM /root/.ollama/models/blobs/sha256-{a}\n\
             FROM \"C:\\models\\blobs\\sha256-{b}\"\nTEMPLATE \"\"\"FROM sha256-{b} here\"\"\"\nPARAMETER num_ctx 8\n"
        );
        assert_eq!(of(&text), Some(format!("sha256:{a} sha256:{b}")));
        assert_eq!(of("FROM llama3\n"), None);
        assert_eq!(of("FROM /x/sha256-short\n"), None);
        assert_eq!(made_of(b"{}"), None);
    }
}
