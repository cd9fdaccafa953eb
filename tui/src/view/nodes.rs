//! The nodes: a table, and everything about one.

use std::borrow::Cow;

use aivonx_protocol::node::{AdminState, Node, NodeKind};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::Table;
use crate::{
    model::{
        Model, Right,
        list::Record as _,
        nodes::{Standing, pool},
    },
    render::text::{NONE, ago, bytes, latency, plural, rate, safe},
    theme::{Theme, Tone},
    widgets::{grid::Cell, rows::Row, spark, text::fit},
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
    let Some(node) = model.nodes.list.chosen().filter(|_| !model.detail && area.height > 4) else {
        return table.draw(buffer, area, model);
    };
    table.draw(buffer, Rect { height: area.height - 1, ..area }, model);
    let (text, tone) = note(node);
    let line = fit(&text, usize::from(area.width.saturating_sub(2)), theme.cut());
    buffer.set_stringn(area.x + 2, area.bottom() - 1, line, usize::from(area.width), theme.style(tone));
}

/// Where the chosen node is, or what is wrong with it: where there is no room for it in its row.
fn note(node: &Node) -> (String, Tone) {
    let wrong = node.last_error.as_deref().filter(|_| node.admin_state != AdminState::Disabled);
    match wrong {
        Some(why) => (format!("{}: {}", safe(&node.name), safe(why)), Tone::Bad),
        None => (format!("{}: {}", safe(&node.name), safe(&node.url)), Tone::Dim),
    }
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

/// Requests at work and their bound; of a node that drains, how many it still has.
fn at_work(node: &Node) -> String {
    match node.max_parallel {
        _ if Standing::of(node) == Standing::Draining => format!("{} left", node.active_requests),
        0 => node.active_requests.to_string(),
        max => format!("{}/{max}", node.active_requests),
    }
}

fn cells(model: &Model, node: &Node, theme: Theme) -> Vec<Cell> {
    let simulated = if node.simulated { " (simulated)" } else { "" };
    let full = node.max_parallel > 0 && node.active_requests >= node.max_parallel;
    let draining = Standing::of(node) == Standing::Draining && node.active_requests > 0;
    let errors = if node.recent_errors > 0 { Tone::Bad } else { Tone::Plain };
    let none = || NONE.to_owned();
    vec![
        Cell::new(safe(&node.name) + simulated),
        standing(node, theme),
        Cell::toned(at_work(node), if full || draining { Tone::Warn } else { Tone::Plain }),
        Cell::new(format!("{}/{}", node.loaded.len(), node.models.len())),
        Cell::new(node.vram_bytes.map_or_else(none, bytes)),
        Cell::new(node.latency_ms.map_or_else(none, latency)),
        Cell::new(rate(node.requests_per_second)),
        Cell::toned(node.recent_errors.to_string(), errors),
        Cell::toned(spark::line(model.nodes.trend(&node.id), 12, theme), Tone::Dim),
        Cell::new(node.version.as_deref().map_or_else(none, safe)),
        Cell::new(safe(&node.url)),
        Cell::new(node.organization.as_deref().map_or_else(none, safe)),
        Cell::new(pool(node)),
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
    if standing == Standing::Draining {
        let left = match node.active_requests {
            0 => "nothing is left: it can be disabled or removed".to_owned(),
            left => format!("{} left", plural(left.into(), "request")),
        };
        row("draining", left, Tone::Warn);
    }
    let tone = if node.recent_errors > 0 { Tone::Bad } else { Tone::Plain };
    row("requests", format!("{}/s in the last minute", rate(node.requests_per_second)), Tone::Plain);
    row("errors", format!("{} in the last 5 minutes", node.recent_errors), tone);
    let vram = node.vram_bytes.map_or_else(|| NONE.to_owned(), bytes);
    row("GPU memory", format!("{vram} taken by loaded models"), Tone::Plain);
    let checked = node.last_check.map_or_else(|| "never".to_owned(), |at| ago(at, model.now));
    let took = node.latency_ms.map_or_else(|| NONE.to_owned(), latency);
    let trend = spark::line(model.nodes.trend(&node.id), 24, model.settings.theme);
    row("checked", format!("{checked}, latency {took}  {trend}"), Tone::Plain);
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
