//! What the requests on one connection share: the peer, and who has logged in.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

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
    /// Its session is kept, and its place is a stranger's.
    forsaken: AtomicBool,
}

impl Connection {
    /// A connection on which nobody has logged in.
    pub(crate) fn new(peer: Peer, place: Option<Place>) -> Self {
        Self { peer, place, session: Mutex::default(), forsaken: AtomicBool::new(false) }
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
        self.take(actor)
    }

    /// Takes its place again for `actor`, whose session holds again: a block has ended.
    ///
    /// # Errors
    /// See [`Self::reserve`].
    pub(super) fn regain(&self, actor: &Actor) -> Result<(), Fault> {
        if self.forsaken.load(Relaxed) { self.take(actor) } else { Ok(()) }
    }

    fn take(&self, actor: &Actor) -> Result<(), Fault> {
        if let Some(place) = &self.place {
            let user = actor.user.as_deref().unwrap_or_default();
            place.take(user, &actor.name, actor.role == Role::Superadmin)?;
        }
        self.forsaken.store(false, Relaxed);
        Ok(())
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

    /// Its session is worth nothing any more, or while its user is blocked: its place is a stranger's.
    pub(super) fn forsake(&self) {
        self.forsaken.store(true, Relaxed);
        if let Some(place) = &self.place {
            place.leave();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<[u8; 32]>> {
        // Nothing panics while it is held.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::places::{Places, Room},
        *,
    };

    const PEER: Peer = Peer { uid: 1000, gid: 1000, pid: None };

    #[test]
    fn who_is_no_longer_blocked_goes_on_with_a_place_alone() {
        let places = Arc::<Places>::default();
        let alice = Actor { user: Some("alice".to_owned()), ..Actor::clone(&PEER.actor(Role::Member)) };
        let logged_in = || {
            let connection = Connection::new(PEER, Some(places.admit(1000, Room::Others, false).unwrap()));
            connection.reserve(&alice).map(|()| connection)
        };
        let blocked = logged_in().unwrap();
        blocked.regain(&alice).unwrap();
        blocked.forsake();
        let mut others: Vec<_> = (0..Room::Others.of_user()).map(|_| logged_in().unwrap()).collect();
        for _ in 0..2 {
            assert!(blocked.regain(&alice).unwrap_err().message.contains("too many connections"));
        }
        others.pop();
        blocked.regain(&alice).unwrap();
        logged_in().unwrap_err();
    }
}
