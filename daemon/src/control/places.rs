//! Who has a place on the control socket, and who gives way where none is left.
//!
//! | room | for | places | of one uid | of one user |
//! |---|---|---|---|---|
//! | trusted | root and the daemon's user, until they have logged in and as superadmins | 32 | 32 | 16 |
//! | others | everybody else | 64 | 16 | 8 |
//!
//! Root that logs in as a user who is not a superadmin belongs to the others. A connection without a login keeps nobody
//! out: the oldest of them gives way to a new one, of the same uid where that uid has its share.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aivonx_protocol::{Fault, FaultKind, Untrusted};
use tokio::sync::Notify;

/// A set of places that only connections of its kind take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Trusted,
    Others,
}

impl Room {
    pub(super) const fn places(self) -> usize {
        match self {
            Self::Trusted => 32,
            Self::Others => 64,
        }
    }

    pub(super) const fn of_uid(self) -> usize {
        match self {
            Self::Trusted => Self::Trusted.places(),
            Self::Others => 16,
        }
    }

    pub(super) const fn of_user(self) -> usize {
        match self {
            Self::Trusted => 16,
            Self::Others => 8,
        }
    }
}

/// Why there is no place: all of these have somebody logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Full {
    Room,
    Uid(u32),
    User(String),
}

impl From<Full> for Fault {
    fn from(full: Full) -> Self {
        let message = match full {
            Full::Room => "too many connections to the control socket are open".to_owned(),
            Full::Uid(uid) => format!("too many connections of uid {uid} to the control socket are open"),
            Full::User(name) => {
                format!("too many connections of {} to the control socket are open", Untrusted::new(&name))
            }
        };
        Self::new(FaultKind::Unavailable, message)
            .hint("End some of the others (aivonx consoles, `aivonx logs -f`) and try again.")
    }
}

/// Every connection that has a place.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// By number: the oldest first.
    held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    uid: u32,
    /// Where it belongs while nobody has logged in.
    home: Room,
    room: Room,
    /// Id of the user who has logged in.
    user: Option<String>,
    /// It needs no login.
    free: bool,
    give_way: Arc<Notify>,
}

impl Table {
    fn count(&self, alike: impl Fn(&Held) -> bool) -> usize {
        self.held.values().filter(|held| alike(held)).count()
    }

    /// Lets the oldest connections go on which nobody has logged in, until fewer than `most` are `alike`.
    fn make_room(&mut self, most: usize, alike: impl Fn(&Held) -> bool) -> bool {
        while self.count(&alike) >= most {
            let strange = |held: &Held| held.user.is_none() && !held.free && alike(held);
            let Some(oldest) = self.held.iter().find(|(_, held)| strange(held)).map(|(number, _)| *number)
            else {
                return false;
            };
            if let Some(held) = self.held.remove(&oldest) {
                held.give_way.notify_one();
            }
        }
        true
    }

    fn make_room_for(&mut self, uid: u32, room: Room) -> Result<(), Full> {
        if !self.make_room(room.of_uid(), |held| held.room == room && held.uid == uid) {
            return Err(if room == Room::Trusted { Full::Room } else { Full::Uid(uid) });
        }
        if !self.make_room(room.places(), |held| held.room == room) {
            return Err(Full::Room);
        }
        Ok(())
    }
}

impl Places {
    /// A place for a new connection of `uid`. `free` is whether it needs no login.
    pub(super) fn admit(self: &Arc<Self>, uid: u32, home: Room, free: bool) -> Result<Place, Full> {
        let mut table = self.lock();
        table.make_room_for(uid, home)?;
        let number = table.next;
        table.next += 1;
        let give_way = Arc::new(Notify::new());
        let held = Held { uid, home, room: home, user: None, free, give_way: give_way.clone() };
        table.held.insert(number, held);
        Ok(Place { places: self.clone(), number, give_way })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
    give_way: Arc<Notify>,
}

impl Place {
    /// Notified once, when the connection has lost its place to another.
    pub(super) fn give_way(&self) -> Arc<Notify> {
        self.give_way.clone()
    }

    /// Takes it for the user with this id, who then keeps it, in place of the user who was logged in before.
    pub(super) fn take(&self, user: &str, name: &str, superadmin: bool) -> Result<(), Full> {
        let mut table = self.places.lock();
        // It gave way a moment ago.
        let Some(mut held) = table.held.remove(&self.number) else { return Err(Full::Room) };
        let room = if superadmin { held.home } else { Room::Others };
        let same = |other: &Held| other.room == room && other.user.as_deref() == Some(user);
        let taken = if table.count(same) >= room.of_user() {
            Err(Full::User(name.to_owned()))
        } else {
            table.make_room_for(held.uid, room)
        };
        if taken.is_ok() {
            (held.room, held.user) = (room, Some(user.to_owned()));
        }
        table.held.insert(self.number, held);
        taken
    }

