//! The only place that builds things and wires them; start and stop order.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
    },
    time::{Duration, Instant},
};

use aivonx_backup::Backups;
use aivonx_config::{self as config, AccessMode, TwoFactor, show_time};
use aivonx_fleet::{Contexts, Fleet};
use aivonx_gateway::{
    self as proxy, AcceptFailures, Phase, Settings, Shared,
    budget::Budget,
    closed::Closed,
    places::{Descriptors, Places},
    policy::Policies,
    pulse::Pulse,
    token_rates::TokenRates,
};
use aivonx_identity::{Blocks, Identity, password::Hasher, provisioning, rotation};
use aivonx_ledgers::{
    audit::{Audit, Entry},
    usage::Usage,
};
use aivonx_limits::{self as limits, Limits, pricing::PriceList};
use aivonx_protocol::{UnixMillis, audit::Action};
use aivonx_store::{
    Store, StoreError,
    database::Server,
    secrets::{MasterKey, Secrets, Vault},
    usage::Calendar,
};
use aivonx_telemetry::{self as telemetry, Telemetry};
use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use crate::{
    acme,
    args::{Args, Command, Dev},
    certificates::Certificates,
    commands,
    control::{self, AccessRule, Mode, NotYet, Services},
    database, dependencies, dev,
    error::AppError,
    facts,
    lifecycle::{self, Patience},
    restore, sharing,
    signals::Signals,
};

/// Most time that the end takes after the grace of what runs: every operation of the store has its deadline, and after
/// the first that passes the others fail at once.
const AFTER_GRACE: Duration = Duration::from_secs(90);

/// Time between two attempts to open the store on a full disk, and between two lines about it.
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_secs(2);
const SAY_FULL_EVERY: Duration = Duration::from_secs(60);

/// Longest wait at the end for the last requests to be counted.
const SETTLE: Duration = Duration::from_secs(2);

/// Passwords hashed at once: logins must not take the cores from the streams.
const HASHES_AT_ONCE: usize = 2;

/// Time between looks for sessions and failed logins that are over.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

/// Does what the arguments say.
///
/// # Errors
/// [`AppError`], whose text is for the terminal.
pub fn run(args: Args) -> Result<(), AppError> {
    match args.command {
        Command::Dev(args) => {
            let dir = dev::directory(args.dir.as_deref())?;
            let live = dev::configuration(&dir, &args)?;
            serve(live, Mode::Dev, Some(args))
        }
        Command::Run { config } => serve(config::Live::from_file(&config)?, Mode::Run, None),
        Command::Check { print_default: true, .. } => commands::print_default(),
        Command::Check { config, .. } => commands::check(&config),
        Command::Manual => commands::manual(),
        Command::Recover(args) => commands::recover(&args),
        Command::Restore(args) => restore::restore(&args),
        Command::Migrate(args) => database::migrate(&args),
        Command::Move(args) => database::relocate(&args),
        Command::Takeover(args) => database::takeover(&args),
        Command::Rekey(args) => commands::rekey(&args),
        Command::Version(args) => dependencies::version(&args),
        Command::GenCert(args) => commands::gen_cert(&args),
    }
}

/// Starts the control plane's runtime and serves until a signal says to stop.
fn serve(live: config::Live, mode: Mode, dev: Option<Dev>) -> Result<(), AppError> {
    let config = live.get();
    // Before the first thread: it changes the environment.
    let inherited = proxy::Inherited::take()?;
    let mut notes = Vec::new();
    if let Err(e) = lifecycle::no_core_dumps() {
        notes.push(e.to_string());
    }
    let needed = Descriptors::needed(config.limits.connections);
    let descriptors = match lifecycle::raise_fd_limit(needed, mode == Mode::Dev) {
        Ok((limit, warnings)) => {
            notes.extend(warnings);
            limit
        }
        Err(e) => {
            notes.push(e.to_string());
            lifecycle::fd_limit()
        }
    };
    make_private(&config.data_dir)?;
    let telemetry = telemetry::init(&config.log, &config.data_dir, mode == Mode::Dev)?;
    for note in notes {
        tracing::warn!(event = "start", "{note}");
    }
    // Once per process; a second call could only come from a second `serve`.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(AppError::system("cannot start the control plane's threads"))?;
    let result = runtime.block_on(run_until_stopped(live, mode, dev, inherited, descriptors, &telemetry));
    if let Err(e) = &result {
        tracing::error!(event = e.event(), error = %e, "the gateway stops");
    }
    // A worker of the store that hangs must not keep the process.
    runtime.shutdown_background();
    result
}

