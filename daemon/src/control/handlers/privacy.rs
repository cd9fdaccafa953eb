//! Operations on what happens to personal data in prompts.

use aivonx_protocol::{
    Fault,
    operation::Serve,
    privacy::{self, AnswerPrivacy, PrivacyReport, PrivacySettings},
};

use crate::control::{By, Services};

impl Serve<privacy::Show> for Services {
    async fn serve(&self, by: By<privacy::Show>, asked: privacy::Show) -> Result<PrivacySettings, Fault> {
        self.identity.privacy(by.actor(), asked.organization.as_deref()).await
    }
}

impl Serve<privacy::Set> for Services {
    async fn serve(&self, by: By<privacy::Set>, asked: privacy::Set) -> Result<PrivacySettings, Fault> {
        let privacy::Set { organization, mode, categories } = asked;
        self.identity.set_privacy(by.actor(), organization.as_deref(), mode, categories).await
    }
}

impl Serve<privacy::Test> for Services {
    async fn serve(&self, by: By<privacy::Test>, asked: privacy::Test) -> Result<PrivacyReport, Fault> {
        self.identity.test_privacy(by.actor(), asked.organization.as_deref(), asked.text).await
    }
}

impl Serve<privacy::Answers> for Services {
    async fn serve(&self, by: By<privacy::Answers>, asked: privacy::Answers) -> Result<AnswerPrivacy, Fault> {
        self.identity.answers(by.actor(), asked.organization.as_deref()).await
    }
}

impl Serve<privacy::SetAnswers> for Services {
    async fn serve(
        &self,
        by: By<privacy::SetAnswers>,
        asked: privacy::SetAnswers,
    ) -> Result<AnswerPrivacy, Fault> {
        self.identity.set_answers(by.actor(), asked.organization.as_deref(), asked.answers).await
    }
}
