//! Taking a model out of the memory of the whole fleet, for a client that stops it as it would on a single server.

use std::sync::Arc;

use aivonx_domain::model_name;
use aivonx_protocol::node::{AdminState, NodeKind, Pool};
use http::{HeaderValue, StatusCode};
use tokio::task::JoinSet;

use super::{
    Fleet, Node, RoutingRules, Snapshot,
    job_run::until_unloaded,
    memory::{self, Failed},
    sanitize::shown,
};

/// A node that keeps a model that was to be unloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeps {
    /// The node's name.
    pub node: String,
    /// Why, in its own words. Untrusted text.
    pub why: String,
}

impl Fleet {
    /// Takes `model` out of the memory of every node that may hold it, as far as they serve the caller; the request for it
    /// came with the values `before` of `Via`. The catalogue has it right by then, but for a node that is still at work
    /// with the model. False if there is no such node.
    ///
    /// # Errors
    /// A node refused, or none of them answered.
    pub async fn unload_everywhere(
        &self,
        before: &[HeaderValue],
        eligible: &RoutingRules,
        model: &str,
    ) -> Result<bool, Keeps> {
        let nodes = self.hot().load().holders(eligible, model);
        let mut all = JoinSet::new();
        for node in &nodes {
            let (checker, node) = (self.checker.clone(), node.clone());
            let (model, before) = (model.to_owned(), before.to_vec());
            all.spawn(async move {
                let done = memory::unload(&node.endpoint, checker.connect, &model, &before).await;
                if let Err(failed) = done {
                    return Some((node, failed));
                }
                let normal = model_name::normalize(&model);
                checker.registry.dispatch.unloaded(&node.id, &normal);
                // Whoever looks after the answer is to see it; a node that is still at work with it takes longer.
                checker.check(&node.id).await;
                if checker.registry.holds(&node.id, &normal) {
                    tokio::spawn(async move { until_unloaded(&checker, &node.id, &model).await });
                }
                None
            });
        }
        let failed: Vec<_> = all.join_all().await.into_iter().flatten().collect();
        // One that gives no answer, or does not have the model any more, counts only if no other did it.
        let absent = |failed: &Failed| match failed {
            Failed::Refused(status, _) => *status == StatusCode::NOT_FOUND,
            Failed::Broke(_) | Failed::TimedOut(_) => true,
        };
        let none = failed.len() == nodes.len();
        let keeps = failed.into_iter().find(|(_, failed)| none || !absent(failed));
        let keeps =
            keeps.map(|(node, failed)| Keeps { node: node.name.to_string(), why: shown(failed.to_string()) });
        keeps.map_or(Ok(!nodes.is_empty()), Err)
    }
}

impl Snapshot {
    /// The nodes that may have the model in memory: what was loaded past the gateway shows with the next look only.
    fn holders(&self, eligible: &RoutingRules, model: &str) -> Vec<Arc<Node>> {
        let entry = model_name::with_normal(model, |normal| self.ollama.get(normal));
        let here = entry.into_iter().flat_map(|entry| {
            entry
                .nodes
                .iter()
                .filter(|at| !entry.cloud.contains(at))
                .filter_map(|at| self.nodes.get(usize::from(*at)))
        });
        let asked = |node: &&Arc<Node>| {
            node.kind == NodeKind::Ollama
                && node.pool == Pool::Active
                && node.admin_state != AdminState::Disabled
                && eligible.admits(node)
        };
        here.filter(asked).cloned().collect()
    }
}
