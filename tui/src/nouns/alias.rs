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
//!
//! ## alias shares
//! | field | meaning |
//! |---|---|
//! | `organization` | slug of the organization whose requests it is for, or null for everybody's |
//! | `alias` | the name that clients ask for |
//! | `weighted` | whether weights decide which model a key is served; else it is the first that a node can serve |
//! | `shares` | array of alias shares of the models, in order |
//!
//! ## alias share
//! | field | meaning |
//! |---|---|
//! | `model` | the model |
//! | `weight` | its share of the keys, of the sum of all weights |
//! | `requests` | requests it was asked for under the alias since the daemon started |
//! | `errors` | those of them that failed |
//! | `first_byte_ms` | average time to the first byte of those that did not, milliseconds, or null |
//! | `duration_ms` | average time to the end of those that did not, milliseconds, or null |

use std::borrow::Cow;

use aivonx_protocol::policy::{Alias, AliasShares};

use super::{Field, Noun, View, everybody};
use crate::{
    filter::Subject,
    render::{Cell, Column, Table},
};

/// An alias that is shown with its models.
pub(crate) fn shares(shares: &AliasShares) -> Table {
    let mut table = Table::pairs();
    table.pair("alias", &shares.alias);
    table.pair("organization", shares.organization.as_deref().unwrap_or("all"));
    let how = if shares.weighted {
        "by weight, each key always the same"
    } else {
        "the first that a node can serve"
    };
    table.pair("served", how);
    table
}

/// The models of an alias, with what came of the requests for each.
pub(crate) fn served(shares: &AliasShares) -> Table {
    let columns = ["SHARE", "REQUESTS", "ERRORS", "FIRST BYTE", "DURATION"].map(Column::number);
    let mut table = Table::new([Column::text("MODEL")].into_iter().chain(columns).collect::<Vec<_>>());
    let sum: f64 = shares.shares.iter().map(|share| f64::from(share.weight)).sum();
    let time = |ms: Option<f64>| Cell::optional(ms.map(|ms| format!("{ms:.1} ms")));
    for share in &shares.shares {
        let part = (sum > 0.0).then(|| format!("{:.1} %", f64::from(share.weight) * 100.0 / sum));
        table.row([
            (&share.model).into(),
            Cell::optional(part),
            share.requests.to_string().into(),
            share.errors.to_string().into(),
            time(share.first_byte_ms),
            time(share.duration_ms),
        ]);
    }
    table
}

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
