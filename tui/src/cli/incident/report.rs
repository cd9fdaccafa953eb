//! `aivonx incident report`

use std::collections::BTreeMap;

use aivonx_protocol::{
    UnixMillis,
    audit::{self, Action, AuditEntry, AuditFilter, Outcome, PAGE_MAX},
    block, incident,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::Context,
    exit::Failure,
    render::{
        Out,
        text::{self, safe},
    },
};

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
}

/// Carries it out.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, since: UnixMillis) -> Result<(), Failure> {
    let client = context.client().await?;
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
    context.out.show(&report, |out| tell(out, &report))
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

impl Report {
    fn add(&mut self, entry: AuditEntry) {
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
}

/// Markdown, to be filled in.
fn tell(out: &mut Out, report: &Report) -> Result<(), Failure> {
    let zone = out.zone.clone();
    let time = |at| text::time(at, &zone);
    out.line(format_args!("# Incident report, {} to {}", time(report.since), time(report.until)))?;
    section(out, "Summary", ["What happened, in two sentences: ...", "What it did to whom: ..."])?;
    let found = report.findings.iter().map(|found| safe(&found.finding));
    section(out, "What was detected", found)?;
    section(out, "Actors", counted(&report.actors))?;
    section(out, "Addresses", counted(&report.addresses))?;
    section(out, "Counter-measures", report.measures.iter().map(|entry| line(entry, time(entry.time))))?;
    let blocked = report
        .blocks
        .iter()
        .map(|block| format!("{} {}: {}", block.of.as_str(), safe(&block.target), safe(&block.reason)));
    section(out, "Blocked now", blocked)?;
    let left_out = (report.left_out > 0).then(|| {
        format!("... and {} more: aivonx audit list --since {}", report.left_out, stamp(report.since))
    });
    let timeline = report.timeline.iter().map(|entry| line(entry, time(entry.time))).chain(left_out);
    section(out, "Timeline", timeline)?;
    section(out, "Lessons learned", LESSONS)
}

/// What is asked when it is over.
const LESSONS: [&str; 6] = [
    "How did they get in? ...",
    "How long did it take to notice, and what would have been quicker? ...",
    "How long did it take to contain, and what was in the way? ...",
    "What was read, changed or used, and who has to be told? ...",
    "What keeps it from happening again, who does it, until when? ...",
    "aivonx check and aivonx check --isolation afterwards: ...",
];

fn section(
    out: &mut Out,
    title: &str,
    lines: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<(), Failure> {
    out.line(format_args!("\n## {title}\n"))?;
    let mut none = true;
    for line in lines {
        none = false;
        out.line(format_args!("- {}", line.as_ref()))?;
    }
    if none { out.line("- nothing") } else { Ok(()) }
}

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

fn line(entry: &AuditEntry, time: String) -> String {
    let object = entry.object.as_ref().map(|object| {
        format!(" {} {}", object.kind, object.name.as_deref().or(object.id.as_deref()).unwrap_or_default())
    });
    let from = entry.source.address.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
    let details: Vec<String> = entry.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
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
}
