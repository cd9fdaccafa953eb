//! Settings taken from the embedded store to a database and back, and a database taken over for another data directory.
//! Works without a daemon; everything here blocks.

use std::{fs, path::Path, path::PathBuf, sync::Arc};

use super::{
    StoreError,
    backend::sled::Sled,
    database::Server,
    engine::{Engine, Meta},
    files,
    keeper::damage,
    layout::{Layout, Lock},
    marker::{Acknowledged, Commit, Found, Marker, State},
    migrate::SCHEMAS,
    open,
    recover::{self, Rebuild, Summary},
    settings, snapshot,
    snapshot::Contents,
    swap,
    tree::{Tree, no_sums},
    whole,
};

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The records, each compared after it was written.
    pub summary: Summary,
    /// The embedded store that was there: the one that was read, or one that stood in the way of another.
    pub kept: Option<PathBuf>,
}

/// Moves the settings of the data directory `dir` from its embedded store into a database, which holds none yet or may
/// lose them (`replace`). The store is kept beside, under another name.
///
/// # Errors
/// If the directory is in use, its store not whole, or the database not empty; if what is read back differs. The
/// directory is as it was then.
pub fn to_database(dir: &Path, server: Server, replace: bool) -> Result<Moved, StoreError> {
    let claim = claim(dir)?;
    let layout = &claim.layout;
    let marker = marker(layout)?;
    if marker.database.is_some() {
        return Err(refused(format!("the settings of {} are in PostgreSQL already", dir.display())));
    }
    open::check_db(layout)?;
    let (source, damaged) = (open::open_engine(layout, 0)?, damage(dir, None));
    let contents = read(&source, layout, &marker, &damaged)?;
    let owner = uuid::Uuid::new_v4().to_string();
    let found = server.engine_to_read()?.backend().spaces()?;
    if !found.is_empty() && !replace {
        return Err(refused(format!(
            "{} holds settings already; give an empty database, or add --replace to have them removed",
            server.name()
        )));
    }
    let target = server.engine_alone(dir, &owner)?;
    found.iter().try_for_each(|space| target.backend().clear(space))?;
    let before = Meta { schema: contents.schema, seq: contents.seq.saturating_sub(1), sums: no_sums() };
    target.start(&before, None);
    target.write_schema(Some(contents.schema), |batch| {
        for (tree, records) in contents.trees.iter().filter_map(|t| Some((Tree::named(&t.name)?, &t.records)))
        {
            records.iter().for_each(|(key, value)| batch.put_raw(tree, key, value.clone()));
        }
        Ok(())
    })?;
    finish(&source, &target, &contents)?;
    Marker { database: Some(owner), ..marker }.write(&layout.marker())?;
    drop(source);
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ");
    let kept = files::added(&layout.store(), &format!("moved-{stamp}"));
    files::rename(&layout.store(), &kept)?;
    Ok(Moved { summary: recover::summary(&contents, None), kept: Some(kept) })
}

/// Moves the settings of the data directory `dir` from the database back into an embedded store. They stay in the
/// database as they are.
///
/// # Errors
/// As of [`to_database`].
pub fn to_sled(dir: &Path, server: Server) -> Result<Moved, StoreError> {
    let claim = claim(dir)?;
    let layout = &claim.layout;
    let marker = marker(layout)?;
    let Some(owner) = &marker.database else {
        return Err(refused(format!("the settings of {} are in its embedded store already", dir.display())));
    };
    let server = Arc::new(server);
    let (source, damaged) = (server.engine(dir, owner)?, damage(dir, Some(&server)));
    let contents = read(&source, layout, &marker, &damaged)?;
    let fresh = layout.restoring();
    recover::rebuild(&fresh, &contents, contents.seq).map_err(|e| match e {
        Rebuild::Unusable(what) => damaged(what),
        Rebuild::Store(e) => e,
    })?;
    let target = Engine::over(Sled::open(&fresh, 0)?);
    finish(&source, &target, &contents)?;
    drop(target);
    let reached =
        recover::reached(layout)?.or(source.ledgers().map_err(|e| e.report(damaged))?).unwrap_or_default();
    let reached = Acknowledged { seq: contents.seq, ..reached };
    swap::seal(layout, &Marker { database: None, ..marker }, reached)?;
    let kept = swap::finish(layout)?.and_then(|placed| placed.set_aside);
    Ok(Moved { summary: recover::summary(&contents, None), kept })
}

