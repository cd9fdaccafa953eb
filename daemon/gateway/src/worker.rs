//! The data-plane threads.

use std::{
    cell::{Cell, RefCell, RefMut},
    io,
    ops::Deref,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Instant,
};

use aivonx_domain::{access::AccessRecord, now};
use aivonx_fleet::Block;
use tokio::{net::TcpListener, runtime::LocalOptions, time::MissedTickBehavior};
use uuid::Uuid;

use super::{
    authenticate::Tokens,
    closed::Reason,
    conn::{self, ConnContext, ConnState},
    deadline::{CancelReason, InFlight, TICK, Turn, ticks},
    forwarded,
    listener::{ACCEPT_PAUSE, Bound, Rules},
    request_id::RequestIds,
    running,
    shared::{Phase, Settings, Shared},
    transport::Cut,
    upstream::Upstream,
};
use aivonx_protocol::node::Pool;

/// Records kept before they are handed over without waiting.
const RECORDS: usize = 256;

/// How long a record waits for others.
const BATCH: std::time::Duration = std::time::Duration::from_millis(20);

/// Grace for ended requests to send the end of their streams.
const END_GRACE: std::time::Duration = std::time::Duration::from_secs(3);

/// One data-plane thread.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) upstream: Upstream,
    now: Cell<u32>,
    turn: Turn,
    ids: RequestIds,
    /// What runs; each knows its place, and leaves when its [`Watched`] is dropped. Left to the ticker, those
    /// that are over would be thousands under load, and their memory cold when it is used again.
    flights: RefCell<Vec<Rc<InFlight>>>,
    connections: RefCell<Vec<Rc<ConnState>>>,
    records: RefCell<Vec<AccessRecord>>,
    /// The version of the list of blocked ones that was last looked at.
    blocked: Cell<u64>,
    /// Room for the blocks of the prompt at hand.
    blocks: RefCell<Vec<Block>>,
    /// Access tokens whose signature was checked.
    pub(super) tokens: RefCell<Tokens>,
}

impl Worker {
    /// The present tick.
    pub(super) fn now(&self) -> u32 {
        self.now.get()
    }

    /// The time at this turn of a task: read once, however many ask.
    pub(super) fn instant(&self) -> Instant {
        self.turn.instant()
    }

    /// A turn begins, or took so long that the time has to be read anew.
    pub(super) fn begin_turn(&self) {
        self.turn.begin();
    }

    /// An id for a request that begins at `at`.
    pub(super) fn request_id(&self, at: Instant) -> Uuid {
        self.ids.next(at)
    }

