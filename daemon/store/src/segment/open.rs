//! Opening a log: what is there, what should be, and where it goes on.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Disk, Extent, Limits, Log, Note, StoreError,
    derived::remove,
    format::{Closed, HEADER, Header, Owner, Scan, Step},
    write::{Active, Content, Writing},
};
use crate::{files, trouble::Failing};

/// Arguments of [`Log::open`].
pub(crate) struct Setup<'a> {
    /// The log's directory, made if it is not there.
    pub(crate) dir: &'a Path,
    /// Id of the daemon whose log it is.
    pub(crate) daemon: &'a str,
    /// The log's name, never changed.
    pub(crate) name: &'a str,
    /// What must be there; None if that is not known.
    pub(crate) extent: Option<Extent>,
    pub(crate) limits: Limits,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) note: Note,
}

/// Frames that were acknowledged and are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    /// The first of them.
    pub(crate) from: u64,
    /// The last of them.
    pub(crate) to: u64,
    pub(crate) how: How,
}

/// How frames were lost. Stored: the order is never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// The log ends before them.
    Cut,
    /// What stands in their place is something else.
    Damaged,
    /// The files that held them are not there.
    Missing,
}

impl How {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cut => "cut off",
            Self::Damaged => "damaged",
            Self::Missing => "missing",
        }
    }
}

/// The file of the segment that begins with frame `first`.
pub(super) fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.log"))
}

/// A segment's file.
struct Present {
    first: u64,
    len: u64,
    header: Option<Header>,
}

impl Log {
    /// Opens the log and finds out what it lacks.
    ///
    /// # Errors
    /// If the system refuses. Damage is no error.
    pub(crate) fn open(setup: Setup<'_>) -> Result<(Self, Vec<Loss>), StoreError> {
        files::make_dir(setup.dir)?;
        let folder = File::open(setup.dir).map_err(StoreError::io("open", setup.dir))?;
        let owner = Owner::new(setup.daemon, setup.name);
        let mut opening = Opening { dir: setup.dir, owner: &owner, extent: setup.extent, losses: Vec::new() };
        let writing = opening.run()?;
        let losses = opening.losses;
        let log = Self {
            dir: setup.dir.into(),
            folder: Mutex::new(Arc::new(folder)),
            owner,
            limits: setup.limits,
            disk: setup.disk,
            note: setup.note,
            syncing: Mutex::new(()),
            writing: Mutex::new(writing),
            suspects: Arc::default(),
            unwritten: Failing::default(),
            unmended: Failing::default(),
        };
        Ok((log, losses))
    }
}

struct Opening<'a> {
    dir: &'a Path,
    owner: &'a Owner,
    extent: Option<Extent>,
    losses: Vec<Loss>,
}