/// Has the member with the data directory `dir` go on with the settings in its database as they are, though it knows of
/// later ones; what the directory acknowledged and the database lacks is given up. From another process that is this member
/// only by `force`. Returns what the database holds, and how many changes it lacks.
///
/// # Errors
/// If the directory is no member's or in use, or if the database is empty, or not whole.
pub fn take_over(dir: &Path, server: Server, force: bool) -> Result<Summary, StoreError> {
    let layout = Layout::new(dir);
    layout.prepare()?;
    let _lock = Lock::take(&layout)?;
    whole::check_complete(&layout)?;
    let server = Arc::new(server);
    let damaged = damage(dir, Some(&server));
    let known = match Marker::read(&layout.marker())? {
        Found::Marker(Marker { state: State::Creating, .. }) => return Err(new(dir, &server)),
        Found::Marker(marker) => marker,
        Found::Absent if layout.is_ours() => {
            return Err(damaged("the file STORE of the data directory is missing".into()));
        }
        Found::Absent => return Err(new(dir, &server)),
        Found::Damaged(why) => {
            return Err(damaged(format!("the file STORE of the data directory cannot be read: {why}")));
        }
    };
    let Some(id) = known.database.clone() else {
        return Err(refused(format!(
            "{} has settings in an embedded store of its own; name a new directory with data_dir, or move these with \
             `aivonxd move`",
            dir.display()
        )));
    };
    let looked = server.engine_to_read()?;
    let daemon: Option<String> = looked.get(Tree::Setting, settings::DAEMON_ID)?;
    let Some(daemon) = daemon else {
        return Err(refused(format!("{} holds no settings: there is nothing to take over", server.name())));
    };
    if known.daemon != daemon {
        return Err(refused(format!(
            "{} holds the settings of another gateway than {}; name a new directory with data_dir",
            server.name(),
            dir.display()
        )));
    }
    looked.verify_shared().map_err(|e| e.report(&damaged))?;
    let engine = server.engine_taken_over(dir, &id, force)?;
    let contents =
        engine.quiet(|engine| snapshot::collect(engine, &daemon))?.map_err(|e| e.report(damaged))?;
    let acknowledged = recover::reached(&layout)?;
    let summary = recover::summary(&contents, acknowledged.map(|reached| reached.seq));
    files::make_dir(&layout.snapshots())?;
    if let Some(reached) = acknowledged {
        Commit::create(&layout.commit(), Acknowledged { seq: contents.seq, ..reached })?;
    }
    let marker = Marker { schema: contents.schema, daemon, state: State::Ready, database: Some(id) };
    marker.write(&layout.marker())?;
    Ok(summary)
}

/// A data directory with a store that nobody uses.
fn claim(dir: &Path) -> Result<recover::Claim, StoreError> {
    let layout = Layout::new(dir);
    if !recover::is_store(dir) || fs::symlink_metadata(layout.half_restored()).is_ok() {
        whole::check_complete(&layout)?;
        return Err(refused(format!("{} holds no store; name its directory with data_dir", dir.display())));
    }
    recover::Claim::lay(dir)
}

fn marker(layout: &Layout) -> Result<Marker, StoreError> {
    match Marker::read(&layout.marker())? {
        Found::Marker(marker) if marker.state == State::Ready => Ok(marker),
        _ => Err(refused(format!(
            "the store in {} is not whole; start aivonxd to see why",
            layout.dir.display()
        ))),
    }
}

/// Everything that `source` holds, if it is all there.
fn read(
    source: &Engine,
    layout: &Layout,
    marker: &Marker,
    damaged: &impl Fn(String) -> StoreError,
) -> Result<Contents, StoreError> {
    let contents = snapshot::collect(source, &marker.daemon).map_err(|e| e.report(damaged))?;
    open::check_belongs(source, &marker.daemon, damaged)?;
    if contents.schema != SCHEMAS.current {
        return Err(refused(format!(
            "the settings have schema {}, and this aivonxd writes schema {}; start it once with them as they are, then move \
             them",
            contents.schema, SCHEMAS.current
        )));
    }
    match recover::reached(layout)? {
        Some(reached) if reached.seq > contents.seq => Err(damaged(open::behind(reached.seq, contents.seq))),
        _ => Ok(contents),
    }
}

/// Takes along how far the ledgers went, and compares what `target` holds with what was read, record by record.
fn finish(source: &Engine, target: &Engine, contents: &Contents) -> Result<(), StoreError> {
    if let Some(reached) = source.ledgers().map_err(|e| e.report(StoreError::Engine))? {
        target.note_ledgers(&reached)?;
    }
    let differs =
        |what: &str| StoreError::Engine(format!("{what} was read back otherwise than it was written"));
    let written = snapshot::collect(target, &contents.daemon).map_err(|e| e.report(StoreError::Engine))?;
    if (written.schema, written.seq) != (contents.schema, contents.seq) {
        return Err(differs("the number of the last change"));
    }
    for (old, new) in contents.trees.iter().zip(&written.trees) {
        if old != new {
            return Err(differs(&format!("the tree \"{}\"", old.name)));
        }
    }
    Ok(())
}

/// A new data directory takes nothing over.
fn new(dir: &Path, server: &Server) -> StoreError {
    refused(format!(
        "{} is new: start aivonxd with it, and it joins the members of {}",
        dir.display(),
        server.name()
    ))
}

fn refused(text: String) -> StoreError {
    StoreError::DatabaseRefused(text)
}
