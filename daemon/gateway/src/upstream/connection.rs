//! One connection to a node and the answer that comes over it.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use aivonx_fleet::{Endpoint, Node, dial::NodeStream};
use aivonx_wire::api::Pieces;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::{
    Outgoing, SendError, Upstream,
    framing::Framing,
    head::{self, Head, Interim},
};
use crate::places::NodePlace;

/// Bytes asked of the socket at first: most answers, and every token of a stream, fit.
const LEAST: usize = 16 << 10;

/// Bytes asked of the socket at once by an answer that keeps coming.
const MOST: usize = 64 << 10;

thread_local! {
    /// Where heads are written. Taken while one is under way, which is for as long as a node does not take it.
    static HEAD_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };

    /// Where a thread's reads land first, to be copied into memory of the right size. The copy is of a few hundred
    /// bytes mostly; room made for what may come, and given back, costs several times as much.
    pub(crate) static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; LEAST].into());
}

/// A body up to this size is copied behind the head: one plain write is cheaper than a vectored one.
const SMALL: usize = 4 << 10;

/// Room for a head that is kept for the next.
const HEAD_BUFFER_MAX: usize = 16 << 10;

/// Segments handed to the kernel at once.
const SLICES: usize = 16;

/// Bytes of a body after which others of the thread have their turn.
const TURN: usize = 1 << 20;

/// A connection. Between answers it owns no buffer; dropping it closes it.
pub(super) struct Connection {
    stream: NodeStream,
    buffer: BytesMut,
    /// Bytes asked of the socket next: [`LEAST`], or [`MOST`] while so many come.
    want: usize,
    pub(super) reused: bool,
    _place: NodePlace,
}

impl Connection {
    pub(super) fn new(stream: NodeStream, place: NodePlace) -> Self {
        Self { stream, buffer: BytesMut::new(), want: LEAST, reused: false, _place: place }
    }

    /// Whether nothing has come over the idle connection: neither its end nor an answer nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        if let NodeStream::Plain(tcp) = &self.stream {
            return self.buffer.is_empty()
                && matches!(tcp.try_read(&mut byte), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        }
        let mut probe = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        self.buffer.is_empty() && Pin::new(&mut self.stream).poll_read(&mut cx, &mut probe).is_pending()
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        request: &Outgoing<'_>,
        endpoint: &Endpoint,
    ) -> Result<Head, SendError> {
        let mut head = HEAD_BUFFER.take();
        head.clear();
        head::write(request, endpoint, &mut head);
        let mut body = request.body;
        if body.iter().map(Bytes::len).sum::<usize>() <= SMALL {
            body.iter().for_each(|segment| head.extend_from_slice(segment));
            body = &[];
        }
        let interim = Interim::new(request.socket.is_some());
        let mut sending = Sending { head, of_head: 0, body, next: 0, sent: 0, failed: None, interim };
        std::future::poll_fn(|cx| self.poll_exchange(cx, &mut sending)).await
    }

    /// Writes and reads at once: a node may answer, or refuse, before it has read the whole body.
    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending<'_>,
    ) -> Poll<Result<Head, SendError>> {
        if sending.failed.is_none() {
            sending.failed = sending.poll_all(cx, &mut self.stream).err();
        }
        loop {
            let early = !sending.is_over();
            match head::read(&mut self.buffer, &mut sending.interim) {
                Ok(Some(mut head)) => {
                    head.keep &= !early && sending.failed.is_none();
                    return Poll::Ready(Ok(head));
                }
                Ok(None) => {}
                Err(what) => return Poll::Ready(Err(SendError::Garbage(what))),
            }
            let reused = self.reused && self.buffer.is_empty();
            // An answer that came before the connection broke is still to be read. It may be a moment until the
            // runtime has noticed that there is something: a broken connection always becomes readable.
            match ready!(self.poll_read(cx)) {
                Ok(0) => {
                    return Poll::Ready(Err(match sending.failed.take() {
                        None => SendError::Closed { reused },
                        Some(source) => SendError::Died { reused, source },
                    }));
                }
                Ok(_) => {}
                Err(source) => return Poll::Ready(Err(SendError::Died { reused, source })),
            }
        }
    }

    /// Reads what there is into the buffer, which is only allocated when there is something.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.want == MOST
            && let NodeStream::Plain(tcp) = &mut self.stream
        {
            ready!(tcp.poll_read_ready(cx))?;
            self.buffer.reserve(MOST);
            // Unlike `try_read_buf` this notes when the socket is drained, which saves a system call per answer.
            let polled = poll_read_buf(Pin::new(tcp), cx, &mut self.buffer);
            match polled {
                Poll::Pending => release(&mut self.buffer),
                Poll::Ready(Ok(n)) if n < LEAST => self.want = LEAST,
                Poll::Ready(_) => {}
            }
            return polled;
        }
        READ_BUFFER.with_borrow_mut(|room| {
            let mut read = ReadBuf::new(room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let filled = read.filled();
            if filled.len() == LEAST {
                self.want = MOST;
            }
            self.buffer.extend_from_slice(filled);
            Poll::Ready(Ok(filled.len()))
        })
    }
}

/// Gives an empty buffer back: an idle stream holds no memory for what has not come.
fn release(buffer: &mut BytesMut) {
    if buffer.is_empty() {
        *buffer = BytesMut::new();
    }
}

/// How far a request has been written.
struct Sending<'a> {
    /// Given back as soon as it is written: the wait for the answer is long.
    head: Vec<u8>,
    /// Bytes of it written.
    of_head: usize,
    body: &'a [Bytes],
    /// First segment not wholly written.
    next: usize,
    /// Bytes of that segment written.
    sent: usize,
    /// Why nothing more can be written.
    failed: Option<io::Error>,
    interim: Interim,
}