impl Opening<'_> {
    fn run(&mut self) -> Result<Writing, StoreError> {
        let mut segments = self.list()?;
        let first = segments.front().map(|segment| segment.first);
        let extent = self.extent.unwrap_or(Extent { first: first.unwrap_or(1), last: 0 });
        // Forgotten, and not removed before the process ended.
        while segments.get(1).is_some_and(|second| second.first <= extent.first) {
            if let Some(old) = segments.pop_front() {
                remove(self.dir, old.first)?;
            }
        }
        let oldest = segments.front().map_or(extent.last + 1, |segment| segment.first);
        self.lose(extent.first, oldest.min(extent.last + 1), How::Missing);
        let floor = oldest.max(extent.first);
        let mut closed = Vec::new();
        let last = segments.pop_back();
        for (at, segment) in segments.iter().enumerate() {
            if let Some(next) = segments.get(at + 1).or(last.as_ref()) {
                closed.push(self.closed(segment, next)?);
            }
        }
        let (active, reached) = match last {
            Some(segment) => self.last(&segment, extent.last, &mut closed)?,
            None => (None, extent.last),
        };
        let next = reached.max(extent.last) + 1;
        let synced = next - 1;
        Ok(Writing {
            closed,
            active,
            next,
            floor,
            synced,
            pending: Vec::new(),
            rolls: false,
            generation: 0,
            kept: synced,
            looked: None,
        })
    }

    /// The files, the oldest first.
    fn list(&self) -> Result<VecDeque<Present>, StoreError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir).map_err(StoreError::io("list", self.dir))? {
            let entry = entry.map_err(StoreError::io("list", self.dir))?;
            let name = entry.file_name();
            let Some(first) = name.to_str().and_then(number) else { continue };
            let path = entry.path();
            // A pipe would be waited for.
            if !entry.file_type().map_err(StoreError::io("look at", &path))?.is_file() {
                tracing::warn!(file = %path.display(), "passed over what is no file of a ledger");
                continue;
            }
            let mut file = File::open(&path).map_err(StoreError::io("open", &path))?;
            let len = file.metadata().map_err(StoreError::io("look at", &path))?.len();
            let mut bytes = [0; HEADER];
            let header = match file.read_exact(&mut bytes) {
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => None,
                Err(e) => return Err(StoreError::io("read", &path)(e)),
                Ok(()) => Header::read(&bytes, self.owner),
            };
            found.push(Present { first, len, header: header.filter(|header| header.first == first) });
        }
        found.sort_by_key(|segment| segment.first);
        Ok(found.into())
    }

    /// A segment behind which another one is. It is read only where the two do not fit.
    fn closed(&mut self, segment: &Present, next: &Present) -> Result<Closed, StoreError> {
        let told = next.header.map(|next| next.previous);
        let told = told.filter(|told| told.first == segment.first && told.len <= segment.len);
        if let (Some(told), Some(_)) = (told, segment.header) {
            return Ok(told);
        }
        let bytes = self.load(segment)?;
        // Found damaged earlier, and reported then.
        if let Some(told) = told
            && bytes.get(..told.len as usize).is_some_and(|bytes| crc32fast::hash(bytes) == told.crc)
        {
            return Ok(told);
        }
        let mut at_end = 0;
        for step in Scan::new(&bytes, self.owner, segment.first, next.first) {
            match step {
                Step::Frame(found) => at_end = found.payload.end,
                Step::Hole { from, to } => {
                    let missing = to == Some(next.first) && at_end.max(HEADER) >= bytes.len();
                    self.lose(from, to.unwrap_or(from), if missing { How::Missing } else { How::Damaged });
                }
            }
        }
        if segment.header.is_none() {
            tracing::warn!(
                file = %segment_path(self.dir, segment.first).display(),
                "the head of a ledger's file is damaged; what is in it was read one by one"
            );
        }
        Ok(Closed { first: segment.first, len: bytes.len() as u64, crc: crc32fast::hash(&bytes) })
    }

    /// The last segment, and the last frame in it. It is gone on with if it is whole as far as `acknowledged`.
    fn last(
        &mut self,
        segment: &Present,
        acknowledged: u64,
        closed: &mut Vec<Closed>,
    ) -> Result<(Option<Active>, u64), StoreError> {
        let path = segment_path(self.dir, segment.first);
        let bytes = self.load(segment)?;
        let mut whole = Whole { end: HEADER.min(bytes.len()), last: segment.first - 1 };
        let mut holes = Vec::new();
        for step in Scan::new(&bytes, self.owner, segment.first, u64::MAX) {
            match step {
                // A group of which something was acknowledged was there as a whole.
                Step::Frame(found) if !found.goes_on || found.number <= acknowledged => {
                    whole = Whole { end: found.payload.end, last: found.number };
                }
                Step::Frame(_) => {}
                // Nothing of what is behind it was acknowledged, nor is anything of it needed.
                Step::Hole { from, .. } if self.extent.is_some() && from > acknowledged => break,
                Step::Hole { from, to: Some(to) } => holes.push((from, to)),
                Step::Hole { to: None, .. } => {}
            }
        }
        for (from, to) in &holes {
            self.lose(*from, *to, How::Damaged);
        }
        self.lose(whole.last + 1, acknowledged + 1, How::Cut);
        let is_sound = segment.header.is_some() && holes.is_empty() && whole.last >= acknowledged;
        if is_sound {
            let file = OpenOptions::new().read(true).write(true).open(&path);
            let file = file.map_err(StoreError::io("open", &path))?;
            if segment.len > whole.end as u64 {
                file.set_len(whole.end as u64).map_err(StoreError::io("cut", &path))?;
            }
            // It may have more than was acknowledged, and of that nobody knows whether it is durable.
            file.sync_data().map_err(StoreError::io("sync", &path))?;
            let content = Content::of(&bytes[..whole.end]);
            let created = segment.header.map_or(0, |header| header.created);
            let active = Active {
                file: Arc::new(file),
                first: segment.first,
                created,
                synced: content.clone(),
                content,
                // Its entry in the directory may not be durable either.
                is_new: true,
                has_rest: false,
                // What an earlier run has reserved is not known.
                reserved: whole.end as u64,
            };
            return Ok((Some(active), whole.last));
        }
        if whole.last < segment.first && segment.first > acknowledged {
            // Begun, and nothing in it acknowledged. Its place is taken by the next one.
            return Ok((None, whole.last));
        }
        // Damage is reported once: the next segment takes this one as it is.
        let len = bytes.len() as u64;
        closed.push(Closed { first: segment.first, len, crc: crc32fast::hash(&bytes) });
        Ok((None, whole.last))
    }

    fn load(&self, segment: &Present) -> Result<Bytes, StoreError> {
        let path = segment_path(self.dir, segment.first);
        fs::read(&path).map(Bytes::from).map_err(StoreError::io("read", &path))
    }

    /// Frames `from` to before `to` are not there.
    fn lose(&mut self, from: u64, to: u64, how: How) {
        if from < to {
            self.losses.push(Loss { from, to: to - 1, how });
        }
    }
}

/// How far a segment is whole.
struct Whole {
    end: usize,
    last: u64,
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20)
        .then(|| digits.parse().ok())
        .flatten()
        .filter(|first| (1..u64::MAX / 2).contains(first))
}
