//! The two small files outside the engine that reveal when the engine's own files were lost or rolled back: `STORE`
//! (schema, daemon id, state) and `COMMIT` (how far what was acknowledged goes).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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
    /// The id under which the settings are in a database; None if the embedded store keeps them.
    pub(super) database: Option<String>,
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
            "{TITLE}\nDo not edit or delete: without this file the store is refused.\nschema {}\ndaemon {}\nstate {state}\n{}",
            self.schema,
            self.daemon,
            self.database.as_ref().map_or_else(String::new, |id| format!("database {id}\n")),
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
            database: field("database").ok().map(str::to_owned),
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

    /// Writes it again where it is not there any more, or something else is.
    pub(super) fn look(&self, path: &Path) -> Result<(), StoreError> {
        // A pipe would be waited for.
        let is_file = files::in_place_of_file(path).is_none();
        if is_file && Self::read(path)? == Found::Marker(self.clone()) {
            return Ok(());
        }
        self.write(path)?;
        say_written_again(path);
        Ok(())
    }
}

fn say_written_again(path: &Path) {
    tracing::error!(
        file = %path.display(),
        "a file of the store was removed or changed while it was in use, and is written again"
    );
}

fn check(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}

const SLOT: usize = 128;
/// The forms, the newest first: each with the bytes of magic and numbers, behind which their checksum stands. The older
/// ones lack the last numbers.
const FORMS: [(&[u8; 8], usize); 3] = [(b"AVXSEQ5\n", 120), (b"AVXSEQ4\n", 104), (b"AVXSEQ3\n", 88)];
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
    /// Requests that were given up before they could be written to the usage ledger, and not reported yet.
    pub(super) unwritten: u64,
    /// Entries of the audit log that are in memory until it can be written again.
    #[serde(skip)]
    pub(super) unrecorded: u64,
    /// Whether (1) what is counted is in memory until it can be written again.
    #[serde(skip)]
    pub(super) uncounted: u64,
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
    state: Mutex<Slots>,
    /// Something was written and not made durable yet.
    unsynced: AtomicBool,
}

#[derive(Debug)]
struct Slots {
    file: Arc<File>,
    to: Acknowledged,
    /// The one that is written next.
    next: u64,
}

