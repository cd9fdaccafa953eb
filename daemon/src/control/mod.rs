//! The control socket: where administrators reach the daemon.
//!
//! `socket` makes it, [`serve`] accepts on it within bounds, `session` talks to one peer, `access` decides
//! what it may do, and `handlers` (one file per noun) carry it out.

pub mod access;
mod backend;
mod connection;
mod flight;
mod handlers;
pub(crate) mod isolation;
mod peer;
mod places;
mod session;
pub mod socket;
mod throttle;

#[cfg(test)]
mod tests;

use aivonx_backup::Backups;
use aivonx_config as config;
use aivonx_fleet::Fleet;
use aivonx_gateway::{policy::Policies, pulse::Pulse, running::Board};
use aivonx_identity::{Blocks, Identity};
use aivonx_ledgers::usage::Usage;
use aivonx_limits::pricing::PriceList;
use aivonx_store::{Store, secrets::Secrets};
use aivonx_telemetry::Hub;

use std::{io, sync::Arc, time::Duration};

use aivonx_protocol::{
    Fault, FaultKind, Untrusted,
    daemon::Status,
    frame,
    handshake::{self, Answer as Greeting, HandshakeError},
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use self::{
    access::Peer,
    connection::Connection,
    places::{Places, Room},
    session::{Common, SOFTWARE, SessionError},
};
pub use self::{
    access::{AccessRule, By, Mode, Permission, Permitted},
    socket::{BindError, Bound},
};
pub(crate) use self::{
    backend::{Answer, Backend, Changes, Events},
    handlers::secrets::finish_rotation,
};

use crate::certificates::Certificates;

/// Pause after a failed accept, which is nearly always a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What the handlers work with.
pub struct Services {
    /// Nodes, models, jobs, strategy.
    pub fleet: Arc<Fleet>,
    /// Who may do what: users, organizations, API keys, sessions.
    pub identity: Arc<Identity>,
    /// Who may not use the gateway.
    pub blocks: Arc<Blocks>,
    /// Model policy and aliases.
    pub policies: Arc<Policies>,
    /// Keys and sealed secrets.
    pub secrets: Secrets,
    /// What is kept, for its snapshots.
    pub store: Store,
    /// Backups of all that.
    pub backups: Backups,
    /// Who used what.
    pub usage: Usage,
    /// Prices.
    pub prices: Arc<PriceList>,
    /// What runs on the data plane.
    pub running: Arc<Board>,
    /// Numbers of the last minutes.
    pub pulse: Pulse,
    /// The log in memory.
    pub hub: Hub,
    /// The file configuration in effect.
    pub config: config::Live,
    /// Certificates of the listeners.
    pub(crate) certificates: Certificates,
    /// What the daemon is and does now. Called for every `status`: cheap, and never blocking.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// The check whether organizations are kept apart.
    pub(crate) isolation: isolation::Runner,
    /// Who may do what.
    pub rule: AccessRule,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("rule", &self.rule).finish_non_exhaustive()
    }
}

/// Accepts connections until `stop` becomes true (or its sender goes), then ends the streams, waits a moment
/// for running requests, and removes the socket. If its file is gone when `look` is notified, it is made anew.
///
/// # Errors
/// If the listening socket cannot be handed to the runtime. A failed accept is logged and retried.
pub async fn serve(
    bound: Bound,
    services: Arc<Services>,
    stop: watch::Receiver<bool>,
    look: Arc<Notify>,
) -> io::Result<()> {
    let rule = services.rule;
    let daemon_id = (services.status)().daemon_id;
    accept(bound, Common { serve: services, rule, daemon_id, stop, throttle: Arc::default() }, &look).await
}

