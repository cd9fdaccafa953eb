//! What verifying the audit log reads and says, on the command line and in the console.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use aivonx_protocol::audit::{AnchorProblem, AuditVerdict, Checkpoint};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::{
    exit::Failure,
    render::{
        Tone,
        text::{self, safe},
    },
};

/// What is said while the chain is walked.
pub(crate) const WALKING: &str = "Verifying the audit log";

/// How far a walk along the chain is.
pub(crate) fn walked(seq: u64, last: u64) -> String {
    // Wide enough for any log.
    let share = if last == 0 { 100 } else { u128::from(seq.min(last)) * 100 / u128::from(last) };
    format!("{WALKING}: {share} %, entry {} of {}", text::count(seq), text::count(last))
}

/// The checkpoints in a file: one a line, as JSON of its own, of the journal or of the log.
pub(crate) fn anchors(path: &Path) -> Result<Vec<Checkpoint>, Failure> {
    let failed = |why: String| {
        Failure::failed(format!("--anchor {}: {why}", path.display()))
            .with_hint("Such lines come from: journalctl -o json AIVONX_EVENT=audit_checkpoint")
    };
    let file = File::open(path).map_err(|e| failed(e.to_string()))?;
    let mut found: Vec<Checkpoint> = Vec::new();
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| failed(format!("line {}: {e}", at + 1)))?;
        if line.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(&line).map_err(|_| {
            failed(format!("line {} is no JSON; give the append-only file, or journalctl -o json", at + 1))
        })?;
        match anchor(value) {
            Some(Ok(checkpoint)) if found.last() == Some(&checkpoint) => {}
            Some(Ok(checkpoint)) => found.push(checkpoint),
            Some(Err(why)) => return Err(failed(format!("line {} is no checkpoint: {why}", at + 1))),
            // Another line of the journal.
            None => {}
        }
    }
    if found.is_empty() {
        return Err(failed("it holds no checkpoint".to_owned()));
    }
    Ok(found)
}

/// The checkpoint in a line, if it is about one.
fn anchor(mut value: Value) -> Option<Result<Checkpoint, String>> {
    let said = |text: &Value| text.as_str().map(ToOwned::to_owned);
    let inside = ["AIVONX_CHECKPOINT", "checkpoint"].iter().find_map(|name| said(value.get(name)?));
    let inside = inside.or_else(|| {
        // As `aivonx logs --output json` prints it: pairs of name and value.
        let fields = value.get("fields")?.as_array()?;
        let field = fields.iter().find(|field| field.get(0).is_some_and(|name| name == "checkpoint"))?;
        said(field.get(1)?)
    });
    if let Some(text) = inside {
        return Some(serde_json::from_str(&text).map_err(|e| e.to_string()));
    }
    value.get("signature")?;
    Some(serde_json::from_value(value.take()).map_err(|e| e.to_string()))
}

