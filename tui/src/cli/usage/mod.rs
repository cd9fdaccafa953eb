//! `aivonx usage ...`

mod export;
mod table;

use aivonx_protocol::{
    Event, Network, UnixMillis,
    usage::{self, UsageBy, UsageFilter, UsageFrom, UsagePer, UsageRank, UsageRecord},
};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Zoned;
use serde::Serialize;

use super::{Context, tell_lost};
use crate::{cli::logs::Missed, exit::Failure, time_arg};

/// Rows of `usage top` where nothing else is asked for.
const LINES: u32 = 20;

/// What can be asked about usage.
#[derive(Debug, Subcommand)]
pub enum UsageVerb {
    /// Requests, tokens and money over a time
    Show(ShowArgs),
    /// Who used most today, or has least left
    Top(TopArgs),
    /// Requests as they end, until interrupted
    Watch(WatchArgs),
    /// The requests that are kept (of 14 days by default), or sums (of 400), as CSV or JSON lines
    Export(ExportArgs),
}

/// Whose usage is meant.
#[derive(Debug, Default, Args)]
pub struct UsageOwner {
    /// Of this organization, by slug or id
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
    /// Of this user, by name or id
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// With this API key, by name (with --org) or id
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Served by this model
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Served by this node
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// From this address, or from one within this network (CIDR); as far back as single requests are kept
    #[arg(long, value_name = "CIDR")]
    pub address: Option<Network>,
}

/// Which time is meant.
#[derive(Debug, Default, Args)]
pub struct Times {
    /// The beginning, as [`time_arg::since`] reads it.
    #[arg(long, short = 'S', value_name = "TIME", value_parser = time, help = time_arg::SINCE)]
    pub since: Option<UnixMillis>,
    /// Before, in the same forms
    #[arg(long, short = 'U', value_name = "TIME", value_parser = time)]
    pub until: Option<UnixMillis>,
}

fn time(text: &str) -> Result<UnixMillis, String> {
    time_arg::since(text, &Zoned::now())
}

/// [`UsageBy`] as clap sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Organizations.
    Org,
    /// Users.
    User,
    /// API keys.
    Key,
    /// Models.
    Model,
    /// Nodes.
    Node,
}

impl From<By> for UsageBy {
    fn from(by: By) -> Self {
        match by {
            By::Org => Self::Organization,
            By::User => Self::User,
            By::Key => Self::Key,
            By::Model => Self::Model,
            By::Node => Self::Node,
        }
    }
}

/// [`UsagePer`] as clap sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Per {
    /// Hours.
    Hour,
    /// Days.
    Day,
    /// Months.
    Month,
}

impl From<Per> for UsagePer {
    fn from(per: Per) -> Self {
        match per {
            Per::Hour => Self::Hour,
            Per::Day => Self::Day,
            Per::Month => Self::Month,
        }
    }
}

/// [`UsageRank`] as clap sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rank {
    /// Money.
    Spend,
    /// Tokens.
    Tokens,
    /// Requests.
    Requests,
    /// What is left of a limit.
    Remaining,
}

impl From<Rank> for UsageRank {
    fn from(rank: Rank) -> Self {
        match rank {
            Rank::Spend => Self::Spend,
            Rank::Tokens => Self::Tokens,
            Rank::Requests => Self::Requests,
            Rank::Remaining => Self::Remaining,
        }
    }
}

/// `usage show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Whose
    #[command(flatten)]
    pub whose: UsageOwner,
    /// When
    #[command(flatten)]
    pub times: Times,
    /// A row for each of these: org, user, key, model, node
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true)]
    pub by: Option<By>,
    /// A row for each step of time (UTC): hour (as far back as single requests are kept), day, month
    #[arg(long, value_enum, value_name = "STEP", hide_possible_values = true)]
    pub per: Option<Per>,
}

