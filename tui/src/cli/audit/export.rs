//! `aivonx audit export`: the copy and its signature become two files, or none.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aivonx_protocol::{
    Event,
    audit::{Digest, ExportFormat, ExportSignature, PublicKey},
};
use serde::Serialize;

use super::{Context, ExportArgs, Format};
use crate::{
    exit::Failure,
    render::text::{bytes, plural},
};

/// What `audit export` prints as JSON.
#[derive(Debug, Serialize)]
pub struct Exported {
    /// The copy.
    pub file: PathBuf,
    /// Its signature.
    pub signature: PathBuf,
    /// Entries in it.
    pub entries: u64,
    /// The first of them; 0 if there is none.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// Whether nothing between the two was left out.
    pub complete: bool,
    /// Bytes of the copy.
    pub bytes: u64,
    /// Digest of the copy.
    pub sha256: Digest,
    /// The public key that proves it.
    pub signer: PublicKey,
}

/// The name of a copy's signature.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

pub(super) async fn run(context: &mut Context, args: ExportArgs) -> Result<(), Failure> {
    let (file, signature) = (args.out.clone(), beside(&args.out));
    // Before the daemon does the work.
    for path in [&file, &signature] {
        if path.exists() {
            let failure = Failure::failed(format!("--out {}: it is there already", path.display()));
            return Err(
                failure.with_hint("A copy is never overwritten: name another file, or move this one away.")
            );
        }
    }
    let format = match args.format {
        Format::Jsonl => ExportFormat::Jsonl,
        Format::Csv => ExportFormat::Csv,
    };
    let client = context.client().await?;
    let mut stream = client.audit_export(args.filters.into_filter(), format).await?;
    let mut copy = Copy::begin(&file)?;
    let mut signed = None;
    while let Some(step) = stream.next().await {
        match step? {
            Event::AuditBytes(bytes) => copy.write(&bytes)?,
            Event::AuditSigned(signature) => signed = Some(*signature),
            _ => {}
        }
    }
    let signed = signed
        .ok_or_else(|| Failure::Lost("the daemon ended the export without its signature".to_owned()))?;
    copy.end()?;
    let mut proof = Copy::begin(&signature)?;
    proof.write(format!("{}\n", signed.line()).as_bytes())?;
    proof.end()?;
    tell(context, file, signature, &signed)
}

fn tell(
    context: &mut Context,
    file: PathBuf,
    signature: PathBuf,
    signed: &ExportSignature,
) -> Result<(), Failure> {
    let exported = Exported {
        file,
        signature,
        entries: signed.entries,
        first: signed.first,
        last: signed.last,
        complete: signed.complete,
        bytes: signed.bytes,
        sha256: signed.sha256,
        signer: signed.signer,
    };
    context.out.show(&exported, |out| {
        let (file, signature) = (exported.file.display(), exported.signature.display());
        let what = plural(exported.entries, "entry").replace("entrys", "entries");
        out.line(format_args!(
            "Wrote {what} ({}) to {file}, and their signature to {signature}.",
            bytes(exported.bytes)
        ))?;
        out.line(format_args!(
            "Whoever has the public key can prove it: aivonx audit verify --file {file} --public-key {}",
            exported.signer
        ))
    })
}

/// A file that has its name only once it is whole.
struct Copy<'p> {
    path: &'p Path,
    partial: PathBuf,
    file: File,
    whole: bool,
}

impl<'p> Copy<'p> {
    fn begin(path: &'p Path) -> Result<Self, Failure> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial);
        let file = opened.map_err(|e| failed(path, &e))?;
        Ok(Self { path, partial, file, whole: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|e| failed(self.path, &e))
    }

    fn end(mut self) -> Result<(), Failure> {
        // Not over a file that has come in the meantime.
        let ended = self.file.sync_all().and_then(|()| fs::hard_link(&self.partial, self.path));
        self.whole = ended.is_ok();
        ended.map_err(|e| failed(self.path, &e))
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        // Nothing can be done about one that stays.
        let _ = fs::remove_file(&self.partial);
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("--out {}: {error}", path.display()))
}
