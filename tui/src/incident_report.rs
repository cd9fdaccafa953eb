//! What happened in an incident, and what was done about it: a template for the lessons learned.

use std::collections::BTreeMap;

use aivonx_protocol::{
    UnixMillis,
    audit::{self, Action, AuditEntry, AuditFilter, Outcome, PAGE_MAX},
    block,
    client::{Client, ClientError},
    incident,
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::render::text::{self, safe};

/// Most entries of the timeline; what is left out is counted.
const TIMELINE_MAX: usize = 500;

/// What happened, and what was done about it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// From when on.
    since: UnixMillis,
    /// When it was made.
    until: UnixMillis,
    /// What looked like an attack.
    findings: Vec<incident::Finding>,
    /// Entries about security by who did it.
    actors: BTreeMap<String, u64>,
    /// The same by address.
    addresses: BTreeMap<String, u64>,
    /// What administrators did about it.
    measures: Vec<AuditEntry>,
    /// Who is blocked now.
    blocks: Vec<block::Block>,
    /// Entries about security, oldest first.
    timeline: Vec<AuditEntry>,
    /// Entries that are left out of the timeline.
    left_out: u64,
    /// When `aivonx check --isolation` ran, by what its runs are called. What it tried is in none of the above.
    isolation_checks: BTreeMap<String, UnixMillis>,
}

/// Gathers all of it, of the time from `since` on.
///
/// # Errors
/// Why not.
pub async fn gather(client: &Client, since: UnixMillis) -> Result<Report, ClientError> {
    let findings = client.ask(incident::Detect { since: Some(since) }).await?;
    let blocks = client.ask(block::List).await?;
    let actions = Action::ALL.iter().copied().filter(|action| action.is_security() || is_measure(*action));
    let filter = AuditFilter { since: Some(since), actions: actions.collect(), ..AuditFilter::default() };
    let mut report = Report { since, until: text::now(), findings, blocks, ..Report::default() };
    let mut cursor = None;
    loop {
        let filter = filter.clone();
        let page = client.ask(audit::List { filter, cursor, limit: PAGE_MAX, oldest_first: true }).await?;
        page.entries.into_iter().for_each(|entry| report.add(entry));
        if page.next.is_none() || page.next == cursor {
            break;
        }
        cursor = page.next;
    }
    Ok(report)
}

/// Whether administrators do it against an attack.
fn is_measure(action: Action) -> bool {
    matches!(
        action,
        Action::Disable
            | Action::Enable
            | Action::KeyRevoke
            | Action::KeyRotate
            | Action::TokenRevoke
            | Action::PasswordReset
            | Action::TotpChange
            | Action::SecretsRotate
            | Action::RequestCancel
            | Action::LockoutCleared
    )
}

/// How what `aivonx check --isolation` makes is called.
const ISOLATION_CHECK: &str = "isolation-check";

/// What the run of `aivonx check --isolation` is called that an entry is of. Nobody else is without uid and address.
fn isolation_check(entry: &AuditEntry) -> Option<&str> {
    let is_daemon = entry.source.uid.is_none() && entry.source.address.is_none();
    if !is_daemon || !entry.actor.name.starts_with(ISOLATION_CHECK) {
        return None;
    }
    let object = entry.object.as_ref().and_then(|object| object.name.as_deref());
    let mut names = [Some(entry.actor.name.as_str()), object].into_iter().flatten();
    // isolation-check-a-SUFFIX, and what is in that organization.
    Some(names.find_map(|name| name.strip_prefix(ISOLATION_CHECK)?.get(3..19)).unwrap_or_default())
}

impl Report {
    fn add(&mut self, entry: AuditEntry) {
        if let Some(run) = isolation_check(&entry) {
            // The oldest comes first.
            if !run.is_empty() {
                self.isolation_checks.entry(run.to_owned()).or_insert(entry.time);
            }
            return;
        }
        *self.actors.entry(entry.actor.name.clone()).or_default() += 1;
        if let Some(address) = &entry.source.address {
            *self.addresses.entry(address.clone()).or_default() += 1;
        }
        if is_measure(entry.action) && entry.outcome == Outcome::Ok {
            self.measures.push(entry.clone());
        }
        if self.timeline.len() < TIMELINE_MAX {
            self.timeline.push(entry);
        } else {
            self.left_out += 1;
        }
    }

    /// Its heading.
    #[must_use]
    pub fn title(&self, zone: &TimeZone) -> String {
        format!("Incident report, {} to {}", text::time(self.since, zone), text::time(self.until, zone))
    }

