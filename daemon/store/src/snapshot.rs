//! Snapshots: every record of the store, but those of ledgers, in one checked file.
//!
//! Format, integers little-endian: magic, format version (u32), schema (u32), number of the last change (u64),
//! time (u64, milliseconds), daemon id (string), number of trees (u32); per tree its name (string), number of
//! records (u64) and the records (key, value: bytes as stored); at the end SHA-256 of all before. A string is
//! a u16 length and UTF-8; bytes are a u32 length and the bytes.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use aivonx_domain::now;
use aivonx_protocol::UnixMillis;
use sha2::{Digest as _, Sha256};

use super::{
    StoreError, codec,
    engine::Engine,
    files,
    keeper::Unsound,
    layout::Layout,
    tree::{Sum, Tree},
};

const MAGIC: &[u8; 12] = b"AIVONX-SNAP\n";
const FORMAT: u32 = 1;
const DIGEST: usize = 32;
/// Ends the name of every snapshot file.
pub(super) const EXTENSION: &str = "snapshot";
const BEFORE_SCHEMA: &str = "before-schema";

/// Why a snapshot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// From time to time and at shutdown: the last few are kept.
    Routine,
    /// Before a migration to this schema: kept until an administrator deletes it.
    Migration(u32),
}

/// One tree in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeContents {
    pub(super) name: String,
    pub(super) records: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A snapshot that was read and found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) schema: u32,
    pub(super) seq: u64,
    pub(super) created: UnixMillis,
    pub(super) daemon: String,
    pub(super) trees: Vec<TreeContents>,
}

/// Writes a snapshot, reads it back, and only then removes routine ones beyond the newest `keep`.
///
/// # Errors
/// Also if the store itself does not check out: then nothing is written and nothing removed.
pub(super) fn take(
    engine: &Engine,
    layout: &Layout,
    daemon: &str,
    occasion: Occasion,
    keep: u32,
) -> Result<PathBuf, StoreError> {
    let contents = engine
        .quiet(|engine| collect(engine, daemon))?
        .map_err(|e| e.report(|what| StoreError::Damaged { dir: layout.dir.clone(), what }))?;
    let dir = layout.snapshots();
    files::make_dir(&dir)?;
    let time = jiff::Timestamp::from_millisecond(i64::try_from(contents.created).unwrap_or(0))
        .unwrap_or_default()
        .strftime("%Y%m%dT%H%M%S.%3fZ");
    let suffix = match occasion {
        Occasion::Routine => String::new(),
        Occasion::Migration(to) => format!("-{BEFORE_SCHEMA}-{to}"),
    };
    let path = dir.join(format!("{time}-{}{suffix}.{EXTENSION}", contents.seq));
    replace(&path, &contents)?;
    if occasion == Occasion::Routine {
        prune(&dir, keep)?;
    }
    Ok(path)
}

/// Writes a snapshot to `path`, which is as it was or whole after a crash, and reads it back before that.
pub(super) fn replace(path: &Path, contents: &Contents) -> Result<(), StoreError> {
    let temp = files::added(path, "new");
    let mut file = files::create_private(&temp)?;
    file.write_all(&render(contents))
        .and_then(|()| file.sync_all())
        .map_err(StoreError::io("write the snapshot", &temp))?;
    if read(&temp)? != *contents {
        return Err(StoreError::BadSnapshot { path: temp, what: "it does not read back as written".into() });
    }
    files::rename(&temp, path)
}

pub(super) fn collect(engine: &Engine, daemon: &str) -> Result<Contents, Unsound> {
    let meta = engine.verify()?;
    let mut trees: Vec<TreeContents> = Tree::ALL
        .into_iter()
        .map(|tree| TreeContents { name: tree.name().to_owned(), records: Vec::new() })
        .collect();
    engine.each(|tree, key, value| {
        if let Some(contents) = trees.iter_mut().find(|contents| contents.name == tree.name()) {
            contents.records.push((key.to_vec(), value.to_vec()));
        }
        Ok(())
    })?;
    Ok(Contents { schema: meta.schema, seq: meta.seq, created: now(), daemon: daemon.to_owned(), trees })
}

