//! `aivonx backup ...`

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use aivonx_protocol::{
    Event, WireSecret,
    backup::{self, Backup, Sealing},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use rand::TryRngCore as _;
use serde::Serialize;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{Context, audit::offline::public_key};
use crate::{
    audit_copy::Partial,
    exit::{Exit, Failure},
    input, nouns,
    prompt::Prompt,
    render::text::{bytes, safe},
};

/// What can be done with backups.
#[derive(Debug, Subcommand)]
pub enum BackupVerb {
    /// Make one now; without --to it is kept with those that the daemon makes by itself
    Create(CreateArgs),
    /// The kept backups, newest first
    #[command(visible_alias = "ls")]
    List,
    /// Read a whole backup and check its signature; a kept one is opened as well
    Verify(VerifyArgs),
    /// Make a key pair: backups are sealed for its public half and opened with its private half; needs no daemon
    GenerateKey(GenerateArgs),
}

/// `backup create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// New file for it, readable by you alone
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Seal it with a passphrase, which is asked for: it opens on any machine, and has the master key in it
    #[arg(long, requires = "to", conflicts_with_all = ["passphrase_file", "recipient"])]
    pub passphrase: bool,
    /// Seal it with the passphrase in this file
    #[arg(long, value_name = "FILE", requires = "to", conflicts_with = "recipient")]
    pub passphrase_file: Option<PathBuf>,
    /// Seal it for the holder of a private key: this is the public half, as `backup generate-key` prints it
    #[arg(long, value_name = "KEY", requires = "to")]
    pub recipient: Option<String>,
}

/// `backup verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A file here, or else one of those that `backup list` shows
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The public key that must have signed it: what `aivonx audit key` prints, or a file with that
    #[arg(long, value_name = "KEY")]
    pub public_key: Option<String>,
}

/// `backup generate-key`
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// New file for the private half, readable by you alone
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// What `generate-key` prints for scripts.
#[derive(Debug, Serialize)]
pub struct KeyPair {
    /// The file of the private half.
    pub file: PathBuf,
    /// The public half.
    pub recipient: String,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: BackupVerb) -> Result<(), Failure> {
    match verb {
        BackupVerb::Create(args) => create(context, args).await,
        BackupVerb::List => {
            let all = context.client().await?.ask(backup::List).await?;
            context.out.show(&all, |out| match all.len() {
                0 => out.line("There is no backup yet. Make one: aivonx backup create"),
                _ => nouns::list(out, &all),
            })
        }
        BackupVerb::Verify(args) => verify(context, &args).await,
        BackupVerb::GenerateKey(args) => generate(context, args.out),
    }
}

async fn create(context: &mut Context, args: CreateArgs) -> Result<(), Failure> {
    let Some(file) = args.to.clone() else {
        let made = context.client().await?.ask(backup::Create).await?;
        return context.out.show(&made, |out| {
            out.line(format_args!("Made {} ({}) and read it back.", safe(&made.file), bytes(made.bytes)))?;
            out.line(how_to_open(&made))
        });
    };
    let failed = |error: io::Error| Failure::failed(format!("--to {}: {error}", file.display()));
    // Before the daemon does the work.
    if file.as_os_str() == "-" {
        let failure = Failure::usage("--to -: a backup is written to a file, not to standard output");
        return Err(failure
            .with_hint("It is complete or not there at all. Name a new file; ./- is one of that name."));
    }
    if file.symlink_metadata().is_ok() {
        let failure = Failure::failed(format!("--to {}: it is there already", file.display()));
        return Err(
            failure.with_hint("A backup is never overwritten: name another file, or move this one away.")
        );
    }
    let sealing = sealing(context, args)?;
    let client = context.client().await?;
    let mut stream = client.follow(backup::Export { sealing }).await?;
    let mut writing = Partial::begin(&file).map_err(failed)?;
    let mut made = None;
    while let Some(step) = stream.next().await {
        match step? {
            Event::BackupBytes(piece) => writing.write(&piece).map_err(failed)?,
            Event::BackupMade(backup) => made = Some(*backup),
            _ => {}
        }
    }
    let made = made.ok_or_else(|| Failure::Lost("the daemon ended the backup before its end".to_owned()))?;
    writing.end(false).map_err(failed)?;
    let made = Backup { file: file.display().to_string(), ..made };
    context.out.show(&made, |out| {
        out.line(format_args!("Wrote {} ({}).", safe(&made.file), bytes(made.bytes)))?;
        out.line(how_to_open(&made))
    })
}

