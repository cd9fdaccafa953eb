//! Nodes.
//!
//! ## node
//! | field | meaning |
//! |---|---|
//! | `id` | stable id, never reused |
//! | `name` | unique name |
//! | `url` | base URL, without credentials |
//! | `kind` | `ollama` or `openai` |
//! | `version` | version it reported last, or null |
//! | `pool` | `active` (healthy), `standby`, or `asleep` (not checked, and woken when it is needed) |
//! | `admin_state` | `enabled`, `draining` or `disabled` |
//! | `models` | array of names it has |
//! | `loaded` | array of names it holds in memory |
//! | `latency_ms` | average of the health check's round trip, or null |
//! | `active_requests` | requests it works on for this gateway now |
//! | `max_parallel` | most requests at once; 0 is no limit |
//! | `last_error` | why the last check or attempt failed, or null |
//! | `last_check` | time of the last check, or null |
//! | `credential` | `none`, `bearer`, `basic`, `header NAME`, or `certificate until YYYY-MM-DD`, with ` and header NAME` where both are sent; never the secret |
//! | `labels` | object of your own labels |
//! | `server_name` | name expected in its certificate, or null for the URL's host |
//! | `custom_ca` | whether it has a CA of its own |
//! | `revision` | rises with every change; see `node set --revision` |
//! | `simulated` | whether the daemon simulates this node (`dev --simulate`) |
//! | `organization` | slug of the organization it is assigned to alone, or null |
//! | `vram_bytes` | bytes of GPU memory that its loaded models take, or null while it does not report them |
//! | `requests_per_second` | attempts sent to it a second, on average over the last minute |
//! | `recent_errors` | attempts it failed in the last five minutes |

use std::borrow::Cow;

use aivonx_protocol::node::{AdminState, Node, NodeKind, Pool};

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone,
        text::{ago, bytes, latency, rate},
    },
};

/// How a node stands, in one word; the most pressing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Wanted and not healthy.
    Standby,
    /// Finishes what it has.
    Draining,
    /// Taken out.
    Disabled,
    /// Left alone until it is needed.
    Asleep,
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
            (AdminState::Enabled, Pool::Asleep) => Self::Asleep,
        }
    }

    /// The word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
            Self::Asleep => "asleep",
            Self::Active => "active",
        }
    }

    /// What it means.
    fn meaning(self) -> &'static str {
        match self {
            Self::Standby => "takes none until it answers its checks",
            Self::Draining => "finishes what it has and takes nothing new",
            Self::Disabled => "takes nothing and is not checked",
            Self::Asleep => "is not checked, and woken when a request is worth it",
            Self::Active => "takes requests",
        }
    }

    /// How it looks.
    pub(crate) fn tone(self) -> Tone {
        match self {
            Self::Standby => Tone::Bad,
            Self::Draining => Tone::Warn,
            Self::Disabled | Self::Asleep => Tone::Dim,
            Self::Active => Tone::Good,
        }
    }
}

/// What the checks found, in a word.
fn pool(node: &Node) -> &'static str {
    match node.pool {
        Pool::Active => "active",
        Pool::Standby => "standby",
        Pool::Asleep => "asleep",
    }
}

fn kind(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Ollama => "ollama",
        NodeKind::Openai => "openai",
    }
}

fn state(node: &Node, view: &View<'_>) -> Cell {
    let standing = Standing::of(node);
    let (unicode, ascii) = match standing {
        Standing::Active => ("●", "+"),
        Standing::Standby => ("○", "!"),
        Standing::Draining => ("◐", "~"),
        Standing::Disabled => ("×", "x"),
        Standing::Asleep => ("☾", "z"),
    };
    Cell::toned(view.signed(unicode, ascii, standing.as_str()), standing.tone())
}

/// Requests at work, with the bound if there is one: `3/8`; in the console of a node that drains, how many are left.
/// A full node, and one that drains, needs a look.
fn active(node: &Node, view: &View<'_>) -> Cell {
    let full = node.max_parallel > 0 && node.active_requests >= node.max_parallel;
    let drains = Standing::of(node) == Standing::Draining;
    let text = match node.max_parallel {
        _ if drains && view.theme.is_some() => format!("{} left", node.active_requests),
        0 => node.active_requests.to_string(),
        most => format!("{}/{most}", node.active_requests),
    };
    let look = full || (drains && node.active_requests > 0);
    Cell::toned(text, if look { Tone::Warn } else { Tone::Plain })
}

/// Models in memory; in the console of how many.
fn loaded(node: &Node, view: &View<'_>) -> Cell {
    let all = if view.theme.is_some() { format!("/{}", node.models.len()) } else { String::new() };
    format!("{}{all}", node.loaded.len()).into()
}

fn errors(node: &Node, text: String) -> Cell {
    Cell::toned(text, if node.recent_errors > 0 { Tone::Bad } else { Tone::Plain })
}

