//! Models.
//!
//! ## model
//! | field | meaning |
//! |---|---|
//! | `name` | name with tag |
//! | `size` | bytes on disk, or null |
//! | `digest` | content digest, or null |
//! | `family`, `parameters`, `quantization` | as the nodes say, or null |
//! | `modified_at` | newest modification, RFC 3339, or null |
//! | `cloud` | whether the node hands prompts on to a third party |
//! | `nodes` | array of places |
//! | `drift` | where nodes have different weights under the name, an array of weights, or null |
//!
//! ## place
//! | field | meaning |
//! |---|---|
//! | `node` | name of the node |
//! | `loaded` | whether it is in memory there |
//! | `size_vram` | bytes of GPU memory, or null |
//! | `expires_at` | time at which it is unloaded, or null |
//! | `context_length` | context length it is loaded with, or null |
//!
//! ## weights
//! | field | meaning |
//! |---|---|
//! | `node` | name of the node |
//! | `digest` | digest of the model's manifest there |
//! | `weights` | digests of the files it is made of there, or null |

use std::borrow::Cow;

use aivonx_protocol::model::{Drift, Model, ModelOnNode, Weights};

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone,
        text::{bytes, count, span, stamp},
    },
};

/// Longer than this from now is for ever, milliseconds: a model that is kept has a date far away.
const EVER: u64 = 365 * 86_400_000;

/// For how long still a node keeps a model in memory, milliseconds; None is for ever.
pub(crate) fn kept(at: u64, now: u64) -> Option<u64> {
    Some(at.saturating_sub(now)).filter(|left| *left <= EVER)
}

/// What its nodes have under a model's name, if that differs.
pub(crate) fn drift<'a>(drifts: &'a [Drift], model: &str) -> Option<&'a Drift> {
    drifts.iter().find(|drift| drift.model == model)
}

/// The beginning of what tells a node's weights from another's.
pub(crate) fn short(weights: &Weights) -> String {
    let digests = weights.weights.as_deref().unwrap_or(&weights.digest).split(' ');
    let short = |digest: &str| digest.trim_start_matches("sha256:").chars().take(12).collect::<String>();
    digests.map(short).collect::<Vec<_>>().join(" ")
}

/// Its nodes, with `*` behind those that have it in memory.
fn nodes(model: &Model) -> String {
    let place = |place: &ModelOnNode| format!("{}{}", place.node, if place.loaded { "*" } else { "" });
    model.nodes.iter().map(place).collect::<Vec<_>>().join(", ")
}

/// Where it is, a row for each node.
pub(crate) fn places(model: &Model, drift: Option<&Drift>, view: &View<'_>) -> Table {
    let mut columns = vec![
        Column::text("NODE"),
        Column::text("LOADED"),
        Column::number("GPU MEMORY"),
        Column::number("CONTEXT"),
        Column::text("UNLOADS IN"),
    ];
    columns.extend(drift.map(|_| Column::text("WEIGHTS")));
    let mut table = Table::new(columns);
    let unloads = |at| kept(at, view.now).map_or_else(|| "never".to_owned(), span);
    for place in &model.nodes {
        let mut row = vec![
            (&place.node).into(),
            if place.loaded { Cell::toned("yes", Tone::Good) } else { "no".into() },
            Cell::optional(place.size_vram.map(bytes)),
            Cell::optional(place.context_length.map(count)),
            Cell::optional(place.expires_at.map(unloads)),
        ];
        row.extend(drift.map(|drift| {
            let here = drift.nodes.iter().find(|weights| weights.node == place.node);
            here.map_or_else(|| Cell::optional(None::<&str>), |here| Cell::toned(short(here), Tone::Warn))
        }));
        table.row(row);
    }
    table
}

impl Noun for Model {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("NAME").cut(36).grows(22), |model, _| {
            format!("{}{}", model.name, if model.cloud { " (cloud)" } else { "" }).into()
        })
        .sorted(|a, b| a.name.cmp(&b.name)),
        Field::<Self>::new(Column::number("SIZE").cells(7).optional(3), |model, _| {
            Cell::optional(model.size.map(bytes))
        })
        .sorted(|a, b| a.size.cmp(&b.size)),
        Field::<Self>::new(Column::text("PARAMS").cut(8).cells(7).optional(5), |model, _| {
            Cell::optional(model.parameters.as_deref())
        })
        .sorted(|a, b| a.parameters.cmp(&b.parameters)),
        Field::<Self>::new(Column::text("QUANT").cut(8).cells(8).optional(6), |model, _| {
            Cell::optional(model.quantization.as_deref())
        })
        .sorted(|a, b| a.quantization.cmp(&b.quantization)),
        Field::<Self>::new(Column::text("FAMILY").cut(8).cells(9).optional(7), |model, _| {
            Cell::optional(model.family.as_deref())
        })
        .sorted(|a, b| a.family.cmp(&b.family)),
        // The console has a column for each.
        Field::<Self>::new(Column::text("NODES").cut(14), |model, _| nodes(model).into()).on_command_line(),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("name", &self.name);
        if self.cloud {
            table.pair("cloud", Cell::toned("yes: the node hands prompts on to a third party", Tone::Warn));
        }
        table.pair("size", Cell::optional(self.size.map(bytes)));
        table.pair("parameters", Cell::optional(self.parameters.as_deref()));
        table.pair("quantization", Cell::optional(self.quantization.as_deref()));
        table.pair("family", Cell::optional(self.family.as_deref()));
        table.pair("modified", Cell::optional(self.modified_at.as_deref().map(|at| stamp(at, view.zone))));
        table.pair("digest", Cell::optional(self.digest.as_deref()));
        table
    }
}

impl Subject for Model {
    fn field(&self, name: &str) -> Option<String> {
        let nodes = |loaded: bool| {
            let names = self.nodes.iter().filter(|place| place.loaded || !loaded);
            names.map(|place| &*place.node).collect::<Vec<_>>().join(" ")
        };
        Some(match name {
            "model" | "name" => self.name.clone(),
            "family" => self.family.clone()?,
            "size" => self.size?.to_string(),
            "node" => nodes(false),
            "loaded" => nodes(true),
            "quant" => self.quantization.clone()?,
            "cloud" => if self.cloud { "yes" } else { "no" }.to_owned(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name)
            || self.family.as_deref().is_some_and(&mut *test)
            || self.quantization.as_deref().is_some_and(&mut *test)
            || self.nodes.iter().any(|place| test(&place.node))
    }
}
