//! Entries of the audit log, copies of it and verdicts.

use std::collections::BTreeMap;

use aivonx_protocol::audit::{
    Action, AnchorProblem, AuditActor, AuditEntry, AuditObject, AuditOrganization, AuditSource, AuditVerdict,
    Break, Checkpoint, CheckpointKind, ExportFormat, ExportSignature, HexBytes, Outcome, Problem, Restart,
    WrongAnchor, canonical,
};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use super::{HOSTILE, NOW};

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn entry(seq: u64, prev: aivonx_protocol::audit::Digest) -> AuditEntry {
    let mut entry = AuditEntry {
        seq,
        time: NOW - 100_000 + seq * 1000,
        action: Action::Create,
        outcome: Outcome::Ok,
        actor: AuditActor { id: Some("0195f2a0-0000-7000-8000-0000000000aa".into()), name: "root".into() },
        source: AuditSource { uid: Some(0), gid: Some(0), pid: Some(4711), ..AuditSource::default() },
        organization: None,
        object: Some(AuditObject { kind: "node".into(), id: None, name: Some(format!("gpu{seq}")) }),
        via: Some("node.add".into()),
        request_id: None,
        details: BTreeMap::new(),
        prev,
        hash: prev,
    };
    entry.hash = entry.chained(&prev);
    entry
}

/// An ordinary entry, one with everything in it, and a hostile one; the newest first.
pub(crate) fn audit_entries() -> Vec<AuditEntry> {
    let first = entry(1, HexBytes([1; 32]));
    let mut second = entry(2, first.hash);
    second.action = Action::CrossOrgDenied;
    second.outcome = Outcome::Denied;
    second.actor.name = "alice".into();
    second.source = AuditSource {
        address: Some("2001:db8::7".into()),
        user_agent: Some("curl/8.5.0".into()),
        ..AuditSource::default()
    };
    second.organization = Some(AuditOrganization {
        id: "0195f2a0-0000-7000-8000-00000000000b".into(),
        name: Some("acme".into()),
    });
    second.object = Some(AuditObject {
        kind: "key".into(),
        id: Some("0195f2a0-0000-7000-8000-0000000000cc".into()),
        name: Some("ci".into()),
    });
    second.via = Some("GET /api/account/keys".into());
    second.request_id = Some("0195f2a0-0000-7000-8000-0000000000dd".into());
    second.details =
        [("count", "97"), ("reason", "of another organization")].map(|(k, v)| (k.into(), v.into())).into();
    let mut third = entry(3, second.hash);
    third.action = Action::LoginFailed;
    third.outcome = Outcome::Failed;
    third.actor = AuditActor { id: None, name: HOSTILE.into() };
    third.object = None;
    third.details = [("user_agent".to_owned(), HOSTILE.to_owned())].into();
    vec![third, second, first]
}

/// The lines of a copy, and its signature.
pub(crate) fn audit_export(n: u64, complete: bool) -> (Vec<String>, ExportSignature) {
    let mut prev = HexBytes([1; 32]);
    let mut entries = Vec::new();
    for seq in 1..=n {
        let entry = entry(seq, prev);
        prev = entry.hash;
        entries.push(entry);
    }
    if !complete {
        entries.retain(|entry| entry.seq != 2);
    }
    let lines: Vec<String> = entries.iter().map(canonical::line).collect();
    let bytes: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut signed = ExportSignature {
        daemon: "0190-daemon".into(),
        format: ExportFormat::Jsonl,
        bytes: bytes.len() as u64,
        sha256: HexBytes(Sha256::digest(bytes.as_bytes()).into()),
        entries: lines.len() as u64,
        first: 1,
        last: n,
        complete,
        filter: String::new(),
        time: NOW,
        signer: HexBytes(signing_key().verifying_key().to_bytes()),
        signature: HexBytes([0; 64]),
    };
    signed.signature = HexBytes(signing_key().sign(&signed.message()).to_bytes());
    (lines, signed)
}

pub(crate) fn checkpoint() -> Checkpoint {
    let mut checkpoint = Checkpoint {
        daemon: "0190-daemon".into(),
        chain: "0190-chain".into(),
        kind: CheckpointKind::Regular,
        seq: 200,
        hash: HexBytes([2; 32]),
        previous: 100,
        time: NOW,
        signer: HexBytes(signing_key().verifying_key().to_bytes()),
        signature: HexBytes([0; 64]),
    };
    checkpoint.signature = HexBytes(signing_key().sign(&checkpoint.message()).to_bytes());
    checkpoint
}

/// One that is well, and one about everything that can be wrong.
pub(crate) fn audit_verdicts() -> [AuditVerdict; 2] {
    let intact = AuditVerdict {
        intact: true,
        first: 31,
        last: 12_345,
        entries: 12_315,
        checkpoints: 13,
        signed_through: 12_300,
        retained_from: Some(NOW - 86_400_000),
        found: None,
        restarts: vec![Restart { seq: 100, time: NOW, reason: "restored".into() }],
        anchors_agreed: 4,
        anchors_past: 2,
        anchors_wrong: Vec::new(),
        took_ms: 87,
    };
    let why = [
        AnchorProblem::Cut,
        AnchorProblem::Differs,
        AnchorProblem::OtherChain,
        AnchorProblem::OtherDaemon,
        AnchorProblem::BadSignature,
        AnchorProblem::UnknownSigner,
    ];
    let broken = AuditVerdict {
        intact: false,
        found: Some(Break {
            seq: 250,
            through: 251,
            problem: Problem::Removed,
            detail: "the next one there is 252".into(),
        }),
        retained_from: None,
        first: 1,
        signed_through: 12_345,
        restarts: vec![Restart { seq: 300, time: NOW, reason: "lost".into() }],
        anchors_agreed: 0,
        anchors_past: 0,
        anchors_wrong: why.map(|why| WrongAnchor { seq: 400, time: NOW, why }).into(),
        ..intact.clone()
    };
    [intact, broken]
}