    /// Room for the blocks of a prompt. Not to be held across an await.
    pub(super) fn blocks(&self) -> RefMut<'_, Vec<Block>> {
        self.blocks.borrow_mut()
    }

    /// The settings now.
    pub(super) fn settings(&self) -> Arc<Settings> {
        self.shared.settings.load_full()
    }

    /// Puts a request under the ticker's eyes until what is returned is dropped.
    pub(super) fn watch(self: &Rc<Self>, flight: Rc<InFlight>) -> Watched {
        let mut flights = self.flights.borrow_mut();
        flight.place.set(flights.len());
        flights.push(flight.clone());
        Watched { worker: self.clone(), flight }
    }

    /// Takes the record of a finished request. Records go to the control plane in batches, each [`BATCH`] after
    /// its first: waking another thread costs more than everything else about a record.
    pub(super) fn tell(self: &Rc<Self>, record: AccessRecord) {
        let waiting = {
            let mut records = self.records.borrow_mut();
            records.push(record);
            records.len()
        };
        if waiting == 1 {
            let worker = self.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(BATCH).await;
                worker.hand_over();
            });
        } else if waiting >= RECORDS {
            self.hand_over();
        }
    }

    fn hand_over(&self) {
        let mut records = self.records.borrow_mut();
        // The next batch will be about as large as this one: growing step by step would copy it twice.
        let next = Vec::with_capacity(records.len());
        let records = std::mem::replace(&mut *records, next);
        if !records.is_empty() {
            self.shared.access.push(records);
        }
    }

    /// Breaks off the answers whose clients did not even read the end of the stream, so that their records are written.
    async fn cut_the_rest(&self) {
        self.flights.borrow().iter().for_each(|flight| flight.transport.cut(Cut::Cancelled));
        // A task is dropped when its turn comes. The bound is there so that the process ends in any case.
        for _ in 0..1000 {
            if self.flights.borrow().is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends what runs for those who are blocked, once after each change of the blocks.
    fn end_blocked(&self) {
        let blocked = self.shared.blocks.hot();
        if self.blocked.replace(blocked.version()) == blocked.version() {
            return;
        }
        let now = now();
        for flight in self.flights.borrow().iter() {
            if blocked.address(flight.begun.client, now) || flight.is_of(|caller| blocked.caller(caller, now))
            {
                flight.end(CancelReason::Blocked);
            }
        }
        // Not those with something under way, which has its last words first.
        self.connections
            .borrow()
            .iter()
            .for_each(|connection| connection.end_if(|peer| blocked.address(peer, now)));
    }

    fn tick(&self) {
        self.end_blocked();
        let now = self.now.get() + 1;
        self.now.set(now);
        self.ids.adjust();
        let phase = *self.shared.phase.borrow();
        let settings = self.settings();
        let snapshot = self.shared.hot.load();
        snapshot.dispatch.tick();
        let down: Vec<_> = snapshot.nodes.iter().filter(|node| node.pool == Pool::Standby).cloned().collect();
        let identity = self.shared.identity.hot().load();
        for flight in self.flights.borrow().iter() {
            // Wakes tasks but runs none, so nobody leaves the list meanwhile.
            flight.tick(now, phase == Phase::Ending, &down, |caller| caller.is_disabled(&identity));
            flight.tick_socket(phase != Phase::Running, &snapshot.nodes, &identity);
        }
        self.connections.borrow_mut().retain(|connection| {
            if let Some(reason) = connection.tick(now, &settings) {
                self.shared.closed.count(reason);
            }
            if phase != Phase::Running {
                connection.drain();
            }
            Rc::strong_count(connection) > 1
        });
        self.upstream.sweep(now, settings.idle_close, |id| snapshot.nodes.iter().any(|n| &*n.id == id));
        if phase != Phase::Running {
            self.hand_over();
        }
    }
}

/// A request under the ticker's eyes.
pub(super) struct Watched {
    worker: Rc<Worker>,
    flight: Rc<InFlight>,
}

impl Deref for Watched {
    type Target = InFlight;

    fn deref(&self) -> &InFlight {
        &self.flight
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut flights = self.worker.flights.borrow_mut();
        let place = self.flight.place.get();
        flights.swap_remove(place);
        if let Some(moved) = flights.get(place) {
            moved.place.set(place);
        }
    }
}

/// The running data plane.
#[derive(Debug)]
pub struct Plane {
    threads: Vec<JoinHandle<()>>,
    beats: Arc<[AtomicU32]>,
}

/// Detects stalled data-plane threads: each counts its ticks where the control plane sees it.
#[derive(Debug)]
pub struct Pulse {
    beats: Arc<[AtomicU32]>,
    seen: Arc<[AtomicU32]>,
}

impl Pulse {
    /// Whether every thread has ticked since the last call, which must be several [`TICK`]s ago. True the first time.
    #[must_use]
    pub fn beats(&self) -> bool {
        // Every thread is looked at, or the next call would compare with what was never seen.
        self.beats.iter().zip(&*self.seen).fold(true, |all, (beat, seen)| {
            let now = beat.load(Relaxed);
            all & (seen.swap(now, Relaxed) != now)
        })
    }
}

impl Plane {
    /// For the watchdog, which checks that the threads still run.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        let never = || AtomicU32::new(u32::MAX);
        Pulse { beats: self.beats.clone(), seen: self.beats.iter().map(|_| never()).collect() }
    }

    /// Waits until every thread has ended, which they do once the phase says so. Blocks.
    pub fn join(self) {
        for thread in self.threads {
            // A panic of the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Starts one thread per socket of the listeners, which all have the same number.
///
/// # Errors
/// If a thread cannot be started.
pub fn start(shared: &Arc<Shared>, listeners: Vec<Bound>) -> io::Result<Plane> {
    let threads = listeners.first().map_or(0, |l| l.sockets.len());
    let beats: Arc<[AtomicU32]> = (0..threads).map(|_| AtomicU32::new(0)).collect();
    let mut per_thread: Vec<Vec<Listener>> = (0..threads).map(|_| Vec::new()).collect();
    for bound in listeners {
        for (own, socket) in per_thread.iter_mut().zip(bound.sockets) {
            own.push(Listener { socket, rules: bound.rules.clone() });
        }
    }
    let threads = per_thread
        .into_iter()
        .enumerate()
        .map(|(at, sockets)| {
            let (shared, beats) = (shared.clone(), beats.clone());
            let beat = move |now| {
                if let Some(beat) = beats.get(at) {
                    beat.store(now, Relaxed);
                }
            };
            std::thread::Builder::new().name(format!("data-{at}")).spawn(move || run(shared, sockets, beat))
        })
        .collect::<io::Result<_>>()?;
    Ok(Plane { threads, beats })
}

/// One thread's socket of one listener.
struct Listener {
    socket: std::net::TcpListener,
    rules: Arc<Rules>,
}

fn run(shared: Arc<Shared>, sockets: Vec<Listener>, beat: impl Fn(u32)) {
    let runtime =
        match tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
        {
            Ok(runtime) => runtime,
            Err(e) => {
                tracing::error!(error = %e, "a data-plane thread could not start");
                return;
            }
        };
    runtime.block_on(work(shared, sockets, beat));
}

async fn work(shared: Arc<Shared>, sockets: Vec<Listener>, beat: impl Fn(u32)) {
    let worker = Rc::new(Worker {
        upstream: Upstream::new(shared.places.clone()),
        shared,
        now: Cell::new(1),
        turn: Turn::default(),
        ids: RequestIds::new(),
        flights: RefCell::default(),
        connections: RefCell::default(),
        records: RefCell::default(),
        blocked: Cell::new(0),
        blocks: RefCell::default(),
        tokens: RefCell::default(),
    });
    for listener in sockets {
        tokio::task::spawn_local(accept(worker.clone(), listener));
    }
    let mut ticker = tokio::time::interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut asks = worker.shared.running.join();
    let mut ending = 0;
    loop {
        tokio::select! {
            _ = ticker.tick() => {}
            Some(ask) = asks.recv() => {
                running::answer(ask, worker.flights.borrow().iter().map(|flight| &**flight));
                continue;
            }
        }
        worker.tick();
        beat(worker.now());
        let phase = *worker.shared.phase.borrow();
        let idle = worker.connections.borrow().is_empty();
        if phase == Phase::Ending {
            ending += 1;
        }
        if phase != Phase::Running && (idle || ending > ticks(END_GRACE)) {
            worker.cut_the_rest().await;
            // Sends the records of what the last look ended.
            worker.tick();
            return;
        }
    }
}

/// What is answered where there is no room for a connection.
const FULL: &str = "503 Service Unavailable\r\nretry-after: 1";

async fn accept(worker: Rc<Worker>, Listener { socket, rules }: Listener) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(e) => {
            tracing::error!(error = %e, "a listener could not be registered");
            return;
        }
    };
    let mut phase = worker.shared.phase.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phase.wait_for(|p| *p != Phase::Running) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of descriptors or memory: the queue waits, a spinning loop would make it worse.
                if worker.shared.accept_failures.is_due(Instant::now()) {
                    tracing::warn!(error = %e, "connections cannot be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = peer.ip().to_canonical();
        // Nothing is said to those: whoever is blocked is meant to find nobody.
        let blocked = worker.shared.blocks.hot();
        if !blocked.is_empty() && blocked.address(peer, now()) {
            continue;
        }
        // Behind a proxy are all its clients.
        let is_proxy = forwarded::is_trusted(&worker.settings().trusted, peer);
        let Some(place) = worker.shared.places.client(peer, is_proxy) else {
            worker.shared.closed.count(Reason::Full);
            // Best effort: the queue of the socket takes this little without waiting. With TLS it would be no answer.
            if rules.tls.is_none() {
                let _ = stream.try_write(&worker.settings().browsers.answer(false, FULL, ""));
            }
            continue;
        };
        // Chunks of a few bytes must not wait for each other.
        let _ = stream.set_nodelay(true);
        let state = ConnState::of(peer, worker.now());
        worker.connections.borrow_mut().push(state.clone());
        let cx = ConnContext {
            worker: worker.clone(),
            state: state.clone(),
            stream: None,
            peer,
            client: peer,
            https: rules.tls.is_some(),
            listener: rules.clone(),
            hold: None,
        };
        let task = tokio::task::spawn_local(async move {
            let _place = place;
            conn::serve(cx, stream).await;
        });
        state.task.is(task.abort_handle());
    }
}
