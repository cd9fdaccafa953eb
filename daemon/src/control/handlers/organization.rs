//! Requests about organizations.

use aivonx_protocol::{Reply, organization::OrganizationRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<OrganizationRequest>) -> Answer {
    let (identity, actor) = (&services.identity, permitted.actor().clone());
    let one = |organization| Reply::Organization(Box::new(organization));
    Answer::Reply(match permitted.into_request() {
        OrganizationRequest::List => identity.organizations(&actor).await.map(Reply::Organizations),
        OrganizationRequest::Show { organization } => {
            identity.organization(&actor, &organization).await.map(one)
        }
        OrganizationRequest::Add(new) => identity.add_organization(&actor, *new).await.map(one),
        OrganizationRequest::Set { organization, revision, change } => {
            identity.set_organization(&actor, &organization, revision, *change).await.map(one)
        }
        OrganizationRequest::Remove { organization, revision, with_contents } => identity
            .remove_organization(&actor, &organization, revision, with_contents)
            .await
            .map(Reply::OrganizationRemoved),
        OrganizationRequest::Networks { organization } => {
            identity.node_networks(&actor, organization.as_deref()).await.map(Reply::NodeNetworks)
        }
        OrganizationRequest::SetNetworks { organization, networks } => {
            identity.set_node_networks(&actor, &organization, &networks).await.map(Reply::NodeNetworks)
        }
    })
}
