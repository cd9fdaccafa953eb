//! Separate queues for hashing passwords, so that nobody waits for clients that are trusted less.
//!
//! A login at the control socket never waits for logins over HTTP, however many, and root's never waits for those of the
//! machine's other users.

use super::{Source, password::Hasher};

/// A hasher each for clients over HTTP, for the machine's users, and for root and the daemon's own user.
#[derive(Debug)]
pub(crate) struct Hashers {
    http: Hasher,
    local: Hasher,
    trusted: Hasher,
    own_uid: u32,
}

impl Hashers {
    /// Each like `hasher`, which is the one for HTTP.
    pub(super) fn of(hasher: Hasher) -> Self {
        let own_uid = rustix::process::geteuid().as_raw();
        Self { local: hasher.apart(), trusted: hasher.apart(), http: hasher, own_uid }
    }

    /// The one for what comes from `source`.
    pub(crate) fn at(&self, source: &Source) -> &Hasher {
        match source {
            Source::Http { .. } => &self.http,
            Source::Control { uid, .. } if *uid != 0 && *uid != self.own_uid => &self.local,
            Source::Control { .. } | Source::Daemon => &self.trusted,
        }
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::WireSecret;

    use super::*;
    use crate::password::HashError;

    fn control(uid: u32) -> Source {
        Source::Control { uid, gid: uid, pid: None }
    }

    #[tokio::test]
    async fn a_flood_at_one_door_leaves_the_others_open() {
        let hashers = Hashers::of(Hasher::weak());
        let http = Source::Http { address: [192, 0, 2, 1].into(), user_agent: None, request_id: "r".into() };
        let others = hashers.own_uid + 1;
        let doors = [http, control(others), control(0), control(hashers.own_uid), Source::Daemon];
        let hash = |door: &Source| hashers.at(door).hash(WireSecret::new("x".into()));
        for flooded in &doors[..2] {
            let held = hashers.at(flooded).fill();
            for door in &doors {
                let hashed = hash(door).await;
                assert_eq!(hashed.err(), (door == flooded).then_some(HashError::Busy), "{door:?}");
            }
            drop(held);
        }
    }
}
