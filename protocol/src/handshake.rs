//! The first frame of each side.
//!
//! Both begin with the same fixed bytes in every version, past and to come:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the magic `aivonx\r\n` |
//! | 2 | protocol version, little endian |
//! | 1 | length of the following text |
//! | n | software name and version, UTF-8 |
//!
//! What follows belongs to the version named: in version 1 nothing from the client, an [`Answer`] from the
//! daemon. So two peers of different versions can always name their versions to each other.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    Fault, FaultKind, PROTOCOL_VERSION, Untrusted,
    frame::{self, FrameError, FrameReader},
    wire::{self, WireError},
};

/// The bytes every handshake begins with. The line end spoils a transfer that rewrites line ends.
pub const MAGIC: [u8; 8] = *b"aivonx\r\n";

/// Largest handshake frame, in bytes.
pub const MAX_HANDSHAKE: usize = 4096;

const TEXT: usize = MAGIC.len() + 2 + 1;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer speaks something else.
    #[error("the peer does not speak the aivonx control protocol: {0}")]
    Foreign(String),
    /// The peer speaks another version of the protocol.
    #[error(
        "{} speaks version {theirs} of the control protocol, {ours_name} speaks version {ours}",
        Untrusted::new(peer)
    )]
    Version {
        /// Protocol version of this side.
        ours: u16,
        /// Software name and version of this side.
        ours_name: String,
        /// Protocol version of the peer.
        theirs: u16,
        /// Software name and version of the peer.
        peer: String,
    },
    /// The daemon refused the connection.
    #[error("{0}")]
    Refused(Fault),
    /// The peer closed the connection.
    #[error("the connection was closed during the handshake")]
    Closed,
    /// The connection failed, or the frame is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// What the client says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Software name and version (`aivonx 0.1.0`). Untrusted text, at most 255 bytes.
    pub client: String,
}

/// How a client has to prove who it is. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Login {
    /// Not at all: the peer credentials of the socket decide.
    NotNeeded,
    /// There is no administrator yet: `Account::Setup` makes the first.
    Setup,
    /// With `Account::Login` or `Account::Resume`, for everything but the status.
    Needed,
}

/// The daemon's answer to a hello of its own version. Append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The session begins.
    Ready {
        /// Identity of the installation, kept in its store.
        daemon_id: String,
        /// What login is needed.
        login: Login,
    },
    /// No session; the connection is closed.
    Refused(Fault),
}

/// The daemon, as its answer describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Software name and version (`aivonxd 0.1.0`). Untrusted text, at most 255 bytes.
    pub version: String,
    /// Identity of the installation.
    pub id: String,
    /// What login is needed.
    pub login: Login,
}

/// Sends the client's hello and reads the daemon's answer. `client` is software name and version.
///
/// # Errors
/// See [`HandshakeError`].
pub async fn greet<R, W>(
    reader: &mut FrameReader<R>,
    writer: &mut W,
    client: &str,
) -> Result<Daemon, HandshakeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    // A daemon that is full answers and closes before it reads: a failed write must not hide its answer.
    let sent = send(writer, hello(client)).await;
    let payload = match reader.next().await {
        Ok(Some(payload)) => payload,
        Ok(None) => return sent.and(Err(HandshakeError::Closed)),
        Err(e) => return sent.and(Err(e.into())),
    };
    read_answer(&payload, client)
}

/// The client's first payload.
#[must_use]
pub fn hello(client: &str) -> Vec<u8> {
    prefix(PROTOCOL_VERSION, client)
}

/// Reads a client's hello. A hello of another version is [`HandshakeError::Version`]: answer it all the
/// same, with [`refusal_for`], so that the client can say so.
///
/// # Errors
/// See [`HandshakeError`].
pub async fn receive<R: AsyncRead + Unpin>(
    reader: &mut FrameReader<R>,
    daemon: &str,
) -> Result<Hello, HandshakeError> {
    let payload = reader.next().await?.ok_or(HandshakeError::Closed)?;
    let (theirs, client, rest) = split(&payload)?;
    same_version(theirs, &client, daemon)?;
    if !rest.is_empty() {
        return Err(HandshakeError::Foreign(WireError::Trailing(rest.len()).to_string()));
    }
    Ok(Hello { client })
}

