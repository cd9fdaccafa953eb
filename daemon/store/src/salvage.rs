//! Reading the configuration out of a store that was set aside, and finding what of it is whole.
//!
//! A copy is read: to open a store changes it, and what was set aside is evidence. The engine may panic or hang on it,
//! so that happens in a thread of its own, with a deadline for its caller.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::MetadataExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{
    StoreError, codec,
    engine::Engine,
    files,
    layout::Layout,
    open::{self, open_engine},
    settings,
    snapshot::{Contents, TreeContents},
    tree::{Sum, Tree},
};

/// Longest silence of a store that is being read.
const SILENCE: Duration = Duration::from_secs(10);

/// What could be read of one tree.
struct Part {
    tree: Tree,
    records: Vec<(Vec<u8>, Vec<u8>)>,
    /// Records that there should be, if that is known.
    expected: Option<u64>,
    is_whole: bool,
}

enum Step {
    /// Schema, and number of the last change.
    Meta(u32, u64),
    Part(Part),
    End(Result<(), String>),
}

/// Looks whether `store` could be a store.
///
/// # Errors
/// If it could not.
pub(super) fn check(store: &Path) -> Result<(), StoreError> {
    if store.join("db").is_file() {
        return Ok(());
    }
    Err(bad(
        store,
        "there is no store in it; name a directory store.damaged-TIME or store.before-TIME".to_owned(),
    ))
}

fn bad(store: &Path, what: String) -> StoreError {
    StoreError::BadPath { path: store.to_owned(), what }
}

/// Reads all configuration of the store in `store` (a directory `store.damaged-TIME`), by way of a copy in `scratch`,
/// which is removed again.
///
/// # Errors
/// If the store does not have all of it, with what is whole, cut or gone.
pub(super) fn read(store: &Path, scratch: &Path) -> Result<Contents, StoreError> {
    let made = copy(store, &scratch.join("store")).and_then(|()| read_copy(scratch));
    let removed = files::remove_dir(scratch);
    let (meta, parts, end) = made?;
    removed?;
    let daemon = parts.iter().filter(|part| part.tree == Tree::Setting).find_map(|part| {
        let (key, value) = part.records.iter().find(|(key, _)| key == settings::DAEMON_ID)?;
        codec::decode(part.tree.name(), key, part.tree.version(), value).ok()
    });
    let is_whole =
        Tree::ALL.into_iter().all(|tree| parts.iter().any(|part| part.tree == tree && part.is_whole));
    let ((schema, seq), daemon) = match (meta, daemon) {
        (Some(meta), Some(daemon)) if is_whole => (meta, daemon),
        _ => return Err(bad(store, verdict(&parts, end))),
    };
    let written = fs::metadata(store.join("db")).map_err(StoreError::io("look at", store))?.mtime();
    let trees = parts
        .into_iter()
        .map(|part| TreeContents { name: part.tree.name().to_owned(), records: part.records });
    let created = u64::try_from(written).unwrap_or(0).saturating_mul(1000);
    Ok(Contents { schema, seq, created, daemon, trees: trees.collect() })
}

type Read = (Option<(u32, u64)>, Vec<Part>, Option<String>);

fn read_copy(scratch: &Path) -> Result<Read, StoreError> {
    let (steps, taken) = mpsc::channel();
    let layout = Layout::new(scratch);
    thread::Builder::new()
        .name(open::GUARDED.into())
        .spawn(move || {
            let read = catch_unwind(AssertUnwindSafe(|| read_parts(&layout, &steps)));
            // If nobody waits any more, the process is on its way out.
            let _ = steps.send(Step::End(read.unwrap_or_else(|panic| Err(open::panic_text(&*panic)))));
        })
        .map_err(StoreError::io("start a thread to read", scratch))?;
    let (mut meta, mut parts) = (None, Vec::new());
    loop {
        match taken.recv_timeout(SILENCE) {
            Ok(Step::Meta(schema, seq)) => meta = Some((schema, seq)),
            Ok(Step::Part(part)) => parts.push(part),
            Ok(Step::End(end)) => return Ok((meta, parts, end.err())),
            Err(_) => return Ok((meta, parts, Some("reading it came to no end".into()))),
        }
    }
}

fn read_parts(layout: &Layout, steps: &mpsc::Sender<Step>) -> Result<(), String> {
    let engine = open_engine(layout, 0).map_err(|e| match e {
        StoreError::Damaged { what, .. } => what,
        other => other.to_string(),
    })?;
    if let Some(tree) = engine.foreign_tree().map_err(|e| e.to_string())? {
        return Err(format!("it has a tree \"{tree}\" that this aivonxd does not know"));
    }
    let meta = engine.meta();
    if let Ok(meta) = &meta {
        let _ = steps.send(Step::Meta(meta.schema, meta.seq));
    }
    for tree in Tree::ALL {
        let expected = meta.as_ref().ok().map(|meta| meta.sums[tree.index()]);
        let _ = steps.send(Step::Part(part(&engine, tree, expected)));
    }
    meta.map(drop).map_err(|e| e.to_string())
}

/// The records of a tree whose checksums are right, up to where the engine can go no further.
fn part(engine: &Engine, tree: Tree, expected: Option<Sum>) -> Part {
    let mut records = Vec::new();
    let mut sum = Sum::default();
    // That the engine panics shows in the sum.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        for (key, value) in engine.scan(tree).map_while(Result::ok) {
            if codec::check(tree.name(), &key, &value).is_ok() {
                sum.add(&key, &value);
                records.push((key, value));
            }
        }
    }));
    Part { tree, records, expected: expected.map(|sum| sum.count), is_whole: expected == Some(sum) }
}

/// What of it can be read, in words.
fn verdict(parts: &[Part], end: Option<String>) -> String {
    let mut text = "its configuration is not whole, so it is not put back".to_owned();
    for part in parts {
        let Some(name) = part.tree.plural() else { continue };
        let found = part.records.len();
        // Into a String it cannot fail.
        let _ = match (part.is_whole, part.expected) {
            (true, _) => write!(text, "\n  {name}: whole ({found})"),
            (false, Some(expected)) if found == 0 => write!(text, "\n  {name}: gone ({expected})"),
            (false, Some(expected)) => write!(text, "\n  {name}: cut, {found} of {expected} can be read"),
            (false, None) => write!(text, "\n  {name}: {found} can be read, of how many is not known"),
        };
    }
    if parts.is_empty() {
        text += "\n  nothing of it can be read";
    }
    if let Some(end) = end {
        let _ = write!(text, "\n  {end}");
    }
    text + "\nPut a snapshot back instead: see `aivonxd recover --list`"
}

/// Copies the files of a store.
fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    files::make_dir(to)?;
    for entry in fs::read_dir(from).map_err(StoreError::io("list", from))? {
        let path = entry.map_err(StoreError::io("list", from))?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy(&path, &to.join(name))?;
        } else if files::in_place_of_file(&path).is_none() {
            fs::copy(&path, to.join(name)).map_err(StoreError::io("copy", &path))?;
        }
    }
    Ok(())
}
