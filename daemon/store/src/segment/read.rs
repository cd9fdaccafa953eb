//! Reading segments and ranges of frames.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io,
    ops::RangeInclusive,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    How, Log, Loss, StoreError,
    format::{self, FRAME, Found, Header, Owner, Scan, Step},
    open::segment_path,
    watch::Suspects,
};
use crate::files;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its number.
    pub(crate) number: u64,
    /// What its caller means by it.
    pub(crate) kind: u8,
    /// Its bytes.
    pub(crate) payload: Bytes,
}

/// A frame and where it begins in its segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Offset in bytes.
    pub(crate) at: u32,
    /// The frame.
    pub(crate) frame: Frame,
}

/// What stands in a place of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A frame.
    Frame(Placed),
    /// Frames that cannot be read or are not there.
    Hole(RangeInclusive<u64>),
}

/// One segment as it was when [`Log::segments`] was asked.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    dir: Arc<Path>,
    owner: Owner,
    /// Number of its first frame.
    pub(crate) first: u64,
    /// Number behind its last frame.
    pub(crate) end: u64,
    pub(super) len: u64,
    /// Of a closed one.
    pub(super) crc: Option<u32>,
    /// Of the one that is added to.
    file: Option<Arc<File>>,
    suspects: Arc<Suspects>,
}

impl Log {
    /// All segments, the oldest first.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        let writing = self.writing();
        let behind = writing.active.as_ref().map_or(writing.next, |active| active.first);
        let ends = writing.closed.iter().skip(1).map(|closed| closed.first).chain([behind]);
        let segment = |first, end, len, crc, file| {
            let (dir, owner, suspects) = (self.dir.clone(), self.owner.clone(), self.suspects.clone());
            Segment { dir, owner, first, end, len, crc, file, suspects }
        };
        let closed = writing.closed.iter().zip(ends);
        let closed =
            closed.map(|(closed, end)| segment(closed.first, end, closed.len, Some(closed.crc), None));
        let active = writing.active.iter().map(|active| {
            segment(active.first, writing.next, active.content.len, None, Some(active.file.clone()))
        });
        closed.chain(active).collect()
    }

    /// The frames of `range`, in order; `.rev()` from the last on. A segment is read as a whole when the first of it is
    /// wanted.
    pub(crate) fn read(&self, range: RangeInclusive<u64>) -> Frames {
        let mut segments: VecDeque<Segment> = self.segments().into();
        segments.retain(|segment| segment.first <= *range.end() && segment.end > *range.start());
        Frames { segments, range, front: VecDeque::new(), back: VecDeque::new() }
    }
}

impl Segment {
    /// Its file.
    pub(crate) fn path(&self) -> PathBuf {
        segment_path(&self.dir, self.first)
    }

    /// Whether nothing is added to it any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.crc.is_some()
    }

    /// Everything in it, in order.
    ///
    /// # Errors
    /// If the file cannot be read; a missing one is a hole.
    pub(crate) fn read(&self) -> Result<Vec<Item>, StoreError> {
        let items = items(&self.load()?, &self.owner, self.first, self.end);
        if items.iter().any(|item| matches!(item, Item::Hole(_))) {
            self.suspects.add(self.first);
        }
        Ok(items)
    }

    fn load(&self) -> Result<Bytes, StoreError> {
        let loaded =
            self.open().and_then(|file| file.map_or(Ok(Vec::new()), |file| files::load(&file, self.len)));
        loaded.map(Bytes::from).map_err(StoreError::io("read", &self.path()))
    }

    /// None if the file is not there, or something else is.
    fn open(&self) -> io::Result<Option<Arc<File>>> {
        if let Some(file) = &self.file {
            return Ok(Some(file.clone()));
        }
        match files::open_regular(&self.path(), OpenOptions::new().read(true)) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(None),
            opened => opened.map(|file| Some(Arc::new(file))),
        }
    }

    /// The bytes of its file as far as they were appended; None if it is not there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn content(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let content = self.open().and_then(|file| file.map(|file| files::load(&file, self.len)).transpose());
        content.map_err(StoreError::io("read", &self.path()))
    }

    /// For reading single frames.
    ///
    /// # Errors
    /// If the file cannot be opened; in a missing one no frame is found.
    pub(crate) fn reader(&self) -> Result<SegmentReader, StoreError> {
        let file = self.open().map_err(StoreError::io("open", &self.path()))?;
        Ok(SegmentReader { segment: self.clone(), file })
    }

    /// Reads it, and compares it with what the next one says of it. Returns what is not there.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn verify(&self) -> Result<Vec<Loss>, StoreError> {
        let bytes = self.load()?;
        let is_whole = bytes.len() as u64 == self.len && Some(crc32fast::hash(&bytes)) == self.crc;
        if is_whole {
            return Ok(Vec::new());
        }
        let how = if bytes.is_empty() { How::Missing } else { How::Damaged };
        let losses: Vec<Loss> = items(&bytes, &self.owner, self.first, self.end)
            .into_iter()
            .filter_map(|item| match item {
                Item::Hole(range) => Some(Loss { from: *range.start(), to: *range.end(), how }),
                Item::Frame(_) => None,
            })
            .collect();
        if losses.is_empty() && self.is_closed() {
            let header = Header::read(&bytes, &self.owner).is_some();
            tracing::warn!(
                file = %self.path().display(), header,
                "a file of a ledger was changed on the disk; everything in it can still be read"
            );
        }
        Ok(losses)
    }
}

