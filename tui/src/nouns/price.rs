//! Prices, in US dollars for a million tokens.
//!
//! ## price
//! | field | meaning |
//! |---|---|
//! | `model` | pattern of the models (`*`, `?`) |
//! | `prompt`, `output` | millionths of a US dollar per million tokens |
//! | `created` | time |
//! | `revision` | rises with every change |

use std::borrow::Cow;

use aivonx_protocol::price::Price;

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{Column, Table},
};

impl Noun for Price {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("MODEL").cut(20), |price, _| (&price.model).into())
            .sorted(|a, b| a.model.cmp(&b.model)),
        Field::<Self>::new(Column::number("PROMPT").cells(12), |price, _| price.prompt.to_string().into())
            .sorted(|a, b| b.prompt.cmp(&a.prompt)),
        Field::<Self>::new(Column::number("OUTPUT").cells(12), |price, _| price.output.to_string().into())
            .sorted(|a, b| b.output.cmp(&a.output)),
        Field::<Self>::new(Column::text("SET").cells(19).optional(1), |price, view| {
            view.time(price.created).into()
        })
        .sorted(|a, b| b.created.cmp(&a.created))
        .in_console(),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.model)
    }

    fn name(&self) -> &str {
        &self.model
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("model", &self.model);
        table.pair("prompt", format!("{} USD for a million tokens", self.prompt));
        table.pair("output", format!("{} USD for a million tokens", self.output));
        table.pair("set", view.time(self.created));
        table.pair("revision", self.revision.to_string());
        table
    }
}

impl Subject for Price {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "model" | "name" => self.model.clone(),
            "prompt" | "in" => self.prompt.to_string(),
            "output" | "out" => self.output.to_string(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.model)
    }
}
