//! Operations on what happens to personal data in prompts.

use aivonx_protocol::{
    Fault,
    operation::Serve,
    privacy::{self, AnswerPrivacy, Pattern, PrivacyReport, PrivacySettings},
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

impl Serve<privacy::Patterns> for Services {
    async fn serve(
        &self,
        by: By<privacy::Patterns>,
        asked: privacy::Patterns,
    ) -> Result<Vec<Pattern>, Fault> {
        self.identity.patterns(by.actor(), asked.organization.as_deref()).await
    }
}

impl Serve<privacy::AddPattern> for Services {
    async fn serve(&self, by: By<privacy::AddPattern>, asked: privacy::AddPattern) -> Result<Pattern, Fault> {
        self.identity.add_pattern(by.actor(), asked.organization.as_deref(), asked.pattern).await
    }
}

impl Serve<privacy::RemovePattern> for Services {
    async fn serve(
        &self,
        by: By<privacy::RemovePattern>,
        asked: privacy::RemovePattern,
    ) -> Result<(), Fault> {
        self.identity.remove_pattern(by.actor(), asked.organization.as_deref(), &asked.name).await
    }
}
