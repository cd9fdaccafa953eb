//! Requests and streams in flight on one connection.
//!
//! Each runs in a task of its own and ends with exactly one last frame, sent by the side that takes its entry out of
//! the table: the task itself when it is done, or the reader when it is cancelled. Reads and streams die with their
//! connection; a change that has begun is carried out.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aivonx_protocol::{
    Event, Fault, FaultKind, ServerFrame, Untrusted,
    frame::{self, MAX_OUT},
    request::{MAX_IN_FLIGHT, STREAM_WINDOW},
    wire::Payload,
};
use futures_util::{FutureExt as _, StreamExt as _, stream::BoxStream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    Answer, Backend,
    access::{AccessRule, Ask, Peer, Permitted},
    connection::Connection,
};

/// Longest wait for running requests after the connection is gone or the daemon stops.
const WIND_UP: Duration = Duration::from_secs(10);

/// Most events a peer may have granted ahead; what it grants beyond is not counted.
const CREDIT_MAX: usize = 1 << 16;

/// How often it is looked whether the session of a stream has come of age; keeps it from idling, too.
const LOOK: Duration = Duration::from_secs(20);

/// Everything in flight on one connection.
pub(super) struct Flight {
    outbox: mpsc::Sender<Payload>,
    slots: Arc<Semaphore>,
    /// One login at a time: each costs a hash, and others of the machine wait for it.
    logins: Arc<Semaphore>,
    table: Arc<Table>,
    connection: Arc<Connection>,
    rule: AccessRule,
    stop: watch::Receiver<bool>,
}

#[derive(Default)]
struct Table(Mutex<HashMap<u64, Running>>);

struct Running {
    task: JoinHandle<()>,
    change: bool,
    credit: Arc<Semaphore>,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Running>> {
        // No code panics while it holds the lock; the table is whole even if one did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    pub(super) fn new(
        outbox: mpsc::Sender<Payload>,
        connection: Arc<Connection>,
        rule: AccessRule,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        let logins = Arc::new(Semaphore::new(1));
        Self { outbox, slots, logins, table: Arc::default(), connection, rule, stop }
    }

    /// Whether `id` is taken.
    pub(super) fn holds(&self, id: u64) -> bool {
        self.table.lock().contains_key(&id)
    }

    /// Whether nothing is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.table.lock().is_empty()
    }

    /// Begins to carry out `permitted`, or answers that there is too much in flight.
    pub(super) async fn begin<S: Backend>(&self, serve: &Arc<S>, id: u64, permitted: Permitted) {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            return self.reply(ServerFrame::Reply { id, result: Err(too_many()) }).await;
        };
        let ask = Ask::of(permitted.request());
        let login = if ask.is_login() { Some(self.logins.clone().try_acquire_owned()) } else { None };
        let Ok(login) = login.transpose() else {
            let fault = Fault::new(FaultKind::Unavailable, "a login is in flight on this connection already");
            let result = Err(fault.hint("Wait for it, or cancel it."));
            return self.reply(ServerFrame::Reply { id, result }).await;
        };
        let change = permitted.request().needs().changes();
        let credit = Arc::new(Semaphore::new(STREAM_WINDOW as usize));
        let task = Task {
            id,
            peer: *self.connection.peer(),
            session: self.connection.session(),
            rule: self.rule,
            ask,
            name: permitted.request().name(),
            user: permitted.by().actor().name.clone(),
            change,
            outbox: self.outbox.clone(),
            table: self.table.clone(),
            credit: credit.clone(),
            stop: self.stop.clone(),
        };
        let serve = serve.clone();
        // The lock is held until the entry is there: the task may be done before this line is.
        let mut table = self.table.lock();
        let task = tokio::spawn(task.run(serve, permitted, (slot, login)));
        table.insert(id, Running { task, change, credit });
    }

    /// Stops what runs under `id`, unless its last frame is under way already.
    pub(super) async fn cancel(&self, id: u64) {
        let Some(running) = self.table.lock().remove(&id) else { return };
        let message = if running.change {
            "cancelled; the change had begun and is carried out"
        } else {
            running.task.abort();
            // No event of it may follow the end. It was aborted, so its result says nothing.
            let _ = running.task.await;
            "cancelled"
        };
        let result = Err(Fault::new(FaultKind::Cancelled, message));
        self.reply(ServerFrame::End { id, result }).await;
    }

    /// Lets the stream `id` send more.
    pub(super) fn grant(&self, id: u64, events: u32) {
        if let Some(running) = self.table.lock().get(&id) {
            let room = CREDIT_MAX.saturating_sub(running.credit.available_permits());
            running.credit.add_permits(room.min(events as usize));
        }
    }

    /// Sends a frame, waiting for room.
    pub(super) async fn reply(&self, frame: ServerFrame) {
        if let Some(frame) = seal(frame) {
            // A peer that has gone needs no answer.
            let _ = self.outbox.send(frame).await;
        }
    }

    /// Ends the reads and streams, and waits for the changes; when the daemon stops, for the reads too (the
    /// streams see that themselves). False if something still ran after [`WIND_UP`].
    pub(super) async fn close(self, stopping: bool) -> bool {
        if !stopping {
            self.abort();
        }
        let all = u32::try_from(MAX_IN_FLIGHT).unwrap_or(u32::MAX);
        timeout(WIND_UP, self.slots.acquire_many(all)).await.is_ok()
    }

    fn abort(&self) {
        let mut table = self.table.lock();
        table.values().filter(|running| !running.change).for_each(|running| running.task.abort());
        table.clear();
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.abort();
    }
}

