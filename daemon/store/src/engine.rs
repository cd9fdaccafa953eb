//! The engine: what the store promises of its settings, over any backend (durable acknowledgement, counts and digests,
//! one writer at a time).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use aivonx_domain::now;
use aivonx_protocol::UnixMillis;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    StoreError,
    backend::{Backend, Pairs, Write},
    batch::{Batch, Changes},
    codec,
    keeper::Unsound,
    marker::{Acknowledged, Commit},
    member::Followed,
    old,
    tree::{Sum, Sums, Tree, no_sums},
};

const META: &str = "meta";
const META_VERSION: u8 = 1;
/// Times that everything is read again where it was changed meanwhile.
const VERIFICATIONS: u32 = 10;
const SCHEMA: &[u8] = b"schema";
const SEQ: &[u8] = b"seq";
/// How far the ledgers went at the last change.
const LEDGERS: &[u8] = b"ledgers";

/// Asked before every change whether it may be made.
pub(super) type Gate = Box<dyn Fn() -> Result<(), StoreError> + Send + Sync>;

/// The open engine. All its functions block.
pub(super) struct Engine {
    backend: Box<dyn Backend>,
    writer: Mutex<Writer>,
    gate: OnceLock<Gate>,
    durable: Mutex<Durable>,
    /// Number of the last change applied; what is durable may be behind.
    latest: AtomicU64,
    failed: AtomicBool,
    last_flush: AtomicU64,
    /// Microseconds it took.
    flush_us: AtomicU64,
}

/// How far the store is durable.
struct Durable {
    /// Number of the last change that is.
    seq: u64,
    /// Where that is noted beside the store.
    commit: Option<Arc<Commit>>,
}

/// State of the one writer.
struct Writer {
    sums: Sums,
    seq: u64,
    commit: Option<Arc<Commit>>,
    /// Set while a transaction runs: found set, it panicked, and what is stored is unknown.
    unsure: bool,
    /// Another process changed something: `sums` and `seq` are to be read again.
    stale: bool,
}

/// What the meta tree says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) schema: u32,
    pub(super) seq: u64,
    pub(super) sums: Sums,
}

impl Engine {
    /// Over a backend that was just opened.
    pub(super) fn over(backend: impl Backend + 'static) -> Self {
        Self {
            backend: Box::new(backend),
            writer: Mutex::new(Writer { sums: no_sums(), seq: 0, commit: None, unsure: false, stale: false }),
            gate: OnceLock::new(),
            durable: Mutex::new(Durable { seq: 0, commit: None }),
            latest: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            last_flush: AtomicU64::new(0),
            flush_us: AtomicU64::new(0),
        }
    }

    /// Reads the meta tree; `Err` names what is missing or wrong.
    pub(super) fn meta(&self) -> Result<Meta, Unsound> {
        let mut sums = no_sums();
        let all: Result<BTreeMap<_, _>, _> = self.backend.scan(META, b"").collect();
        let all = all.map_err(|e| Unsound::unread("the tree \"meta\"", e))?;
        let bytes = |key: &[u8]| all.get(key).cloned();
        for tree in Tree::ALL {
            let key = tree.name().as_bytes();
            sums[tree.index()] = match decode_meta(key, bytes(key))? {
                Some(sum) => sum,
                // A tree that the build which wrote the store did not have yet.
                None if self.is_empty(tree)? => Sum::default(),
                None => return Err(missing(tree.name()).into()),
            };
        }
        let schema = decode_meta(SCHEMA, bytes(SCHEMA))?.ok_or_else(|| missing("schema"))?;
        let seq = decode_meta(SEQ, bytes(SEQ))?.ok_or_else(|| missing("seq"))?;
        Ok(Meta { schema, seq, sums })
    }

    /// How far the ledgers went at the last change, by what this store says itself; None if it does not.
    pub(super) fn ledgers(&self) -> Result<Option<Acknowledged>, Unsound> {
        self.meta_value(&self.own(LEDGERS))
    }

