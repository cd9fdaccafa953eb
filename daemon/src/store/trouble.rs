//! A store that can no longer be written. It says so once and for all: what was asked fails at once from then on, the
//! gateway goes on serving from its snapshots, and a probe of the disk tells when a new start would mend it.
//!
//! Nothing is tried again on the engine that failed. After a failed sync the kernel may report success for pages that
//! it has dropped, and sled waits for ever, holding its locks, once a write of its own has failed.

use std::{fs, io::Write as _, path::Path, sync::Arc, time::Duration};

use aivonx_protocol::UnixMillis;
use tokio::sync::watch;

use super::{StoreError, engine::now, files};

/// Why the store takes no more writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: UnixMillis,
    /// What failed, in words.
    pub what: String,
    /// The engine does not answer any more, so that it cannot be read either.
    pub hangs: bool,
}

/// The store's trouble, or none. What was there first stays, but for an engine that hangs later on.
#[derive(Debug, Default)]
pub(super) struct Condition(watch::Sender<Option<Arc<Trouble>>>);

impl Condition {
    pub(super) fn get(&self) -> Option<Arc<Trouble>> {
        self.0.borrow().clone()
    }

    pub(super) fn hangs(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(|trouble| trouble.hangs)
    }

    pub(super) fn fails(&self, what: &str, hangs: bool) {
        let is_new = self.0.send_if_modified(|trouble| {
            if trouble.as_ref().is_some_and(|trouble| trouble.hangs || !hangs) {
                return false;
            }
            let since = trouble.as_ref().map_or_else(now, |trouble| trouble.since);
            *trouble = Some(Arc::new(Trouble { since, what: what.to_owned(), hangs }));
            true
        });
        if is_new {
            tracing::error!(
                event = "store_failed",
                error = what,
                "the store takes no more changes; requests are served as before. It is opened anew when the disk takes writes again"
            );
        }
    }

    /// Returns when there is trouble.
    pub(super) async fn trouble(&self) {
        // The sender is `self`, so it is there as long as this waits.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}

/// Bytes a disk must take for a new start to be worth it: the engine grows by half a MiB at a time, and a snapshot is
/// written at the end of every run.
const PROBE_BYTES: usize = 4 << 20;

/// Time between probes.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Writes, syncs and removes a file in `dir`.
pub(super) fn probe(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join("probe.tmp");
    let written = files::create_private(&path).and_then(|mut file| {
        file.write_all(&vec![0; PROBE_BYTES])
            .and_then(|()| file.sync_all())
            .map_err(StoreError::io("write", &path))
    });
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("remove", &path)(e)),
        _ => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_trouble_stays_but_for_an_engine_that_hangs() {
        let condition = Condition::default();
        assert_eq!(condition.get(), None);
        condition.fails("no space", false);
        condition.fails("no inode", false);
        let first = condition.get().unwrap();
        assert_eq!((first.what.as_str(), first.hangs), ("no space", false));
        condition.fails("no answer", true);
        condition.fails("no space", false);
        let last = condition.get().unwrap();
        assert_eq!((last.what.as_str(), last.hangs, last.since), ("no answer", true, first.since));
    }

    #[test]
    fn a_probe_leaves_nothing_and_says_what_the_disk_refuses() {
        let dir = tempfile::tempdir().unwrap();
        probe(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(probe(&dir.path().join("absent")).is_err());
    }
}
