//! One direction of a session.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use aivonx_wire::api::socket::{Frames, Part, Piece};
use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::end::{End, Side};
use crate::upstream::READ_BUFFER;

/// Reads and writes after which others of the thread have their turn.
const TURN: usize = 64;

/// What one side sends, on its way to the other.
pub(super) struct Half {
    side: Side,
    frames: Frames,
    /// What is to be written.
    out: Bytes,
    /// Its last words are among what was read.
    pub(super) closed: bool,
}

impl Half {
    /// For what `side` sends, of which `ahead` came with its head.
    pub(super) fn new(side: Side, ahead: &[u8]) -> Self {
        let mut frames = Frames::new(side == Side::Client);
        frames.push(ahead);
        Self { side, frames, out: Bytes::new(), closed: false }
    }

    /// Bytes that wait here.
    pub(super) fn held(&self) -> u64 {
        (self.frames.held() + self.out.len()) as u64
    }

    /// What a frame of the gateway's own has to go behind.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.out)
    }

    /// Whether all that the side will say was passed on.
    pub(super) fn is_over(&self) -> bool {
        self.closed && self.out.is_empty()
    }

    /// Passes on what there is. `seen` gets each piece before any of it goes out. Ready when the session cannot go on.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        mut seen: impl FnMut(&Piece) -> Result<(), End>,
    ) -> Poll<End> {
        let other = match self.side {
            Side::Client => Side::Node,
            Side::Node => Side::Client,
        };
        for _ in 0..TURN {
            while !self.out.is_empty() {
                match ready!(Pin::new(&mut *to).poll_write(cx, &self.out)) {
                    Ok(written @ 1..) => self.out.advance(written),
                    Ok(0) | Err(_) => return Poll::Ready(End::Gone(other)),
                }
            }
            if ready!(Pin::new(&mut *to).poll_flush(cx)).is_err() {
                return Poll::Ready(End::Gone(other));
            }
            if self.closed {
                return Poll::Pending;
            }
            match self.frames.take() {
                Ok(Some(piece)) => {
                    if let Err(end) = seen(&piece) {
                        return Poll::Ready(end);
                    }
                    self.closed = piece.part == Part::Close;
                    self.out = piece.raw;
                    continue;
                }
                Ok(None) => {}
                Err(error) => return Poll::Ready(End::Refused(self.side, error)),
            }
            let read = READ_BUFFER.with_borrow_mut(|room| {
                let mut read = ReadBuf::new(room);
                ready!(Pin::new(&mut *from).poll_read(cx, &mut read))?;
                self.frames.push(read.filled());
                Poll::Ready(io::Result::Ok(read.filled().len()))
            });
            if !matches!(ready!(read), Ok(1..)) {
                return Poll::Ready(End::Gone(self.side));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
