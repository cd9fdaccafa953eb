//! One method per request about snapshots. Errors of all of them: see [`Client::call`].

use super::{Client, ClientError, calls::ask};
use crate::{
    Reply, Request,
    snapshot::{NewestSnapshot, Snapshot, SnapshotRequest},
};

/// Snapshots of the store.
impl Client {
    /// The kept snapshots, newest first, each read and verified.
    pub async fn snapshot_list(&self) -> Result<Vec<Snapshot>, ClientError> {
        ask!(self, Request::Snapshot(SnapshotRequest::List), Reply::Snapshots(all) => all)
    }

    /// Takes one now, if something changed since the newest; returns the one that holds everything, and whether it was
    /// taken now.
    pub async fn snapshot_create(&self) -> Result<(Snapshot, bool), ClientError> {
        ask!(
            self,
            Request::Snapshot(SnapshotRequest::Create),
            Reply::Snapshot(one) => (*one, true),
            Reply::SnapshotHeld(one) => (*one, false)
        )
    }

    /// The newest that is whole; None if there is none, or if the caller is not told.
    pub async fn snapshot_newest(&self) -> Result<Option<NewestSnapshot>, ClientError> {
        ask!(self, Request::Snapshot(SnapshotRequest::Newest), Reply::NewestSnapshot(newest) => newest)
    }
}
