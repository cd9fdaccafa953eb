//! Usage: who used what of the gateway, request by request and in sums.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{Network, UnixMillis, operation::operations, privacy::Category};

/// Most rows of one [`UsageReport`].
pub const ROWS_MAX: usize = 10_000;

operations! {
    /// Requests about usage. Members see their own usage, users bound to an organization that organization's, and the
    /// fleet's roles everybody's.
    Request::Usage(UsageRequest);

    /// Sums over a time.
    "usage.report" Report {
        /// Of what.
        filter: UsageFilter,
        /// A row for each of these.
        by: Option<UsageBy>,
        /// A row for each step of time.
        per: Option<UsagePer>,
    } -> UsageReport as Usage, needs UsageRead;

    /// Those that come first by some measure.
    "usage.top" Top {
        /// Of what.
        filter: UsageFilter,
        /// Who is compared.
        of: UsageBy,
        /// By what.
        rank: UsageRank,
        /// How many rows at most.
        limit: u32,
    } -> UsageReport as Usage, needs UsageRead;

    /// Requests as they end, as `Event::UsageRecords`; the times of the filter are ignored.
    "usage.watch" Watch {
        /// Which.
        filter: UsageFilter,
    } => Event, needs UsageRead;

    /// Requests that are still kept, oldest first, as `Event::UsageRecords`.
    "usage.export" Export {
        /// Which.
        filter: UsageFilter,
    } => Event, needs UsageRead;

    /// As `Report`, of requests that came from a network. Sums of days do not know addresses, so it goes no
    /// further back than single requests are kept.
    "usage.report_from" ReportFrom {
        /// The network.
        network: Network,
        /// As in `Report`.
        filter: UsageFilter,
        /// As in `Report`.
        by: Option<UsageBy>,
        /// As in `Report`.
        per: Option<UsagePer>,
    } -> UsageReport as Usage, needs UsageRead;

    /// As `Top`, of requests that came from a network.
    "usage.top_from" TopFrom {
        /// The network.
        network: Network,
        /// As in `Top`.
        filter: UsageFilter,
        /// As in `Top`.
        of: UsageBy,
        /// As in `Top`.
        rank: UsageRank,
        /// As in `Top`.
        limit: u32,
    } -> UsageReport as Usage, needs UsageRead;

    /// As `Watch`, with the address of each, as `Event::UsageRequests`.
    "usage.watch_from" WatchFrom {
        /// Only from this network.
        network: Option<Network>,
        /// As in `Watch`.
        filter: UsageFilter,
    } => Event, needs UsageRead;

    /// As `Export`, with the address of each, as `Event::UsageRequests`.
    "usage.export_from" ExportFrom {
        /// Only from this network.
        network: Option<Network>,
        /// As in `Export`.
        filter: UsageFilter,
    } => Event, needs UsageRead;

    /// What the usage ledger has lost of late, and so is in no answer; in words.
    "usage.losses" Losses -> Vec<String> as Losses, needs UsageRead;
}

impl UsageRequest {
    /// The operation that carries the network of the filter across the wire.
    pub(crate) fn sent(self) -> Self {
        match self {
            Self::Report(Report { filter, by, per }) => match filter.network {
                Some(network) => Self::ReportFrom(ReportFrom { network, filter, by, per }),
                None => Self::Report(Report { filter, by, per }),
            },
            Self::Top(Top { filter, of, rank, limit }) => match filter.network {
                Some(network) => Self::TopFrom(TopFrom { network, filter, of, rank, limit }),
                None => Self::Top(Top { filter, of, rank, limit }),
            },
            other => other,
        }
    }
}

/// Which usage is meant. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageFilter {
    /// Not before. Without it a report begins some days, hours or months ago, depending on its steps.
    pub since: Option<UnixMillis>,
    /// Before.
    pub until: Option<UnixMillis>,
    /// Of this organization, by slug or id.
    pub organization: Option<String>,
    /// Of this user, by name or id.
    pub user: Option<String>,
    /// With this key, by name (within the organization, if one is given) or id.
    pub key: Option<String>,
    /// Served by this model.
    pub model: Option<String>,
    /// Served by this node.
    pub node: Option<String>,
    /// From an address within this network. It crosses the wire beside the filter: see [`ReportFrom`].
    #[serde(skip)]
    pub network: Option<Network>,
}

/// What has a row of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    /// Each organization.
    Organization,
    /// Each user.
    User,
    /// Each key.
    Key,
    /// Each model that served.
    Model,
    /// Each node.
    Node,
}

impl UsageBy {
    /// The word for one of them.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::User => "user",
            Self::Key => "key",
            Self::Model => "model",
            Self::Node => "node",
        }
    }
}

