//! Requests about users.

use aivonx_protocol::{Reply, user::UserRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<UserRequest>) -> Answer {
    let (identity, actor) = (&services.identity, permitted.actor().clone());
    let one = |user| Reply::User(Box::new(user));
    Answer::Reply(match permitted.into_request() {
        UserRequest::List { organization, role } => {
            identity.users(&actor, organization.as_deref(), role).await.map(Reply::Users)
        }
        UserRequest::Show { user } => identity.user(&actor, &user).await.map(one),
        UserRequest::Add(new) => identity.add_user(&actor, *new).await.map(one),
        UserRequest::Set { user, revision, change } => {
            identity.set_user(&actor, &user, revision, *change).await.map(one)
        }
        UserRequest::SetEnabled { user, revision, enabled } => {
            identity.set_user_enabled(&actor, &user, revision, enabled).await.map(one)
        }
        UserRequest::Remove { user, revision } => {
            identity.remove_user(&actor, &user, revision).await.map(|()| Reply::Done)
        }
        UserRequest::ResetPassword { user } => {
            identity.reset_password(&actor, &user).await.map(Reply::ResetCode)
        }
        UserRequest::ResetTotp { user } => identity.reset_totp(&actor, &user).await.map(one),
        UserRequest::Sessions { user } => identity.user_sessions(&actor, &user).await.map(Reply::Sessions),
        UserRequest::Logout { user, session } => {
            identity.end_sessions(&actor, &user, session.as_deref()).await.map(Reply::SessionsEnded)
        }
    })
}
