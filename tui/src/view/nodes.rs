//! The nodes: a table, and everything about one.

use aivonx_protocol::node::{AdminState, Node};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::Pane;
use crate::{
    nouns::Noun as _,
    render::{
        Cell, Column,
        cells::fit,
        text::{safe, span},
    },
    state::{Model, Right},
    theme::Tone,
    widgets::spark,
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let theme = model.settings.theme;
    let trend = |node: &Node, cells| spark::line(model.nodes.trend(&node.id), cells, theme);
    let pane = Pane {
        columns: columns(),
        more: &|node: &Node| vec![Cell::toned(trend(node, 12), Tone::Dim)],
        facts: &|node: &Node, table| {
            table.pair("latencies", trend(node, 24));
            if let Some(wake) = model.nodes.wake(&node.id) {
                let idle = span(wake.idle_seconds * 1000);
                let text =
                    format!("after {idle} without requests; woken as {} at {}", wake.mac, wake.address);
                table.pair("may sleep", text);
            }
        },
        ..Pane::new(
            "Nodes",
            "the nodes",
            &model.nodes.list,
            Right::NodesRead,
            "There is no node yet: no server to run models on.\n\nPress a to add one: its name and its URL, \
             such as http://10.0.0.5:11434. The gateway asks it what it is.",
        )
    };
    let Some(node) = model.nodes.list.chosen().filter(|_| !model.detail && area.height > 4) else {
        return pane.draw(buffer, area, model);
    };
    pane.draw(buffer, Rect { height: area.height - 1, ..area }, model);
    let (text, tone) = note(node);
    let line = fit(&text, usize::from(area.width.saturating_sub(2)), theme.cut());
    buffer.set_stringn(area.x + 2, area.bottom() - 1, line, usize::from(area.width), theme.style(tone));
}

/// The noun's columns and how its latency went.
pub(super) fn columns() -> Vec<Column> {
    let mut columns = Node::columns();
    columns.push(Column::text("TREND").cells(12).optional(5));
    columns
}

/// Where the chosen node is, or what is wrong with it: where there is no room for it in its row.
fn note(node: &Node) -> (String, Tone) {
    let wrong = node.last_error.as_deref().filter(|_| node.admin_state != AdminState::Disabled);
    match wrong {
        Some(why) => (format!("{}: {}", safe(&node.name), safe(why)), Tone::Bad),
        None => (format!("{}: {}", safe(&node.name), safe(&node.url)), Tone::Dim),
    }
}
