//! One method per request about model policy. Errors of all of them: see [`Client::call`].

use super::{Client, ClientError, calls::ask};
use crate::{
    Reply, Request,
    policy::{Alias, Policy, PolicyChange, PolicyRequest},
};

/// Policies.
impl Client {
    /// Policies of `organization` and the fleet's; all within reach without it.
    pub async fn policy_list(&self, organization: Option<String>) -> Result<Vec<Policy>, ClientError> {
        ask!(self, Request::Policy(PolicyRequest::List { organization }), Reply::Policies(list) => list)
    }

    /// Adds a policy for the models that match `model`, or changes it.
    pub async fn policy_set(
        &self,
        organization: Option<String>,
        model: &str,
        revision: Option<u64>,
        change: PolicyChange,
    ) -> Result<Policy, ClientError> {
        let change = Box::new(change);
        let request = PolicyRequest::Set { organization, model: model.to_owned(), revision, change };
        ask!(self, Request::Policy(request), Reply::Policy(policy) => *policy)
    }

    /// Removes a policy.
    pub async fn policy_remove(&self, organization: Option<String>, model: &str) -> Result<(), ClientError> {
        let request = PolicyRequest::Remove { organization, model: model.to_owned() };
        ask!(self, Request::Policy(request), Reply::Done => ())
    }
}

/// Aliases of models.
impl Client {
    /// Aliases of `organization` and the fleet's; all within reach without it.
    pub async fn alias_list(&self, organization: Option<String>) -> Result<Vec<Alias>, ClientError> {
        ask!(self, Request::Policy(PolicyRequest::Aliases { organization }), Reply::Aliases(list) => list)
    }

    /// Adds an alias, or replaces what it stands for.
    pub async fn alias_set(
        &self,
        organization: Option<String>,
        alias: &str,
        models: Vec<String>,
        revision: Option<u64>,
    ) -> Result<Alias, ClientError> {
        let request = PolicyRequest::SetAlias { organization, alias: alias.to_owned(), models, revision };
        ask!(self, Request::Policy(request), Reply::Alias(alias) => *alias)
    }

    /// Removes an alias.
    pub async fn alias_remove(&self, organization: Option<String>, alias: &str) -> Result<(), ClientError> {
        let request = PolicyRequest::RemoveAlias { organization, alias: alias.to_owned() };
        ask!(self, Request::Policy(request), Reply::Done => ())
    }
}
