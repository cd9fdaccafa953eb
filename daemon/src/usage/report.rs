//! Sums within somebody's reach.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use aivonx_protocol::{
    Fault, FaultKind, UnixMillis,
    usage::{ROWS_MAX, UsageBy, UsagePer, UsageRank, UsageRecord, UsageReport, UsageRow},
};

use super::{Usage, retention::kept_since};
use crate::{
    identity::now,
    store::{
        Reach, StoreError, UsageLog,
        usage::{
            Calendar, Code, DAY_MS, Group, Part, Parties, Piece, Step, UsageEntry, UsageName, UsageSums,
            Wanted,
        },
    },
    telemetry::Outcome,
};

/// Days that a report goes back where nothing else is asked for, the present one counted.
const DAYS: u32 = 30;
/// Hours of one by hours.
const HOURS: u64 = 24;
/// Months of one by months.
const MONTHS: u32 = 12;

/// Longest wait for requests that have ended and are on their way here.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The time ends before it begins.
    #[error("this time is over before it begins")]
    Empty,
    /// Hours of a time that has none.
    #[error("hours are kept for {} days only", aivonx_protocol::usage::RECORD_DAYS)]
    TooOld,
}

impl From<UsageError> for Fault {
    fn from(error: UsageError) -> Self {
        let message = error.to_string();
        match error {
            UsageError::Store(error) => error.into(),
            UsageError::Empty => Self::new(FaultKind::Invalid, message).field("until"),
            UsageError::TooOld => {
                Self::new(FaultKind::Invalid, message).field("since").hint("Ask for days instead: --per day")
            }
        }
    }
}

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
}

impl Only {
    /// Whether a record is meant.
    pub(super) fn has(&self, record: &UsageRecord) -> bool {
        let fits = |wanted: &Option<String>, found: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| Some(wanted) == found)
        };
        fits(&self.organization, record.organization_id.as_ref())
            && fits(&self.user, record.user_id.as_ref())
            && fits(&self.key, record.key_id.as_ref())
            && fits(&self.model, record.served.as_ref().or(record.model.as_ref()))
            && fits(&self.node, record.node.as_ref())
    }
}

/// The one all of it is about, as far as that is within reach.
fn whose<'a>(reach: &'a Reach, only: &'a Only) -> Option<(UsageBy, &'a str)> {
    let Only { organization, user, key, .. } = only;
    match (reach, key, user, organization) {
        (Reach::All, Some(key), ..) => Some((UsageBy::Key, key)),
        (Reach::All, None, Some(user), _) => Some((UsageBy::User, user)),
        (Reach::All, None, None, Some(organization)) => Some((UsageBy::Organization, organization)),
        (Reach::All, None, None, None) => None,
        // The names were resolved within reach, so a key or user is the organization's own.
        (Reach::Organization(own), ..) if organization.as_ref().is_some_and(|asked| asked != own) => None,
        (Reach::Organization(_), Some(key), ..) => Some((UsageBy::Key, key)),
        (Reach::Organization(_), None, Some(user), _) => Some((UsageBy::User, user)),
        (Reach::Organization(own), None, None, _) => Some((UsageBy::Organization, own)),
        (Reach::User { user: own, .. }, _, asked, _) if asked.as_ref().is_some_and(|asked| asked != own) => {
            None
        }
        (Reach::User { .. }, Some(key), ..) => Some((UsageBy::Key, key)),
        (Reach::User { user: own, .. }, None, ..) => Some((UsageBy::User, own)),
    }
}

/// What of the ledger that is.
pub(super) fn wanted(reach: &Reach, only: &Only) -> Wanted {
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
        reach: &Reach,
        only: &Only,
        (since, until): (Option<UnixMillis>, Option<UnixMillis>),
        by: Option<UsageBy>,
        per: Option<UsagePer>,
    ) -> Result<UsageReport, UsageError> {
        self.catch_up().await;
        let log = &self.inner.log;
        let range = Range::of(log.calendar(), since, until, per, now())?;
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
        let foreign = |by| by == UsageBy::Organization && matches!(reach, Reach::User { .. });
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
        reach: &Reach,
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

/// A time, and where its sums come from.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    since: UnixMillis,
    until: UnixMillis,
    pieces: Vec<Piece>,
}

