//! Counting together what comes too often to be written down singly: a flood of refusals, and inference.
//!
//! Per actor, the first few of a minute are written down as they come; the rest become one entry that says how
//! many there were. The number of actors is bounded too: what is beyond is counted by action alone, and that
//! is written down as well.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use aivonx_domain::{access::Subject, address_key, batch::Group, table::Map};
use aivonx_protocol::{
    UnixMillis,
    audit::{Action, AuditOrganization, AuditSource, Outcome},
    privacy::Category,
};
use smallvec::SmallVec;

use super::{Entry, Who};

/// How many of an action an actor may have written down singly within a minute; None is all of them: what was done is
/// never counted together, what was refused or failed is.
fn burst(action: Action, outcome: Outcome) -> Option<u32> {
    match action {
        Action::Denied | Action::CrossOrgDenied | Action::Read | Action::AuditRead => Some(3),
        Action::LoginFailed | Action::TokenReuse | Action::Lockout => Some(10),
        _ if outcome != Outcome::Ok => Some(10),
        _ => None,
    }
}

/// Most actors that are counted apart within a minute.
const ACTORS_MAX: usize = 4096;
/// Most of them that nobody knows, and who can come from as many addresses as they like.
const STRANGERS_MAX: usize = 256;
/// Stands for those beyond. No subject lies there: it is not aligned.
const OTHERS: usize = 1;
/// Most models, or most users tried, named in one summary.
const NAMED_MAX: usize = 8;
/// Most addresses told apart of one actor's inference within a minute.
const ADDRESSES_MAX: usize = 8;

/// Whose flood it is. A name that nobody has proven to have makes no other actor, nor does another address of the
/// same network.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Flooder {
    action: Action,
    outcome: Outcome,
    id: Option<String>,
    source: AuditSource,
    organization: Option<AuditOrganization>,
}

#[derive(Debug)]
struct Flood {
    single: u32,
    folded: u64,
    first: UnixMillis,
    last: Option<Entry>,
    /// The names that were given.
    names: Counts,
}

/// How often each of a few names came.
#[derive(Debug, Default)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    fn add(&mut self, name: &str, n: u64) {
        let named = self.0.contains_key(name) || self.0.len() < NAMED_MAX;
        let name = if named { name } else { "others" };
        match self.0.get_mut(name) {
            Some(count) => *count += n,
            None => drop(self.0.insert(name.to_owned(), n)),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|(name, n)| format!("{name}={n}")).collect();
        f.write_str(&names.join(" "))
    }
}

/// What one actor had inferred, by the address it came from; None is any of those beyond the first few.
#[derive(Debug)]
struct Actor {
    subject: Option<Arc<Subject>>,
    from: SmallVec<[(Option<IpAddr>, Inferred); 1]>,
}

#[derive(Debug, Default)]
struct Inferred {
    requests: u64,
    failed: u64,
    prompt_tokens: u64,
    output_tokens: u64,
    models: Counts,
    /// What was found in prompts, by category.
    found: [u64; Category::ALL.len()],
}

/// What was counted since the minute began.
#[derive(Debug, Default)]
pub(super) struct Fold {
    floods: HashMap<Flooder, Flood>,
    /// How many of those are of somebody unknown.
    strangers: usize,
    /// By where the subject lies in memory, which is cheap; it is kept here, so nothing else can lie there. Two
    /// that say the same are put together when the minute is over.
    inferred: Map<usize, Actor>,
    /// How many addresses are told apart among those.
    addresses: usize,
    /// By action, what was lost or is no longer told apart by actor.
    overflow: BTreeMap<Action, u64>,
}

impl Inferred {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.found.iter_mut().zip(other.found).for_each(|(sum, n)| *sum = sum.saturating_add(n));
        // Two that say the same are few: what one of them called "others" stays so.
        other.models.0.iter().for_each(|(model, n)| self.models.add(model, *n));
    }
}

/// The entry about what one actor had inferred; `unnamed` is who it was if nobody said.
fn summary(
    unnamed: &str,
    subject: Option<&Subject>,
    address: Option<IpAddr>,
    counts: &Inferred,
    since: UnixMillis,
) -> Entry {
    let user = subject.and_then(|s| s.user.as_ref());
    let key = subject.and_then(|s| s.key.as_ref());
    // A key without a user is its own subject.
    let (id, name) = user.or(key).map_or((None, unnamed), |(id, name)| (Some(id.to_string()), &**name));
    let source =
        AuditSource { address: address.map(|address| address.to_string()), ..AuditSource::default() };
    let mut entry = Entry::new(Action::InferenceSummary)
        .actor(Who { id, name: name.to_owned(), source })
        .detail("requests", counts.requests)
        .detail("failed", counts.failed)
        .detail("prompt_tokens", counts.prompt_tokens)
        .detail("output_tokens", counts.output_tokens)
        .detail("models", &counts.models)
        .detail("since", since);
    for (category, n) in Category::ALL.into_iter().zip(counts.found).filter(|(_, n)| *n > 0) {
        entry = entry.detail(&format!("found_{category}"), n);
    }
    if let Some((id, slug)) = subject.and_then(|s| s.organization.as_ref()) {
        entry = entry.organization_named(id, slug);
    }
    match key {
        Some((id, name)) => entry.object("key", Some(id), Some(name)),
        None => entry,
    }
}