/// The data directory: made if absent, for the daemon's eyes only.
fn make_private(dir: &Path) -> Result<(), AppError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| AppError::Directory { path: dir.to_owned(), source })
}

async fn run_until_stopped(
    live: config::Live,
    mode: Mode,
    dev: Option<Dev>,
    inherited: proxy::Inherited,
    descriptors: u64,
    telemetry: &Telemetry,
) -> Result<(), AppError> {
    let began = Instant::now();
    let config = live.get();
    // First of all: one that comes while the store opens must not leave it half open.
    let mut signals = Signals::listen().map_err(AppError::system("cannot listen for signals"))?;
    telemetry.spawn();

    // What the fleet stands on, bottom up.
    let Some(store) = open_store(&config, &mut signals).await? else {
        tracing::info!(event = "stop", "told to stop before there was room on the disk");
        telemetry.stop().await;
        return Ok(());
    };
    let key_file = MasterKey::file(config.secrets.master_key.as_deref(), &config.data_dir);
    let vault = Vault::unlock(&key_file, &store).await?;
    let hasher = Hasher::new(HASHES_AT_ONCE);
    let audit = Audit::open(&store, &vault, (&config.audit).into()).await?;
    let backups = Backups::new(store.clone(), audit.clone(), key_file, config.backup.clone())?;
    telemetry.observe(facts::inference(audit.clone()));
    let identity = Identity::open(store.clone(), vault.clone(), audit.clone(), hasher).await?;
    let clock = limits::Clock::system(config.limits.day_offset);
    let sharing = sharing::configured(&store, &config)?;
    let limits = Limits::open_shared(store.clone(), identity.accounts().clone(), clock, sharing).await?;
    identity.count_with(&limits);
    let prices = PriceList::open(&store, &limits).await?;
    let hot = identity.hot().clone();
    audit.name_organizations(move |id| hot.load().organization(id).map(|o| o.slug.to_string()));
    let bounds = facts::bounds(identity.hot().clone(), limits.clone());
    let days = Calendar::new(config.limits.day_offset);
    tell_moved_days(&store, config.limits.day_offset).await?;
    let usage = Usage::open(&store, Some(telemetry.access()), bounds, days, (&config.usage).into());
    telemetry.observe(usage.observer());
    let pulse = Pulse::new();
    telemetry.observe(pulse.observer());
    rotation::follow(&identity);
    apply_security(&identity, &config);
    set_up(&identity, &config).await;
    let blocks = Blocks::open(&store, &identity).await?;
    housekeeping(&store, &identity, &blocks);
    let secrets = Secrets::new(store.clone(), vault.clone());
    let policies = Policies::open(store.clone(), identity.clone()).await?;
    let rules = policies.hot().clone();
    let contexts = Contexts::new(move |organization, model| {
        rules.load().as_ref().and_then(|rules| rules.context(organization, model))
    });
    let (health, connect) = (config.health.clone(), config.timeouts.connect);
    let fleet = Fleet::start(store.clone(), vault, health, connect, contexts).await?;

    // Listeners before anything is promised: a taken port is the commonest mistake.
    let threads = match config.proxy.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        n => n,
    };
    let obtained = proxy::Acme::new(&acme::directory(&config));
    let bound = proxy::bind_all(&config.listen, threads, inherited, &obtained)?;
    let addresses: Vec<_> = bound.iter().map(|b| b.address).collect();
    let certificates = Certificates::of(&bound);
    let warnings = certificates.warnings().into_iter().chain(live.get().warnings());
    warnings.for_each(|warning| tracing::warn!(event = "start", "{warning}"));
    certificates.follow();
    let descriptors = Descriptors::share(descriptors, config.limits.connections);
    let places = Places::new(descriptors, config.limits.connections_per_address, config.limits.handshakes);
    fleet.listens_on(&addresses);
    store.serves_on(&addresses.first().map(ToString::to_string).unwrap_or_default());
    let (phase, phase_rx) = watch::channel(Phase::Running);
    let responses = facts::kept_responses(&store).await?;
    let shared = Arc::new_cyclic(|weak| Shared {
        hot: fleet.hot(),
        fleet: fleet.clone(),
        policy: policies.hot().clone(),
        identity: identity.clone(),
        blocks: blocks.clone(),
        limits: limits.clone(),
        responses,
        token_rates: TokenRates::default(),
        usage: usage.clone(),
        awaits_setup: mode == Mode::Run,
        settings: ArcSwap::from_pointee(Settings::new(&config)),
        access: telemetry.access(),
        metrics: facts::metrics(weak.clone(), telemetry.metrics(), store.clone(), certificates.clone()),
        trouble: facts::trouble(store.clone()),
        control: tokio::runtime::Handle::current(),
        phase: phase_rx,
        budget: Arc::new(Budget::new(config.limits.body_budget_bytes)),
        places: Arc::new(places),
        accept_failures: AcceptFailures::default(),
        closed: Closed::default(),
        requests: AtomicU64::new(0),
        running: Arc::default(),
        streams: AtomicUsize::new(0),
        started: began,
    });
    // Before `/health` answers: scripts that wait for that go on with `aivonx`.
    let socket = control::Bound::bind(&config.control)?;
    let plane = proxy::start(&shared, bound).map_err(AppError::system("cannot start the data plane"))?;
    // What proves to the authority that a name leads here is served from now on.
    acme::keep_renewed(&config, obtained, certificates.clone());

    let (made, shown, cluster) = (backups.clone(), certificates.clone(), store.clone());
    let needs_care = move || {
        let failure = made.failure().map(|why| format!("the backup that was due is not made: {why}"));
        failure.into_iter().chain(shown.warnings()).chain(facts::members_away(&cluster)).collect()
    };
    let services = Arc::new_cyclic(|weak| Services {
        isolation: control::isolation::runner(weak.clone()),
        fleet: fleet.clone(),
        blocks,
        identity: identity.clone(),
        policies: policies.clone(),
        secrets: secrets.clone(),
        store: store.clone(),
        backups: backups.clone(),
        usage: usage.clone(),
        prices,
        running: shared.running.clone(),
        pulse: pulse.clone(),
        hub: telemetry.hub(),
        config: live.clone(),
        certificates: certificates.clone(),
        status: facts::status(&shared, &live, mode, &addresses, &store, telemetry.sink(), needs_care),
        rule: AccessRule {
            mode,
            daemon_uid: rustix::process::geteuid().as_raw(),
            login_required: mode == Mode::Run || config.access.mode == AccessMode::Required,
        },
    });
    facts::keep_watch(pulse.clone(), Arc::downgrade(&shared), store.clone(), secrets.clone());
    let backing_up = tokio::spawn(backups.clone().run());
    let (close_control, control_closed) = watch::channel(false);
    let look = Arc::new(Notify::new());
    let control = tokio::spawn(control::serve(socket, services, control_closed, look.clone()));
    let beat = plane.pulse();
    let phase_now = shared.phase.clone();
    // Threads that have ended for the end of the daemon stand still for good.
    let watchdog =
        tokio::spawn(lifecycle::watchdog(move || *phase_now.borrow() != Phase::Running || beat.beats()));
    follow_config(&live, &shared, &fleet);
    // Another member may be about it.
    if store.has_duty("rotation").await
        && let Err(error) = control::finish_rotation(&fleet, &secrets).await
    {
        tracing::error!(event = "start", %error, "a rotation of the keys that was begun earlier is not finished");
    }

    let mut simulation = None;
    if let Some(dev) = &dev {
        simulation = dev::simulate(dev, &store, &live).await?;
        dev::first_nodes(&fleet, &dev.nodes, simulation.as_mut(), &addresses).await?;
        dev::traffic(dev, simulation.as_mut(), &store, &live, &addresses).await?;
        dev::greet(&live, &fleet, &addresses).await;
    }
    let listening: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if shared.awaits_setup && !identity.is_set_up() {
        tracing::warn!(
            event = "setup_needed",
            listen = %listening.join(" "),
            "there is no administrator yet: until 'sudo aivonx setup' makes one, nothing but /health is served"
        );
    }
    tracing::info!(event = "start", listen = %listening.join(" "), "the gateway serves");
    audit.write(Entry::new(Action::Start).detail("version", env!("CARGO_PKG_VERSION"))).await?;
    lifecycle::ready(&format!("serving on {}", listening.join(" ")));

    let over = dev::input_ends(dev.as_ref().is_some_and(|dev| dev.until_eof));
    let mut superseded = None;
    tokio::select! {
        () = signals.serve_until_stop(&live, &certificates, &audit, telemetry, &look) => {}
        () = over => tracing::info!(event = "stop", "standard input has ended"),
        why = store.superseded() => {
            tracing::error!(event = "stop", error = %why, "this gateway may not write the settings any more, and ends");
            superseded = Some(why);
        }
    }
    if let Some(simulation) = &mut simulation {
        simulation.end_traffic().await;
    }

    // Top down: no new requests, then no requests, then nothing that could want the store.
    let grace = live.get().timeouts.shutdown_grace;
    lifecycle::stopping("finishing what runs");
    let _finishing = Patience::ask("finishing what runs", grace + AFTER_GRACE);
    tracing::info!(event = "stop", grace_s = grace.as_secs(), "the gateway stops; what runs may finish");
    let _ = phase.send(Phase::Draining);
    let mut gone = tokio::task::spawn_blocking(move || plane.join());
    let ended = tokio::select! {
        _ = &mut gone => true,
        () = tokio::time::sleep(grace) => false,
        () = signals.stop() => false,
    };
    let _ = phase.send(Phase::Ending);
    // Ends the jobs too, and notifies their followers before the data plane's threads end.
    fleet.stop().await;
    if !ended {
        let _ = gone.await;
    }
    if let Some(simulation) = simulation {
        simulation.end().await;
    }
    let _ = close_control.send(true);
    let _ = control.await;
    watchdog.abort();
    backing_up.abort();
    // What was served last is part of the last summaries.
    telemetry.settle(SETTLE).await;
    usage.close().await;
    audit.note(Entry::new(Action::Stop));
    audit.close().await;
    facts::keep_responses(&shared, &store).await;
    if let Err(error) = limits.close().await {
        tracing::warn!(event = "limits_lost", %error, "counters of limits are not saved");
    }
    if let Err(error) = identity.flush_key_uses().await {
        tracing::warn!(%error, "last uses of keys are not saved");
    }
    let closed = store.close().await;
    if let Some(why) = superseded {
        telemetry.stop().await;
        return Err(AppError::Superseded(why));
    }
    closed?;
    tracing::info!(event = "stop", "the gateway has stopped");
    telemetry.stop().await;
    Ok(())
}

