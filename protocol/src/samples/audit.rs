//! Values of the samples: the audit log.

use crate::audit::{
    Action, AnchorProblem, AuditActor, AuditEntry, AuditFilter, AuditKey, AuditObject, AuditOrganization,
    AuditSource, AuditVerdict, Break, Checkpoint, CheckpointKind, ExportFormat, ExportSignature, HexBytes,
    Outcome, Problem, Restart, WrongAnchor,
};

const NOW: u64 = 1_700_000_000_000;

pub(super) fn filter() -> AuditFilter {
    AuditFilter {
        since: Some(NOW),
        until: Some(NOW + 1),
        actor: Some("alice".into()),
        organization: Some("acme".into()),
        actions: vec![Action::Login, Action::Stop],
        object_kind: Some("node".into()),
        object: Some("gpu1".into()),
        outcome: Some(Outcome::Failed),
        network: None,
    }
}

pub(super) fn entry() -> AuditEntry {
    AuditEntry {
        seq: 7,
        time: NOW,
        action: Action::CrossOrgDenied,
        outcome: Outcome::Denied,
        actor: AuditActor { id: Some("0190-user".into()), name: "alice".into() },
        source: AuditSource {
            uid: Some(1000),
            gid: Some(1000),
            pid: Some(4711),
            address: Some("192.0.2.7".into()),
            user_agent: Some("curl/8".into()),
        },
        organization: Some(AuditOrganization { id: "0190-org".into(), name: Some("acme".into()) }),
        object: Some(AuditObject {
            kind: "key".into(),
            id: Some("0190-key".into()),
            name: Some("ci".into()),
        }),
        via: Some("key.show".into()),
        request_id: Some("0190-request".into()),
        details: [("count".to_owned(), "3".to_owned())].into(),
        prev: HexBytes([1; 32]),
        hash: HexBytes([2; 32]),
    }
}

pub(super) fn checkpoint() -> Checkpoint {
    Checkpoint {
        daemon: "0190-daemon".into(),
        chain: "0190-chain".into(),
        kind: CheckpointKind::Retention,
        seq: 7,
        hash: HexBytes([2; 32]),
        previous: 3,
        time: NOW,
        signer: HexBytes([4; 32]),
        signature: HexBytes([5; 64]),
    }
}

pub(super) fn verdict() -> AuditVerdict {
    AuditVerdict {
        intact: false,
        first: 1,
        last: 300,
        entries: 299,
        checkpoints: 2,
        signed_through: 200,
        retained_from: Some(NOW),
        found: Some(Break { seq: 250, through: 251, problem: Problem::Removed, detail: "gone".into() }),
        restarts: vec![Restart { seq: 100, time: NOW, reason: "restored".into() }],
        anchors_agreed: 2,
        anchors_past: 1,
        anchors_wrong: vec![WrongAnchor { seq: 400, time: NOW, why: AnchorProblem::Cut }],
        took_ms: 12,
    }
}

pub(super) fn key() -> AuditKey {
    AuditKey { key: HexBytes([4; 32]), created: NOW, current: true }
}

pub(super) fn export() -> ExportSignature {
    ExportSignature {
        daemon: "0190-daemon".into(),
        format: ExportFormat::Jsonl,
        bytes: 9,
        sha256: HexBytes([6; 32]),
        entries: 1,
        first: 7,
        last: 7,
        complete: true,
        filter: "actor=alice".into(),
        time: NOW,
        signer: HexBytes([4; 32]),
        signature: HexBytes([5; 64]),
    }
}
