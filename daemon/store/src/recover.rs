//! Looking at snapshots and going back to one. Works without a daemon; everything here blocks.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use aivonx_domain::now;
use aivonx_protocol::UnixMillis;

use super::{
    Ledger, LedgerLoss, LedgerState, Restoration, StoreError,
    backend::sled::Sled,
    engine::{Engine, Meta},
    files,
    layout::{Layout, Lock},
    ledgers::Ledgers,
    losses,
    marker::{Acknowledged, Commit, Found, Marker, State},
    migrate::SCHEMAS,
    room, salvage,
    settings::RESTORATION,
    snapshot::{self, Contents},
    swap,
    tree::{Tree, no_sums},
    whole,
};

/// One snapshot file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What is in it, or why it cannot be used.
    pub contents: Result<Summary, String>,
}

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// When it was taken.
    pub created: UnixMillis,
    /// Schema of its records.
    pub schema: u32,
    /// Number of the last change it has.
    pub seq: u64,
    /// Id of the daemon it belongs to.
    pub daemon_id: String,
    /// Records per tree (`node`, `setting`, ...).
    pub records: BTreeMap<String, usize>,
    /// Acknowledged changes that it lacks, if that is known.
    pub changes_behind: Option<u64>,
}

/// What [`put_back`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the store that was there is now.
    pub set_aside: Option<PathBuf>,
    /// What was restored.
    pub summary: Summary,
    /// What there is of each ledger. They lie beside the store and are left where they are.
    pub ledgers: Vec<LedgerState>,
    /// Whether what was there is of schema 1, which had its ledgers in the store: they went aside with it.
    pub had_old_ledgers: bool,
    /// Whether an earlier recovery that was interrupted was finished first.
    pub finished: bool,
}

impl Summary {
    /// How many records there are of what an administrator knows by name, in the order of the store's trees.
    pub fn nouns(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let count = |tree: Tree| Some((tree.plural()?, *self.records.get(tree.name())?));
        Tree::ALL.into_iter().filter_map(count)
    }
}

/// Whether `dir` is the data directory of a store.
#[must_use]
pub fn is_store(dir: &Path) -> bool {
    Layout::new(dir).marker().is_file()
}

/// Whether there is any trace of a store in `dir`.
#[must_use]
pub fn is_data_dir(dir: &Path) -> bool {
    Layout::new(dir).is_ours()
}

/// Whether a process uses the data directory `dir`, and which, if it said so.
#[must_use]
pub fn in_use(dir: &Path) -> Option<Option<u32>> {
    Lock::held(&Layout::new(dir))
}

/// Keeps the engine's panics from standard error: those on damaged files are caught and reported as errors.
pub fn hush_engine() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let is_engine =
            thread.name().is_some_and(|name| name.starts_with("store-") || name.starts_with("sled"));
        if !is_engine {
            others(info);
        }
    }));
}

/// The snapshots of the data directory `dir`, newest first, each read and verified.
///
/// # Errors
/// If the directory cannot be read.
pub fn list(dir: &Path) -> Result<Vec<Snapshot>, StoreError> {
    let layout = Layout::new(dir);
    if !layout.snapshots().is_dir() {
        return Ok(Vec::new());
    }
    let acknowledged = acknowledged(&layout)?;
    Ok(snapshot::paths(&layout.snapshots())?.into_iter().map(|path| look(path, acknowledged)).collect())
}

/// The stores in the data directory `dir` that were set aside, oldest first.
///
/// # Errors
/// If the directory cannot be read.
pub fn set_aside(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list the data directory", dir))? {
        let entry = entry.map_err(StoreError::io("list the data directory", dir))?;
        let name = entry.file_name();
        if swap::ASIDE.iter().any(|begins| name.to_string_lossy().starts_with(begins)) {
            found.push(entry.path());
        }
    }
    // By time, whichever word stands before it.
    found.sort_unstable_by_key(|path| {
        path.to_string_lossy().rsplit_once('-').map(|(_, time)| time.to_owned())
    });
    Ok(found)
}

/// Whether `store`, which was set aside in the data directory `dir`, is of the daemon that the directory belongs to now:
/// the backup of another one may have been restored over it.
#[must_use]
pub fn is_of_same_daemon(dir: &Path, store: &Path) -> bool {
    let marker = Layout::new(dir).marker();
    let aside = store.file_name().and_then(|name| name.to_str()?.strip_prefix("store."));
    let Some(aside) = aside.map(|stamp| files::added(&marker, stamp)) else { return true };
    // Nothing is known from what is no file.
    if [&aside, &marker].into_iter().any(|path| files::in_place_of_file(path).is_some()) {
        return true;
    }
    match (Marker::read(&aside), Marker::read(&marker)) {
        (Ok(Found::Marker(then)), Ok(Found::Marker(now))) => then.daemon == now.daemon,
        // Set aside alone, by what refuses other daemons.
        _ => true,
    }
}

