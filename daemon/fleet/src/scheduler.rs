//! Which node gets a request.

use std::sync::Arc;

use aivonx_domain::model_name;
use aivonx_protocol::{
    node::{AdminState, NodeKind, Pool},
    strategy::Strategy,
};
use aivonx_scheduler::{Candidate, Policy, Terms};
use smallvec::SmallVec;

use super::{
    Node, RoutingRules, Snapshot,
    dispatch::{Work, ticket::Place},
    nearest::nearest_models,
    snapshot::{ModelEntry, Target},
};

/// What a request needs of a node.
#[derive(Debug, Clone, Copy)]
pub struct Want<'a> {
    /// Model as the client wrote it; None if any node will do.
    pub model: Option<&'a str>,
    /// Whether lists of models were asked already, by another name.
    pub granted: bool,
    /// Lowest Ollama version that serves the route; None if `ollama` nodes do not serve it at all.
    pub ollama: Option<(u32, u32, u32)>,
    /// Whether `openai` nodes serve the route.
    pub openai: bool,
    /// Bit of its API or route in what is remembered of nodes that do not serve it; 0 if nothing is.
    pub api: u64,
    /// What of the fleet the caller may use.
    pub eligible: &'a RoutingRules,
    /// When third parties are asked.
    pub overflow: Overflow,
}

/// When third parties are asked, seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overflow {
    /// Where the fleet's own nodes would begin to answer later than this.
    pub after: f64,
    /// So late a node of the fleet's own would begin to answer with another model of the list.
    pub otherwise: Option<f64>,
}

/// Why no node was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoNode {
    /// No node has the model. Carries the nearest names.
    #[error("model '{model}' not found{}", nearest_text(.nearest))]
    UnknownModel {
        /// As the client wrote it.
        model: String,
        /// The nearest names in the catalogue, best first, at most three.
        nearest: Vec<String>,
    },
    /// Nodes have the model, but none is up.
    #[error("no node that has the model is available now")]
    Down,
    /// Nodes that have the model do not serve this route (kind or version).
    #[error("no node that has the model serves this route: {0}")]
    Unserved(String),
    /// There is no node at all.
    #[error("the gateway has no nodes")]
    Empty,
    /// No node is for the caller's organization.
    #[error("no node serves your organization; an administrator assigns one, or lets it use shared nodes")]
    NotServed,
    /// The node would hand the prompt on to a third party, which the caller's organization does not allow.
    #[error("model '{0}' runs at a third party, which this organization does not allow")]
    Cloud(String),
}

impl NoNode {
    /// `node` has the model, and said that it does not serve the route.
    #[must_use]
    pub fn lacks(node: &str) -> Self {
        Self::Unserved(format!("{node} does not have it"))
    }
}

fn nearest_text(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; did you mean {}?", nearest.join(", ")) }
}

impl Snapshot {
    /// Assigns a request that wants `want` and makes `work` to the best node that is not among `tried`. It can be sent
    /// there now, or waits for its turn. Runs once per attempt and allocates nothing if it need not wait.
    ///
    /// # Errors
    /// [`NoNode`] says why there is none; with `tried` not empty it means that no other node is left.
    pub fn place(&self, want: Want<'_>, work: Work<'_>, tried: &[Arc<Node>]) -> Result<Place, NoNode> {
        let mut nodes = Candidates::new();
        let target = self.candidates(want, tried, &mut nodes)?;
        self.own_first(want.overflow, target, work, &mut nodes)?;
        let place = self.dispatch.submit(target, work, &nodes, |number| {
            let at = self.numbers.iter().position(|other| *other == number)?;
            self.nodes.get(at).cloned()
        });
        place.ok_or(NoNode::Down)
    }

    /// Takes those that are third parties out of the candidates, unless the fleet's own are none or would begin too late.
    ///
    /// # Errors
    /// [`NoNode::Down`] if third parties alone are left, and are not to be asked yet.
    pub(super) fn own_first(
        &self,
        overflow: Overflow,
        target: Target,
        work: Work<'_>,
        nodes: &mut Candidates,
    ) -> Result<(), NoNode> {
        if !self.third_parties {
            return Ok(());
        }
        let (others, own): (Candidates, Candidates) =
            nodes.iter().copied().partition(|candidate| self.is_third_party(candidate.node));
        let begins = if others.is_empty() || own.is_empty() {
            overflow.otherwise.filter(|_| own.is_empty())
        } else {
            let (chosen, terms) = self.dispatch.explain(target, work, &own);
            chosen.and_then(|at| terms.get(at)).map(Terms::first_token)
        };
        match begins {
            Some(begins) if begins <= overflow.after && own.is_empty() => return Err(NoNode::Down),
            Some(begins) if begins <= overflow.after => *nodes = own,
            _ => {}
        }
        Ok(())
    }

