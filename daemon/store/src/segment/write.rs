//! Appending, and what becomes of it where the disk fails.

use std::{fs::File, io, path::PathBuf, sync::Arc, sync::PoisonError};

use aivonx_domain::now;
use crc32fast::Hasher;

use super::{
    Extent, Limits, Log, StoreError,
    derived::remove,
    format::{self, Closed, Header, PAYLOAD_MAX},
    open::segment_path,
};

/// State of the one who writes.
pub(super) struct Writing {
    /// Segments that nothing is added to any more, the oldest first.
    pub(super) closed: Vec<Closed>,
    /// The one that is added to; None where the next append makes one.
    pub(super) active: Option<Active>,
    /// Number of the next frame.
    pub(super) next: u64,
    /// What lies before was forgotten.
    pub(super) floor: u64,
    /// The last frame that is durable.
    pub(super) synced: u64,
    /// The frames behind it, as they stand in the active segment.
    pub(super) pending: Vec<u8>,
    /// The next append begins a new segment.
    pub(super) rolls: bool,
    /// How often pending frames were given up.
    pub(super) generation: u64,
    /// The last frame that was durable when that was done last.
    pub(super) kept: u64,
    /// When the directory was last changed, as [`Log::look`] saw it: seconds and nanoseconds.
    pub(super) looked: Option<(i64, i64)>,
}

/// The segment that is added to.
pub(super) struct Active {
    pub(super) file: Arc<File>,
    pub(super) first: u64,
    pub(super) created: u64,
    pub(super) content: Content,
    /// What of it is durable.
    pub(super) synced: Content,
    /// Its entry in the directory is not durable yet.
    pub(super) is_new: bool,
    /// A failed write may have left something behind the content.
    pub(super) has_rest: bool,
    /// Up to here the file has its room on the disk.
    pub(super) reserved: u64,
}

/// The bytes of a segment, summed up.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) len: u64,
    pub(super) crc: Hasher,
}

impl Content {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut content = Self { len: 0, crc: Hasher::new() };
        content.add(bytes);
        content
    }

    fn add(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.crc.update(bytes);
    }
}

impl Active {
    /// Its durable part, as a segment that nothing is added to.
    fn closed(&self) -> Closed {
        Closed { first: self.first, len: self.synced.len, crc: self.synced.crc.clone().finalize() }
    }
}

/// A group that was appended, see [`Log::sync`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it is durable only once it was synced"]
pub(crate) struct Appended {
    /// Number of its first frame.
    pub(crate) first: u64,
    /// Number of its last frame.
    pub(crate) last: u64,
    /// The first frame of the segment it was written to, and where in that it begins. It may have been moved by
    /// [`Log::sync`].
    pub(crate) segment: u64,
    /// Offset in bytes.
    pub(crate) at: u32,
    generation: u64,
}

impl Writing {
    pub(super) fn extent(&self) -> Extent {
        Extent { first: self.floor, last: self.synced }
    }

    /// Whether the group is durable; `Err` if it was given up.
    fn has(&self, group: &Appended) -> Result<bool, io::Error> {
        match self.generation.wrapping_sub(group.generation) {
            0 => Ok(group.last <= self.synced),
            1 if group.last <= self.kept => Ok(true),
            _ => Err(io::Error::other("it was written, but could not be made durable")),
        }
    }

    /// Takes what stands in the active segment for durable.
    pub(super) fn reached(&mut self, last: u64, content: Content, pending: usize) {
        self.synced = last;
        self.pending.drain(..pending);
        if let Some(active) = &mut self.active {
            active.synced = content;
            active.is_new = false;
        }
    }

    /// Adds nothing more to the active segment, of which the durable part stays.
    fn close(&mut self) -> Option<Active> {
        let active = self.active.take()?;
        if active.synced.len > 0 {
            self.closed.push(active.closed());
        }
        Some(active)
    }

    /// The active segment, if it is to be followed by another and all of it is durable.
    fn full(&self, limits: &Limits) -> Option<Closed> {
        let active = self.active.as_ref().filter(|_| self.pending.is_empty())?;
        let age = u64::try_from(limits.age.as_millis()).unwrap_or(u64::MAX);
        let full = active.content.len >= limits.bytes || now().saturating_sub(active.created) >= age;
        (full || self.rolls).then(|| active.closed())
    }
}

