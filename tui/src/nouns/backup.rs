//! Backups.
//!
//! ## backup
//! | field | meaning |
//! |---|---|
//! | `file` | the file: in the directory `backups` of the data, or as it was named |
//! | `bytes` | its size |
//! | `made` | when, or null |
//! | `change` | number of the last change it has, or null |
//! | `sealed` | what opens it: `master key`, `passphrase` or `recipient's key`, or null |
//! | `signer` | the public key that its signature is for, or null |
//! | `problem` | why it cannot be restored, or null |

use std::borrow::Cow;

use aivonx_protocol::backup::Backup;

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone,
        text::{bytes, count},
    },
};

impl Noun for Backup {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("MADE").cells(12), |one, view| match one.problem {
            Some(_) => Cell::toned("damaged", Tone::Bad),
            None => view.ago(one.made),
        })
        .sorted(|a, b| b.file.cmp(&a.file)),
        Field::<Self>::new(Column::number("SIZE").cells(8), |one, _| bytes(one.bytes).into())
            .sorted(|a, b| b.bytes.cmp(&a.bytes)),
        Field::<Self>::new(Column::text("OPENS WITH").cells(16), |one, _| {
            Cell::optional(one.sealed.as_ref())
        }),
        Field::<Self>::new(Column::text("FILE").cells(35), |one, _| (&one.file).into())
            .sorted(|a, b| a.file.cmp(&b.file)),
        Field::<Self>::new(Column::text("PROBLEM").cut(14), |one, _| match &one.problem {
            Some(why) => Cell::toned(why, Tone::Bad),
            None => Cell::new("-"),
        }),
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
        if let Some(made) = self.made {
            table.pair("made", view.time(made));
        }
        if let Some(change) = self.change {
            table.pair("last change", count(change));
        }
        if let Some(sealed) = &self.sealed {
            table.pair("opens with", sealed);
        }
        if let Some(signer) = &self.signer {
            table.pair("signed by", signer.to_string());
        }
        if let Some(why) = &self.problem {
            table.pair("damaged", Cell::toned(why, Tone::Bad));
        }
        table.pair("put back by", "aivonxd restore FILE, while the daemon is stopped");
        table
    }
}

impl Subject for Backup {
    fn field(&self, name: &str) -> Option<String> {
        (name == "file").then(|| self.file.clone())
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.file)
    }
}