    /// Nobody is logged in any more.
    pub(super) fn leave(&self) {
        if let Some(held) = self.places.lock().held.get_mut(&self.number) {
            (held.room, held.user, held.free) = (held.home, None, false);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().held.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use Room::{Others, Trusted};

    const ROOT: u32 = 0;

    fn gone(place: &Place) -> bool {
        place.give_way().notified().now_or_never().is_some()
    }

    /// As many places as `uid` gets with a login each, named by `user`.
    fn log_in_all(places: &Arc<Places>, uid: u32, home: Room, user: impl Fn(usize) -> String) -> Vec<Place> {
        let one = |n| {
            let place = places.admit(uid, home, false).ok()?;
            place.take(&user(n), &user(n), false).ok().map(|()| place)
        };
        (0..100).filter_map(one).collect()
    }

    #[test]
    fn a_user_has_a_share_whatever_uid_it_comes_from() {
        let places = Arc::<Places>::default();
        let mut held = log_in_all(&places, 1, Others, |_| "mem".into());
        assert_eq!(held.len(), Others.of_user());
        assert!(log_in_all(&places, 2, Others, |_| "mem".into()).is_empty());
        assert!(log_in_all(&places, ROOT, Trusted, |_| "mem".into()).is_empty());
        assert_eq!(log_in_all(&places, 1, Others, |_| "ann".into()).len(), Others.of_user());
        held.pop();
        assert_eq!(log_in_all(&places, 2, Others, |_| "mem".into()).len(), 1);
    }

    #[test]
    fn one_uid_with_many_users_leaves_the_others_their_places() {
        for (uid, home) in [(12345, Others), (ROOT, Trusted)] {
            let places = Arc::<Places>::default();
            let many = log_in_all(&places, uid, home, |n| format!("user {n}"));
            assert_eq!(many.len(), Others.of_uid(), "uid {uid}");
            assert!(!log_in_all(&places, 5, Others, |_| "ann".into()).is_empty());
            // Root's own are all free.
            let admin = |n: usize| {
                let place = places.admit(ROOT, Trusted, false).unwrap();
                place.take(&format!("admin {}", n / Trusted.of_user()), "", true).unwrap();
                place
            };
            let admins: Vec<_> = (0..Trusted.places()).map(admin).collect();
            assert_eq!(places.admit(ROOT, Trusted, false).unwrap_err(), Full::Room);
            drop(admins);
        }
    }

    #[test]
    fn one_superadmin_leaves_root_places() {
        let places = Arc::<Places>::default();
        let take = || places.admit(ROOT, Trusted, false).unwrap().take("root", "root", true);
        let _held: Vec<_> = (0..Trusted.of_user())
            .map(|_| {
                let place = places.admit(ROOT, Trusted, false).unwrap();
                place.take("root", "root", true).unwrap();
                place
            })
            .collect();
        assert_eq!(take(), Err(Full::User("root".into())));
        places.admit(ROOT, Trusted, false).unwrap().take("other", "other", true).unwrap();
    }

    #[test]
    fn the_oldest_stranger_gives_way_within_its_uid_first() {
        let places = Arc::<Places>::default();
        let first = places.admit(7, Others, false).unwrap();
        let flood: Vec<_> = (0..200).map(|_| places.admit(8, Others, false).unwrap()).collect();
        assert!(!gone(&first));
        let left = flood.iter().filter(|place| !gone(place)).count();
        assert_eq!(left, Others.of_uid());
        assert!(!gone(flood.last().unwrap()), "the oldest goes");
        // Many uids: the oldest of all.
        let many: Vec<_> = (100..164).map(|uid| places.admit(uid, Others, false).unwrap()).collect();
        assert!(gone(&first));
        assert!(many.iter().all(|place| !gone(place)));
        // Root is not touched by any of them.
        places.admit(ROOT, Trusted, false).unwrap();
    }

    #[test]
    fn who_has_logged_in_stays_and_who_logs_out_does_not() {
        let places = Arc::<Places>::default();
        let known: Vec<_> = (0..Others.of_uid())
            .map(|n| {
                let place = places.admit(7, Others, false).unwrap();
                place.take(&format!("u{n}"), "", false).unwrap();
                place
            })
            .collect();
        assert_eq!(places.admit(7, Others, false).unwrap_err(), Full::Uid(7));
        known[3].leave();
        let new = places.admit(7, Others, false).unwrap();
        assert!(gone(&known[3]));
        assert!(known[3].take("u3", "", false).is_err(), "its place is another's");
        drop(known);
        new.take("u3", "", false).unwrap();
    }

    #[test]
    fn who_needs_no_login_is_no_stranger() {
        let places = Arc::<Places>::default();
        let all: Vec<_> = (0..Trusted.places()).map(|_| places.admit(ROOT, Trusted, true).unwrap()).collect();
        assert_eq!(places.admit(ROOT, Trusted, true).unwrap_err(), Full::Room);
        assert!(all.iter().all(|place| !gone(place)));
    }

    #[test]
    fn another_login_on_a_connection_frees_the_first_ones_share() {
        let places = Arc::<Places>::default();
        let mut mem = log_in_all(&places, 1, Others, |_| "mem".into());
        let last = mem.pop().unwrap();
        last.take("ann", "ann", false).unwrap();
        let again = places.admit(1, Others, false).unwrap();
        again.take("mem", "mem", false).unwrap();
        assert_eq!(last.take("mem", "mem", false), Err(Full::User("mem".into())));
        again.take("mem", "mem", false).unwrap();
    }
}