impl Sending<'_> {
    fn is_over(&self) -> bool {
        self.head.is_empty() && self.next == self.body.len()
    }

    /// Writes as much as the connection takes at this turn.
    fn poll_all(&mut self, cx: &mut Context<'_>, stream: &mut NodeStream) -> io::Result<()> {
        let mut written = 0;
        while !self.is_over() {
            if written >= TURN {
                // A node that takes it as fast as it comes must not keep others waiting.
                cx.waker().wake_by_ref();
                return Ok(());
            }
            match self.poll_some(cx, stream) {
                Poll::Ready(n) => written += n?,
                Poll::Pending => return Ok(()),
            }
        }
        match Pin::new(stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes once. Returns how much.
    fn poll_some(&mut self, cx: &mut Context<'_>, stream: &mut NodeStream) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        if !self.head.is_empty() {
            slices[0] = IoSlice::new(&self.head[self.of_head..]);
            count = 1;
        }
        for (at, segment) in self.body.iter().enumerate().skip(self.next).take(SLICES - count) {
            let from = if at == self.next { self.sent } else { 0 };
            slices[count] = IoSlice::new(&segment[from..]);
            count += 1;
        }
        let written = match &slices[..count] {
            [only] => ready!(Pin::new(stream).poll_write(cx, only))?,
            several => ready!(Pin::new(stream).poll_write_vectored(cx, several))?,
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, mut written: usize) {
        let of_head = written.min(self.head.len() - self.of_head);
        self.of_head += of_head;
        written -= of_head;
        if self.of_head == self.head.len() {
            let head = std::mem::take(&mut self.head);
            if head.capacity() <= HEAD_BUFFER_MAX {
                HEAD_BUFFER.set(head);
            }
            self.of_head = 0;
        }
        while let Some(segment) = self.body.get(self.next) {
            let left = segment.len() - self.sent;
            if written < left {
                self.sent += written;
                return;
            }
            written -= left;
            self.next += 1;
            self.sent = 0;
        }
    }
}

/// A connection over which HTTP is spoken no more.
pub(crate) struct Switched {
    pub(crate) stream: NodeStream,
    /// What came with the head.
    pub(crate) ahead: Bytes,
    _place: NodePlace,
}

/// A node's answer, piece by piece. Dropped before its end, it closes the connection.
pub(crate) struct NodeBody {
    connection: Option<Connection>,
    /// What was read before anybody was to have it.
    ahead: Pieces,
    framing: Framing,
    keep: bool,
    /// The whole length, if the node gave it.
    length: Option<u64>,
}

impl NodeBody {
    pub(super) fn new(connection: Connection, framing: Framing, keep: bool) -> Self {
        let length = if let Framing::Length(length) = framing { Some(length) } else { None };
        Self { connection: Some(connection), ahead: Pieces::default(), framing, keep, length }
    }

    /// A body that was read, over no connection.
    #[cfg(test)]
    pub(crate) fn read() -> Self {
        Self {
            connection: None,
            ahead: Pieces::default(),
            framing: Framing::Length(0),
            keep: false,
            length: None,
        }
    }

    /// Reads one more piece, which stays for [`NodeBody::poll_chunk`] to give. None at the end.
    pub(crate) async fn read_ahead(&mut self) -> Option<io::Result<Bytes>> {
        let piece = std::future::poll_fn(|cx| self.poll_connection(cx)).await?;
        if let Ok(piece) = &piece {
            self.ahead.push(piece.clone());
        }
        Some(piece)
    }

    /// What was read ahead.
    pub(crate) fn ahead(&self) -> impl Iterator<Item = &Bytes> {
        self.ahead.iter()
    }

    /// The next piece, or None at the end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self.ahead.pop(usize::MAX) {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None => self.poll_connection(cx),
        }
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        loop {
            if self.framing.is_over() {
                return Poll::Ready(None);
            }
            match self.framing.take(&mut connection.buffer) {
                Ok(Some(data)) => {
                    release(&mut connection.buffer);
                    return Poll::Ready(Some(Ok(data)));
                }
                Ok(None) => {}
                Err(what) => return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::InvalidData, what)))),
            }
            if self.framing.is_over() {
                return Poll::Ready(None);
            }
            match ready!(connection.poll_read(cx)) {
                Ok(0) if self.framing == Framing::UntilClose => {
                    self.framing = Framing::Length(0);
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(e) => return Poll::Ready(Some(Err(e))),
            }
        }
    }

    /// The connection, of a node that has switched protocols.
    pub(crate) fn switch(self) -> Option<Switched> {
        self.connection.map(|Connection { stream, buffer, _place, .. }| Switched {
            stream,
            ahead: buffer.freeze(),
            _place,
        })
    }

    /// Whether everything has been read and given.
    pub(crate) fn is_over(&self) -> bool {
        self.framing.is_over() && self.ahead.is_empty()
    }

    /// Whether everything came over the connection.
    pub(crate) fn has_come(&self) -> bool {
        self.framing.is_over()
    }

    /// The whole length, if the node gave it.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Hands the connection to `node` back after the last piece.
    pub(crate) fn recycle(&mut self, upstream: &Upstream, node: &Node, now: u32, most: usize) {
        if let Some(mut connection) = self.connection.take()
            && self.keep
            && self.framing.is_over()
            && connection.buffer.is_empty()
        {
            release(&mut connection.buffer);
            upstream.give(connection, node, now, most);
        }
    }
}