impl Fold {
    /// Gives the entry back if it is to be written down singly.
    pub(super) fn admit(&mut self, entry: Entry, now: UnixMillis) -> Option<Entry> {
        let Some(burst) = burst(entry.action, entry.outcome) else { return Some(entry) };
        let source = &entry.who.source;
        let network = |address: &String| address.parse().map_or_else(|_| address.clone(), address_key);
        let key = Flooder {
            action: entry.action,
            outcome: entry.outcome,
            id: entry.who.id.clone(),
            // A process of its own for each attempt makes no other actor.
            source: AuditSource {
                pid: None,
                user_agent: None,
                address: source.address.as_ref().map(network),
                ..source.clone()
            },
            organization: entry.organization.clone(),
        };
        if !self.floods.contains_key(&key) {
            let strange = key.id.is_none();
            if self.floods.len() >= ACTORS_MAX || strange && self.strangers >= STRANGERS_MAX {
                *self.overflow.entry(entry.action).or_default() += 1;
                return None;
            }
            self.strangers += usize::from(strange);
        }
        let new = || Flood { single: 0, folded: 0, first: now, last: None, names: Counts::default() };
        let flood = self.floods.entry(key).or_insert_with(new);
        if flood.single < burst {
            flood.single += 1;
            return Some(entry);
        }
        if flood.folded == 0 {
            flood.first = now;
        }
        flood.folded += 1;
        flood.names.add(&entry.who.name, 1);
        flood.last = Some(entry);
        None
    }

    /// Counts an entry that found no room.
    pub(super) fn lose(&mut self, action: Action) {
        *self.overflow.entry(action).or_default() += 1;
    }

    /// Counts finished requests.
    pub(super) fn infer(&mut self, done: &Group<'_>) {
        let (alike, sums) = (done.alike, &done.sums);
        let mut subject = alike.subject.as_ref();
        let mut key = subject.map_or(0, |subject| Arc::as_ptr(subject) as usize);
        if self.inferred.len() >= ACTORS_MAX && !self.inferred.contains_key(&key) {
            (key, subject) = (OTHERS, None);
        }
        let new = || Actor { subject: subject.cloned(), from: SmallVec::new() };
        let actor = self.inferred.entry(key).or_insert_with(new);
        let mut address = Some(alike.client).filter(|_| key != OTHERS);
        let is_new = |address| actor.from.iter().all(|(known, _)| *known != address);
        if is_new(address) && (actor.from.len() >= ADDRESSES_MAX || self.addresses >= ACTORS_MAX) {
            address = None;
        }
        let at = actor.from.iter().position(|(known, _)| *known == address).unwrap_or_else(|| {
            self.addresses += usize::from(address.is_some());
            actor.from.push((address, Inferred::default()));
            actor.from.len() - 1
        });
        let counts = &mut actor.from[at].1;
        counts.requests += sums.requests;
        counts.failed += if alike.status >= 400 || alike.status == 0 { sums.requests } else { 0 };
        counts.prompt_tokens = counts.prompt_tokens.saturating_add(sums.prompt_tokens);
        counts.output_tokens = counts.output_tokens.saturating_add(sums.output_tokens);
        for (category, n) in sums.findings.each() {
            counts.found[category as usize] += u64::from(n);
        }
        if let Some(model) = &alike.model {
            counts.models.add(model, sums.requests);
        }
    }

    /// The entries about what was counted; counting begins anew. `since` is when it began.
    pub(super) fn close(&mut self, since: UnixMillis) -> Vec<Entry> {
        let Self { floods, strangers: _, inferred, addresses: _, overflow } = std::mem::take(self);
        let mut entries = Vec::new();
        for flood in floods.into_values() {
            if let Some(last) = flood.last {
                let mut entry = last.detail("count", flood.folded).detail("since", flood.first);
                if flood.names.0.len() > 1 {
                    entry = entry.detail("names", flood.names);
                }
                entries.push(entry);
            }
        }
        let mut actors = HashMap::<(bool, Option<Arc<Subject>>, Option<IpAddr>), Inferred>::new();
        for (key, Actor { subject, from }) in inferred {
            for (address, counts) in from {
                actors.entry((key == OTHERS, subject.clone(), address)).or_default().add(counts);
            }
        }
        for ((others, subject, address), counts) in actors {
            let unnamed = if others { "others" } else { "anonymous" };
            entries.push(summary(unnamed, subject.as_deref(), address, &counts, since));
        }
        if !overflow.is_empty() {
            let entry = Entry::new(Action::AuditOverflow).detail("since", since);
            entries.push(
                overflow
                    .into_iter()
                    .fold(entry, |entry, (action, count)| entry.detail(&format!("n_{action}"), count)),
            );
        }
        entries
    }
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
