//! Data keys under another master key: in the store, and in the snapshots, which have their own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use aivonx_protocol::UnixMillis;

use super::{
    DataKeyRecord, DataKeys, Store, StoreError, codec,
    snapshot::{self, Contents},
    tree::Tree,
};

/// Gives a data key in its new form, or None if it has that already; the error says why it cannot be.
pub(crate) type Rewrap = Arc<dyn Fn(&DataKeyRecord) -> Result<Option<DataKeyRecord>, String> + Send + Sync>;

/// One kept snapshot and the data keys that its secrets need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// What is in it, or why it cannot be used.
    pub contents: Result<(UnixMillis, Vec<DataKeyRecord>), String>,
}

/// What became of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrapped {
    /// So many of its data keys were wrapped anew.
    Done(usize),
    /// All of them were before.
    Already,
    /// It has none.
    NoKeys,
    /// It stays as it is, and why.
    Left(String),
}

impl DataKeys {
    /// Puts every data key into its new form, all in one transaction. Returns how many were not before.
    pub(crate) async fn rewrap(&self, with: Rewrap) -> Result<Result<usize, String>, StoreError> {
        self.store
            .run_long(move |engine, _| {
                engine.write(|batch| {
                    let mut fresh = Vec::new();
                    for (key, record) in batch.all::<DataKeyRecord>(Tree::DataKey)? {
                        match with(&record) {
                            Ok(Some(record)) => fresh.push((key, record)),
                            Ok(None) => {}
                            Err(why) => return Ok(Err(why)),
                        }
                    }
                    for (key, record) in &fresh {
                        batch.put(Tree::DataKey, key, record)?;
                    }
                    Ok(Ok(fresh.len()))
                })
            })
            .await
    }
}

impl Store {
    /// The kept snapshots, newest first, each read and verified, with their data keys.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub async fn kept_snapshots(&self) -> Result<Vec<Kept>, StoreError> {
        let dir = self.inner.layout.snapshots();
        // Not through the engine: reading files holds up nobody who writes.
        tokio::task::spawn_blocking(move || kept(&dir))
            .await
            .map_err(|e| StoreError::Panicked(e.to_string()))?
    }

    /// Puts the data keys of every kept snapshot into their new form. Each file is replaced as a whole: a crash
    /// leaves it as it was or as it shall be. Also removes what a crash left of unfinished ones.
    pub(crate) async fn rewrap_snapshots(
        &self,
        with: Rewrap,
    ) -> Result<Vec<(PathBuf, Rewrapped)>, StoreError> {
        let dir = self.inner.layout.snapshots();
        // In the engine's turn, so that none is being taken meanwhile.
        self.run_long(move |engine, _| {
            engine.quiet(|_| {
                snapshot::remove_unfinished(&dir)?;
                let paths = snapshot::paths(&dir)?.into_iter();
                paths.map(|path| rewrap(&path, &with).map(|done| (path, done))).collect()
            })?
        })
        .await
    }

    /// Stores and parts of stores that `recover` has set aside: nothing rewraps those.
    pub(crate) fn set_aside(&self) -> Result<Vec<PathBuf>, StoreError> {
        let dir = &self.inner.layout.dir;
        let failed = |e| StoreError::io("list the data directory", dir)(e);
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with("store.") {
                found.push(entry.path());
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn kept(dir: &Path) -> Result<Vec<Kept>, StoreError> {
    let mut all = Vec::new();
    for path in snapshot::paths(dir)? {
        let contents = match snapshot::read(&path) {
            Ok(contents) => data_keys(&contents).map(|keys| (contents.created, keys)),
            Err(StoreError::BadSnapshot { what, .. }) => Err(what),
            // Removed meanwhile, to make room for a newer one.
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
            Err(other) => Err(other.to_string()),
        };
        all.push(Kept { path, contents });
    }
    Ok(all)
}

fn data_keys(contents: &Contents) -> Result<Vec<DataKeyRecord>, String> {
    let tree = contents.trees.iter().filter(|tree| tree.name == Tree::DataKey.name());
    tree.flat_map(|tree| &tree.records).map(|(key, value)| decode(key, value)).collect()
}

fn decode(key: &[u8], value: &[u8]) -> Result<DataKeyRecord, String> {
    codec::decode(Tree::DataKey.name(), key, Tree::DataKey.version(), value)
        .map_err(|e| format!("one of its data keys cannot be read: {e}"))
}

fn rewrap(path: &Path, with: &Rewrap) -> Result<Rewrapped, StoreError> {
    let mut contents = match snapshot::read(path) {
        Ok(contents) => contents,
        Err(StoreError::BadSnapshot { what, .. }) => return Ok(Rewrapped::Left(what)),
        Err(other) => return Err(other),
    };
    let (mut seen, mut done) = (0, 0);
    let trees = contents.trees.iter_mut().filter(|tree| tree.name == Tree::DataKey.name());
    for (key, value) in trees.flat_map(|tree| &mut tree.records) {
        seen += 1;
        match decode(key, value).and_then(|record| with(&record)) {
            Ok(Some(record)) => {
                *value = codec::encode(Tree::DataKey.name(), key, Tree::DataKey.version(), &record)
                    .map_err(|source| StoreError::Record { tree: Tree::DataKey.name(), source })?;
                done += 1;
            }
            Ok(None) => {}
            Err(why) => return Ok(Rewrapped::Left(why)),
        }
    }
    match (seen, done) {
        (0, _) => Ok(Rewrapped::NoKeys),
        (_, 0) => Ok(Rewrapped::Already),
        (_, done) => snapshot::replace(path, &contents).map(|()| Rewrapped::Done(done)),
    }
}
