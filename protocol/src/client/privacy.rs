//! One method per request about personal data in prompts. Errors of all of them: see [`Client::call`].

use super::{Client, ClientError, calls::ask};
use crate::{
    Reply, Request, WireSecret,
    organization::PrivacyMode,
    privacy::{Category, PrivacyReport, PrivacyRequest, PrivacySettings},
};

/// Personal data in prompts.
impl Client {
    /// What happens to it.
    pub async fn privacy_show(&self, organization: Option<String>) -> Result<PrivacySettings, ClientError> {
        let request = PrivacyRequest::Show { organization };
        ask!(self, Request::Privacy(request), Reply::Privacy(settings) => *settings)
    }

    /// Changes what is given; no categories are all.
    pub async fn privacy_set(
        &self,
        organization: Option<String>,
        mode: Option<PrivacyMode>,
        categories: Option<Vec<Category>>,
    ) -> Result<PrivacySettings, ClientError> {
        let request = PrivacyRequest::Set { organization, mode, categories };
        ask!(self, Request::Privacy(request), Reply::Privacy(settings) => *settings)
    }

    /// What would become of a text.
    pub async fn privacy_test(
        &self,
        organization: Option<String>,
        text: WireSecret,
    ) -> Result<PrivacyReport, ClientError> {
        let request = PrivacyRequest::Test { organization, text };
        ask!(self, Request::Privacy(request), Reply::PrivacyReport(report) => *report)
    }
}
