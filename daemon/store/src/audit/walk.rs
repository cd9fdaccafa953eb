//! Going through the entries as they stand, without the index.

use std::{collections::VecDeque, fmt};

use super::{
    Placed,
    kept::{ENTRY, entry, number},
};
use crate::{
    StoreError,
    segment::{Frame, Frames, Item, Placed as At},
};

/// Goes through entries as they stand.
pub(super) struct Walk {
    frames: Frames,
    /// The place from which on entries are wanted.
    pub(super) next: u64,
    /// The last place seen.
    last: Option<u64>,
    /// So many frames behind it cannot be read.
    lost: u64,
    ready: VecDeque<Placed>,
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Walk {
    pub(super) fn new(frames: Frames, from: u64) -> Self {
        Self { frames, next: from, last: None, lost: 0, ready: VecDeque::new() }
    }

    pub(super) fn step(&mut self) -> Result<Option<Placed>, StoreError> {
        while self.ready.is_empty() {
            match self.frames.next().transpose()? {
                None => return Ok(None),
                Some(Item::Hole(hole)) => self.lost += hole.end() - hole.start() + 1,
                Some(Item::Frame(At { frame, .. })) if frame.kind == ENTRY => self.take(&frame),
                Some(Item::Frame(_)) => {}
            }
        }
        let placed = self.ready.pop_front();
        if let Some((place, _)) = &placed {
            self.next = place + 1;
        }
        Ok(placed)
    }

    fn take(&mut self, frame: &Frame) {
        let place = number(frame).unwrap_or(self.next);
        let expected = self.last.map_or(self.next, |last| last + 1);
        // Where more is lost than entries, whole groups are: those are missing.
        if self.lost > 0 && place == expected.saturating_add(self.lost) && expected >= self.next {
            self.ready.push_back((expected, Err("it is damaged on the disk".to_owned())));
        }
        (self.lost, self.last) = (0, Some(place));
        if place >= self.next {
            self.ready.push_back((place, entry(frame).map_err(|e| e.to_string())));
        }
    }
}
