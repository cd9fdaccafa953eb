//! `aivonx incident detect`: what in the audit log and in the usage looks like an attack.

use std::collections::{BTreeMap, HashSet};

use aivonx_domain::{TenantScope, now};
use aivonx_gateway::REFUSED;
use aivonx_identity::Actor;
use aivonx_ledgers::{audit::Entry, usage::Only};
use aivonx_protocol::{
    Fault, UnixMillis,
    audit::{Action, AuditEntry, AuditFilter, PAGE_MAX},
    incident::{Finding, FindingKind as Kind},
    usage::{UsageBy, UsageRow},
};

use crate::control::Services;

const DAY: UnixMillis = 24 * 3600 * 1000;
/// How many times the asked time is looked back over for what is usual.
const BEFORE: u64 = 7;
/// Most pages of the audit log that are read.
const PAGES: usize = 40;
/// More than it is usual by this factor is a spike.
const FACTOR: u64 = 3;
/// Fewer failed logins than lock an account are typing errors.
const LOGINS: u64 = 5;
/// Fewer refused credentials are mistakes of set-up.
const REFUSALS: u64 = 3;
/// Fewer requests are no spike, whatever was before.
const REQUESTS: u64 = 500;

/// Looks at what happened since `since`, or in the last day. `actor` sees everything.
///
/// # Errors
/// If a ledger cannot be read.
pub(crate) async fn run(
    services: &Services,
    actor: &Actor,
    since: Option<UnixMillis>,
) -> Result<Vec<Finding>, Fault> {
    let read = Entry::new(Action::AuditRead).actor(actor.who()).object("audit", None, None);
    services.identity.audit().note(read.via("incident.detect"));
    services.identity.audit().write_counted().await;
    let now = now();
    let since = since.unwrap_or(now.saturating_sub(DAY)).min(now);
    let before = since.saturating_sub((now - since).saturating_mul(BEFORE));
    let mut found = Vec::new();
    for which in KINDS {
        found.extend(in_audit(entries(services, actor, before, which).await?, since));
    }
    let usage = async |from, until| {
        let all = Only::default();
        services
            .usage
            .report(&TenantScope::All, &all, (Some(from), Some(until)), Some(UsageBy::Key), None)
            .await
    };
    let (usual, lately) = (usage(before, since).await?, usage(since, now).await?);
    found.extend(in_usage(&usual.rows, &lately.rows));
    found.sort_by(|a, b| (a.kind, b.count, &a.subject).cmp(&(b.kind, a.count, &b.subject)));
    Ok(found)
}