    /// Its sections, each with its lines. Escaped.
    #[must_use]
    pub fn sections(&self, zone: &TimeZone) -> Vec<(&'static str, Vec<String>)> {
        let entries =
            |all: &[AuditEntry]| -> Vec<String> { all.iter().map(|entry| line(entry, zone)).collect() };
        let fixed = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let blocked = |block: &block::Block| {
            format!("{} {}: {}", block.of.as_str(), safe(&block.target), safe(&block.reason))
        };
        let checks = self.isolation_checks.values();
        let checks = checks.map(|at| (*at, format!("{} isolation check ran", text::time(*at, zone))));
        let mut timeline: Vec<(UnixMillis, String)> =
            self.timeline.iter().map(|entry| (entry.time, line(entry, zone))).chain(checks).collect();
        timeline.sort_by_key(|(at, _)| *at);
        let mut timeline: Vec<String> = timeline.into_iter().map(|(_, line)| line).collect();
        timeline.extend((self.left_out > 0).then(|| {
            format!("... and {} more: aivonx audit list --since {}", self.left_out, stamp(self.since))
        }));
        vec![
            ("Summary", fixed(&SUMMARY)),
            ("What was detected", self.findings.iter().map(|found| safe(&found.finding)).collect()),
            ("Actors", counted(&self.actors)),
            ("Addresses", counted(&self.addresses)),
            ("Counter-measures", entries(&self.measures)),
            ("Blocked now", self.blocks.iter().map(blocked).collect()),
            ("Timeline", timeline),
            ("Lessons learned", fixed(&LESSONS)),
        ]
    }

    /// All of it as Markdown, to be filled in.
    #[must_use]
    pub fn lines(&self, zone: &TimeZone) -> Vec<String> {
        let mut out = vec![format!("# {}", self.title(zone))];
        for (title, lines) in self.sections(zone) {
            out.extend([String::new(), format!("## {title}"), String::new()]);
            if lines.is_empty() {
                out.push("- nothing".to_owned());
            }
            out.extend(lines.into_iter().map(|line| format!("- {line}")));
        }
        out
    }
}

/// What is filled in first.
const SUMMARY: [&str; 2] = ["What happened, in two sentences: ...", "What it did to whom: ..."];

/// What is asked when it is over.
const LESSONS: [&str; 6] = [
    "How did they get in? ...",
    "How long did it take to notice, and what would have been quicker? ...",
    "How long did it take to contain, and what was in the way? ...",
    "What was read, changed or used, and who has to be told? ...",
    "What keeps it from happening again, who does it, until when? ...",
    "aivonx check and aivonx check --isolation afterwards: ...",
];

/// The most frequent first.
fn counted(all: &BTreeMap<String, u64>) -> Vec<String> {
    let mut all: Vec<(&String, &u64)> = all.iter().collect();
    all.sort_by(|a, b| b.1.cmp(a.1));
    all.into_iter().map(|(name, count)| format!("{}: {count}", safe(name))).collect()
}

/// A time as `--since` takes it.
fn stamp(at: UnixMillis) -> Timestamp {
    i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or_default()
}

/// Details that are times, in milliseconds.
const TIMES: [&str; 3] = ["since", "until", "expires"];

fn line(entry: &AuditEntry, zone: &TimeZone) -> String {
    let time = text::time(entry.time, zone);
    let object = entry.object.as_ref().map(|object| {
        format!(" {} {}", object.kind, object.name.as_deref().or(object.id.as_deref()).unwrap_or_default())
    });
    let from = entry.source.address.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
    let detail = |(name, value): (&String, &String)| match value.parse() {
        Ok(at) if TIMES.contains(&name.as_str()) => format!("{name}={}", text::time(at, zone)),
        _ => format!("{name}={value}"),
    };
    let details: Vec<String> = entry.details.iter().map(detail).collect();
    safe(&format!(
        "{time} {} {}{from}{}: {} {}",
        entry.action.as_str(),
        entry.actor.name,
        object.unwrap_or_default(),
        entry.outcome.as_str(),
        details.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use jiff::Zoned;

    use super::*;
    use crate::time_arg;

    #[test]
    fn the_command_for_what_is_left_out_asks_for_the_same_span() {
        let since = 1_700_000_000_123;
        assert_eq!(time_arg::since(&stamp(since).to_string(), &Zoned::now()), Ok(since));
    }

    fn entry(name: &str, uid: Option<u32>) -> AuditEntry {
        let mut samples = aivonx_protocol::Reply::samples().into_iter();
        let mut entry = samples
            .find_map(|reply| match reply {
                aivonx_protocol::Reply::AuditEntry(entry) => Some(*entry),
                _ => None,
            })
            .unwrap();
        (entry.action, entry.time) = (Action::CrossOrgDenied, 1_700_000_000_000);
        entry.actor.name = name.to_owned();
        (entry.source.uid, entry.source.address) = (uid, None);
        entry.details = BTreeMap::from([("since".to_owned(), "1700000000000".to_owned())]);
        entry
    }

    #[test]
    fn a_check_of_isolation_is_one_line_and_nobody_else_hides_behind_its_name() {
        let mut report = Report::default();
        for role in ["auditor", "member"] {
            report.add(entry(&format!("isolation-check-a-0123456789abcdef-{role}"), None));
        }
        report.add(entry("isolation-check-mallory", Some(1000)));
        let lines = report.lines(&TimeZone::UTC);
        let of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!(
            (of("isolation check ran"), of("0123456789abcdef"), of("isolation-check-mallory")),
            (1, 0, 2)
        );
        assert_eq!((of("since=2023-11-14"), of("since=17")), (1, 0), "{lines:#?}");
    }
}
