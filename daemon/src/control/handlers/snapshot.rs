//! Requests about snapshots of the store.

use aivonx_domain::Reach;
use aivonx_protocol::{
    Fault, Reply,
    snapshot::{Snapshot, SnapshotContents, SnapshotRequest},
};
use aivonx_store::recover;

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<SnapshotRequest>) -> Answer {
    let store = &services.store;
    let told = !permitted.is_stranger() && permitted.actor().reach() == Reach::All;
    Answer::Reply(match permitted.into_request() {
        SnapshotRequest::List => {
            let found = store.snapshots().await;
            found.map(|all| Reply::Snapshots(all.iter().map(wire).collect())).map_err(Fault::from)
        }
        SnapshotRequest::Create => {
            let reply = |(one, is_new)| match (Box::new(wire(&one)), is_new) {
                (one, true) => Reply::Snapshot(one),
                (one, false) => Reply::SnapshotHeld(one),
            };
            store.take_snapshot().await.map(reply).map_err(Fault::from)
        }
        SnapshotRequest::Newest => Ok(Reply::NewestSnapshot(store.newest_snapshot().filter(|_| told))),
    })
}

fn wire(found: &recover::Snapshot) -> Snapshot {
    let contents = found.contents.as_ref();
    let nouns = contents.ok().into_iter().flat_map(recover::Summary::nouns);
    Snapshot {
        file: found.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: found.bytes,
        taken: contents.ok().map(|contents| contents.created),
        change: contents.ok().map(|contents| contents.seq),
        behind: contents.ok().and_then(|contents| contents.changes_behind),
        contents: nouns
            .map(|(kind, count)| SnapshotContents { kind: kind.to_owned(), count: count as u64 })
            .collect(),
        problem: contents.err().cloned(),
    }
}
