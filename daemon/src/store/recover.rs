//! Looking at snapshots and going back to one. Works without a daemon; everything here blocks.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use aivonx_protocol::UnixMillis;

use super::{
    Restoration, StoreError, carry,
    engine::{Engine, Meta, now},
    files,
    layout::{Layout, Lock},
    marker::{Acknowledged, Commit, Found, Marker, State},
    migrate::SCHEMAS,
    snapshot::{self, Contents},
    tree::{Kind, Tree, no_sums},
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
    /// Id of the daemon it belongs to.
    pub daemon_id: String,
    /// Records per tree (`node`, `setting`, ...).
    pub records: BTreeMap<String, usize>,
    /// Acknowledged changes that it lacks, if that is known.
    pub changes_behind: Option<u64>,
}

/// What [`restore`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the store that was there is now.
    pub set_aside: Option<PathBuf>,
    /// What was restored.
    pub summary: Summary,
    /// Records of ledgers (the audit log) taken over from there, or why not all could be.
    pub ledgers: Result<u64, String>,
}

/// Whether `dir` is the data directory of a store.
#[must_use]
pub fn is_store(dir: &Path) -> bool {
    Layout::new(dir).marker().is_file()
}

/// The snapshots of the data directory `dir`, newest first, each read and verified.
///
/// # Errors
/// If the directory cannot be read.
pub fn list(dir: &Path) -> Result<Vec<Snapshot>, StoreError> {
    let layout = Layout::new(dir);
    let acknowledged = Commit::read(&layout.commit())?;
    snapshot::paths(&layout.snapshots())?
        .into_iter()
        .map(|path| {
            let bytes = fs::metadata(&path).map_err(StoreError::io("look at", &path))?.len();
            let contents =
                snapshot::read(&path).map(|contents| summary(&contents, acknowledged)).map_err(|e| match e {
                    StoreError::BadSnapshot { what, .. } => what,
                    other => other.to_string(),
                });
            Ok(Snapshot { path, bytes, contents })
        })
        .collect()
}

fn summary(contents: &Contents, acknowledged: Option<Acknowledged>) -> Summary {
    Summary {
        created: contents.created,
        schema: contents.schema,
        daemon_id: contents.daemon.clone(),
        records: contents.counts().map(|(name, count)| (name.to_owned(), count)).collect(),
        changes_behind: acknowledged.map(|to| to.seq.saturating_sub(contents.seq)),
    }
}

/// Puts the records of `snapshot` in place of the store in `dir`. What was there is set aside beside it
/// (`store.damaged-TIME`), never deleted. An empty or new `dir` is allowed: that moves a store to another
/// machine (take the master key along).
///
/// # Errors
/// If the snapshot is not whole, belongs to another daemon than the directory, is of a newer schema, or the
/// directory is in use. The directory is as it was then.
pub fn restore(dir: &Path, snapshot: &Path) -> Result<Restored, StoreError> {
    let contents = snapshot::read(snapshot)?;
    let layout = Layout::new(dir);
    layout.prepare()?;
    let _lock = Lock::take(&layout)?;
    let unusable = |what: String| StoreError::BadSnapshot { path: snapshot.to_owned(), what };
    if contents.schema > SCHEMAS.current {
        return Err(unusable(format!(
            "it has schema {}, this aivonxd knows schemas up to {}; install the version that wrote it",
            contents.schema, SCHEMAS.current
        )));
    }
    let found = Marker::read(&layout.marker())?;
    if let Found::Marker(marker) = &found
        && marker.daemon != contents.daemon
        && marker.state == State::Ready
    {
        return Err(unusable(format!(
            "it belongs to the daemon {}, the directory {} to {}; restore it into an empty directory",
            contents.daemon,
            dir.display(),
            marker.daemon
        )));
    }
    let fresh = layout.dir.join("store.restoring");
    let acknowledged = Commit::read(&layout.commit())?;
    // What is changed from now on is newer than all that was before, the part that is given up included.
    let newest = snapshot::newest(&layout.snapshots())?.max(acknowledged.map(|to| to.seq));
    let seq = newest.filter(|newest| *newest > contents.seq).map_or(contents.seq, |newest| newest + 1);
    rebuild(&fresh, &contents, seq).map_err(|e| match e {
        Rebuild::Unusable(what) => unusable(what),
        Rebuild::Store(e) => e,
    })?;
    let summary = summary(&contents, acknowledged);
    let (ledgers, reached) = take_over(&layout, &fresh, snapshot, &summary)?;

    // From here on a crash leaves a directory that refuses to open and can be restored again.
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
    let set_aside = set_aside(&layout.store(), &layout.dir.join(format!("store.damaged-{stamp}")))?;
    if matches!(found, Found::Damaged(_)) {
        set_aside_file(&layout.marker(), &layout.dir.join(format!("STORE.damaged-{stamp}")))?;
    }
    fs::rename(&fresh, layout.store()).map_err(StoreError::io("rename", &fresh))?;
    files::make_dir(&layout.snapshots())?;
    Commit::create(&layout.commit(), reached)?;
    Marker { schema: contents.schema, daemon: contents.daemon, state: State::Ready }
        .write(&layout.marker())?;
    Ok(Restored { set_aside, summary, ledgers })
}

