//! One connection to the control socket: handshake, then requests and streams side by side.
//!
//! | bound | value |
//! |---|---|
//! | handshake | [`HANDSHAKE`] |
//! | without a login | [`STRANGER`] |
//! | a frame, once begun | [`FRAME`] |
//! | a frame to a peer that does not read | [`WRITE`] |
//! | requests and streams in flight | `MAX_IN_FLIGHT` |
//! | frames waiting to be written | [`OUTBOX`] |
//!
//! An idle connection on which somebody has logged in may stay.

use std::{io, pin::pin, sync::Arc, time::Duration};

use aivonx_protocol::{
    ClientFrame, Fault, FaultKind, ServerFrame, Untrusted,
    frame::{self, FrameError, FrameReader, MAX_IN},
    handshake::{self, Answer, HandshakeError, MAX_HANDSHAKE},
    wire::{self, Payload},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    Backend,
    access::{self, AccessRule, Peer, Standing},
    connection::Connection,
    flight::Flight,
    throttle::Throttle,
};

/// For the whole handshake.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(5);
/// For a request, of a connection that needs a login and has none (any more), and is neither root's nor ours.
pub(super) const STRANGER: Duration = Duration::from_secs(60);
/// For a frame once begun.
pub(super) const FRAME: Duration = Duration::from_secs(10);
/// For writing one frame.
pub(super) const WRITE: Duration = Duration::from_secs(10);
/// What a refusal costs the refused, so that nobody floods the log with them.
const REFUSED: Duration = Duration::from_millis(100);
/// Frames waiting to be written.
const OUTBOX: usize = 8;

/// The daemon's software name and version, as the handshake says it.
pub(super) const SOFTWARE: &str = concat!("aivonxd ", env!("CARGO_PKG_VERSION"));

/// Positions of `ClientFrame::Cancel` and `ClientFrame::Grant`.
const CANCEL_AND_GRANT: std::ops::RangeInclusive<u32> = 1..=2;

/// What every session shares.
pub(super) struct Common<S> {
    pub(super) serve: Arc<S>,
    pub(super) rule: AccessRule,
    pub(super) daemon_id: String,
    /// Becomes true when the daemon stops.
    pub(super) stop: watch::Receiver<bool>,
    pub(super) throttle: Arc<Throttle>,
}

impl<S> Clone for Common<S> {
    fn clone(&self) -> Self {
        Self {
            serve: self.serve.clone(),
            rule: self.rule,
            daemon_id: self.daemon_id.clone(),
            stop: self.stop.clone(),
            throttle: self.throttle.clone(),
        }
    }
}

/// Why a session ended otherwise than by the peer closing it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    #[error("the handshake took longer than {} s", HANDSHAKE.as_secs())]
    HandshakeLate,
    #[error("nobody logged in within {} s", STRANGER.as_secs())]
    Stranger,
    #[error("nobody had logged in, and it gave way to a newer one")]
    GaveWay,
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("a message cannot be read: {0}")]
    Unreadable(String),
    #[error("request id {0} is in use already")]
    IdInUse(u64),
    #[error("the peer does not read")]
    NotReading,
    #[error("writing failed: {0}")]
    Write(io::Error),
}

/// Runs one connection to its end: the peer closes it, breaks the rules, or the daemon stops.
pub(super) async fn run<S, R, W>(
    common: Common<S>,
    connection: Connection,
    reader: R,
    mut writer: W,
) -> Result<(), SessionError>
where
    S: Backend,
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let connection = Arc::new(connection);
    let peer = *connection.peer();
    let mut reader = FrameReader::new(reader, MAX_HANDSHAKE, Some(FRAME));
    let hello = timeout(HANDSHAKE, shake_hands(&common, &peer, &mut reader, &mut writer))
        .await
        .map_err(|_| SessionError::HandshakeLate)??;
    if let Some(suppressed) = common.throttle.line(common.rule.trusts(&peer)) {
        tracing::debug!(
            uid = peer.uid,
            pid = peer.pid,
            event = "control_connected",
            suppressed,
            "{} connected",
            Untrusted::new(&hello.client)
        );
    }
    reader.set_cap(MAX_IN);
    let (outbox, inbox) = mpsc::channel(OUTBOX);
    let flight = Flight::new(outbox, connection.clone(), common.rule, common.stop.clone());
    let mut writing = Box::pin(write(writer, inbox));
    let (ended, written) = tokio::select! {
        ended = read(&common, &connection, &mut reader, &flight) => (ended, false),
        ended = &mut writing => (ended, true),
    };
    if written || ended.is_err() {
        drop(writing);
        flight.close(false).await;
        return ended;
    }
    let stopping = *common.stop.borrow();
    // What is still to be said is said, as long as the peer takes it.
    tokio::select! {
        biased;
        ended = &mut writing => ended,
        settled = flight.close(stopping) => if settled { writing.await } else { Ok(()) },
    }
}