/// Removes what a process that was killed left half written in `dir`.
pub(super) fn remove_unfinished(dir: &Path) -> Result<(), StoreError> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(StoreError::io("list", dir))?,
    };
    for entry in entries {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        if path.to_string_lossy().ends_with(&format!(".{}.new", EXTENSION)) {
            files::remove(&path)?;
        }
    }
    files::sync_dir(dir)
}

/// Removes the routine snapshots beyond the newest `keep`; never what somebody else put there.
fn prune(dir: &Path, keep: u32) -> Result<(), StoreError> {
    let ours =
        |path: &PathBuf| seq_in_name(path).is_some() && !path.to_string_lossy().contains(BEFORE_SCHEMA);
    let routine = paths(dir)?.into_iter().filter(ours);
    for old in routine.skip(keep.max(1) as usize) {
        files::remove(&old)?;
    }
    Ok(())
}

/// Snapshot files in `dir`, newest first: by the number of the change they have, for a clock may have been wrong. None
/// if there is no such directory.
pub(super) fn paths(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io("list", dir)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        if path.extension().is_some_and(|e| e == EXTENSION) {
            found.push(path);
        }
    }
    found.sort_unstable_by_key(|path| std::cmp::Reverse((seq_in_name(path), path.clone())));
    Ok(found)
}

/// The highest number of a change that a snapshot in `dir` has by its name.
pub(super) fn newest(dir: &Path) -> Result<Option<u64>, StoreError> {
    Ok(paths(dir)?.first().and_then(|path| seq_in_name(path)))
}

/// The number of the change in the name `TIME-NUMBER[-SUFFIX].snapshot`; none in a name that somebody else gave.
fn seq_in_name(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.split('-').nth(1)?.parse().ok()
}

/// The bytes of a snapshot file.
pub(super) fn render(contents: &Contents) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let text = |out: &mut Vec<u8>, text: &str| {
        // Tree names and ids are short; a longer one would not read back, which `take` notices.
        out.extend_from_slice(&(u16::try_from(text.len()).unwrap_or(u16::MAX)).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&contents.schema.to_le_bytes());
    out.extend_from_slice(&contents.seq.to_le_bytes());
    out.extend_from_slice(&contents.created.to_le_bytes());
    text(&mut out, &contents.daemon);
    out.extend_from_slice(&(contents.trees.len() as u32).to_le_bytes());
    for tree in &contents.trees {
        text(&mut out, &tree.name);
        out.extend_from_slice(&(tree.records.len() as u64).to_le_bytes());
        for part in tree.records.iter().flat_map(|(key, value)| [key, value]) {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
    }
    let digest = Sha256::digest(&out);
    out.extend_from_slice(&digest);
    out
}

/// Reads a snapshot and checks all of it: digest, structure, and every record's checksum.
pub(super) fn read(path: &Path) -> Result<Contents, StoreError> {
    let bytes = files::open_regular(path, OpenOptions::new().read(true))
        .and_then(|mut file| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut bytes).map(|_| bytes)
        })
        .map_err(StoreError::io("read the snapshot", path))?;
    parse(&bytes).map_err(|what| StoreError::BadSnapshot { path: path.to_owned(), what })
}

