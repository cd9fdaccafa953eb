//! Noticing what happens to the files of a log while it is open.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    mem::take,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Log, Loss, StoreError,
    open::segment_path,
    write::{Active, Writing},
};
use crate::files;

/// Segments in which something was missed, by their first frame, until [`Log::suspicions`] looks into them.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    any: AtomicBool,
    /// Those, and which were looked into already: they are known, and read again and again.
    first: Mutex<(BTreeSet<u64>, BTreeSet<u64>)>,
}

impl Suspects {
    pub(super) fn add(&self, first: u64) {
        let mut all = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let (suspects, known) = &mut *all;
        if !known.contains(&first) && suspects.insert(first) {
            self.any.store(true, Ordering::Release);
        }
    }

    /// As [`Self::add`], also of one that was looked into: something has happened to it.
    fn insist(&self, first: u64) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&first);
        self.add(first);
    }

    fn take(&self) -> BTreeSet<u64> {
        if !self.any.swap(false, Ordering::AcqRel) {
            return BTreeSet::new();
        }
        let mut all = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let suspects = take(&mut all.0);
        all.1.extend(&suspects);
        suspects
    }
}

impl Log {
    /// What is lost in the segments in which something was missed since the last call, for the first time.
    pub(crate) fn suspicions(&self) -> Vec<Loss> {
        let suspects = self.suspects.take();
        if suspects.is_empty() {
            return Vec::new();
        }
        let segments = self.segments();
        let suspected = segments.iter().filter(|segment| suspects.contains(&segment.first));
        // One that cannot be read now is met again by the next who wants it.
        let found: Vec<Loss> = suspected.flat_map(|segment| segment.verify().unwrap_or_default()).collect();
        // What was forgotten or given up meanwhile is no loss.
        let extent = self.extent();
        let promised =
            |loss: Loss| Loss { from: loss.from.max(extent.first), to: loss.to.min(extent.last), ..loss };
        found.into_iter().map(promised).filter(|loss| loss.from <= loss.to).collect()
    }

    /// Looks whether the files are still where they belong, and fills up the reserve. The segment that is added to is
    /// still open, and written again from there if it was removed; what cannot be read again is for
    /// [`Self::suspicions`], and what cannot be mended is a [`Self::trouble`] until it is.
    ///
    /// # Errors
    /// If what was removed cannot be written again, or there is no room for the reserve.
    pub(crate) fn look(&self) -> Result<(), StoreError> {
        self.unmended.judge(self.mend_files())
    }

    fn mend_files(&self) -> Result<(), StoreError> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writing = self.writing();
        self.put_back_dir()?;
        self.miss_closed(&mut writing)?;
        let Some(active) = &mut writing.active else { return Ok(()) };
        let path = segment_path(&self.dir, active.first);
        let held = active.file.metadata().map_err(StoreError::io("look at", &path))?;
        let is_there = files::is_same(&held, fs::symlink_metadata(&path));
        if is_there && held.len() >= active.content.len {
            return self.fill_up(active, 0).map_err(self.failed("reserve room for", active.first));
        }
        match whole(active).map_err(StoreError::io("read", &path))? {
            Some(bytes) => {
                self.put_back(&mut writing, &path, &bytes)?;
                tracing::error!(
                    file = %path.display(),
                    "a file of a ledger was removed while it was in use; what was in it is written again"
                );
            }
            None => {
                self.suspects.insist(active.first);
                self.write_anew(
                    &mut writing,
                    io::Error::other("the file was cut or removed while it was in use"),
                )?;
            }
        }
        let extent = writing.extent();
        drop(writing);
        (self.note)(extent, false)
    }

    pub(super) fn folder(&self) -> Arc<File> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the directory anew if it is not there, but never the data directory that it belongs to.
    fn put_back_dir(&self) -> Result<(), StoreError> {
        let failed = StoreError::io("look at", &self.dir);
        let held = self.folder().metadata().map_err(failed)?;
        if files::is_same(&held, fs::metadata(&self.dir)) {
            return Ok(());
        }
        if let Some(data) = self.dir.ancestors().nth(2).filter(|data| !data.is_dir()) {
            return Err(StoreError::io("look at", data)(io::ErrorKind::NotFound.into()));
        }
        for dir in self.dir.ancestors().take(2) {
            if let Some(what) = files::in_place_of_dir(dir) {
                let what = format!("it is {what}, not a directory; move it away, or put the right one back");
                return Err(StoreError::BadPath { path: dir.to_owned(), what });
            }
        }
        files::make_dir(&self.dir)?;
        self.dir.ancestors().skip(1).take(2).try_for_each(files::sync_dir)?;
        let folder = File::open(&self.dir).map_err(StoreError::io("open", &self.dir))?;
        *self.folder.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(folder);
        tracing::error!(dir = %self.dir.display(), "the directory of a ledger was removed while it was in use, and is made anew");
        Ok(())
    }

    /// Suspects the closed segments whose files are gone, once after every change of the directory.
    fn miss_closed(&self, writing: &mut Writing) -> Result<(), StoreError> {
        let folder = self.folder().metadata().map_err(StoreError::io("look at", &self.dir))?;
        let changed = Some((folder.mtime(), folder.mtime_nsec()));
        if writing.looked == changed {
            return Ok(());
        }
        writing.looked = changed;
        let is_gone = |first: &u64| {
            let found = fs::symlink_metadata(segment_path(&self.dir, *first));
            found.map_or_else(|e| e.kind() == io::ErrorKind::NotFound, |found| !found.is_file())
        };
        writing
            .closed
            .iter()
            .map(|closed| closed.first)
            .filter(is_gone)
            .for_each(|first| self.suspects.insist(first));
        Ok(())
    }

    /// Writes the segment that is added to once more, durably.
    fn put_back(&self, writing: &mut Writing, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let file = self.disk.create(path).map_err(StoreError::io("create", path))?;
        self.disk
            .write(&file, bytes, 0)
            .and_then(|()| self.to_disk(&file, true))
            .map_err(StoreError::io("write to", path))?;
        let (last, pending) = (writing.next - 1, writing.pending.len());
        if let Some(active) = &mut writing.active {
            (active.file, active.has_rest, active.reserved) = (Arc::new(file), false, active.content.len);
            let content = active.content.clone();
            writing.reached(last, content, pending);
        }
        Ok(())
    }
}

/// All that was written to a segment, if its file still has that.
fn whole(active: &Active) -> io::Result<Option<Vec<u8>>> {
    let bytes = files::load(&active.file, active.content.len)?;
    let is_whole = bytes.len() as u64 == active.content.len
        && crc32fast::hash(&bytes) == active.content.crc.clone().finalize();
    Ok(is_whole.then_some(bytes))
}
