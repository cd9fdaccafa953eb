//! Requests about failed logins.

use aivonx_protocol::{Reply, lockout::LockoutRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<LockoutRequest>) -> Answer {
    let (identity, actor) = (&services.identity, permitted.actor().clone());
    Answer::Reply(match permitted.into_request() {
        LockoutRequest::List { all } => Ok(Reply::Lockouts(identity.lockouts_within(&actor, all))),
        LockoutRequest::Clear { user, address } => {
            let cleared = identity.clear_lockouts(&actor, user.as_deref(), address.as_deref()).await;
            cleared.map(|count| Reply::LockoutsCleared(u32::try_from(count).unwrap_or(u32::MAX)))
        }
    })
}
