use std::collections::BTreeMap;

use aivonx_domain::{Outcome, TenantScope};
use aivonx_protocol::privacy::Category;
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    block::{Block, NewBlock},
    *,
};
use crate::{
    ledgers::Ledgers,
    tests::{copy, open},
};

/// A day's begin.
const NOON: u64 = 20_000 * DAY_MS + DAY_MS / 2;

fn name(part: Part, id: &str) -> (Code, UsageName) {
    (Code::of(part, id), UsageName { part, id: id.to_owned(), name: id.to_uppercase() })
}

fn entry(time: u64, organization: &str, user: &str, model: &str) -> UsageEntry {
    UsageEntry {
        time,
        request: Uuid::from_u128(u128::from(time)),
        parties: Parties {
            organization: Code::of(Part::Organization, organization),
            user: Code::of(Part::User, user),
            model: Code::of(Part::Model, model),
            node: Code::of(Part::Node, "gpu1"),
            ..Parties::default()
        },
        address: (!time.is_multiple_of(3)).then(|| [192, 0, 2, (time % 7) as u8].into()),
        times: 1,
        prompt: Some(10),
        output: Some(2),
        estimated: false,
        cost: 5,
        status: 200,
        outcome: Outcome::Complete as u8,
        limit: None,
        findings: BTreeMap::from([(Category::Email, 1)]),
        queued_ms: Some(1),
        total_ms: 7,
    }
}

async fn total(log: &UsageLog, wanted: Wanted, pieces: Vec<Piece>) -> UsageSums {
    log.sum(wanted, pieces, Group::default(), 10).await.unwrap().total
}

/// The same entries, from the ledger and from the sums of their days.
async fn both(log: &UsageLog, wanted: Wanted) -> [UsageSums; 2] {
    [
        total(log, wanted, vec![Piece::Entries(0..u64::MAX)]).await,
        total(log, wanted, vec![Piece::Days(0..u32::MAX)]).await,
    ]
}

#[tokio::test]
async fn entries_and_sums_say_the_same_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let log = store.usage_log(Calendar::UTC);
    let mut entries = Vec::new();
    for n in 0..3000 {
        let (organization, user) = if n % 3 == 0 { ("acme", "alice") } else { ("beta", "bob") };
        // Two days, neither in order nor all at once.
        entries.push(entry(NOON + (n * 7919 % 3000) * 20_000, organization, user, "m"));
    }
    // Alike in everything but the time they are stored at.
    for part in entries.chunks(700) {
        log.append(part.to_vec(), vec![name(Part::Organization, "acme")]).await.unwrap();
        log.append(vec![part[0].clone()], Vec::new()).await.unwrap();
    }
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    let log = store.usage_log(Calendar::UTC);
    let all = Wanted::within(&TenantScope::All);
    let [raw, days] = both(&log, all).await;
    assert_eq!(raw, days);
    assert_eq!((raw.requests, raw.prompt, raw.output, raw.cost), (3005, 30_050, 6010, 15_025));
    assert_eq!((raw.findings[&Category::Email], raw.failed, raw.refused), (3005, 0, 0));
    let acme = Wanted::within(&TenantScope::Organization("acme".into()));
    let [raw, days] = both(&log, acme).await;
    assert_eq!(raw, days);
    let page = log.page(acme, 0, u64::MAX, None, 100_000).await.unwrap();
    assert_eq!(page.entries.len() as u64, raw.requests);
    let names = log.names(vec![Code::of(Part::Organization, "acme"), Code::NONE]).await.unwrap();
    assert_eq!(names.values().map(|name| &*name.name).collect::<Vec<_>>(), ["ACME"]);

    // By day and by month: the entries lie on both sides of midnight.
    let group = Group { by: Some(Part::User), per: Some(Step::Day) };
    let days = log.sum(all, vec![Piece::Days(0..u32::MAX)], group, 10).await.unwrap();
    let hours = log.sum(all, vec![Piece::Entries(0..u64::MAX)], group, 10).await.unwrap();
    assert_eq!(days, hours);
    assert_eq!((days.groups.len(), days.cut), (4, false));
    assert!(log.sum(all, vec![Piece::Days(0..u32::MAX)], group, 3).await.unwrap().cut);
}

