//! The audit log with a million entries: how fast it is written, how soon a query answers, what it takes on the disk.
//!
//! `cargo bench -p aivonx-daemon --bench audit`; `AIVONX_BENCH_ENTRIES` sets another number.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aivonx_config::StoreOptions;
use aivonx_domain::TenantScope;
use aivonx_ledgers::audit::{Audit, Entry, Options, Who};
use aivonx_protocol::audit::{Action, AuditFilter, Outcome};
use aivonx_store::{
    Store,
    secrets::{MasterKey, Vault},
};
use anyhow::{Context as _, Result};

/// Writers at once, each of which waits until its entry is durable.
const WRITERS: u64 = 256;

fn main() -> Result<()> {
    // Cargo asks every bench whether it has tests.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let wanted = std::env::var("AIVONX_BENCH_ENTRIES").map_or(Ok(1_000_000), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(bench(wanted))
}

async fn bench(wanted: u64) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path(), &StoreOptions::default()).await?;
    let vault = Vault::open(MasterKey::load_or_generate(&dir.path().join("master.key"))?, &store).await?;
    let options = Options {
        checkpoint_entries: 1000,
        checkpoint_interval: Duration::from_secs(300),
        checkpoint_file: None,
        retention: Duration::ZERO,
        fold: Duration::from_secs(60),
    };
    let audit = Audit::open(&store, &vault, options).await?;
    let began = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let audit = audit.clone();
        tokio::spawn(async move {
            for n in (writer..wanted).step_by(WRITERS as usize) {
                audit.write(entry(n)).await?;
            }
            Ok::<_, aivonx_ledgers::audit::AuditError>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    let took = began.elapsed();
    println!(
        "append   {wanted} entries in {took:.1?}: {:.0} a second, each durable",
        wanted as f64 / took.as_secs_f64()
    );
    let bytes = size(&dir.path().join("ledger/audit"))?;
    println!("disk     {:.0} MiB, {} bytes an entry", bytes as f64 / 1_048_576.0, bytes / wanted.max(1));
    queries(&audit, wanted).await?;
    let began = Instant::now();
    let verdict = audit.verify(&[], None).await?;
    anyhow::ensure!(verdict.intact, "{verdict:?}");
    println!("verify   {} entries in {:.1?}", verdict.entries, began.elapsed());
    audit.close().await;
    store.close().await.context("closing")
}

/// An entry of a middling gateway: two hundred users, twenty organizations, a thousand objects.
fn entry(n: u64) -> Entry {
    let (user, organization) = (n * 7919 % 200, n * 7919 % 20);
    let action = match n % 50 {
        0 => Action::KeyCreate,
        1 => Action::Update,
        2..5 => Action::Login,
        _ => Action::InferenceSummary,
    };
    let who = Who::http(
        Some(format!("0195f2a0-0000-7000-8000-{user:012}")),
        format!("user{user}"),
        [10, 0, 0, 1].into(),
        Some("curl/8.5.0"),
    );
    Entry::new(action)
        .actor(who)
        .organization_named(
            &format!("0195f2a0-0000-7000-9000-{organization:012}"),
            &format!("org{organization}"),
        )
        .object("key", Some(&format!("0195f2a0-0000-7000-a000-{:012}", n % 1000)), None)
        .via("POST /api/chat")
        .outcome(if n % 1000 == 7 { Outcome::Failed } else { Outcome::Ok })
        .detail("requests", n % 97)
        .detail("prompt_tokens", n % 9973)
}

async fn queries(audit: &Audit, wanted: u64) -> Result<()> {
    let none = AuditFilter::default();
    let text = |text: &str| Some(text.to_owned());
    let middle = audit.show(&TenantScope::All, wanted / 2).await?.context("an entry in the middle")?.time;
    let filters = [
        ("newest", none.clone()),
        ("actor", AuditFilter { actor: text("user7"), ..none.clone() }),
        ("organization", AuditFilter { organization: text("org3"), ..none.clone() }),
        ("action", AuditFilter { actions: vec![Action::KeyCreate], ..none.clone() }),
        ("object", AuditFilter { object: text("0195f2a0-0000-7000-a000-000000000500"), ..none.clone() }),
        ("outcome", AuditFilter { outcome: Some(Outcome::Failed), ..none.clone() }),
        ("time", AuditFilter { until: Some(middle), ..none.clone() }),
        (
            "actor, action",
            AuditFilter { actor: text("user50"), actions: vec![Action::KeyCreate], ..none.clone() },
        ),
        ("nobody", AuditFilter { actor: text("nobody"), ..none.clone() }),
        ("two that never meet", AuditFilter { actor: text("user7"), organization: text("org3"), ..none }),
    ];
    for (name, filter) in filters {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..5 {
            let began = Instant::now();
            found = audit.list(&TenantScope::All, filter.clone(), None, 100, false).await?.entries.len();
            times.push(began.elapsed());
        }
        times.sort_unstable();
        println!("query    {name:20} {found:3} found, {:.2?} (worst {:.2?})", times[2], times[4]);
    }
    Ok(())
}

fn size(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let (entry, meta) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        bytes += if meta.is_dir() { size(&entry)? } else { meta.len() };
    }
    Ok(bytes)
}
