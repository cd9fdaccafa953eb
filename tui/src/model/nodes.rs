//! The nodes as the console knows them.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
};

use aivonx_protocol::node::{AdminState, Node, Pool};

use super::list::{Column, List, Record, Width};
use crate::filter::Subject;

/// Latencies kept per node.
const TREND: usize = 32;

/// How a node stands, in one word; the most pressing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Wanted and not healthy.
    Standby,
    /// Finishes what it has.
    Draining,
    /// Taken out.
    Disabled,
    /// Serves.
    Active,
}

impl Standing {
    /// Of this node.
    pub(crate) fn of(node: &Node) -> Self {
        match (node.admin_state, node.pool) {
            (AdminState::Disabled, _) => Self::Disabled,
            (AdminState::Draining, _) => Self::Draining,
            (AdminState::Enabled, Pool::Active) => Self::Active,
            (AdminState::Enabled, Pool::Standby) => Self::Standby,
        }
    }

    /// The word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
            Self::Active => "active",
        }
    }
}

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    /// All nodes.
    pub(crate) list: List<Node>,
    /// The latencies of each, in milliseconds, the oldest first.
    trends: BTreeMap<String, VecDeque<f64>>,
}

impl Nodes {
    /// Notes a node's latency.
    pub(crate) fn note(&mut self, node: &Node) {
        let Some(latency) = node.latency_ms else { return };
        let trend = self.trends.entry(node.id.clone()).or_default();
        if trend.len() == TREND {
            trend.pop_front();
        }
        trend.push_back(latency);
    }

    /// Forgets a node's latencies.
    pub(crate) fn forget(&mut self, id: &str) {
        self.trends.remove(id);
    }

    /// A node's latencies, the oldest first.
    pub(crate) fn trend(&self, id: &str) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator {
        static NONE: VecDeque<f64> = VecDeque::new();
        self.trends.get(id).unwrap_or(&NONE).iter().copied()
    }
}

impl Subject for Node {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "node" | "name" => self.name.clone(),
            "url" => self.url.clone(),
            "state" => Standing::of(self).as_str().to_owned(),
            "active" => self.active_requests.to_string(),
            "model" => self.models.join(" "),
            "loaded" => self.loaded.join(" "),
            "version" => self.version.clone()?,
            "latency" => self.latency_ms?.to_string(),
            "error" => self.last_error.clone()?,
            "org" => self.organization.clone()?,
            label => self.labels.get(label)?.clone(),
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name)
            || test(&self.url)
            || test(Standing::of(self).as_str())
            || self.organization.as_deref().is_some_and(&mut *test)
            || self.last_error.as_deref().is_some_and(&mut *test)
            || self.labels.iter().any(|(key, value)| test(key) || test(value))
    }
}

impl Record for Node {
    const COLUMNS: &'static [Column] = &[
        Column::new("NODE", Width::Fill(12), 0),
        Column::new("STATE", Width::Fixed(10), 0),
        Column::number("AT WORK", 7, 0),
        Column::number("MODELS", 6, 1),
        Column::number("LATENCY", 7, 2),
        Column::new("TREND", Width::Fixed(12), 6),
        Column::new("VERSION", Width::Fixed(9), 5),
        Column::new("ORG", Width::Fixed(10), 7),
        Column::new("ADDRESS, OR WHAT IS WRONG", Width::Fill(25), 3),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => Standing::of(self).cmp(&Standing::of(other)),
            2 => self.active_requests.cmp(&other.active_requests),
            3 => self.models.len().cmp(&other.models.len()),
            // What has none comes last.
            4 | 5 => {
                let of = |node: &Self| node.latency_ms.unwrap_or(f64::INFINITY);
                of(self).total_cmp(&of(other))
            }
            6 => self.version.cmp(&other.version),
            7 => self.organization.cmp(&other.organization),
            8 => self.url.cmp(&other.url),
            _ => self.name.cmp(&other.name),
        }
    }
}
