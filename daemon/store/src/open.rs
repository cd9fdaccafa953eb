//! Opening a store that may be damaged.
//!
//! sled panics on some damage, spins for ever on other, and silently loses records on a third. So the open
//! and the verification run in a thread of their own under a deadline, panics are caught, and nothing is
//! believed that the checksums, sums and markers do not confirm.

use std::{
    any::Any,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use aivonx_config::StoreOptions;
use aivonx_protocol::Untrusted;
use tokio::sync::oneshot;

use super::{
    StoreError,
    backend::sled::Sled,
    database::Server,
    engine::{Engine, Meta},
    files,
    keeper::{Keeper, damage, join},
    layout::{Layout, Lock},
    ledgers::Ledgers,
    losses::{self, NotedLoss},
    marker::{Acknowledged, Commit, Found, Marker, State},
    member::MemberState,
    migrate::Schemas,
    room, settings, snapshot,
    snapshot::Occasion,
    swap,
    tree::Tree,
    whole,
};

/// A store that is open and verified.
pub(super) struct Opened {
    pub(super) engine: Engine,
    pub(super) layout: Layout,
    pub(super) lock: Lock,
    pub(super) daemon: String,
    /// The id of the settings in the database, if that keeps them.
    pub(super) database: Option<String>,
    /// Where the engine and the ledgers note what they acknowledge.
    pub(super) commit: Arc<Commit>,
    pub(super) ledgers: Ledgers,
    /// What the ledgers lack, and have lacked for a while.
    pub(super) lost: Vec<NotedLoss>,
}

/// Opens, verifies and migrates, under the deadline of `options`.
pub(super) async fn open(
    dir: &Path,
    options: &StoreOptions,
    server: Option<Arc<Server>>,
    schemas: Schemas,
) -> Result<Opened, StoreError> {
    let deadline = deadline(options, server.as_ref());
    let (path, keeper) = (dir.to_owned(), Keeper { cache_bytes: options.cache_bytes, server });
    let opened = guarded(dir, deadline, move || open_verified(&path, &keeper, schemas)).await?;
    tokio::task::spawn_blocking(move || opened.migrate(schemas))
        .await
        .map_err(|e| StoreError::Panicked(e.to_string()))?
}

/// The embedded store may never end. What is asked of a database has its own limit of time each, and much may be asked.
fn deadline(options: &StoreOptions, server: Option<&Arc<Server>>) -> Option<Duration> {
    server.is_none().then_some(options.open_deadline)
}

/// Opens the store in `dir` by `open`, which may panic on damage, or never return.
async fn guarded<T: Send + 'static>(
    dir: &Path,
    deadline: Option<Duration>,
    open: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (send, receive) = oneshot::channel();
    let path = dir.to_owned();
    // Not a worker of the runtime: the runtime waits for its workers at exit, and this one may never end.
    thread::Builder::new()
        .name("store-open".into())
        .spawn(move || {
            let opened = catch_unwind(AssertUnwindSafe(open))
                .unwrap_or_else(|panic| Err(StoreError::Damaged { dir: path, what: panic_text(&*panic) }));
            // If nobody waits any more, it was given up.
            let _ = send.send(opened);
        })
        .map_err(StoreError::io("start a thread to open", dir))?;
    let received = match deadline {
        Some(deadline) => tokio::time::timeout(deadline, receive)
            .await
            .map_err(|_| StoreError::OpenTimedOut { dir: dir.to_owned(), deadline })?,
        None => receive.await,
    };
    received
        .unwrap_or_else(|_| Err(StoreError::Panicked("the opening thread ended without an answer".into())))
}

