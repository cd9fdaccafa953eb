//! The audit log as it lies in its files: entries, checkpoints and where the log stands, as frames of one log.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use aivonx_protocol::audit::{AuditEntry, Checkpoint};
use serde::{Deserialize, Serialize};

use super::{AuditHead, Placed, index::Index, indexes::Indexes, walk::Walk};
use crate::{
    StoreError, codec,
    segment::{Appended, Frame, Item, Log, Loss, Placed as At, Segment, frame_len},
};

/// Kinds of frames, never changed.
pub(super) const ENTRY: u8 = 1;
const CHECKPOINT: u8 = 2;
const HEAD: u8 = 3;

/// Version of their payloads.
const VERSION: u8 = 1;
/// Version of an index.
const INDEX_VERSION: u8 = 1;
/// Ends the names of the files with indexes.
const INDEX: &str = "index";

/// Where the log stands, at the end of every group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    head: AuditHead,
    /// Entries up to this one were removed by age.
    removed: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) log: Log,
    /// Held by the one who appends.
    appending: Mutex<()>,
    /// The last entry that was acknowledged, or is about to be.
    audited: Arc<AtomicU64>,
    /// Entries up to this one were removed by age, but for what is left of them in the oldest segment.
    removed: AtomicU64,
    state: Mutex<State>,
    /// As if the disk took nothing.
    #[cfg(any(test, feature = "testing"))]
    pub(super) refuses: std::sync::atomic::AtomicBool,
    /// A walk that will be gone on with.
    walk: Mutex<Option<Walk>>,
}

#[derive(Debug, Default)]
struct State {
    head: Option<AuditHead>,
    indexes: Indexes,
}

impl Kept {
    /// Takes over the log, of which entries up to `audited` were acknowledged, and finds out where it stands.
    pub(crate) fn open(log: Log, audited: Arc<AtomicU64>) -> Result<Self, StoreError> {
        let kept = Self {
            log,
            appending: Mutex::new(()),
            audited,
            removed: AtomicU64::new(0),
            state: Mutex::default(),
            #[cfg(any(test, feature = "testing"))]
            refuses: false.into(),
            walk: Mutex::new(None),
        };
        kept.find_head()?;
        Ok(kept)
    }

