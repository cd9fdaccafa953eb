//! How the answer of a request gets to its client: the one way to break it off, and the measure of whether the client
//! reads it. An answer has a connection to itself with HTTP/1 and a stream with HTTP/2.

use std::{
    cell::{Cell, OnceCell},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::AbortHandle,
};

use super::{
    conn::{ConnContext, ConnState, HttpVersion, Preface, detect},
    deadline::TICKS_PER_SECOND,
    shared::Settings,
    worker::Worker,
};

/// Why the gateway broke a connection or stream off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The client took nothing for too long.
    Stalled,
    /// Its request was cancelled and the client did not take the last words.
    Cancelled,
    /// Nothing was under way for too long.
    Idle,
}

/// The task of a connection or stream, and whether it was broken off.
#[derive(Debug, Default)]
pub(super) struct Task {
    handle: OnceCell<AbortHandle>,
    cut: Cell<Option<Cut>>,
}

impl Task {
    /// The task is known only once it is spawned.
    pub(super) fn is(&self, handle: AbortHandle) {
        // There is one task per connection or stream, so nothing is set twice.
        let _ = self.handle.set(handle);
    }

    /// Drops the task at its next turn: a connection is closed, a stream reset (RFC 9113, 5.4.2). The first reason stays.
    pub(super) fn cut(&self, why: Cut) {
        if self.cut.get().is_none() {
            self.cut.set(Some(why));
            if let Some(handle) = self.handle.get() {
                handle.abort();
            }
        }
    }

    pub(super) fn why_cut(&self) -> Option<Cut> {
        self.cut.get()
    }
}

/// One stream of an HTTP/2 connection, as the ticker sees it.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// Where it stands in its connection's list; kept by the list's owner.
    pub(super) place: Cell<usize>,
    pub(super) task: Task,
    /// Tick at which a frame was handed over, for as long as no more is asked for: the client's window is full.
    waits: Cell<Option<u32>>,
    /// The frame is of a node's answer.
    relayed: Cell<bool>,
}

impl StreamState {
    /// The answer was asked for more, and gave a frame or not.
    pub(super) fn polled(&self, frame: bool, relayed: bool, now: u32) {
        self.waits.set(frame.then_some(now));
        self.relayed.set(relayed);
    }

    /// One look of the ticker.
    pub(super) fn tick(&self, now: u32, patience: Patience) {
        if self.waits.get().is_some_and(|since| patience.is_over(since, now, self.relayed.get(), 0)) {
            self.task.cut(Cut::Stalled);
        }
    }
}

/// How many ticks a client may take nothing of what it was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Where it is an answer of the gateway itself.
    pub(super) own: u32,
    /// Where it is a node's.
    pub(super) relayed: u32,
}

/// Bytes a second. A client that takes so many, however unevenly, is never taken for one that takes nothing.
const STEADY: u32 = 256;

/// Bytes a second at which a slow client is taken to read what its system holds.
const READ_SLOWLY: u32 = 8 << 10;

impl Patience {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { own: settings.keep_alive, relayed: settings.client_idle }
    }

    fn limit(self, relayed: bool) -> u32 {
        if relayed { self.relayed } else { self.own }.max(1)
    }

    /// Whether a client has taken nothing for too long. One that has gone on after a pause reads slowly: its system
    /// may hold all of the `resumed` bytes that came then, and opens the window only when most of them are read. That
    /// nobody hears of, so it has time for it, though not more than once over.
    pub(super) fn is_over(self, since: u32, now: u32, relayed: bool, resumed: u32) -> bool {
        let limit = self.limit(relayed);
        let reading = resumed / (READ_SLOWLY / TICKS_PER_SECOND);
        now.saturating_sub(since) > limit.saturating_add(reading.min(limit))
    }

    /// Most bytes of an answer that are handed over to HTTP/2 at once: nothing is heard of them until the client has
    /// taken them all, so they are as many as a [`STEADY`] one takes in its time. No DATA frame has more than the upper
    /// bound by default (RFC 9113, 6.5.2), so that costs nothing; smaller ones than the lower bound would.
    pub(super) fn frame(self, relayed: bool) -> usize {
        let bytes = (self.limit(relayed) / TICKS_PER_SECOND).saturating_mul(STEADY);
        bytes.clamp(512, 16 << 10) as usize
    }
}

/// Where one answer goes.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) conn: Rc<ConnState>,
    /// None with HTTP/1.
    pub(super) stream: Option<Rc<StreamState>>,
}

impl Transport {
    /// Breaks off what carries the answer, and with HTTP/2 nothing beside it.
    pub(super) fn cut(&self, why: Cut) {
        self.stream.as_ref().map_or(&self.conn.task, |stream| &stream.task).cut(why);
    }

