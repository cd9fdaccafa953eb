//! For which organizations models are.

use std::borrow::Cow;

use aivonx_protocol::policy::ModelAccess;

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{Cell, Column, Table},
};

fn named(slugs: &[String]) -> Cell {
    Cell::optional((!slugs.is_empty()).then(|| slugs.join(", ")))
}

impl Noun for ModelAccess {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("MODELS").cut(24), |one, _| (&one.model).into())
            .sorted(|a, b| a.model.cmp(&b.model)),
        Field::<Self>::new(Column::text("ONLY FOR").cut(16), |one, _| named(&one.only))
            .sorted(|a, b| a.only.cmp(&b.only)),
        Field::<Self>::new(Column::text("NOT FOR").cut(16), |one, _| named(&one.deny))
            .sorted(|a, b| a.deny.cmp(&b.deny)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.model)
    }

    fn name(&self) -> &str {
        &self.model
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("models", &self.model);
        table.pair("only for", named(&self.only));
        table.pair("not for", named(&self.deny));
        table.pair("set", view.time(self.created));
        table.pair("revision", self.revision.to_string());
        table
    }
}

impl Subject for ModelAccess {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "model" | "name" => self.model.clone(),
            "only" => self.only.join(" "),
            "deny" | "not" => self.deny.join(" "),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.model) || self.only.iter().chain(&self.deny).any(|slug| test(slug))
    }
}