/// Which entries are read together: what they are called, their actions, and their actor if it is only one.
type Which = (&'static str, &'static [Action], Option<&'static str>);

/// Apart from each other, so that a flood of the ones hides none of the others.
const KINDS: [Which; 3] = [
    ("logins", &[Action::Login], None),
    ("failed logins", &[Action::LoginFailed, Action::CrossOrgDenied], None),
    ("refused credentials", &[Action::Denied], Some(REFUSED)),
];

/// Entries of the audit log, newest first.
struct Entries {
    called: &'static str,
    read: Vec<AuditEntry>,
    /// Whether there are older ones that were not read.
    cut: bool,
}

/// The entries since `since` that may be part of an attack.
async fn entries(
    services: &Services,
    actor: &Actor,
    since: UnixMillis,
    (called, actions, of): Which,
) -> Result<Entries, Fault> {
    let (actions, of) = (actions.to_vec(), of.map(str::to_owned));
    let filter = AuditFilter { since: Some(since), actions, actor: of, ..AuditFilter::default() };
    let (mut all, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES {
        let page =
            services.identity.audit().list(&actor.reach(), filter.clone(), cursor, PAGE_MAX, false).await?;
        all.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(Entries { called, read: all, cut: cursor.is_some() })
}

/// How often something was seen.
#[derive(Debug, Default)]
struct Seen {
    lately: u64,
    before: u64,
    first: Option<UnixMillis>,
    last: Option<UnixMillis>,
}

impl Seen {
    fn count(&mut self, entry: &AuditEntry, since: UnixMillis) {
        // A flood of the same is one entry that says how many there were.
        let count = entry.details.get("count").and_then(|count| count.parse().ok()).unwrap_or(1);
        if entry.time < since {
            self.before += count;
            return;
        }
        self.lately += count;
        self.first = Some(self.first.map_or(entry.time, |first| first.min(entry.time)));
        self.last = Some(self.last.map_or(entry.time, |last| last.max(entry.time)));
    }

    fn usual(&self) -> u64 {
        self.before / BEFORE
    }

    /// Whether it was often, and far oftener than before.
    fn is_spike(&self, least: u64) -> bool {
        self.lately >= least && self.lately >= self.usual().saturating_mul(FACTOR)
    }

    fn finding(self, kind: Kind, subject: String, finding: String, contain: Option<String>) -> Finding {
        let (count, usual) = (self.lately, self.usual());
        Finding { kind, subject, count, usual, first: self.first, last: self.last, finding, contain }
    }
}

fn in_audit(Entries { called, mut read, cut }: Entries, since: UnixMillis) -> Vec<Finding> {
    if cut {
        // Of what was before only the newest part was read, if any: it does not say what is usual.
        read.retain(|entry| entry.time >= since);
    }
    let entries = read.as_slice();
    let mut by_kind: BTreeMap<(Kind, String), (Seen, Option<String>)> = BTreeMap::new();
    let mut known: HashSet<&str> = HashSet::new();
    for entry in entries {
        let address = entry.source.address.as_deref();
        let mut see = |kind: Kind, subject: &str, contain: Option<String>| {
            let seen = by_kind.entry((kind, subject.to_owned())).or_default();
            seen.0.count(entry, since);
            seen.1 = contain.or(seen.1.take());
        };
        let by_address = |address: &str| Some(format!("aivonx incident contain --address {address}"));
        match entry.action {
            Action::LoginFailed => match address {
                Some(address) => see(Kind::FailedLogins, address, by_address(address)),
                None => see(Kind::FailedLogins, &format!("user {}", entry.actor.name), None),
            },
            Action::Denied if entry.actor.id.is_none() && entry.actor.name == REFUSED => {
                if let Some(address) = address {
                    see(Kind::RefusedCredentials, address, by_address(address));
                }
            }
            // The daemon tries it itself: aivonx check --isolation.
            Action::CrossOrgDenied if entry.source.uid.is_none() && address.is_none() => {}
            Action::CrossOrgDenied => {
                let by_user = || format!("aivonx incident contain --user {}", entry.actor.name);
                let contain = address.map_or_else(|| Some(by_user()), by_address);
                see(Kind::CrossOrganization, &entry.actor.name, contain);
            }
            Action::Login if entry.time < since => known.extend(address),
            _ => {}
        }
    }
    for entry in entries.iter().filter(|entry| !cut && entry.action == Action::Login && entry.time >= since) {
        if let Some(address) = entry.source.address.as_deref().filter(|address| !known.contains(address)) {
            let contain = format!("aivonx incident contain --user {} --address {address}", entry.actor.name);
            let key = (Kind::FirstSeenAddress, format!("{address} {}", entry.actor.name));
            let seen = by_kind.entry(key).or_default();
            seen.0.count(entry, since);
            seen.1 = Some(contain);
        }
    }
    let each = by_kind.into_iter().filter_map(|((kind, subject), (seen, contain))| {
        let count = seen.lately;
        let finding = match kind {
            Kind::FailedLogins if seen.is_spike(LOGINS) => format!("{count} logins failed: {subject}"),
            Kind::RefusedCredentials if seen.is_spike(REFUSALS) => {
                format!("{count} keys or tokens from {subject} were refused")
            }
            Kind::CrossOrganization if count > 0 => {
                format!("{subject} asked {count} times for what is another organization's")
            }
            Kind::FirstSeenAddress => format!("a login from an address not seen before: {subject}"),
            _ => return None,
        };
        Some(seen.finding(kind, subject, finding, contain))
    });
    each.chain(cut.then(|| incomplete(called, entries))).collect()
}

/// That there is more in the audit log than was read.
fn incomplete(called: &str, entries: &[AuditEntry]) -> Finding {
    let count = entries.len() as u64;
    Finding {
        kind: Kind::Incomplete,
        subject: called.to_owned(),
        count,
        usual: 0,
        first: entries.last().map(|entry| entry.time),
        last: entries.first().map(|entry| entry.time),
        finding: format!(
            "too many {called} to look at all: only the newest {count} were, and not what is usual or was seen before; ask \
             for less with --since"
        ),
        contain: None,
    }
}

fn in_usage(before: &[UsageRow], lately: &[UsageRow]) -> Vec<Finding> {
    let usual_of = |id: &Option<String>| {
        before.iter().find(|row| row.id == *id).map_or(0, |row| (row.requests + row.refused) / BEFORE)
    };
    let each = lately.iter().filter_map(|row| {
        let (count, usual) = (row.requests + row.refused, usual_of(&row.id));
        // A new key has no usual.
        if count < REQUESTS || usual == 0 || count < usual.saturating_mul(FACTOR) {
            return None;
        }
        let subject = row.name.clone().or_else(|| row.id.clone())?;
        Some(Finding {
            kind: Kind::UsageSpike,
            finding: format!("the key {subject} asked {count} times, where {usual} are usual"),
            contain: row.id.as_ref().map(|id| format!("aivonx incident contain --key {id}")),
            subject,
            count,
            usual,
            first: None,
            last: None,
        })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::Reply;

    use super::*;

    fn entry(
        action: Action,
        time: UnixMillis,
        name: &str,
        id: Option<&str>,
        address: Option<&str>,
    ) -> AuditEntry {
        let mut samples = Reply::samples().into_iter();
        let mut entry = samples
            .find_map(|reply| if let Reply::AuditEntry(entry) = reply { Some(*entry) } else { None })
            .unwrap();
        (entry.action, entry.time) = (action, time);
        entry.actor.name = name.to_owned();
        entry.actor.id = id.map(str::to_owned);
        entry.source.address = address.map(str::to_owned);
        entry.source.uid = None;
        entry.details.clear();
        entry
    }

    fn kinds(entries: &[AuditEntry]) -> Vec<(Kind, String, u64)> {
        let entries = Entries { called: "logins", read: entries.to_vec(), cut: false };
        in_audit(entries, 100).into_iter().map(|found| (found.kind, found.subject, found.count)).collect()
    }

    #[test]
    fn what_is_far_oftener_than_before_is_found() {
        let (far, near) = (Some("192.0.2.7"), Some("10.0.0.1"));
        let mut all: Vec<AuditEntry> =
            (0..5).map(|n| entry(Action::LoginFailed, 110 + n, "root", None, far)).collect();
        all.extend((0..4).map(|n| entry(Action::LoginFailed, 110 + n, "root", None, near)));
        assert_eq!(kinds(&all), [(Kind::FailedLogins, "192.0.2.7".to_owned(), 5)]);
        // As often as always.
        all.extend((0..14).map(|n| entry(Action::LoginFailed, n, "root", None, far)));
        assert_eq!(kinds(&all), []);
        let mut flood = entry(Action::Denied, 120, REFUSED, None, far);
        flood.details.insert("count".into(), "400".into());
        assert_eq!(kinds(&[flood]), [(Kind::RefusedCredentials, "192.0.2.7".to_owned(), 400)]);
        // Of somebody who is known it is a lack of rights.
        let denied: Vec<_> = (0..9).map(|_| entry(Action::Denied, 120, "ci", Some("k"), far)).collect();
        assert_eq!(kinds(&denied), []);
        let foreign = |address| entry(Action::CrossOrgDenied, 120, "mallory", Some("u"), address);
        assert_eq!(kinds(&[foreign(far)]), [(Kind::CrossOrganization, "mallory".to_owned(), 1)]);
        assert_eq!(kinds(&[foreign(None)]), [], "by the daemon");
    }

    #[test]
    fn a_login_from_a_new_address_is_found_once() {
        let at = |time, address| entry(Action::Login, time, "alice", Some("u"), Some(address));
        let all = [at(50, "10.0.0.1"), at(120, "10.0.0.1"), at(130, "192.0.2.7"), at(140, "192.0.2.7")];
        let cut = in_audit(Entries { called: "logins", read: all.to_vec(), cut: true }, 100);
        let kinds: Vec<_> = cut.iter().map(|found| (found.kind, found.count)).collect();
        assert_eq!(kinds, [(Kind::Incomplete, 3)], "who was seen before is not known");
        let found = in_audit(Entries { called: "logins", read: all.to_vec(), cut: false }, 100);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, found[0].count), (Kind::FirstSeenAddress, 2));
        assert!(found[0].contain.as_ref().unwrap().contains("--user alice --address 192.0.2.7"));
    }

    #[test]
    fn a_key_that_asks_far_more_than_before_is_found() {
        let row = |id: &str, requests| UsageRow { id: Some(id.into()), requests, ..UsageRow::default() };
        let before = [row("a", 700), row("b", 7000)];
        let found = in_usage(&before, &[row("a", 600), row("b", 1200), row("new", 9000)]);
        let found: Vec<_> = found.iter().map(|found| (found.subject.as_str(), found.usual)).collect();
        assert_eq!(found, [("a", 100)]);
    }
}
