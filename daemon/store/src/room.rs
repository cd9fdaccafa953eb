//! Room on the disk. A change is refused in words while there is none: the engine does not survive a disk that is full
//! in the middle of one, and what is left is for the ledgers, which go on.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use aivonx_domain::now;

use super::{Inner, StoreError, Trouble};

/// Bytes that must be free for a change to be taken: the engine grows by half a MiB at a time.
pub(super) const NEEDED: u64 = 2 << 20;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Whether the disk of `dir` has room for changes.
///
/// # Errors
/// [`StoreError::NoRoom`] if not.
pub(super) fn look(dir: &Path) -> Result<(), StoreError> {
    // What is wrong with a directory that cannot be looked at is said by who uses it.
    let Ok(disk) = rustix::fs::statvfs(dir) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= NEEDED { Ok(()) } else { Err(StoreError::NoRoom { dir: dir.to_owned(), free }) }
}

/// What the last look found.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<Option<Arc<Trouble>>>);

impl Room {
    pub(super) fn trouble(&self) -> Option<Arc<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks, remembers what it found, and says it if that is new.
    pub(super) fn look(&self, dir: &Path) -> Result<(), StoreError> {
        let found = look(dir);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Err(error) if known.is_none() => {
                tracing::error!(
                    event = "store_failed",
                    %error,
                    "the store takes no changes until there is room; requests are served as before"
                );
                *known = Some(Arc::new(Trouble { since: now(), what: error.to_string(), hangs: false }));
            }
            Ok(()) if known.take().is_some() => {
                tracing::info!(
                    event = "store_failed",
                    "there is room on the disk, the store takes changes again"
                );
            }
            _ => {}
        }
        found
    }
}

/// Looks now and then, so that it is known before somebody wants a change. Ends with the last clone of the store.
pub(super) async fn watch(inner: Weak<Inner>) {
    loop {
        let Some(inner) = inner.upgrade() else { return };
        // A failure is remembered.
        let _ = tokio::task::spawn_blocking(move || inner.room.look(&inner.layout.dir)).await;
        tokio::time::sleep(EVERY).await;
    }
}
