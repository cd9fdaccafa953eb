//! Adding up what was asked for, from requests and from days.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    ops::ControlFlow,
};

use super::{
    code::{Code, Wanted},
    day::{Calendar, Step},
    kept::Kept,
    sums::{Group, Piece, Summed, UsageSums},
};
use crate::StoreError;

/// See [`super::UsageLog::sum`].
pub(super) fn sum(
    kept: &Kept,
    calendar: Calendar,
    wanted: &Wanted,
    pieces: &[Piece],
    group: Group,
    most: usize,
) -> Result<Summed, StoreError> {
    let mut summed = Summed::default();
    if wanted.nothing {
        return Ok(summed);
    }
    let mut groups = HashMap::<_, UsageSums>::new();
    // Steps begin where days do or within them.
    let mut begins = HashMap::new();
    for piece in pieces {
        match piece {
            Piece::Entries(times) => kept.blocks(times, 0, |placed| {
                if placed.block.has(wanted) {
                    for entry in placed.block.entries(placed.begin) {
                        if !times.contains(&entry.time) || !wanted.wants(&entry) {
                            continue;
                        }
                        summed.total.add(&entry);
                        let step = group.per.map(|per| calendar.begin(per, entry.time));
                        let code = group.by.map_or(Code::NONE, |by| entry.parties.part(by));
                        match slot(&mut groups, (step, code), most) {
                            Some(sums) => sums.add(&entry),
                            None => summed.cut = true,
                        }
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?,
            Piece::Days(days) => kept.days(calendar, days, wanted, |day, parties, sums| {
                if !wanted.covers(parties) {
                    return;
                }
                summed.total.join(sums);
                let begin = |per: Step| calendar.begin(per, calendar.midnight(day));
                let step = group.per.map(|per| *begins.entry(day).or_insert_with(|| begin(per)));
                let code = group.by.map_or(Code::NONE, |by| parties.part(by));
                match slot(&mut groups, (step, code), most) {
                    Some(group) => group.join(sums),
                    None => summed.cut = true,
                }
            })?,
        }
    }
    summed.groups = groups.into_iter().collect();
    Ok(summed)
}

/// The sums of a group; None if there are as many groups already as there may be.
fn slot<K: Eq + Hash + Copy>(
    groups: &mut HashMap<K, UsageSums>,
    group: K,
    most: usize,
) -> Option<&mut UsageSums> {
    let full = groups.len() >= most;
    match groups.entry(group) {
        Entry::Occupied(known) => Some(known.into_mut()),
        Entry::Vacant(_) if full => None,
        Entry::Vacant(new) => Some(new.insert(UsageSums::default())),
    }
}
