//! A store that cannot be written. It says so once: what was asked fails at once from then on, the gateway goes on
//! serving from its snapshots, and a probe of the disk decides when a second engine may be opened.
//!
//! Nothing is tried again on the engine that failed. After a failed sync the kernel may report success for pages that
//! it has dropped, and sled waits for ever, holding its locks, once a write of its own has failed.

use std::{
    fs,
    io::Write as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use aivonx_domain::now;
use aivonx_protocol::UnixMillis;
use tokio::sync::watch;

use super::{Inner, StoreError, files, in_use, open};

/// Why the store takes no more writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: UnixMillis,
    /// What failed, in words.
    pub what: String,
    /// The engine does not answer any more, so that it cannot be read either.
    pub hangs: bool,
    /// No change is taken meanwhile.
    pub stops_changes: bool,
}

impl Trouble {
    /// What it means, in one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.stops_changes {
            true => format!("the store takes no changes until this is mended: {}", self.what),
            false => format!("{}; changes are taken as before", self.what),
        }
    }
}

/// Since when something fails that is tried again and again, and why.
#[derive(Debug, Default)]
pub(super) struct Failing(Mutex<Option<(UnixMillis, String)>>);

impl Failing {
    /// None if it went well the last time.
    pub(super) fn get(&self) -> Option<(UnixMillis, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers how it went.
    pub(super) fn judge<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        self.turns(&done);
        done
    }

    /// As [`Self::judge`]; whether it went well before and fails now, or the other way round.
    pub(super) fn turns<T>(&self, done: &Result<T, StoreError>) -> bool {
        // For want of a descriptor nothing was found out.
        if done.as_ref().is_err_and(StoreError::wants_descriptors) {
            return false;
        }
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = failing.take();
        *failing = done.as_ref().err().map(|error| {
            let since = before.as_ref().map_or_else(now, |(since, _)| *since);
            (since, error.to_string())
        });
        before.is_some() != failing.is_some()
    }
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
            *trouble = Some(Arc::new(Trouble { since, what: what.to_owned(), hangs, stops_changes: true }));
            true
        });
        if is_new {
            tracing::error!(
                event = "store_failed",
                error = what,
                "the store takes no more changes; requests are served as before. It is opened anew when that can be written again"
            );
        }
    }

    /// The store could not be opened anew either.
    fn remains(&self, why: &StoreError) {
        let what = format!("it cannot be opened anew: {why}");
        self.0.send_if_modified(|trouble| {
            let Some(known) = trouble.as_ref().filter(|known| known.what != what) else { return false };
            tracing::error!(event = "store_failed", error = what, "the store still takes no changes");
            *trouble = Some(Arc::new(Trouble { what, ..Trouble::clone(known) }));
            true
        });
    }

    fn is_mended(&self) {
        self.0.send_replace(None);
        tracing::info!(event = "store_failed", "the store was opened anew and takes changes again");
    }
}

/// Bytes a disk must take for it to be worth opening a second engine: it grows by half a MiB at a time.
const PROBE_BYTES: usize = 4 << 20;

/// Time between probes.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Longest time between two attempts to open a second engine.
const ANEW_EVERY: Duration = Duration::from_secs(10);

/// Opens a second engine where the first has failed, as soon as the disk takes writes. Ends with the last clone of the
/// store.
pub(super) async fn mend(inner: Weak<Inner>) {
    loop {
        let Some(mut condition) = inner.upgrade().map(|inner| inner.condition.0.subscribe()) else { return };
        if condition.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let mut wait = PROBE_EVERY;
        loop {
            tokio::time::sleep(wait).await;
            let Some(inner) = inner.upgrade() else { return };
            let dir = inner.layout.dir.clone();
            let probed = tokio::task::spawn_blocking(move || probe(&dir)).await;
            if !matches!(probed, Ok(Ok(()))) {
                tracing::debug!(?probed, "the disk takes no writes yet");
                continue;
            }
            match inner.open_anew().await {
                Ok(()) => break,
                Err(error) => {
                    if let StoreError::Superseded(why) | StoreError::DatabaseHeld { why, .. } = &error {
                        inner.is_superseded(why);
                    }
                    inner.condition.remains(&error);
                    // Room may come at any time, other things take somebody to mend them.
                    wait = if error.wants_room() { PROBE_EVERY } else { (wait * 2).min(ANEW_EVERY) };
                }
            }
        }
    }
}

impl Inner {
    /// Puts a second engine in the place of the one that has failed. That one stays in use until then.
    async fn open_anew(self: &Arc<Self>) -> Result<(), StoreError> {
        let failed = self.engine.load_full();
        match failed.try_read() {
            Ok(engine) => engine.as_ref().ok_or(StoreError::Closed)?.retire(),
            // It is being closed.
            Err(_) => return Err(StoreError::Closed),
        }
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lock = lock.ok_or(StoreError::Closed)?;
        let commit = self.commit.clone();
        let engine =
            open::open_beside(&self.layout, lock, &self.marker, self.server.clone(), commit, &self.options)
                .await?;
        self.engine.store(Arc::new(in_use(engine, Arc::downgrade(self))));
        self.condition.is_mended();
        // What was refused while the engine failed may have been stored all the same.
        self.feed.tell_all();
        // It may hang at that too.
        let _ = thread::Builder::new().name("store-end".into()).spawn(move || drop(failed));
        Ok(())
    }
}

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