impl Range {
    fn of(
        calendar: Calendar,
        since: Option<UnixMillis>,
        until: Option<UnixMillis>,
        per: Option<UsagePer>,
        now: UnixMillis,
    ) -> Result<Self, UsageError> {
        let kept = kept_since(calendar, now);
        // What a clock that was ahead has left behind is not in the future for ever.
        let tomorrow = calendar.midnight(calendar.day_of(now)) + 2 * DAY_MS;
        let end = until.unwrap_or(tomorrow).min(tomorrow);
        let shown = until.unwrap_or(now).min(tomorrow);
        if per == Some(UsagePer::Hour) {
            let since = since.unwrap_or_else(|| shown.saturating_sub((HOURS - 1) * 3_600_000));
            let since = calendar.begin(Step::Hour, since);
            if end <= kept {
                return Err(UsageError::TooOld);
            }
            let since = since.max(kept);
            if since >= end {
                return Err(UsageError::Empty);
            }
            return Ok(Self { since, until: shown, pieces: vec![Piece::Entries(since..end)] });
        }
        let since = since.unwrap_or_else(|| match per {
            Some(UsagePer::Month) => (1..MONTHS).fold(calendar.begin(Step::Month, shown), |begin, _| {
                calendar.begin(Step::Month, begin.saturating_sub(1))
            }),
            _ => calendar.begin(Step::Day, shown.saturating_sub(u64::from(DAYS - 1) * DAY_MS)),
        });
        if since >= end {
            return Err(UsageError::Empty);
        }
        // The days that are summed up as a whole, and what is left before and behind them.
        let day_of = |time| calendar.day_of(time);
        let midnight = |day| calendar.midnight(day);
        let whole = |time| time == midnight(day_of(time));
        let first = if whole(since) || since < kept { day_of(since) } else { day_of(since) + 1 };
        let last = if whole(end) || end >= kept { day_of(end) } else { day_of(end) + 1 };
        if first > last {
            return Ok(Self { since, until: shown, pieces: vec![Piece::Entries(since..end)] });
        }
        let mut pieces = Vec::new();
        if since < midnight(first) {
            pieces.push(Piece::Entries(since..midnight(first)));
        }
        if first < last {
            pieces.push(Piece::Days(first..last));
        }
        if midnight(last) < end {
            pieces.push(Piece::Entries(midnight(last)..end));
        }
        Ok(Self {
            since: since.min(midnight(first)),
            until: until.map_or(shown, |_| end.max(midnight(last))),
            pieces,
        })
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
    pub(super) fn record(&self, entry: &UsageEntry) -> UsageRecord {
        let parties = &entry.parties;
        let id = |code: Code| self.0.get(&code).map(|name| name.id.clone());
        let name = |code: Code| self.0.get(&code).map(|name| name.name.clone());
        let outcome = Outcome::ALL.get(usize::from(entry.outcome)).map_or("unknown", |o| o.name());
        UsageRecord {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = DAY_MS;
    const UTC: Calendar = Calendar::UTC;
    /// Noon of day 20 000.
    const NOW: u64 = 20_000 * DAY + DAY / 2;

    #[test]
    fn whole_days_come_from_their_sums_and_the_rest_from_requests() {
        let of = |since, until| Range::of(UTC, since, until, None, NOW).unwrap();
        let all = of(None, None);
        assert_eq!((all.since, all.until), (19_971 * DAY, NOW));
        assert_eq!(all.pieces, [Piece::Days(19_971..20_002)]);
        let ends = of(Some(19_990 * DAY + 5), Some(19_995 * DAY + 7));
        assert_eq!(
            ends.pieces,
            [
                Piece::Entries(19_990 * DAY + 5..19_991 * DAY),
                Piece::Days(19_991..19_995),
                Piece::Entries(19_995 * DAY..19_995 * DAY + 7)
            ]
        );
        assert_eq!((ends.since, ends.until), (19_990 * DAY + 5, 19_995 * DAY + 7));
        // Within a day.
        let day = of(Some(19_990 * DAY + 5), Some(19_990 * DAY + 7));
        assert_eq!(day.pieces, [Piece::Entries(19_990 * DAY + 5..19_990 * DAY + 7)]);
        // There are no requests any more: whole days instead, and that is said.
        let old = of(Some(19_900 * DAY + 5), Some(19_902 * DAY + 7));
        assert_eq!(old.pieces, [Piece::Days(19_900..19_903)]);
        assert_eq!((old.since, old.until), (19_900 * DAY, 19_903 * DAY));
        assert!(matches!(Range::of(UTC, Some(NOW), Some(NOW - 1), None, NOW), Err(UsageError::Empty)));
    }

    #[test]
    fn days_that_begin_later_are_whole_from_then_on() {
        const LATE: u64 = 5 * 3_600_000;
        let late = Calendar::new(Duration::from_millis(LATE));
        // In the small hours it is still the day before.
        let night = 20_000 * DAY + LATE - 1;
        let of = |since, until, now| Range::of(late, since, until, None, now).unwrap();
        assert_eq!(of(None, None, night).pieces, [Piece::Days(19_970..20_001)]);
        assert_eq!(of(None, None, night + 1).pieces, [Piece::Days(19_971..20_002)]);
        assert_eq!(of(None, None, night + 1).since, 19_971 * DAY + LATE);
        let utc = of(Some(19_990 * DAY), Some(19_992 * DAY), NOW);
        assert_eq!(
            utc.pieces,
            [
                Piece::Entries(19_990 * DAY..19_990 * DAY + LATE),
                Piece::Days(19_990..19_991),
                Piece::Entries(19_991 * DAY + LATE..19_992 * DAY)
            ]
        );
        let own = of(Some(19_990 * DAY + LATE), Some(19_992 * DAY + LATE), NOW);
        assert_eq!(own.pieces, [Piece::Days(19_990..19_992)]);
    }

    #[test]
    fn hours_and_months_go_back_some() {
        let hours = Range::of(UTC, None, None, Some(UsagePer::Hour), NOW).unwrap();
        assert_eq!((hours.since, hours.until), (NOW - 23 * 3_600_000, NOW));
        let old = Range::of(UTC, None, Some(19_000 * DAY), Some(UsagePer::Hour), NOW);
        assert!(matches!(old, Err(UsageError::TooOld)));
        let months = Range::of(UTC, None, None, Some(UsagePer::Month), NOW).unwrap();
        // Day 20 000 is 2024-10-04, and so it begins with 2023-11-01.
        assert_eq!(months.since, 19_662 * DAY);
    }
}
