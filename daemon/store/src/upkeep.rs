//! What becomes of the files of an open store when somebody takes them away. The ledgers look after their own.

use std::sync::atomic::Ordering;

use super::{Inner, open, snapshot};

impl Inner {
    /// Looks whether the files beside the ledgers are still there, and has those written again that can be.
    pub(super) fn look_at_files(&self) {
        let looked = self.commit.look(&self.layout.commit());
        let looked = looked.and_then(|()| self.marker.look(&self.layout.marker()));
        // Tried again soon.
        let looked = looked.and_then(|()| match self.server {
            Some(_) => Ok(()),
            None => open::check_db(&self.layout),
        });
        let _ = self.files.judge(looked);
        self.look_at_snapshots();
    }

    /// Has another snapshot taken if the newest was removed.
    fn look_at_snapshots(&self) {
        let (seq, taken) = (&self.counters.snapshot_seq, &self.counters.snapshot_taken);
        let had = seq.load(Ordering::Acquire);
        let dir = self.layout.snapshots();
        // One that somebody has renamed is as good.
        if had == 0 || !matches!(snapshot::newest(&dir), Ok(found) if found < Some(had)) {
            return;
        }
        let newest =
            snapshot::paths(&dir).unwrap_or_default().into_iter().find_map(|path| snapshot::read(&path).ok());
        let (has, at) = newest.map_or((0, 0), |found| (found.seq, found.created));
        if has < had && seq.compare_exchange(had, has, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            taken.store(at, Ordering::Relaxed);
            tracing::error!(dir = %dir.display(), "the newest snapshot was removed; another is taken");
            self.snapshot_due.notify_one();
        }
    }
}
