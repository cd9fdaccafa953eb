//! The models: models down, nodes across.

use std::borrow::Cow;

use aivonx_protocol::{
    job::{Job, JobKind, JobState},
    model::{Model as Known, ModelOnNode},
};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::{Pane, tabs};
use crate::{
    nouns::{
        Noun as _,
        job::done,
        model::{drift, kept, short},
        placement,
    },
    render::{
        Cell, Column, Table, bar, cells,
        progress::kind,
        text::{bytes, plural, safe, span},
    },
    state::{
        Model, Right,
        models::{Tab, on},
    },
    theme::Tone,
};

/// Cells of a node's column, least and most.
const NODE: (usize, usize) = (13, 14);

/// The names of the nodes, in the order of their columns.
pub(crate) fn columns(model: &Model) -> Vec<&str> {
    let mut names: Vec<&str> = model.nodes.list.all().iter().map(|node| &*node.name).collect();
    // Who may see models need not see nodes.
    if names.is_empty() {
        let places = model.models.list.all().iter().flat_map(|known| &known.nodes);
        names = places.map(|place| &*place.node).collect();
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let models = &model.models;
    let title = tabs(Tab::ALL.into_iter().map(|tab| (tab.title(), tab == models.tab)));
    match models.tab {
        Tab::Models => draw_models(buffer, area, model, &title),
        Tab::Kept => {
            let empty =
                "No model is kept loaded: nodes load them as requests come.\n\nPress a to keep one loaded.";
            Pane::new(&title, "the models that are kept loaded", &models.kept, Right::ModelsRead, empty)
                .draw(buffer, area, model);
        }
        Tab::Strategies => {
            let empty = "Nodes are chosen for all models as the fleet has it (2, t).\n\nPress a for another \
                         strategy for some of them.";
            Pane::new(&title, "the strategies", &models.strategies, Right::NodesRead, empty)
                .draw(buffer, area, model);
        }
        Tab::Restrictions => {
            let bound = model.identity.as_ref().is_some_and(|who| who.organization.is_some());
            let empty = if bound {
                "For which organizations models are is shown to those alone who run the fleet."
            } else {
                "Every organization sees and uses every model, as far as its own settings go.\n\nPress a to have \
                 some for some organizations alone."
            };
            Pane::new(&title, "for whom models are", &models.restrictions, Right::PolicyRead, empty)
                .draw(buffer, area, model);
        }
    }
}

/// The models, and where they are.
fn draw_models(buffer: &mut Buffer, area: Rect, model: &Model, tabs: &str) {
    let names = columns(model);
    let all = names.len();
    let names = in_sight(model, &names, usize::from(area.width));
    let hidden = all - names.len();
    let more =
        if hidden > 0 { format!(", {} beside", plural(hidden as u64, "more node")) } else { String::new() };
    let target = match &model.models.node {
        Some(node) => format!("keys act on {}", safe(node)),
        None => "keys act on every node; left, right: one".to_owned(),
    };
    let title = format!("{} ({target}{more})", tabs.trim_end_matches(" (tab)"));
    let pane = Pane {
        columns: shown(model, area.width),
        more: &|known| names.iter().map(|node| cell(model, known, node)).collect(),
        facts: &|known, table| facts(model, known, table),
        ..Pane::new(
            &title,
            "the models",
            &model.models.list,
            Right::ModelsRead,
            "There is no model on any active node yet.\n\nPress p to have the nodes download one, such as qwen3:8b.",
        )
    };
    // What goes on stands below, while there is room for the list itself.
    let jobs: Vec<String> = model.jobs.at_work().map(|job| at_work(job, model, area.width)).collect();
    let below = jobs.len().min(3).min(usize::from(area.height.saturating_sub(6)));
    let rows = u16::try_from(below).unwrap_or(0);
    let above = Rect { height: area.height - if model.detail { 0 } else { rows }, ..area };
    pane.draw(buffer, above, model);
    for (line, y) in jobs.iter().take(below).zip(above.bottom()..area.bottom()) {
        let style = model.settings.theme.style(Tone::Accent);
        buffer.set_stringn(area.x + 2, y, line, usize::from(area.width.saturating_sub(2)), style);
    }
}

/// The columns where so many cells are to be had: what is known of a model, then its nodes.
pub(super) fn shown(model: &Model, width: u16) -> Vec<Column> {
    let mut shown = Known::columns();
    for name in in_sight(model, &columns(model), usize::from(width)) {
        let here = model.models.node.as_deref() == Some(name);
        let title = if here { format!("[{}]", safe(name)) } else { safe(name) };
        let cells = u16::try_from(cells::width(&title).clamp(NODE.0, NODE.1)).unwrap_or(8);
        let mut column = Column::text("").cells(cells).optional(1);
        column.title = Cow::Owned(title);
        shown.push(column);
    }
    shown
}

/// A job at work on a model, in a line.
fn at_work(job: &Job, model: &Model, width: u16) -> String {
    let theme = model.settings.theme;
    let doing = match job.kind {
        JobKind::Load => "loading",
        JobKind::Unload => "unloading",
        JobKind::Copy => "copying",
        JobKind::Create => "creating",
        JobKind::Push => "pushing",
        JobKind::Pull | JobKind::Rotate => "pulling",
    };
    let mut line = format!("{doing} {}  ", safe(&job.subject));
    line += &done(job.completed, job.total, 20, &model.view());
    let all = match job.kind {
        JobKind::Pull | JobKind::Push => super::jobs::amount(job, job.total),
        _ => plural(job.total, "node"),
    };
    line += &format!("  {} of {all}", super::jobs::amount(job, job.completed));
    let speed = super::jobs::speed(job, model.jobs.speed(job));
    if !speed.is_empty() {
        line += &format!("  {speed}");
    }
    if let Some(left) = model.jobs.left(job) {
        line += &format!("  {} left", span(left));
    }
    line += "  (4: jobs)";
    cells::fit(&line, usize::from(width.saturating_sub(2)), theme.cut())
}

/// As many nodes as have room, the chosen one among them.
fn in_sight<'a>(model: &Model, names: &[&'a str], width: usize) -> Vec<&'a str> {
    // The model's name always has its place, and its size on all but the narrowest terminals.
    let own = if width < 80 { 26 } else { 33 };
    let room = (width.saturating_sub(own) / (NODE.0 + 2)).max(1);
    let at = names.iter().position(|name| model.models.node.as_deref() == Some(*name)).unwrap_or(0);
    let from = (at + 1).saturating_sub(room);
    names.iter().skip(from).take(room).copied().collect()
}

