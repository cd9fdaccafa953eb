//! Models that are kept loaded.
//!
//! ## placement
//! | field | meaning |
//! |---|---|
//! | `id` | stable id |
//! | `organization` | slug of the organization on whose nodes it is, or null for shared ones |
//! | `model` | the model |
//! | `copies` | how many nodes it is kept loaded on |
//! | `on` | node or label that it is kept to, or null |
//! | `pin` | whether nodes keep it without an end |
//! | `pull` | whether it is pulled to nodes that do not have it |
//! | `loaded` | array of the nodes that hold it in memory now |
//! | `loading` | array of the nodes that are loading or pulling it |
//! | `lacks` | why there are fewer than wanted, or null |
//! | `created` | time |
//! | `revision` | rises with every change |

use std::borrow::Cow;

use aivonx_protocol::{model::Placement, model_name};

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{Cell, Column, Table, Tone, text::safe},
};

/// On how many of the nodes wanted it is.
fn kept(one: &Placement) -> Cell {
    let (loaded, wanted) = (one.loaded.len(), one.copies as usize);
    let tone = if loaded >= wanted { Tone::Good } else { Tone::Warn };
    Cell::toned(format!("{loaded} of {wanted}"), tone)
}

fn nodes(nodes: &[String]) -> Cell {
    Cell::optional((!nodes.is_empty()).then(|| nodes.join(", ")))
}

fn on(one: &Placement) -> Option<&str> {
    one.on.as_deref().or(one.organization.as_deref())
}

/// Whether it keeps the model of that name, however that is spelled.
pub(crate) fn is_of(one: &Placement, model: &str) -> bool {
    model_name::normalize(&one.model) == model_name::normalize(model)
}

/// How a model is kept loaded, in a line; None if it is not.
pub(crate) fn said(all: &[Placement], model: &str) -> Option<String> {
    let one = all.iter().find(|one| is_of(one, model))?;
    let lacks = one.lacks.as_ref().map_or_else(String::new, |lacks| format!("; {}", safe(lacks)));
    Some(format!("Kept loaded on {} of {} nodes{lacks}.", one.loaded.len(), one.copies))
}

impl Noun for Placement {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("MODEL").cut(20), |one, _| {
            format!("{}{}", one.model, if one.pin { " (pinned)" } else { "" }).into()
        })
        .sorted(|a, b| a.model.cmp(&b.model)),
        Field::<Self>::new(Column::text("KEPT").cells(8), |one, _| kept(one))
            .sorted(|a, b| b.copies.cmp(&a.copies)),
        Field::<Self>::new(Column::text("ON").cut(10), |one, _| Cell::optional(on(one)))
            .sorted(|a, b| on(a).cmp(&on(b))),
        Field::<Self>::new(Column::text("LOADED").cut(10), |one, _| nodes(&one.loaded)),
        Field::<Self>::new(Column::text("LOADING").cut(10), |one, _| nodes(&one.loading)),
        Field::<Self>::new(Column::text("LACKS").cut(20), |one, _| Cell::optional(one.lacks.as_deref())),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        &self.model
    }

    fn details(&self, view: &View<'_>) -> Table {
        let yes = |yes| if yes { "yes" } else { "no" };
        let mut table = Table::pairs();
        table.pair("model", &self.model);
        table.pair("kept on", kept(self));
        table.pair("only on", on(self).unwrap_or("any shared node"));
        table.pair("loaded", nodes(&self.loaded));
        table.pair("loading", nodes(&self.loading));
        if let Some(lacks) = &self.lacks {
            table.pair("lacks", Cell::toned(lacks, Tone::Warn));
        }
        table.pair("pinned", yes(self.pin));
        table.pair("pulled", yes(self.pull));
        table.pair("set", view.time(self.created));
        table.pair("id", &self.id);
        table.pair("revision", self.revision.to_string());
        table
    }
}

impl Subject for Placement {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "model" | "name" => self.model.clone(),
            "on" => on(self)?.to_owned(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.model) || self.loaded.iter().any(|node| test(node))
    }
}