fn how_to_open(made: &Backup) -> &'static str {
    match made.sealed.as_deref() {
        Some("passphrase") => {
            "It opens with the passphrase alone. To put it back: aivonxd restore FILE --passphrase-file FILE"
        }
        Some("master key") => {
            "It opens with the gateway's master key, which is not in it: keep a copy of that apart. To put it back: \
             aivonxd restore FILE"
        }
        _ => "It opens with the private key alone. To put it back: aivonxd restore FILE --private-key FILE",
    }
}

fn sealing(context: &Context, args: CreateArgs) -> Result<Sealing, Failure> {
    if let Some(recipient) = args.recipient {
        return Ok(Sealing::Recipient(recipient));
    }
    if let Some(file) = args.passphrase_file {
        return input::secret("--passphrase-file", &file).map(Sealing::Passphrase);
    }
    if !args.passphrase {
        return Ok(Sealing::Master);
    }
    let mut prompt = Prompt::open(&context.out, "Without one give --passphrase-file FILE.")?;
    prompt.new_secret("Passphrase of the backup").map(Sealing::Passphrase)
}

async fn verify(context: &mut Context, args: &VerifyArgs) -> Result<(), Failure> {
    let name = args.file.display().to_string();
    let is_kept = args.file.components().count() == 1 && !args.file.exists();
    let found = if is_kept {
        context.client().await?.ask(backup::Verify { file: name.clone() }).await?
    } else {
        check(&args.file, &name)?
    };
    let wanted = args.public_key.as_deref().map(public_key).transpose()?;
    let found = match (wanted, found.signer) {
        (Some(wanted), Some(signer)) if wanted != signer => {
            Backup { problem: Some(format!("it is signed by another key, {signer}")), ..found }
        }
        _ => found,
    };
    context.out.show(&found, |out| match &found.problem {
        Some(problem) => out.line(format_args!("{}: {}", safe(&found.file), safe(problem))),
        None => {
            out.line(format_args!("{} is whole.", safe(&found.file)))?;
            nouns::show(out, &found)
        }
    })?;
    if found.problem.is_some() { Err(Failure::Silent(Exit::Failed)) } else { Ok(()) }
}

/// Reads a file with the caller's rights.
fn check(file: &Path, name: &str) -> Result<Backup, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", safe(name)));
    let opened = File::open(file).map_err(failed)?;
    let found = opened.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(Failure::failed(format!("{}: it is not a regular file", safe(name))));
    }
    Ok(match backup::check(&mut BufReader::new(opened), found.len()) {
        Ok(header) => Backup::of(name.to_owned(), found.len(), &header),
        Err(error) => Backup::bad(name.to_owned(), found.len(), error.to_string()),
    })
}

fn generate(context: &mut Context, file: PathBuf) -> Result<(), Failure> {
    let mut bits = Zeroizing::new([0_u8; 32]);
    rand::rngs::OsRng
        .try_fill_bytes(&mut bits[..])
        .map_err(|error| Failure::failed(format!("the system gives no random numbers: {error}")))?;
    let private = WireSecret::new(format!("{}{}", backup::PRIVATE_KEY, STANDARD.encode(&bits[..])));
    let recipient = STANDARD.encode(PublicKey::from(&StaticSecret::from(*bits)));
    super::secrets::write_secret(&file, private.expose())?;
    let made = KeyPair { file, recipient };
    context.out.show(&made, |out| {
        out.line(format_args!(
            "Wrote the private key to {}: keep it where the backups are not, and not on this machine.",
            made.file.display()
        ))?;
        out.line(format_args!("The public key, for --recipient and for backup.recipient: {}", made.recipient))
    })
}
