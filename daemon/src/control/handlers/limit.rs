//! Requests about limits.

use aivonx_protocol::{Reply, limit::LimitRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<LimitRequest>) -> Answer {
    let (identity, actor) = (&services.identity, permitted.actor().clone());
    let one = |limits| Reply::Limits(Box::new(limits));
    Answer::Reply(match permitted.into_request() {
        LimitRequest::Show { target } => identity.limits(&actor, &target).await.map(one),
        LimitRequest::Set { target, revision, values } => {
            identity.set_limits(&actor, &target, revision, values).await.map(one)
        }
        LimitRequest::Unset { target, revision, names } => {
            identity.unset_limits(&actor, &target, revision, names).await.map(one)
        }
        LimitRequest::Profiles => identity.limit_profiles(&actor).await.map(Reply::LimitProfiles),
        LimitRequest::SetProfile { organization, profile, reset } => {
            identity.set_limit_profile(&actor, organization.as_deref(), profile, reset).await.map(one)
        }
    })
}
