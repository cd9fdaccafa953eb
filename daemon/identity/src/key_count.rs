//! Secrets that users make for themselves, counted by `token.hour`.

use aivonx_limits::{Exceeded, Kind};
use aivonx_protocol::{Fault, FaultKind, limit::LimitName};

use super::{Actor, Identity};

impl Identity {
    /// Counts that `actor` makes a key or a control token of its own, or gives a key another secret.
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
}

/// The fault for a user who made or rotated too many keys, or made too many tokens.
pub fn too_many_keys(exceeded: &Exceeded) -> Fault {
    Fault::new(FaultKind::Unavailable, exceeded.to_string())
        .hint("Wait until the hour is over, or ask an administrator for a higher limit.")
}
