//! Sums of days as they are stored, and where they are.

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize};

use super::{
    code::{Code, Parties},
    day::{self, Key},
    sums::UsageSums,
};
use crate::{
    StoreError,
    codec::{self, CodecError},
    segment::{Frame, Item, Segment},
};

/// Kind of the frames with sums, never changed.
const SUMS: u8 = 1;
const VERSION: u8 = 1;
const TREE: &str = "usage_sums";
/// Most rows of a frame.
const ROWS: usize = 4096;

/// Sums of some of a day's requests, of one organization.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DaySums {
    group: Covered,
    day: u32,
    organization: Code,
    /// Users, keys, models and nodes, each once.
    codes: Vec<Code>,
    rows: Vec<Row>,
}

/// Of which requests the sums are that were stored together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Covered {
    /// Of those in frames behind this one,
    since: u64,
    /// up to this one.
    through: u64,
    /// Frames of the group; 0 if nobody counted.
    frames: u32,
}

/// User, key, model and node by their places among the codes.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    user: u32,
    key: u32,
    model: u32,
    node: u32,
    sums: UsageSums,
}

impl DaySums {
    /// What a frame says.
    pub(super) fn read(frame: &Frame) -> Result<Self, StoreError> {
        codec::from_payload(VERSION, &frame.payload)
            .map_err(|source| StoreError::Record { tree: TREE, source })
    }

    /// Calls `see` with each row.
    pub(super) fn each(&self, mut see: impl FnMut(u32, &Parties, &UsageSums)) {
        let code = |place: u32| self.codes.get(place as usize).copied().unwrap_or_default();
        for row in &self.rows {
            let parties = Parties {
                organization: self.organization,
                user: code(row.user),
                key: code(row.key),
                model: code(row.model),
                node: code(row.node),
                ..Parties::default()
            };
            see(self.day, &parties, &row.sums);
        }
    }
}

/// Sums that the engine had.
pub(super) fn moved(payload: &[u8]) -> Result<UsageSums, CodecError> {
    codec::from_payload(VERSION, payload)
}

/// The frames that store sums of the requests in the frames `covered`, which begin behind its start and end with its
/// end. Unless they are `counted`, it will not be noticed if some of them are lost.
pub(super) fn frames(
    sums: &BTreeMap<Key, UsageSums>,
    covered: Range<u64>,
    counted: bool,
) -> Result<Vec<(u8, Vec<u8>)>, StoreError> {
    let rows: Vec<(u32, Parties, &UsageSums)> = sums
        .iter()
        .filter_map(|(key, sums)| day::read(key).map(|(day, parties)| (day, parties, sums)))
        .collect();
    let parts: Vec<_> = rows
        .chunk_by(|a, b| (a.0, a.1.organization) == (b.0, b.1.organization))
        .flat_map(|rows| rows.chunks(ROWS))
        .collect();
    // Far fewer than fit.
    let frames = if counted { u32::try_from(parts.len()).unwrap_or(u32::MAX) } else { 0 };
    let group = Covered { since: covered.start, through: covered.end, frames };
    let frame = |part: &[(u32, Parties, &UsageSums)]| {
        let (day, parties, _) = part[0];
        let mut known = BTreeMap::new();
        let mut codes = Vec::new();
        let mut place = |code| {
            *known.entry(code).or_insert_with(|| {
                codes.push(code);
                codes.len() as u32 - 1
            })
        };
        let row = |(_, parties, sums): &(u32, Parties, &UsageSums)| Row {
            user: place(parties.user),
            key: place(parties.key),
            model: place(parties.model),
            node: place(parties.node),
            sums: (*sums).clone(),
        };
        let rows = part.iter().map(row).collect();
        let sums = DaySums { group, day, organization: parties.organization, codes, rows };
        let payload = codec::to_payload(VERSION, &sums);
        payload.map(|payload| (SUMS, payload)).map_err(|source| StoreError::Record { tree: TREE, source })
    };
    parts.into_iter().map(frame).collect()
}

/// Where sums of a day and an organization are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    segment: u64,
    at: u32,
    group: Covered,
    day: u32,
    organization: Code,
}

/// Name of what is derived from segments of sums: where they are.
const PLACES: &str = "places";