    fn is_third_party(&self, number: aivonx_scheduler::NodeId) -> bool {
        let at = self.numbers.iter().position(|other| *other == number);
        at.and_then(|at| self.nodes.get(at)).is_some_and(|node| node.third_party)
    }

    /// A place that can be had at once.
    #[cfg(test)]
    pub(crate) fn choose(&self, want: Want<'_>, tried: &[Arc<Node>]) -> Result<super::Lease, NoNode> {
        match self.place(want, Work::default(), tried)? {
            Place::Now(lease) => Ok(lease),
            Place::Waits(_) => Err(NoNode::Down),
        }
    }

    /// Finds the nodes that can take a request now, in a while or once they are back, but for those in `tried`. They go
    /// into `found`, which is large to be returned. What the scheduler is asked for.
    ///
    /// # Errors
    /// As [`Self::place`].
    pub(super) fn candidates(
        &self,
        want: Want<'_>,
        tried: &[Arc<Node>],
        found: &mut Candidates,
    ) -> Result<Target, NoNode> {
        match want.model {
            Some(model) => {
                model_name::with_normal(model, |normal| self.choose_model(want, model, normal, tried, found))
            }
            None => {
                let all = self.admitted(want, 0..self.nodes.len());
                self.choose_among(want, "", all, tried, found).map(|()| self.target(None))
            }
        }
    }

    /// Whether a node that is not in `but` can take a request that wants `want` now, or in a while.
    #[must_use]
    pub fn is_served(&self, want: Want<'_>, but: &[Arc<Node>]) -> bool {
        self.candidates(want, but, &mut Candidates::new()).is_ok()
    }

    fn choose_model(
        &self,
        want: Want<'_>,
        model: &str,
        normal: &str,
        tried: &[Arc<Node>],
        found: &mut Candidates,
    ) -> Result<Target, NoNode> {
        // First of all, so that the answer is the same whether the fleet has the model or not.
        if !want.granted && !want.eligible.allows_normal(normal) {
            return Err(self.unknown(want, model));
        }
        let entries = [self.ollama.get(normal), self.openai.get(model)];
        let entries = || entries.into_iter().flatten();
        let having = self.admitted(want, entries().flat_map(|entry| &entry.nodes).map(|at| usize::from(*at)));
        if having.clone().next().is_none() {
            return Err(self.unknown(want, model));
        }
        let target = self.target(entries().next());
        if want.eligible.cloud() {
            return self.choose_among(want, normal, having, tried, found).map(|()| target);
        }
        let handed_on =
            |at: &usize| entries().any(|e| e.cloud.iter().any(|cloud| usize::from(*cloud) == *at));
        let here = having.filter(|at| !handed_on(at));
        if here.clone().next().is_none() {
            return Err(NoNode::Cloud(model.to_owned()));
        }
        self.choose_among(want, normal, here, tried, found).map(|()| target)
    }

    /// What a request for a model, if it is for one, wants of the scheduler.
    pub(super) fn target(&self, entry: Option<&ModelEntry>) -> Target {
        Target {
            model: entry.map(|entry| entry.number),
            strategy: entry.and_then(|entry| entry.strategy).unwrap_or(self.strategy),
        }
    }

    /// Those of the nodes that may serve the caller.
    fn admitted(
        &self,
        want: Want<'_>,
        nodes: impl Iterator<Item = usize> + Clone,
    ) -> impl Iterator<Item = usize> + Clone {
        nodes.filter(move |at| self.nodes.get(*at).is_some_and(|node| want.eligible.admits(node)))
    }

    /// What to say to a caller whom no node serves.
    fn nobody(&self, want: Want<'_>) -> Option<NoNode> {
        let none = !self.nodes.iter().any(|node| want.eligible.admits(node));
        // An organization must not learn whether others have nodes.
        none.then(|| want.eligible.organization().map_or(NoNode::Empty, |_| NoNode::NotServed))
    }

