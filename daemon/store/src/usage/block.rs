//! Blocks: requests that ended at about the same time, stored as one record.

use std::{collections::BTreeMap, net::IpAddr};

use aivonx_domain::table::Map;
use aivonx_protocol::{UnixMillis, limit::LimitName, privacy::Category};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::code::{Parties, Wanted};
use crate::{
    StoreError,
    codec::{self, CodecError},
};

/// Version of the stored form.
const VERSION: u8 = 2;

/// Most rows of a block: at some fifty bytes each far from the largest record.
pub(super) const ROWS: usize = 1024;

/// Longest time between the first and the last row of a block, milliseconds.
pub(super) const SPAN_MS: u64 = 60_000;

/// One request, or refusals that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEntry {
    /// When it ended.
    pub time: UnixMillis,
    /// Our id of it; of refusals that are alike the last one's.
    pub request: Uuid,
    /// Who it was from, and what it was about.
    pub parties: Parties,
    /// Address of the client; None where it is not known any more.
    pub address: Option<IpAddr>,
    /// How many are alike; 1 unless they were refused.
    pub times: u32,
    /// Tokens of the prompt.
    pub prompt: Option<u64>,
    /// Tokens of the output.
    pub output: Option<u64>,
    /// Whether these are estimates.
    pub estimated: bool,
    /// What it cost, micro-USD.
    pub cost: u64,
    /// Status of the answer.
    pub status: u16,
    /// How it ended: the number of a [`aivonx_domain::Outcome`].
    pub outcome: u8,
    /// The limit that refused it.
    pub limit: Option<LimitName>,
    /// What was found in the prompt.
    pub findings: BTreeMap<Category, u32>,
    /// From its head to the choice of a node, milliseconds.
    pub queued_ms: Option<u32>,
    /// From its head to its end, milliseconds.
    pub total_ms: u32,
}

/// The stored form.
#[derive(Debug, Deserialize)]
pub(super) struct Block {
    requests: Requests,
    origins: Origins,
}

/// All of a block before addresses were kept.
#[derive(Debug, Deserialize)]
struct Requests {
    parties: Vec<Parties>,
    rows: Vec<Row>,
}

impl Wanted {
    /// Whether a request is meant.
    pub(super) fn wants(&self, entry: &UsageEntry) -> bool {
        self.covers(&entry.parties) && self.is_from(entry.address)
    }
}

/// Where the requests of a block came from.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Origins {
    /// Each address once.
    addresses: Vec<IpAddr>,
    /// The place of each request's address among those, counted from 1; 0 without an address.
    of: Vec<u32>,
}

#[derive(Debug, Deserialize)]
struct Row {
    parties: u32,
    /// Milliseconds after the time in the key.
    after: u32,
    request: Uuid,
    times: u32,
    prompt: Option<u64>,
    output: Option<u64>,
    estimated: bool,
    cost: u64,
    status: u16,
    outcome: u8,
    limit: Option<LimitName>,
    findings: BTreeMap<Category, u32>,
    queued_ms: Option<u32>,
    total_ms: u32,
}

/// Cuts entries, which are in the order of their time, into blocks.
pub(super) fn parts(entries: &[UsageEntry]) -> impl Iterator<Item = &[UsageEntry]> {
    entries.chunk_by(|a, b| a.time / SPAN_MS == b.time / SPAN_MS).flat_map(|part| part.chunks(ROWS))
}

/// A block about to be stored: the same as [`Block`], without copies of what the entries have.
#[derive(Debug, Serialize)]
pub(super) struct NewBlock<'e> {
    parties: Vec<Parties>,
    #[serde(serialize_with = "in_turn")]
    rows: Rows<'e>,
    origins: Origins,
}

#[derive(Debug)]
struct Rows<'e> {
    entries: &'e [UsageEntry],
    /// Where the parties of each are.
    places: Vec<u32>,
}

/// As [`Row`].
#[derive(Serialize)]
struct NewRow<'e> {
    parties: u32,
    after: u32,
    request: Uuid,
    times: u32,
    prompt: Option<u64>,
    output: Option<u64>,
    estimated: bool,
    cost: u64,
    status: u16,
    outcome: u8,
    limit: Option<LimitName>,
    findings: &'e BTreeMap<Category, u32>,
    queued_ms: Option<u32>,
    total_ms: u32,
}