async fn accept<S: Backend>(mut bound: Bound, common: Common<S>, look: &Notify) -> io::Result<()> {
    let mut listener = UnixListener::from_std(bound.listener()?)?;
    let places = Arc::<Places>::default();
    let mut sessions = JoinSet::new();
    let mut stop = common.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // What the sessions came to they have logged themselves.
            Some(_) = sessions.join_next() => continue,
            () = look.notified() => {
                if let Some(anew) = bound.made_anew() {
                    match anew.listener().and_then(UnixListener::from_std) {
                        Ok(handle) => (listener, bound) = (handle, anew),
                        Err(error) => tracing::error!(%error, event = "control_made_anew", "the new control socket cannot be used"),
                    }
                }
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Some(admitted) = admit(&common, &places, stream) {
                    sessions.spawn(run(common.clone(), admitted));
                }
            }
            Err(error) => {
                tracing::warn!(%error, event = "control_accept_failed", "the control socket cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    // No new daemon may find the old one's socket answering, and no client wait on it.
    drop(bound);
    while sessions.join_next().await.is_some() {}
    Ok(())
}

/// The socket of a daemon that has not started yet: who connects is told why.
#[derive(Debug)]
pub(crate) struct NotYet(JoinHandle<io::Result<()>>);

impl NotYet {
    /// Makes the socket, and tells `why` on it. Needs a runtime.
    ///
    /// # Errors
    /// As of [`Bound::bind`].
    pub(crate) fn tell(control: &config::Control, why: String) -> Result<Self, BindError> {
        let bound = Bound::bind(control)?;
        Ok(Self(tokio::spawn(async move {
            let listener = UnixListener::from_std(bound.listener()?)?;
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let fault = Fault::new(FaultKind::Unavailable, why.clone());
                        refuse(&stream, fault.hint("It goes on by itself; see the daemon's log."));
                    }
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                }
            }
        })))
    }

    /// Removes the socket. It is gone when this returns.
    pub(crate) async fn end(self) {
        self.0.abort();
        // It was aborted, so its result says nothing.
        let _ = self.0.await;
    }
}

/// A connection with its place, which it gives back at its end.
struct Admitted {
    stream: UnixStream,
    connection: Connection,
    give_way: Arc<Notify>,
}

/// Admits a connection, or answers why not and closes it.
fn admit<S: Backend>(common: &Common<S>, places: &Arc<Places>, stream: UnixStream) -> Option<Admitted> {
    let peer = match Peer::of(&stream) {
        Ok(peer) => peer,
        Err(error) => {
            tracing::warn!(%error, event = "control_refused", "a peer without readable credentials is refused");
            let fault = Fault::new(FaultKind::NotPermitted, "your credentials cannot be read");
            refuse(&stream, fault.hint("Connect from the same machine and user namespace."));
            return None;
        }
    };
    let trusted = common.rule.trusts(&peer);
    let free = common.rule.is_superadmin(&peer, common.serve.is_set_up());
    match places.admit(peer.uid, if trusted { Room::Trusted } else { Room::Others }, free) {
        Ok(place) => {
            let give_way = place.give_way();
            Some(Admitted { stream, connection: Connection::new(peer, Some(place)), give_way })
        }
        Err(full) => {
            if let Some(suppressed) = common.throttle.line(trusted) {
                tracing::warn!(
                    uid = peer.uid,
                    pid = peer.pid,
                    event = "control_full",
                    suppressed,
                    "{peer} found no room on the control socket"
                );
            }
            refuse(&stream, full.into());
            None
        }
    }
}

/// Answers a peer that is not admitted with the reason. The answer is smaller than an empty socket's buffer, so it
/// needs no waiting; a peer that does not get it sees the connection closed.
fn refuse(stream: &UnixStream, fault: Fault) {
    if let Ok(payload) = handshake::answer_bytes(SOFTWARE, &Greeting::Refused(fault))
        && let Ok(frame) = frame::seal_bytes(&payload)
    {
        let _ = stream.try_write(&frame);
    }
}

async fn run<S: Backend>(common: Common<S>, admitted: Admitted) {
    let Admitted { stream, connection, give_way } = admitted;
    let peer = *connection.peer();
    let (throttle, trusted) = (common.throttle.clone(), common.rule.trusts(&peer));
    let (reader, writer) = stream.into_split();
    let ended = tokio::select! {
        ended = session::run(common, connection, reader, writer) => ended,
        () = give_way.notified() => Err(SessionError::GaveWay),
    };
    match ended {
        // A probe that only checks whether the socket answers closes it without a handshake.
        Ok(()) | Err(SessionError::Handshake(HandshakeError::Closed)) => {
            tracing::debug!(uid = peer.uid, pid = peer.pid, "{peer} left");
        }
        Err(error) => {
            if let Some(suppressed) = throttle.line(trusted) {
                let text = error.to_string();
                tracing::warn!(
                    uid = peer.uid, pid = peer.pid, event = "control_dropped", suppressed,
                    error = %Untrusted::new(&text), "the connection of {peer} was dropped"
                );
            }
        }
    }
}