    /// The key of what each process keeps for itself under `name`.
    pub(super) fn own(&self, name: &[u8]) -> Vec<u8> {
        match self.backend.member() {
            Some(member) => [name, b"/", member.as_bytes()].concat(),
            None => name.to_vec(),
        }
    }

    /// Stores what [`Self::ledgers`] says, for settings that were taken over from elsewhere.
    pub(super) fn note_ledgers(&self, reached: &Acknowledged) -> Result<(), StoreError> {
        let key = self.own(LEDGERS);
        let value = encode_meta(&key, reached)?;
        self.backend.apply(&[Write { space: META, key: &key, value: Some(&value) }])?;
        self.backend.flush()
    }

    fn meta_value<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Unsound> {
        let name = String::from_utf8_lossy(key);
        let bytes = self.backend.get(META, key).map_err(|e| Unsound::unread(&format!("meta/{name}"), e))?;
        decode_meta(key, bytes)
    }

    fn is_empty(&self, tree: Tree) -> Result<bool, Unsound> {
        let first = self.scan(tree).next().transpose();
        first.map(|found| found.is_none()).map_err(|e| unread(tree, e))
    }

    /// What keeps the bytes, for what is read or written past the records: trees of older schemas, and tests.
    pub(super) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Removes the trees of older schemas.
    pub(super) fn drop_old_trees(&self) -> Result<(), StoreError> {
        let spaces = self.backend.spaces()?;
        for space in spaces.iter().filter(|space| old::TREES.contains(&&***space)) {
            self.backend.clear(space)?;
        }
        self.backend.flush()
    }

    /// A tree with records that this build does not know: a later one wrote them.
    pub(super) fn foreign_tree(&self) -> Result<Option<String>, StoreError> {
        let is_ours = |name: &str| name == META || Tree::named(name).is_some() || old::TREES.contains(&name);
        Ok(self.backend.spaces()?.into_iter().find(|space| !is_ours(space)))
    }

