//! One method per request about keys and sealed secrets. Errors of all of them: see [`Client::call`].

use super::{Client, ClientError, calls::ask};
use crate::{
    Reply, Request,
    job::Job,
    secrets::{Check, SecretsRequest, SecretsStatus},
};

/// The keys that secrets are kept under.
impl Client {
    /// Which keys there are and what they are needed for.
    pub async fn secrets_status(&self) -> Result<SecretsStatus, ClientError> {
        ask!(self, Request::Secrets(SecretsRequest::Status), Reply::Secrets(status) => *status)
    }

    /// Looks whether all is in order.
    pub async fn secrets_validate(&self) -> Result<Vec<Check>, ClientError> {
        ask!(self, Request::Secrets(SecretsRequest::Validate), Reply::Checks(checks) => checks)
    }

    /// Begins to replace the data keys, and peppers and signing keys if asked to. Follow the job for progress.
    pub async fn secrets_rotate(
        &self,
        peppers: bool,
        signing: bool,
        deadline_ms: Option<u64>,
    ) -> Result<Job, ClientError> {
        let request = Request::Secrets(SecretsRequest::Rotate { peppers, signing, deadline_ms });
        ask!(self, request, Reply::Job(job) => *job)
    }
}