impl Log {
    /// Writes a group of frames, each of a kind below 128 and with a payload of at most 2 MiB. It can be read at once
    /// and is durable after [`Self::sync`].
    ///
    /// # Errors
    /// If it cannot be written; nothing is changed then, and it may be tried again.
    pub(crate) fn append(&self, group: &[(u8, Vec<u8>)]) -> Result<Appended, StoreError> {
        if let Some((_, payload)) = group.iter().find(|(_, payload)| payload.len() > PAYLOAD_MAX) {
            return Err(StoreError::TooLarge { noun: "ledger", bytes: payload.len(), limit: PAYLOAD_MAX });
        }
        let mut writing = self.writing();
        let first = writing.next;
        let mut bytes = Vec::new();
        for (number, (at, (kind, payload))) in (first..).zip(group.iter().enumerate()) {
            format::encode(&mut bytes, &self.owner, number, *kind, at + 1 < group.len(), payload);
        }
        if !group.is_empty() {
            if let Err(error) = self.write(&mut writing, &bytes) {
                return self.unwritten.judge(Err(error));
            }
            writing.next += group.len() as u64;
        }
        let (segment, end) = writing.active.as_ref().map_or((0, 0), |a| (a.first, a.content.len));
        let at = u32::try_from(end.saturating_sub(bytes.len() as u64)).unwrap_or(u32::MAX);
        writing.pending.append(&mut bytes);
        Ok(Appended { first, last: writing.next - 1, segment, at, generation: writing.generation })
    }

    fn write(&self, writing: &mut Writing, bytes: &[u8]) -> Result<(), StoreError> {
        let next = writing.next;
        if let Some(full) = writing.full(&self.limits) {
            match self.follow(&full, next, bytes) {
                Ok(fresh) => {
                    writing.closed.push(full);
                    writing.rolls = false;
                    if let Some(old) = writing.active.replace(fresh) {
                        // What is still reserved is given back with the file.
                        let _ = self.disk.cut(&old.file, full.len);
                    }
                    return Ok(());
                }
                // It just grows.
                Err(error) => tracing::debug!(%error, "no new segment"),
            }
        }
        match &mut writing.active {
            Some(active) => self.extend(active, bytes).map_err(self.failed("write to", active.first)),
            None => {
                writing.active = Some(self.begin(writing.closed.last(), next, bytes)?);
                Ok(())
            }
        }
    }

    fn extend(&self, active: &mut Active, bytes: &[u8]) -> io::Result<()> {
        // What is written behind would hide it. The next look begins another file.
        if active.file.metadata()?.len() < active.content.len {
            return Err(io::Error::other("it was cut while it was in use"));
        }
        // Part of an earlier group might otherwise stand behind this one, as if it belonged there.
        if active.has_rest {
            self.cut(active)?;
        }
        self.reserve(active, bytes.len() as u64)?;
        if let Err(error) = self.disk.write(&active.file, bytes, active.content.len) {
            active.has_rest = true;
            // What that leaves is cut off before the next write.
            let _ = self.cut(active);
            return Err(error);
        }
        active.content.add(bytes);
        Ok(())
    }

    /// A new segment behind `previous` with `frames` in it, of which `first` is the first.
    pub(super) fn begin(
        &self,
        previous: Option<&Closed>,
        first: u64,
        frames: &[u8],
    ) -> Result<Active, StoreError> {
        let created = now();
        let previous = previous.copied().unwrap_or_default();
        let header = Header { first, created, previous };
        let bytes = [&header.bytes(&self.owner), frames].concat();
        let path = segment_path(&self.dir, first);
        let file = self.disk.create(&path).map_err(StoreError::io("create", &path))?;
        if let Err(error) = self.disk.write(&file, &bytes, 0) {
            // What is left there if that fails too was never acknowledged, and is replaced by the next attempt.
            let _ = std::fs::remove_file(&path);
            return Err(StoreError::io("write to", &path)(error));
        }
        let synced = Content { len: 0, crc: Hasher::new() };
        let content = Content::of(&bytes);
        let reserved = content.len;
        let file = Arc::new(file);
        let mut active =
            Active { file, first, created, content, synced, is_new: true, has_rest: false, reserved };
        // Where there is no room for more, these frames have theirs; the next look says it.
        let _ = self.fill_up(&mut active, 0);
        Ok(active)
    }

