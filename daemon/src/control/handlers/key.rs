//! Requests about API keys.

use aivonx_identity::{Actor, Identity, too_many_keys};
use aivonx_limits::Exceeded;
use aivonx_protocol::{
    Reply,
    key::{KeyRequest, NewKey},
    user::Role,
};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<KeyRequest>) -> Answer {
    let (identity, actor) = (&services.identity, permitted.actor().clone());
    let one = |key| Reply::Key(Box::new(key));
    let new = |key| Reply::NewKey(Box::new(key));
    Answer::Reply(match permitted.into_request() {
        KeyRequest::List { organization, user, all } => {
            identity.keys(&actor, organization.as_deref(), user.as_deref(), all).await.map(Reply::Keys)
        }
        KeyRequest::Show { organization, key } => {
            identity.key(&actor, organization.as_deref(), &key).await.map(one)
        }
        KeyRequest::Create(wanted) => match count_new(identity, &actor, &wanted) {
            Ok(()) => identity.create_key(&actor, *wanted).await.map(new),
            Err(exceeded) => Err(too_many_keys(&exceeded)),
        },
        KeyRequest::Set { organization, key, revision, change } => {
            identity.set_key(&actor, organization.as_deref(), &key, revision, *change).await.map(one)
        }
        KeyRequest::Rotate { organization, key, grace_ms } => {
            identity.rotate_key(&actor, organization.as_deref(), &key, grace_ms).await.map(new)
        }
        KeyRequest::Revoke { organization, key } => {
            identity.revoke_key(&actor, organization.as_deref(), &key).await.map(one)
        }
    })
}

/// Counts a key that its maker will use; what administrators make for others is not limited.
fn count_new(identity: &Identity, actor: &Actor, new: &NewKey) -> Result<(), Exceeded> {
    let own = match &new.user {
        None => actor.role == Role::Member,
        Some(wanted) => actor.user.as_ref() == Some(wanted) || actor.name.eq_ignore_ascii_case(wanted),
    };
    if own { identity.count_own_key(actor) } else { Ok(()) }
}
