//! `aivonx secrets ...`

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aivonx_protocol::secrets::{self, SecretsStatus};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use rand::TryRngCore as _;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Confirm, Context, follow};
use crate::{
    exit::Failure,
    input,
    render::{
        Cell, Column, Out, Table, Tone,
        text::{self, safe},
    },
    time_arg,
};

/// What can be done with keys and sealed secrets.
#[derive(Debug, Subcommand)]
pub enum SecretsVerb {
    /// Make a master key; needs no daemon
    GenerateKey(GenerateArgs),
    /// Which keys there are, and what they are needed for
    Status,
    /// Look whether all is in order: one line per check
    Validate,
    /// Replace the data keys, and encrypt every secret anew, while the gateway serves
    Rotate(RotateArgs),
}

/// `secrets generate-key`
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// New file for it, readable by you alone [default: print it]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `secrets rotate`
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// A new pepper for API keys as well: a key moves to it when it is used next
    #[arg(long)]
    pub peppers: bool,
    /// When API keys that have not been used since are revoked [default: 30d]
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "peppers")]
    pub deadline: Option<u64>,
    /// A new key for access tokens as well: tokens that are out stay valid until they expire
    #[arg(long)]
    pub signing: bool,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
    /// Confirmation
    #[command(flatten)]
    pub confirm: Confirm,
}

fn span(text: &str) -> Result<u64, String> {
    time_arg::span(text)
        .and_then(|span| u64::try_from(span.as_millis()).ok())
        .ok_or_else(|| "not a span of time; write it as 12h or 30d".to_owned())
}

/// What `generate-key` prints for scripts.
#[derive(Debug, Serialize)]
pub struct Generated {
    /// The file it was written to.
    pub file: Option<PathBuf>,
    /// The key, if it was not written to a file.
    pub key: Option<String>,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: SecretsVerb) -> Result<(), Failure> {
    match verb {
        SecretsVerb::GenerateKey(args) => generate(context, args),
        SecretsVerb::Status => {
            let status = context.client().await?.ask(secrets::Status).await?;
            context.out.show(&status, |out| show(out, &status))
        }
        SecretsVerb::Validate => {
            let checks = context.client().await?.ask(secrets::Validate).await?;
            super::check::show(context, &checks)
        }
        SecretsVerb::Rotate(args) => rotate(context, args).await,
    }
}

/// 256 random bits in base64, as the daemon wants its master key.
fn generate(context: &mut Context, args: GenerateArgs) -> Result<(), Failure> {
    let mut bits = Zeroizing::new([0_u8; 32]);
    rand::rngs::OsRng
        .try_fill_bytes(&mut bits[..])
        .map_err(|error| Failure::failed(format!("the system gives no random numbers: {error}")))?;
    let key = Zeroizing::new(STANDARD.encode(&bits[..]));
    let Some(file) = args.out else {
        if context.out.is_json() {
            return context.out.json(&Generated { file: None, key: Some(String::clone(&key)) });
        }
        return context.out.line(&*key);
    };
    write_secret(&file, &key)?;
    let made = Generated { file: Some(file.clone()), key: None };
    context.out.show(&made, |out| {
        out.line(format_args!(
            "Wrote a master key to {}; keep a copy of it apart from the backups.",
            file.display()
        ))?;
        out.line(format_args!(
            "To change to it, stop the daemon: aivonxd rekey --old OLD --new {}",
            file.display()
        ))
    })
}

/// Writes a key to a new file for `--out`, readable by the caller alone.
pub(super) fn write_secret(file: &Path, key: &str) -> Result<(), Failure> {
    write_new(file, key).map_err(|error| {
        let failure = Failure::failed(format!("--out {}: {error}", file.display()));
        match error.kind() {
            io::ErrorKind::AlreadyExists => {
                failure.with_hint("A key is never overwritten: name another file, or move this one away.")
            }
            _ => failure,
        }
    })
}

fn write_new(path: &Path, key: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = writeln!(file, "{key}").and_then(|()| file.sync_all()).and_then(|()| {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()
    });
    if written.is_err() {
        // Half a key would be refused later, and nothing was encrypted with it.
        let _ = fs::remove_file(path);
    }
    written
}

async fn rotate(context: &mut Context, args: RotateArgs) -> Result<(), Failure> {
    let mut question = "Replace the data keys and encrypt every secret anew?".to_owned();
    if args.peppers {
        let span = text::span(args.deadline.unwrap_or(30 * 86_400_000));
        question += &format!(" API keys that are not used within {span} will be revoked.");
    }
    input::confirm(args.confirm.yes, &question)?;
    let client = context.client().await?;
    let job = client
        .ask(secrets::Rotate { peppers: args.peppers, signing: args.signing, deadline_ms: args.deadline })
        .await?;
    if args.detach {
        return context.out.show(&job, |out| {
            out.line(format_args!("Rotating as job {}.", safe(&job.id)))?;
            out.line(follow::ways(&job.id))
        });
    }
    let end = follow::follow(&client, &mut context.out, job, follow::Steps::ForPeople).await?;
    if context.out.is_json() {
        context.out.json(&end)?;
    }
    follow::verdict(&end)?;
    if context.out.is_json() {
        return Ok(());
    }
    let subject = safe(&end.subject);
    context
        .out
        .line(format_args!("Done: {subject}; {} encrypted anew.", text::plural(end.completed, "secret")))?;
    if args.peppers {
        context.out.line("Which API keys still have to be used: aivonx secrets status")?;
    }
    Ok(())
}

