//! Requests about model policy.

use aivonx_protocol::{Reply, policy::PolicyRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<PolicyRequest>) -> Answer {
    let (policies, actor) = (&services.policies, permitted.actor().clone());
    Answer::Reply(match permitted.into_request() {
        PolicyRequest::List { organization } => {
            policies.list(&actor, organization.as_deref()).await.map(Reply::Policies)
        }
        PolicyRequest::Set { organization, model, revision, change } => policies
            .set(&actor, organization.as_deref(), &model, revision, *change)
            .await
            .map(|policy| Reply::Policy(Box::new(policy))),
        PolicyRequest::Remove { organization, model } => {
            policies.remove(&actor, organization.as_deref(), &model).await.map(|()| Reply::Done)
        }
        PolicyRequest::Aliases { organization } => {
            policies.aliases(&actor, organization.as_deref()).await.map(Reply::Aliases)
        }
        PolicyRequest::SetAlias { organization, alias, models, revision } => policies
            .set_alias(&actor, organization.as_deref(), &alias, models, revision)
            .await
            .map(|alias| Reply::Alias(Box::new(alias))),
        PolicyRequest::RemoveAlias { organization, alias } => {
            policies.remove_alias(&actor, organization.as_deref(), &alias).await.map(|()| Reply::Done)
        }
    })
}