async fn shake_hands<S, R, W>(
    common: &Common<S>,
    peer: &Peer,
    reader: &mut FrameReader<R>,
    writer: &mut W,
) -> Result<handshake::Hello, HandshakeError>
where
    S: Backend,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    match handshake::receive(reader, SOFTWARE).await {
        Ok(hello) => {
            let login = common.rule.login(peer, common.serve.is_set_up());
            let ready = Answer::Ready { daemon_id: common.daemon_id.clone(), login };
            handshake::answer(writer, SOFTWARE, &ready).await?;
            Ok(hello)
        }
        Err(error) => {
            if let Some(refusal) = handshake::refusal_for(&error) {
                // The peer's own end says more to it than ours could to us.
                let _ = handshake::answer(writer, SOFTWARE, &refusal).await;
            }
            Err(error)
        }
    }
}

async fn read<S: Backend, R: AsyncRead + Unpin>(
    common: &Common<S>,
    connection: &Arc<Connection>,
    reader: &mut FrameReader<R>,
    flight: &Flight,
) -> Result<(), SessionError> {
    let peer = connection.peer();
    let mut stop = common.stop.clone();
    let mut changes = common.serve.changes();
    loop {
        let mut next = pin!(reader.next());
        let mut late = pin!(sleep(STRANGER));
        let payload = loop {
            tokio::select! {
                payload = &mut next => match payload {
                    Err(FrameError::Io(e)) if left(&e) => return Ok(()),
                    payload => break payload?,
                },
                // An error means that the one who could stop us is gone, which is a stop too.
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                Ok(()) = changes.changed() => if ended(common, connection) {
                    connection.forsake();
                },
                () = &mut late => {
                    if flight.is_empty() && is_strange(common, connection) {
                        return Err(SessionError::Stranger);
                    }
                    late.as_mut().reset(Instant::now() + STRANGER);
                },
            }
        };
        let Some(payload) = payload else { return Ok(()) };
        match wire::decode::<ClientFrame, MAX_IN>(&payload) {
            Ok(ClientFrame::Call { id, request }) => {
                if flight.holds(id) {
                    return Err(SessionError::IdInUse(id));
                }
                let name = request.name();
                // Anew for every request: the session may have ended, the user may have lost the role.
                let standing = common.serve.standing(peer, connection.session());
                let set_up = common.serve.is_set_up();
                let checked = access::check(&common.rule, set_up, connection, &standing, request);
                let placed = match &standing {
                    Standing::User(actor, _) if checked.is_ok() => connection.regain(actor),
                    _ => Ok(()),
                };
                match placed.and(checked) {
                    Ok(permitted) => flight.begin(&common.serve, id, permitted).await,
                    Err(fault) => {
                        let denied = fault.kind == FaultKind::NotPermitted;
                        if let Standing::User(actor, _) = &standing
                            && denied
                        {
                            common.serve.refused(actor, name);
                        }
                        if denied && let Some(suppressed) = common.throttle.line(false) {
                            tracing::warn!(
                                uid = peer.uid,
                                pid = peer.pid,
                                event = "control_refused",
                                suppressed,
                                "{peer} may not use {name}"
                            );
                        }
                        sleep(REFUSED).await;
                        flight.reply(ServerFrame::Reply { id, result: Err(fault) }).await;
                    }
                }
            }
            Ok(ClientFrame::Cancel { id }) => flight.cancel(id).await,
            Ok(ClientFrame::Grant { id, events }) => flight.grant(id, events),
            Err(error) => match wire::frame_head(&payload) {
                Some((variant, id)) if !CANCEL_AND_GRANT.contains(&variant) && !flight.holds(id) => {
                    flight.reply(ServerFrame::Reply { id, result: Err(unknown(&error)) }).await;
                }
                _ => return Err(SessionError::Unreadable(error.to_string())),
            },
        }
    }
}

/// Whether somebody had logged in and it is over.
fn ended<S: Backend>(common: &Common<S>, connection: &Connection) -> bool {
    connection.session().is_some_and(|session| !common.serve.stands(connection.peer(), &session))
}

/// Whether it needs a login and has none, or one that is over. Root takes nobody's place while it thinks of a password.
fn is_strange<S: Backend>(common: &Common<S>, connection: &Connection) -> bool {
    match connection.session() {
        _ if common.rule.trusts(connection.peer()) => false,
        Some(_) => ended(common, connection),
        None => !common.rule.is_superadmin(connection.peer(), common.serve.is_set_up()),
    }
}

/// To a request that a later version may have.
fn unknown(error: &wire::WireError) -> Fault {
    let message = format!("{SOFTWARE} does not know this request ({error})");
    Fault::new(FaultKind::Unsupported, message).hint("Install aivonx and aivonxd from the same version.")
}

/// Whether the peer simply went, with something of ours unread.
fn left(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Writes frames until all senders are gone, or the peer is.
async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut inbox: mpsc::Receiver<Payload>,
) -> Result<(), SessionError> {
    while let Some(frame) = inbox.recv().await {
        match timeout(WRITE, frame::write(&mut writer, &frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) if left(&e) => return Ok(()),
            Ok(Err(e)) => return Err(SessionError::Write(e)),
            Err(_) => return Err(SessionError::NotReading),
        }
    }
    // A failure has nobody left to report it to.
    let _ = timeout(WRITE, writer.shutdown()).await;
    Ok(())
}
