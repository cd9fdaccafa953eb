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

use aivonx_domain::{AccessRecord, access::Subject, address_key, table::Map};
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
/// Most models, or most users tried, named in one summary.
const NAMED_MAX: usize = 8;
/// Most addresses counted apart of one actor's inference within a minute.
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
    fn add(&mut self, name: &str) {
        let named = self.0.contains_key(name) || self.0.len() < NAMED_MAX;
        let name = if named { name } else { "others" };
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(name.to_owned(), 1)),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|(name, n)| format!("{name}={n}")).collect();
        f.write_str(&names.join(" "))
    }
}

/// Who had something inferred.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Actor {
    /// None is anonymous.
    One(Option<Arc<Subject>>),
    /// Those beyond [`ACTORS_MAX`].
    Others,
}

#[derive(Debug, Default)]
struct Inferred {
    requests: u64,
    failed: u64,
    prompt_tokens: u64,
    output_tokens: u64,
    models: Counts,
    /// What was found in prompts and answers, by category.
    found: [u64; Category::ALL.len()],
}

/// By client address; mostly there is one.
type ByAddress = SmallVec<[(Option<IpAddr>, Inferred); 1]>;

/// What was counted since the minute began.
#[derive(Debug, Default)]
pub(super) struct Fold {
    floods: HashMap<Flooder, Flood>,
    /// How many of those are of somebody unknown.
    strangers: usize,
    /// What each actor had inferred, by the address it came from; None is any of those beyond the first few.
    inferred: Map<Actor, ByAddress>,
    /// How many addresses are counted apart among those.
    addresses: usize,
    /// By action, what was lost or is no longer counted by actor.
    overflow: BTreeMap<Action, u64>,
}

/// The entry about what one actor had inferred.
fn summary(actor: &Actor, address: Option<IpAddr>, counts: &Inferred, since: UnixMillis) -> Entry {
    let (unnamed, subject) = match actor {
        Actor::One(subject) => ("anonymous", subject.as_deref()),
        Actor::Others => ("others", None),
    };
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
        flood.names.add(&entry.who.name);
        flood.last = Some(entry);
        None
    }

    /// Counts an entry that found no room.
    pub(super) fn lose(&mut self, action: Action) {
        *self.overflow.entry(action).or_default() += 1;
    }

    /// Counts a finished request.
    pub(super) fn infer(&mut self, done: &AccessRecord) {
        let mut actor = Actor::One(done.subject.clone());
        if self.inferred.len() >= ACTORS_MAX && !self.inferred.contains_key(&actor) {
            actor = Actor::Others;
        }
        let mut address = Some(done.client).filter(|_| actor != Actor::Others);
        let from = self.inferred.entry(actor).or_default();
        let is_new = |address| from.iter().all(|(known, _)| *known != address);
        if is_new(address) && (from.len() >= ADDRESSES_MAX || self.addresses >= ACTORS_MAX) {
            address = None;
        }
        let at = from.iter().position(|(known, _)| *known == address).unwrap_or_else(|| {
            self.addresses += usize::from(address.is_some());
            from.push((address, Inferred::default()));
            from.len() - 1
        });
        let counts = &mut from[at].1;
        counts.requests += 1;
        counts.failed += u64::from(done.status >= 400 || done.status == 0);
        counts.prompt_tokens = counts.prompt_tokens.saturating_add(done.prompt_tokens.unwrap_or(0));
        counts.output_tokens = counts.output_tokens.saturating_add(done.output_tokens.unwrap_or(0));
        for (category, n) in done.found().each() {
            counts.found[category as usize] += u64::from(n);
        }
        if let Some(model) = &done.model {
            counts.models.add(model);
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
        for (actor, from) in inferred {
            entries.extend(from.iter().map(|(address, counts)| summary(&actor, *address, counts, since)));
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
