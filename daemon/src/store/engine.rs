//! The engine: sled, with what it does not promise by itself added (durable acknowledgement, counts and
//! digests, one writer at a time).

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aivonx_protocol::UnixMillis;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    StoreError,
    batch::{Batch, Changes},
    codec,
    durable::Durable,
    marker::{Acknowledged, Commit},
    old,
    tree::{Sum, Sums, Tree, no_sums},
};

const META: &str = "meta";
const META_VERSION: u8 = 1;
const SCHEMA: &[u8] = b"schema";
const SEQ: &[u8] = b"seq";
/// A tree that every sled database has.
const SLED_DEFAULT: &str = "__sled__default";

/// The open engine. All its functions block.
pub(super) struct Engine {
    trees: Vec<sled::Tree>,
    meta: sled::Tree,
    writer: Mutex<Writer>,
    durable: Mutex<Durable>,
    /// Number of the last change applied; what is durable may be behind.
    latest: AtomicU64,
    pub(super) failed: AtomicBool,
    last_flush: AtomicU64,
    /// Microseconds it took.
    flush_us: AtomicU64,
    // Dropped last: the trees hold on to it.
    db: sled::Db,
}

/// How long a closed engine may take to let go of its files.
pub(super) const LETTING_GO: Duration = Duration::from_secs(5);

/// sled wraps the system's error in a text of its own.
fn is_locked(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

/// State of the one writer.
struct Writer {
    sums: Sums,
    seq: u64,
    /// Set while a transaction runs: found set, it panicked, and what is stored is unknown.
    unsure: bool,
}

/// What the meta tree says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) schema: u32,
    pub(super) seq: u64,
    pub(super) sums: Sums,
}

impl Engine {
    /// Opens sled in `store`. It may panic or never return on damaged files: see [`super::open`].
    pub(super) fn open(store: &Path, cache_bytes: u64) -> Result<Self, sled::Error> {
        let config = sled::Config::default()
            .path(store)
            .cache_capacity(cache_bytes.clamp(16 << 20, 64 << 20))
            // Every change is flushed by its writer: no thread that does so in between.
            .flush_every_ms(None);
        let began = Instant::now();
        let db = loop {
            match config.open() {
                // An engine of this process that was just closed lets go of its lock only with the last of its
                // threads; another process is kept out by the directory's own lock before this.
                Err(sled::Error::Io(e)) if is_locked(&e) && began.elapsed() < LETTING_GO => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                opened => break opened?,
            }
        };
        let trees = Tree::ALL.iter().map(|t| db.open_tree(t.name())).collect::<Result<_, _>>()?;
        let meta = db.open_tree(META)?;
        Ok(Self {
            trees,
            meta,
            writer: Mutex::new(Writer { sums: no_sums(), seq: 0, unsure: false }),
            durable: Mutex::new(Durable::of(store)?),
            latest: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            last_flush: AtomicU64::new(0),
            flush_us: AtomicU64::new(0),
            db,
        })
    }

    /// Reads the meta tree; `Err` names what is missing or wrong.
    pub(super) fn meta(&self) -> Result<Meta, String> {
        let mut sums = no_sums();
        for tree in Tree::ALL {
            sums[tree.index()] = match self.meta_value(tree.name().as_bytes())? {
                Some(sum) => sum,
                // A tree that the build which wrote the store did not have yet.
                None if self.tree(tree).is_empty() => Sum::default(),
                None => return Err(missing(tree.name())),
            };
        }
        let schema = self.meta_value(SCHEMA)?.ok_or_else(|| missing("schema"))?;
        let seq = self.meta_value(SEQ)?.ok_or_else(|| missing("seq"))?;
        Ok(Meta { schema, seq, sums })
    }

    fn meta_value<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, String> {
        let name = String::from_utf8_lossy(key);
        let bytes = self.meta.get(key).map_err(|e| format!("meta/{name} cannot be read: {e}"))?;
        let decode = |bytes: sled::IVec| codec::decode(META, key, META_VERSION, &bytes);
        bytes.map(decode).transpose().map_err(|e| format!("meta/{name} is wrong: {e}"))
    }

    /// A tree of an older schema, if it is there.
    pub(super) fn old_tree(&self, name: &str) -> Result<Option<sled::Tree>, sled::Error> {
        let is_there = self.db.tree_names().iter().any(|found| found == name.as_bytes());
        is_there.then(|| self.db.open_tree(name)).transpose()
    }

    /// Removes the trees of older schemas.
    pub(super) fn drop_old_trees(&self) -> Result<(), sled::Error> {
        for name in
            self.db.tree_names().iter().filter(|name| old::TREES.iter().any(|old| **name == old.as_bytes()))
        {
            self.db.drop_tree(name)?;
        }
        self.db.flush().map(drop)
    }

