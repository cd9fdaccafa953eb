//! The two small files outside the engine that tell when the engine's own files were lost or rolled back:
//! `STORE` (schema, daemon id, state) and `COMMIT` (how far what was acknowledged goes).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{StoreError, files, ledgers::Ledger, segment::Extent};

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

const SLOT: usize = 128;
const MAGIC: &[u8; 8] = b"AVXSEQ4\n";
/// Bytes of magic and numbers, behind which their checksum stands.
const BODY: usize = 104;
/// The form before, without the last two numbers.
const MAGIC_3: &[u8; 8] = b"AVXSEQ3\n";
const BODY_3: usize = 88;
/// What schema 1 wrote: the number of the last change, of the groups in the ledgers, of the last audit entry.
const OLD_SLOT: usize = 64;
const OLD_MAGIC: &[u8; 8] = b"AVXSEQ2\n";

/// How far what was acknowledged goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Acknowledged {
    /// Number of the last change of the configuration trees.
    pub(super) seq: u64,
    /// Number of the last audit entry.
    pub(super) audited: u64,
    /// Frames of the audit log.
    pub(super) audit: Extent,
    /// Frames of the usage ledger.
    pub(super) usage: Extent,
    /// Frames of the sums of usage.
    pub(super) sums: Extent,
    /// Frames of the counters.
    pub(super) counters: Extent,
    /// Which run of the store said so, counted by its opens.
    pub(super) run: u64,
    /// Requests that were given up before they could be written to the usage ledger, and not told yet.
    pub(super) unwritten: u64,
}

impl Acknowledged {
    /// As far as either says that the ledgers go.
    pub(super) fn join(mut self, other: &Self) -> Self {
        self.audited = self.audited.max(other.audited);
        for ledger in Ledger::ALL {
            let (extent, other) = (ledger.extent_mut(&mut self), ledger.extent(other));
            *extent = Extent { first: extent.first.max(other.first), last: extent.last.max(other.last) };
        }
        self
    }
}

/// What was acknowledged, in two slots written in turn: a torn write leaves the other. The engine and each ledger
/// advance their own part of it.
#[derive(Debug)]
pub(super) struct Commit {
    file: File,
    state: Mutex<(Acknowledged, u64)>,
    /// Something was written and not made durable yet.
    unsettled: AtomicBool,
}

impl Commit {
    /// What the file at `path` says; None if there is none that can be read.
    pub(super) fn read(path: &Path) -> Result<Option<Acknowledged>, StoreError> {
        match fs::read(path) {
            Ok(bytes) => {
                let old = bytes.chunks(OLD_SLOT).take(2).filter_map(parse_old);
                Ok(bytes
                    .chunks(SLOT)
                    .take(2)
                    .filter_map(parse_slot)
                    .chain(old)
                    .max_by_key(|to| (to.run, *to)))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("read", path)(e)),
        }
    }

    /// Writes it anew and keeps the file open for [`Self::advance`].
    pub(super) fn create(path: &Path, to: Acknowledged) -> Result<Self, StoreError> {
        files::replace(path, &[slot_bytes(to), slot_bytes(to)].concat())?;
        let file =
            OpenOptions::new().write(true).mode(0o600).open(path).map_err(StoreError::io("open", path))?;
        Ok(Self { file, state: Mutex::new((to, 0)), unsettled: AtomicBool::new(false) })
    }

    /// What was recorded last.
    pub(super) fn reached(&self) -> Acknowledged {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Makes durable what was recorded without being so.
    ///
    /// Every frame of a ledger is durable before it is acknowledged, so a loss of power takes none away. What it can
    /// take away is that it was told here: should a ledger's end be lost at the same time, that is not noticed as far as
    /// it was appended after the last call of this, which comes every second.
    pub(super) fn settle(&self) -> io::Result<()> {
        if !self.unsettled.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.file.sync_data().inspect_err(|_| self.unsettled.store(true, Ordering::Release))
    }

    /// Records that more was acknowledged. It survives the end of the process when this returns, and a loss of power
    /// if `durable`, else with the next [`Self::settle`].
    pub(super) fn advance(&self, durable: bool, change: impl FnOnce(&mut Acknowledged)) -> io::Result<()> {
        {
            // What a panic of `change` leaves is what was there.
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (to, slot) = &mut *state;
            change(to);
            self.file.write_all_at(&slot_bytes(*to), *slot * SLOT as u64)?;
            *slot ^= 1;
        }
        self.unsettled.store(true, Ordering::Release);
        // Nobody else waits for it.
        if durable { self.settle() } else { Ok(()) }
    }
}

/// Magic, the numbers and a checksum, little-endian; the rest is zero.
fn slot_bytes(to: Acknowledged) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..8].copy_from_slice(MAGIC);
    let Acknowledged { seq, audited, audit, usage, sums, counters, run, unwritten } = to;
    let extents = [audit, usage, sums, counters].map(|extent| [extent.first, extent.last]);
    let numbers = [seq, audited].into_iter().chain(extents.into_iter().flatten()).chain([run, unwritten]);
    for (place, number) in slot[8..BODY].chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    let crc = crc32fast::hash(&slot[..BODY]);
    slot[BODY..BODY + 4].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn number(slot: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(slot.get(at..at + 8)?.try_into().ok()?))
}

