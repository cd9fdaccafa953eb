//! A usage ledger of 400 days: how fast it is written, how soon reports answer, what it takes on the disk.
//!
//! `cargo bench -p aivonx-daemon --bench ledger`; `AIVONX_BENCH_REQUESTS` sets another number of requests a day.
//! Days beyond the two weeks for which single requests are kept are made as they would have come about, and what
//! is too old is forgotten the usual way.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use aivonx_config::StoreOptions;
use aivonx_domain::TenantScope;
use aivonx_ledgers::usage::{Bounds, Keep, Only, Usage};
use aivonx_protocol::usage::{UsageBy, UsagePer, UsageRank};
use aivonx_store::{
    Store,
    usage::{APPEND_MAX, Calendar, Code, Part, Parties, UsageEntry, UsageName},
};
use anyhow::{Context as _, Result};
use uuid::Uuid;

const DAYS: u64 = 400;
const DAY_MS: u64 = 86_400_000;
const ORGANIZATIONS: u64 = 20;
const KEYS: u64 = 400;
const MODELS: u64 = 8;
const NODES: u64 = 6;

fn main() -> Result<()> {
    // Cargo asks every bench whether it has tests.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let daily = std::env::var("AIVONX_BENCH_REQUESTS").map_or(Ok(10_000), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(bench(daily))
}

async fn bench(daily: u64) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path(), &StoreOptions::default()).await?;
    let log = store.usage_log(Calendar::UTC);
    let now = u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis())?;
    let today = now / DAY_MS;
    let began = Instant::now();
    for day in 0..DAYS {
        let first = (today + 1 - DAYS + day) * DAY_MS;
        let entries: Vec<_> = (0..daily).map(|n| entry(first, day, n, daily)).collect();
        for (n, part) in entries.chunks(APPEND_MAX).enumerate() {
            let names = if day == 0 && n == 0 { names() } else { Vec::new() };
            log.append(part.to_vec(), names).await?;
        }
    }
    let took = began.elapsed();
    let requests = daily * DAYS;
    println!(
        "append   {requests} requests of {DAYS} days in {took:.1?}: {:.0} a second, in groups of {APPEND_MAX}",
        requests as f64 / took.as_secs_f64()
    );
    let before = (today - u64::from(Keep::default().records)) * DAY_MS;
    let began = Instant::now();
    let forgotten = log.forget_entries(before).await?;
    println!("forget   {forgotten} files of single requests in {:.1?}", began.elapsed());
    let usage = Usage::open(&store, None, Bounds::none(), Calendar::UTC, Keep::default());
    reports(&usage, now).await?;
    usage.close().await;
    store.close().await.context("closing")?;
    println!("disk     {:.0} MiB after closing", size(dir.path())? as f64 / 1_048_576.0);
    let began = Instant::now();
    let store = Store::open(dir.path(), &StoreOptions::default()).await?;
    println!("open     {:.1?}", began.elapsed());
    store.close().await.context("closing")
}

/// Keys belong to organizations, and use a model or two on what nodes are free.
fn entry(first: u64, day: u64, n: u64, daily: u64) -> UsageEntry {
    let chance = (day * 1_000_003 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let key = chance % KEYS;
    let model = (key + chance / 7 % 2) % MODELS;
    let named = |part, what: &str, n: u64| Code::of(part, &format!("{what}{n}"));
    UsageEntry {
        time: first + n * DAY_MS / daily,
        request: Uuid::from_u64_pair(day, n),
        parties: Parties {
            organization: named(Part::Organization, "org", key % ORGANIZATIONS),
            user: named(Part::User, "user", key / 2),
            key: named(Part::Key, "key", key),
            model: named(Part::Model, "model", model),
            served: named(Part::Model, "model", model),
            node: named(Part::Node, "node", chance / 11 % NODES),
            route: Code::of(Part::Route, "/api/chat"),
        },
        address: Some([10, 0, (key / 256) as u8, key as u8].into()),
        times: 1,
        prompt: Some(chance % 4000),
        output: Some(chance % 700),
        estimated: false,
        cost: chance % 9000,
        status: 200,
        outcome: 0,
        limit: None,
        findings: BTreeMap::new(),
        queued_ms: Some(1),
        total_ms: 2500,
    }
}

fn names() -> Vec<(Code, UsageName)> {
    let kinds = [
        (Part::Organization, "org", ORGANIZATIONS),
        (Part::User, "user", KEYS / 2),
        (Part::Key, "key", KEYS),
        (Part::Model, "model", MODELS),
        (Part::Node, "node", NODES),
    ];
    let each = |(part, what, most): (Part, &str, u64)| {
        let what = what.to_owned();
        (0..most).map(move |n| {
            let id = format!("{what}{n}");
            (Code::of(part, &id), UsageName { part, name: id.clone(), id })
        })
    };
    kinds.into_iter().flat_map(each).collect()
}

/// What it is, for whom, of what, since when, by what, and in which steps.
type Case<'a> = (&'a str, &'a TenantScope, &'a Only, u64, Option<UsageBy>, Option<UsagePer>);

async fn reports(usage: &Usage, now: u64) -> Result<()> {
    let all = TenantScope::All;
    let own = TenantScope::Organization("org3".into());
    let (any, key) = (Only::default(), Only { key: Some("key23".into()), ..Only::default() });
    let (ever, month, today) = (now - DAYS * DAY_MS, now - 30 * DAY_MS, now - now % DAY_MS);
    let cases: [Case<'_>; 8] = [
        ("today, by organization", &all, &any, today, Some(UsageBy::Organization), None),
        ("30 days, per day", &all, &any, month, None, Some(UsagePer::Day)),
        ("30 days, by key", &all, &any, month, Some(UsageBy::Key), None),
        ("400 days, by organization", &all, &any, ever, Some(UsageBy::Organization), None),
        ("400 days, by key per month", &all, &any, ever, Some(UsageBy::Key), Some(UsagePer::Month)),
        ("400 days, own, by model", &own, &any, ever, Some(UsageBy::Model), None),
        ("400 days, one key, per day", &all, &key, ever, None, Some(UsagePer::Day)),
        (
            "hours of two days, by node",
            &all,
            &any,
            now - 2 * DAY_MS,
            Some(UsageBy::Node),
            Some(UsagePer::Hour),
        ),
    ];
    for (name, reach, only, since, by, per) in cases {
        let mut times = Vec::new();
        let mut rows = 0;
        for _ in 0..5 {
            let began = Instant::now();
            rows = usage.report(reach, only, (Some(since), None), by, per).await?.rows.len();
            times.push(began.elapsed());
        }
        told(name, rows, times);
    }
    let mut times = Vec::new();
    let mut rows = 0;
    for _ in 0..5 {
        let began = Instant::now();
        rows = usage.top(&all, &any, (None, None), UsageBy::Key, UsageRank::Spend, 20).await?.rows.len();
        times.push(began.elapsed());
    }
    told("top keys of today", rows, times);
    Ok(())
}

fn told(name: &str, rows: usize, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!("report   {name:28} {rows:5} rows, {:.2?} (worst {:.2?})", times[2], times[4]);
}

fn size(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let (entry, meta) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        bytes += if meta.is_dir() { size(&entry)? } else { meta.len() };
    }
    Ok(bytes)
}
