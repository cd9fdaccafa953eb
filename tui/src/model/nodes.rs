//! The nodes as the console knows them.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
};

use aivonx_protocol::{
    UnixMillis,
    node::{AdminState, Node, Pool},
};

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
    /// The latencies of each, in milliseconds, the oldest first, and when the last was measured.
    trends: BTreeMap<String, (Option<UnixMillis>, VecDeque<f64>)>,
}

impl Nodes {
    /// Notes a node's latency.
    pub(crate) fn note(&mut self, node: &Node) {
        let Some(latency) = node.latency_ms else { return };
        let (measured, trend) = self.trends.entry(node.id.clone()).or_default();
        // What is told for another reason is not measured anew.
        if !trend.is_empty() && *measured == node.last_check {
            return;
        }
        *measured = node.last_check;
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
        self.trends.get(id).map_or(&NONE, |(_, trend)| trend).iter().copied()
    }
}

/// What the checks found, in a word.
pub(crate) fn pool(node: &Node) -> &'static str {
    match node.pool {
        Pool::Active => "active",
        Pool::Standby => "standby",
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
            "pool" => pool(self).to_owned(),
            "vram" => self.vram_bytes?.to_string(),
            "rate" => self.requests_per_second.to_string(),
            "errors" => self.recent_errors.to_string(),
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
        Column::number("LOADED", 6, 1),
        Column::number("GPU MEM", 7, 4),
        Column::number("LATENCY", 7, 2),
        Column::number("REQ/S", 5, 3),
        Column::number("ERRORS", 6, 1),
        Column::new("TREND", Width::Fixed(12), 5),
        Column::new("VERSION", Width::Fixed(9), 6),
        Column::new("ADDRESS", Width::Fill(25), 7),
        Column::new("ORG", Width::Fixed(10), 8),
        Column::new("POOL", Width::Fixed(7), 9),
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
            3 => (self.loaded.len(), self.models.len()).cmp(&(other.loaded.len(), other.models.len())),
            4 => self.vram_bytes.cmp(&other.vram_bytes),
            // What has none comes last.
            5 | 8 => {
                let of = |node: &Self| node.latency_ms.unwrap_or(f64::INFINITY);
                of(self).total_cmp(&of(other))
            }
            6 => self.requests_per_second.total_cmp(&other.requests_per_second),
            7 => self.recent_errors.cmp(&other.recent_errors),
            9 => self.version.cmp(&other.version),
            10 => self.url.cmp(&other.url),
            11 => self.organization.cmp(&other.organization),
            12 => pool(self).cmp(pool(other)),
            _ => self.name.cmp(&other.name),
        }
    }
}