#[tokio::test]
async fn pages_follow_each_other_and_keep_to_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let log = store.usage_log(Calendar::UTC);
    let entries: Vec<_> = (0..2500).map(|n| entry(NOON + n * 100, "acme", "alice", "m")).collect();
    log.append(entries.clone(), Vec::new()).await.unwrap();
    let (since, until) = (NOON + 50_000, NOON + 200_000);
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = log.page(Wanted::default(), since, until, cursor, 100).await.unwrap();
        found.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, entries[500..2000]);
    let sums = total(&log, Wanted::default(), vec![Piece::Entries(since..until)]).await;
    assert_eq!(sums.requests, 1500);
}

/// Has what comes next go to files of its own.
async fn roll(store: &Store) {
    let roll = |ledgers: &Ledgers| {
        ledgers.usage.store_sums()?;
        ledgers.usage.requests.roll()?;
        ledgers.usage.sums.roll()
    };
    store.with_ledgers(roll).await.unwrap();
}

#[tokio::test]
async fn what_is_too_old_is_forgotten_file_by_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let log = store.usage_log(Calendar::UTC);
    for day in 0..20 {
        log.append(vec![entry(NOON + day * DAY_MS, "acme", "alice", "m")], Vec::new()).await.unwrap();
        roll(&store).await;
    }
    assert_eq!(log.forget_entries(NOON + 15 * DAY_MS).await.unwrap(), 15);
    assert_eq!(log.forget_entries(NOON + 15 * DAY_MS).await.unwrap(), 0);
    let requests = async |log: &UsageLog| both(log, Wanted::default()).await.map(|sums| sums.requests);
    assert_eq!(requests(&log).await, [5, 20]);
    assert_eq!(log.forget_days(Calendar::UTC.day_of(NOON) + 10).await.unwrap(), 10);
    assert_eq!(requests(&log).await, [5, 10]);
    // What is added to goes once there is something behind it.
    let ever = NOON + 1000 * DAY_MS;
    assert_eq!(log.forget_entries(ever).await.unwrap(), 4);
    log.append(vec![entry(ever, "acme", "alice", "m")], Vec::new()).await.unwrap();
    assert_eq!(log.forget_entries(ever).await.unwrap(), 1);
    assert_eq!(requests(&log).await, [1, 11]);
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    assert_eq!(requests(&store.usage_log(Calendar::UTC)).await, [1, 11]);
}

#[tokio::test]
async fn sums_are_those_of_the_requests_after_whatever_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let log = store.usage_log(Calendar::UTC);
    let mut expected = 0;
    for round in 0..6_u64 {
        let entries = (0..50).map(|n| entry(NOON + round * DAY_MS / 3 + n, "acme", "alice", "m")).collect();
        log.append(entries, Vec::new()).await.unwrap();
        expected += 50;
        if round % 2 == 0 {
            store.with_ledgers(|ledgers| ledgers.usage.store_sums()).await.unwrap();
        }
        // As a kill would leave it.
        let killed = tempfile::tempdir().unwrap();
        copy(dir.path(), killed.path());
        let killed = open(killed.path()).await;
        let found = both(&killed.usage_log(Calendar::UTC), Wanted::default()).await;
        assert_eq!(found.map(|sums| sums.requests), [expected; 2], "{round}");
    }
}

