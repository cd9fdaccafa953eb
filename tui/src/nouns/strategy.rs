//! Models with a strategy of their own.
//!
//! ## model strategy
//! | field | meaning |
//! |---|---|
//! | `model` | pattern of the models' names |
//! | `strategy` | `cost`, `least_active`, `lowest_latency`, `round_robin` or `weighted` |

use std::borrow::Cow;

use aivonx_protocol::strategy::ModelStrategy;

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{Column, Table},
};

impl Noun for ModelStrategy {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("MODELS").cut(30), |one, _| (&one.model).into())
            .sorted(|a, b| a.model.cmp(&b.model)),
        Field::<Self>::new(Column::text("STRATEGY").cells(14), |one, _| one.strategy.name().into())
            .sorted(|a, b| a.strategy.name().cmp(b.strategy.name())),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.model)
    }

    fn name(&self) -> &str {
        &self.model
    }

    fn details(&self, _: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("models", &self.model);
        table.pair("strategy", self.strategy.name());
        table.pair("chooses", self.strategy.about());
        table
    }
}

impl Subject for ModelStrategy {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "model" | "name" => self.model.clone(),
            "strategy" => self.strategy.name().to_owned(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.model) || test(self.strategy.name())
    }
}
