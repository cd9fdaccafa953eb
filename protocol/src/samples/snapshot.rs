//! Values of the samples: snapshots and backups.

use crate::{
    audit::HexBytes,
    backup::Backup,
    snapshot::{NewestSnapshot, Snapshot, SnapshotContents, Taken},
};

const NOW: u64 = 1_700_000_000_000;

pub(super) fn snapshot() -> Snapshot {
    let contents = [("nodes", 3), ("users", 12), ("keys", 40)];
    Snapshot {
        file: "20231114T221320.000Z-9.snapshot".into(),
        bytes: 70_000,
        taken: Some(NOW),
        change: Some(9),
        behind: Some(2),
        contents: contents.map(|(kind, count)| SnapshotContents { kind: kind.into(), count }).into(),
        problem: None,
    }
}

pub(super) fn damaged() -> Snapshot {
    Snapshot {
        file: "20231114T211320.000Z-7.snapshot".into(),
        bytes: 69_000,
        taken: None,
        change: None,
        behind: None,
        contents: Vec::new(),
        problem: Some("its digest does not match: it is cut off or was changed".into()),
    }
}

pub(super) fn taken() -> Taken {
    Taken { snapshot: snapshot(), is_new: true }
}

pub(super) fn newest() -> NewestSnapshot {
    NewestSnapshot { taken: NOW, behind: 2 }
}

pub(super) fn backup() -> Backup {
    Backup {
        file: "20231114T221320.000Z.backup".into(),
        bytes: 700_000,
        made: Some(NOW),
        change: Some(9),
        sealed: Some("master key".into()),
        signer: Some(HexBytes([7; 32])),
        problem: None,
    }
}

pub(super) fn bad_backup() -> Backup {
    Backup::bad("20231113T221320.000Z.backup".into(), 12, "its header is damaged".into())
}