/// Sends the daemon's answer. `daemon` is software name and version.
///
/// # Errors
/// [`HandshakeError::Frame`] if the connection fails.
pub async fn answer<W: AsyncWrite + Unpin>(
    writer: &mut W,
    daemon: &str,
    answer: &Answer,
) -> Result<(), HandshakeError> {
    send(writer, answer_bytes(daemon, answer)?).await
}

/// The daemon's answer as a payload.
///
/// # Errors
/// [`HandshakeError::Foreign`] if it does not fit [`MAX_HANDSHAKE`].
pub fn answer_bytes(daemon: &str, answer: &Answer) -> Result<Vec<u8>, HandshakeError> {
    let mut bytes = prefix(PROTOCOL_VERSION, daemon);
    let body = wire::encode(answer, 0, MAX_HANDSHAKE - bytes.len())
        .map_err(|e| HandshakeError::Foreign(e.to_string()))?;
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// The refusal to send for a hello that was not accepted; None if the peer does not speak this protocol or is gone.
#[must_use]
pub fn refusal_for(error: &HandshakeError) -> Option<Answer> {
    match error {
        HandshakeError::Version { .. } => {
            Some(Answer::Refused(Fault::new(FaultKind::Unsupported, error.to_string())))
        }
        HandshakeError::Refused(fault) => Some(Answer::Refused(fault.clone())),
        HandshakeError::Foreign(_) | HandshakeError::Closed | HandshakeError::Frame(_) => None,
    }
}

/// Reads the payload of a daemon's answer.
///
/// # Errors
/// See [`HandshakeError`].
pub fn read_answer(payload: &[u8], client: &str) -> Result<Daemon, HandshakeError> {
    let (theirs, version, rest) = split(payload)?;
    same_version(theirs, &version, client)?;
    match wire::decode::<Answer, MAX_HANDSHAKE>(rest) {
        Ok(Answer::Ready { daemon_id, login }) => Ok(Daemon { version, id: daemon_id, login }),
        Ok(Answer::Refused(fault)) => Err(HandshakeError::Refused(fault)),
        Err(e) => Err(HandshakeError::Foreign(e.to_string())),
    }
}

fn same_version(theirs: u16, peer: &str, ours_name: &str) -> Result<(), HandshakeError> {
    if theirs == PROTOCOL_VERSION {
        return Ok(());
    }
    Err(HandshakeError::Version {
        ours: PROTOCOL_VERSION,
        ours_name: ours_name.to_owned(),
        theirs,
        peer: peer.to_owned(),
    })
}

async fn send<W: AsyncWrite + Unpin>(writer: &mut W, payload: Vec<u8>) -> Result<(), HandshakeError> {
    let frame = frame::seal_bytes(&payload).map_err(|e| HandshakeError::Foreign(e.to_string()))?;
    frame::write(writer, &frame).await.map_err(FrameError::Io)?;
    Ok(())
}

/// The fixed bytes. A name beyond 255 bytes is cut at a character.
fn prefix(version: u16, name: &str) -> Vec<u8> {
    let mut end = name.len().min(usize::from(u8::MAX));
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = &name[..end];
    let mut bytes = Vec::with_capacity(TEXT + name.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

/// Takes the fixed bytes apart: version, name, what follows.
fn split(payload: &[u8]) -> Result<(u16, String, &[u8]), HandshakeError> {
    let foreign = |why: &str| HandshakeError::Foreign(why.to_owned());
    let rest = payload.strip_prefix(&MAGIC).ok_or_else(|| foreign("its first bytes are others"))?;
    let [low, high, len, rest @ ..] = rest else {
        return Err(foreign("its first message is too short"));
    };
    let (name, rest) = rest
        .split_at_checked(usize::from(*len))
        .ok_or_else(|| foreign("its first message ends inside its name"))?;
    let name = std::str::from_utf8(name).map_err(|_| foreign("its name is not UTF-8"))?;
    Ok((u16::from_le_bytes([*low, *high]), name.to_owned(), rest))
}
