//! `aivonx audit verify --file`: a copy against its signature, with the public key alone.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, ErrorKind},
    path::Path,
};

use aivonx_protocol::{
    UnixMillis,
    audit::{AuditEntry, Chain, Digest, ExportFormat, ExportSignature, HexBytes, PublicKey},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Context;
use crate::{
    audit_copy::beside,
    exit::{Exit, Failure},
    render::{
        Out, Tone,
        text::{self, safe},
    },
};

/// What `audit verify --file` prints as JSON.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Whether the copy is what was signed, with that key.
    pub intact: bool,
    /// What is wrong, sentence by sentence.
    pub wrong: Vec<String>,
    /// The daemon that signed, as it says.
    pub daemon: String,
    /// When.
    pub signed: UnixMillis,
    /// The key it names.
    pub signer: PublicKey,
    /// Entries signed for.
    pub entries: u64,
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// Whether nothing between the two was left out.
    pub complete: bool,
    /// The filter they passed.
    pub filter: String,
}

/// Longest signature file, bytes.
const SIGNATURE_MAX: usize = 64 << 10;

pub(super) fn run(
    context: &mut Context,
    file: &Path,
    signature: Option<&Path>,
    key: &str,
) -> Result<(), Failure> {
    let key = public_key(key)?;
    let beside = beside(file);
    let proof = prove(file, signature.unwrap_or(&beside), key)?;
    context.out.show(&proof, |out| tell(out, &proof, file))?;
    if proof.intact { Ok(()) } else { Err(Failure::Silent(Exit::Failed)) }
}

/// The key itself, or one in a file; comments in it are skipped.
pub(in crate::cli) fn public_key(text: &str) -> Result<PublicKey, Failure> {
    if let Ok(key) = PublicKey::from_text(text) {
        return Ok(key);
    }
    let failed = |why: String| {
        Failure::failed(format!("--public-key {}: {why}", safe(text)))
            .with_hint("Give what this prints, or a file with it: aivonx audit key")
    };
    let read = fs::read_to_string(text).map_err(|e| {
        failed(match e.kind() {
            ErrorKind::NotFound => "there is no such file, and it is no key itself".to_owned(),
            _ => e.to_string(),
        })
    })?;
    let plain: Vec<&str> = read.lines().filter(|line| !line.starts_with('#')).collect();
    PublicKey::from_text(&plain.join("\n")).map_err(|e| failed(e.to_string()))
}

fn prove(file: &Path, signature: &Path, key: PublicKey) -> Result<Proof, Failure> {
    let bad = |why: String| Failure::failed(format!("--signature {}: {why}", signature.display()));
    let text = fs::read_to_string(signature).map_err(|e| bad(e.to_string()))?;
    if text.len() > SIGNATURE_MAX {
        return Err(bad("it is too large for a signature".to_owned()));
    }
    let signed: ExportSignature =
        serde_json::from_str(&text).map_err(|e| bad(format!("it is no signature of an export: {e}")))?;
    let mut wrong = Vec::new();
    if signed.signer != key {
        wrong.push(format!("It is signed with another key ({}).", signed.signer));
    }
    if !signed.is_signed() {
        wrong.push("The signature is wrong: it was changed, or not made with the key it names.".to_owned());
    }
    let read = |e: std::io::Error| Failure::failed(format!("--file {}: {e}", file.display()));
    let reader = BufReader::with_capacity(1 << 16, File::open(file).map_err(read)?);
    let seen = look(reader, &signed).map_err(read)?;
    if (seen.sha256, seen.bytes) != (signed.sha256, signed.bytes) {
        wrong.push(format!(
            "The file is not the one that was signed: it has {} bytes and another digest.",
            seen.bytes
        ));
    }
    wrong.extend(seen.wrong);
    Ok(Proof {
        intact: wrong.is_empty(),
        wrong,
        daemon: signed.daemon,
        signed: signed.time,
        signer: signed.signer,
        entries: signed.entries,
        first: signed.first,
        last: signed.last,
        complete: signed.complete,
        filter: signed.filter,
    })
}

struct Seen {
    sha256: Digest,
    bytes: u64,
    wrong: Option<String>,
}

/// Reads the file once. Entry by entry, if its form allows it.
fn look(mut reader: BufReader<File>, signed: &ExportSignature) -> std::io::Result<Seen> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut entries = Entries::new(signed);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        hash.update(&line);
        bytes += line.len() as u64;
        if signed.format == ExportFormat::Jsonl {
            entries.take(&line);
        }
        line.clear();
    }
    let wrong = if signed.format == ExportFormat::Jsonl { entries.end() } else { None };
    Ok(Seen { sha256: HexBytes(hash.finalize().into()), bytes, wrong })
}

#[derive(Deserialize)]
struct Position {
    seq: u64,
}

/// The entries of a copy as they are read.
struct Entries<'s> {
    signed: &'s ExportSignature,
    chain: Chain,
    last: u64,
    /// An entry that came too early, where the next one was expected; whether it was only moved is known later.
    early: Option<AuditEntry>,
    wrong: Option<String>,
}

impl<'s> Entries<'s> {
    fn new(signed: &'s ExportSignature) -> Self {
        let chain = Chain::part(&signed.daemon, signed.first);
        Self { signed, chain, last: 0, early: None, wrong: None }
    }

