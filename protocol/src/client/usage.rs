//! One method per request about usage. Errors of all of them: see [`Client::call`] and [`Client::stream`].

use super::{Client, ClientError, EventStream, calls::ask};
use crate::{
    Reply, Request,
    usage::{UsageBy, UsageFilter, UsagePer, UsageRank, UsageReport, UsageRequest},
};

/// Usage.
impl Client {
    /// Sums over a time, with a row for each of `by` and each step of `per`.
    pub async fn usage_report(
        &self,
        filter: UsageFilter,
        by: Option<UsageBy>,
        per: Option<UsagePer>,
    ) -> Result<UsageReport, ClientError> {
        let request = match filter.network {
            Some(network) => UsageRequest::ReportFrom { network, filter, by, per },
            None => UsageRequest::Report { filter, by, per },
        };
        ask!(self, Request::Usage(request), Reply::Usage(report) => *report)
    }

    /// What the ledger has lost of late, in words.
    pub async fn usage_losses(&self) -> Result<Vec<String>, ClientError> {
        ask!(self, Request::Usage(UsageRequest::Losses), Reply::Losses(lost) => lost)
    }

    /// Those that come first.
    pub async fn usage_top(
        &self,
        filter: UsageFilter,
        of: UsageBy,
        rank: UsageRank,
        limit: u32,
    ) -> Result<UsageReport, ClientError> {
        let request = match filter.network {
            Some(network) => UsageRequest::TopFrom { network, filter, of, rank, limit },
            None => UsageRequest::Top { filter, of, rank, limit },
        };
        ask!(self, Request::Usage(request), Reply::Usage(report) => *report)
    }

    /// Requests as they end, until the stream is dropped.
    pub async fn usage_watch(&self, filter: UsageFilter) -> Result<EventStream, ClientError> {
        self.stream(Request::Usage(UsageRequest::WatchFrom { network: filter.network, filter })).await
    }

    /// Requests that are still kept, oldest first.
    pub async fn usage_export(&self, filter: UsageFilter) -> Result<EventStream, ClientError> {
        self.stream(Request::Usage(UsageRequest::ExportFrom { network: filter.network, filter })).await
    }
}
