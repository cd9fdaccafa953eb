//! Operations on organizations.

use aivonx_protocol::{
    Fault,
    operation::Serve,
    organization::{self, NodeNetworks, Organization, OrganizationRemoved},
};

use crate::control::{By, Services};

impl Serve<organization::List> for Services {
    async fn serve(
        &self,
        by: By<organization::List>,
        _: organization::List,
    ) -> Result<Vec<Organization>, Fault> {
        self.identity.organizations(by.actor()).await
    }
}

impl Serve<organization::Show> for Services {
    async fn serve(
        &self,
        by: By<organization::Show>,
        asked: organization::Show,
    ) -> Result<Organization, Fault> {
        self.identity.organization(by.actor(), &asked.organization).await
    }
}

impl Serve<organization::Add> for Services {
    async fn serve(
        &self,
        by: By<organization::Add>,
        asked: organization::Add,
    ) -> Result<Organization, Fault> {
        self.identity.add_organization(by.actor(), *asked.0, &[]).await
    }
}

impl Serve<organization::AddWithNetworks> for Services {
    async fn serve(
        &self,
        by: By<organization::AddWithNetworks>,
        asked: organization::AddWithNetworks,
    ) -> Result<Organization, Fault> {
        self.identity.add_organization(by.actor(), *asked.organization, &asked.networks).await
    }
}

impl Serve<organization::Set> for Services {
    async fn serve(
        &self,
        by: By<organization::Set>,
        asked: organization::Set,
    ) -> Result<Organization, Fault> {
        let organization::Set { organization, revision, change } = asked;
        self.identity.set_organization(by.actor(), &organization, revision, *change).await
    }
}

impl Serve<organization::Remove> for Services {
    async fn serve(
        &self,
        by: By<organization::Remove>,
        asked: organization::Remove,
    ) -> Result<OrganizationRemoved, Fault> {
        let organization::Remove { organization, revision, with_contents } = asked;
        self.identity.remove_organization(by.actor(), &organization, revision, with_contents).await
    }
}

impl Serve<organization::Networks> for Services {
    async fn serve(
        &self,
        by: By<organization::Networks>,
        asked: organization::Networks,
    ) -> Result<Vec<NodeNetworks>, Fault> {
        self.identity.node_networks(by.actor(), asked.organization.as_deref()).await
    }
}

impl Serve<organization::SetNetworks> for Services {
    async fn serve(
        &self,
        by: By<organization::SetNetworks>,
        asked: organization::SetNetworks,
    ) -> Result<Vec<NodeNetworks>, Fault> {
        self.identity.set_node_networks(by.actor(), &asked.organization, &asked.networks).await
    }
}

impl Serve<organization::HiddenUsage> for Services {
    async fn serve(
        &self,
        by: By<organization::HiddenUsage>,
        _: organization::HiddenUsage,
    ) -> Result<Vec<String>, Fault> {
        self.identity.hidden_usage(by.actor()).await
    }
}

impl Serve<organization::HideUsage> for Services {
    async fn serve(
        &self,
        by: By<organization::HideUsage>,
        asked: organization::HideUsage,
    ) -> Result<Vec<String>, Fault> {
        self.identity.hide_usage(by.actor(), &asked.organization, asked.hidden).await
    }
}