/// `usage top`
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Whose
    #[command(flatten)]
    pub whose: UsageOwner,
    /// When
    #[command(flatten)]
    pub times: Times,
    /// Who is compared: org, user, key, model, node
    #[arg(long, value_enum, value_name = "WHAT", default_value = "key", hide_possible_values = true)]
    pub of: By,
    /// What counts: spend, tokens, requests, or remaining (least left of a limit of the day)
    #[arg(long, value_enum, value_name = "MEASURE", default_value = "tokens", hide_possible_values = true)]
    pub by: Rank,
    /// At most so many [default: 20]
    #[arg(long, short = 'n', value_name = "N")]
    pub lines: Option<u32>,
}

/// `usage watch`
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Whose
    #[command(flatten)]
    pub whose: UsageOwner,
}

/// `usage export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Whose
    #[command(flatten)]
    pub whose: UsageOwner,
    /// When
    #[command(flatten)]
    pub times: Times,
    /// csv is for spreadsheets, jsonl has one JSON object a line
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "csv", hide_possible_values = true)]
    pub format: export::Format,
    /// Sums with a row for each of these instead of requests: org, user, key, model, node
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true)]
    pub by: Option<By>,
    /// Sums with a row for each step of time (UTC) instead of requests: hour, day, month
    #[arg(long, value_enum, value_name = "STEP", hide_possible_values = true)]
    pub per: Option<Per>,
}

/// A request as it is printed: the address is one of its fields.
#[derive(Debug, Serialize)]
pub struct Flat<'r> {
    #[serde(flatten)]
    record: &'r UsageRecord,
    address: Option<&'r str>,
}

impl<'r> From<&'r UsageFrom> for Flat<'r> {
    fn from(request: &'r UsageFrom) -> Self {
        Self { record: &request.record, address: request.address.as_deref() }
    }
}

fn filter(whose: UsageOwner, times: &Times) -> UsageFilter {
    UsageFilter {
        since: times.since,
        until: times.until,
        organization: whose.organization,
        user: whose.user,
        key: whose.key,
        model: whose.model,
        node: whose.node,
        network: whose.address,
    }
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: UsageVerb) -> Result<(), Failure> {
    match verb {
        UsageVerb::Show(ShowArgs { whose, times, by, per }) => {
            let client = context.client().await?;
            let (by, per) = (by.map(Into::into), per.map(Into::into));
            let report = client.ask(usage::Report { filter: filter(whose, &times), by, per }).await?;
            tell_lost(client.ask(usage::Losses).await);
            context.out.show(&report, |out| table::report(out, &report))
        }
        UsageVerb::Top(TopArgs { whose, times, of, by, lines }) => {
            let client = context.client().await?;
            let lines = lines.unwrap_or(LINES);
            let report = client
                .ask(usage::Top {
                    filter: filter(whose, &times),
                    of: of.into(),
                    rank: by.into(),
                    limit: lines,
                })
                .await?;
            tell_lost(client.ask(usage::Losses).await);
            context.out.show(&report, |out| table::report(out, &report))
        }
        UsageVerb::Watch(args) => watch(context, args).await,
        UsageVerb::Export(args) => export::run(context, args).await,
    }
}

async fn watch(context: &mut Context, args: WatchArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    let filter = filter(args.whose, &Times::default());
    let mut stream = client.follow(usage::WatchFrom { network: filter.network, filter }).await?;
    let out = &mut context.out;
    while let Some(step) = stream.next().await {
        match step? {
            Event::UsageRequests(requests) => {
                for request in &requests {
                    if out.is_json() {
                        out.json_line(&Flat::from(request))?;
                    } else {
                        let line = out.paint(&table::line(request, &out.zone), table::tone(&request.record));
                        out.line(line)?;
                    }
                }
            }
            Event::UsageMissed(missed) if out.is_json() => out.json_line(&Missed { missed })?,
            Event::UsageMissed(_) => out.line("-- some requests were missed: this reader was too slow --")?,
            _ => {}
        }
    }
    Err(Failure::Lost("the daemon ended the stream of usage".to_owned()))
}