/// A verdict in sentences, the verdict itself first.
pub(crate) fn sentences(verdict: &AuditVerdict, zone: &TimeZone) -> Vec<(Tone, String)> {
    let mut said = Vec::new();
    let at = |time| text::time(time, zone);
    if verdict.intact {
        said.push((Tone::Good, "The audit log is intact.".to_owned()));
    } else {
        said.push((Tone::Bad, "The audit log is NOT intact.".to_owned()));
    }
    if let Some(found) = &verdict.found {
        said.push((Tone::Bad, safe(&found.to_string())));
    }
    if verdict.entries > 0 {
        let behind = verdict.last.saturating_sub(verdict.signed_through);
        let behind = if behind == 0 {
            "all of it is signed".to_owned()
        } else if verdict.signed_through == 0 {
            "none of it is signed yet, it is chained only".to_owned()
        } else {
            format!("signed up to entry {}, the {behind} behind it are chained only", verdict.signed_through)
        };
        said.push((
            Tone::Plain,
            format!(
                "Entries {} to {}: {} walked in {}, {}; {behind}.",
                verdict.first,
                verdict.last,
                text::count(verdict.entries),
                text::span(verdict.took_ms),
                text::plural(verdict.checkpoints, "signed checkpoint")
            ),
        ));
    }
    if let Some(time) = verdict.retained_from {
        let first = verdict.first;
        said.push((
            Tone::Plain,
            format!("What came before entry {first} was removed by age on {}.", at(time)),
        ));
    }
    for restart in &verdict.restarts {
        let (tone, why) = match &*restart.reason {
            "restored" => {
                (Tone::Warn, "the store was restored from a snapshot, and the log was not in it".to_owned())
            }
            "lost" => (Tone::Bad, "what came before was lost, and nothing explains it".to_owned()),
            other => (Tone::Bad, safe(other)),
        };
        let (seq, time) = (restart.seq, at(restart.time));
        said.push((tone, format!("At entry {seq} ({time}) the chain begins anew: {why}.")));
    }
    if verdict.anchors_agreed > 0 {
        let agreed = text::plural(verdict.anchors_agreed, "published checkpoint");
        let agree = if verdict.anchors_agreed == 1 { "agrees" } else { "agree" };
        said.push((Tone::Good, format!("{agreed} {agree}.")));
    }
    if verdict.anchors_past > 0 {
        let past = text::plural(verdict.anchors_past, "published checkpoint");
        let are = if verdict.anchors_past == 1 { "is" } else { "are" };
        said.push((Tone::Plain, format!("{past} {are} about entries removed by age.")));
    }
    for wrong in &verdict.anchors_wrong {
        let why = match wrong.why {
            AnchorProblem::Cut => "the log ends before it, entries were cut off",
            AnchorProblem::Differs => "the log says otherwise, entries up to it were rewritten",
            AnchorProblem::OtherChain => "its chain is not here, the log was begun anew",
            AnchorProblem::OtherDaemon => "another daemon made it",
            AnchorProblem::BadSignature => "its signature is wrong",
            AnchorProblem::UnknownSigner => "it is signed with a key that is not this daemon's",
        };
        said.push((
            Tone::Bad,
            format!("Published checkpoint of entry {} ({}): {why}.", wrong.seq, at(wrong.time)),
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::samples;

    #[test]
    fn a_verdict_in_words() {
        let words = |verdict: &AuditVerdict| {
            let said = sentences(verdict, &TimeZone::UTC);
            said.into_iter().map(|(_, sentence)| sentence).collect::<Vec<_>>().join("\n")
        };
        let [intact, broken] = samples::audit_verdicts();
        insta::assert_snapshot!(format!("{}\n\n{}", words(&intact), words(&broken)));
    }

    #[test]
    fn anchors_come_in_three_forms() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchors");
        let checkpoint = samples::checkpoint();
        let line = checkpoint.line();
        let quoted = serde_json::to_string(&line).unwrap();
        let journal = format!("{{\"MESSAGE\":\"x\",\"AIVONX_CHECKPOINT\":{quoted}}}");
        let log = format!("{{\"message\":\"x\",\"fields\":[[\"checkpoint\",{quoted}]]}}");
        for text in [line, journal, log] {
            fs::write(&path, format!("\n{{\"MESSAGE\":\"another\"}}\n{text}\n{text}\n")).unwrap();
            assert_eq!(anchors(&path).unwrap(), std::slice::from_ref(&checkpoint));
        }
        for (text, says) in [
            ("", "holds no checkpoint"),
            ("{}", "holds no checkpoint"),
            ("x", "line 1 is no JSON"),
            ("{\"signature\":\"00\"}", "line 1 is no checkpoint"),
        ] {
            fs::write(&path, text).unwrap();
            let failure = anchors(&path).unwrap_err().to_string();
            assert!(failure.contains(says), "{failure}");
        }
        assert!(anchors(&dir.path().join("none")).is_err());
    }
}