    /// Reads every record, checks its checksum and sums up. `Err` names the first wrong record.
    pub(super) fn sum_up(&self) -> Result<Sums, Unsound> {
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
    pub(super) fn verify(&self) -> Result<Meta, Unsound> {
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
                )
                .into());
            }
            if want != have {
                return Err(
                    format!("the digest of the tree \"{}\" does not match its records", tree.name()).into()
                );
            }
        }
        Ok(meta)
    }

    /// The same while other processes may change what is read: what does not fit together then is read again.
    pub(super) fn verify_shared(&self) -> Result<Meta, Unsound> {
        for _ in 0..VERIFICATIONS {
            let seq = self.meta()?.seq;
            let verified = self.verify();
            if verified.is_ok() || self.meta()?.seq == seq {
                return verified;
            }
        }
        self.quiet(Self::verify).map_err(|e| Unsound::unread("the tree \"meta\"", e))?
    }

    /// Calls `see` with every stored record of every tree, in order.
    pub(super) fn each(
        &self,
        mut see: impl FnMut(Tree, &[u8], &[u8]) -> Result<(), String>,
    ) -> Result<(), Unsound> {
        for tree in Tree::ALL {
            for entry in self.scan(tree) {
                let (key, value) = entry.map_err(|e| unread(tree, e))?;
                see(tree, &key, &value)?;
            }
        }
        Ok(())
    }

    /// Begins to take writes, on top of what `meta` says. Everything that is acknowledged is noted in `commit`.
    pub(super) fn start(&self, meta: &Meta, commit: Option<Arc<Commit>>) {
        let mut writer = self.writer();
        (writer.sums, writer.seq, writer.commit) = (meta.sums, meta.seq, commit.clone());
        self.latest.store(meta.seq, Ordering::Release);
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        (durable.seq, durable.commit) = (meta.seq, commit);
    }

    /// Has `gate` asked before every change from now on. The first stays.
    pub(super) fn guard(&self, gate: Gate) {
        // A second call could only come from a second opening.
        let _ = self.gate.set(gate);
    }

    /// The stored bytes of every record of a tree, in the order of the keys.
    pub(super) fn scan(&self, tree: Tree) -> Pairs<'_> {
        self.backend.scan(tree.name(), b"")
    }

    /// The keys of a tree that begin with `prefix`, in order.
    pub(super) fn keys(
        &self,
        tree: Tree,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<Vec<u8>, StoreError>> {
        self.backend.scan(tree.name(), prefix).map(|pair| Ok(pair?.0))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A caller's closure that panicked changed nothing yet; a transaction that did left `unsure`.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one record.
    pub(super) fn get<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.backend.get(tree.name(), key)?.map(|bytes| decode(tree, key, &bytes)).transpose()
    }

    /// Reads every record of a tree, in the order of the keys.
    pub(super) fn all<T: DeserializeOwned>(&self, tree: Tree) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        self.scan(tree)
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
            let _turn = self.begin(&mut writer)?;
            let mut batch = Batch::new(self);
            let value = change(&mut batch)?;
            let changes = batch.into_changes();
            if !changes.is_empty() || schema.is_some() {
                self.gate.get().map_or(Ok(()), |gate| gate())?;
                self.apply(&mut writer, changes, schema)?;
            }
            (value, writer.seq)
        };
        // Outside the writer's lock: those who wait here together share one flush.
        self.make_durable(seq)?;
        Ok(value)
    }

    /// Has no other process change anything until what is returned is dropped, or something was applied.
    fn begin(&self, writer: &mut Writer) -> Result<Turn<'_>, StoreError> {
        writer.stale |= self.backend.begin()?;
        let turn = Turn(&*self.backend);
        if writer.stale {
            let meta = self.meta().map_err(|e| e.report(StoreError::Engine))?;
            (writer.sums, writer.seq, writer.stale) = (meta.sums, meta.seq, false);
            self.latest.fetch_max(meta.seq, Ordering::AcqRel);
        }
        Ok(turn)
    }

    /// What other processes changed since the last call, see [`Backend::follow`].
    pub(super) fn follow(&self) -> Result<Followed, StoreError> {
        let found = self.backend.follow()?;
        if found != Followed::Nothing
            && let Some(seq) = self.meta_value::<u64>(SEQ).map_err(|e| e.report(StoreError::Engine))?
        {
            self.latest.fetch_max(seq, Ordering::AcqRel);
            let commit = self.durable.lock().unwrap_or_else(PoisonError::into_inner).commit.clone();
            // A state that lacks what was followed is found by it at the next open.
            let noted = commit.map_or(Ok(()), |commit| commit.advance(false, |to| to.seq = to.seq.max(seq)));
            noted.map_err(|e| StoreError::Engine(format!("the file COMMIT cannot be written: {e}")))?;
        }
        Ok(found)
    }

    fn apply(&self, writer: &mut Writer, changes: Changes, schema: Option<u32>) -> Result<(), StoreError> {
        let mut sums = writer.sums;
        for ((tree, key), new) in &changes {
            let sum = &mut sums[tree.index()];
            if let Some(old) = self.backend.get(tree.name(), key)? {
                sum.take(key, &old);
            }
            if let Some(new) = new {
                sum.add(key, new);
            }
        }
        let seq = writer.seq + 1;
        // A new store, and a migrated one, writes every sum.
        let is_touched = |tree: &Tree| schema.is_some() || changes.keys().any(|(changed, _)| changed == tree);
        let ledgers = self.own(LEDGERS);
        let mut meta = vec![(SEQ, encode_meta(SEQ, &seq)?)];
        if let Some(commit) = &writer.commit {
            meta.push((&ledgers, encode_meta(&ledgers, &commit.reached())?));
        }
        for tree in Tree::ALL.into_iter().filter(is_touched) {
            let key = tree.name().as_bytes();
            meta.push((key, encode_meta(key, &sums[tree.index()])?));
        }
        if let Some(schema) = schema {
            meta.push((SCHEMA, encode_meta(SCHEMA, &schema)?));
        }
        let records = changes.iter().map(|((tree, key), value)| Write {
            space: tree.name(),
            key,
            value: value.as_deref(),
        });
        let meta = meta.iter().map(|(key, value)| Write { space: META, key, value: Some(value) });
        let writes: Vec<Write<'_>> = records.chain(meta).collect();
        writer.unsure = true;
        if let Err(e) = self.backend.apply(&writes) {
            if matches!(e, StoreError::TurnLost(_)) {
                writer.unsure = false;
                return Err(e);
            }
            // What is stored is not known: `unsure` stays set.
            self.failed.store(true, Ordering::Release);
            return Err(e);
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
        if durable.seq >= seq {
            return Ok(());
        }
        let target = self.seq();
        let began = Instant::now();
        if let Err(e) = self.backend.flush().and_then(|()| durable.note(target, &self.failed)) {
            self.failed.store(true, Ordering::Release);
            return Err(e);
        }
        self.last_flush.store(now(), Ordering::Relaxed);
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.flush_us.store(took, Ordering::Relaxed);
        Ok(())
    }

    /// Takes no more writes, and acknowledges none of those that still run.
    pub(super) fn retire(&self) {
        self.failed.store(true, Ordering::Release);
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
    ///
    /// # Errors
    /// If other processes cannot be kept from writing.
    pub(super) fn quiet<T>(&self, look: impl FnOnce(&Self) -> T) -> Result<T, StoreError> {
        let mut writer = self.writer();
        let _turn = self.begin(&mut writer)?;
        Ok(look(self))
    }
}

/// Ends a transaction that was not applied.
struct Turn<'b>(&'b dyn Backend);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Durable {
    /// Notes that everything up to change number `seq` is durable, but if the engine has `failed` meanwhile: what is
    /// acknowledged then is another's business.
    fn note(&mut self, seq: u64, failed: &AtomicBool) -> Result<(), StoreError> {
        if let Some(commit) = &self.commit {
            commit
                .advance(true, |to| {
                    if !failed.load(Ordering::Acquire) {
                        to.seq = seq;
                    }
                })
                .map_err(|e| StoreError::Engine(format!("the file COMMIT cannot be written: {e}")))?;
            if failed.load(Ordering::Acquire) {
                return Err(StoreError::Failed);
            }
        }
        self.seq = seq;
        Ok(())
    }
}