    /// Makes a group and all before it durable, and has that noted.
    ///
    /// # Errors
    /// If that cannot be done. The frames that were not durable are not in the log any more then, and may be appended
    /// again.
    pub(crate) fn sync(&self, group: &Appended) -> Result<(), StoreError> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, file, content, pending, is_new) = {
            let writing = self.writing();
            if writing.has(group).map_err(self.failed("sync", group.first))? {
                return Ok(());
            }
            // What is not durable is in the active segment.
            let Some(active) = &writing.active else { return Err(StoreError::Failed) };
            let content = active.content.clone();
            (writing.next - 1, active.file.clone(), content, writing.pending.len(), active.is_new)
        };
        let synced = self.to_disk(&file, is_new);
        let mut writing = self.writing();
        let done = match synced {
            Ok(()) => {
                writing.reached(last, content, pending);
                Ok(())
            }
            Err(error) => self.write_anew(&mut writing, error),
        };
        let extent = writing.extent();
        drop(writing);
        self.unwritten.judge(done)?;
        (self.note)(extent, false)
    }

    pub(super) fn to_disk(&self, file: &File, is_new: bool) -> io::Result<()> {
        self.disk.sync(file)?;
        if is_new { self.disk.sync_dir(&self.folder()) } else { Ok(()) }
    }

    /// After a failed sync the kernel may report success for pages that it has dropped: the segment is never synced
    /// again, and what was not durable goes into another one. Where that fails as well it is given up.
    pub(super) fn write_anew(&self, writing: &mut Writing, error: io::Error) -> Result<(), StoreError> {
        let first = writing.synced + 1;
        let failed = self.failed("sync", first)(error);
        if let Some(old) = writing.close() {
            tracing::warn!(error = %failed, "what is not durable yet is written again, to another file");
            // What stays behind its end is not read.
            let _ = self.disk.cut(&old.file, old.synced.len);
        }
        let pending = std::mem::take(&mut writing.pending);
        let fresh = self.begin(writing.closed.last(), first, &pending).and_then(|active| {
            self.to_disk(&active.file, true).map_err(self.failed("sync", first))?;
            Ok(active)
        });
        match fresh {
            Ok(active) => {
                let (last, content) = (writing.next - 1, active.content.clone());
                writing.active = Some(active);
                writing.reached(last, content, 0);
                Ok(())
            }
            Err(error) => {
                (writing.next, writing.kept) = (first, writing.synced);
                writing.generation += 1;
                Err(error)
            }
        }
    }

    /// Has the next append begin a new segment; what was appended before is durable when this returns.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub(crate) fn roll(&self) -> Result<(), StoreError> {
        let last = {
            let mut writing = self.writing();
            writing.rolls = true;
            let last = writing.next - 1;
            Appended { first: last, last, segment: 0, at: 0, generation: writing.generation }
        };
        self.sync(&last)
    }

    /// Tries whether it can be written again after a failure: for when nobody appends. To be called once the disk
    /// takes other writes.
    pub(crate) fn mend(&self) {
        let mut writing = self.writing();
        let done = match &mut writing.active {
            Some(active) => self.extend(active, &[]).map_err(self.failed("write to", active.first)),
            None => Ok(()),
        };
        drop(writing);
        // Remembered.
        let _ = self.unwritten.judge(done);
    }

    /// Forgets what lies before frame `before`, as far as it fills whole segments. Returns the first frame that stays.
    ///
    /// # Errors
    /// If that cannot be noted or a file not be removed; the next attempt goes on.
    pub(crate) fn forget(&self, before: u64) -> Result<u64, StoreError> {
        let (gone, extent) = {
            let mut writing = self.writing();
            let writing = &mut *writing;
            let behind = writing.active.as_ref().map_or(writing.next, |active| active.first);
            let ends = writing.closed.iter().skip(1).map(|closed| closed.first).chain([behind]);
            let count = ends.take(writing.closed.len()).take_while(|end| *end <= before).count();
            let gone: Vec<Closed> = writing.closed.drain(..count).collect();
            if count > 0 {
                writing.floor = writing.closed.first().map_or(behind, |closed| closed.first);
            }
            (gone, writing.extent())
        };
        if !gone.is_empty() {
            (self.note)(extent, true)?;
            for segment in gone {
                remove(&self.dir, segment.first)?;
            }
            self.disk.sync_dir(&self.folder()).map_err(StoreError::io("sync the directory", &self.dir))?;
        }
        Ok(extent.first)
    }

    pub(super) fn failed(
        &self,
        action: &'static str,
        first: u64,
    ) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path: PathBuf = segment_path(&self.dir, first);
        move |source| StoreError::Io { action, path, source }
    }
}

#[cfg(any(test, feature = "testing"))]
#[allow(clippy::unwrap_used, reason = "tests fail where it fails")]
impl Log {
    /// Puts other frames in the place of everything that is there.
    pub(crate) fn replace_all(&self, frames: &[(u8, Vec<u8>)]) {
        {
            let mut writing = self.writing();
            let active = writing.active.iter().map(|active| active.first);
            for first in writing.closed.iter().map(|closed| closed.first).chain(active) {
                remove(&self.dir, first).unwrap();
            }
            writing.closed.clear();
            (writing.active, writing.next, writing.floor, writing.synced) = (None, 1, 1, 0);
        }
        for group in frames.chunks(100) {
            self.sync(&self.append(group).unwrap()).unwrap();
        }
    }
}
