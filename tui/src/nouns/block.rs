//! Blocks: who may not use the gateway.
//!
//! ## block
//! | field | meaning |
//! |---|---|
//! | `of` | `address`, `user` or `key` |
//! | `target` | the network or address, or the name of the user or key when it was blocked; of an organization's key `SLUG/NAME` |
//! | `id` | id of the user or key, or the network with its length |
//! | `reason` | why it was blocked; may be empty |
//! | `until` | time at which the block ends, or null |
//! | `created` | time |
//! | `revision` | rises with every change |

use std::borrow::Cow;

use aivonx_protocol::block::Block;

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{Cell, Column, Table, Tone, text::span},
};

fn left(block: &Block, view: &View<'_>) -> Cell {
    match block.until {
        None => "for good".into(),
        Some(until) => match until.saturating_sub(view.now) {
            0 => Cell::toned("over", Tone::Dim),
            left => format!("{} more", span(left)).into(),
        },
    }
}

impl Noun for Block {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("BLOCKED").cut(20), |block, _| (&block.target).into())
            .sorted(|a, b| a.target.cmp(&b.target)),
        Field::<Self>::new(Column::text("AS").cells(7), |block, _| block.of.as_str().into())
            .sorted(|a, b| a.of.cmp(&b.of)),
        Field::<Self>::new(Column::text("FOR").cells(13), left).sorted(|a, b| a.until.cmp(&b.until)),
        Field::<Self>::new(Column::number("SINCE").cells(11), |block, view| view.ago(Some(block.created)))
            .sorted(|a, b| b.created.cmp(&a.created)),
        Field::<Self>::new(Column::text("REASON").cut(24).optional(1), |block, _| (&block.reason).into())
            .sorted(|a, b| a.reason.cmp(&b.reason)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}:{}", self.of.as_str(), self.id))
    }

    fn name(&self) -> &str {
        &self.target
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("blocked", &self.target);
        table.pair("as", self.of.as_str());
        table.pair("id", &self.id);
        table.pair("for", left(self, view));
        table.pair("since", view.time(self.created));
        table.pair("reason", &self.reason);
        table.pair("revision", self.revision.to_string());
        table
    }
}

impl Subject for Block {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "target" | "name" => self.target.clone(),
            "of" | "as" => self.of.as_str().to_owned(),
            "id" => self.id.clone(),
            "reason" => self.reason.clone(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.target) || test(&self.reason)
    }
}