impl Commit {
    /// What the file at `path` says; None if it is missing or cannot be read.
    pub(super) fn read(path: &Path) -> Result<Option<Acknowledged>, StoreError> {
        match fs::read(path) {
            Ok(bytes) => Ok(parse(&bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("read", path)(e)),
        }
    }

    /// Writes it anew and keeps the file open for [`Self::advance`].
    pub(super) fn create(path: &Path, to: Acknowledged) -> Result<Self, StoreError> {
        let slots = Slots { file: Arc::new(write_both(path, to)?), to, next: 0 };
        Ok(Self { state: Mutex::new(slots), unsynced: AtomicBool::new(false) })
    }

    /// The bytes of a file that says `to`.
    pub(super) fn render(to: Acknowledged) -> Vec<u8> {
        [slot_bytes(to), slot_bytes(to)].concat()
    }

    /// What was recorded last.
    pub(super) fn reached(&self) -> Acknowledged {
        self.slots().to
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // What a panic of a change leaves is what was there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes durable what was recorded without being so, and writes all of it again where the file is not there any
    /// more, or says something else.
    pub(super) fn look(&self, path: &Path) -> Result<(), StoreError> {
        {
            let mut slots = self.slots();
            let failed = StoreError::io("look at", path);
            let held = slots.file.metadata().map_err(failed)?;
            let is_there = files::is_same(&held, fs::symlink_metadata(path));
            let mut bytes = [0; 2 * SLOT];
            let is_read = slots.file.read_exact_at(&mut bytes, 0).is_ok();
            if !(is_there && is_read && parse(&bytes) == Some(slots.to)) {
                slots.file = Arc::new(write_both(path, slots.to)?);
                say_written_again(path);
            }
        }
        self.sync().map_err(StoreError::io("sync", path))
    }

    /// Makes durable what was recorded without being so.
    ///
    /// Every frame of a ledger is durable before it is acknowledged, so a loss of power takes none away. What it can
    /// take away is that it was told here: should a ledger's end be lost at the same time, that is not noticed as far as
    /// it was appended after the last [`Self::look`], which comes every second.
    fn sync(&self) -> io::Result<()> {
        if !self.unsynced.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let file = self.slots().file.clone();
        file.sync_data().inspect_err(|_| self.unsynced.store(true, Ordering::Release))
    }

    /// Records that more was acknowledged. It survives the end of the process when this returns, and a loss of power
    /// if `durable`, else after the next [`Self::look`].
    pub(super) fn advance(&self, durable: bool, change: impl FnOnce(&mut Acknowledged)) -> io::Result<()> {
        {
            let mut slots = self.slots();
            let before = rank(&slots.to);
            change(&mut slots.to);
            // One that says less than the other counts only where both say it.
            for _ in 0..if rank(&slots.to) < before { 2 } else { 1 } {
                slots.file.write_all_at(&slot_bytes(slots.to), slots.next * SLOT as u64)?;
                slots.next ^= 1;
            }
        }
        self.unsynced.store(true, Ordering::Release);
        // Nobody else waits for it.
        if durable { self.sync() } else { Ok(()) }
    }
}

/// Puts a new file at `path`, both slots of which say `to`.
fn write_both(path: &Path, to: Acknowledged) -> Result<File, StoreError> {
    files::replace(path, &Commit::render(to))?;
    OpenOptions::new().read(true).write(true).open(path).map_err(StoreError::io("open", path))
}

/// What the slots say that goes furthest.
fn parse(bytes: &[u8]) -> Option<Acknowledged> {
    let old = bytes.chunks(OLD_SLOT).take(2).filter_map(parse_old);
    bytes.chunks(SLOT).take(2).filter_map(parse_slot).chain(old).max_by_key(rank)
}

/// Which of two slots counts.
fn rank(to: &Acknowledged) -> (u64, Acknowledged) {
    (to.run, *to)
}

/// Magic, the numbers and a checksum, little-endian; the rest is zero.
fn slot_bytes(to: Acknowledged) -> [u8; SLOT] {
    let (magic, body) = FORMS[0];
    let mut slot = [0; SLOT];
    slot[..8].copy_from_slice(magic);
    let Acknowledged { seq, audited, audit, usage, sums, counters, run, unwritten, unrecorded, uncounted } =
        to;
    let extents = [audit, usage, sums, counters].map(|extent| [extent.first, extent.last]);
    let rest = [run, unwritten, unrecorded, uncounted];
    let numbers = [seq, audited].into_iter().chain(extents.into_iter().flatten()).chain(rest);
    for (place, number) in slot[8..body].chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    let crc = crc32fast::hash(&slot[..body]);
    slot[body..body + 4].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn number(slot: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(slot.get(at..at + 8)?.try_into().ok()?))
}

fn parse_slot(slot: &[u8]) -> Option<Acknowledged> {
    let (_, body) = FORMS.into_iter().find(|(magic, _)| slot.starts_with(*magic))?;
    let is_whole = slot.get(body..body + 4)? == crc32fast::hash(&slot[..body]).to_le_bytes();
    let extent = |at| Some(Extent { first: number(slot, at)?, last: number(slot, at + 8)? });
    let added = |at| if at < body { number(slot, at) } else { Some(0) };
    is_whole.then_some(Acknowledged {
        seq: number(slot, 8)?,
        audited: number(slot, 16)?,
        audit: extent(24)?,
        usage: extent(40)?,
        sums: extent(56)?,
        counters: extent(72)?,
        run: added(88)?,
        unwritten: added(96)?,
        unrecorded: added(104)?,
        uncounted: added(112)?,
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
        let marker = Marker { schema: 3, daemon: "d-1".into(), state: State::Ready, database: None };
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
            unrecorded: seq % 2,
            uncounted: seq % 5,
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
    fn the_forms_before_are_read_and_a_flip_in_them_found() {
        for (magic, numbers, run, unwritten) in [(b"AVXSEQ3\n", 10, 0, 0), (b"AVXSEQ4\n", 12, 11, 12)] {
            let mut slot = magic.to_vec();
            (1..=numbers).for_each(|n: u64| slot.extend_from_slice(&n.to_le_bytes()));
            slot.extend_from_slice(&crc32fast::hash(&slot).to_le_bytes());
            let end = slot.len();
            slot.resize(SLOT, 0);
            let told = parse_slot(&slot).unwrap();
            assert_eq!((told.seq, told.counters, told.run), (1, Extent { first: 9, last: 10 }, run));
            assert_eq!((told.unwritten, told.unrecorded, told.uncounted), (unwritten, 0, 0));
            for at in 0..end {
                let mut flipped = slot.clone();
                flipped[at] ^= 1;
                assert_eq!(parse_slot(&flipped), None, "byte {at}");
            }
        }
    }

    #[test]
    fn less_than_before_counts_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("COMMIT");
        let commit = Commit::create(&path, Acknowledged::default()).unwrap();
        for unrecorded in [3, 7, 7, 2, 0] {
            commit.advance(false, |to| to.unrecorded = unrecorded).unwrap();
            assert_eq!(Commit::read(&path).unwrap().unwrap().unrecorded, unrecorded);
        }
    }

    #[test]
    fn what_is_removed_or_changed_while_it_is_in_use_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let (commit_at, marker_at) = (dir.path().join("COMMIT"), dir.path().join("STORE"));
        let marker = Marker { schema: 3, daemon: "d-1".into(), state: State::Ready, database: None };
        marker.write(&marker_at).unwrap();
        let commit = Commit::create(&commit_at, Acknowledged::default()).unwrap();
        let look = || commit.look(&commit_at).and_then(|()| marker.look(&marker_at));
        let mut seq = 0;
        let mut check = |what: &str| {
            look().unwrap();
            seq += 1;
            commit.advance(true, |to| to.seq = seq).unwrap();
            look().unwrap();
            assert_eq!(Commit::read(&commit_at).unwrap().unwrap().seq, seq, "{what}");
            assert_eq!(Marker::read(&marker_at).unwrap(), Found::Marker(marker.clone()), "{what}");
        };
        check("left alone");
        let both = [&commit_at, &marker_at];
        both.iter().for_each(|path| fs::remove_file(path).unwrap());
        check("removed");
        both.iter().for_each(|path| fs::write(path, "x").unwrap());
        check("written over");
        both.iter().for_each(|path| {
            fs::copy(path, dir.path().join("copy")).unwrap();
            fs::rename(dir.path().join("copy"), path).unwrap();
        });
        check("replaced by a copy");
        for path in both {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            assert!(look().is_err());
            fs::remove_dir(path).unwrap();
            look().unwrap();
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
