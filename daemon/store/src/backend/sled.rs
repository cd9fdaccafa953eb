//! sled, with what it does not promise by itself: it flushes, and syncs neither all of its files nor their directory.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use super::{Backend, Pairs, Write};
use crate::{StoreError, files};

/// A tree that every sled database has.
const DEFAULT: &str = "__sled__default";

/// How long a closed database may take to let go of its files.
pub(crate) const LETTING_GO: Duration = Duration::from_secs(5);

/// Trees of sled by the names of the spaces.
pub(crate) struct Sled {
    trees: RwLock<BTreeMap<String, sled::Tree>>,
    unsynced: Mutex<Unsynced>,
    // Dropped last: the trees hold on to it.
    db: sled::Db,
}

impl Sled {
    /// Opens the files in `dir`. It may panic or never return on damaged ones: see [`crate::open`].
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, sled::Error> {
        let config = sled::Config::default()
            .path(dir)
            .cache_capacity(cache_bytes.clamp(16 << 20, 64 << 20))
            // Every change is flushed by its writer: no thread that does so in between.
            .flush_every_ms(None);
        let began = Instant::now();
        let db = loop {
            match config.open() {
                // A database of this process that was just closed lets go of its lock only with the last of its
                // threads; another process is kept out by the directory's own lock before this.
                Err(sled::Error::Io(e)) if is_locked(&e) && began.elapsed() < LETTING_GO => {
                    thread::sleep(Duration::from_millis(5));
                }
                opened => break opened?,
            }
        };
        Ok(Self { trees: RwLock::default(), unsynced: Mutex::new(Unsynced::of(dir)?), db })
    }

    /// Syncs the files of a database that was just made in `dir`, and that directory.
    pub(crate) fn sync_new(dir: &Path) -> Result<(), StoreError> {
        for file in ["db", "conf"] {
            let path = dir.join(file);
            File::open(&path).and_then(|f| f.sync_all()).map_err(StoreError::io("sync", &path))?;
        }
        files::sync_dir(dir)
    }

    fn tree(&self, space: &str) -> Result<sled::Tree, StoreError> {
        if let Some(tree) = self.trees.read().unwrap_or_else(PoisonError::into_inner).get(space) {
            return Ok(tree.clone());
        }
        let tree = self.db.open_tree(space)?;
        let mut trees = self.trees.write().unwrap_or_else(PoisonError::into_inner);
        Ok(trees.entry(space.to_owned()).or_insert(tree).clone())
    }
}

/// sled wraps the system's error in a text of its own.
fn is_locked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

impl Backend for Sled {
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tree(space)?.get(key)?.map(|value| value.to_vec()))
    }

    fn scan(&self, space: &str, prefix: &[u8]) -> Pairs<'_> {
        let pair = |entry: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = entry?;
            Ok((key.to_vec(), value.to_vec()))
        };
        match self.tree(space) {
            Ok(tree) => Box::new(tree.scan_prefix(prefix).map(pair)),
            Err(e) => Box::new(std::iter::once(Err(e))),
        }
    }

    fn apply(&self, writes: &[Write<'_>]) -> Result<(), StoreError> {
        let mut by_space = BTreeMap::<&str, sled::Batch>::new();
        for Write { space, key, value } in writes {
            let batch = by_space.entry(space).or_default();
            match value {
                Some(value) => batch.insert(*key, *value),
                None => batch.remove(*key),
            }
        }
        let trees = by_space.keys().map(|space| self.tree(space)).collect::<Result<Vec<_>, _>>()?;
        if trees.is_empty() {
            return Ok(());
        }
        let done = sled::Transactional::<()>::transaction(&trees[..], |views| {
            for (view, batch) in views.iter().zip(by_space.values()) {
                view.apply_batch(batch)?;
            }
            Ok(())
        });
        done.map_err(|e| match e {
            sled::transaction::TransactionError::Storage(e) => e.into(),
            sled::transaction::TransactionError::Abort(()) => {
                StoreError::Engine("the transaction was given up".into())
            }
        })
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        self.db.flush()?;
        unsynced.sync()
    }

    fn clear(&self, space: &str) -> Result<(), StoreError> {
        self.trees.write().unwrap_or_else(PoisonError::into_inner).remove(space);
        self.db.drop_tree(space)?;
        Ok(())
    }

    fn spaces(&self) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for name in self.db.tree_names() {
            let name = String::from_utf8_lossy(&name).into_owned();
            if name != DEFAULT && !self.db.open_tree(&name)?.is_empty() {
                found.push(name);
            }
        }
        Ok(found)
    }
}

/// What sled leaves unsynced.
struct Unsynced {
    db: File,
    blobs: PathBuf,
    synced_blobs: HashSet<OsString>,
}

impl Unsynced {
    fn of(dir: &Path) -> io::Result<Self> {
        Ok(Self { db: File::open(dir.join("db"))?, blobs: dir.join("blobs"), synced_blobs: HashSet::new() })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        // sled moves large pages into files of their own and does not sync them.
        with_descriptors(|| {
            if sync_new_blobs(&self.blobs, &mut self.synced_blobs)? == ControlFlow::Break(()) {
                files::sync_dir(&self.blobs)?;
            }
            Ok(())
        })?;
        self.db.sync_data().map_err(|e| StoreError::Engine(format!("the store cannot be synced: {e}")))
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
