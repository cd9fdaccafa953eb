//! `aivonx audit export`: the copy and its signature become two files, or none.

use std::{io, path::Path};

use aivonx_protocol::{
    Event,
    audit::{self, ExportFormat},
};

use super::{Context, ExportArgs, Format, tell_lost};
use crate::{
    audit_copy::{self, Exported, Writing},
    exit::Failure,
    render::text::{bytes, plural},
};

pub(super) async fn run(context: &mut Context, args: ExportArgs) -> Result<(), Failure> {
    let file = args.out.clone();
    if file.as_os_str() == "-" {
        return Err(Failure::usage("--out -: the copy and its signature are two files, not one stream")
            .with_hint("Name a file: the signature goes beside it, with .sig"));
    }
    // Before the daemon does the work.
    if let Some(path) = audit_copy::taken(&file) {
        let failure = Failure::failed(format!("--out {}: it is there already", path.display()));
        return Err(
            failure.with_hint("A copy is never overwritten: name another file, or move this one away.")
        );
    }
    let format = match args.format {
        Format::Jsonl => ExportFormat::Jsonl,
        Format::Csv => ExportFormat::Csv,
    };
    let client = context.client().await?;
    let mut stream = client.follow(audit::Export { filter: args.filters.into_filter(), format }).await?;
    let mut copy = Writing::begin(&file, false).map_err(|e| failed(&file, &e))?;
    let mut signed = None;
    while let Some(step) = stream.next().await {
        match step? {
            Event::AuditBytes(bytes) => copy.write(&bytes).map_err(|e| failed(&file, &e))?,
            Event::AuditSigned(signature) => signed = Some(*signature),
            _ => {}
        }
    }
    let signed = signed
        .ok_or_else(|| Failure::Lost("the daemon ended the export without its signature".to_owned()))?;
    copy.end(&signed).map_err(|e| failed(&file, &e))?;
    tell_lost(client.ask(audit::Losses).await);
    tell(context, &Exported::new(file, &signed))
}

fn tell(context: &mut Context, exported: &Exported) -> Result<(), Failure> {
    context.out.show(exported, |out| {
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

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("--out {}: {error}", path.display()))
}