/// How a model is on a node.
fn cell(model: &Model, known: &Known, node: &str) -> Cell {
    match (doing(model, known, node), on(known, node)) {
        (Some(doing), _) => Cell::toned(doing, Tone::Accent),
        (None, None) => Cell::toned("-", Tone::Dim),
        (None, Some(place)) => {
            let here = if place.loaded { loaded(model, place) } else { "disk".to_owned() };
            match drift(&model.models.drifts, &known.name) {
                Some(_) => Cell::toned(format!("{here} !"), Tone::Warn),
                None if place.loaded => Cell::toned(here, Tone::Good),
                None => Cell::new(here),
            }
        }
    }
}

/// What is being done with the model on this node, if anything.
fn doing(model: &Model, known: &Known, node: &str) -> Option<String> {
    model.jobs.on_model(&known.name).find_map(|job| {
        let target = job.targets.iter().find(|target| target.node == node)?;
        (target.state == JobState::Running).then(|| match job.kind {
            JobKind::Load => "loading".to_owned(),
            JobKind::Unload => "unloading".to_owned(),
            JobKind::Copy => "copying".to_owned(),
            JobKind::Create => "creating".to_owned(),
            JobKind::Push => "pushing".to_owned(),
            JobKind::Pull | JobKind::Rotate if target.total == 0 => "pulling".to_owned(),
            JobKind::Pull | JobKind::Rotate => {
                format!("pull {}", bar::percent(bar::share(target.completed, target.total)))
            }
        })
    })
}

/// In memory: how much of it, and for how long still.
fn loaded(model: &Model, place: &ModelOnNode) -> String {
    let size = place.size_vram.filter(|size| *size > 0).map(rough);
    let until = place.expires_at.map(|at| until(at, model.now));
    ["mem".to_owned()].into_iter().chain(size).chain(until).collect::<Vec<_>>().join(" ")
}

/// A size in at most five cells: `6.5GB`, `48GB`, `322MB`.
fn rough(size: u64) -> String {
    let exact = bytes(size);
    let (number, unit) = exact.split_once(' ').unwrap_or((&exact, ""));
    match number.parse::<f64>() {
        Ok(number) if number >= 10.0 => format!("{number:.0}{unit}"),
        _ => format!("{number}{unit}"),
    }
}

/// How long a model stays, in one unit.
fn until(at: u64, now: u64) -> String {
    const DAY: u64 = 86_400_000;
    match kept(at, now) {
        None => "ever".to_owned(),
        Some(left) if left >= DAY => format!("{}d", left / DAY),
        Some(left) => span(left).split(' ').next().unwrap_or_default().to_owned(),
    }
}

fn facts(model: &Model, known: &Known, table: &mut Table) {
    if let Some(drift) = drift(&model.models.drifts, &known.name) {
        let says = "different on its nodes (!); p pulls it again on all of them";
        table.pair("weights", Cell::toned(says, Tone::Warn));
        for weights in &drift.nodes {
            table.pair(&format!("on {}", weights.node), short(weights));
        }
    }
    if let Some(said) = placement::said(model.models.kept.all(), &known.name) {
        table.pair("placement", said);
    }
    for place in &known.nodes {
        let how = if place.loaded {
            let context =
                place.context_length.map(|length| format!(", context {length}")).unwrap_or_default();
            let ends = place.expires_at.map(|at| match kept(at, model.now) {
                None => ", for ever".to_owned(),
                Some(left) => format!(", for {} more without a request", span(left)),
            });
            let size = place.size_vram.map(|size| format!(" {}", bytes(size))).unwrap_or_default();
            format!("loaded{size}{context}{}", ends.unwrap_or_default())
        } else {
            "on disk".to_owned()
        };
        table.pair(&place.node, how);
    }
    for job in model.jobs.on_model(&known.name) {
        for target in job.targets.iter().filter(|target| target.state == JobState::Running) {
            let mut text = done(target.completed, target.total, 20, &model.view());
            let speed = super::jobs::speed(job, model.jobs.speed_on(job, target));
            if !speed.is_empty() {
                text += &format!("  {speed}");
            }
            if let Some(left) = model.jobs.left_on(job, target) {
                text += &format!(", about {} left", span(left));
            }
            let label = format!("{} to {}", kind(job.kind), target.node);
            table.pair(&label, Cell::toned(format!("{text}  {}", target.status), Tone::Accent));
        }
    }
}
