//! Room on the disk. Without it, changes are refused with an error: the engine does not survive a disk that is full in
//! the middle of one, and what is left is for the ledgers, which go on.

use std::{
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use rustix::fs::StatVfsMountFlags;

use super::{Inner, StoreError, Trouble, layout::Layout, trouble::Failing};

/// Bytes that must be free for a change to be taken: the engine grows by half a MiB at a time.
pub(super) const NEEDED: u64 = 2 << 20;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Whether every disk that a change is written to has room for it: engine and ledgers may lie on disks of their own.
///
/// # Errors
/// [`StoreError::NoRoom`] or [`StoreError::ReadOnly`] if not.
pub(super) fn look(layout: &Layout) -> Result<(), StoreError> {
    [&layout.dir, &layout.store(), &layout.ledgers()].into_iter().try_for_each(|dir| look_at(dir))
}

fn look_at(dir: &Path) -> Result<(), StoreError> {
    // What is wrong with a directory that cannot be looked at is said by who uses it.
    let Ok(disk) = rustix::fs::statvfs(dir) else { return Ok(()) };
    if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(StoreError::ReadOnly { dir: dir.to_owned() });
    }
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= NEEDED { Ok(()) } else { Err(StoreError::NoRoom { dir: dir.to_owned(), free }) }
}

/// What the last look found.
#[derive(Debug, Default)]
pub(super) struct Room(Failing);

impl Room {
    pub(super) fn trouble(&self) -> Option<Arc<Trouble>> {
        let (since, what) = self.0.get()?;
        Some(Arc::new(Trouble { since, what, hangs: false, stops_changes: true }))
    }

    /// Looks, remembers what it found, and says it if that is new.
    pub(super) fn look(&self, layout: &Layout) -> Result<(), StoreError> {
        let found = look(layout);
        match (&found, self.0.turns(&found)) {
            (Err(error), true) => tracing::error!(
                event = "store_failed",
                %error,
                "the store takes no changes until there is room; requests are served as before"
            ),
            (Ok(()), true) => tracing::info!(
                event = "store_failed",
                "there is room on the disk, the store takes changes again"
            ),
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
        let _ = tokio::task::spawn_blocking(move || inner.room.look(&inner.layout)).await;
        tokio::time::sleep(EVERY).await;
    }
}
