//! One method per request about limits and prices. Errors of all of them: see [`Client::call`].

use super::{Client, ClientError, calls::ask};
use crate::{
    Reply, Request,
    limit::{LimitProfileInfo, LimitRequest, LimitSetting, LimitTarget, LimitValue, Limits, Unpriced},
    money::MicroUsd,
    organization::LimitProfile,
    price::{Price, PriceRequest},
};

/// Limits.
impl Client {
    /// The limits in force, and where each comes from.
    pub async fn limit_show(&self, target: LimitTarget) -> Result<Limits, ClientError> {
        ask!(self, Request::Limit(LimitRequest::Show { target }), Reply::Limits(limits) => *limits)
    }

    /// Sets values. With a `revision`, only if nothing was set since.
    pub async fn limit_set(
        &self,
        target: LimitTarget,
        revision: Option<u64>,
        values: Vec<LimitValue>,
    ) -> Result<Limits, ClientError> {
        let request = LimitRequest::Set { target, revision, values };
        ask!(self, Request::Limit(request), Reply::Limits(limits) => *limits)
    }

    /// Takes back what was set: everything, if no name is given.
    pub async fn limit_unset(
        &self,
        target: LimitTarget,
        revision: Option<u64>,
        names: Vec<LimitSetting>,
    ) -> Result<Limits, ClientError> {
        let request = LimitRequest::Unset { target, revision, names };
        ask!(self, Request::Limit(request), Reply::Limits(limits) => *limits)
    }

    /// The limit profiles.
    pub async fn limit_profiles(&self) -> Result<Vec<LimitProfileInfo>, ClientError> {
        ask!(self, Request::Limit(LimitRequest::Profiles), Reply::LimitProfiles(profiles) => profiles)
    }

    /// Chooses the profile of an organization, or of the fleet; `reset` takes back what was set on it.
    pub async fn limit_set_profile(
        &self,
        organization: Option<String>,
        profile: LimitProfile,
        reset: bool,
    ) -> Result<Limits, ClientError> {
        let request = LimitRequest::SetProfile { organization, profile, reset };
        ask!(self, Request::Limit(request), Reply::Limits(limits) => *limits)
    }

    /// Which models have no price.
    pub async fn limit_unpriced(&self, target: LimitTarget) -> Result<Unpriced, ClientError> {
        ask!(self, Request::Limit(LimitRequest::Unpriced { target }), Reply::Unpriced(found) => found)
    }
}

/// Prices.
impl Client {
    /// All prices, in the order in which they are tried.
    pub async fn price_list(&self) -> Result<Vec<Price>, ClientError> {
        ask!(self, Request::Price(PriceRequest::List), Reply::Prices(prices) => prices)
    }

    /// Sets the price of the models that match a pattern.
    pub async fn price_set(
        &self,
        model: &str,
        prompt: MicroUsd,
        output: MicroUsd,
    ) -> Result<Price, ClientError> {
        let request = PriceRequest::Set { model: model.to_owned(), prompt, output };
        ask!(self, Request::Price(request), Reply::Price(price) => *price)
    }

    /// Forgets the price of a pattern.
    pub async fn price_remove(&self, model: &str) -> Result<(), ClientError> {
        let request = PriceRequest::Remove { model: model.to_owned() };
        ask!(self, Request::Price(request), Reply::Done => ())
    }
}