impl Noun for Node {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("NAME").cut(24).grows(12), |node, view| {
            // The command line says so in its column of the kind.
            let simulated = if node.simulated && view.theme.is_some() { " (simulated)" } else { "" };
            format!("{}{simulated}", node.name).into()
        })
        .sorted(|a, b| a.name.cmp(&b.name)),
        Field::<Self>::new(Column::text("STATE").cells(10), state)
            .sorted(|a, b| Standing::of(a).cmp(&Standing::of(b))),
        Field::<Self>::new(Column::number("ACTIVE").cells(7), active)
            .sorted(|a, b| a.active_requests.cmp(&b.active_requests)),
        Field::<Self>::new(Column::number("MODELS").optional(2), |node, _| {
            node.models.len().to_string().into()
        })
        .on_command_line(),
        Field::<Self>::new(Column::number("LOADED").optional(1), loaded)
            .sorted(|a, b| (a.loaded.len(), a.models.len()).cmp(&(b.loaded.len(), b.models.len()))),
        Field::<Self>::new(Column::number("GPU MEMORY").optional(4), |node, _| {
            Cell::optional(node.vram_bytes.map(bytes))
        })
        .sorted(|a, b| a.vram_bytes.cmp(&b.vram_bytes)),
        Field::<Self>::new(Column::number("LATENCY").optional(2), |node, _| {
            Cell::optional(node.latency_ms.map(latency))
        })
        .sorted(|a, b| {
            // What has none comes last.
            let of = |node: &Node| node.latency_ms.unwrap_or(f64::INFINITY);
            of(a).total_cmp(&of(b))
        }),
        Field::<Self>::new(Column::number("REQ/S").optional(3), |node, _| {
            rate(node.requests_per_second).into()
        })
        .sorted(|a, b| a.requests_per_second.total_cmp(&b.requests_per_second)),
        Field::<Self>::new(Column::number("ERRORS").optional(1), |node, _| {
            errors(node, node.recent_errors.to_string())
        })
        .sorted(|a, b| a.recent_errors.cmp(&b.recent_errors)),
        Field::<Self>::new(Column::text("KIND").cells(17).optional(8), |node, _| {
            format!("{}{}", kind(node), if node.simulated { ", simulated" } else { "" }).into()
        })
        .sorted(|a, b| kind(a).cmp(kind(b))),
        Field::<Self>::new(Column::text("URL").cut(16).optional(6), |node, _| (&node.url).into())
            .sorted(|a, b| a.url.cmp(&b.url)),
        Field::<Self>::new(Column::text("VERSION").cells(9).optional(9), |node, _| {
            Cell::optional(node.version.as_deref())
        })
        .sorted(|a, b| a.version.cmp(&b.version))
        .in_console(),
        Field::<Self>::new(Column::text("ORG").cells(10).optional(10), |node, _| {
            Cell::optional(node.organization.as_deref())
        })
        .sorted(|a, b| a.organization.cmp(&b.organization))
        .in_console(),
        Field::<Self>::new(Column::text("POOL").cells(7).optional(11), |node, _| pool(node).into())
            .sorted(|a, b| pool(a).cmp(pool(b)))
            .in_console(),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn details(&self, view: &View<'_>) -> Table {
        let standing = Standing::of(self);
        let mut table = Table::pairs();
        table.pair("name", &self.name);
        table.pair("id", &self.id);
        table.pair("url", &self.url);
        let version = self.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        table.pair("kind", format!("{}{version}", kind(self)));
        table.pair(
            "state",
            Cell::toned(format!("{} ({})", standing.as_str(), standing.meaning()), standing.tone()),
        );
        if self.admin_state != AdminState::Enabled {
            let health = match self.pool {
                Pool::Active => "healthy",
                Pool::Standby => "not healthy",
                Pool::Asleep => "asleep",
            };
            table.pair("health", health);
        }
        if let Some(why) = &self.last_error {
            table.lines("last error", why, Tone::Bad);
        }
        table.pair("last check", self.last_check.map_or_else(|| "never".to_owned(), |at| ago(at, view.now)));
        table.pair("latency", Cell::optional(self.latency_ms.map(latency)));
        table.pair("active requests", active(self, view));
        if standing == Standing::Draining && self.active_requests == 0 {
            table.pair("drained", Cell::toned("nothing is left: it can be disabled or removed", Tone::Warn));
        }
        table.pair("requests/s", format!("{} (last minute)", rate(self.requests_per_second)));
        table.pair("errors", errors(self, format!("{} (last 5 minutes)", self.recent_errors)));
        table.pair("GPU memory", Cell::optional(self.vram_bytes.map(bytes)));
        table.pair(
            "max parallel",
            match self.max_parallel {
                0 => "no limit".to_owned(),
                most => most.to_string(),
            },
        );
        if let Some(organization) = &self.organization {
            table.pair("assigned to", organization);
        }
        table.pair("credential", &self.credential);
        if self.url.starts_with("https:") {
            table.pair("certificates", if self.custom_ca { "own CA" } else { "the system's" });
            table.pair("server name", self.server_name.as_deref().unwrap_or("as in the URL"));
        }
        for (key, value) in &self.labels {
            table.pair("label", format!("{key}={value}"));
        }
        if self.simulated {
            table.pair("simulated", "yes");
        }
        table.pair("revision", self.revision.to_string());
        let loaded = |model: &String| if self.loaded.contains(model) { " (loaded)" } else { "" };
        table.list("models", self.models.iter().map(|model| format!("{model}{}", loaded(model))));
        table
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