fn parse_slot(slot: &[u8]) -> Option<Acknowledged> {
    let body = if slot.starts_with(MAGIC_3) { BODY_3 } else { BODY };
    let is_whole = (slot.starts_with(MAGIC) || slot.starts_with(MAGIC_3))
        && slot.get(body..body + 4)? == crc32fast::hash(&slot[..body]).to_le_bytes();
    let extent = |at| Some(Extent { first: number(slot, at)?, last: number(slot, at + 8)? });
    let added = |at| if body == BODY { number(slot, at) } else { Some(0) };
    is_whole.then_some(Acknowledged {
        seq: number(slot, 8)?,
        audited: number(slot, 16)?,
        audit: extent(24)?,
        usage: extent(40)?,
        sums: extent(56)?,
        counters: extent(72)?,
        run: added(88)?,
        unwritten: added(96)?,
    })
}

fn parse_old(slot: &[u8]) -> Option<Acknowledged> {
    let crc = slot.get(32..36)?;
    let is_whole = slot.starts_with(OLD_MAGIC) && crc == crc32fast::hash(&slot[..32]).to_le_bytes();
    // Between the two: how many groups were appended to the ledgers in the engine.
    let (seq, audited) = (number(slot, 8)?, number(slot, 24)?);
    is_whole.then(|| Acknowledged { seq, audited, ..Acknowledged::default() })
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
        let to = |seq| Acknowledged {
            seq,
            audited: seq * 3,
            audit: Extent { first: seq, last: seq * 4 },
            usage: Extent { first: 1, last: seq * 5 },
            sums: Extent { first: seq, last: seq * 7 },
            counters: Extent { first: seq * 2, last: seq * 6 },
            run: 2,
            unwritten: seq % 3,
        };
        let commit = Commit::create(&path, to(4)).unwrap();
        for seq in 5..9 {
            commit.advance(seq % 2 == 0, |reached| *reached = to(seq)).unwrap();
            assert_eq!(Commit::read(&path).unwrap(), Some(to(seq)));
        }
        let mut bytes = fs::read(&path).unwrap();
        bytes[SLOT + 9] ^= 0xff;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(Commit::read(&path).unwrap(), Some(to(7)));
        fs::write(&path, [0; 2 * SLOT]).unwrap();
        assert_eq!(Commit::read(&path).unwrap(), None);
    }

    #[test]
    fn the_form_before_is_read_and_a_flip_in_it_found() {
        let mut slot = b"AVXSEQ3\n".to_vec();
        (1..=10_u64).for_each(|n| slot.extend_from_slice(&n.to_le_bytes()));
        slot.extend_from_slice(&crc32fast::hash(&slot).to_le_bytes());
        slot.resize(SLOT, 0);
        let told = parse_slot(&slot).unwrap();
        assert_eq!((told.seq, told.counters, told.run), (1, Extent { first: 9, last: 10 }, 0));
        for at in 0..92 {
            let mut flipped = slot.clone();
            flipped[at] ^= 1;
            assert_eq!(parse_slot(&flipped), None, "byte {at}");
        }
    }

    #[test]
    fn the_form_of_schema_1_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("COMMIT");
        let old = "415658534551320a070000000000000003000000000000000200000000000000";
        let mut slot = hex::decode(old).unwrap();
        slot.extend_from_slice(&crc32fast::hash(&slot).to_le_bytes());
        slot.resize(OLD_SLOT, 0);
        fs::write(&path, [vec![0; OLD_SLOT], slot].concat()).unwrap();
        let wanted = Acknowledged { seq: 7, audited: 2, ..Acknowledged::default() };
        assert_eq!(Commit::read(&path).unwrap(), Some(wanted));
    }
}