#[tokio::test]
async fn sums_that_are_lost_are_made_of_the_requests_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let log = store.usage_log(Calendar::UTC);
    for day in 0..6 {
        log.append(vec![entry(NOON + day * DAY_MS, "acme", "alice", "m")], Vec::new()).await.unwrap();
        store.with_ledgers(|ledgers| ledgers.usage.store_sums()).await.unwrap();
    }
    store.close().await.unwrap();
    let file = dir.path().join("ledger/sums/00000000000000000001.log");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&file, bytes).unwrap();
    for _ in 0..3 {
        let store = open(dir.path()).await;
        let found = both(&store.usage_log(Calendar::UTC), Wanted::default()).await;
        assert_eq!(found.map(|sums| sums.requests), [6, 6]);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn refusals_and_failures_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let log = store.usage_log(Calendar::UTC);
    let with = |outcome: Outcome, status, times| UsageEntry {
        outcome: outcome as u8,
        status,
        times,
        ..entry(NOON, "acme", "alice", "m")
    };
    let entries = vec![
        with(Outcome::Complete, 200, 1),
        with(Outcome::Complete, 500, 1),
        with(Outcome::ClientGone, 200, 1),
        with(Outcome::Broken, 200, 1),
        with(Outcome::Refused, 429, 40),
    ];
    log.append(entries, Vec::new()).await.unwrap();
    let [raw, days] = both(&log, Wanted::default()).await;
    assert_eq!(raw, days);
    assert_eq!((raw.requests, raw.failed, raw.refused, raw.prompt), (4, 2, 40, 40));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_block_reads_back(times in prop::collection::vec(0_u64..200_000, 1..300)) {
        let mut entries: Vec<_> = times
            .iter()
            .map(|time| entry(NOON + time, if time % 2 == 0 { "acme" } else { "beta" }, "alice", "m"))
            .collect();
        entries.sort_by_key(|entry| entry.time);
        let read: Vec<_> = block::parts(&entries)
            .flat_map(|part| {
                let block = Block::read(&NewBlock::of(part).payload().unwrap()).unwrap();
                (0..block.len()).filter_map(|row| block.entry(part[0].time, row)).collect::<Vec<_>>()
            })
            .collect();
        prop_assert_eq!(read, entries);
    }

    #[test]
    fn sums_of_days_are_those_of_their_entries(whose in prop::collection::vec((0_u64..3, 0_usize..3, 0_usize..3), 0..60)) {
        let entries: Vec<_> = whose
            .iter()
            .map(|(day, who, model)| entry(NOON + day * DAY_MS, ["acme", "beta", "gamma"][*who], "alice", ["m", "n", "o"][*model]))
            .collect();
        let mut expected = BTreeMap::<_, UsageSums>::new();
        for entry in &entries {
            expected.entry(Calendar::UTC.key(entry)).or_default().add(entry);
        }
        prop_assert_eq!(sums::by_day(Calendar::UTC, &entries).into_iter().collect::<BTreeMap<_, _>>(), expected);
    }
}

#[tokio::test]
async fn a_days_sums_end_where_its_calendar_says() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    const LATE: u64 = 5 * 3_600_000;
    let calendar = Calendar::new(std::time::Duration::from_millis(LATE));
    let log = store.usage_log(calendar);
    let midnight = 20_000 * DAY_MS + LATE;
    // Around midnight UTC, which is in the middle of a day, and around its end.
    for time in [midnight - LATE - 1, midnight - LATE, midnight - 1, midnight, midnight + 1] {
        log.append(vec![entry(time, "acme", "alice", "m")], Vec::new()).await.unwrap();
    }
    let all = Wanted::within(&TenantScope::All);
    for (day, requests) in [(19_999, 3), (20_000, 2)] {
        let sums = total(&log, all, vec![Piece::Days(day..day + 1)]).await;
        let entries = calendar.midnight(day)..calendar.midnight(day + 1);
        assert_eq!(sums, total(&log, all, vec![Piece::Entries(entries)]).await);
        assert_eq!(sums.requests, requests, "{day}");
    }
    let group = Group { by: None, per: Some(Step::Day) };
    for pieces in [vec![Piece::Days(0..u32::MAX)], vec![Piece::Entries(0..u64::MAX)]] {
        let summed = log.sum(all, pieces, group, 10).await.unwrap();
        let days: Vec<_> =
            summed.groups.iter().map(|((time, _), sums)| (time.unwrap(), sums.requests)).collect();
        assert_eq!(days, [(midnight - DAY_MS, 3), (midnight, 2)]);
    }
}

#[tokio::test]
async fn days_before_and_behind_all_sums_come_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let log = store.usage_log(Calendar::UTC);
    log.append(vec![entry(NOON, "acme", "alice", "m")], Vec::new()).await.unwrap();
    let day = Calendar::UTC.day_of(NOON);
    for (days, requests) in [(0..day - 5, 0), (day + 5..day + 9, 0), (day..day + 1, 1)] {
        let sums = total(&log, Wanted::default(), vec![Piece::Days(days.clone())]).await;
        assert_eq!(sums.requests, requests, "{days:?}");
    }
}
