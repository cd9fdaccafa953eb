//! An [`Identity`] over a private store, with actors, for tests.

#![allow(clippy::unwrap_used, reason = "tests fail where it fails")]

use std::{fmt::Debug, sync::Arc, sync::atomic::Ordering};

use aivonx_ledgers::audit::Audit;
use aivonx_protocol::{Fault, FaultKind, audit::Action, user::Role};
use aivonx_store::testing;
use aivonx_store::{OrganizationRecord, Store, UserRecord};

use super::{Actor, Identity, Source, password::Hasher};

/// A private [`Identity`].
pub struct Rig {
    pub identity: Arc<Identity>,
    pub audit: Audit,
    pub stand: testing::Stand,
}

impl Rig {
    pub async fn new() -> Self {
        let stand = testing::stand().await;
        let audit = Audit::memory();
        let identity =
            Identity::open(stand.store.clone(), stand.vault.clone(), audit.clone(), Hasher::weak())
                .await
                .unwrap();
        Self { identity, audit, stand }
    }

    pub fn store(&self) -> &Store {
        &self.stand.store
    }

    /// How many refusals for foreign things were recorded; each is also counted.
    pub fn cross_org_denied(&self) -> u64 {
        let kept = self.audit.kept();
        let found = kept.iter().filter(|entry| entry.action == Action::CrossOrgDenied).count() as u64;
        assert_eq!(found, self.identity.counters.cross_organization.load(Ordering::Relaxed));
        found
    }

    /// Asserts that `work` was refused as if `asked` did not exist, and recorded as foreign.
    pub async fn assert_foreign<T: Debug>(
        &self,
        noun: &str,
        asked: &str,
        work: impl Future<Output = Result<T, Fault>>,
    ) {
        let before = self.cross_org_denied();
        let fault = work.await.expect_err("it should be out of reach");
        assert_eq!(fault.kind, FaultKind::NotFound, "{fault}");
        assert_eq!(fault.message, format!("there is no {noun} \"{asked}\""));
        assert_eq!(self.cross_org_denied(), before + 1, "{noun} {asked}");
    }
}

/// The fleet's superadmin, as a uid in `dev` has it.
pub fn root() -> Actor {
    actor(None, Role::Superadmin, None)
}

/// An organization with an org-admin (`SLUG-admin`) and a member (`SLUG-member`).
pub struct Tenant {
    pub id: String,
    pub slug: String,
    pub admin: Actor,
    pub member: Actor,
}

impl Rig {
    /// Two organizations, `a` and `b`.
    pub async fn with_two() -> (Self, Tenant, Tenant) {
        let rig = Self::new().await;
        let (a, b) = (rig.tenant("a").await, rig.tenant("b").await);
        (rig, a, b)
    }

    pub async fn tenant(&self, slug: &str) -> Tenant {
        let organizations = self.store().organizations();
        let id = organizations.insert(organization_record(slug)).await.unwrap().id;
        let mut actors = Vec::new();
        for (name, role) in [("admin", Role::OrgAdmin), ("member", Role::Member)] {
            let record = user_record(&format!("{slug}-{name}"), role, Some(&id));
            let user = self.store().users().insert(record).await.unwrap();
            actors.push(actor(Some(&user.id), role, Some(&id)));
        }
        let (member, admin) = (actors.pop().unwrap(), actors.pop().unwrap());
        Tenant { id, slug: slug.to_owned(), admin, member }
    }
}

impl Tenant {
    /// Everyone of it.
    pub fn actors(&self) -> [&Actor; 2] {
        [&self.admin, &self.member]
    }
}

/// Somebody at the control socket.
pub fn actor(user: Option<&str>, role: Role, organization: Option<&str>) -> Actor {
    Actor {
        user: user.map(str::to_owned),
        name: user.unwrap_or("uid 0").to_owned(),
        role,
        organization: organization.map(str::to_owned),
        session: None,
        source: Source::Control { uid: 1000, gid: 1000, pid: Some(1) },
    }
}

/// An organization with the shared nodes and all models.
pub fn organization_record(slug: &str) -> OrganizationRecord {
    OrganizationRecord::new(slug)
}

/// A user without a password.
pub fn user_record(name: &str, role: Role, organization: Option<&str>) -> UserRecord {
    UserRecord::new(name, role, organization)
}