    /// Why it was broken off, if the gateway did that.
    pub(super) fn why_cut(&self) -> Option<Cut> {
        let of_stream = self.stream.as_ref().and_then(|stream| stream.task.why_cut());
        of_stream.or_else(|| self.conn.task.why_cut())
    }
}

/// The socket of a connection. It notes when the client stops taking bytes, which nobody else sees: hyper asks an
/// answer for no more then, and the last piece of one may wait although the answer is over.
pub(super) struct ClientSocket {
    /// Bytes that were taken from it before and are still to be read.
    first: Vec<u8>,
    stream: TcpStream,
    state: Rc<ConnState>,
    worker: Rc<Worker>,
}

impl ClientSocket {
    pub(super) fn new(stream: TcpStream, cx: &ConnContext) -> Self {
        Self { first: Vec::new(), stream, state: cx.state.clone(), worker: cx.worker.clone() }
    }

    /// The first byte that comes, which stays to be read; None if none does.
    pub(super) async fn peek(&self) -> Option<u8> {
        let mut first = [0];
        let seen = self.stream.peek(&mut first).await.ok()?;
        (seen > 0).then_some(first[0])
    }

    /// Which HTTP the client speaks, by its first bytes; see [`detect`].
    pub(super) async fn detect(&mut self) -> Option<HttpVersion> {
        let mut first = Preface::default();
        let (version, taken) = detect(&mut self.stream, &mut first).await?;
        self.first.extend_from_slice(&first[..taken]);
        Some(version)
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let bytes = match &written {
            Poll::Ready(written) => Some(*written.as_ref().unwrap_or(&0)),
            Poll::Pending => None,
        };
        self.state.wrote(bytes, self.worker.now());
        written
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let now = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first[..now]);
            self.first.drain(..now);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { own: 3, relayed: 10 };

    #[test]
    fn a_stream_whose_client_takes_nothing_is_cut_in_time() {
        for (relayed, limit) in [(false, 3), (true, 10)] {
            let stream = StreamState::default();
            stream.polled(true, relayed, 100);
            stream.tick(100 + limit, PATIENCE);
            assert_eq!(stream.task.why_cut(), None);
            stream.tick(101 + limit, PATIENCE);
            assert_eq!(stream.task.why_cut(), Some(Cut::Stalled));
        }
    }

    #[test]
    fn frames_are_what_a_slow_client_takes_in_its_time() {
        let frames = |own, relayed| {
            let patience = Patience { own, relayed };
            (patience.frame(false), patience.frame(true))
        };
        assert_eq!(frames(4 * 10, 4 * 300), (2560, 16 << 10));
        assert_eq!(frames(0, u32::MAX / 2), (512, 16 << 10));
    }

    #[test]
    fn a_stream_that_waits_for_its_node_is_not_cut() {
        let stream = StreamState::default();
        stream.polled(true, true, 100);
        // The client took the frame, and more was asked for in vain.
        stream.polled(false, true, 105);
        stream.tick(1000, PATIENCE);
        assert_eq!(stream.task.why_cut(), None);
    }

    #[test]
    fn cutting_a_stream_leaves_its_connection() {
        let conn = ConnState::of(std::net::Ipv4Addr::LOCALHOST.into(), 1);
        let first = Transport { conn: conn.clone(), stream: Some(Rc::default()) };
        let second = Transport { conn: conn.clone(), stream: Some(Rc::default()) };
        first.cut(Cut::Cancelled);
        assert_eq!((first.why_cut(), second.why_cut()), (Some(Cut::Cancelled), None));
        assert_eq!(conn.task.why_cut(), None);
        first.cut(Cut::Stalled);
        assert_eq!(first.why_cut(), Some(Cut::Cancelled), "the first reason stays");

        let alone = Transport { conn: conn.clone(), stream: None };
        alone.cut(Cut::Stalled);
        assert_eq!(conn.task.why_cut(), Some(Cut::Stalled), "HTTP/1 has nothing smaller than a connection");
        assert_eq!(second.why_cut(), Some(Cut::Stalled), "what ends a connection ends its streams");
    }

    #[tokio::test]
    async fn a_task_that_is_cut_is_dropped() {
        let task = Task::default();
        let (sender, dropped) = tokio::sync::oneshot::channel::<()>();
        let held = async move {
            let _sender = sender;
            std::future::pending::<()>().await;
        };
        task.is(tokio::spawn(held).abort_handle());
        task.cut(Cut::Stalled);
        assert!(dropped.await.is_err());
    }
}
