//! What the requests on one connection share: the peer, and who has logged in.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aivonx_identity::Actor;
use aivonx_protocol::{Fault, user::Role};

use super::{peer::Peer, places::Place};

/// One connection to the control socket.
#[derive(Debug)]
pub(crate) struct Connection {
    peer: Peer,
    /// None where places are not counted.
    place: Option<Place>,
    /// Hash of the secret of the session that is used.
    session: Mutex<Option<[u8; 32]>>,
}

impl Connection {
    /// A connection on which nobody has logged in.
    pub(crate) fn new(peer: Peer, place: Option<Place>) -> Self {
        Self { peer, place, session: Mutex::default() }
    }

    /// The other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Hash of the secret of the session that is used, if somebody has logged in.
    pub(crate) fn session(&self) -> Option<[u8; 32]> {
        *self.lock()
    }

    /// Takes its place for `actor`, before it goes on in a session of theirs.
    ///
    /// # Errors
    /// `Unavailable` if they, or everybody, have as many connections as they may.
    pub(crate) fn reserve(&self, actor: &Actor) -> Result<(), Fault> {
        // The one before, if any, is over: its end must not cost the new one its place.
        *self.lock() = None;
        let Some(place) = &self.place else { return Ok(()) };
        let user = actor.user.as_deref().unwrap_or_default();
        Ok(place.take(user, &actor.name, actor.role == Role::Superadmin)?)
    }

    /// From now on requests are made in the session with this hash of its secret.
    pub(crate) fn log_in(&self, session: [u8; 32]) {
        *self.lock() = Some(session);
    }

    /// From now on requests are made by nobody.
    pub(crate) fn log_out(&self) {
        *self.lock() = None;
        self.forsake();
    }

    /// Its session is worth nothing any more: its place is a stranger's.
    pub(super) fn forsake(&self) {
        if let Some(place) = &self.place {
            place.leave();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<[u8; 32]>> {
        // Nothing panics while it is held.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
