//! One client connection: which HTTP it speaks, and its life until it is closed.

mod linger;
mod state;
#[cfg(test)]
mod tests;
mod version;

use std::{
    cell::Cell,
    convert::Infallible,
    net::IpAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

pub(super) use linger::drop_rest;
use linger::linger;
pub(super) use state::ConnState;
pub(super) use version::{HttpVersion, Preface, detect};

use super::{
    answer::Tracked,
    closed::Reason,
    dressed::Dressed,
    forwarded,
    keep_waiting::Hold,
    listener::Rules,
    proxy_protocol::{self, Source},
    stack,
    tls::{Agreed, Tls, handshake},
    transport::{ClientSocket, Patience, StreamState, Transport},
    worker::Worker,
};

/// Streams at once on one HTTP/2 connection.
const STREAMS: u32 = 256;

/// What every request of a connection shares; with HTTP/2 each has one of its own.
#[derive(Clone)]
pub(super) struct ConnContext {
    pub(super) worker: Rc<Worker>,
    pub(super) state: Rc<ConnState>,
    /// The stream of the request; None with HTTP/1.
    pub(super) stream: Option<Rc<StreamState>>,
    /// Where the connection comes from.
    pub(super) peer: IpAddr,
    /// Address of the client: the same, unless a trusted proxy names another.
    pub(super) client: IpAddr,
    /// The client speaks HTTPS, with the gateway or with a trusted proxy.
    pub(super) https: bool,
    /// Where it came in.
    pub(super) listener: Arc<Rules>,
    /// Where a request says that its stream may begin before its answer does; None if no key asks for that.
    pub(super) hold: Option<Rc<Hold>>,
}

impl ConnContext {
    /// Where the answer of the request goes.
    pub(super) fn transport(&self) -> Transport {
        Transport { conn: self.state.clone(), stream: self.stream.clone() }
    }
}

/// Counts one request of a connection, from its head to the end of its answer.
pub(super) struct OpenAnswer(Rc<ConnContext>);

impl OpenAnswer {
    fn begin(cx: Rc<ConnContext>) -> Self {
        cx.state.begin(cx.stream.as_ref());
        Self(cx)
    }

    /// Most bytes of its answer that are handed over at once. With HTTP/1 the socket reports how much was taken.
    pub(super) fn frame(&self, relayed: bool) -> usize {
        match self.0.stream {
            Some(_) => Patience::new(&self.0.worker.settings()).frame(relayed),
            None => usize::MAX,
        }
    }

    /// The answer was asked for more, and gave a frame or not.
    pub(super) fn polled(&self, frame: bool, relayed: bool) {
        if let Some(stream) = &self.0.stream {
            stream.polled(frame, relayed, self.0.worker.now());
        }
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        self.0.state.end(self.0.stream.as_ref(), self.0.worker.now());
    }
}

/// Serves one connection to its end. PROXY protocol, TLS and websockets are boxed, so that plain connections' futures stay
/// small.
pub(super) async fn serve(mut cx: ConnContext, mut stream: TcpStream) {
    if cx.listener.proxy_protocol && forwarded::is_trusted(&cx.worker.settings().trusted, cx.peer) {
        match Box::pin(proxy_protocol::read(&mut stream)).await {
            Some(Source::Client(address)) => cx.client = address,
            Some(Source::Itself) => {}
            None => {
                tracing::debug!(peer = %cx.peer, "a connection does not begin with the PROXY protocol");
                return;
            }
        }
    }
    let cx = Rc::new(cx);
    let mut socket = ClientSocket::new(stream, &cx);
    if let Some(tls) = cx.listener.tls.clone() {
        return Box::pin(serve_tls(cx, tls, socket)).await;
    }
    if let Some(version) = socket.detect().await {
        converse(cx, socket, version).await;
    }
}

async fn serve_tls(cx: Rc<ConnContext>, tls: Arc<Tls>, socket: ClientSocket) {
    // Nothing is said in plain text, and a client that is closed on tries again.
    let Some(place) = cx.worker.shared.places.handshake(cx.client) else {
        return cx.worker.shared.closed.count(Reason::Full);
    };
    cx.state.handshaking.set(true);
    let settings = cx.worker.settings();
    let Some(Agreed { stream, version, names }) = handshake(&tls, socket, &settings.browsers).await else {
        return cx.worker.shared.closed.count(Reason::Handshake);
    };
    drop(settings);
    drop(place);
    cx.state.handshaking.set(false);
    // A connection has one handshake.
    let _ = cx.state.names.set(names);
    cx.state.since.set(cx.worker.now());
    converse(cx, stream, version).await;
}

/// Speaks HTTP until the connection is to be closed, and closes it in order.
async fn converse(
    cx: Rc<ConnContext>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    version: HttpVersion,
) {
    let state = cx.state.clone();
    speak(cx, &mut stream, version).await;
    if state.lingers.get() {
        linger(&mut stream).await;
    }
}

/// Ends the websocket that the state of a connection holds, which holds the connection in turn, if its task is aborted
/// before the websocket begins.
struct Unbegun<'a>(&'a ConnState);