fn unread(tree: Tree, error: StoreError) -> Unsound {
    Unsound::unread(&format!("the tree \"{}\"", tree.name()), error)
}

fn missing(name: &str) -> String {
    format!("meta/{name} is missing")
}

fn decode_meta<T: DeserializeOwned>(key: &[u8], bytes: Option<Vec<u8>>) -> Result<Option<T>, Unsound> {
    let name = String::from_utf8_lossy(key);
    let decode = |bytes: Vec<u8>| codec::decode(META, key, META_VERSION, &bytes);
    Ok(bytes.map(decode).transpose().map_err(|e| format!("meta/{name} is wrong: {e}"))?)
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

#[cfg(test)]
impl Engine {
    /// Removes the sum of an empty tree; false if there was none.
    pub(super) fn forget_tree(&self, tree: Tree) -> Result<bool, StoreError> {
        assert!(self.is_empty(tree).unwrap());
        let had = self.backend.get(META, tree.name().as_bytes())?.is_some();
        self.backend.apply(&[Write { space: META, key: tree.name().as_bytes(), value: None }])?;
        self.backend.flush()?;
        Ok(had)
    }

    /// Stores a record in a tree of another build.
    pub(super) fn plant(&self, space: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.backend.apply(&[Write { space, key, value: Some(value) }])
    }
}
