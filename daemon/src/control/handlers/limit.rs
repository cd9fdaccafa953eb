//! Requests about limits.

use aivonx_identity::Actor;
use aivonx_protocol::{
    Fault, Reply,
    limit::{LimitRequest, LimitTarget, Unpriced},
};

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
        LimitRequest::Unpriced { target } => unpriced(services, &actor, &target).await.map(Reply::Unpriced),
    })
}

/// Which models have no price, of those that an organization may use, else of those that `actor` sees.
async fn unpriced(services: &Services, actor: &Actor, target: &LimitTarget) -> Result<Unpriced, Fault> {
    let organization = services.identity.limiting_organization(actor, target).await?;
    let hot = services.identity.hot().load();
    let organization = organization.and_then(|id| hot.organization(&id));
    let models = match organization {
        Some(organization) => services.fleet.models(&organization.eligible),
        None => services.fleet.models(&actor.reach()),
    };
    let names = models.into_iter().map(|model| model.name);
    let usable = |name: &String| organization.is_none_or(|organization| organization.eligible.allows(name));
    Ok(services.prices.unpriced(names.filter(usable)))
}
