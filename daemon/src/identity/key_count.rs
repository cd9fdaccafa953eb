//! Secrets that users make for themselves, counted by `token.hour`.

use std::sync::Arc;

use aivonx_protocol::limit::LimitName;

use super::{Actor, Identity, snapshot::Key};
use crate::limits::{Exceeded, Kind};

impl Identity {
    /// Counts that `actor` makes a key of its own, or gives one another secret.
    ///
    /// # Errors
    /// [`Exceeded`] where `token.hour` is reached; then it does not count.
    pub fn count_own_key(&self, actor: &Actor) -> Result<(), Exceeded> {
        let (Some(limits), Some(id)) = (self.limits.get(), &actor.user) else { return Ok(()) };
        let limit = LimitName::TokenHour;
        let hot = self.hot().load();
        let Some(user) = hot.user(id) else { return Ok(()) };
        match user.level.caps.of(limit) {
            Some(cap) => limits.throttle_subject(limit, Kind::User, &user.id, cap),
            None => Ok(()),
        }
    }

    /// As [`Self::count_own_key`], if the key `wanted` is one of the actor's own. One that is not is for
    /// [`Self::rotate_key`] to judge.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn count_rotation(&self, actor: &Actor, wanted: &str) -> Result<(), Exceeded> {
        let own = |key: &Arc<Key>| {
            let named = |(id, name): &(Arc<str>, Arc<str>)| **id == *wanted || **name == *wanted;
            key.user.as_ref().is_some_and(|user| Some(&*user.id) == actor.user.as_deref())
                && key.subject.key.as_ref().is_some_and(named)
        };
        if self.hot().load().keys().any(own) { self.count_own_key(actor) } else { Ok(()) }
    }
}