/// Opens a second engine beside one that has failed, and verifies it.
///
/// The first may hang for ever, with its lock on the file `db` and threads that may still write to it. Both belong to
/// the file, not to its name: a copy under that name is free, and the other goes with the process.
pub(super) async fn open_beside(
    layout: &Layout,
    lock: Arc<Lock>,
    marker: &Marker,
    server: Option<Arc<Server>>,
    commit: Arc<Commit>,
    options: &StoreOptions,
) -> Result<Engine, StoreError> {
    let (of, marker, cache) = (layout.clone(), marker.clone(), options.cache_bytes);
    guarded(&layout.dir, deadline(options, server.as_ref()), move || {
        // Held to the end: nobody else may use the directory before, though the store is closed meanwhile.
        let _lock = lock;
        let damaged = damage(&of.dir, server.as_ref());
        let engine = match (&server, &marker.database) {
            (Some(server), Some(database)) => server.engine(&of.dir, database)?,
            _ => {
                check_db(&of)?;
                files::replace_by_copy(&of.db())?;
                open_engine(&of, cache)?
            }
        };
        let meta = engine.verify_shared().map_err(|e| e.report(&damaged))?;
        check_belongs(&engine, &marker.daemon, &damaged)?;
        let acknowledged = commit.reached().seq;
        if acknowledged > meta.seq {
            return Err(damaged(behind(acknowledged, meta.seq)));
        }
        let noted = commit.advance(true, |to| to.seq = meta.seq);
        noted.map_err(StoreError::io("write", &of.commit()))?;
        engine.start(&meta, Some(commit));
        Ok(engine)
    })
    .await
}

/// There must be an engine's file to open: sled would make a new, empty one.
pub(super) fn check_db(layout: &Layout) -> Result<(), StoreError> {
    let damaged = |what: &str| StoreError::Damaged { dir: layout.dir.clone(), what: what.to_owned() };
    if let Some(what) = files::in_place_of_file(&layout.db()) {
        return Err(damaged(&format!("its file store/db is {what}, not a regular file")));
    }
    match fs::metadata(layout.db()) {
        Ok(meta) if meta.len() == 0 => Err(damaged("its file store/db is empty")),
        Ok(_) => Ok(()),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(damaged("its file store/db is missing"))
        }
        Err(e) => Err(StoreError::io("look at", &layout.db())(e)),
    }
}

/// Refuses what a later build wrote.
fn check_known(engine: &Engine, dir: &Path, meta: &Meta, schemas: Schemas) -> Result<(), StoreError> {
    if meta.schema > schemas.current {
        return Err(StoreError::NewerSchema {
            dir: dir.to_owned(),
            found: meta.schema,
            known: schemas.current,
        });
    }
    match engine.foreign_tree()? {
        Some(tree) => Err(StoreError::NewerTree { dir: dir.to_owned(), tree }),
        None => Ok(()),
    }
}

pub(super) fn check_belongs(
    engine: &Engine,
    daemon: &str,
    damaged: &impl Fn(String) -> StoreError,
) -> Result<(), StoreError> {
    let found: Option<String> = engine.get(Tree::Setting, settings::DAEMON_ID)?;
    if found.as_deref() == Some(daemon) {
        return Ok(());
    }
    Err(damaged("its file STORE belongs to another store".into()))
}

pub(super) fn behind(acknowledged: u64, there: u64) -> String {
    format!(
        "its last {} changes are missing: {acknowledged} were acknowledged, {there} are there",
        acknowledged - there
    )
}

/// A store that is verified, whose schema may be older.
struct Verified {
    opened: Opened,
    meta: Meta,
}