/// Reads one snapshot; `acknowledged` is what the store has.
pub(super) fn look(path: PathBuf, acknowledged: Option<u64>) -> Snapshot {
    let bytes = fs::metadata(&path).map_or(0, |found| found.len());
    let contents = snapshot::read(&path).map(|contents| summary(&contents, acknowledged));
    let contents = contents.map_err(|e| match e {
        StoreError::BadSnapshot { what, .. } => what,
        StoreError::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    });
    Snapshot { path, bytes, contents }
}

pub(super) fn summary(contents: &Contents, acknowledged: Option<u64>) -> Summary {
    Summary {
        created: contents.created,
        schema: contents.schema,
        seq: contents.seq,
        daemon_id: contents.daemon.clone(),
        records: contents.counts().map(|(name, count)| (name.to_owned(), count)).collect(),
        changes_behind: acknowledged.map(|seq| seq.saturating_sub(contents.seq)),
    }
}

/// Number of the last change that was acknowledged, if that is known.
fn acknowledged(layout: &Layout) -> Result<Option<u64>, StoreError> {
    Ok(reached(layout)?.map(|reached| reached.seq))
}

/// What was acknowledged, if that is known.
pub(super) fn reached(layout: &Layout) -> Result<Option<Acknowledged>, StoreError> {
    // Nothing is known from what is no file.
    if files::in_place_of_file(&layout.commit()).is_some() {
        return Ok(None);
    }
    Commit::read(&layout.commit())
}

/// A snapshot that was read.
pub struct Source {
    path: PathBuf,
    contents: Contents,
}

/// Reads a snapshot.
///
/// # Errors
/// If it is not whole.
pub fn read(snapshot: &Path) -> Result<Source, StoreError> {
    Ok(Source { path: snapshot.to_owned(), contents: snapshot::read(snapshot)? })
}

/// Puts the records of `snapshot` in place of the store in `dir`. What was there is set aside beside it
/// (`store.damaged-TIME`), never deleted. An empty or new `dir` is allowed: that moves a store to another
/// machine (take the master key along). Interrupted, it is finished by the next call, or by the daemon.
///
/// # Errors
/// If the snapshot belongs to another daemon than the directory, is of a newer schema, or the
/// directory is in use. The directory is as it was then.
pub fn put_back(dir: &Path, snapshot: Source) -> Result<Restored, StoreError> {
    whole::check_complete(&Layout::new(dir))?;
    put(&Claim::lay(dir)?, snapshot.contents, &snapshot.path)
}

/// [`read`] and [`put_back`] in one.
///
/// # Errors
/// As of those.
pub fn restore(dir: &Path, snapshot: &Path) -> Result<Restored, StoreError> {
    put_back(dir, read(snapshot)?)
}

/// As [`put_back`], with the records of `store`, a directory that an earlier call has set aside.
///
/// # Errors
/// As of [`put_back`]; and if the store has not all of its records, with what is whole, cut or gone.
pub fn restore_from(dir: &Path, store: &Path) -> Result<Restored, StoreError> {
    salvage::check(store)?;
    whole::check_complete(&Layout::new(dir))?;
    let claim = Claim::lay(dir)?;
    let contents = salvage::read(store, &claim.layout.reading())?;
    put(&claim, contents, store)
}

/// A data directory that nobody else uses.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) layout: Layout,
    /// Whether a recovery that was interrupted has been finished.
    finished: bool,
    _lock: Lock,
}

impl Claim {
    pub(super) fn lay(dir: &Path) -> Result<Self, StoreError> {
        let layout = Layout::new(dir);
        layout.prepare()?;
        let lock = Lock::take_to_move(&layout)?;
        let finished = swap::finish(&layout)?.is_some();
        Ok(Self { layout, finished, _lock: lock })
    }
}

/// Refuses records that a newer version wrote.
pub(super) fn check_schema(contents: &Contents, source: &Path) -> Result<(), StoreError> {
    if contents.schema <= SCHEMAS.current {
        return Ok(());
    }
    let what = format!(
        "it has schema {}, this aivonxd knows schemas up to {}; install the version that wrote it",
        contents.schema, SCHEMAS.current
    );
    Err(StoreError::BadSnapshot { path: source.to_owned(), what })
}

pub(super) fn put(claim: &Claim, contents: Contents, source: &Path) -> Result<Restored, StoreError> {
    let Claim { layout, finished, .. } = claim;
    let unusable = |what: String| StoreError::BadSnapshot { path: source.to_owned(), what };
    check_schema(&contents, source)?;
    if files::in_place_of_file(&layout.marker()).is_none()
        && let Found::Marker(marker) = Marker::read(&layout.marker())?
        && marker.daemon != contents.daemon
        && marker.state == State::Ready
    {
        return Err(unusable(format!(
            "it belongs to the daemon {}, the directory {} to {}; restore it into an empty directory",
            contents.daemon,
            layout.dir.display(),
            marker.daemon
        )));
    }
    let had_old_ledgers = is_schema_1(layout)?;
    swap::clear_ledgers(layout)?;
    let summary = summary(&contents, acknowledged(layout)?);
    let made = make(layout, contents, source, &summary).map_err(|error| {
        // The engine's own words for a full disk say less.
        let is_known = matches!(error, StoreError::BadSnapshot { .. });
        let full = room::look(layout).err().filter(|_| !is_known);
        // It is of no use; what failed is told of.
        let _ = swap::discard(layout);
        full.unwrap_or(error)
    });
    let ledgers = made?;
    let set_aside = swap::finish(layout)?.and_then(|placed| placed.set_aside);
    Ok(Restored { had_old_ledgers, set_aside, summary, ledgers, finished: *finished })
}