    /// The last record of it, and what was appended behind.
    fn find_head(&self) -> Result<(), StoreError> {
        let segments = self.log.segments();
        let mut found: Option<Head> = None;
        for segment in segments.iter().rev() {
            if let Some(head) = &self.index(segment)?.head {
                found = Some(head.clone());
                break;
            }
        }
        let Some(Head { mut head, removed }) = found else { return Ok(()) };
        self.removed.store(removed, Ordering::Release);
        // The record of the last group may be what was lost.
        for (_, entry) in self.walk(head.last + 1, usize::MAX)? {
            match entry {
                Ok(entry) if entry.seq == head.last + 1 && entry.prev == head.hash => {
                    (head.last, head.hash) = (entry.seq, entry.hash);
                }
                _ => break,
            }
        }
        self.audited.fetch_max(head.last, Ordering::AcqRel);
        self.state().head = Some(head);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the log stands.
    pub(crate) fn head(&self) -> Option<AuditHead> {
        self.state().head.clone()
    }

    /// The last entry that was ever acknowledged.
    pub(crate) fn audited(&self) -> u64 {
        self.audited.load(Ordering::Acquire)
    }

    /// The last entry that was removed by age.
    pub(super) fn removed(&self) -> u64 {
        self.removed.load(Ordering::Acquire)
    }

    /// The highest position that anything in the log speaks of.
    pub(super) fn highest(&self) -> Result<u64, StoreError> {
        let head = self.head().map_or(0, |head| head.last);
        for segment in self.log.segments().iter().rev() {
            let index = self.index(segment)?;
            let checkpoint = index.checkpoints.iter().map(|(seq, _)| *seq).max();
            if let Some(highest) = index.last().max(checkpoint) {
                return Ok(highest.max(head));
            }
        }
        Ok(head)
    }

    /// Appends entries, a checkpoint and where the log stands then; durable when it returns.
    pub(crate) fn append(
        &self,
        entries: &[AuditEntry],
        checkpoint: Option<&Checkpoint>,
        head: &AuditHead,
    ) -> Result<(), StoreError> {
        let _alone = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.head().map_or(0, |head| head.last);
        if let Some(entry) = entries.first().filter(|entry| entry.seq <= last) {
            // An earlier attempt that was given up for late may have stored it.
            return Err(StoreError::Engine(format!("the audit log has an entry {} already", entry.seq)));
        }
        #[cfg(any(test, feature = "testing"))]
        self.refuse()?;
        let mut group = Vec::with_capacity(entries.len() + 2);
        for entry in entries {
            group.push((ENTRY, placed(entry.seq, entry)?));
        }
        if let Some(checkpoint) = checkpoint {
            group.push((CHECKPOINT, placed(checkpoint.seq, checkpoint)?));
        }
        let record = Head { head: head.clone(), removed: self.removed() };
        group.push((HEAD, payload(&record)?));
        let before = self.audited();
        let appended = self.log.append(&group)?;
        // Noted with the extent of the log.
        self.audited.store(before.max(head.last), Ordering::Release);
        if let Err(error) = self.log.sync(&appended) {
            self.audited.store(before, Ordering::Release);
            return Err(error);
        }
        self.take_in(&appended, &group, entries, checkpoint, record);
        self.state().head = Some(head.clone());
        Ok(())
    }

    /// Adds what was appended to the index of its segment.
    fn take_in(
        &self,
        appended: &Appended,
        group: &[(u8, Vec<u8>)],
        entries: &[AuditEntry],
        checkpoint: Option<&Checkpoint>,
        head: Head,
    ) {
        let segments = self.log.segments();
        let is_last = segments.last().is_some_and(|segment| segment.first == appended.segment);
        let mut state = self.state();
        let begins = appended.segment == appended.first;
        let index = match state.indexes.take(appended.segment) {
            Some((index, weight)) if is_last && index.end == appended.first => Some((index, weight)),
            _ if is_last && begins => Some(Default::default()),
            // It was written again to another place, or nobody has asked for the index yet.
            _ => None,
        };
        if let Some((mut index, mut weight)) = index {
            let changed = Arc::make_mut(&mut index);
            let mut at = appended.at;
            for (n, (kind, payload)) in group.iter().enumerate() {
                match (*kind, entries.get(n), checkpoint) {
                    (ENTRY, Some(entry), _) => changed.add(entry.seq, at, Some(entry)),
                    (CHECKPOINT, _, Some(checkpoint)) => changed.checkpoints.push((checkpoint.seq, at)),
                    _ => {}
                }
                at += frame_len(payload.len());
                // About what it adds to the terms.
                weight += payload.len() / 4;
            }
            changed.end = appended.last + 1;
            changed.head = Some(head);
            state.indexes.insert(appended.segment, index, weight);
        }
        drop(state);
        if begins && let [.., full, _] = &segments[..] {
            // One that cannot be kept is made when it is asked for.
            let _ = self.index(full).map(|index| keep(full, &index));
        }
    }

    /// The index of a segment.
    pub(super) fn index(&self, segment: &Segment) -> Result<Arc<Index>, StoreError> {
        if let Some(index) = self.state().indexes.find(segment) {
            return Ok(index);
        }
        if !segment.is_closed() {
            // Until it is there to be added to, nothing may be appended.
            let _alone = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
            let now = self.log.segments().pop().filter(|now| now.first == segment.first);
            let index = Arc::new(read_index(now.as_ref().unwrap_or(segment))?);
            self.state().indexes.keep(segment.first, index.clone());
            return Ok(index);
        }
        let derived =
            segment.derived(INDEX).and_then(|bytes| codec::from_payload(INDEX_VERSION, &bytes).ok());
        let index = match derived.filter(|index: &Index| index.end == segment.end) {
            Some(index) => Arc::new(index),
            None => {
                let index = Arc::new(read_index(segment)?);
                keep(segment, &index);
                index
            }
        };
        self.state().indexes.keep(segment.first, index.clone());
        Ok(index)
    }

    /// The entry at `seq`; None if the log has none there.
    pub(super) fn entry(&self, seq: u64) -> Result<Option<AuditEntry>, StoreError> {
        if seq <= self.removed() {
            return Ok(None);
        }
        for segment in self.log.segments().iter().rev() {
            let index = self.index(segment)?;
            if let Some(at) = index.find(seq) {
                let frame = segment.reader()?.frame(at)?;
                let read = frame.ok_or(codec::CodecError::Checksum).and_then(|frame| entry(&frame));
                return read.map(Some).map_err(|source| StoreError::Record { tree: "audit", source });
            }
            if index.first().is_some_and(|first| first < seq) {
                break;
            }
        }
        Ok(None)
    }

    /// All checkpoints, by the entry they are about; the last one written where there are several of an entry.
    pub(crate) fn checkpoints(&self) -> Result<BTreeMap<u64, Result<Checkpoint, String>>, StoreError> {
        let mut checkpoints = BTreeMap::new();
        for segment in self.log.segments() {
            let index = self.index(&segment)?;
            if index.checkpoints.is_empty() {
                continue;
            }
            let reader = segment.reader()?;
            for (seq, at) in index.checkpoints.iter().filter(|(seq, _)| *seq >= self.removed()) {
                let frame = reader.frame(*at)?;
                let read = frame.ok_or(codec::CodecError::Checksum).and_then(|frame| {
                    codec::from_payload(VERSION, frame.payload.get(8..).unwrap_or_default())
                });
                checkpoints.insert(*seq, read.map_err(|e| e.to_string()));
            }
        }
        Ok(checkpoints)
    }

    /// The entry that the last checkpoint is about.
    pub(super) fn last_checkpoint(&self) -> Result<Option<u64>, StoreError> {
        for segment in self.log.segments().iter().rev() {
            if let Some(seq) = self.index(segment)?.checkpoints.iter().map(|(seq, _)| *seq).max() {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }

    /// Up to `most` entries from the place `from` on, as they stand. A walk that goes on where it ended reads every
    /// segment once.
    pub(crate) fn walk(&self, from: u64, most: usize) -> Result<Vec<Placed>, StoreError> {
        let from = from.max(self.removed() + 1);
        let mut left = self.walk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut walk = match left.take().filter(|walk| walk.next == from) {
            Some(walk) => walk,
            None => Walk::new(self.log.read(self.segment_of(from)?..=u64::MAX), from),
        };
        let mut found = Vec::new();
        while found.len() < most {
            match walk.step()? {
                Some(placed) => found.push(placed),
                None => return Ok(found),
            }
        }
        *left = Some(walk);
        Ok(found)
    }

    /// The first frame of the segment in which the entry `seq` is, or would be.
    fn segment_of(&self, seq: u64) -> Result<u64, StoreError> {
        let segments = self.log.segments();
        // What lies behind the last that begins before it is not read for nothing.
        for segment in segments.iter().rev() {
            if self.index(segment)?.first().is_some_and(|first| first <= seq) {
                return Ok(segment.first);
            }
        }
        Ok(0)
    }

    /// The first entry written at `time` or later, by what its clock said.
    pub(super) fn first_since(&self, time: u64) -> Result<Option<u64>, StoreError> {
        for segment in self.log.segments() {
            let index = self.index(&segment)?;
            let reader = segment.reader()?;
            for at in index.since(time) {
                let read = reader.frame(*at)?.and_then(|frame| entry(&frame).ok());
                if let Some(entry) = read.filter(|entry| entry.time >= time && entry.seq > self.removed()) {
                    return Ok(Some(entry.seq));
                }
            }
        }
        Ok(None)
    }

    /// Forgets the entries up to `through`; returns how many those were. The files go as soon as all of their entries
    /// are forgotten.
    pub(super) fn forget(&self, through: u64) -> Result<u64, StoreError> {
        let before = self.removed.fetch_max(through, Ordering::AcqRel);
        let (mut first, mut stays) = (None, None);
        for segment in self.log.segments() {
            let index = self.index(&segment)?;
            first = first.or(index.first());
            if index.last().is_some_and(|last| last > through) {
                stays = Some(segment.first);
                break;
            }
        }
        if let Some(frame) = stays {
            self.log.forget(frame)?;
            self.state().indexes.forget_before(frame);
        }
        let first = first.unwrap_or(through + 1).max(before + 1);
        Ok((through + 1).saturating_sub(first))
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn forget_indexes(&self) {
        self.state().indexes.forget_before(u64::MAX);
    }

    /// The entries that frames which are not there held: the first and the last of them. None if none did.
    pub(crate) fn entries_of(&self, loss: &Loss) -> Option<(u64, u64)> {
        let entry = |item: Result<Item, StoreError>| match item {
            Ok(Item::Frame(At { frame, .. })) if frame.kind == ENTRY => number(&frame),
            _ => None,
        };
        let before = self.log.read(0..=loss.from.saturating_sub(1)).rev().find_map(entry).unwrap_or(0);
        let behind = self.log.read(loss.to + 1..=u64::MAX).find_map(entry);
        let (from, to) = (before + 1, behind.map_or(self.audited(), |behind| behind - 1));
        (from <= to).then_some((from, to))
    }
}

fn keep(segment: &Segment, index: &Index) {
    let kept = codec::to_payload(INDEX_VERSION, index)
        .map_err(|source| StoreError::Record { tree: "audit index", source })
        .and_then(|bytes| segment.keep_derived(INDEX, &bytes));
    if let Err(error) = kept {
        // It is made again when it is wanted.
        tracing::debug!(%error, "an index of the audit log is not kept");
    }
}

fn read_index(segment: &Segment) -> Result<Index, StoreError> {
    let mut index = Index::default();
    for item in segment.read()? {
        let Item::Frame(At { at, frame }) = item else { continue };
        match frame.kind {
            ENTRY => {
                let read = entry(&frame).ok();
                index.add(number(&frame).unwrap_or(0), at, read.as_ref());
            }
            CHECKPOINT => index.checkpoints.push((number(&frame).unwrap_or(0), at)),
            HEAD => index.head = codec::from_payload(VERSION, &frame.payload).ok().or(index.head.take()),
            _ => {}
        }
    }
    index.end = segment.end;
    Ok(index)
}

fn payload<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    codec::to_payload(VERSION, value).map_err(|source| StoreError::Record { tree: "audit", source })
}

/// What is about the entry `seq`, after that number.
pub(super) fn placed<T: Serialize>(seq: u64, value: &T) -> Result<Vec<u8>, StoreError> {
    Ok([&seq.to_le_bytes()[..], &payload(value)?].concat())
}

/// The entry that a frame is about.
pub(super) fn number(frame: &Frame) -> Option<u64> {
    Some(u64::from_le_bytes(frame.payload.get(..8)?.try_into().ok()?))
}

pub(super) fn entry(frame: &Frame) -> Result<AuditEntry, codec::CodecError> {
    codec::from_payload(VERSION, frame.payload.get(8..).unwrap_or_default())
}