fn parse(bytes: &[u8]) -> Result<Contents, String> {
    if !bytes.starts_with(MAGIC) {
        return Err("it is not an aivonx snapshot".into());
    }
    let end = bytes.len().checked_sub(DIGEST).ok_or("it is cut off")?;
    let (body, digest) = bytes.split_at(end);
    if digest != Sha256::digest(body).as_slice() {
        return Err("its digest does not match: it is cut off or was changed".into());
    }
    let mut at = Reader(body.strip_prefix(MAGIC).ok_or("it is cut off")?);
    let format = at.u32()?;
    if format != FORMAT {
        return Err(format!("it has format {format}, this aivonxd reads format {FORMAT}"));
    }
    let mut contents = Contents {
        schema: at.u32()?,
        seq: at.u64()?,
        created: at.u64()?,
        daemon: at.text()?,
        trees: Vec::new(),
    };
    for _ in 0..at.u32()? {
        let name = at.text()?;
        let mut records = Vec::new();
        for _ in 0..at.u64()? {
            let (key, value) = (at.bytes()?, at.bytes()?);
            codec::check(&name, &key, &value).map_err(|e| format!("a record of its tree \"{name}\": {e}"))?;
            records.push((key, value));
        }
        contents.trees.push(TreeContents { name, records });
    }
    match at.0.len() {
        0 => Ok(contents),
        left => Err(format!("{left} bytes are left over")),
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (head, tail) = self.0.split_at_checked(length).ok_or("it ends too early")?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let slice = self.slice(N)?;
        slice.try_into().map_err(|_| "it ends too early".to_owned())
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, String> {
        let length = self.u32()?;
        self.slice(length as usize).map(<[u8]>::to_vec)
    }

    fn text(&mut self) -> Result<String, String> {
        let length = u16::from_le_bytes(self.array()?);
        let bytes = self.slice(usize::from(length))?;
        String::from_utf8(bytes.to_vec()).map_err(|_| "a name in it is not text".to_owned())
    }
}

impl Contents {
    /// Records per tree.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        self.trees.iter().map(|tree| (tree.name.as_str(), tree.records.len()))
    }

    /// The sum of one tree, as the meta tree would have it.
    pub(super) fn sum(&self, tree: Tree) -> Sum {
        let mut sum = Sum::default();
        for contents in self.trees.iter().filter(|t| t.name == tree.name()) {
            for (key, value) in &contents.records {
                sum.add(key, value);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Contents {
        let record = |key: &[u8]| (key.to_vec(), codec::encode("node", key, 1, &"value").unwrap());
        Contents {
            schema: 1,
            seq: 9,
            created: 1,
            daemon: "d".into(),
            trees: vec![
                TreeContents { name: "node".into(), records: vec![record(b"a"), record(b"b")] },
                TreeContents { name: "setting".into(), records: Vec::new() },
            ],
        }
    }

    #[test]
    fn reads_back_and_finds_every_flip_and_cut() {
        let bytes = render(&sample());
        assert_eq!(parse(&bytes).unwrap(), sample());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            assert!(parse(&changed).is_err(), "flip at {at}");
            assert!(parse(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn snapshots_are_ordered_by_change_not_by_time() {
        let dir = tempfile::tempdir().unwrap();
        // The clock was a day ahead for the first two.
        let names = [
            "20261130T120000.000Z-7.snapshot",
            "20261130T120001.000Z-8.snapshot",
            "20261129T120000.000Z-9.snapshot",
            "20261129T120001.000Z-10-before-schema-2.snapshot",
            "20261129T120002.000Z-11.snapshot",
            "copied.snapshot",
        ];
        names.iter().for_each(|name| fs::write(dir.path().join(name), "").unwrap());
        let found = |dir: &Path| -> Vec<String> {
            let paths = paths(dir).unwrap();
            paths.iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(found(dir.path()), [names[4], names[3], names[2], names[1], names[0], names[5]]);
        prune(dir.path(), 2).unwrap();
        assert_eq!(found(dir.path()), [names[4], names[3], names[2], names[5]]);
    }

    #[test]
    fn a_length_that_promises_too_much_is_refused_under_a_right_digest() {
        let mut bytes = render(&sample());
        let body = bytes.len() - DIGEST;
        // The number of records of the last tree, the last eight bytes of the body.
        bytes[body - 8..body].copy_from_slice(&u64::MAX.to_le_bytes());
        let digest = Sha256::digest(&bytes[..body]);
        bytes[body..].copy_from_slice(&digest);
        assert_eq!(parse(&bytes), Err("it ends too early".into()));
    }
}
