//! The bytes of a segment: a header, then frames. Integers are little-endian.
//!
//! Header: magic (8), owner (16), number of the first frame (u64), time it was made (u64, ms), first frame, length and
//! CRC-32 of the segment before (u64, u64, u32), CRC-32 of all that. Frame: length of the payload (u32), CRC-32 of the
//! owner and all that follows (u32), number (u64), kind (u8), payload.
//!
//! The owner, a hash of the daemon's id and the log's name, is part of every checksum: what comes from another log is
//! as damaged as what was changed.

use std::ops::Range;

use crc32fast::Hasher;
use sha2::{Digest as _, Sha256};

const MAGIC: &[u8; 8] = b"AVXLOG1\n";
/// Bytes of a header.
pub(super) const HEADER: usize = 64;
/// Bytes of a frame before its payload.
pub(super) const FRAME: usize = 17;
/// Largest payload, bytes.
pub(super) const PAYLOAD_MAX: usize = 2 << 20;
/// Set in the kind of every frame of a group but the last.
const GOES_ON: u8 = 0x80;
/// How far behind a damage the numbers may go on.
const AHEAD: u64 = 1 << 32;

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner([u8; 16]);

impl Owner {
    pub(super) fn new(daemon: &str, log: &str) -> Self {
        let hash = Sha256::new().chain_update(daemon).chain_update([0]).chain_update(log).finalize();
        let mut owner = [0; 16];
        owner.copy_from_slice(&hash[..16]);
        Self(owner)
    }

    fn checksum(&self, bytes: &[u8]) -> u32 {
        let mut crc = Hasher::new();
        crc.update(&self.0);
        crc.update(bytes);
        crc.finalize()
    }
}

/// A segment that nothing is added to any more. What lies behind `len` is no part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) first: u64,
    pub(super) len: u64,
    pub(super) crc: u32,
}

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) first: u64,
    pub(super) created: u64,
    /// The segment before it; all zero if there was none.
    pub(super) previous: Closed,
}

impl Header {
    pub(super) fn bytes(&self, owner: &Owner) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..24].copy_from_slice(&owner.0);
        let numbers = [self.first, self.created, self.previous.first, self.previous.len];
        for (place, number) in bytes[24..56].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[56..60].copy_from_slice(&self.previous.crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// None if it is damaged, or another log's.
    pub(super) fn read(bytes: &[u8], owner: &Owner) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        let previous = Closed { first: u64_at(bytes, 40)?, len: u64_at(bytes, 48)?, crc: u32_at(bytes, 56)? };
        let header = Self { first: u64_at(bytes, 24)?, created: u64_at(bytes, 32)?, previous };
        (bytes == header.bytes(owner)).then_some(header)
    }
}

/// Adds a frame to `out`; `goes_on` if another of its group follows.
pub(super) fn encode(out: &mut Vec<u8>, owner: &Owner, number: u64, kind: u8, goes_on: bool, payload: &[u8]) {
    let at = out.len();
    // Checked by the caller to be no more than `PAYLOAD_MAX`.
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&number.to_le_bytes());
    out.push(kind | if goes_on { GOES_ON } else { 0 });
    out.extend_from_slice(payload);
    let crc = owner.checksum(&out[at + 8..]);
    out[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Bytes of a frame with a payload of `payload` bytes.
pub(crate) fn frame_len(payload: usize) -> u32 {
    // No payload has more than `PAYLOAD_MAX`.
    (FRAME + payload) as u32
}

/// A frame found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) kind: u8,
    /// Whether another of its group follows.
    pub(super) goes_on: bool,
    /// Where it begins.
    pub(super) at: usize,
    /// Where its payload is; it ends with that.
    pub(super) payload: Range<usize>,
}

/// Length of the payload of the frame that begins `bytes`, if that may be one.
pub(super) fn payload_len(bytes: &[u8]) -> Option<usize> {
    let len = u32_at(bytes, 0)? as usize;
    (bytes.len() >= FRAME && len <= PAYLOAD_MAX).then_some(len)
}

/// The frame that begins at `at`, if there is one and it is whole.
pub(super) fn frame(bytes: &[u8], at: usize, owner: &Owner) -> Option<Found> {
    let rest = bytes.get(at..)?;
    let len = payload_len(rest)?;
    let whole = rest.get(..FRAME + len)?;
    if owner.checksum(&whole[8..]) != u32_at(whole, 4)? {
        return None;
    }
    let begin = at + FRAME;
    Some(Found {
        number: u64_at(whole, 8)?,
        kind: whole[16] & !GOES_ON,
        goes_on: whole[16] & GOES_ON != 0,
        at,
        payload: begin..begin + len,
    })
}

/// Goes through the frames of a segment.
pub(super) struct Scan<'b> {
    bytes: &'b [u8],
    owner: &'b Owner,
    at: usize,
    next: u64,
    /// Number behind the last frame that may be there.
    end: u64,
}

/// What a [`Scan`] finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Frame(Found),
    /// Frames from `from` to before `to` are not there; `to` is None behind the last that is.
    Hole {
        from: u64,
        to: Option<u64>,
    },
}

impl<'b> Scan<'b> {
    /// Of the segment `bytes`, which begins with frame `first` and ends before `end`.
    pub(super) fn new(bytes: &'b [u8], owner: &'b Owner, first: u64, end: u64) -> Self {
        Self { bytes, owner, at: HEADER.min(bytes.len()), next: first, end }
    }

    /// The next frame from `at` on that may follow.
    fn search(&self, at: usize) -> Option<Found> {
        let wanted = self.next..self.end.min(self.next.saturating_add(AHEAD));
        (at..self.bytes.len().saturating_sub(FRAME - 1))
            // Cheap, and seldom true by chance.
            .filter(|at| u64_at(self.bytes, at + 8).is_some_and(|number| wanted.contains(&number)))
            .find_map(|at| frame(self.bytes, at, self.owner))
    }
}

impl Iterator for Scan<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.next >= self.end {
            return None;
        }
        let here = frame(self.bytes, self.at, self.owner).filter(|found| found.number == self.next);
        if let Some(found) = here {
            (self.at, self.next) = (found.payload.end, found.number + 1);
            return Some(Step::Frame(found));
        }
        let from = self.next;
        if let Some(found) = self.search(self.at) {
            (self.at, self.next) = (found.at, found.number);
            return Some(Step::Hole { from, to: Some(found.number) });
        }
        let left = self.bytes.len() > self.at;
        (self.at, self.next) = (self.bytes.len(), self.end);
        // Where the end is not known, only bytes that are left over show that there is more.
        (self.end != u64::MAX || left)
            .then_some(Step::Hole { from, to: Some(self.end).filter(|end| *end != u64::MAX) })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