fn open_verified(dir: &Path, keeper: &Keeper, schemas: Schemas) -> Result<Verified, StoreError> {
    let layout = Layout::new(dir);
    layout.prepare()?;
    // A full disk takes no lock either; that there is no room says more.
    let lock = Lock::take(&layout)
        .or_else(|e| if e.wants_room() { room::look(&layout).and(Err(e)) } else { Err(e) })?;
    room::look(&layout)?;
    whole::check_complete(&layout)?;
    files::remove_dir(&layout.staged())?;
    if swap::finish(&layout)?.is_some() {
        tracing::warn!(dir = %dir.display(), "a recovery of the store that was interrupted is finished");
    }
    let damaged = |what: String| StoreError::Damaged { dir: dir.to_owned(), what };
    if let Some((path, what)) = layout.misplaced() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return Err(damaged(format!("its file {name} is {what}, not a regular file")));
    }
    if let Some((path, what)) = layout.misplaced_ledgers().into_iter().next() {
        let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
        return Err(damaged(format!(
            "{name} is {what}, not a directory; move it away or put the right one back, or let `aivonxd recover` set it \
             aside"
        )));
    }
    match Marker::read(&layout.marker())? {
        Found::Absent if layout.is_ours() => Err(damaged("its file STORE is missing".into())),
        Found::Absent => create(layout, lock, uuid::Uuid::new_v4().to_string(), None, keeper, schemas),
        Found::Damaged(why) => Err(damaged(format!("its file STORE cannot be read: {why}"))),
        Found::Marker(marker) if marker.schema > schemas.current => {
            Err(StoreError::NewerSchema { dir: dir.to_owned(), found: marker.schema, known: schemas.current })
        }
        Found::Marker(Marker { state: State::Creating, daemon, database, .. }) => {
            tracing::warn!(dir = %dir.display(), "the store was never finished, it is made anew");
            create(layout, lock, daemon, database, keeper, schemas)
        }
        Found::Marker(marker) => {
            keeper.check(dir, &marker)?;
            open_existing(layout, lock, &marker, keeper, schemas)
        }
    }
}

fn create(
    layout: Layout,
    lock: Lock,
    daemon: String,
    database: Option<String>,
    keeper: &Keeper,
    schemas: Schemas,
) -> Result<Verified, StoreError> {
    let database =
        keeper.server.as_ref().map(|_| database.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()));
    let marker = Marker { schema: schemas.current, daemon, state: State::Creating, database };
    marker.write(&layout.marker())?;
    let store = layout.store();
    // Left by an attempt that did not come to its end: nothing in it was ever acknowledged.
    files::remove_dir(&store)?;
    files::remove_dir(&layout.ledgers())?;
    files::make_dir(&layout.snapshots())?;
    let engine = match (&keeper.server, &marker.database) {
        (Some(server), Some(database)) => server.engine(&layout.dir, database)?,
        _ => {
            files::make_dir(&store)?;
            Engine::over(Sled::open(&store, keeper.cache_bytes)?)
        }
    };
    let nothing = Acknowledged::default();
    let daemon = join(&engine, &marker.daemon, schemas.current)?;
    if marker.database.is_none() {
        Sled::sync_new(&store)?;
    }
    files::sync_dir(&layout.dir)?;
    let meta = engine.verify_shared().map_err(|e| e.report(damage(&layout.dir, keeper.server.as_ref())))?;
    check_known(&engine, &layout.dir, &meta, schemas)?;
    let commit = Arc::new(Commit::create(
        &layout.commit(),
        Acknowledged { seq: meta.seq, ..Acknowledged::default() },
    )?);
    let (ledgers, _) = Ledgers::open(&layout, &daemon, Some(nothing), Some(&commit))?;
    ledgers.acknowledge(1)?;
    engine.start(&meta, Some(commit.clone()));
    let marker = Marker { state: State::Ready, daemon, schema: meta.schema, ..marker };
    marker.write(&layout.marker())?;
    let Marker { daemon, database, .. } = marker;
    let opened = Opened { engine, layout, lock, daemon, database, commit, ledgers, lost: Vec::new() };
    Ok(Verified { opened, meta })
}