fn show(out: &mut Out, status: &SecretsStatus) -> Result<(), Failure> {
    let zone = out.zone.clone();
    out.table(&overview(status, text::now()))?;
    for table in [keys(status, &zone), waiting(status, &zone), snapshots(status, &zone)] {
        if !table.is_empty() {
            out.line("")?;
            out.table(&table)?;
        }
    }
    let unnamed = status.waiting_total.saturating_sub(status.waiting.len() as u64);
    if unnamed > 0 {
        out.line(format_args!("... and {} more", text::plural(unnamed, "key")))?;
    }
    if status.snapshots.iter().any(|snapshot| !snapshot.retired.is_empty()) {
        out.line("")?;
        out.line(
            "A snapshot keeps its own copies of the data keys it needs: it can be restored, and who has a",
        )?;
        out.line("retired data key can read it. Delete such snapshots if that key may be known to others.")?;
    }
    Ok(())
}

fn overview(status: &SecretsStatus, now: u64) -> Table {
    let mut table = Table::pairs();
    table.pair("master key", &status.master_key);
    for key in &status.data_keys {
        let age = text::ago(key.created, now);
        let secrets = text::plural(key.sealed, "secret");
        table.pair("data key", format!("{}, made {age}, {secrets}", key.number));
    }
    for count in &status.sealed {
        table.pair(&safe(&count.kind), text::count(count.count));
    }
    let unfinished = "not finished; finish it: aivonx secrets rotate";
    if status.unfinished {
        table.pair("rotation", Cell::new(unfinished).tone(Tone::Warn));
    }
    table
}

fn keys(status: &SecretsStatus, zone: &TimeZone) -> Table {
    let mut table = Table::new([
        Column::text("KEY"),
        Column::number("NUMBER"),
        Column::text("IN USE"),
        Column::text("MADE"),
        Column::text("FORGOTTEN"),
        Column::number("API KEYS"),
    ]);
    for key in &status.keys {
        table.row([
            key.kind.as_str().into(),
            key.number.to_string().into(),
            if key.in_use { "*" } else { "" }.into(),
            text::time(key.created, zone).into(),
            key.retire_at.map_or_else(|| text::NONE.to_owned(), |at| text::time(at, zone)).into(),
            text::count(key.api_keys).into(),
        ]);
    }
    table
}

fn waiting(status: &SecretsStatus, zone: &TimeZone) -> Table {
    let mut table = Table::new([
        Column::text("API KEY TO BE USED").cut(16),
        Column::text("ORGANIZATION").cut(10),
        Column::text("ELSE REVOKED"),
        Column::text("ID").optional(1),
    ]);
    for key in &status.waiting {
        table.row([
            (&key.name).into(),
            Cell::optional(key.organization.as_ref()),
            text::time(key.revoked_at, zone).into(),
            (&key.id).into(),
        ]);
    }
    table
}

fn snapshots(status: &SecretsStatus, zone: &TimeZone) -> Table {
    let mut table = Table::new([
        Column::text("SNAPSHOT").cut(20),
        Column::text("TAKEN"),
        Column::text("DATA KEYS"),
        Column::text("RETIRED"),
        Column::text("PROBLEM").cut(12),
    ]);
    let numbers = |numbers: &[u32]| match numbers {
        [] => text::NONE.to_owned(),
        numbers => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    for snapshot in &status.snapshots {
        table.row([
            (&snapshot.file).into(),
            snapshot.taken.map_or_else(|| text::NONE.to_owned(), |at| text::time(at, zone)).into(),
            numbers(&snapshot.data_keys).into(),
            Cell::new(numbers(&snapshot.retired)).tone(Tone::Warn),
            Cell::optional(snapshot.problem.as_ref()).tone(Tone::Bad),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use aivonx_protocol::Reply;

    use super::*;

    fn status() -> SecretsStatus {
        let found = Reply::samples().into_iter().find_map(|reply| match reply {
            Reply::Secrets(status) => Some(*status),
            _ => None,
        });
        found.unwrap()
    }

    #[test]
    fn a_status_fits_the_screen() {
        let status = status();
        let tables = [
            overview(&status, 1_700_000_360_000),
            keys(&status, &TimeZone::UTC),
            waiting(&status, &TimeZone::UTC),
            snapshots(&status, &TimeZone::UTC),
        ];
        let shown: Vec<String> = tables.iter().map(|table| table.render(Some(80), false)).collect();
        assert!(
            shown.iter().flat_map(|table| table.lines()).all(|line| line.chars().count() <= 80),
            "{shown:#?}"
        );
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    #[test]
    fn a_key_is_written_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new.key");
        write_new(&path, "key").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "key\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write_new(&path, "other").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "key\n");
    }

    #[test]
    fn spans_are_read() {
        assert_eq!(span("30d"), Ok(2_592_000_000));
        assert!(span("soon").is_err() && span("").is_err());
    }
}
