//! What survives a loss of power: sled flushes, and syncs neither all of its files nor their directory.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, File},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{StoreError, files, layout::Layout, marker::Commit};

/// How far the store is durable.
pub(super) struct Durable {
    /// The last change that is.
    pub(super) seq: u64,
    /// The last group appended to ledgers that is.
    pub(super) appended: u64,
    db: File,
    blobs: PathBuf,
    synced_blobs: HashSet<OsString>,
    /// Where the number of the last change is noted beside the store.
    pub(super) commit: Option<Commit>,
}

impl Durable {
    /// Of the engine whose files lie in `store`; nothing is known to be durable yet.
    pub(super) fn of(store: &Path) -> std::io::Result<Self> {
        Ok(Self {
            seq: 0,
            appended: 0,
            db: File::open(store.join("db"))?,
            blobs: store.join("blobs"),
            synced_blobs: HashSet::new(),
            commit: None,
        })
    }

    /// Makes all that `db` was given so far durable; `target` is the last change of it.
    pub(super) fn sync(&mut self, db: &sled::Db, target: u64) -> Result<(), StoreError> {
        db.flush()?;
        // sled moves large pages into files of their own and does not sync them.
        if sync_new_blobs(&self.blobs, &mut self.synced_blobs)? == ControlFlow::Break(()) {
            files::sync_dir(&self.blobs)?;
        }
        self.db.sync_data().map_err(|e| StoreError::Engine(format!("the store cannot be synced: {e}")))?;
        if self.seq < target
            && let Some(commit) = &mut self.commit
        {
            commit
                .advance(target)
                .map_err(|e| StoreError::Engine(format!("the file COMMIT cannot be written: {e}")))?;
        }
        Ok(())
    }
}

/// Syncs the files of `dir` not in `synced`; breaks if there was one.
fn sync_new_blobs(dir: &Path, synced: &mut HashSet<OsString>) -> Result<ControlFlow<()>, StoreError> {
    let mut flow = ControlFlow::Continue(());
    let mut present = HashSet::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let entry = entry.map_err(StoreError::io("list", dir))?;
        let name = entry.file_name();
        if !synced.contains(&name) {
            match File::open(entry.path()).and_then(|f| f.sync_data()) {
                Ok(()) => flow = ControlFlow::Break(()),
                // Collected by sled in the meantime.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io("sync", &entry.path())(e)),
            }
        }
        present.insert(name);
    }
    *synced = present;
    Ok(flow)
}

/// The engine's directory and its parent, synced: for a store that was just made.
pub(super) fn sync_new_store(layout: &Layout) -> Result<(), StoreError> {
    for file in ["db", "conf"] {
        let path = layout.store().join(file);
        File::open(&path).and_then(|f| f.sync_all()).map_err(StoreError::io("sync", &path))?;
    }
    files::sync_dir(&layout.store())?;
    files::sync_dir(&layout.dir)
}
