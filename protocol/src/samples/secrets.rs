//! Values of the samples: keys and sealed secrets.

use crate::secrets::{
    Check, CheckOutcome, DataKey, OwnKey, OwnKeyKind, SealedCount, SecretsStatus, SnapshotKeys, WaitingKey,
};

const NOW: u64 = 1_700_000_000_000;

pub(super) fn status() -> SecretsStatus {
    SecretsStatus {
        master_key: "/var/lib/aivonx/master.key".into(),
        data_keys: vec![
            DataKey { number: 1, created: NOW, sealed: 0 },
            DataKey { number: 2, created: NOW + 1, sealed: 5 },
        ],
        sealed: vec![SealedCount { kind: "node credentials".into(), count: 5 }],
        unfinished: true,
        keys: vec![OwnKey {
            kind: OwnKeyKind::Pepper,
            number: 1,
            created: NOW,
            in_use: false,
            retire_at: Some(NOW + 2_592_000_000),
            api_keys: 1,
        }],
        waiting: vec![WaitingKey {
            id: "0190-key".into(),
            name: "ci".into(),
            organization: Some("acme".into()),
            pepper: 1,
            revoked_at: NOW + 2_592_000_000,
        }],
        waiting_total: 1,
        snapshots: vec![SnapshotKeys {
            file: "20231114T221320.000Z-9.snapshot".into(),
            taken: Some(NOW),
            data_keys: vec![1],
            retired: vec![1],
            problem: Some("its digest does not match".into()),
        }],
    }
}

pub(super) fn check() -> Check {
    Check {
        name: "elsewhere".into(),
        outcome: CheckOutcome::Warn,
        finding: "the master key lies beside the store".into(),
        fix: Some("set secrets.master_key".into()),
    }
}
