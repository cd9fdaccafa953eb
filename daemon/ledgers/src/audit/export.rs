//! The log as a file, with a detached signature.

use std::fmt::Write as _;

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Event,
    audit::{AuditEntry, AuditFilter, ExportFormat, ExportSignature, HexBytes, canonical},
};
use aivonx_store::audit::{Page, Query};
use futures_util::{Stream, stream};
use sha2::{Digest as _, Sha256};

use super::{Audit, AuditError, Entry};

/// Entries read in one go.
const PAGE: usize = 512;

/// Columns of the CSV form.
const COLUMNS: &str = "seq,time,action,outcome,actor_id,actor,uid,gid,pid,address,user_agent,organization_id,\
                       organization,object_kind,object_id,object,via,request_id,details,prev,hash\r\n";

/// An export under way.
struct Export {
    audit: Audit,
    reach: TenantScope,
    query: Query,
    /// Later entries are not part of it: the first of them records this export.
    last: u64,
    digest: Sha256,
    sign: ExportSignature,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Begin,
    Entries,
    Signature,
    Over,
}

impl Audit {
    /// Records `entry`, which is about the export, then gives the entries before it that are within reach and pass the
    /// filter: the bytes of a file, and then their signature. What was noted before is among them.
    ///
    /// # Errors
    /// [`AuditError::Closed`] for a log in memory, and errors of recording `entry`; later errors end the stream.
    pub async fn export(
        &self,
        entry: Entry,
        reach: TenantScope,
        filter: AuditFilter,
        format: ExportFormat,
    ) -> Result<impl Stream<Item = Result<Event, AuditError>> + Send + use<>, AuditError> {
        // A log in memory has nothing to be copied.
        self.shared()?;
        let last = self.write(entry).await?.saturating_sub(1);
        let sign = ExportSignature {
            daemon: String::new(),
            format,
            bytes: 0,
            sha256: HexBytes([0; 32]),
            entries: 0,
            first: 0,
            last: 0,
            complete: true,
            filter: filter.words(),
            time: 0,
            signer: HexBytes([0; 32]),
            signature: HexBytes([0; 64]),
        };
        let query = Query { filter, cursor: None, limit: PAGE, bytes: 1 << 20, oldest_first: true };
        let (audit, digest) = (self.clone(), Sha256::new());
        let export = Export { audit, reach, query, last, digest, sign, state: State::Begin };
        Ok(stream::unfold(export, async |mut export| {
            let step = export.step().await.transpose()?;
            if step.is_err() {
                export.state = State::Over;
            }
            Some((step, export))
        }))
    }
}

impl Export {
    async fn step(&mut self) -> Result<Option<Event>, AuditError> {
        loop {
            let mut text = String::new();
            match self.state {
                State::Over => return Ok(None),
                State::Signature => {
                    self.state = State::Over;
                    return self.signed().map(|signed| Some(Event::AuditSigned(Box::new(signed))));
                }
                State::Begin => {
                    self.state = State::Entries;
                    if self.sign.format == ExportFormat::Csv {
                        text.push_str(COLUMNS);
                    }
                }
                State::Entries => {
                    let log = &self.audit.shared()?.log;
                    let Page { entries, next } = log.page(&self.reach, self.query.clone()).await?;
                    self.query.cursor = next;
                    if next.is_none_or(|next| next >= self.last) {
                        self.state = State::Signature;
                    }
                    let last = self.last;
                    for entry in entries.iter().filter(|entry| entry.seq <= last) {
                        self.count(entry);
                        match self.sign.format {
                            ExportFormat::Jsonl => text.push_str(&canonical::line(entry)),
                            ExportFormat::Csv => row(&mut text, entry),
                        }
                        text.push_str(if self.sign.format == ExportFormat::Csv { "\r\n" } else { "\n" });
                    }
                }
            }
            if !text.is_empty() {
                self.digest.update(text.as_bytes());
                self.sign.bytes += text.len() as u64;
                return Ok(Some(Event::AuditBytes(text.into_bytes())));
            }
        }
    }

    fn count(&mut self, entry: &AuditEntry) {
        let sign = &mut self.sign;
        if sign.entries == 0 {
            sign.first = entry.seq;
        } else if entry.seq != sign.last + 1 {
            sign.complete = false;
        }
        sign.entries += 1;
        sign.last = entry.seq;
    }

    fn signed(&mut self) -> Result<ExportSignature, AuditError> {
        self.sign.sha256 = HexBytes(std::mem::take(&mut self.digest).finalize().into());
        Ok(self.audit.shared()?.signer.sign_export(self.sign.clone()))
    }
}

fn row(out: &mut String, entry: &AuditEntry) {
    let time = i64::try_from(entry.time).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let time = time.map_or_else(|| entry.time.to_string(), |time| time.to_string());
    let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
    let details: Vec<String> = entry.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (organization, object) = (entry.organization.as_ref(), entry.object.as_ref());
    let maybe = |text: Option<&String>| text.cloned().unwrap_or_default();
    let cells = [
        entry.seq.to_string(),
        time,
        entry.action.to_string(),
        entry.outcome.to_string(),
        maybe(entry.actor.id.as_ref()),
        entry.actor.name.clone(),
        number(entry.source.uid),
        number(entry.source.gid),
        entry.source.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        maybe(entry.source.address.as_ref()),
        maybe(entry.source.user_agent.as_ref()),
        maybe(organization.map(|o| &o.id)),
        maybe(organization.and_then(|o| o.name.as_ref())),
        maybe(object.map(|o| &o.kind)),
        maybe(object.and_then(|o| o.id.as_ref())),
        maybe(object.and_then(|o| o.name.as_ref())),
        maybe(entry.via.as_ref()),
        maybe(entry.request_id.as_ref()),
        details.join("; "),
        entry.prev.to_string(),
        entry.hash.to_string(),
    ];
    for (at, text) in cells.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        cell(out, text);
    }
}

/// One cell: quoted where it must be, never a formula, and without what could mislead a terminal.
fn cell(out: &mut String, text: &str) {
    let shown = aivonx_protocol::Untrusted::new(text).max(usize::MAX).to_string();
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !shown.contains([',', '"', '\n', ';']) {
        return out.push_str(&shown);
    }
    // Writing to a string does not fail.
    let _ = write!(out, "\"{}{}\"", if formula { "'" } else { "" }, shown.replace('"', "\"\""));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas_and_stay_cells() {
        for (text, want) in [
            ("plain", "plain"),
            ("", ""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@x", "\"'@x\""),
            ("\tx", "\"'\\tx\""),
            ("\rx", "\"'\\rx\""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("a\nb\u{1b}[2J", "a\\nb\\u{1b}[2J"),
        ] {
            let mut out = String::new();
            cell(&mut out, text);
            assert_eq!(out, want, "{text:?}");
        }
    }
}