fn open_existing(
    layout: Layout,
    lock: Lock,
    marker: &Marker,
    keeper: &Keeper,
    schemas: Schemas,
) -> Result<Verified, StoreError> {
    let dir = layout.dir.clone();
    let damaged = damage(&dir, keeper.server.as_ref());
    let engine = match (&keeper.server, &marker.database) {
        (Some(server), Some(database)) => server.engine(&dir, database)?,
        _ => {
            check_db(&layout)?;
            open_engine(&layout, keeper.cache_bytes)?
        }
    };
    let meta = engine.verify_shared().map_err(|e| e.report(&damaged))?;
    if fs::symlink_metadata(layout.snapshots()).is_ok()
        && let Some(what) = files::in_place_of_dir(&layout.snapshots())
    {
        // The store itself is whole, and no snapshot would help.
        let what = format!(
            "it is {what}, not a directory; put that of the snapshots back, or move this away and another is made"
        );
        return Err(StoreError::BadPath { path: layout.snapshots(), what });
    }
    snapshot::remove_unfinished(&layout.snapshots())?;
    check_known(&engine, &dir, &meta, schemas)?;
    if meta.schema < marker.schema {
        return Err(damaged(format!(
            "it is at schema {}, but has been at schema {} before: it is an older state",
            meta.schema, marker.schema
        )));
    }
    check_belongs(&engine, &marker.daemon, &damaged)?;
    let acknowledged = Commit::read(&layout.commit())?;
    match acknowledged {
        Some(Acknowledged { seq, .. }) if seq > meta.seq => {
            return Err(damaged(behind(seq, meta.seq)));
        }
        Some(_) => {}
        None => tracing::warn!(
            dir = %dir.display(),
            "the file COMMIT was missing or damaged and is written anew"
        ),
    }
    let own = engine.ledgers().map_err(|e| e.report(&damaged))?;
    // Until all losses of the ledgers are noted, the number of the run shows that they are not.
    let reached = Acknowledged { seq: meta.seq, ..acknowledged.unwrap_or_default() };
    let commit = Arc::new(Commit::create(&layout.commit(), reached)?);
    let known = acknowledged.map(|known| own.map_or(known, |own| known.join(&own))).or(own);
    let (ledgers, lost) = Ledgers::open(&layout, &marker.daemon, known, Some(&commit))?;
    engine.start(&meta, Some(commit.clone()));
    let told = losses::told_by(acknowledged.as_ref(), own.as_ref());
    let lost = losses::keep(&engine, told.into_iter().chain(lost).collect())?;
    let run = [acknowledged, own].into_iter().flatten().map(|known| known.run).max().unwrap_or(0) + 1;
    ledgers.acknowledge(run)?;
    let (daemon, database) = (marker.daemon.clone(), marker.database.clone());
    let opened = Opened { engine, layout, lock, daemon, database, commit, ledgers, lost };
    if meta.schema > marker.schema {
        // A migration was interrupted after its last transaction.
        opened.write_marker(meta.schema)?;
    }
    Ok(Verified { opened, meta })
}

/// The only directory in the engine's own.
const BLOBS: &str = "blobs";

