//! Taking snapshots of an open store: from time to time, when asked, and at the end.

use std::{
    path::PathBuf,
    sync::{Weak, atomic::Ordering},
    time::Duration,
};

use aivonx_protocol::snapshot::NewestSnapshot;

use super::{Engine, Inner, Occasion, Store, StoreError, recover, snapshot};

/// How soon after the first change a store without any snapshot gets its first.
const FIRST_SNAPSHOT: Duration = Duration::from_secs(10);

impl Store {
    /// Takes a snapshot now, whether or not something changed.
    ///
    /// # Errors
    /// If the store does not check out, or the file cannot be written.
    pub async fn snapshot(&self) -> Result<PathBuf, StoreError> {
        let inner = self.inner.clone();
        self.run_long(move |engine, _| inner.snapshot(engine)).await
    }

    /// The snapshot that holds everything, and whether it was taken now: an unchanged store needs no other, and each
    /// would take the place of an older one.
    ///
    /// # Errors
    /// As of [`Self::snapshot`].
    pub async fn take_snapshot(&self) -> Result<(recover::Snapshot, bool), StoreError> {
        let inner = self.inner.clone();
        self.run_long(move |engine, _| {
            let newest = snapshot::paths(&inner.layout.snapshots())?.into_iter().next();
            let held = newest.map(|path| recover::look(path, Some(engine.seq())));
            let has_all = |contents: &recover::Summary| contents.changes_behind == Some(0);
            if let Some(held) = held.filter(|held| held.contents.as_ref().is_ok_and(has_all)) {
                return Ok((held, false));
            }
            Ok((recover::look(inner.snapshot(engine)?, Some(engine.seq())), true))
        })
        .await
    }

    /// The kept snapshots, newest first, each read and verified.
    ///
    /// # Errors
    /// If their directory cannot be read.
    pub async fn snapshots(&self) -> Result<Vec<recover::Snapshot>, StoreError> {
        let (dir, latest) = (self.inner.layout.snapshots(), self.latest());
        // Not through the engine: reading files holds up nobody who writes.
        tokio::task::spawn_blocking(move || {
            Ok(snapshot::paths(&dir)?.into_iter().map(|path| recover::look(path, latest)).collect())
        })
        .await
        .map_err(|e| StoreError::Panicked(e.to_string()))?
    }

    /// The newest snapshot that is whole, and how many changes were made since.
    #[must_use]
    pub fn newest_snapshot(&self) -> Option<NewestSnapshot> {
        let counters = &self.inner.counters;
        let taken = Some(counters.snapshot_taken.load(Ordering::Relaxed)).filter(|taken| *taken > 0)?;
        let has = counters.snapshot_seq.load(Ordering::Acquire);
        Some(NewestSnapshot { taken, behind: self.latest().unwrap_or(has).saturating_sub(has) })
    }
}

impl Inner {
    pub(super) fn snapshot_if_behind(&self, engine: &Engine) -> Result<(), StoreError> {
        if engine.seq() > self.counters.snapshot_seq.load(Ordering::Acquire) {
            self.snapshot(engine)?;
        }
        Ok(())
    }

    fn snapshot(&self, engine: &Engine) -> Result<PathBuf, StoreError> {
        let seq = engine.seq();
        let path = snapshot::take(
            engine,
            &self.layout,
            &self.marker.daemon,
            Occasion::Routine,
            self.options.snapshots,
        )?;
        self.counters.snapshot_seq.fetch_max(seq, Ordering::AcqRel);
        self.counters.snapshot_taken.store(aivonx_domain::now(), Ordering::Relaxed);
        tracing::debug!(file = %path.display(), "took a snapshot of the store");
        Ok(path)
    }
}

/// Takes a snapshot at every interval in which something changed, the first soon. Ends with the last clone.
pub(super) async fn take_snapshots(inner: Weak<Inner>) {
    loop {
        let Some(store) = inner.upgrade() else { return };
        let none_yet = store.counters.snapshot_seq.load(Ordering::Acquire) == 0;
        let wait = store.options.snapshot_interval;
        let wait = if none_yet { FIRST_SNAPSHOT.min(wait) } else { wait };
        let due = store.snapshot_due.clone();
        drop(store);
        // Due or not, the time has come.
        let _ = tokio::time::timeout(wait, due.notified()).await;
        let Some(inner) = inner.upgrade() else { return };
        let store = Store { inner: inner.clone() };
        if store.inner.condition.get().is_some() {
            continue;
        }
        // A failure is counted and logged by `run`, and tried again after the next interval.
        let _ = store.run_long(move |engine, _| inner.snapshot_if_behind(engine)).await;
    }
}