/// What an open is tried again for, and what to say about it; None if that would not help.
fn waits_for(error: &StoreError, seen: &mut Option<UnixMillis>) -> Option<(&'static str, &'static str)> {
    const NO_ROOM: &str = "the gateway waits for room on the disk of its data directory (see 'df' and 'df -i'), and starts \
                           when there is";
    match error {
        error if error.wants_room() => Some(("room on the disk", NO_ROOM)),
        StoreError::Database(_) => Some((
            "its database",
            "the gateway waits for the database of cluster.postgres, and starts when that answers",
        )),
        // After a crash of the machine that was this gateway itself. One that is seen again is another.
        StoreError::DatabaseHeld { seen: at, .. } if seen.is_none_or(|before| before == *at) => {
            *seen = Some(*at);
            Some((
                "the right to write its database",
                "the gateway waits whether the one that wrote its database is gone",
            ))
        }
        _ => None,
    }
}

/// Opens the store; None if a signal said to stop before that was possible. A full disk is waited for, and so is a database:
/// restarts would help neither, and systemd would give up on them.
async fn open_store(config: &config::Config, signals: &mut Signals) -> Result<Option<Store>, AppError> {
    let mut said: Option<(Instant, Patience)> = None;
    let (mut not_yet, mut seen) = (None, None);
    let opened = loop {
        // A large store takes its time to be verified or migrated.
        let opening = said.is_none().then(|| Patience::ask("opening the store", config.store.open_deadline));
        let server = Server::configured(&config.cluster)?;
        let error = match Store::open_with(&config.data_dir, &config.store, server).await {
            Err(error) => error,
            opened => break opened.map(Some),
        };
        let Some((what, in_words)) = waits_for(&error, &mut seen) else { break Err(error) };
        drop(opening);
        if not_yet.is_none() {
            let why = format!("aivonxd has not started: it waits for {what}: {error}");
            // Without it the log says so alone; the socket may lie on the disk that is full.
            not_yet = NotYet::tell(&config.control, why).ok();
        }
        if said.as_ref().is_none_or(|(at, _)| at.elapsed() >= SAY_FULL_EVERY) {
            tracing::error!(
                event = "store_failed",
                error = %error,
                "{in_words}"
            );
            let text = format!("waiting for {what}: {error}");
            said = Some((Instant::now(), Patience::ask(&text, 2 * SAY_FULL_EVERY)));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_FOR_ROOM_EVERY) => {}
            () = signals.stop() => break Ok(None),
        }
    };
    if let Some(not_yet) = not_yet {
        not_yet.end().await;
    }
    Ok(opened?)
}

