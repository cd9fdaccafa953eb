//! `aivonx snapshot ...`

use aivonx_protocol::snapshot;
use clap::Subcommand;

use super::Context;
use crate::{
    exit::Failure,
    nouns::{self, snapshot::contents},
    render::text::{self, bytes},
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
                _ => nouns::list(out, &all),
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