/// Opens sled; a damaged page table snapshot of sled's is set aside once, the log has everything.
pub(super) fn open_engine(layout: &Layout, cache_bytes: u64) -> Result<Engine, StoreError> {
    let store = layout.store();
    // The engine would wait for the other end of a pipe for ever.
    for path in sled_files(&store, |name| name != BLOBS)? {
        if let Some(what) = files::in_place_of_file(&path) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let what = format!("its file store/{name} is {what}, not a regular file");
            return Err(StoreError::Damaged { dir: layout.dir.clone(), what });
        }
    }
    for path in sled_files(&store, |name| name.starts_with("snap.") && name.ends_with(".generating"))? {
        tracing::warn!(file = %path.display(), "removed a file of the storage engine that was never finished");
        fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
    }
    let mut set_aside = false;
    let mut locked_since = None;
    loop {
        let tried = catch_unwind(AssertUnwindSafe(|| Sled::open(&store, cache_bytes)));
        let what = match tried {
            Ok(Ok(sled)) => return Ok(Engine::over(sled)),
            Ok(Err(sled::Error::Io(e))) if e.to_string().contains("could not acquire lock") => {
                // We hold the directory's lock: it is an engine of this process on its way out.
                let since: &Instant = locked_since.get_or_insert_with(Instant::now);
                if since.elapsed() < Duration::from_secs(5) {
                    thread::sleep(Duration::from_millis(20));
                    continue;
                }
                return Err(StoreError::InUse { dir: layout.dir.clone(), pid: None });
            }
            Ok(Err(sled::Error::Io(e)))
                if matches!(
                    e.kind(),
                    io::ErrorKind::PermissionDenied
                        | io::ErrorKind::StorageFull
                        | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                return Err(StoreError::io("open the store in", &store)(e));
            }
            Ok(Err(sled::Error::Corruption { .. })) => {
                "the storage engine finds its files corrupted".to_owned()
            }
            Ok(Err(sled::Error::ReportableBug(_))) => UNREADABLE.to_owned(),
            Ok(Err(e)) => e.to_string(),
            Err(panic) => panic_text(&*panic),
        };
        let snaps = sled_files(&store, |name| name.starts_with("snap."))?;
        if set_aside || snaps.is_empty() {
            return Err(StoreError::Damaged { dir: layout.dir.clone(), what });
        }
        set_aside = true;
        let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        for path in snaps {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let aside = store.join(format!("aside-{stamp}.{name}"));
            tracing::warn!(
                file = %path.display(), aside = %aside.display(), reason = %what,
                "the store did not open; its page table is set aside and rebuilt from the log"
            );
            fs::rename(&path, &aside).map_err(StoreError::io("set aside", &path))?;
        }
    }
}

fn sled_files(store: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<std::path::PathBuf>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(store).map_err(StoreError::io("list", store))? {
        let entry = entry.map_err(StoreError::io("list", store))?;
        if entry.file_name().to_str().is_some_and(&wanted) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

impl Verified {
    fn migrate(self, schemas: Schemas) -> Result<Opened, StoreError> {
        let Self { opened, meta } = self;
        let Opened { engine, layout, daemon, ledgers, .. } = &opened;
        if meta.schema == schemas.current {
            // An earlier migration may not have come to that.
            engine.drop_old_trees()?;
            return Ok(opened);
        }
        let others = engine.backend().members()?;
        if let Some(other) = others
            .iter()
            .find(|other| other.state == MemberState::Serving && Some(&other.id) != opened.database.as_ref())
        {
            return Err(StoreError::DatabaseRefused(format!(
                "the settings in the database have schema {}, and this aivonxd writes schema {}, which the member {} does \
                 not know; stop all members of the older version first",
                meta.schema,
                schemas.current,
                Untrusted::new(&other.name)
            )));
        }
        let backup = snapshot::take(engine, layout, daemon, Occasion::Migration(schemas.current), 0)?;
        tracing::warn!(from = meta.schema, to = schemas.current, backup = %backup.display(), "migrating the store");
        for step in schemas.from(meta.schema) {
            engine.write_schema(Some(step.to), |batch| (step.run)(batch, ledgers)).map_err(|e| {
                StoreError::Migration { to: step.to, reason: e.to_string(), backup: backup.clone() }
            })?;
            opened.write_marker(step.to)?;
        }
        engine.drop_old_trees()?;
        Ok(opened)
    }
}

impl Opened {
    fn write_marker(&self, schema: u32) -> Result<(), StoreError> {
        let (daemon, database) = (self.daemon.clone(), self.database.clone());
        Marker { schema, daemon, state: State::Ready, database }.write(&self.layout.marker())
    }
}

/// Name of the threads in which the engine may panic on damage without that being a mistake of this build.
pub(super) const GUARDED: &str = "store-read";

const UNREADABLE: &str = "the storage engine cannot read its files";

/// The text for damage on which the engine panicked. The engine's own words would not help an administrator.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    tracing::debug!(panic = panic_message(panic), "{UNREADABLE}");
    UNREADABLE.to_owned()
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}