/// A place in flight, and one for a login.
type Slot = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// One request at work.
struct Task {
    id: u64,
    peer: Peer,
    /// The session it was asked in.
    session: Option<[u8; 32]>,
    rule: AccessRule,
    ask: Ask,
    name: &'static str,
    /// Who asked.
    user: String,
    change: bool,
    outbox: mpsc::Sender<Payload>,
    table: Arc<Table>,
    credit: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Task {
    async fn run<S: Backend>(mut self, serve: Arc<S>, permitted: Permitted, slot: Slot) {
        let answer = AssertUnwindSafe(serve.clone().handle(permitted)).catch_unwind().await;
        let id = self.id;
        let last = match answer.unwrap_or_else(|_| Answer::Reply(Err(self.panicked()))) {
            Answer::Reply(result) => {
                self.note(result.as_ref().err());
                ServerFrame::Reply { id, result }
            }
            Answer::Stream(events) => {
                let result = AssertUnwindSafe(self.stream(&*serve, events)).catch_unwind().await;
                let result = result.unwrap_or_else(|_| Err(self.panicked()));
                ServerFrame::End { id, result }
            }
        };
        // The place in flight is kept until there is room to answer: what waits to be written is in flight
        // too, or a peer that asks and does not read would make it grow without end.
        let Ok(room) = self.outbox.reserve().await else { return };
        if self.table.lock().remove(&id).is_some() {
            // Free before the peer can know that it is.
            drop(slot);
            if let Some(frame) = seal(last) {
                room.send(frame);
            }
        }
    }

    /// Sends events as far as they are granted. A reader that grants none lets the source wait, or lose.
    async fn stream<S: Backend>(
        &mut self,
        serve: &S,
        mut events: BoxStream<'static, Result<Event, Fault>>,
    ) -> Result<(), Fault> {
        let mut lapse = pin!(lapse(serve, self.rule, self.ask, self.peer, self.session));
        loop {
            let next = async {
                // The semaphore is never closed.
                if let Ok(granted) = self.credit.acquire().await {
                    granted.forget();
                }
                events.next().await
            };
            let step = tokio::select! {
                biased;
                fault = &mut lapse => return Err(fault),
                step = next => step,
                _ = self.stop.wait_for(|stop| *stop) => {
                    let fault = Fault::new(FaultKind::Unavailable, "aivonxd is stopping");
                    return Err(fault.hint("Ask again when it is back."));
                }
            };
            let Some(event) = step.transpose()? else { return Ok(()) };
            let event = ServerFrame::Event { id: self.id, event };
            let frame = frame::seal(&event, MAX_OUT).map_err(|e| too_large(&e.to_string()))?;
            // A peer that has gone: the session is about to end this task.
            let _ = self.outbox.send(frame).await;
        }
    }

    /// Changes are worth a line each, with who made them.
    fn note(&self, fault: Option<&Fault>) {
        let (Peer { uid, pid, .. }, name) = (self.peer, self.name);
        let user = Untrusted::new(&self.user);
        match fault {
            Some(fault) if fault.kind == FaultKind::Internal => tracing::error!(
                uid, pid, %user, event = "control_failed", error = %Untrusted::new(&fault.message), "{name} failed"
            ),
            // A failed login is reported by the audit log, which folds a flood of them into one entry.
            Some(_) if self.ask.is_login() => {}
            Some(fault) if self.change => tracing::info!(
                uid, pid, %user, event = "control_change_failed", error = %Untrusted::new(&fault.message),
                "{name} was not carried out"
            ),
            None if self.change => {
                tracing::info!(uid, pid, %user, event = "control_change", "{name} was carried out");
            }
            _ => {}
        }
    }

    fn panicked(&self) -> Fault {
        let message = format!("{} failed by a mistake in aivonxd", self.name);
        Fault::new(FaultKind::Internal, message).hint("Its log says where: aivonx logs --level error")
    }
}

/// Waits until what is being streamed may no longer be asked: the session was ended, or has expired.
async fn lapse<S: Backend>(
    serve: &S,
    rule: AccessRule,
    ask: Ask,
    peer: Peer,
    session: Option<[u8; 32]>,
) -> Fault {
    let mut changes = serve.changes();
    loop {
        let standing = serve.standing(&peer, session);
        if let Err(fault) = ask.decide(&rule, serve.is_set_up(), &peer, &standing) {
            return fault;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() {
                // Nobody is left to end a session but the end of the daemon, which ends streams by itself.
                std::future::pending::<()>().await;
            },
            () = sleep(LOOK) => {}
        }
    }
}

fn too_large(why: &str) -> Fault {
    Fault::new(FaultKind::Unavailable, format!("the answer does not fit: {why}"))
        .hint("Ask for less at once.")
}

/// Makes a frame of an answer; one that does not fit is replaced by a fault that says so.
fn seal(frame: ServerFrame) -> Option<Payload> {
    let sealed = frame::seal(&frame, MAX_OUT).or_else(|error| {
        let (ServerFrame::Reply { id, .. } | ServerFrame::End { id, .. } | ServerFrame::Event { id, .. }) =
            frame;
        let last = ServerFrame::End { id, result: Err(too_large(&error.to_string())) };
        frame::seal(&last, MAX_OUT)
    });
    // The fault is a few hundred bytes.
    sealed.ok()
}

/// The fault of a connection that has too much in flight.
fn too_many() -> Fault {
    let message = format!("{MAX_IN_FLIGHT} requests are in flight on this connection already");
    Fault::new(FaultKind::Unavailable, message).hint("Wait for one of them, or cancel it.")
}
