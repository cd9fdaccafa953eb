//! Other names for models.
//!
//! ## alias
//! | field | meaning |
//! |---|---|
//! | `id` | stable id |
//! | `organization` | slug of the organization whose requests it is for, or null for everybody's |
//! | `alias` | the name that clients ask for |
//! | `models` | array of the models that are served, the first that a node can serve |
//! | `created` | time |
//! | `revision` | rises with every change |

use std::borrow::Cow;

use aivonx_protocol::policy::Alias;

use super::{Field, Noun, View, everybody};
use crate::{
    filter::Subject,
    render::{Column, Table},
};

impl Noun for Alias {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("ORG").cut(16).grows(12), |alias, _| {
            everybody(alias.organization.as_deref())
        })
        .sorted(|a, b| (&a.organization, &a.alias).cmp(&(&b.organization, &b.alias))),
        Field::<Self>::new(Column::text("ALIAS").cut(24).grows(18), |alias, _| (&alias.alias).into())
            .sorted(|a, b| (&a.alias, &a.organization).cmp(&(&b.alias, &b.organization))),
        Field::<Self>::new(Column::text("SERVED").cut(24), |alias, _| alias.models.join(", else ").into())
            .sorted(|a, b| a.models.cmp(&b.models)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}\n{}", self.organization.as_deref().unwrap_or_default(), self.alias))
    }

    fn name(&self) -> &str {
        &self.alias
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("alias", &self.alias);
        table.pair("organization", self.organization.as_deref().unwrap_or("all"));
        let served =
            |(at, model): (usize, &String)| if at == 0 { model.clone() } else { format!("else {model}") };
        table.list("served", self.models.iter().enumerate().map(served));
        table.pair("set", view.time(self.created));
        table.pair("id", &self.id);
        table.pair("revision", self.revision.to_string());
        table
    }
}

impl Subject for Alias {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "alias" | "name" => self.alias.clone(),
            "org" => self.organization.clone()?,
            "model" => self.models.join(" "),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.alias)
            || self.models.iter().any(|model| test(model))
            || self.organization.as_deref().is_some_and(test)
    }
}
