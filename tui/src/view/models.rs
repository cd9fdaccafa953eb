//! The models: models down, nodes across.

use std::borrow::Cow;

use aivonx_protocol::model::{Model as Known, ModelOnNode};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::{Facts, Table, maybe};
use crate::{
    model::{
        Model, Right,
        list::{Column, Record as _, Width},
        models::on,
    },
    render::text::{bytes, safe, span},
    theme::Tone,
    update::models::columns,
    widgets::{grid::Cell, text},
};

/// Cells of a node's column, least and most.
const NODE: (usize, usize) = (9, 14);

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let names = columns(model);
    let all = names.len();
    let names = in_sight(model, &names, usize::from(area.width));
    let mut shown: Vec<Column> = Known::COLUMNS.to_vec();
    for name in &names {
        let here = model.models.node.as_deref() == Some(*name);
        let title = if here { format!("[{}]", safe(name)) } else { safe(name) };
        let cells = u16::try_from(text::width(&title).clamp(NODE.0, NODE.1)).unwrap_or(8);
        shown.push(Column { title: Cow::Owned(title), width: Width::Fixed(cells), rank: 1, right: false });
    }
    let hidden = all - names.len();
    let more = if hidden > 0 { format!(", {hidden} more nodes beside") } else { String::new() };
    let target = match &model.models.node {
        Some(node) => format!("keys act on {}", safe(node)),
        None => "keys act on every node; left, right: one".to_owned(),
    };
    let title = format!("Models ({target}{more})");
    let table = Table {
        title: &title,
        noun: "the models",
        list: &model.models.list,
        columns: Cow::Owned(shown),
        right: Right::ModelsRead,
        empty: "There is no model on any active node yet.\n\nPress p to have the nodes download one, such as qwen3:8b.",
        cells: &|known| cells(known, &names),
        facts: &|known| facts(model, known),
    };
    table.draw(buffer, area, model);
}

/// As many nodes as have room, the chosen one among them.
fn in_sight<'a>(model: &Model, names: &[&'a str], width: usize) -> Vec<&'a str> {
    // The model's name always has its place.
    let room = (width.saturating_sub(26) / (NODE.0 + 2)).max(1);
    let at = names.iter().position(|name| model.models.node.as_deref() == Some(*name)).unwrap_or(0);
    let from = (at + 1).saturating_sub(room);
    names.iter().skip(from).take(room).copied().collect()
}

fn cells(known: &Known, nodes: &[&str]) -> Vec<Cell> {
    let cloud = if known.cloud { " (cloud)" } else { "" };
    let mut cells = vec![
        Cell::new(safe(&known.name) + cloud),
        Cell::new(known.size.map_or_else(|| "-".to_owned(), bytes)),
        Cell::new(maybe(known.parameters.as_deref())),
        Cell::new(maybe(known.quantization.as_deref())),
        Cell::new(maybe(known.family.as_deref())),
    ];
    cells.extend(nodes.iter().map(|node| match on(known, node) {
        None => Cell::toned("-", Tone::Dim),
        Some(place) if place.loaded => Cell::toned(loaded(place), Tone::Good),
        Some(_) => Cell::new("disk"),
    }));
    cells
}

/// In memory: how much of it.
fn loaded(place: &ModelOnNode) -> String {
    match place.size_vram {
        Some(size) if size > 0 => format!("mem {}", bytes(size).replace(' ', "")),
        _ => "mem".to_owned(),
    }
}

fn facts(model: &Model, known: &Known) -> Vec<crate::widgets::rows::Row> {
    let mut facts = Facts::default();
    facts.put("name", &known.name);
    facts.put("size", known.size.map_or_else(|| "-".to_owned(), bytes));
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    facts.put("family", text(&known.family));
    facts.put("parameters", text(&known.parameters));
    facts.put("quantization", text(&known.quantization));
    facts.put("changed", text(&known.modified_at));
    if known.cloud {
        facts.toned("cloud", "its node hands prompts on to a third party", Tone::Warn);
    }
    for place in &known.nodes {
        let how = if place.loaded {
            let context =
                place.context_length.map(|length| format!(", context {length}")).unwrap_or_default();
            let ends =
                place.expires_at.map(|at| format!(", for {} more", span(at.saturating_sub(model.now))));
            let size = place.size_vram.map(|size| format!(" {}", bytes(size))).unwrap_or_default();
            format!("loaded{size}{context}{}", ends.unwrap_or_default())
        } else {
            "on disk".to_owned()
        };
        facts.put(&safe(&place.node), how);
    }
    facts.toned("digest", text(&known.digest), Tone::Dim);
    facts.all()
}
