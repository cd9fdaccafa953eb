//! Sums within somebody's reach.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use aivonx_domain::{Outcome, TenantScope, now};
use aivonx_protocol::{
    Network, UnixMillis,
    usage::{ROWS_MAX, UsageBy, UsageFrom, UsagePer, UsageRank, UsageRecord, UsageReport, UsageRow},
};
use aivonx_store::{
    StoreError, UsageLog,
    usage::{Code, Group, Part, Parties, Step, UsageEntry, UsageName, UsageSums, Wanted},
};

use super::{
    Usage,
    error::UsageError,
    range::{Asked, Range},
};

/// Longest wait for requests that have ended and are on their way here.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// Which of the usage within reach is meant, by ids; models and nodes by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// Of this organization.
    pub organization: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// With this key.
    pub key: Option<String>,
    /// Served by this model.
    pub model: Option<String>,
    /// Served by this node.
    pub node: Option<String>,
    /// From an address within this network.
    pub network: Option<Network>,
}

impl Only {
    /// Whether a record is meant.
    pub(super) fn has(&self, UsageFrom { record, address }: &UsageFrom) -> bool {
        let fits = |wanted: &Option<String>, found: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| Some(wanted) == found)
        };
        fits(&self.organization, record.organization_id.as_ref())
            && fits(&self.user, record.user_id.as_ref())
            && fits(&self.key, record.key_id.as_ref())
            && fits(&self.model, record.served.as_ref().or(record.model.as_ref()))
            && fits(&self.node, record.node.as_ref())
            && self.network.is_none_or(|network| {
                address.as_ref().is_some_and(|address| address.parse().is_ok_and(|ip| network.contains(ip)))
            })
    }
}

/// The one all of it is about, as far as that is within reach.
fn whose<'a>(reach: &'a TenantScope, only: &'a Only) -> Option<(UsageBy, &'a str)> {
    let Only { organization, user, key, .. } = only;
    match (reach, key, user, organization) {
        (TenantScope::All, Some(key), ..) => Some((UsageBy::Key, key)),
        (TenantScope::All, None, Some(user), _) => Some((UsageBy::User, user)),
        (TenantScope::All, None, None, Some(organization)) => Some((UsageBy::Organization, organization)),
        (TenantScope::All, None, None, None) => None,
        // The names were resolved within reach, so a key or user is the organization's own.
        (TenantScope::Organization(own), ..) if organization.as_ref().is_some_and(|asked| asked != own) => {
            None
        }
        (TenantScope::Organization(_), Some(key), ..) => Some((UsageBy::Key, key)),
        (TenantScope::Organization(_), None, Some(user), _) => Some((UsageBy::User, user)),
        (TenantScope::Organization(own), None, None, _) => Some((UsageBy::Organization, own)),
        (TenantScope::User { user: own, .. }, _, asked, _)
            if asked.as_ref().is_some_and(|asked| asked != own) =>
        {
            None
        }
        (TenantScope::User { .. }, Some(key), ..) => Some((UsageBy::Key, key)),
        (TenantScope::User { user: own, .. }, None, ..) => Some((UsageBy::User, own)),
    }
}

/// What of the ledger that is.
pub(super) fn wanted(reach: &TenantScope, only: &Only) -> Wanted {
    [
        (Part::Organization, &only.organization),
        (Part::User, &only.user),
        (Part::Key, &only.key),
        (Part::Model, &only.model),
        (Part::Node, &only.node),
    ]
    .into_iter()
    .filter_map(|(part, id)| Some((part, id.as_deref()?)))
    .fold(Wanted::within(reach), |wanted, (part, id)| wanted.only(part, id))
    .only_from(only.network)
}

impl Usage {
    /// Sums over the time from `since` to before `until`, with a row for each of `by` and each step of `per`.
    /// Without `since` it goes back some steps. What is older than single requests is kept for begins and ends
    /// with whole days.
    ///
    /// # Errors
    /// [`UsageError`].
    pub async fn report(
        &self,
        reach: &TenantScope,
        only: &Only,
        (since, until): (Option<UnixMillis>, Option<UnixMillis>),
        by: Option<UsageBy>,
        per: Option<UsagePer>,
    ) -> Result<UsageReport, UsageError> {
        self.catch_up().await;
        let log = &self.inner.log;
        let asked = Asked { since, until, per, single: only.network.is_some() };
        let range = Range::of(log.calendar(), self.inner.keep, asked, now())?;
        let group = Group { by: by.map(part), per: per.map(step) };
        let summed = log.sum(wanted(reach, only), range.pieces, group, ROWS_MAX).await?;
        let mut names = Names::default();
        names.learn_codes(log, summed.groups.keys().map(|(_, code)| *code)).await?;
        let mut rows: Vec<UsageRow> = Vec::new();
        if by.is_some() || per.is_some() {
            rows = summed
                .groups
                .into_iter()
                .map(|((time, code), sums)| {
                    let name = names.0.get(&code);
                    // One whose name was lost is still not nobody's.
                    let lost = || (code != Code::NONE).then(|| "unknown".to_owned());
                    UsageRow {
                        time,
                        id: name.map(|name| name.id.clone()).or_else(lost),
                        name: name.map(|name| name.name.clone()).or_else(lost),
                        ..row(sums)
                    }
                })
                .collect();
            rows.sort_by_cached_key(|row| {
                let most = (row.spend, row.prompt_tokens + row.output_tokens, row.requests);
                (row.time, Reverse(most), row.name.is_none(), row.name.clone())
            });
        }
        // Whose limits they are; nothing else has any. What the others of its organization use is not a member's
        // business.
        let foreign = |by| by == UsageBy::Organization && matches!(reach, TenantScope::User { .. });
        if let Some(by) = by.filter(|by| !foreign(*by)) {
            for row in &mut rows {
                let bound = row.id.as_deref().and_then(|id| self.inner.bounds.of(by, id));
                bound.iter().for_each(|bound| bound.fill(row));
            }
        }
        let mut total = row(summed.total);
        if let Some((by, id)) = whose(reach, only)
            && let Some(bound) = self.inner.bounds.of(by, id)
        {
            bound.fill(&mut total);
        }
        Ok(UsageReport { since: range.since, until: range.until, by, per, total, rows, cut: summed.cut })
    }

