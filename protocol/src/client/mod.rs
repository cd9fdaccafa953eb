//! The typed client.
//!
//! A [`Client`] is a cheap handle; its clones share one connection, over which requests and event streams run
//! side by side. A pending call or a stream that is dropped is cancelled at the daemon.

mod connection;
mod error;
mod stream;

use std::{convert::Infallible, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader},
    net::UnixStream,
    time::timeout,
};

use self::connection::Link;
pub use self::{error::ClientError, stream::EventStream};
use crate::{
    Reply, Request,
    frame::{FrameReader, MAX_OUT},
    handshake::{self, Daemon, MAX_HANDSHAKE},
    operation::{Call, Follow},
};

/// How long the daemon may take for the handshake, in seconds.
const HANDSHAKE_SECONDS: u64 = 10;

/// How long the daemon may take to finish a frame it has begun.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the daemon. Clones share it; it is closed when the last clone, pending call and stream
/// is gone. It does not reconnect.
#[derive(Clone)]
pub struct Client {
    link: Arc<Link>,
    daemon: Arc<Daemon>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("daemon", &self.daemon).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the control socket at `path`. `name` is the caller's software name and version
    /// (`aivonx 0.1.0`), for the daemon's log.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Denied`], [`ClientError::Version`], or
    /// [`ClientError::Fault`] if the daemon has no room for another connection.
    pub async fn connect(path: &Path, name: &str) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).await.map_err(|e| ClientError::connecting(path, &e))?;
        let (reader, writer) = stream.into_split();
        Self::over(reader, writer, name).await
    }

    /// Talks over a connection that is already there.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn over<R, W>(reader: R, mut writer: W, name: &str) -> Result<Self, ClientError>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let mut reader = FrameReader::new(BufReader::new(reader), MAX_HANDSHAKE, Some(FRAME_TIMEOUT));
        let greeting = handshake::greet(&mut reader, &mut writer, name);
        let daemon = timeout(Duration::from_secs(HANDSHAKE_SECONDS), greeting)
            .await
            .map_err(|_| ClientError::silent(HANDSHAKE_SECONDS))??;
        reader.set_cap(MAX_OUT);
        Ok(Self { link: Link::start(reader, writer), daemon: Arc::new(daemon) })
    }

    /// Who answered the handshake.
    #[must_use]
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Asks for something and waits for the answer.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn ask<O: Call>(&self, operation: O) -> Result<O::Answer<Infallible>, ClientError> {
        let reply = self.call(operation.into()).await?;
        O::take(reply).map_err(|other| ClientError::unexpected(O::NAME, other.name()))
    }

    /// Asks for events, which come until the stream is dropped or ends. A refusal comes as its first step.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub async fn follow<O: Follow>(&self, operation: O) -> Result<EventStream, ClientError> {
        self.stream(operation.into()).await
    }

    /// Any request that is answered once, for those who do not know which it is.
    ///
    /// # Errors
    /// [`ClientError::Fault`] if the daemon refuses or fails, [`ClientError::Closed`] if the connection ends
    /// first, [`ClientError::Protocol`] if the request is beyond the frame cap or the answer makes no sense.
    pub async fn call(&self, request: Request) -> Result<Reply, ClientError> {
        self.link.call(request.sent()).await
    }

    /// Any request that is answered with events.
    ///
    /// # Errors
    /// [`ClientError::Closed`] or [`ClientError::Protocol`].
    pub async fn stream(&self, request: Request) -> Result<EventStream, ClientError> {
        let (events, in_flight) = self.link.stream(request.sent()).await?;
        Ok(EventStream::new(events, in_flight))
    }
}
