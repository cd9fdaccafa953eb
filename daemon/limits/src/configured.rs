//! Everything that was set, read at once: what snapshots are built of and limits are shown from.

use std::collections::HashMap;

use aivonx_domain::TenantScope;
use aivonx_protocol::organization::LimitProfile;
use aivonx_store::{LimitRecord, LimitValues, Store, StoreError, limit::FLEET};

use super::{
    Caps,
    resolve::{self, Layered, Scope, User},
};

/// The profile of the fleet and every record.
#[derive(Debug, Default)]
pub struct Given {
    profile: LimitProfile,
    fleet: LimitValues,
    records: HashMap<String, LimitRecord>,
}

impl Given {
    /// Puts it together.
    #[must_use]
    pub fn new(profile: LimitProfile, records: Vec<LimitRecord>) -> Self {
        let mut records: HashMap<_, _> =
            records.into_iter().map(|record| (record.id.clone(), record)).collect();
        let fleet = records.remove(FLEET).map(|record| record.granted).unwrap_or_default();
        Self { profile, fleet, records }
    }

    /// As it stands in the store.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let profile = store.settings().limit_profile().await?;
        Ok(Self::new(profile, store.limits().list(&TenantScope::All).await?))
    }

    /// The profile of the fleet.
    #[must_use]
    pub fn profile(&self) -> LimitProfile {
        self.profile
    }

    /// What holds in the fleet.
    #[must_use]
    pub fn fleet(&self) -> Scope {
        resolve::fleet(self.profile, &self.fleet)
    }

    /// What holds in the organization of this id and profile.
    #[must_use]
    pub fn organization(&self, id: &str, profile: LimitProfile) -> Scope {
        resolve::organization(profile, &self.fleet, self.records.get(id))
    }

    /// What holds for the user of this id, in `scope`.
    #[must_use]
    pub fn user(&self, scope: &Scope, id: &str) -> User {
        resolve::user(scope, self.records.get(id))
    }

    /// What holds for the key of this id, in `scope` and acting for `user`.
    #[must_use]
    pub fn key(&self, scope: &Scope, user: Option<&User>, id: &str) -> Layered {
        resolve::key(scope, user, self.records.get(id))
    }

    /// The caps of anonymous callers and at the login.
    #[must_use]
    pub fn anonymous(&self) -> Caps {
        self.fleet().anonymous()
    }
}
