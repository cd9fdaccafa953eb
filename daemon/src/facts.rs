//! What the daemon reports about itself: `aivonx status` and the gauges of `/metrics`.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aivonx_config as config;
use aivonx_domain::{AccessRecord, Outcome};
use aivonx_fleet::{NodeScope, Snapshot};
use aivonx_gateway::{
    Phase, Shared,
    pulse::{Glance, Pulse, alerts::in_short},
    responses::Responses,
};
use aivonx_identity::{self as identity, Counters};
use aivonx_ledgers::{
    audit::Audit,
    usage::{Bound, Bounds},
};
use aivonx_limits::Limits;
use aivonx_protocol::{
    Untrusted,
    daemon::Status,
    key::KeyScope,
    limit::LimitName,
    node::{AdminState, Pool},
    usage::UsageBy,
};
use aivonx_store::{
    Store, StoreError, Trouble,
    member::{Member, MemberState},
    secrets::Secrets,
};
use aivonx_telemetry::{BudgetGauges, Gauges, Metrics, NodeGauge, Refusals, process};
use aivonx_wire::api::route::{self, Need};
use jiff::Timestamp;

use crate::{certificates::Certificates, control::Mode};

/// Renders the metrics with the gauges of this moment: all of them for those whose fleet it is, and for others
/// what is theirs.
pub(crate) fn metrics(
    shared: Weak<Shared>,
    metrics: Arc<Metrics>,
    store: Store,
    certificates: Certificates,
) -> Arc<dyn Fn(&NodeScope) -> String + Send + Sync> {
    Arc::new(move |realm| {
        let Some(shared) = shared.upgrade() else { return String::new() };
        let health = store.health();
        let snapshot = shared.hot.load();
        let own = snapshot.nodes.iter().filter(|n| realm.covers(n.organization.as_deref()));
        let nodes = own.map(|n| NodeGauge {
            name: n.name.clone(),
            pool: n.pool,
            admin_state: n.admin_state,
            active: n.live.active(),
            latency: n.live.latency_us().map(Duration::from_micros),
        });
        if !realm.is_all() {
            return metrics.render_share(realm.organization(), nodes.collect());
        }
        metrics.render(&Gauges {
            nodes: nodes.collect(),
            active_streams: shared.streams.load(Ordering::Relaxed) as u64,
            waiting: snapshot.dispatch.waiting() as u64,
            connections: shared.places.clients() as u64,
            connections_closed: shared.closed.counts().to_vec(),
            store_failed: store.trouble().is_some(),
            store_errors: health.errors,
            store_flush: health.flush_took,
            refusals: refusals(&shared.identity.counters, &shared.limits),
            audit: shared.identity.audit.health(),
            usage_lost: shared.usage.health().lost + store.usage_lost(),
            certificates_until: certificates.until().map(Timestamp::as_second),
            certificates_failed: certificates.troubles().failures(),
            budgets: shared.limits.shared().map(budgets),
        })
    })
}

fn refusals(counters: &Counters, limits: &Limits) -> Refusals {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Refusals {
        login_failures: load(&counters.login_failures),
        lockouts: load(&counters.lockouts),
        denials: load(&counters.denials),
        cross_organization: load(&counters.cross_organization),
        limits: limits.refusals(),
    }
}

fn budgets(shared: aivonx_limits::Shared) -> BudgetGauges {
    let aivonx_limits::Shared { is_away, turns, failures, expired, put_right, let_go } = shared;
    BudgetGauges { degraded: is_away, turns, failures, expired, put_right, let_go }
}

/// Counts finished inference for the audit log.
pub(crate) fn inference(audit: Audit) -> impl Fn(&[AccessRecord]) + Send + Sync {
    let infers = |record: &&AccessRecord| {
        // What was refused before anyone was known is a denial.
        (record.subject.is_some() || record.outcome != Outcome::Refused)
            && route::find(record.route)
                .is_some_and(|(route, _)| route.need() == Need::Scope(KeyScope::Infer))
    };
    move |done| audit.inference(done.iter().filter(infers))
}

