//! Snapshots of the store.
//!
//! ## snapshot
//! | field | meaning |
//! |---|---|
//! | `file` | the file in the directory `snapshots` |
//! | `bytes` | its size |
//! | `taken` | when, or null |
//! | `change` | number of the last change it has, or null |
//! | `behind` | changes that were made since, or null |
//! | `contents` | array of snapshot contents |
//! | `problem` | why it cannot be put back, or null |
//!
//! ## snapshot contents
//! | field | meaning |
//! |---|---|
//! | `kind` | what: `nodes`, `users`, `keys`, ... |
//! | `count` | how many |

use std::borrow::Cow;

use aivonx_protocol::snapshot::Snapshot;

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone,
        text::{bytes, count, safe},
    },
};

/// How it is, in a word.
fn state(one: &Snapshot) -> &'static str {
    if one.problem.is_some() { "damaged" } else { "whole" }
}

/// What is in it: `nodes 3, users 12`.
pub(crate) fn contents(one: &Snapshot) -> String {
    let some = one.contents.iter().filter(|part| part.count > 0);
    let all: Vec<String> = some.map(|part| format!("{} {}", safe(&part.kind), count(part.count))).collect();
    all.join(", ")
}

impl Noun for Snapshot {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("TAKEN").cells(12), |one, view| match one.problem {
            Some(_) => Cell::toned(state(one), Tone::Bad),
            None => view.ago(one.taken),
        })
        // The newest first, by what it has: a clock may have been wrong.
        .sorted(|a, b| b.change.cmp(&a.change).then_with(|| b.file.cmp(&a.file))),
        Field::<Self>::new(Column::number("BEHIND").cells(7), |one, _| Cell::optional(one.behind.map(count)))
            .sorted(|a, b| a.behind.cmp(&b.behind)),
        Field::<Self>::new(Column::number("SIZE").cells(8).optional(1), |one, _| bytes(one.bytes).into())
            .sorted(|a, b| b.bytes.cmp(&a.bytes)),
        Field::<Self>::new(Column::text("CONTENTS").cut(14), |one, _| match &one.problem {
            Some(why) => Cell::toned(why, Tone::Bad),
            None => contents(one).into(),
        }),
        Field::<Self>::new(Column::text("FILE").cells(35), |one, _| (&one.file).into())
            .sorted(|a, b| a.file.cmp(&b.file)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.file)
    }

    fn name(&self) -> &str {
        &self.file
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("file", &self.file);
        table.pair("size", bytes(self.bytes));
        if let Some(taken) = self.taken {
            table.pair("taken", view.time(taken));
        }
        if let (Some(change), Some(behind)) = (self.change, self.behind) {
            table.pair("last change", format!("{}, {} were made since", count(change), count(behind)));
        }
        if let Some(why) = &self.problem {
            table.pair(state(self), Cell::toned(why, Tone::Bad));
        }
        for part in &self.contents {
            table.pair(&part.kind, count(part.count));
        }
        table.pair("put back by", "aivonxd recover --snapshot FILE, while the daemon is stopped");
        table
    }
}

impl Subject for Snapshot {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "file" => self.file.clone(),
            "state" => state(self).to_owned(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.file) || test(state(self))
    }
}