    fn choose_among(
        &self,
        want: Want<'_>,
        normal: &str,
        having: impl Iterator<Item = usize> + Clone,
        tried: &[Arc<Node>],
        found: &mut Candidates,
    ) -> Result<(), NoNode> {
        let serving = || {
            let nodes = having.clone().filter_map(|at| self.nodes.get(at).zip(self.numbers.get(at)));
            nodes.filter(|(node, _)| serves(node, want))
        };
        let enabled = || {
            serving()
                .filter(|(node, _)| node.admin_state == AdminState::Enabled)
                .filter(|(node, _)| !tried.iter().any(|t| t.id == node.id))
        };
        // What fails comes last, whatever the strategy.
        let active = enabled().filter(|(node, _)| node.pool != Pool::Standby);
        if let Some(best) = active.map(|(node, _)| node.live.standing(normal)).min() {
            // What waits goes to one that is down once it is back, and to one that fails once it is to be tried.
            found.extend(enabled().map(|(node, number)| {
                let held = node.pool != Pool::Standby && node.live.standing(normal) != best;
                candidate(node, *number, held)
            }));
            return Ok(());
        }
        if serving().next().is_some() {
            return Err(NoNode::Down);
        }
        Err(self.nobody(want).unwrap_or_else(|| NoNode::Unserved(self.why_unserved(having, want))))
    }

    fn unknown(&self, want: Want<'_>, model: &str) -> NoNode {
        if let Some(nobody) = self.nobody(want) {
            return nobody;
        }
        let eligible = want.eligible;
        if !eligible.cloud() && model_name::names_cloud(model) {
            return NoNode::Cloud(model.to_owned());
        }
        let entries = self.ollama.values().chain(self.openai.values()).filter(|e| self.has(e, eligible));
        // With nothing in the catalogue and nodes still to be heard of, nobody can say that the model is not
        // there: the client should come back, not give up.
        if entries.clone().next().is_none()
            && self.nodes.iter().filter(|n| eligible.admits(n)).all(|n| n.pool == Pool::Standby)
        {
            return NoNode::Down;
        }
        let names = entries.map(|entry| &*entry.name).filter(|name| eligible.allows(name));
        NoNode::UnknownModel { model: model.to_owned(), nearest: nearest_models(model, names) }
    }

    fn why_unserved(&self, having: impl Iterator<Item = usize>, want: Want<'_>) -> String {
        let names: Vec<&str> = having.filter_map(|at| self.nodes.get(at)).map(|n| &*n.name).collect();
        match want.ollama {
            Some((major, minor, patch)) if (major, minor, patch) > (0, 0, 0) => {
                format!("{} would need Ollama {major}.{minor}.{patch} or newer", names.join(", "))
            }
            Some(_) => format!("{} {} no Ollama API", names.join(", "), one(&names, "has", "have")),
            None => format!("{} {} not have it", names.join(", "), one(&names, "does", "do")),
        }
    }
}

/// The word for one of them, or for several.
fn one<'w>(names: &[&str], one: &'w str, several: &'w str) -> &'w str {
    if names.len() == 1 { one } else { several }
}

/// Nodes that may serve a request.
pub(super) type Candidates = SmallVec<[Candidate; 16]>;

fn candidate(node: &Node, number: aivonx_scheduler::NodeId, held: bool) -> Candidate {
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    let latency = node.live.latency_us().map(|us| us as f64);
    let weight = node.labels.get(WEIGHT).and_then(|weight| weight.parse().ok());
    let weight = weight.filter(|weight| *weight > 0.0).unwrap_or(1.0);
    Candidate { node: number, latency, weight, held }
}

/// The label that says how much more than others a node is to get where the strategy is `weighted`.
const WEIGHT: &str = "weight";

pub(super) fn policy(strategy: Strategy) -> Policy {
    match strategy {
        Strategy::Cost => Policy::Cost,
        Strategy::LeastActive => Policy::LeastActive,
        Strategy::LowestLatency => Policy::LowestLatency,
        Strategy::RoundRobin => Policy::RoundRobin,
        Strategy::Weighted => Policy::Weighted,
    }
}

/// Whether `node` serves the route.
#[must_use]
pub fn serves(node: &Node, want: Want<'_>) -> bool {
    if node.live.lacks(want.api, want.model.unwrap_or_default()) {
        return false;
    }
    match node.kind {
        NodeKind::Openai => want.openai,
        NodeKind::Ollama => want.ollama.is_some_and(|lowest| {
            lowest == (0, 0, 0) || node.seen.version.as_ref().is_none_or(|(_, v)| *v >= lowest)
        }),
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
