//! Operations on snapshots of the store.

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Fault,
    operation::Serve,
    snapshot::{self, NewestSnapshot, Snapshot, SnapshotContents, Taken},
};
use aivonx_store::recover;

use crate::control::{By, Services};

impl Serve<snapshot::List> for Services {
    async fn serve(&self, _: By<snapshot::List>, _: snapshot::List) -> Result<Vec<Snapshot>, Fault> {
        Ok(self.store.snapshots().await?.iter().map(wire).collect())
    }
}

impl Serve<snapshot::Create> for Services {
    async fn serve(&self, _: By<snapshot::Create>, _: snapshot::Create) -> Result<Taken, Fault> {
        let (newest, is_new) = self.store.take_snapshot().await?;
        Ok(Taken { snapshot: wire(&newest), is_new })
    }
}

impl Serve<snapshot::Newest> for Services {
    async fn serve(
        &self,
        by: By<snapshot::Newest>,
        _: snapshot::Newest,
    ) -> Result<Option<NewestSnapshot>, Fault> {
        let told = !by.is_stranger() && by.reach() == TenantScope::All;
        Ok(self.store.newest_snapshot().filter(|_| told))
    }
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
