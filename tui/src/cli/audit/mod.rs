//! `aivonx audit ...`

mod export;
mod filters;
pub mod offline;
mod verify;

use std::path::PathBuf;

use aivonx_protocol::{
    Event,
    audit::{self, AuditEntry, PAGE_MAX},
};
use clap::{Args, Subcommand, ValueEnum};

use super::{Context, tell_lost};
use crate::{
    exit::Failure,
    nouns::{
        self,
        audit::{line, tone},
    },
    render::text,
};

pub use filters::Filters;

/// Entries shown where nothing else is asked for, and before following.
const LINES: u32 = 50;
const LINES_BEFORE: u32 = 10;

/// What can be done with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Who did what, newest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// One entry with everything it says
    Show(ShowArgs),
    /// Entries as they are written, until interrupted
    Follow(FollowArgs),
    /// Prove that nothing was changed, removed, reordered or cut
    Verify(VerifyArgs),
    /// A signed copy, to keep or to hand out
    Export(ExportArgs),
    /// The public key that proves copies and checkpoints
    Key,
    /// Sign the log as it is now, and print what was signed, to keep as an anchor
    Checkpoint,
}

/// `audit list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which entries
    #[command(flatten)]
    pub filters: Filters,
    /// At most so many [default: 50; all with --since]
    #[arg(long, short = 'n', alias = "limit", value_name = "N")]
    pub lines: Option<u32>,
    /// The oldest first
    #[arg(long)]
    pub oldest_first: bool,
}

/// `audit show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Number of the entry
    #[arg(value_name = "SEQ")]
    pub seq: u64,
}

/// `audit follow`
#[derive(Debug, Args)]
pub struct FollowArgs {
    /// Which entries
    #[command(flatten)]
    pub filters: Filters,
    /// So many past ones first [default: 10]
    #[arg(long, short = 'n', value_name = "N")]
    pub lines: Option<u32>,
}

/// `audit verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Published checkpoints that the log must agree with: the append-only file, or the journal as JSON
    /// (journalctl -o json AIVONX_EVENT=audit_checkpoint)
    #[arg(long, value_name = "FILE")]
    pub anchor: Option<PathBuf>,
    /// Verify an exported copy instead; needs no daemon
    #[arg(long, value_name = "FILE", conflicts_with = "anchor", requires = "public_key")]
    pub file: Option<PathBuf>,
    /// Its signature [default: the file's name with .sig]
    #[arg(long, value_name = "FILE", requires = "file")]
    pub signature: Option<PathBuf>,
    /// The public key, as `aivonx audit key` prints it: a file, or the 64 digits themselves
    #[arg(long, value_name = "KEY", requires = "file")]
    pub public_key: Option<String>,
}

/// `audit export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which entries
    #[command(flatten)]
    pub filters: Filters,
    /// jsonl can be verified entry by entry; csv is for spreadsheets
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "jsonl", hide_possible_values = true)]
    pub format: Format,
    /// New file for the copy; the signature goes beside it, with .sig
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// [`aivonx_protocol::audit::ExportFormat`] as clap sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// For spreadsheets.
    Csv,
}

/// Carries out a verb.
///
/// # Errors
/// Why not; also if something is wrong with the log or the copy, after saying what.
pub async fn run(context: &mut Context, verb: AuditVerb) -> Result<(), Failure> {
    match verb {
        AuditVerb::List(args) => list(context, args).await,
        AuditVerb::Show(ShowArgs { seq }) => {
            let entry = context.client().await?.ask(audit::Show { seq }).await?;
            context.out.show(&entry, |out| nouns::show(out, &entry))
        }
        AuditVerb::Follow(args) => follow(context, args).await,
        AuditVerb::Verify(args) => verify::run(context, args).await,
        AuditVerb::Export(args) => export::run(context, args).await,
        AuditVerb::Key => key(context).await,
        AuditVerb::Checkpoint => {
            let checkpoint = context.client().await?.ask(audit::MakeCheckpoint).await?;
            // One line either way: it is meant for a file.
            context.out.line(checkpoint.line())
        }
    }
}

async fn list(context: &mut Context, args: ListArgs) -> Result<(), Failure> {
    let wanted = match (args.lines, args.filters.since) {
        (Some(lines), _) => lines as usize,
        (None, Some(_)) => usize::MAX,
        (None, None) => LINES as usize,
    };
    let (client, filter) = (context.client().await?, args.filters.into_filter());
    let mut entries: Vec<AuditEntry> = Vec::new();
    let mut cursor = None;
    while entries.len() < wanted {
        let limit = u32::try_from(wanted - entries.len()).unwrap_or(PAGE_MAX).min(PAGE_MAX);
        let page = client
            .ask(audit::List { filter: filter.clone(), cursor, limit, oldest_first: args.oldest_first })
            .await?;
        entries.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    tell_lost(client.ask(audit::Losses).await);
    context.out.show(&entries, |out| {
        if entries.is_empty() {
            return out.line("No entry of the audit log is like that.");
        }
        nouns::list(out, &entries)?;
        if cursor.is_some() {
            out.line(format_args!(
                "There are more: --lines {}, or aivonx audit export",
                wanted.saturating_mul(4)
            ))?;
        }
        Ok(())
    })
}

async fn follow(context: &mut Context, args: FollowArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    let lines = args.lines.unwrap_or(LINES_BEFORE);
    let mut stream = client.follow(audit::Follow { filter: args.filters.into_filter(), lines }).await?;
    let out = &mut context.out;
    while let Some(step) = stream.next().await {
        if let Event::Audit(entry) = step? {
            if out.is_json() {
                out.json_line(&entry)?;
            } else {
                let line = out.paint(&line(&entry, &out.zone), tone(&entry));
                out.line(line)?;
            }
        }
    }
    Err(Failure::Lost("the daemon ended the audit log's stream".to_owned()))
}

async fn key(context: &mut Context) -> Result<(), Failure> {
    let keys = context.client().await?.ask(audit::Keys).await?;
    context.out.show(&keys, |out| {
        for key in &keys {
            let state = if key.current { "signs now" } else { "verifies what is old" };
            let made = text::time(key.created, &out.zone);
            out.line(format_args!("# {} ({state}, made {made})", key.key))?;
            match key.key.to_pem() {
                Ok(pem) => out.line(pem.trim_end())?,
                Err(why) => out.line(format_args!("# {why}"))?,
            }
        }
        Ok(())
    })
}