/// Where the sums in a segment are, in its order.
pub(super) fn places(segment: &Segment) -> Result<Vec<Place>, StoreError> {
    if let Some(bytes) = segment.derived(PLACES)
        && let Ok(places) = codec::from_payload(VERSION, &bytes)
    {
        return Ok(places);
    }
    let mut places = Vec::new();
    for item in segment.read()? {
        let Item::Frame(placed) = item else { continue };
        if placed.frame.kind != SUMS {
            continue;
        }
        let Ok(DaySums { group, day, organization, .. }) = DaySums::read(&placed.frame) else { continue };
        places.push(Place { segment: segment.first, at: placed.at, group, day, organization });
    }
    let bytes =
        codec::to_payload(VERSION, &places).map_err(|source| StoreError::Record { tree: TREE, source })?;
    if let Err(error) = segment.keep_derived(PLACES, &bytes) {
        tracing::debug!(%error, "what was derived from a segment is not kept");
    }
    Ok(places)
}

/// The stored sums: groups of which each goes on where the one before it ends.
#[derive(Debug, Default)]
pub(super) struct Chain {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    covered: Covered,
    places: Vec<Place>,
}

impl Chain {
    /// Takes what a segment has, in the order of segments; the last one may come again with more. A group that begins
    /// before the end of others was made in their place, because something of them was lost.
    pub(super) fn add(&mut self, places: Vec<Place>) {
        let Some(segment) = places.first().map(|place| place.segment) else { return };
        let last = |group: &Group| group.places.last().is_some_and(|place| place.segment == segment);
        for group in self.groups.iter_mut().rev().take_while(|group| last(group)) {
            group.places.retain(|place| place.segment != segment);
        }
        for place in places {
            let covered = place.group;
            if let Some(group) = self.groups.iter_mut().rev().find(|group| group.covered == covered) {
                group.places.push(place);
                continue;
            }
            self.groups.retain(|group| group.covered.through <= covered.since);
            self.groups.push(Group { covered, places: vec![place] });
        }
    }

    /// Gives up what is behind a gap, if the requests from frame `first` on are enough to make it anew.
    pub(super) fn remake(&mut self, first: u64) {
        let mut reached = self.groups.first().map_or(0, |group| group.covered.since);
        for at in 0..self.groups.len() {
            let Group { covered, places } = &self.groups[at];
            let is_complete = covered.frames == 0 || places.len() == covered.frames as usize;
            let is_whole = covered.since == reached && is_complete;
            if !is_whole {
                let from = reached.min(covered.since);
                if from + 1 >= first {
                    tracing::warn!("sums of the usage ledger are lost, and made of its requests again");
                    self.groups.truncate(at);
                    return;
                }
                tracing::error!(
                    event = "usage_lost",
                    "sums of the usage ledger are lost, and so are their requests"
                );
            }
            reached = covered.through;
        }
    }

    /// The last frame of requests that is in them.
    pub(super) fn through(&self) -> u64 {
        self.groups.last().map_or(0, |group| group.covered.through)
    }

    /// The newest day of all.
    pub(super) fn newest(&self) -> Option<u32> {
        self.groups.iter().flat_map(|group| &group.places).map(|place| place.day).max()
    }

    /// Where there is something of these days, and of the organization if only that is wanted; by segment.
    pub(super) fn places(&self, days: &Range<u32>, organization: Option<Code>) -> BTreeMap<u64, Vec<u32>> {
        let mut found = BTreeMap::<u64, Vec<u32>>::new();
        for place in self.groups.iter().flat_map(|group| &group.places) {
            if days.contains(&place.day) && organization.is_none_or(|wanted| wanted == place.organization) {
                found.entry(place.segment).or_default().push(place.at);
            }
        }
        found
    }

    /// The last day in a segment.
    pub(super) fn last_day(&self, segment: u64) -> Option<u32> {
        let places = self.groups.iter().flat_map(|group| &group.places);
        places.filter(|place| place.segment == segment).map(|place| place.day).max()
    }

    /// Forgets what lies in segments before the one that begins with frame `floor`.
    pub(super) fn forget(&mut self, floor: u64) {
        // The last group stays, for what it covers.
        let last = self.groups.len().saturating_sub(1);
        for group in &mut self.groups {
            group.places.retain(|place| place.segment >= floor);
        }
        let mut at = 0;
        self.groups.retain(|group| {
            at += 1;
            at > last || !group.places.is_empty()
        });
    }
}