/// Has identity go by the configuration.
fn apply_security(identity: &Identity, config: &config::Config) {
    identity.demand_two_factor(config.access.two_factor == TwoFactor::Required);
    identity.bound_sessions(config.control.session_lasts, config.control.session_idle);
}

/// Says it if days begin at another time than they did until now.
async fn tell_moved_days(store: &Store, offset: Duration) -> Result<(), StoreError> {
    if let Some(before) = store.settings().keep_day_offset(offset).await? {
        tracing::warn!(
            event = "start",
            from = %show_time(before),
            to = %show_time(offset),
            "limits.day_offset has changed: usage that was summed up before stays with the days it was summed up by"
        );
    }
    Ok(())
}

/// Makes the first administrator from a file, where there is one. What goes wrong is no reason not to start:
/// there is `aivonx setup`.
async fn set_up(identity: &Identity, config: &config::Config) {
    let Some(file) = provisioning::file(config.access.setup_file.as_deref()) else { return };
    match identity.set_up_from(&file).await {
        Ok(Some(user)) => tracing::info!(
            event = "setup",
            user,
            "the first administrator was made from {}; remove that file",
            file.display()
        ),
        Ok(None) => {}
        Err(error) => tracing::error!(event = "setup", %error, "there is still no administrator"),
    }
}

