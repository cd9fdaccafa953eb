//! What the requests on one connection share: the peer, and who has logged in.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use super::access::Peer;

/// One connection to the control socket.
#[derive(Debug)]
pub(crate) struct Connection {
    peer: Peer,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Hash of the secret of the session that is used.
    session: Option<[u8; 32]>,
    /// Its place among the strangers, until it is none.
    place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// A connection on which nobody has logged in. `place` is its place among strangers, if it needs one.
    pub(crate) fn new(peer: Peer, place: Option<OwnedSemaphorePermit>) -> Self {
        Self { peer, state: Mutex::new(State { session: None, place }) }
    }

    /// The other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Hash of the secret of the session that is used, if somebody has logged in.
    pub(crate) fn session(&self) -> Option<[u8; 32]> {
        self.lock().session
    }

    /// From now on requests are made in the session with this hash of its secret. The connection is no
    /// stranger's any more: its place is free for another.
    pub(crate) fn log_in(&self, session: [u8; 32]) {
        let mut state = self.lock();
        state.session = Some(session);
        state.place = None;
    }

    /// From now on requests are made by nobody.
    pub(crate) fn log_out(&self) {
        self.lock().session = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