    /// A tree with records that this build does not know: a later one wrote them.
    pub(super) fn foreign_tree(&self) -> Result<Option<String>, sled::Error> {
        for name in self.db.tree_names() {
            let name = String::from_utf8_lossy(&name).into_owned();
            let ours = name == META || name == SLED_DEFAULT || Tree::named(&name).is_some();
            let ours = ours || old::TREES.contains(&&*name);
            if !ours && !self.db.open_tree(&name)?.is_empty() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Reads every record, checks its checksum and sums up. `Err` names the first wrong record.
    pub(super) fn sum_up(&self) -> Result<Sums, String> {
        let mut sums = no_sums();
        self.each(|tree, key, value| {
            codec::check(tree.name(), key, value)
                .map_err(|e| format!("the record {}/{} is wrong: {e}", tree.name(), hex::encode(key)))?;
            sums[tree.index()].add(key, value);
            Ok(())
        })?;
        Ok(sums)
    }

    /// Checks everything against what the meta tree says; `Err` says what differs.
    pub(super) fn verify(&self) -> Result<Meta, String> {
        let meta = self.meta()?;
        let found = self.sum_up()?;
        for tree in Tree::ALL {
            let (want, have) = (&meta.sums[tree.index()], &found[tree.index()]);
            if want.count != have.count {
                return Err(format!(
                    "the tree \"{}\" should have {} records and has {}",
                    tree.name(),
                    want.count,
                    have.count
                ));
            }
            if want != have {
                return Err(format!("the digest of the tree \"{}\" does not match its records", tree.name()));
            }
        }
        Ok(meta)
    }

    /// Calls `see` with every stored record of every tree, in order.
    pub(super) fn each(
        &self,
        mut see: impl FnMut(Tree, &[u8], &[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        for tree in Tree::ALL {
            for entry in self.tree(tree) {
                let (key, value) =
                    entry.map_err(|e| format!("the tree \"{}\" cannot be read: {e}", tree.name()))?;
                see(tree, &key, &value)?;
            }
        }
        Ok(())
    }

    /// Begins to take writes, on top of what `meta` says and with `reached` acknowledged, of which `meta` has the number
    /// of the last change. `commit` is told of everything that is acknowledged.
    pub(super) fn start(&self, meta: &Meta, reached: Acknowledged, commit: Option<Arc<Commit>>) {
        let mut writer = self.writer();
        (writer.sums, writer.seq) = (meta.sums, meta.seq);
        self.latest.store(meta.seq, Ordering::Release);
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        (durable.reached, durable.commit) = (Acknowledged { seq: meta.seq, ..reached }, commit);
    }

    /// How far what is applied goes.
    pub(super) fn reached(&self) -> Acknowledged {
        Acknowledged { seq: self.latest.load(Ordering::Acquire), ..Acknowledged::default() }
    }

    pub(super) fn tree(&self, tree: Tree) -> &sled::Tree {
        &self.trees[tree.index()]
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A caller's closure that panicked changed nothing yet; a transaction that did left `unsure`.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one record.
    pub(super) fn get<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.tree(tree).get(key)?.map(|bytes| decode(tree, key, &bytes)).transpose()
    }

    /// Reads every record of a tree, in the order of the keys.
    pub(super) fn all<T: DeserializeOwned>(&self, tree: Tree) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        self.tree(tree)
            .iter()
            .map(|entry| {
                let (key, value) = entry?;
                Ok((key.to_vec(), decode(tree, &key, &value)?))
            })
            .collect()
    }

    /// Runs `change`, the only writer meanwhile, and stores what it collected as one transaction. Returns
    /// only when that is durable. An error of `change` stores nothing.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&mut Batch<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_schema(None, change)
    }

    /// As [`Self::write`], and sets the schema in the same transaction.
    pub(super) fn write_schema<T>(
        &self,
        schema: Option<u32>,
        change: impl FnOnce(&mut Batch<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (value, seq) = {
            let mut writer = self.writer();
            if writer.unsure || self.failed.load(Ordering::Acquire) {
                return Err(StoreError::Failed);
            }
            let mut batch = Batch::new(self);
            let value = change(&mut batch)?;
            let changes = batch.into_changes();
            if !changes.is_empty() || schema.is_some() {
                self.apply(&mut writer, changes, schema)?;
            }
            (value, writer.seq)
        };
        // Outside the writer's lock: those who wait here together share one flush.
        self.make_durable(seq)?;
        Ok(value)
    }

    fn apply(&self, writer: &mut Writer, changes: Changes, schema: Option<u32>) -> Result<(), StoreError> {
        let mut sums = writer.sums;
        for ((tree, key), new) in &changes {
            let sum = &mut sums[tree.index()];
            if let Some(old) = self.tree(*tree).get(key)? {
                sum.take(key, &old);
            }
            if let Some(new) = new {
                sum.add(key, new);
            }
        }
        let seq = writer.seq + 1;
        // In the order of the transaction's trees; a new store writes every sum.
        let touched: Vec<Tree> =
            Tree::ALL.into_iter().filter(|tree| changes.keys().any(|(changed, _)| changed == tree)).collect();
        let mut meta = vec![(SEQ, encode_meta(SEQ, &seq)?)];
        for tree in Tree::ALL.into_iter().filter(|tree| schema.is_some() || touched.contains(tree)) {
            let key = tree.name().as_bytes();
            meta.push((key, encode_meta(key, &sums[tree.index()])?));
        }
        if let Some(schema) = schema {
            meta.push((SCHEMA, encode_meta(SCHEMA, &schema)?));
        }
        let mut all: Vec<&sled::Tree> = touched.iter().map(|tree| self.tree(*tree)).collect();
        all.push(&self.meta);
        writer.unsure = true;
        let done = sled::Transactional::<()>::transaction(&all[..], |views| {
            for (tree, view) in touched.iter().zip(views) {
                for ((_, key), new) in changes.iter().filter(|((changed, _), _)| changed == tree) {
                    match new {
                        Some(new) => view.insert(key.as_slice(), new.as_slice())?,
                        None => view.remove(key.as_slice())?,
                    };
                }
            }
            let view = &views[touched.len()];
            for (key, value) in &meta {
                view.insert(*key, value.as_slice())?;
            }
            Ok(())
        });
        match done {
            Ok(()) => {}
            // sled keeps its own error from here on; `unsure` stays set.
            Err(sled::transaction::TransactionError::Storage(e)) => {
                self.failed.store(true, Ordering::Release);
                return Err(e.into());
            }
            Err(sled::transaction::TransactionError::Abort(())) => {
                return Err(StoreError::Engine("the transaction was given up".into()));
            }
        }
        writer.unsure = false;
        (writer.sums, writer.seq) = (sums, seq);
        self.latest.store(seq, Ordering::Release);
        Ok(())
    }

    /// Returns when change number `seq` and all before it survive a loss of power.
    fn make_durable(&self, seq: u64) -> Result<(), StoreError> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        // After a failed sync the kernel may report success for pages it has dropped: never try again.
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::Failed);
        }
        if durable.reached.seq >= seq {
            return Ok(());
        }
        let target = self.reached();
        let began = Instant::now();
        if let Err(e) = durable.sync(&self.db, target) {
            self.failed.store(true, Ordering::Release);
            return Err(e);
        }
        self.last_flush.store(now(), Ordering::Relaxed);
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.flush_us.store(took, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it takes no more writes.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Number of the last change.
    pub(super) fn seq(&self) -> u64 {
        self.latest.load(Ordering::Acquire)
    }

    /// When something was last made durable since the open.
    pub(super) fn last_flush(&self) -> Option<UnixMillis> {
        Some(self.last_flush.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// Microseconds that the last flush took.
    pub(super) fn flush_us(&self) -> u64 {
        self.flush_us.load(Ordering::Relaxed)
    }

    /// Runs `look` while nothing is written.
    pub(super) fn quiet<T>(&self, look: impl FnOnce(&Self) -> T) -> T {
        let _writer = self.writer();
        look(self)
    }
}

fn missing(name: &str) -> String {
    format!("meta/{name} is missing")
}

fn encode_meta<T: Serialize>(key: &[u8], value: &T) -> Result<Vec<u8>, StoreError> {
    codec::encode(META, key, META_VERSION, value).map_err(|source| StoreError::Record { tree: META, source })
}

pub(super) fn encode<T: Serialize>(tree: Tree, key: &[u8], value: &T) -> Result<Vec<u8>, StoreError> {
    codec::encode(tree.name(), key, tree.version(), value).map_err(|e| match e {
        codec::CodecError::TooLarge(bytes) => {
            StoreError::TooLarge { noun: tree.name(), bytes, limit: codec::MAX_RECORD }
        }
        source => StoreError::Record { tree: tree.name(), source },
    })
}

pub(super) fn decode<T: DeserializeOwned>(tree: Tree, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
    codec::decode(tree.name(), key, tree.version(), bytes)
        .map_err(|source| StoreError::Record { tree: tree.name(), source })
}

/// Milliseconds since the epoch.
pub(super) fn now() -> UnixMillis {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
impl Engine {
    /// Removes an empty tree and its sum; false if there was no sum.
    pub(super) fn forget_tree(&self, tree: Tree) -> Result<bool, StoreError> {
        assert!(self.tree(tree).is_empty());
        let had = self.meta.remove(tree.name())?.is_some();
        self.db.drop_tree(tree.name())?;
        self.db.flush()?;
        Ok(had)
    }

    /// Stores a record in a tree of another build.
    pub(super) fn plant(&self, tree: &str, key: &[u8], value: Vec<u8>) -> Result<(), StoreError> {
        self.db.open_tree(tree)?.insert(key, value)?;
        Ok(())
    }
}