/// Looks up what is used and left of the limits of the day.
pub(crate) fn bounds(hot: Arc<identity::Hot>, limits: Arc<Limits>) -> Bounds {
    Bounds::new(move |by, id| {
        let snapshot = hot.load();
        let level = match by {
            UsageBy::Organization => &snapshot.organization(id)?.level,
            UsageBy::User => &snapshot.user(id)?.level,
            UsageBy::Key => &snapshot.key(id)?.level,
            UsageBy::Model | UsageBy::Node => return None,
        };
        let used = level.account.counters(&limits.now()).day;
        Some(Bound {
            requests_used: used.requests,
            requests_limit: level.caps.of(LimitName::InferenceDay),
            spend_used: used.spend,
            spend_limit: level.caps.of(LimitName::SpendDay),
        })
    })
}

/// Tells what is wrong with the store, if something is.
pub(crate) fn trouble(store: Store) -> Arc<dyn Fn() -> Option<String> + Send + Sync> {
    Arc::new(move || store.trouble().map(|trouble| trouble.in_words()))
}

/// Answers `status`.
pub(crate) fn status(
    shared: &Arc<Shared>,
    live: &config::Live,
    mode: Mode,
    addresses: &[SocketAddr],
    store: &Store,
    log_sink: &str,
    also: impl Fn() -> Vec<String> + Send + Sync + 'static,
) -> Arc<dyn Fn() -> Status + Send + Sync> {
    let (shared, live) = (shared.clone(), live.clone());
    let listen: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let (store, log_sink) = (store.clone(), log_sink.to_owned());
    Arc::new(move || {
        let config = live.get();
        let snapshot = shared.hot.load();
        let count = |wanted: fn(&aivonx_fleet::Node) -> bool| {
            u32::try_from(snapshot.nodes.iter().filter(|n| wanted(n)).count()).unwrap_or(u32::MAX)
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            daemon_id: store.settings().daemon_id().to_owned(),
            pid: std::process::id(),
            started: millis(SystemTime::now() - shared.started.elapsed()),
            mode: if mode == Mode::Dev { "dev" } else { "run" }.to_owned(),
            access: config.access.mode.as_str().to_owned(),
            set_up: shared.identity.is_set_up(),
            draining: *shared.phase.borrow() != Phase::Running,
            listen: listen.clone(),
            data_dir: config.data_dir.display().to_string(),
            log_sink: log_sink.clone(),
            strategy: snapshot.strategy,
            nodes_active: count(aivonx_fleet::Node::takes_requests),
            nodes_standby: count(|n| n.admin_state == AdminState::Enabled && n.pool == Pool::Standby),
            nodes_draining: count(|n| n.admin_state == AdminState::Draining),
            nodes_disabled: count(|n| n.admin_state == AdminState::Disabled),
            models: u32::try_from(snapshot.ollama.len() + snapshot.openai.len()).unwrap_or(u32::MAX),
            active_requests: snapshot.nodes.iter().map(|n| n.live.active()).sum(),
            requests_total: shared.requests.load(Ordering::Relaxed),
            resident_bytes: process::resident_bytes(),
            warnings: warnings(
                &snapshot,
                &config,
                shared.awaits_setup && !shared.identity.is_set_up(),
                shared.identity.audit.health().intact,
                store.trouble().as_deref(),
                &ledgers_lost(&store),
                shared.usage.health().lost,
            )
            .into_iter()
            .chain(also())
            .collect(),
            day_offset_minutes: u32::try_from(config.limits.day_offset.as_secs() / 60).unwrap_or_default(),
        }
    })
}

/// Warnings about members of the cluster that did not stop and are not seen.
pub(crate) fn members_away(store: &Store) -> Vec<String> {
    let away = |member: &&Member| member.state == MemberState::Away;
    let text = |member: &Member| {
        format!(
            "the member {} is away: it did not stop, and was not seen for 15 seconds; see 'aivonx cluster members'",
            Untrusted::new(&member.name)
        )
    };
    store.seen_members().iter().filter(away).map(text).collect()
}