/// Takes the ledgers over from the store that is there, and notes in the new one what is being done. Returns how many
/// records those were, or why not all could be read, and how far the new one goes.
fn take_over(
    layout: &Layout,
    fresh: &Path,
    snapshot: &Path,
    summary: &Summary,
) -> Result<(Result<u64, String>, Acknowledged), StoreError> {
    let engine = Engine::open(fresh, 0)?;
    engine.start(&engine.meta().map_err(StoreError::Engine)?, Acknowledged::default(), None);
    let ledgers = carry::ledgers(layout, &engine)?;
    let restoration = Restoration {
        time: now(),
        snapshot: snapshot.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        snapshot_time: summary.created,
        changes_behind: summary.changes_behind,
        ledgers: ledgers.clone(),
    };
    carry::note(&engine, &restoration)?;
    let reached = engine.reached();
    drop(engine);
    files::sync_dir(fresh)?;
    Ok((ledgers, reached))
}

fn set_aside(from: &Path, to: &Path) -> Result<Option<PathBuf>, StoreError> {
    if !from.exists() {
        return Ok(None);
    }
    set_aside_file(from, to)?;
    Ok(Some(to.to_owned()))
}

fn set_aside_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(StoreError::io("set aside", from))
}

enum Rebuild {
    Unusable(String),
    Store(StoreError),
}

impl From<StoreError> for Rebuild {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Makes a store of `contents` in `dir`, verified and durable, whose last change is number `seq`.
fn rebuild(dir: &Path, contents: &Contents, seq: u64) -> Result<(), Rebuild> {
    // Left by an attempt that did not come to its end.
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(StoreError::io("remove", dir)(e).into());
        }
        _ => {}
    }
    let mut records = Vec::new();
    for tree in &contents.trees {
        let known = Tree::named(&tree.name);
        let known = known.filter(|tree| tree.kind() == Kind::Config).ok_or_else(|| {
            Rebuild::Unusable(format!("it has a tree \"{}\" that this aivonxd does not know", tree.name))
        })?;
        records.extend(tree.records.iter().map(|(key, value)| (known, key, value)));
    }
    files::make_dir(dir)?;
    let engine = Engine::open(dir, 0).map_err(StoreError::from)?;
    engine.start(
        &Meta { schema: contents.schema, seq: seq.saturating_sub(1), sums: no_sums() },
        Acknowledged::default(),
        None,
    );
    engine.write_schema(Some(contents.schema), |batch| {
        for (tree, key, value) in records {
            batch.put_raw(tree, key, value.clone());
        }
        Ok(())
    })?;
    let meta = engine.verify().map_err(Rebuild::Unusable)?;
    if Tree::summed().any(|tree| meta.sums[tree.index()] != contents.sum(tree)) {
        return Err(Rebuild::Unusable("the rebuilt store does not have its records".into()));
    }
    drop(engine);
    files::sync_dir(dir)?;
    Ok(())
}