    /// As [`Self::report`] by `of`, for the present day where nothing else is asked for: those that come first by
    /// `rank`, at most `limit`.
    ///
    /// # Errors
    /// [`UsageError`].
    pub async fn top(
        &self,
        reach: &TenantScope,
        only: &Only,
        (since, until): (Option<UnixMillis>, Option<UnixMillis>),
        of: UsageBy,
        rank: UsageRank,
        limit: u32,
    ) -> Result<UsageReport, UsageError> {
        let since =
            since.unwrap_or_else(|| self.inner.log.calendar().begin(Step::Day, until.unwrap_or_else(now)));
        let mut report = self.report(reach, only, (Some(since), until), Some(of), None).await?;
        match rank {
            UsageRank::Spend => {}
            UsageRank::Tokens => {
                report.rows.sort_by_key(|row| Reverse(row.prompt_tokens + row.output_tokens));
            }
            UsageRank::Requests => report.rows.sort_by_key(|row| Reverse(row.requests + row.refused)),
            UsageRank::Remaining => {
                report.rows.retain(|row| row.remaining().is_some());
                report.rows.sort_by_key(UsageRow::remaining);
            }
        }
        report.cut |= report.rows.len() > limit as usize;
        report.rows.truncate(limit as usize);
        Ok(report)
    }

    /// Waits for what has ended and is on its way here, and has it written.
    pub(super) async fn catch_up(&self) {
        if let Some(access) = &self.inner.access {
            let until = tokio::time::Instant::now() + ON_THE_WAY;
            while access.waiting() > 0 && tokio::time::Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        self.flush().await;
    }
}

fn part(by: UsageBy) -> Part {
    match by {
        UsageBy::Organization => Part::Organization,
        UsageBy::User => Part::User,
        UsageBy::Key => Part::Key,
        UsageBy::Model => Part::Model,
        UsageBy::Node => Part::Node,
    }
}

fn step(per: UsagePer) -> Step {
    match per {
        UsagePer::Hour => Step::Hour,
        UsagePer::Day => Step::Day,
        UsagePer::Month => Step::Month,
    }
}

fn row(sums: UsageSums) -> UsageRow {
    UsageRow {
        requests: sums.requests,
        failed: sums.failed,
        refused: sums.refused,
        prompt_tokens: sums.prompt,
        output_tokens: sums.output,
        estimated: sums.estimated,
        spend: sums.cost,
        queued_ms: sums.queued_ms,
        total_ms: sums.total_ms,
        findings: sums.findings,
        ..UsageRow::default()
    }
}

/// Names looked up so far.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Code, UsageName>);

impl Names {
    /// Looks up what is not known yet.
    async fn learn_codes(
        &mut self,
        log: &UsageLog,
        codes: impl Iterator<Item = Code>,
    ) -> Result<(), StoreError> {
        let mut codes: Vec<_> =
            codes.filter(|code| *code != Code::NONE && !self.0.contains_key(code)).collect();
        codes.sort_unstable();
        codes.dedup();
        if !codes.is_empty() {
            self.0.extend(log.names(codes).await?);
        }
        Ok(())
    }

    pub(super) async fn learn<'p>(
        &mut self,
        log: &UsageLog,
        parties: impl Iterator<Item = &'p Parties>,
    ) -> Result<(), StoreError> {
        let codes = parties.flat_map(|p| [p.organization, p.user, p.key, p.model, p.served, p.node, p.route]);
        self.learn_codes(log, codes).await
    }

    /// An entry with its names.
    pub(super) fn record(&self, entry: &UsageEntry) -> UsageFrom {
        let parties = &entry.parties;
        let id = |code: Code| self.0.get(&code).map(|name| name.id.clone());
        let name = |code: Code| self.0.get(&code).map(|name| name.name.clone());
        let outcome = Outcome::ALL.get(usize::from(entry.outcome)).map_or("unknown", |o| o.name());
        let address = entry.address.map(|address| address.to_string());
        let record = UsageRecord {
            time: entry.time,
            request_id: entry.request.to_string(),
            organization_id: id(parties.organization),
            organization: name(parties.organization),
            user_id: id(parties.user),
            user: name(parties.user),
            key_id: id(parties.key),
            key: name(parties.key),
            model: name(parties.model),
            served: name(parties.served),
            node: name(parties.node),
            route: name(parties.route).unwrap_or_else(|| "unknown".to_owned()),
            requests: entry.times,
            prompt_tokens: entry.prompt,
            output_tokens: entry.output,
            estimated: entry.estimated,
            spend: entry.cost,
            status: entry.status,
            outcome: outcome.to_owned(),
            limit: entry.limit.map(|limit| limit.name().to_owned()),
            findings: entry.findings.clone(),
            queued_ms: entry.queued_ms,
            total_ms: entry.total_ms,
        };
        UsageFrom { record, address }
    }
}
