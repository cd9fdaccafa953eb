//! One client connection: which HTTP it speaks, and its life until it is closed.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    net::IpAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::atomic::Ordering,
    task::{Context, Poll, Waker},
    time::Duration,
};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::AbortHandle};

use super::{clock::TICK, stack, worker::Worker};

/// Streams at once on one HTTP/2 connection.
const STREAMS: u32 = 256;

/// What every request of a connection shares.
pub(super) struct ConnContext {
    pub(super) worker: Rc<Worker>,
    pub(super) state: Rc<ConnState>,
    /// Address of the client.
    pub(super) client: IpAddr,
    /// The listener is on a loopback address.
    pub(super) loopback: bool,
    /// The listener tells diagnostics.
    pub(super) diagnostics: bool,
}

/// One connection, as the ticker sees it.
pub(super) struct ConnState {
    in_flight: Cell<u32>,
    /// Tick at which it last became idle.
    since: Cell<u32>,
    /// A request head has arrived.
    served: Cell<bool>,
    draining: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    abort: RefCell<Option<AbortHandle>>,
}

impl ConnState {
    pub(super) fn new(now: u32) -> Rc<Self> {
        Rc::new(Self {
            in_flight: Cell::new(0),
            since: Cell::new(now),
            served: Cell::new(false),
            draining: Cell::new(false),
            waker: RefCell::new(None),
            abort: RefCell::new(None),
        })
    }

    pub(super) fn abort_by(&self, handle: AbortHandle) {
        *self.abort.borrow_mut() = Some(handle);
    }

    /// Breaks the connection off.
    pub(super) fn abort(&self) {
        if let Some(handle) = self.abort.borrow().as_ref() {
            handle.abort();
        }
    }

    /// Lets it finish what runs and take nothing more.
    pub(super) fn drain(&self) {
        if !self.draining.replace(true)
            && let Some(waker) = self.waker.borrow_mut().take()
        {
            waker.wake();
        }
    }

    /// One look of the ticker: a connection without a request may not stay for ever.
    pub(super) fn tick(&self, now: u32, head: u32, keep_alive: u32) {
        if self.in_flight.get() == 0 {
            let limit = if self.served.get() { keep_alive } else { head };
            if now.saturating_sub(self.since.get()) > limit.max(1) {
                self.abort();
            }
        }
    }

    fn begin(&self) {
        self.served.set(true);
        self.in_flight.set(self.in_flight.get() + 1);
    }

    fn end(&self, now: u32) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.since.set(now);
    }
}

/// Counts one request of a connection, from its head to the end of its answer.
pub(super) struct InFlight(Rc<ConnContext>);

impl InFlight {
    fn begin(cx: &Rc<ConnContext>) -> Self {
        cx.state.begin();
        Self(cx.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state.end(self.0.worker.now());
    }
}

/// Counts one connection of the process.
pub(super) struct Counted(Rc<Worker>);

impl Counted {
    /// None if there are too many.
    pub(super) fn new(worker: &Rc<Worker>) -> Option<Self> {
        let most = worker.settings().connections;
        if worker.shared.connections.fetch_add(1, Ordering::Relaxed) >= most {
            worker.shared.connections.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(worker.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(cx: Rc<ConnContext>, stream: TcpStream) {
    let Some(version) = detect(&stream).await else { return };
    let (worker, state) = (cx.worker.clone(), cx.state.clone());
    let head_bytes = cx.worker.settings().head_bytes;
    let service = service_fn(move |request| {
        let in_flight = InFlight::begin(&cx);
        let cx = cx.clone();
        async move {
            let answer = stack::handle(cx, request).await;
            Ok::<_, Infallible>(answer.map(|body| super::answer::Tracked::new(body, in_flight)))
        }
    });
    let io = TokioIo::new(stream);
    match version {
        HttpVersion::One => {
            let connection = http1::Builder::new()
                // Deadlines are the ticker's; hyper's own cost every request a timer.
                .header_read_timeout(None)
                .max_buf_size(head_bytes)
                .serve_connection(io, service);
            drive(connection, &worker, &state).await;
        }
        HttpVersion::Two => {
            let connection = http2::Builder::new(Local(worker.clone()))
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
                .serve_connection(io, service);
            drive(connection, &worker, &state).await;
        }
    }
}

enum HttpVersion {
    One,
    Two,
}

/// Tells HTTP/2 with prior knowledge (RFC 9113, 3.3) from HTTP/1 by the first bytes, without taking them. The
/// time for it is that for the first head: the ticker ends the connection.
async fn detect(stream: &TcpStream) -> Option<HttpVersion> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    let mut first = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut first).await.ok()?;
        if seen == 0 {
            return None;
        }
        if first[..seen] != PREFACE[..seen] {
            return Some(HttpVersion::One);
        }
        if seen == PREFACE.len() {
            return Some(HttpVersion::Two);
        }
        // The socket stays readable, so there is nothing to wait for but time. `P` alone can be a POST.
        tokio::time::sleep(Duration::from_millis(5).min(TICK)).await;
    }
}

/// Runs tasks of HTTP/2 connections on this thread.
#[derive(Clone)]
struct Local(Rc<Worker>);

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        let worker = self.0.clone();
        tokio::task::spawn_local(async move {
            let mut task = pin!(task);
            std::future::poll_fn(|cx| {
                worker.begin_turn();
                task.as_mut().poll(cx).map(drop)
            })
            .await;
        });
    }
}

/// A server connection that can be told to take no more requests.
trait Graceful: Future {
    fn take_no_more(self: Pin<&mut Self>);
}

impl<I, B, S> Graceful for http1::Connection<I, S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn take_no_more(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, B, S> Graceful for http2::Connection<I, S, Local>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Local: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn take_no_more(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn drive<C: Graceful>(connection: C, worker: &Worker, state: &ConnState) {
    let mut connection = pin!(connection);
    let mut told = false;
    std::future::poll_fn(|cx: &mut Context<'_>| {
        worker.begin_turn();
        if state.draining.get() && !told {
            told = true;
            connection.as_mut().take_no_more();
        }
        // Errors of a client connection are the client's: what matters of them is in the request's record.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut waker = state.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    })
    .await;
}
