//! Requests about personal data in prompts.

use aivonx_protocol::{Reply, privacy::PrivacyRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<PrivacyRequest>) -> Answer {
    let (identity, actor) = (&services.identity, permitted.actor().clone());
    let one = |settings| Reply::Privacy(Box::new(settings));
    Answer::Reply(match permitted.into_request() {
        PrivacyRequest::Show { organization } => {
            identity.privacy(&actor, organization.as_deref()).await.map(one)
        }
        PrivacyRequest::Set { organization, mode, categories } => {
            identity.set_privacy(&actor, organization.as_deref(), mode, categories).await.map(one)
        }
        PrivacyRequest::Test { organization, text } => {
            let report = identity.test_privacy(&actor, organization.as_deref(), text).await;
            report.map(|report| Reply::PrivacyReport(Box::new(report)))
        }
    })
}
