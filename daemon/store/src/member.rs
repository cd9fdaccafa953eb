//! The members of a cluster: the gateways whose settings are in one database.

use std::sync::{Arc, PoisonError};

use aivonx_protocol::UnixMillis;

use super::{Store, StoreError};

/// How a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// It shows itself.
    Serving,
    /// It did not stop and was not seen for 15 seconds.
    Away,
    /// It has stopped.
    Stopped,
    /// Its right to write and serve was taken from it.
    Fenced,
}

/// A gateway whose settings are in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// That of its data directory.
    pub id: String,
    /// By configuration, else the name of its host.
    pub name: String,
    /// Its first listener; empty before it has one.
    pub address: String,
    /// Of its aivonxd.
    pub version: String,
    /// How it is.
    pub state: MemberState,
    /// When it last showed itself, by the database's clock.
    pub seen: UnixMillis,
    /// Revision of the settings that it serves from, as of then.
    pub revision: u64,
    /// Changes after that one. Those that are older than ten minutes are not counted.
    pub lag: u64,
}

/// What a look at the settings of others found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Followed {
    /// Nothing.
    Nothing,
    /// These keys of these spaces were changed by others.
    These(Vec<(String, Vec<u8>)>),
    /// Changes were missed: it may be any.
    Any,
}

impl Store {
    /// The id of this gateway as a member; None if its settings are in the embedded store.
    #[must_use]
    pub fn member_id(&self) -> Option<&str> {
        self.inner.marker.database.as_deref()
    }

    /// Every member, by name; none if the settings are in the embedded store.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        self.run(|engine, _| engine.backend().members()).await
    }

    /// Every member as of the last sign of life of this one, at most some seconds ago.
    #[must_use]
    pub fn seen_members(&self) -> Arc<Vec<Member>> {
        self.inner.members.load_full()
    }

    /// Takes from a member the right to write and to serve; false if it had none any more.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn fence_member(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.run(move |engine, _| engine.backend().fence(&id)).await
    }

    /// Has this member shown with the address it serves on.
    pub fn serves_on(&self, address: &str) {
        *self.inner.address.lock().unwrap_or_else(PoisonError::into_inner) = Arc::from(address);
    }

    /// Whether this gateway does what all members together do once, under `name`: true for it until 10 seconds after the
    /// call, so it is to be asked again before each step. True with the embedded store. Another member takes over within
    /// that time when this one has died.
    pub async fn has_duty(&self, name: &'static str) -> bool {
        if self.inner.server.is_none() {
            return true;
        }
        // Without the database nothing that is shared can be done.
        self.run(move |engine, _| engine.backend().duty(name)).await.is_ok_and(|token| token.is_some())
    }
}
