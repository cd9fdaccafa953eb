//! What survives a loss of power: sled flushes, and syncs neither all of its files nor their directory.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    StoreError, files,
    layout::Layout,
    marker::{Acknowledged, Commit},
};

/// How far the store is durable.
pub(super) struct Durable {
    /// Everything up to here is.
    pub(super) reached: Acknowledged,
    db: File,
    blobs: PathBuf,
    synced_blobs: HashSet<OsString>,
    /// Where that is noted beside the store.
    pub(super) commit: Option<Arc<Commit>>,
}

impl Durable {
    /// Of the engine whose files lie in `store`; nothing is known to be durable yet.
    pub(super) fn of(store: &Path) -> io::Result<Self> {
        Ok(Self {
            reached: Acknowledged::default(),
            db: File::open(store.join("db"))?,
            blobs: store.join("blobs"),
            synced_blobs: HashSet::new(),
            commit: None,
        })
    }

    /// Makes all that `db` was given so far durable, which goes as far as `target`.
    pub(super) fn sync(&mut self, db: &sled::Db, target: Acknowledged) -> Result<(), StoreError> {
        db.flush()?;
        // sled moves large pages into files of their own and does not sync them.
        with_descriptors(|| {
            if sync_new_blobs(&self.blobs, &mut self.synced_blobs)? == ControlFlow::Break(()) {
                files::sync_dir(&self.blobs)?;
            }
            Ok(())
        })?;
        self.db.sync_data().map_err(|e| StoreError::Engine(format!("the store cannot be synced: {e}")))?;
        if let Some(commit) = &self.commit {
            commit
                .advance(true, |to| to.seq = target.seq)
                .map_err(|e| StoreError::Engine(format!("the file COMMIT cannot be written: {e}")))?;
        }
        self.reached = target;
        Ok(())
    }
}

/// Longest wait for a file descriptor.
const DESCRIPTOR_WAIT: Duration = Duration::from_secs(10);

/// Runs `work` again and again while the process or the system has no file descriptor left: what failed then has not
/// been begun, so nothing is lost by it.
fn with_descriptors(mut work: impl FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
    let began = Instant::now();
    loop {
        match work() {
            Err(StoreError::Io { source, .. })
                if is_out_of_descriptors(&source) && began.elapsed() < DESCRIPTOR_WAIT =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error).map(Some).contains(&error.raw_os_error())
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
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wants_a_descriptor_is_tried_until_there_is_one_and_nothing_else_is() {
        let out = |code: i32| {
            let source = io::Error::from_raw_os_error(code);
            Err(StoreError::Io { action: "list", path: PathBuf::new(), source })
        };
        let mut tries = 0;
        with_descriptors(|| {
            tries += 1;
            match tries {
                1 => out(rustix::io::Errno::MFILE.raw_os_error()),
                2 => out(rustix::io::Errno::NFILE.raw_os_error()),
                _ => Ok(()),
            }
        })
        .unwrap();
        assert_eq!(tries, 3);
        let mut tries = 0;
        let full = with_descriptors(|| {
            tries += 1;
            out(rustix::io::Errno::NOSPC.raw_os_error())
        });
        assert!(full.is_err());
        assert_eq!(tries, 1);
    }
}
