//! Operations on limits.

use aivonx_identity::Actor;
use aivonx_protocol::{
    Fault,
    limit::{self, LimitProfileInfo, LimitTarget, Limits, Unpriced},
    operation::Serve,
};

use crate::control::{By, Services};

impl Serve<limit::Show> for Services {
    async fn serve(&self, by: By<limit::Show>, asked: limit::Show) -> Result<Limits, Fault> {
        self.identity.limits(by.actor(), &asked.target).await
    }
}

impl Serve<limit::Set> for Services {
    async fn serve(&self, by: By<limit::Set>, asked: limit::Set) -> Result<Limits, Fault> {
        self.identity.set_limits(by.actor(), &asked.target, asked.revision, asked.values).await
    }
}

impl Serve<limit::Unset> for Services {
    async fn serve(&self, by: By<limit::Unset>, asked: limit::Unset) -> Result<Limits, Fault> {
        self.identity.unset_limits(by.actor(), &asked.target, asked.revision, asked.names).await
    }
}

impl Serve<limit::Profiles> for Services {
    async fn serve(
        &self,
        by: By<limit::Profiles>,
        _: limit::Profiles,
    ) -> Result<Vec<LimitProfileInfo>, Fault> {
        self.identity.limit_profiles(by.actor()).await
    }
}

impl Serve<limit::SetProfile> for Services {
    async fn serve(&self, by: By<limit::SetProfile>, asked: limit::SetProfile) -> Result<Limits, Fault> {
        let limit::SetProfile { organization, profile, reset } = asked;
        self.identity.set_limit_profile(by.actor(), organization.as_deref(), profile, reset).await
    }
}

impl Serve<limit::FindUnpriced> for Services {
    async fn serve(
        &self,
        by: By<limit::FindUnpriced>,
        asked: limit::FindUnpriced,
    ) -> Result<Unpriced, Fault> {
        unpriced(self, by.actor(), &asked.target).await
    }
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
