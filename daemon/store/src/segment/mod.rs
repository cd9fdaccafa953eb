//! Append-only logs in files of our own: what the ledgers are made of.
//!
//! A log is a directory of segments, each named by the number of its first frame (`00000000000000000001.log`). A
//! frame is some bytes of a kind that means something to the caller alone. Frames are numbered from 1 without gaps; a
//! number once acknowledged is never given again, even after a loss. All functions block.
//!
//! # Writing
//! [`Log::append`] writes a group of frames with one write, [`Log::sync`] makes it durable; those who wait there
//! together share one sync. A group is there as a whole or not at all. What fails has changed nothing and may be tried
//! again: a half-written group is cut off, and after a failed sync, which the kernel may forget, everything not yet
//! acknowledged is written anew into another segment. No descriptor is needed to go on but when a segment is full, and
//! without one it just grows. [`Log::forget`] removes whole segments from the old end, [`Log::roll`] has the next
//! append begin a new one.
//!
//! # Reading
//! [`Log::read`] goes through the frames of a range from either end, [`Log::segments`] gives the segments themselves,
//! for those who keep an index of each: [`Segment::read`] reads all of one, [`Segment::reader`] single frames at the
//! place [`Placed::at`] that was noted of them, and [`Segment::derived`] what was derived from a closed one and kept in
//! a file beside it. Every frame is checked. What cannot be read is an [`Item::Hole`], behind which reading goes on.
//!
//! # Loss
//! The caller keeps [`Extent`]s outside of the log and hands the last one to [`Log::open`]. What it promises and is not
//! there is a [`Loss`], never a reason not to open: the log goes on behind it. A tail that was never acknowledged is
//! cut off quietly. Only the last segment is read at the open; the others by [`Segment::verify`], when somebody has
//! time or has met a hole ([`Log::suspicions`]). Files that are taken away under an open log are noticed by
//! [`Log::look`]. Each segment says what the one before it holds, so that a missing, shortened, swapped or old one is noticed.

mod derived;
mod disk;
mod format;
mod open;
mod read;
mod reserve;
#[cfg(test)]
mod tests;
mod watch;
mod write;

use std::{
    fmt,
    fs::File,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{StoreError, trouble::Failing};

pub(crate) use disk::{Disk, System};
pub(crate) use format::frame_len;
pub use open::How;
pub(crate) use open::{Loss, Setup};
pub(crate) use read::{Frame, Frames, Item, Placed, Segment};
pub(crate) use write::Appended;

use format::Owner;
use watch::Suspects;
use write::Writing;

/// Which frames a log must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Extent {
    /// The oldest that was not forgotten.
    pub(crate) first: u64,
    /// The last that was acknowledged; less than `first` for an empty log.
    pub(crate) last: u64,
}

impl Default for Extent {
    /// That of a new log.
    fn default() -> Self {
        Self { first: 1, last: 0 }
    }
}

/// When a segment is full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// At this size, bytes.
    pub(crate) bytes: u64,
    /// At this age.
    pub(crate) age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 << 20, age: Duration::from_secs(86_400) }
    }
}

/// Called with the extent of the log, before that is acknowledged. With `true` it must be durable when this returns:
/// what is no longer promised is about to be removed.
pub(crate) type Note = Box<dyn Fn(Extent, bool) -> Result<(), StoreError> + Send + Sync>;

/// An open log.
pub(crate) struct Log {
    dir: Arc<Path>,
    /// The directory, kept open to be synced.
    folder: Mutex<Arc<File>>,
    owner: Owner,
    limits: Limits,
    disk: Arc<dyn Disk>,
    note: Note,
    /// Held by the one who syncs. Taken before `writing`, which is free while the disk works.
    syncing: Mutex<()>,
    writing: Mutex<Writing>,
    suspects: Arc<Suspects>,
    /// Why it cannot be written.
    unwritten: Failing,
    /// Why [`Self::look`] cannot mend what it finds.
    unmended: Failing,
}

impl Log {
    /// Number of the next frame.
    pub(crate) fn next(&self) -> u64 {
        self.writing().next
    }

    /// Which frames it has and promises to keep.
    pub(crate) fn extent(&self) -> Extent {
        self.writing().extent()
    }

    /// Since when and why it cannot be written, or what is written may not stay; None if the last attempts went well.
    pub(crate) fn trouble(&self) -> Option<(UnixMillis, String)> {
        self.unwritten.get().or_else(|| self.unmended.get())
    }

    /// Whether the last attempt to write to it failed.
    pub(crate) fn is_behind(&self) -> bool {
        self.unwritten.get().is_some()
    }

    /// As if a write had failed.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn fail(&self, what: &str) {
        let _ = self.unwritten.judge::<()>(Err(StoreError::Engine(what.to_owned())));
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        // Changed only where nothing can panic between two states that fit.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("dir", &self.dir).finish_non_exhaustive()
    }
}