/// Whether the store that is there keeps its ledgers itself.
fn is_schema_1(layout: &Layout) -> Result<bool, StoreError> {
    if files::in_place_of_file(&layout.marker()).is_some() {
        return Ok(false);
    }
    Ok(matches!(Marker::read(&layout.marker())?, Found::Marker(marker) if marker.schema == 1))
}

/// Makes a store of `contents`, ready to be put in place.
fn make(
    layout: &Layout,
    contents: Contents,
    source: &Path,
    summary: &Summary,
) -> Result<Vec<LedgerState>, StoreError> {
    let fresh = layout.restoring();
    // What is changed from now on is newer than all that was before, the part that is given up included.
    let snapshots = layout.snapshots();
    let newest = if snapshots.is_dir() { snapshot::newest(&snapshots)? } else { None };
    let newest = newest.max(acknowledged(layout)?);
    let seq = newest.filter(|newest| *newest > contents.seq).map_or(contents.seq, |newest| newest + 1);
    rebuild(&fresh, &contents, seq).map_err(|e| match e {
        Rebuild::Unusable(what) => StoreError::BadSnapshot { path: source.to_owned(), what },
        Rebuild::Store(e) => e,
    })?;
    let known = reached(layout)?;
    let (ledgers, lost) = Ledgers::open(layout, &contents.daemon, known, None)?;
    let reached = ledgers.reached();
    let ledgers = ledgers.states(&lost);
    let mut lost: Vec<LedgerLoss> = ledgers.iter().flat_map(|ledger| ledger.lost.clone()).collect();
    // A directory without a store had no ledgers either.
    if known.is_some()
        || [layout.marker(), layout.store()].iter().any(|path| fs::symlink_metadata(path).is_ok())
    {
        lost.extend(losses::told_by(known.as_ref(), None));
    }
    let seq = note(&fresh, source, summary, lost)?;
    let marker =
        Marker { schema: contents.schema, daemon: contents.daemon, state: State::Ready, database: None };
    swap::seal(layout, &marker, Acknowledged { seq, ..reached })?;
    Ok(ledgers)
}

/// Notes in the new store what is being done, for the audit log to record. Returns the number of that change.
fn note(fresh: &Path, source: &Path, summary: &Summary, lost: Vec<LedgerLoss>) -> Result<u64, StoreError> {
    let words: Vec<String> = lost.iter().map(ToString::to_string).collect();
    let restoration = Restoration {
        time: now(),
        snapshot: source.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        snapshot_time: summary.created,
        changes_behind: summary.changes_behind,
        ledgers: if words.is_empty() { Ok(Ledger::ALL.len() as u64) } else { Err(words.join("; ")) },
    };
    let engine = Engine::over(Sled::open(fresh, 0)?);
    engine.start(&engine.meta().map_err(|e| e.report(StoreError::Engine))?, None);
    engine.write(|batch| batch.put(Tree::Setting, RESTORATION, &restoration))?;
    losses::keep(&engine, lost)?;
    let seq = engine.seq();
    drop(engine);
    files::sync_dir(fresh)?;
    Ok(seq)
}

pub(super) enum Rebuild {
    Unusable(String),
    Store(StoreError),
}

impl From<StoreError> for Rebuild {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Makes a store of `contents` in `dir`, verified and durable, whose last change is number `seq`.
pub(super) fn rebuild(dir: &Path, contents: &Contents, seq: u64) -> Result<(), Rebuild> {
    let mut records = Vec::new();
    for tree in &contents.trees {
        let known = Tree::named(&tree.name);
        let known = known.ok_or_else(|| {
            Rebuild::Unusable(format!("it has a tree \"{}\" that this aivonxd does not know", tree.name))
        })?;
        records.extend(tree.records.iter().map(|(key, value)| (known, key, value)));
    }
    files::make_dir(dir)?;
    let engine = Engine::over(Sled::open(dir, 0).map_err(StoreError::from)?);
    engine.start(&Meta { schema: contents.schema, seq: seq.saturating_sub(1), sums: no_sums() }, None);
    engine.write_schema(Some(contents.schema), |batch| {
        for (tree, key, value) in records {
            batch.put_raw(tree, key, value.clone());
        }
        Ok(())
    })?;
    let meta = engine.verify().map_err(|e| Rebuild::Unusable(e.to_string()))?;
    if Tree::ALL.into_iter().any(|tree| meta.sums[tree.index()] != contents.sum(tree)) {
        return Err(Rebuild::Unusable("the rebuilt store does not have its records".into()));
    }
    drop(engine);
    files::sync_dir(dir)?;
    Ok(())
}
