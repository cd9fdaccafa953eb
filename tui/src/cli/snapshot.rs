//! `aivonx snapshot ...`

use aivonx_protocol::snapshot::{self, Snapshot};
use clap::Subcommand;

use super::Context;
use crate::{
    exit::Failure,
    render::{
        Cell, Column, Table, Tone,
        text::{self, bytes, count},
    },
};

/// What can be done with snapshots.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum SnapshotVerb {
    /// The kept snapshots, newest first: how old, what they lack, what is in them
    #[command(visible_alias = "ls")]
    List,
    /// Take one now, if something changed; the oldest beyond store.snapshots is removed
    Create,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: SnapshotVerb) -> Result<(), Failure> {
    let client = context.client().await?;
    match verb {
        SnapshotVerb::List => {
            let all = client.ask(snapshot::List).await?;
            context.out.show(&all, |out| match all.len() {
                0 => out.line("There is no snapshot yet. Take one: aivonx snapshot create"),
                _ => out.table(&overview(&all, text::now())),
            })
        }
        SnapshotVerb::Create => {
            let snapshot::Taken { snapshot: newest, is_new } = client.ask(snapshot::Create).await?;
            context.out.show(&newest, |out| {
                let (file, contents) = (text::safe(&newest.file), contents(&newest));
                if is_new {
                    return out.line(format_args!("Took {file} ({}): {contents}", bytes(newest.bytes)));
                }
                let taken = newest.taken.map(|at| text::ago(at, text::now())).unwrap_or_default();
                out.line(format_args!("Nothing changed since {file} was taken, {taken}: it holds {contents}"))
            })
        }
    }
}

/// `snapshot list` as a table.
fn overview(all: &[Snapshot], now: u64) -> Table {
    let mut table = Table::new([
        Column::text("TAKEN"),
        Column::number("BEHIND"),
        Column::number("SIZE"),
        Column::text("CONTENTS").cut(14),
        Column::text("FILE"),
    ]);
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), count);
    for one in all {
        let (taken, what) = match &one.problem {
            Some(why) => (Cell::new("damaged").tone(Tone::Bad), Cell::new(text::safe(why)).tone(Tone::Bad)),
            None => {
                (one.taken.map_or_else(String::new, |at| text::ago(at, now)).into(), contents(one).into())
            }
        };
        table.row([taken, number(one.behind).into(), bytes(one.bytes).into(), what, (&one.file).into()]);
    }
    table
}

/// What is in it: `nodes 3, users 12`.
pub(crate) fn contents(one: &Snapshot) -> String {
    let some = one.contents.iter().filter(|part| part.count > 0);
    let all: Vec<String> =
        some.map(|part| format!("{} {}", text::safe(&part.kind), count(part.count))).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn snapshots_in_a_pipe_and_at_eighty_columns() {
        let table = overview(&samples::snapshots(), samples::NOW);
        let whole = table.render(None, false);
        let lines: Vec<&str> = whole.lines().collect();
        assert_eq!(lines.len(), 4, "{whole}");
        for part in ["2h 0m ago", " 17 ", "nodes 3, organizations 2, users 12, keys 40", "-1042.snapshot"] {
            assert!(lines[1].contains(part), "{part}: {whole}");
        }
        assert!(lines[2].starts_with("damaged") && lines[2].contains("digest"), "{whole}");
        let narrow = table.render(Some(80), false);
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.contains("20261121T223134.000Z-1042.snapshot"), "{narrow}");
    }
}