impl Drop for Unbegun<'_> {
    fn drop(&mut self) {
        drop(self.0.socket.take());
    }
}

async fn speak(
    cx: Rc<ConnContext>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    version: HttpVersion,
) {
    let (worker, state) = (cx.worker.clone(), cx.state.clone());
    let head_bytes = cx.worker.settings().head_bytes;
    match version {
        HttpVersion::One => {
            let service = {
                let cx = cx.clone();
                service_fn(move |request| respond(cx.clone(), request))
            };
            let io = TokioIo::new(Dressed::new(stream, cx.clone()));
            let mut connection = http1::Builder::new()
                // Deadlines are the ticker's; hyper's own cost every request a timer.
                .header_read_timeout(None)
                .max_buf_size(head_bytes)
                .serve_connection(io, service);
            let _unbegun = Unbegun(&state);
            drive(Pin::new(&mut connection), &worker, &state).await;
            let session = state.socket.take();
            if let Some(session) = session {
                let _in_flight = OpenAnswer::begin(cx);
                state.relayed.set(true);
                state.linger();
                let parts = connection.into_parts();
                Box::pin(session.run(parts.io.into_inner().into_inner(), &parts.read_buf)).await;
            }
        }
        HttpVersion::Two => {
            let io = TokioIo::new(stream);
            let tasks = Local { worker: worker.clone(), next: Rc::default() };
            let next = tasks.next.clone();
            let service = service_fn(move |request| {
                let stream = Rc::<StreamState>::default();
                next.set(Some(stream.clone()));
                respond(Rc::new(ConnContext { stream: Some(stream), ..ConnContext::clone(&cx) }), request)
            });
            let connection = http2::Builder::new(tasks)
                .max_concurrent_streams(STREAMS)
                // Heads up to this are refused in words of the gateway's own, as over HTTP/1, those above by h2.
                .max_header_list_size(u32::try_from(head_bytes.saturating_mul(2)).unwrap_or(u32::MAX))
                .serve_connection(io, service);
            drive(Box::pin(connection).as_mut(), &worker, &state).await;
        }
    }
}

/// Answers one request; it is in flight until the last of its answer was handed over. The memory of the work before that
/// is given back when the answer begins: hyper would keep it for as long as the connection.
fn respond(
    cx: Rc<ConnContext>,
    request: Request<Incoming>,
) -> Pin<Box<impl Future<Output = Result<Response<Tracked>, Infallible>>>> {
    let in_flight = OpenAnswer::begin(cx.clone());
    // The box first, so that the future is made in it: `Box::pin` moves its nine kilobytes twice.
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, async move {
        let answer = stack::handle(cx, request).await;
        if answer.body().is_relayed() {
            in_flight.0.state.relayed.set(true);
        }
        Ok(answer.map(|body| Tracked::new(body, in_flight)))
    }))
}

/// Runs the tasks of an HTTP/2 connection on this thread, one per stream.
#[derive(Clone)]
struct Local {
    worker: Rc<Worker>,
    /// The stream whose task comes next: hyper calls the service, and then runs what that returned.
    next: Rc<Cell<Option<Rc<StreamState>>>>,
}

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        let worker = self.worker.clone();
        let stream = self.next.take();
        let spawned = tokio::task::spawn_local(async move {
            let mut task = pin!(task);
            std::future::poll_fn(|cx| {
                worker.begin_turn();
                task.as_mut().poll(cx).map(drop)
            })
            .await;
        });
        if let Some(stream) = stream {
            stream.task.is(spawned.abort_handle());
        }
    }
}

/// A server connection that can be shut down gracefully: it takes no more requests.
trait Graceful: Future<Output = hyper::Result<()>> {
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

async fn drive<C: Graceful>(mut connection: Pin<&mut C>, worker: &Worker, state: &ConnState) {
    let mut told = false;
    std::future::poll_fn(|cx: &mut Context<'_>| {
        worker.begin_turn();
        if state.draining.get() && !told {
            told = true;
            connection.as_mut().take_no_more();
        }
        // Errors of a client connection are the client's: what matters of them is in the request's record.
        if let Poll::Ready(done) = connection.as_mut().poll(cx) {
            if let Err(error) = done {
                if error.is_parse() {
                    // It was answered without all of it having been read.
                    state.linger();
                }
                if error.is_parse() || is_refused(&error) {
                    worker.shared.closed.count(Reason::Malformed);
                }
            }
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

/// Whether it is HTTP/2 that the gateway does not go on with, not the client.
fn is_refused(error: &hyper::Error) -> bool {
    let inner = std::error::Error::source(error).and_then(|inner| inner.downcast_ref::<h2::Error>());
    inner.is_some_and(|error| !error.is_remote() && !error.is_io())
}