fn in_turn<S: Serializer>(rows: &Rows<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let begin = rows.entries.first().map_or(0, |entry| entry.time);
    serializer.collect_seq(rows.entries.iter().zip(&rows.places).map(|(entry, place)| NewRow {
        parties: *place,
        after: u32::try_from(entry.time.saturating_sub(begin)).unwrap_or(u32::MAX),
        request: entry.request,
        times: entry.times,
        prompt: entry.prompt,
        output: entry.output,
        estimated: entry.estimated,
        cost: entry.cost,
        status: entry.status,
        outcome: entry.outcome,
        limit: entry.limit,
        findings: &entry.findings,
        queued_ms: entry.queued_ms,
        total_ms: entry.total_ms,
    }))
}

impl<'e> NewBlock<'e> {
    /// As it is stored: when it begins, and the rest.
    pub(super) fn payload(&self) -> Result<Vec<u8>, StoreError> {
        let begin = self.rows.entries.first().map_or(0, |entry| entry.time);
        let rest = codec::to_payload(VERSION, self).map_err(unreadable)?;
        Ok([&begin.to_be_bytes()[..], &rest].concat())
    }

    /// A block of entries that are in the order of their time.
    pub(super) fn of(entries: &'e [UsageEntry]) -> Self {
        let mut known = Map::default();
        let mut parties: Vec<Parties> = Vec::new();
        let mut place = 0;
        let places = entries
            .iter()
            .map(|entry| {
                // Most are about the same as the one before.
                if parties.get(place) != Some(&entry.parties) {
                    place = *known.entry(entry.parties).or_insert_with(|| {
                        parties.push(entry.parties);
                        parties.len() - 1
                    });
                }
                // A block has no more of them than rows.
                u32::try_from(place).unwrap_or(u32::MAX)
            })
            .collect();
        Self { parties, rows: Rows { entries, places }, origins: Origins::of(entries) }
    }
}

fn unreadable(source: CodecError) -> StoreError {
    StoreError::Record { tree: "usage_raw", source }
}

impl Origins {
    fn of(entries: &[UsageEntry]) -> Self {
        let mut known = Map::default();
        let mut addresses = Vec::new();
        let place = |entry: &UsageEntry| {
            let Some(address) = entry.address else { return 0 };
            *known.entry(address).or_insert_with(|| {
                addresses.push(address);
                // A block has no more of them than rows.
                u32::try_from(addresses.len()).unwrap_or(0)
            })
        };
        let of = entries.iter().map(place).collect();
        Self { addresses, of }
    }

    fn address(&self, row: usize) -> Option<IpAddr> {
        let place = self.of.get(row)?.checked_sub(1)?;
        self.addresses.get(place as usize).copied()
    }
}

impl Block {
    /// Reads the stored form.
    pub(super) fn read(payload: &[u8]) -> Result<Self, StoreError> {
        let rest = payload.get(size_of::<UnixMillis>()..).unwrap_or_default();
        let read = match codec::from_payload(VERSION, rest) {
            Err(CodecError::Version { found: 1, .. }) => {
                codec::from_payload(1, rest).map(|requests| Self { requests, origins: Origins::default() })
            }
            read => read,
        };
        read.map_err(unreadable)
    }

    /// Who and what its entries are about.
    pub(super) fn parties(&self) -> &[Parties] {
        &self.requests.parties
    }

    pub(super) fn len(&self) -> usize {
        self.requests.rows.len()
    }

    /// Whether any entry of it may be meant.
    pub(super) fn has(&self, wanted: &Wanted) -> bool {
        self.parties().iter().any(|parties| wanted.covers(parties))
            && (wanted.network.is_none()
                || self.origins.addresses.iter().any(|address| wanted.is_from(Some(*address))))
    }

    /// The entries of a block that begins at `begin`.
    pub(super) fn entries(&self, begin: UnixMillis) -> impl Iterator<Item = UsageEntry> + '_ {
        (0..self.len()).filter_map(move |row| self.entry(begin, row))
    }

    /// One entry of a block that begins at `begin`. None if the block does not have it.
    pub(super) fn entry(&self, begin: UnixMillis, row: usize) -> Option<UsageEntry> {
        let address = self.origins.address(row);
        let row = self.requests.rows.get(row)?;
        Some(UsageEntry {
            time: begin + u64::from(row.after),
            request: row.request,
            parties: *self.requests.parties.get(row.parties as usize)?,
            address,
            times: row.times,
            prompt: row.prompt,
            output: row.output,
            estimated: row.estimated,
            cost: row.cost,
            status: row.status,
            outcome: row.outcome,
            limit: row.limit,
            findings: row.findings.clone(),
            queued_ms: row.queued_ms,
            total_ms: row.total_ms,
        })
    }
}

/// When the block in a frame begins.
pub(super) fn time(payload: &[u8]) -> UnixMillis {
    payload.first_chunk().map_or(0, |bytes| UnixMillis::from_be_bytes(*bytes))
}
