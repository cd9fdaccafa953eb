//! The two small files outside the engine that tell when the engine's own files were lost or rolled back:
//! `STORE` (schema, daemon id, state) and `COMMIT` (how far what was acknowledged goes).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::{StoreError, files};

/// How far the making of a store came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not finished: nothing in it was ever acknowledged.
    Creating,
    /// In use.
    Ready,
}

/// What `STORE` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) schema: u32,
    pub(super) daemon: String,
    pub(super) state: State,
}

/// What was found in place of a marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Marker(Marker),
    Absent,
    /// It is there and not readable as one; with the reason.
    Damaged(&'static str),
}

const TITLE: &str = "aivonx store";

impl Marker {
    fn render(&self) -> String {
        let state = match self.state {
            State::Creating => "creating",
            State::Ready => "ready",
        };
        let text = format!(
            "{TITLE}\nDo not edit or delete: without this file the store is refused.\nschema {}\ndaemon {}\nstate {state}\n",
            self.schema, self.daemon
        );
        let check = check(&text);
        format!("{text}check {check}\n")
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let body = text.strip_suffix('\n').ok_or("its end is missing")?;
        let (body, last) = body.rsplit_once('\n').ok_or("its end is missing")?;
        let body = format!("{body}\n");
        if last.strip_prefix("check ") != Some(check(&body).as_str()) {
            return Err("its check line does not match");
        }
        let field = |name: &str| {
            body.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .ok_or("a line is missing")
        };
        if !body.starts_with(TITLE) {
            return Err("its title is wrong");
        }
        Ok(Self {
            schema: field("schema")?.parse().map_err(|_| "its schema is no number")?,
            daemon: field("daemon")?.to_owned(),
            state: match field("state")? {
                "creating" => State::Creating,
                "ready" => State::Ready,
                _ => return Err("its state is unknown"),
            },
        })
    }

    pub(super) fn read(path: &Path) -> Result<Found, StoreError> {
        match fs::read(path) {
            Ok(bytes) => Ok(String::from_utf8(bytes)
                .map_err(|_| "it is not text")
                .and_then(|text| Self::parse(&text))
                .map_or_else(Found::Damaged, Found::Marker)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::Absent),
            Err(e) => Err(StoreError::io("read", path)(e)),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), StoreError> {
        files::replace(path, self.render().as_bytes())
    }
}

fn check(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}

const SLOT: usize = 64;
const MAGIC: &[u8; 8] = b"AVXSEQ2\n";

/// How far what was acknowledged goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Acknowledged {
    /// Number of the last change of the configuration trees.
    pub(super) seq: u64,
    /// Groups appended to the ledgers.
    pub(super) groups: u64,
    /// Number of the last audit entry.
    pub(super) audited: u64,
}

/// What was acknowledged, in two slots written in turn: a torn write leaves the other.
#[derive(Debug)]
pub(super) struct Commit {
    file: File,
    slot: u64,
}

impl Commit {
    /// What the file at `path` says; None if there is none that can be read.
    pub(super) fn read(path: &Path) -> Result<Option<Acknowledged>, StoreError> {
        match fs::read(path) {
            Ok(bytes) => Ok(bytes.chunks(SLOT).take(2).filter_map(parse_slot).max()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("read", path)(e)),
        }
    }

    /// Writes it anew and keeps the file open for [`Self::advance`].
    pub(super) fn create(path: &Path, to: Acknowledged) -> Result<Self, StoreError> {
        let mut bytes = slot_bytes(to).to_vec();
        bytes.extend_from_slice(&slot_bytes(to));
        files::replace(path, &bytes)?;
        let file =
            OpenOptions::new().write(true).mode(0o600).open(path).map_err(StoreError::io("open", path))?;
        Ok(Self { file, slot: 0 })
    }

    /// Records that everything up to `to` was acknowledged; durable when it returns.
    pub(super) fn advance(&mut self, to: Acknowledged) -> io::Result<()> {
        self.file.write_all_at(&slot_bytes(to), self.slot * SLOT as u64)?;
        self.file.sync_data()?;
        self.slot ^= 1;
        Ok(())
    }
}

/// Magic, the three numbers and a checksum, little-endian; the rest is zero.
fn slot_bytes(to: Acknowledged) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..8].copy_from_slice(MAGIC);
    slot[8..16].copy_from_slice(&to.seq.to_le_bytes());
    slot[16..24].copy_from_slice(&to.groups.to_le_bytes());
    slot[24..32].copy_from_slice(&to.audited.to_le_bytes());
    let crc = crc32fast::hash(&slot[..32]);
    slot[32..36].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn parse_slot(slot: &[u8]) -> Option<Acknowledged> {
    let number = |at: usize| Some(u64::from_le_bytes(slot.get(at..at + 8)?.try_into().ok()?));
    let to = Acknowledged { seq: number(8)?, groups: number(16)?, audited: number(24)? };
    (slot == slot_bytes(to)).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back_and_any_change_is_found() {
        let marker = Marker { schema: 3, daemon: "d-1".into(), state: State::Ready };
        let text = marker.render();
        assert_eq!(Marker::parse(&text).unwrap(), marker);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed =
                String::from_utf8(bytes).map_err(|_| ()).and_then(|t| Marker::parse(&t).map_err(|_| ()));
            assert!(changed.is_err(), "byte {at}");
            assert!(Marker::parse(&text[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_torn_commit_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("COMMIT");
        let to = |seq| Acknowledged { seq, groups: seq * 2, audited: seq * 3 };
        let mut commit = Commit::create(&path, to(4)).unwrap();
        for seq in 5..9 {
            commit.advance(to(seq)).unwrap();
            assert_eq!(Commit::read(&path).unwrap(), Some(to(seq)));
        }
        let mut bytes = fs::read(&path).unwrap();
        bytes[SLOT + 9] ^= 0xff;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(Commit::read(&path).unwrap(), Some(to(7)));
        fs::write(&path, [0; 2 * SLOT]).unwrap();
        assert_eq!(Commit::read(&path).unwrap(), None);
    }
}
