//! Lockouts as administrators see and lift them: whoever is bound to an organization, only those of its users.

use aivonx_protocol::{Fault, lockout::Lockout};

use super::{Actor, Identity, now};
use crate::store::{Noun, Reach};

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
        if actor.reach() == Reach::All {
            return Ok(self.lockouts.clear(user, address).await?);
        }
        if let Some(user) = user
            && !self.covers_name(actor, user)
        {
            return Err(match self.hot().load().user_by_name(&user.to_lowercase()) {
                Some(_) => self.foreign(actor, Noun::User, user),
                None => Self::missing(Noun::User, user),
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
        if reach == Reach::All {
            return true;
        }
        let hot = self.hot().load();
        hot.user_by_name(&name.to_lowercase()).is_some_and(|user| {
            reach.covers(user.organization.as_ref().map(|organization| &*organization.id), Some(&user.id))
        })
    }
}