/// `waits` is whether the data path waits for the first administrator.
fn warnings(
    snapshot: &Snapshot,
    config: &config::Config,
    waits: bool,
    audit_intact: Option<bool>,
    trouble: Option<&Trouble>,
    ledgers_lost: &[String],
    usage_lost: u64,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(trouble) = trouble {
        warnings.push(format!("{}; see 'aivonx logs --level error'", trouble.in_words()));
    }
    if let Some(lost) = in_short(ledgers_lost) {
        warnings.push(format!(
            "part of a ledger is lost: {lost}; see 'aivonx audit list --action chain_lost' (told for 30 days)"
        ));
    }
    if usage_lost > 0 {
        warnings.push(format!(
            "{usage_lost} requests are missing from the usage ledger, which could not be written in time: see 'aivonx \
             logs --level error'"
        ));
    }
    if waits {
        warnings.push(
            "there is no administrator yet, so nothing but /health is served: run 'sudo aivonx setup'"
                .to_owned(),
        );
    }
    if audit_intact == Some(false) {
        warnings.push("the audit log does not verify: see 'aivonx audit verify'".to_owned());
    }
    if snapshot.nodes.is_empty() {
        warnings.push("there is no node yet: add one with 'aivonx node add NAME URL'".to_owned());
    } else if !snapshot.nodes.iter().any(|node| node.takes_requests()) {
        warnings.push("no node is active, so nothing can be served: see 'aivonx node list'".to_owned());
    }
    warnings.extend(config.warnings());
    if let Some(keys) = config.exposed_by() {
        warnings.push(format!("everyone who can reach a listener may use the gateway ({keys})"));
    }
    warnings
}

/// How often is looked at what may need somebody.
const GLANCE: Duration = Duration::from_secs(2);

/// How soon after the start the secrets are looked at, and how often from then on.
const FIRST_CHECK: Duration = Duration::from_secs(20);
const CHECK: Duration = Duration::from_secs(3600);

/// For how long entries of the audit log may wait to be written.
const AUDIT_LAG: Duration = Duration::from_secs(30);

/// Which node made which response, as it was kept.
///
/// # Errors
/// If the store is closed.
pub(crate) async fn kept_responses(store: &Store) -> Result<Responses, StoreError> {
    let kept = store.learned().load().await?;
    Ok(Responses::recall(kept.iter().map(|(key, text)| (&**key, text.as_deref().ok()))))
}

/// Keeps which node made which response since this was done last. A failure is logged; the next turn tries again.
pub(crate) async fn keep_responses(shared: &Shared, store: &Store) {
    let changes = shared.responses.changes();
    let keys: Vec<String> = changes.iter().map(|(key, _)| key.clone()).collect();
    if !changes.is_empty()
        && let Err(error) = store.learned().save(changes).await
    {
        shared.responses.put_back(&keys);
        tracing::warn!(event = "learned_lost", %error, "which node made which response is not kept");
    }
}

/// Looks now and then at what may need somebody, so that it is known since when it does.
pub(crate) fn keep_watch(pulse: Pulse, shared: Weak<Shared>, store: Store, secrets: Secrets) {
    tokio::spawn(async move {
        let mut turn = tokio::time::interval(GLANCE);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut check = tokio::time::Instant::now() + FIRST_CHECK;
        loop {
            turn.tick().await;
            let Some(shared) = shared.upgrade() else { return };
            pulse.glance(&glance(&shared, &store));
            {
                let snapshot = shared.hot.load();
                let there: HashSet<&str> = snapshot.nodes.iter().map(|node| &*node.id).collect();
                shared.responses.keep_of(|node| there.contains(node));
            }
            keep_responses(&shared, &store).await;
            if tokio::time::Instant::now() < check {
                continue;
            }
            check += CHECK;
            let refusing = shared.fleet.refusing();
            drop(shared);
            match secrets.validate(&refusing).await {
                Ok(checks) => pulse.watch().checked(checks),
                // That the store fails is seen at the next glance.
                Err(error) => tracing::debug!(%error, "the secrets could not be looked at"),
            }
        }
    });
}

fn glance(shared: &Shared, store: &Store) -> Glance {
    let snapshot = shared.hot.load();
    let down = |n: &&Arc<aivonx_fleet::Node>| n.admin_state == AdminState::Enabled && n.pool == Pool::Standby;
    let audit = shared.identity.audit.health();
    Glance {
        down: snapshot.nodes.iter().filter(down).map(|n| n.id.to_string()).collect(),
        audit_broken: audit.intact == Some(false),
        audit_stalled: audit.lag > AUDIT_LAG,
        cross_organization: shared.identity.counters.cross_organization.load(Ordering::Relaxed),
        store_failed: store.trouble().map(|trouble| trouble.in_words()),
        store_errors: store.health().errors,
        lost: shared.usage.health().lost + shared.access.dropped(),
        ledgers_lost: ledgers_lost(store),
    }
}

/// What the ledgers lack, in words.
fn ledgers_lost(store: &Store) -> Vec<String> {
    store.ledger_losses().iter().map(ToString::to_string).collect()
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