impl fmt::Display for UsageBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Steps of time. Days and months begin where those of the limits do: at midnight UTC, or as much later as
/// `limits.day_offset` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsagePer {
    /// Hours of UTC, as far back as each request is kept.
    Hour,
    /// Days.
    Day,
    /// Months.
    Month,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageRank {
    /// Who cost the most.
    Spend,
    /// Who used the most tokens, of prompt and output.
    Tokens,
    /// Who asked the most.
    Requests,
    /// Who has the smallest part left of a limit of the day. Only those who have one.
    Remaining,
}

/// Sums over a time. Money is micro-USD: 1 USD is 1 000 000.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// When the time begins that was summed up.
    pub since: UnixMillis,
    /// When it ends.
    pub until: UnixMillis,
    /// What the rows are about.
    pub by: Option<UsageBy>,
    /// Their steps of time.
    pub per: Option<UsagePer>,
    /// All of it together.
    pub total: UsageRow,
    /// The rows, in the order of time and then the largest first. Empty if none were asked for.
    pub rows: Vec<UsageRow>,
    /// Whether rows are missing because there were too many.
    pub cut: bool,
}

/// What some requests come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// When the step of time begins.
    pub time: Option<UnixMillis>,
    /// Id of whose it is; of a model or node its name. None is nobody's.
    pub id: Option<String>,
    /// The name of that, as it was last.
    pub name: Option<String>,
    /// Requests that were let through.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of output.
    pub output_tokens: u64,
    /// Requests whose tokens the node did not count, so that they are estimated.
    pub estimated: u64,
    /// What they cost, micro-USD.
    pub spend: u64,
    /// Time until a node was chosen, milliseconds, of all requests together.
    pub queued_ms: u64,
    /// Time to the end, milliseconds, of all requests together.
    pub total_ms: u64,
    /// Personal data found in prompts.
    pub findings: BTreeMap<Category, u64>,
    /// Requests used of the day's limit, now.
    pub requests_used: Option<u64>,
    /// The limit of requests per day; None without a limit.
    pub requests_limit: Option<u64>,
    /// Micro-USD spent of the day's limit, now.
    pub spend_used: Option<u64>,
    /// The limit of micro-USD per day; None without a limit.
    pub spend_limit: Option<u64>,
}

impl UsageRow {
    /// The smallest part left of a limit of the day, in thousandths. None where there is no limit.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        let left = |used: Option<u64>, limit: Option<u64>| {
            let (used, limit) = (used.unwrap_or(0), limit?);
            Some(limit.saturating_sub(used).saturating_mul(1000).checked_div(limit).unwrap_or(0))
        };
        let requests = left(self.requests_used, self.requests_limit);
        let spend = left(self.spend_used, self.spend_limit);
        requests.into_iter().chain(spend).min()
    }
}

/// One request, or refusals that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// When it ended.
    pub time: UnixMillis,
    /// Our id of it; of refusals that are alike the last one's.
    pub request_id: String,
    /// Id of the organization.
    pub organization_id: Option<String>,
    /// Its slug.
    pub organization: Option<String>,
    /// Id of the user.
    pub user_id: Option<String>,
    /// Its name.
    pub user: Option<String>,
    /// Id of the key.
    pub key_id: Option<String>,
    /// Its name.
    pub key: Option<String>,
    /// The model asked for, if a node has it.
    pub model: Option<String>,
    /// The model that served, where it is another.
    pub served: Option<String>,
    /// The node.
    pub node: Option<String>,
    /// The route.
    pub route: String,
    /// How many are alike; 1 unless they were refused.
    pub requests: u32,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the output.
    pub output_tokens: Option<u64>,
    /// Whether these are estimates.
    pub estimated: bool,
    /// What it cost, micro-USD.
    pub spend: u64,
    /// Status of the answer.
    pub status: u16,
    /// How it ended: `complete`, `refused`, `no_node`, `node_failed`, `broken`, `client_gone`, `timed_out`, `ended`,
    /// `client_stalled`.
    pub outcome: String,
    /// Name of the limit that refused it.
    pub limit: Option<String>,
    /// Personal data found in the prompt.
    pub findings: BTreeMap<Category, u32>,
    /// From its head to the choice of a node, milliseconds.
    pub queued_ms: Option<u32>,
    /// From its head to its end, milliseconds.
    pub total_ms: u32,
}

/// One request, or refusals that are alike, with where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageFrom {
    /// The request.
    pub record: UsageRecord,
    /// Address of the client; None where it is not known any more, or refusals came from too many.
    pub address: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_the_smallest_part() {
        let row = |used, limit, spent, most| UsageRow {
            requests_used: Some(used),
            requests_limit: limit,
            spend_used: Some(spent),
            spend_limit: most,
            ..UsageRow::default()
        };
        assert_eq!(row(5, None, 7, None).remaining(), None);
        assert_eq!(row(5, Some(10), 7, None).remaining(), Some(500));
        assert_eq!(row(5, Some(10), 9_000_000, Some(10_000_000)).remaining(), Some(100));
        assert_eq!(row(12, Some(10), 0, Some(1)).remaining(), Some(0));
        assert_eq!(row(0, Some(0), 0, None).remaining(), Some(0));
    }
}
