//! Nodes as tables.

use aivonx_protocol::node::{AdminState, Node, Pool};

use super::credential::Kind;
use crate::{
    exit::Failure,
    render::{
        Cell, Column, Out, Table, Tone,
        text::{self, safe},
    },
};

/// Says under a table what is wrong, whole: a column would have to cut it.
pub(crate) fn footers<'a>(
    out: &mut Out,
    notes: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Failure> {
    for (place, (name, why)) in notes.enumerate() {
        if place == 0 {
            out.line("")?;
        }
        let text = text::wrap(&safe(why), &format!("{}: ", safe(name)), "  ", out.width);
        out.line(text)?;
    }
    Ok(())
}

/// The word for what a node does now, and its tone.
#[must_use]
pub fn state_cell(node: &Node) -> Cell {
    match (node.admin_state, node.pool) {
        (AdminState::Enabled, Pool::Active) => Cell::new("active").tone(Tone::Good),
        (AdminState::Enabled, Pool::Standby) => Cell::new("standby").tone(Tone::Bad),
        (AdminState::Draining, _) => Cell::new("draining").tone(Tone::Warn),
        (AdminState::Disabled, _) => Cell::new("disabled").tone(Tone::Dim),
    }
}

/// `node list` as a table.
#[must_use]
pub fn overview(nodes: &[Node]) -> Table {
    let mut table = Table::new([
        Column::text("NAME").cut(24),
        Column::text("STATE"),
        Column::number("ACTIVE"),
        Column::number("MODELS"),
        Column::number("LOADED").optional(1),
        Column::number("GPU MEMORY").optional(5),
        Column::number("LATENCY").optional(2),
        Column::number("REQ/S").optional(6),
        Column::number("ERRORS").optional(7),
        Column::text("KIND").optional(4),
        Column::text("URL").cut(16).optional(3),
    ]);
    for node in nodes {
        table.row([
            (&node.name).into(),
            state_cell(node),
            active(node).into(),
            node.models.len().to_string().into(),
            node.loaded.len().to_string().into(),
            Cell::optional(node.vram_bytes.map(text::bytes)),
            Cell::optional(node.latency_ms.map(text::latency)),
            text::rate(node.requests_per_second).into(),
            node.recent_errors.to_string().into(),
            (kind(node).to_owned() + if node.simulated { ", simulated" } else { "" }).into(),
            (&node.url).into(),
        ]);
    }
    table
}

/// Requests at work, with the bound if there is one: `3/8`.
fn active(node: &Node) -> String {
    match node.max_parallel {
        0 => node.active_requests.to_string(),
        most => format!("{}/{most}", node.active_requests),
    }
}

fn kind(node: &Node) -> &'static str {
    match Kind::of(node.kind) {
        Kind::Ollama => "ollama",
        Kind::Openai => "openai",
    }
}

/// `node show` as a table.
#[must_use]
pub fn details(node: &Node, now: u64) -> Table {
    let mut table = Table::pairs();
    table.pair("name", &node.name);
    table.pair("id", &node.id);
    table.pair("url", &node.url);
    table.pair(
        "kind",
        node.version.as_ref().map_or_else(|| kind(node).to_owned(), |v| format!("{} {v}", kind(node))),
    );
    table.pair("state", state_cell(node));
    if node.admin_state != AdminState::Enabled {
        table.pair(
            "health",
            match node.pool {
                Pool::Active => "healthy",
                Pool::Standby => "not healthy",
            },
        );
    }
    if let Some(why) = &node.last_error {
        table.pair("last error", Cell::new(why).tone(Tone::Bad));
    }
    table.pair("last check", node.last_check.map_or_else(|| "never".to_owned(), |at| text::ago(at, now)));
    table.pair("latency", Cell::optional(node.latency_ms.map(text::latency)));
    table.pair("active requests", active(node));
    table.pair("requests/s", format!("{} (last minute)", text::rate(node.requests_per_second)));
    table.pair("errors", format!("{} (last 5 minutes)", node.recent_errors));
    table.pair("GPU memory", Cell::optional(node.vram_bytes.map(text::bytes)));
    table.pair(
        "max parallel",
        match node.max_parallel {
            0 => "no limit".to_owned(),
            most => most.to_string(),
        },
    );
    if let Some(organization) = &node.organization {
        table.pair("assigned to", organization);
    }
    table.pair("credential", &node.credential);
    if node.url.starts_with("https:") {
        table.pair("certificates", if node.custom_ca { "own CA" } else { "the system's" });
        table.pair("server name", node.server_name.as_deref().unwrap_or("as in the URL"));
    }
    for (key, value) in &node.labels {
        table.pair("label", format!("{key}={value}"));
    }
    if node.simulated {
        table.pair("simulated", "yes");
    }
    table.pair("revision", node.revision.to_string());
    let models = node
        .models
        .iter()
        .map(|model| if node.loaded.contains(model) { format!("{model} (loaded)") } else { model.clone() });
    table.list("models", models);
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_fleet_at_eighty_columns() {
        insta::assert_snapshot!(overview(&samples::nodes()).render(Some(80), false));
    }

    #[test]
    fn a_fleet_in_a_pipe() {
        insta::assert_snapshot!(overview(&samples::nodes()).render(None, false));
    }

    #[test]
    fn one_node() {
        let shown: Vec<String> =
            samples::nodes().iter().map(|node| details(node, samples::NOW).render(Some(80), false)).collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }
}
