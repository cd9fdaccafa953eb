//! Frames: a little-endian `u32` length, then that many bytes.
//!
//! The length is checked against the cap before any memory is taken for it, and memory grows with what has
//! arrived, not with what was announced.

use std::{io, time::Duration};

use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

use crate::wire::{self, Payload, WireError};

/// Largest frame a client may send, in bytes without the length.
pub const MAX_IN: usize = 1 << 20;

/// Largest frame the daemon may send, in bytes without the length.
pub const MAX_OUT: usize = 8 << 20;

/// Memory taken at first for a frame that announces more.
const FIRST: usize = 64 << 10;

/// Bytes of the length.
const HEAD: usize = 4;

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer announced a frame beyond the cap.
    #[error("the peer announced a frame of {len} bytes; the most is {cap}")]
    TooLarge {
        /// Announced length in bytes.
        len: u32,
        /// The most there may be.
        cap: usize,
    },
    /// The peer closed the connection inside a frame.
    #[error("the connection ended inside a frame, after {got} of {want} bytes")]
    Truncated {
        /// Bytes that arrived, the length included.
        got: usize,
        /// Bytes there should have been; the length's own four while it is incomplete.
        want: usize,
    },
    /// The peer began a frame and did not finish it in time.
    #[error("the peer began a frame and did not finish it within {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads frames. What has been read of a frame stays in here, so a call to [`next`](Self::next) that is
/// dropped loses nothing.
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: R,
    cap: usize,
    patience: Option<Duration>,
    due: Option<Instant>,
    head: [u8; HEAD],
    head_len: usize,
    want: usize,
    filled: usize,
    body: Payload,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames of up to `cap` bytes from `inner`. A frame once begun must be complete within `patience`;
    /// between frames there is no deadline.
    pub fn new(inner: R, cap: usize, patience: Option<Duration>) -> Self {
        Self {
            inner,
            cap,
            patience,
            due: None,
            head: [0; HEAD],
            head_len: 0,
            want: 0,
            filled: 0,
            body: Payload::default(),
        }
    }

    /// Changes the cap for the frames to come.
    pub fn set_cap(&mut self, cap: usize) {
        self.cap = cap;
    }

    /// Memory held for the frame being read, in bytes.
    pub fn reserved(&self) -> usize {
        self.body.capacity()
    }

    /// The next frame, or None if the peer closed the connection between two frames.
    ///
    /// # Errors
    /// See [`FrameError`]; after one, the connection cannot be used any more.
    pub async fn next(&mut self) -> Result<Option<Payload>, FrameError> {
        loop {
            if self.head_len == HEAD && self.filled == self.want {
                self.head_len = 0;
                self.filled = 0;
                self.want = 0;
                self.due = None;
                return Ok(Some(std::mem::take(&mut self.body)));
            }
            let in_head = self.head_len < HEAD;
            let room = if in_head {
                &mut self.head[self.head_len..]
            } else {
                grow(&mut self.body, self.filled, self.want);
                &mut self.body[self.filled..]
            };
            let read = self.inner.read(room);
            let got = match (self.due, self.patience) {
                (Some(due), Some(patience)) => {
                    timeout_at(due, read).await.map_err(|_| FrameError::Stalled(patience))??
                }
                _ => read.await?,
            };
            match got {
                0 if self.head_len == 0 => return Ok(None),
                0 => {
                    let want = if in_head { HEAD } else { HEAD + self.want };
                    return Err(FrameError::Truncated { got: self.head_len + self.filled, want });
                }
                got if in_head => self.took_head(got)?,
                got => self.filled += got,
            }
        }
    }

    fn took_head(&mut self, got: usize) -> Result<(), FrameError> {
        if self.head_len == 0 {
            self.due = self.patience.map(|p| Instant::now() + p);
        }
        self.head_len += got;
        if self.head_len == HEAD {
            let len = u32::from_le_bytes(self.head);
            match usize::try_from(len) {
                Ok(want) if want <= self.cap => self.want = want,
                _ => return Err(FrameError::TooLarge { len, cap: self.cap }),
            }
        }
        Ok(())
    }
}

/// Makes room in `body` beyond `filled`, doubling up to exactly `want`. The old memory is cleared.
fn grow(body: &mut Payload, filled: usize, want: usize) {
    if filled < body.len() {
        return;
    }
    let size = want.min((filled * 2).max(FIRST));
    let mut larger = Zeroizing::new(vec![0; size]);
    larger[..filled].copy_from_slice(&body[..filled]);
    *body = larger;
}

/// Makes a whole frame, length first, of `value`.
///
/// # Errors
/// [`WireError::TooLarge`] if the value takes more than `cap` bytes.
pub fn seal<T: Serialize>(value: &T, cap: usize) -> Result<Payload, WireError> {
    let mut frame = wire::encode(value, HEAD, cap)?;
    put_length(&mut frame)?;
    Ok(frame)
}

/// Makes a whole frame, length first, of bytes that are already encoded.
///
/// # Errors
/// [`WireError::TooLarge`] if there are more than a `u32` can count.
pub fn seal_bytes(bytes: &[u8]) -> Result<Payload, WireError> {
    let mut frame = Zeroizing::new(Vec::with_capacity(HEAD + bytes.len()));
    frame.extend_from_slice(&[0; HEAD]);
    frame.extend_from_slice(bytes);
    put_length(&mut frame)?;
    Ok(frame)
}

fn put_length(frame: &mut Payload) -> Result<(), WireError> {
    let size = frame.len() - HEAD;
    let len = u32::try_from(size).map_err(|_| WireError::TooLarge { size, cap: MAX_OUT })?;
    frame[..HEAD].copy_from_slice(&len.to_le_bytes());
    Ok(())
}

/// Writes a frame made by [`seal`].
///
/// # Errors
/// What the writer reports.
pub async fn write<W: AsyncWrite + Unpin>(writer: &mut W, frame: &[u8]) -> io::Result<()> {
    writer.write_all(frame).await?;
    writer.flush().await
}
