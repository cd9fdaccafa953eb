//! Snapshots of the store: verified copies of all that was configured, from which `aivonxd recover` puts it back.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    operation::operations,
};

operations! {
    /// Requests about snapshots.
    Request::Snapshot(SnapshotRequest);

    /// The kept snapshots, newest first, each read and verified.
    "snapshot.list" List -> Vec<Snapshot> as Snapshots, needs SnapshotRead;

    /// Takes one now, if something changed since the newest.
    "snapshot.create" Create -> Taken as SnapshotTaken, needs SnapshotWrite,
        noted |_op| Noted::new(Action::Create, "snapshot", "");

    /// When the newest was taken.
    "snapshot.newest" Newest -> Option<NewestSnapshot> as NewestSnapshot, needs Status;
}

/// A kept snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its file, in the directory `snapshots` beside the store.
    pub file: String,
    /// Size of the file, bytes.
    pub bytes: u64,
    /// When it was taken; None if it cannot be read.
    pub taken: Option<UnixMillis>,
    /// Number of the last change it has.
    pub change: Option<u64>,
    /// Changes that were made since.
    pub behind: Option<u64>,
    /// What is in it.
    pub contents: Vec<SnapshotContents>,
    /// Why it could not be put back; None if it is whole.
    pub problem: Option<String>,
}

/// How many of one kind are in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotContents {
    /// What they are: `nodes`.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// The newest snapshot after [`Create`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// It holds everything.
    pub snapshot: Snapshot,
    /// Whether it was taken now; if not, nothing had changed since.
    pub is_new: bool,
}

/// The newest snapshot that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestSnapshot {
    /// When it was taken.
    pub taken: UnixMillis,
    /// Changes that were made since.
    pub behind: u64,
}
