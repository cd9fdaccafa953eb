//! One pull on several nodes, reported as if it were one: per layer the slowest node counts.

use std::collections::HashMap;

use aivonx_protocol::job::JobState;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::sanitize::shown;

/// One line of a node's answer to `/api/pull`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Line {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) total: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) completed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Line {
    /// As Ollama writes it: one JSON object and a line feed.
    fn bytes(&self) -> Bytes {
        // Strings and numbers always serialise.
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text.into()
    }

    /// The last line of a pull that failed.
    pub(super) fn failure(error: String) -> Bytes {
        Self { error: Some(error), ..Self::default() }.bytes()
    }

    /// The last line of a pull that went well.
    pub(super) fn success() -> Bytes {
        Self { status: "success".into(), ..Self::default() }.bytes()
    }
}

/// Steps kept; further ones of a node are ignored. A model has some ten.
const STEPS: usize = 1024;

/// The progress of all nodes.
#[derive(Debug)]
pub(super) struct Merge {
    nodes: Vec<OnNode>,
    /// Statuses and layers in the order in which the first node reported them.
    steps: Vec<Step>,
    index: HashMap<(Option<String>, String), usize>,
}

/// How far one node is.
#[derive(Debug)]
pub(super) struct OnNode {
    pub(super) state: JobState,
    pub(super) status: String,
    pub(super) error: Option<String>,
    /// The furthest step it reported.
    furthest: Option<usize>,
    /// Bytes completed and in all, per layer.
    layers: HashMap<usize, (u64, u64)>,
}

#[derive(Debug)]
struct Step {
    status: String,
    digest: Option<String>,
    /// The largest total any node reported.
    total: u64,
}

/// What a reader has got so far.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    told: Vec<Option<(u64, u64)>>,
}

impl Merge {
    pub(super) fn new(nodes: usize) -> Self {
        let on_node = || OnNode {
            state: JobState::Running,
            status: String::new(),
            error: None,
            furthest: None,
            layers: HashMap::new(),
        };
        Self {
            nodes: std::iter::repeat_with(on_node).take(nodes).collect(),
            steps: Vec::new(),
            index: HashMap::new(),
        }
    }

    /// Takes in a line of node `at`. Its error and success lines end it by [`Self::end`] instead.
    pub(super) fn take(&mut self, at: usize, line: Line) {
        let status = shown(line.status);
        let digest = line.digest.map(shown);
        // A layer is known by its digest; its status may be worded differently by another version.
        let key = match &digest {
            Some(digest) => (Some(digest.clone()), String::new()),
            None => (None, status.clone()),
        };
        let step = match self.index.get(&key) {
            Some(step) => *step,
            None if self.steps.len() == STEPS => return,
            None => {
                self.steps.push(Step { status: status.clone(), digest: digest.clone(), total: 0 });
                self.index.insert(key, self.steps.len() - 1);
                self.steps.len() - 1
            }
        };
        let node = &mut self.nodes[at];
        node.status = status;
        node.furthest = node.furthest.max(Some(step));
        if digest.is_some() {
            let layer = node.layers.entry(step).or_default();
            // A node that resumes a broken download reports less than before; what was there is there still.
            *layer = (layer.0.max(line.completed), layer.1.max(line.total));
            self.steps[step].total = self.steps[step].total.max(line.total);
        }
    }

    /// Node `at` is through.
    pub(super) fn end(&mut self, at: usize, state: JobState, error: Option<String>) {
        let node = &mut self.nodes[at];
        node.state = state;
        if state == JobState::Done {
            "success".clone_into(&mut node.status);
        }
        node.error = error.map(shown);
    }

    pub(super) fn nodes(&self) -> &[OnNode] {
        &self.nodes
    }

    /// How it stands in all: at work as long as one node is.
    pub(super) fn state(&self) -> JobState {
        let any = |state| self.nodes.iter().any(|n| n.state == state);
        [JobState::Running, JobState::Cancelled, JobState::Failed]
            .into_iter()
            .find(|state| any(*state))
            .unwrap_or(JobState::Done)
    }

    /// Bytes completed and in all: over the layers, the slowest node counting for each.
    pub(super) fn bytes(&self) -> (u64, u64) {
        self.layers()
            .map(|step| self.merged(step))
            .fold((0, 0), |sum, layer| (sum.0.saturating_add(layer.0), sum.1.saturating_add(layer.1)))
    }

    /// Bytes completed and in all on one node.
    pub(super) fn bytes_on(&self, at: usize) -> (u64, u64) {
        self.layers()
            .map(|step| (self.on(&self.nodes[at], step), self.steps[step].total))
            .fold((0, 0), |sum, layer| (sum.0.saturating_add(layer.0), sum.1.saturating_add(layer.1)))
    }

    /// What is new since `cursor`, in Ollama's form.
    pub(super) fn news(&self, cursor: &mut Cursor) -> Vec<Bytes> {
        cursor.told.resize(self.steps.len(), None);
        let mut news = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            let now = if step.digest.is_some() { self.merged(at) } else { (0, 0) };
            let due = step.digest.is_some() || at == 0 || self.all_reached(at);
            if due && cursor.told[at] != Some(now) {
                cursor.told[at] = Some(now);
                let (completed, total) = now;
                let (status, digest) = (step.status.clone(), step.digest.clone());
                news.push(Line { status, digest, total, completed, error: None }.bytes());
            }
        }
        news
    }

    /// The error of the whole: the node's own words if there is but one, or all say the same. Without `names` it does
    /// not say which node said what.
    pub(super) fn error(&self, names: Option<&[&str]>) -> String {
        let failed: Vec<(usize, &str)> = self
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(at, node)| Some((at, node.error.as_deref()?)))
            .collect();
        let all_failed = failed.len() == self.nodes.len();
        let mut said: Vec<String> = match (failed.as_slice(), names) {
            ([], _) => return "cancelled".into(),
            ([(_, first), rest @ ..], _) if all_failed && rest.iter().all(|(_, error)| error == first) => {
                return (*first).to_owned();
            }
            (all, Some(names)) => all.iter().map(|(at, error)| format!("{}: {error}", names[*at])).collect(),
            (all, None) => all.iter().map(|(_, error)| (*error).to_owned()).collect(),
        };
        // Without names the same words twice say nothing more.
        said.dedup();
        said.join("; ")
    }

    fn layers(&self) -> impl Iterator<Item = usize> {
        self.steps.iter().enumerate().filter(|(_, step)| step.digest.is_some()).map(|(at, _)| at)
    }

    /// Nodes that still count: one that failed or was left holds nobody up.
    fn counting(&self) -> impl Iterator<Item = &OnNode> {
        self.nodes.iter().filter(|n| matches!(n.state, JobState::Running | JobState::Done))
    }

    fn merged(&self, step: usize) -> (u64, u64) {
        let total = self.steps[step].total;
        let slowest = self.counting().map(|node| self.on(node, step)).min();
        // With no node left to count, what the furthest had got to stands.
        let slowest = slowest.or_else(|| self.nodes.iter().map(|node| self.on(node, step)).max());
        (slowest.unwrap_or(0), total)
    }

    fn on(&self, node: &OnNode, step: usize) -> u64 {
        let total = self.steps[step].total;
        match node.state {
            JobState::Done => total,
            _ => node.layers.get(&step).map_or(0, |layer| layer.0.min(total)),
        }
    }

    fn all_reached(&self, step: usize) -> bool {
        self.counting().all(|node| node.state == JobState::Done || node.furthest >= Some(step))
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
