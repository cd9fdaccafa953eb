//! The nodes: a table, and everything about one.

use std::borrow::Cow;

use aivonx_protocol::node::{Node, NodeKind};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::Table;
use crate::{
    model::{Model, Right, list::Record as _, nodes::Standing},
    render::text::{NONE, ago, latency, safe},
    theme::{Theme, Tone},
    widgets::{grid::Cell, rows::Row, spark},
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let theme = model.settings.theme;
    let table = Table {
        title: "Nodes",
        noun: "the nodes",
        list: &model.nodes.list,
        columns: Cow::Borrowed(Node::COLUMNS),
        right: Right::NodesRead,
        empty: "There is no node yet: no server to run models on.\n\nPress a to add one: its name and its address, \
                such as http://10.0.0.5:11434. The gateway asks it what it is.",
        cells: &|node| cells(model, node, theme),
        facts: &|node| facts(model, node),
    };
    table.draw(buffer, area, model);
}

fn standing(node: &Node, theme: Theme) -> Cell {
    let standing = Standing::of(node);
    let (sign, tone) = match standing {
        Standing::Active => (theme.sign("●", "+"), Tone::Good),
        Standing::Standby => (theme.sign("○", "!"), Tone::Bad),
        Standing::Draining => (theme.sign("◐", "~"), Tone::Warn),
        Standing::Disabled => (theme.sign("×", "x"), Tone::Dim),
    };
    Cell::toned(format!("{sign} {}", standing.as_str()), tone)
}

fn at_work(node: &Node) -> String {
    match node.max_parallel {
        0 => node.active_requests.to_string(),
        max => format!("{}/{max}", node.active_requests),
    }
}

fn cells(model: &Model, node: &Node, theme: Theme) -> Vec<Cell> {
    let simulated = if node.simulated { " (simulated)" } else { "" };
    let wrong = node.last_error.as_deref();
    let about = wrong.map_or_else(|| Cell::new(safe(&node.url)), |error| Cell::toned(safe(error), Tone::Bad));
    let full = node.max_parallel > 0 && node.active_requests >= node.max_parallel;
    vec![
        Cell::new(safe(&node.name) + simulated),
        standing(node, theme),
        Cell::toned(at_work(node), if full { Tone::Warn } else { Tone::Plain }),
        Cell::new(format!("{}/{}", node.loaded.len(), node.models.len())),
        Cell::new(node.latency_ms.map_or_else(|| NONE.to_owned(), latency)),
        Cell::toned(spark::line(model.nodes.trend(&node.id), 12, theme), Tone::Dim),
        Cell::new(node.version.as_deref().map_or_else(|| NONE.to_owned(), safe)),
        Cell::new(node.organization.as_deref().map_or_else(|| NONE.to_owned(), safe)),
        about,
    ]
}

fn facts(model: &Model, node: &Node) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |label: &str, value: String, tone| rows.push((label.to_owned(), value, tone));
    let standing = Standing::of(node);
    let tone = match standing {
        Standing::Active => Tone::Good,
        Standing::Standby => Tone::Bad,
        Standing::Draining | Standing::Disabled => Tone::Warn,
    };
    let meaning = match standing {
        Standing::Active => "takes requests",
        Standing::Standby => "takes none until it answers its checks",
        Standing::Draining => "finishes what it has and takes nothing new",
        Standing::Disabled => "takes nothing and is not checked",
    };
    row("state", format!("{}: {meaning}", standing.as_str()), tone);
    if let Some(error) = &node.last_error {
        row("wrong", error.clone(), Tone::Bad);
    }
    row("address", node.url.clone(), Tone::Plain);
    let kind = if node.kind == NodeKind::Ollama { "Ollama" } else { "OpenAI API" };
    let version = node.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let simulated = if node.simulated { ", simulated by the gateway itself" } else { "" };
    row("kind", format!("{kind}{version}{simulated}"), Tone::Plain);
    let most = match node.max_parallel {
        0 => "no limit".to_owned(),
        max => format!("at most {max}"),
    };
    row("at work", format!("{} ({most})", node.active_requests), Tone::Plain);
    let checked = node.last_check.map_or_else(|| "never".to_owned(), |at| ago(at, model.now));
    let took = node.latency_ms.map_or_else(|| NONE.to_owned(), latency);
    row("checked", format!("{checked}, latency {took}"), Tone::Plain);
    let names = |names: &[String]| if names.is_empty() { NONE.to_owned() } else { names.join(", ") };
    row("loaded", names(&node.loaded), Tone::Plain);
    row("models", names(&node.models), Tone::Plain);
    row("credential", node.credential.clone(), Tone::Plain);
    if let Some(organization) = &node.organization {
        row("only for", organization.clone(), Tone::Plain);
    }
    if !node.labels.is_empty() {
        let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        row("labels", labels.join(" "), Tone::Plain);
    }
    if let Some(name) = &node.server_name {
        row("TLS name", name.clone(), Tone::Plain);
    }
    if node.custom_ca {
        row("TLS roots", "of its own".into(), Tone::Plain);
    }
    row("id", format!("{} (revision {})", node.id, node.revision), Tone::Dim);
    rows
}
