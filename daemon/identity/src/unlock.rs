//! Lockouts as administrators see and lift them; administrators of an organization only those of its users.

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_protocol::{Fault, lockout::Lockout};
use aivonx_store::Collection;

use super::{Actor, Identity};

impl Identity {
    /// The failed logins of users within reach of `actor`; those of names that nobody has are the fleet's.
    #[must_use]
    pub fn lockouts_within(&self, actor: &Actor, all: bool) -> Vec<Lockout> {
        let mut list = self.lockouts.list(all, now());
        list.retain(|lockout| self.covers_name(actor, &lockout.user));
        list
    }

    /// Forgets failed logins within reach of `actor`: of a user, from an address, or all. Returns how many pairs
    /// of the two that were.
    ///
    /// # Errors
    /// `NotFound` for a user out of reach; or the store fails.
    pub async fn clear_lockouts(
        &self,
        actor: &Actor,
        user: Option<&str>,
        address: Option<&str>,
    ) -> Result<usize, Fault> {
        if actor.reach() == TenantScope::All {
            return Ok(self.lockouts.clear(user, address).await?);
        }
        if let Some(user) = user
            && !self.covers_name(actor, user)
        {
            return Err(match self.hot().load().user_by_name(&user.to_lowercase()) {
                Some(_) => self.foreign(actor, Collection::User, user),
                None => Self::missing(Collection::User, user),
            });
        }
        let mut cleared = 0;
        for lockout in self.lockouts_within(actor, true) {
            if user.is_none_or(|user| user.to_lowercase() == lockout.user)
                && address.is_none_or(|address| address == lockout.address)
            {
                cleared += self.lockouts.clear(Some(&lockout.user), Some(&lockout.address)).await?;
            }
        }
        // What delays a user counts from everywhere, so it goes with the whole user alone.
        if let (Some(user), None) = (user, address) {
            self.lockouts.clear(Some(user), None).await?;
        }
        Ok(cleared)
    }

    fn covers_name(&self, actor: &Actor, name: &str) -> bool {
        let reach = actor.reach();
        if reach == TenantScope::All {
            return true;
        }
        let hot = self.hot().load();
        hot.user_by_name(&name.to_lowercase()).is_some_and(|user| {
            reach.covers(user.organization.as_ref().map(|organization| &*organization.id), Some(&user.id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lockout::Place,
        rig::{Rig, root},
    };

    async fn fail(rig: &Rig, user: &str, address: &str) {
        let attempt = rig.identity.lockouts.begin(Place::new(user, address), now());
        attempt.ok().unwrap().failed(now()).await;
    }

    fn names(rig: &Rig, actor: &Actor) -> Vec<String> {
        rig.identity.lockouts_within(actor, true).into_iter().map(|lockout| lockout.user).collect()
    }

    #[tokio::test]
    async fn each_organization_sees_and_lifts_its_own() {
        let (rig, a, b) = Rig::with_two().await;
        rig.identity.settle().await.unwrap();
        for user in ["a-member", "b-member", "nobody"] {
            fail(&rig, user, "192.0.2.1").await;
            fail(&rig, user, "192.0.2.2").await;
        }
        assert_eq!(names(&rig, &root()).len(), 6);
        assert_eq!(names(&rig, &a.admin), ["a-member", "a-member"]);
        let identity = &rig.identity;
        rig.assert_foreign("user", "b-member", identity.clear_lockouts(&a.admin, Some("b-member"), None))
            .await;
        // A name that nobody has is the fleet's, and answered like a foreign one.
        let missing = identity.clear_lockouts(&a.admin, Some("nobody"), None).await.unwrap_err();
        assert_eq!(missing.message, "there is no user \"nobody\"");
        assert_eq!(identity.clear_lockouts(&a.admin, Some("A-member"), Some("192.0.2.1")).await.unwrap(), 1);
        assert_eq!(identity.clear_lockouts(&a.admin, None, None).await.unwrap(), 1);
        assert_eq!(names(&rig, &b.admin), ["b-member", "b-member"]);
        assert_eq!(identity.clear_lockouts(&b.admin, Some("b-member"), None).await.unwrap(), 2);
        assert_eq!(names(&rig, &root()), ["nobody", "nobody"]);
        assert_eq!(identity.clear_lockouts(&root(), None, None).await.unwrap(), 2);
    }
}
