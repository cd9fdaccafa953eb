//! The answers that hyper makes itself, to heads that it cannot read (400, 414, 431): what stands on every answer is
//! added to them on their way out, for hyper cannot be told to. What comes in is looked at for heads that hyper takes and
//! should not.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{conn::ConnContext, framed::Framed};

/// The end of a head.
const END: &[u8] = b"\r\n\r\n";

/// A connection with HTTP/1.
pub(super) struct Dressed<S> {
    stream: S,
    cx: Rc<ConnContext>,
    /// What is not written yet of a head that was added to.
    rest: Vec<u8>,
    framed: Framed,
}

impl<S: AsyncWrite + Unpin> Dressed<S> {
    pub(super) fn new(stream: S, cx: Rc<ConnContext>) -> Self {
        Self { stream, cx, rest: Vec::new(), framed: Framed::default() }
    }

    /// The connection, once it is no longer HTTP.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn write_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => drop(self.rest.drain(..taken)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether `bytes` are an answer of hyper's own. All that was answered before is written, and nothing was asked
    /// since: whatever comes then is none of ours, and it comes in one piece.
    fn dress(&mut self, bytes: &[u8]) -> bool {
        if !self.cx.state.is_quiet() || !bytes.starts_with(b"HTTP/1.") {
            return false;
        }
        let Some(head) = bytes.strip_suffix(END) else { return false };
        self.rest = head.to_vec();
        self.rest.extend_from_slice(b"\r\n");
        self.cx.worker.settings().browsers.write(self.cx.https, &mut self.rest);
        self.rest.extend_from_slice(b"\r\n");
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Dressed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.cx.state.heard(&buf.filled()[before..], this.cx.worker.now());
        // Before hyper reads it, which then has a request answered or refuses it itself.
        if this.framed.is_in_doubt(&buf.filled()[before..]) {
            this.cx.state.doubt();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Dressed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.write_rest(cx))?;
        match bufs {
            [first, ..] if this.dress(first) => {
                // What the client does not take now it takes at the flush that follows.
                if let Poll::Ready(written) = this.write_rest(cx) {
                    written?;
                }
                Poll::Ready(Ok(first.len()))
            }
            [one] => Pin::new(&mut this.stream).poll_write(cx, one),
            _ => Pin::new(&mut this.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.write_rest(cx))?;
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        this.cx.state.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.write_rest(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