    fn take(&mut self, line: &[u8]) {
        if self.wrong.is_some() || self.chain.found().is_some() {
            return;
        }
        if let Some(early) = &self.early {
            let next = self.chain.next();
            let here = serde_json::from_slice::<Position>(line).ok().map(|position| position.seq);
            if here.is_some() && here == next {
                // The expected one comes later: it was moved, not removed.
                let place = next.unwrap_or_default();
                self.chain.entry(place, Ok(&early.clone()));
            }
            return;
        }
        let entry: AuditEntry = match serde_json::from_slice(line) {
            Ok(entry) => entry,
            Err(why) => {
                let next = self.last + 1;
                self.wrong = Some(format!(
                    "What follows entry {}, probably {next}, cannot be read: {why}.",
                    self.last
                ));
                return;
            }
        };
        if !self.signed.complete {
            return self.alone(&entry);
        }
        match self.chain.next() {
            Some(next) if entry.seq > next => self.early = Some(entry),
            Some(next) => self.chain.entry(next, Ok(&entry)),
            None => self.chain.entry(entry.seq, Ok(&entry)),
        }
        self.last = self.chain.next().map_or(0, |next| next - 1);
    }

    /// An entry of a copy with gaps: it must fit its own hash, behind the one before.
    fn alone(&mut self, entry: &AuditEntry) {
        if entry.chained(&entry.prev) != entry.hash {
            self.wrong = Some(format!("Entry {} was changed: its hash is another.", entry.seq));
        } else if entry.seq <= self.last {
            self.wrong =
                Some(format!("Entry {} was reordered: it stands behind entry {}.", entry.seq, self.last));
        }
        self.last = entry.seq;
    }

    fn end(mut self) -> Option<String> {
        if self.wrong.is_none() && self.signed.complete && self.signed.entries > 0 {
            if let Some(early) = self.early.take() {
                self.chain.entry(early.seq, Ok(&early));
            }
            self.chain.end(self.signed.last);
        }
        self.wrong.or_else(|| {
            self.chain.found().map(|found| {
                let text = found.to_string();
                format!("{}{}.", text[..1].to_uppercase(), &text[1..])
            })
        })
    }
}

fn tell(out: &mut Out, proof: &Proof, file: &Path) -> Result<(), Failure> {
    let verdict = if proof.intact {
        out.paint(&format!("{} is what was signed.", file.display()), Tone::Good)
    } else {
        out.paint(&format!("{} is NOT what was signed.", file.display()), Tone::Bad)
    };
    out.line(verdict)?;
    for wrong in &proof.wrong {
        let line = out.paint(&safe(wrong), Tone::Bad);
        out.line(line)?;
    }
    let gaps = if proof.complete { "without gaps" } else { "with gaps" };
    let filter = match &*proof.filter {
        "" => String::new(),
        filter => format!(", filter {}", safe(filter)),
    };
    let time = text::time(proof.signed, &out.zone);
    out.line(format_args!(
        "Signed {time} by daemon {}: {} entries, {} to {}, {gaps}{filter}.",
        safe(&proof.daemon),
        proof.entries,
        proof.first,
        proof.last
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn proof(lines: &[String], signed: &ExportSignature) -> Proof {
        let dir = tempfile::tempdir().unwrap();
        let (file, signature) = (dir.path().join("a.jsonl"), dir.path().join("a.jsonl.sig"));
        fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        fs::write(&signature, signed.line()).unwrap();
        prove(&file, &signature, signed.signer).unwrap()
    }

    #[test]
    fn whatever_was_done_to_a_copy_is_named() {
        let (lines, signed) = samples::audit_export(9, true);
        assert_eq!(proof(&lines, &signed).wrong, Vec::<String>::new());
        let says = |lines: &[String], what: &str| {
            let proof = proof(lines, &signed);
            assert!(
                !proof.intact && proof.wrong.iter().any(|w| w.contains(what)),
                "{what}: {:?}",
                proof.wrong
            );
        };
        let mut changed = lines.clone();
        changed[4] = changed[4].replace("gpu5", "gpu6");
        says(&changed, "Entry 5 was changed");
        let mut removed = lines.clone();
        removed.remove(4);
        says(&removed, "Entry 5 was removed");
        let mut swapped = lines.clone();
        swapped.swap(4, 6);
        says(&swapped, "Entry 5 was reordered");
        says(&lines[..7], "Entries 8 to 9 were cut off");
        says(&lines[2..], "Entries 1 to 2 were removed");
        let mut garbled = lines.clone();
        garbled[3] = "nonsense".into();
        says(&garbled, "probably 4, cannot be read");
    }

    #[test]
    fn a_filtered_copy_is_checked_entry_by_entry() {
        let (mut lines, signed) = samples::audit_export(9, false);
        assert!(proof(&lines, &signed).intact);
        lines[2] = lines[2].replace("\"ok\"", "\"denied\"");
        assert!(proof(&lines, &signed).wrong.iter().any(|w| w.contains("was changed")));
    }

    #[test]
    fn a_signature_of_another_key_or_changed_is_refused() {
        let (lines, signed) = samples::audit_export(3, true);
        let mut claimed = signed.clone();
        claimed.entries = 4;
        assert!(proof(&lines, &claimed).wrong[0].contains("signature is wrong"));
        let dir = tempfile::tempdir().unwrap();
        let (file, signature) = (dir.path().join("a"), dir.path().join("a.sig"));
        fs::write(&file, "").unwrap();
        fs::write(&signature, signed.line()).unwrap();
        let other = HexBytes([9; 32]);
        assert!(prove(&file, &signature, other).unwrap().wrong[0].contains("another key"));
        assert!(public_key("nothing").unwrap_err().to_string().contains("no such file"));
        let pem = dir.path().join("key.pem");
        fs::write(&pem, format!("# a comment\n{}", signed.signer.to_pem().unwrap())).unwrap();
        assert_eq!(public_key(pem.to_str().unwrap()).unwrap(), signed.signer);
        assert_eq!(public_key(&signed.signer.to_string()).unwrap(), signed.signer);
    }
}
