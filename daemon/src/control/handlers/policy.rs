//! Operations on model policy.

use aivonx_protocol::{
    Fault,
    operation::Serve,
    policy::{self, Alias, AliasShares, ModelAccess, Policy},
};

use crate::control::{By, Services};

impl Serve<policy::List> for Services {
    async fn serve(&self, by: By<policy::List>, asked: policy::List) -> Result<Vec<Policy>, Fault> {
        self.policies.list(by.actor(), asked.organization.as_deref()).await
    }
}

impl Serve<policy::Set> for Services {
    async fn serve(&self, by: By<policy::Set>, asked: policy::Set) -> Result<Policy, Fault> {
        let policy::Set { organization, model, revision, change } = asked;
        self.policies.set(by.actor(), organization.as_deref(), &model, revision, *change).await
    }
}

impl Serve<policy::Remove> for Services {
    async fn serve(&self, by: By<policy::Remove>, asked: policy::Remove) -> Result<(), Fault> {
        self.policies.remove(by.actor(), asked.organization.as_deref(), &asked.model).await
    }
}

impl Serve<policy::Aliases> for Services {
    async fn serve(&self, by: By<policy::Aliases>, asked: policy::Aliases) -> Result<Vec<Alias>, Fault> {
        self.policies.aliases(by.actor(), asked.organization.as_deref()).await
    }
}

impl Serve<policy::SetAlias> for Services {
    async fn serve(&self, by: By<policy::SetAlias>, asked: policy::SetAlias) -> Result<Alias, Fault> {
        let policy::SetAlias { organization, alias, models, revision } = asked;
        self.policies.set_alias(by.actor(), organization.as_deref(), &alias, models, revision).await
    }
}

impl Serve<policy::RemoveAlias> for Services {
    async fn serve(&self, by: By<policy::RemoveAlias>, asked: policy::RemoveAlias) -> Result<(), Fault> {
        self.policies.remove_alias(by.actor(), asked.organization.as_deref(), &asked.alias).await
    }
}

impl Serve<policy::Shares> for Services {
    async fn serve(&self, by: By<policy::Shares>, asked: policy::Shares) -> Result<AliasShares, Fault> {
        self.policies.shares(by.actor(), asked.organization.as_deref(), &asked.alias).await
    }
}

impl Serve<policy::SetWeighted> for Services {
    async fn serve(&self, by: By<policy::SetWeighted>, asked: policy::SetWeighted) -> Result<Alias, Fault> {
        let policy::SetWeighted { organization, alias, models, revision } = asked;
        self.policies.set_weighted(by.actor(), organization.as_deref(), &alias, models, revision).await
    }
}

impl Serve<policy::Access> for Services {
    async fn serve(&self, by: By<policy::Access>, _: policy::Access) -> Result<Vec<ModelAccess>, Fault> {
        self.policies.access(by.actor()).await
    }
}

impl Serve<policy::SetAccess> for Services {
    async fn serve(
        &self,
        by: By<policy::SetAccess>,
        asked: policy::SetAccess,
    ) -> Result<Vec<ModelAccess>, Fault> {
        let policy::SetAccess { model, only, deny } = asked;
        self.policies.set_access(by.actor(), &model, only, deny).await
    }
}
