//! One method per request about the audit log. Errors of all of them: see [`Client::call`] and
//! [`Client::stream`].

use super::{Client, ClientError, EventStream, calls::ask};
use crate::{
    Reply, Request,
    audit::{
        AuditEntry, AuditFilter, AuditKey, AuditPage, AuditRequest, AuditVerdict, Checkpoint, ExportFormat,
    },
};

/// The audit log.
impl Client {
    /// Entries that pass the filter, newest first unless `oldest_first`; `cursor` as the page before said.
    pub async fn audit_list(
        &self,
        filter: AuditFilter,
        cursor: Option<u64>,
        limit: u32,
        oldest_first: bool,
    ) -> Result<AuditPage, ClientError> {
        let request = AuditRequest::List { filter, cursor, limit, oldest_first }.sent();
        ask!(self, Request::Audit(request), Reply::AuditPage(page) => page)
    }

    /// What the log has lost of late, in words.
    pub async fn audit_losses(&self) -> Result<Vec<String>, ClientError> {
        ask!(self, Request::Audit(AuditRequest::Losses), Reply::Losses(lost) => lost)
    }

    /// One entry.
    pub async fn audit_show(&self, seq: u64) -> Result<AuditEntry, ClientError> {
        ask!(self, Request::Audit(AuditRequest::Show { seq }), Reply::AuditEntry(entry) => *entry)
    }

    /// The newest `lines` entries that pass the filter, then every new one, until the stream is dropped.
    pub async fn audit_follow(&self, filter: AuditFilter, lines: u32) -> Result<EventStream, ClientError> {
        self.stream(Request::Audit(AuditRequest::Follow { filter, lines }.sent())).await
    }

    /// Walks the chain and compares it with published checkpoints.
    pub async fn audit_verify(&self, anchors: Vec<Checkpoint>) -> Result<AuditVerdict, ClientError> {
        let request = Request::Audit(AuditRequest::Verify { anchors });
        ask!(self, request, Reply::AuditVerdict(verdict) => *verdict)
    }

    /// The same, with how far it is on the way.
    pub async fn audit_walk(&self, anchors: Vec<Checkpoint>) -> Result<EventStream, ClientError> {
        self.stream(Request::Audit(AuditRequest::Walk { anchors })).await
    }

    /// The bytes of an export, then its signature.
    pub async fn audit_export(
        &self,
        filter: AuditFilter,
        format: ExportFormat,
    ) -> Result<EventStream, ClientError> {
        self.stream(Request::Audit(AuditRequest::Export { filter, format }.sent())).await
    }

    /// The public keys that checkpoints and exports are signed with.
    pub async fn audit_keys(&self) -> Result<Vec<AuditKey>, ClientError> {
        ask!(self, Request::Audit(AuditRequest::Keys), Reply::AuditKeys(keys) => keys)
    }

    /// A checkpoint of the log as it is now, for safe keeping.
    pub async fn audit_checkpoint(&self) -> Result<Checkpoint, ClientError> {
        let request = Request::Audit(AuditRequest::Checkpoint);
        ask!(self, request, Reply::AuditCheckpoint(checkpoint) => *checkpoint)
    }
}