/// What `bytes`, the segment that begins with frame `first` and ends before `end`, holds.
pub(super) fn items(bytes: &Bytes, owner: &Owner, first: u64, end: u64) -> Vec<Item> {
    let item = |step| match step {
        Step::Frame(found) => Some(Item::Frame(placed(bytes, &found))),
        Step::Hole { from, to } => to.filter(|to| *to > from).map(|to| Item::Hole(from..=to - 1)),
    };
    Scan::new(bytes, owner, first, end).filter_map(item).collect()
}

fn placed(bytes: &Bytes, found: &Found) -> Placed {
    let payload = bytes.slice(found.payload.clone());
    let frame = Frame { number: found.number, kind: found.kind, payload };
    // Segments are far smaller than 4 GiB.
    Placed { at: u32::try_from(found.at).unwrap_or(u32::MAX), frame }
}

/// Reads single frames of a segment.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    segment: Segment,
    file: Option<Arc<File>>,
}

/// Bytes read in the hope that they hold a whole frame.
const GUESS: usize = 1024;

impl SegmentReader {
    /// The frame that begins at `at`; None if none begins there or it is damaged.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn frame(&self, at: u32) -> Result<Option<Frame>, StoreError> {
        let found = self.find(u64::from(at)).map_err(StoreError::io("read", &self.segment.path()))?;
        if found.is_none() {
            self.segment.suspects.add(self.segment.first);
        }
        Ok(found)
    }

    fn find(&self, at: u64) -> io::Result<Option<Frame>> {
        let left = usize::try_from(self.segment.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(GUESS)];
        if !self.fill(&mut bytes, at)? {
            return Ok(None);
        }
        let Some(len) = format::payload_len(&bytes) else { return Ok(None) };
        let (have, wanted) = (bytes.len(), FRAME + len);
        if wanted > left {
            return Ok(None);
        }
        if wanted > have {
            bytes.resize(wanted, 0);
            if !self.fill(&mut bytes[have..], at + have as u64)? {
                return Ok(None);
            }
        }
        let numbers = self.segment.first..self.segment.end;
        let found = format::frame(&bytes, 0, &self.segment.owner);
        let found = found.filter(|found| numbers.contains(&found.number));
        let bytes = Bytes::from(bytes);
        Ok(found.map(|found| placed(&bytes, &found).frame))
    }

    /// False if the file ends before.
    fn fill(&self, bytes: &mut [u8], at: u64) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        match file.read_exact_at(bytes, at) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| true),
        }
    }
}

/// See [`Log::read`].
pub(crate) struct Frames {
    segments: VecDeque<Segment>,
    range: RangeInclusive<u64>,
    /// What is left of the segments read from either end.
    front: VecDeque<Item>,
    back: VecDeque<Item>,
}

impl Frames {
    fn open(&self, segment: Option<Segment>) -> Option<Result<VecDeque<Item>, StoreError>> {
        let read = match segment?.read() {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        let (start, end) = (*self.range.start(), *self.range.end());
        let within = |item: Item| match item {
            Item::Frame(placed) => self.range.contains(&placed.frame.number).then_some(Item::Frame(placed)),
            Item::Hole(hole) => {
                let hole = start.max(*hole.start())..=end.min(*hole.end());
                (!hole.is_empty()).then_some(Item::Hole(hole))
            }
        };
        Some(Ok(read.into_iter().filter_map(within).collect()))
    }
}

impl Iterator for Frames {
    type Item = Result<Item, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.front.pop_front() {
                return Some(Ok(item));
            }
            let segment = self.segments.pop_front();
            match self.open(segment) {
                Some(Ok(items)) => self.front = items,
                Some(Err(error)) => return Some(Err(error)),
                None => return self.back.pop_front().map(Ok),
            }
        }
    }
}

impl DoubleEndedIterator for Frames {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.back.pop_back() {
                return Some(Ok(item));
            }
            let segment = self.segments.pop_back();
            match self.open(segment) {
                Some(Ok(items)) => self.back = items,
                Some(Err(error)) => return Some(Err(error)),
                None => return self.front.pop_back().map(Ok),
            }
        }
    }
}