/// Forgets now and then what has ended by time alone.
fn housekeeping(store: &Store, identity: &Arc<Identity>, blocks: &Arc<Blocks>) {
    let store = store.clone();
    let (weak, blocks) = (Arc::downgrade(identity), Arc::downgrade(blocks));
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(HOUSEKEEPING).await;
            let (Some(identity), Some(blocks)) = (weak.upgrade(), blocks.upgrade()) else { return };
            if !store.has_duty("housekeeping").await {
                continue;
            }
            let now = aivonx_domain::now();
            let swept = match identity.lockouts().sweep(now).await {
                Ok(()) => identity.sweep_sessions(now).await,
                Err(error) => Err(error),
            };
            let swept = match swept {
                Ok(()) => blocks.sweep(now).await,
                Err(error) => Err(error),
            };
            match swept {
                Ok(()) => {}
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "sessions, failed logins and blocks that are over are not forgotten")
                }
            }
        }
    });
}

/// Puts a reloaded configuration into effect where that is safe.
fn follow_config(live: &config::Live, shared: &Arc<Shared>, fleet: &Arc<Fleet>) {
    let (mut changes, shared, fleet) = (live.subscribe(), shared.clone(), fleet.clone());
    let identity = shared.identity.clone();
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            let config = changes.borrow_and_update().clone();
            shared.settings.store(Arc::new(Settings::new(&config)));
            fleet.set_health(config.health.clone());
            apply_security(&identity, &config);
        }
    });
}
