//! Counting together what comes too often to be written down singly: a flood of refusals, and inference.
//!
//! Per actor, the first few of a minute are written down as they come; the rest become one entry that says how
//! many there were. The number of actors is bounded too: what is beyond is counted by action alone, and that
//! is written down as well.

use std::collections::{BTreeMap, HashMap};

use aivonx_protocol::{
    UnixMillis,
    audit::{Action, AuditOrganization, AuditSource, Outcome},
};

use super::{Entry, Who};

/// A finished request of the data path.
#[derive(Debug, Clone, Copy)]
pub struct Inference<'a> {
    /// Id of the user, if the request had one.
    pub user: Option<&'a str>,
    /// Id of the API key, if one was used.
    pub key: Option<&'a str>,
    /// Name of the user, else of the key; `anonymous` without either.
    pub name: &'a str,
    /// Id of the organization.
    pub organization: Option<&'a str>,
    /// Model as the catalogue names it.
    pub model: Option<&'a str>,
    /// Status of the answer.
    pub status: u16,
    /// Tokens of the prompt, as counted by the node.
    pub prompt_tokens: u64,
    /// Tokens of the output, as counted by the node.
    pub output_tokens: u64,
}

/// How many of an action an actor may have written down singly within a minute; None is all of them.
pub(super) fn burst(action: Action) -> Option<u32> {
    match action {
        Action::Denied | Action::CrossOrgDenied | Action::Read | Action::AuditRead => Some(3),
        Action::LoginFailed | Action::TokenReuse | Action::Lockout => Some(10),
        _ => None,
    }
}

/// Most actors that are counted apart within a minute.
const ACTORS_MAX: usize = 4096;
/// Most models named in one summary.
const MODELS_MAX: usize = 8;

/// Whose flood it is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Flooder {
    action: Action,
    outcome: Outcome,
    id: Option<String>,
    name: String,
    source: AuditSource,
    organization: Option<AuditOrganization>,
}

#[derive(Debug)]
struct Flood {
    single: u32,
    folded: u64,
    first: UnixMillis,
    last: Option<Entry>,
}

/// Whose inference it is: user, key, name, organization.
type Inferrer = (Option<String>, Option<String>, String, Option<String>);

#[derive(Debug, Default)]
struct Inferred {
    requests: u64,
    failed: u64,
    prompt_tokens: u64,
    output_tokens: u64,
    models: BTreeMap<String, u64>,
}

/// What was counted since the minute began.
#[derive(Debug, Default)]
pub(super) struct Fold {
    floods: HashMap<Flooder, Flood>,
    inferred: HashMap<Inferrer, Inferred>,
    /// By action, what was lost or is no longer told apart by actor.
    overflow: BTreeMap<Action, u64>,
}

impl Fold {
    /// Gives the entry back if it is to be written down singly.
    pub(super) fn admit(&mut self, entry: Entry, now: UnixMillis) -> Option<Entry> {
        let Some(burst) = burst(entry.action) else { return Some(entry) };
        let key = Flooder {
            action: entry.action,
            outcome: entry.outcome,
            id: entry.who.id.clone(),
            name: entry.who.name.clone(),
            // A process of its own for each attempt makes no other actor.
            source: AuditSource { pid: None, user_agent: None, ..entry.who.source.clone() },
            organization: entry.organization.clone(),
        };
        if self.floods.len() >= ACTORS_MAX && !self.floods.contains_key(&key) {
            *self.overflow.entry(entry.action).or_default() += 1;
            return None;
        }
        let flood = self.floods.entry(key).or_insert(Flood { single: 0, folded: 0, first: now, last: None });
        if flood.single < burst {
            flood.single += 1;
            return Some(entry);
        }
        if flood.folded == 0 {
            flood.first = now;
        }
        flood.folded += 1;
        flood.last = Some(entry);
        None
    }

    /// Counts an entry that found no room.
    pub(super) fn lose(&mut self, action: Action) {
        *self.overflow.entry(action).or_default() += 1;
    }

    /// Counts a finished request.
    pub(super) fn infer(&mut self, done: &Inference<'_>) {
        let own = |text: Option<&str>| text.map(ToOwned::to_owned);
        let mut key: Inferrer = (own(done.user), own(done.key), done.name.to_owned(), own(done.organization));
        if self.inferred.len() >= ACTORS_MAX && !self.inferred.contains_key(&key) {
            key = (None, None, "others".to_owned(), key.3.filter(|_| self.inferred.len() < 2 * ACTORS_MAX));
        }
        let counts = self.inferred.entry(key).or_default();
        counts.requests += 1;
        counts.failed += u64::from(done.status >= 400 || done.status == 0);
        counts.prompt_tokens = counts.prompt_tokens.saturating_add(done.prompt_tokens);
        counts.output_tokens = counts.output_tokens.saturating_add(done.output_tokens);
        if let Some(model) = done.model {
            let named = counts.models.contains_key(model) || counts.models.len() < MODELS_MAX;
            let model = if named { model } else { "others" };
            *counts.models.entry(model.to_owned()).or_default() += 1;
        }
    }

    /// The entries about what was counted; counting begins anew. `since` is when it began.
    pub(super) fn close(&mut self, since: UnixMillis) -> Vec<Entry> {
        let Self { floods, inferred, overflow } = std::mem::take(self);
        let mut entries = Vec::new();
        for flood in floods.into_values() {
            if let Some(last) = flood.last {
                entries.push(last.detail("count", flood.folded).detail("since", flood.first));
            }
        }
        for ((user, key, name, organization), counts) in inferred {
            let who = Who { id: user.or_else(|| key.clone()), name, source: AuditSource::default() };
            let models: Vec<String> = counts.models.iter().map(|(model, n)| format!("{model}={n}")).collect();
            let entry = Entry::new(Action::InferenceSummary)
                .actor(who)
                .organization(organization.as_deref())
                .detail("requests", counts.requests)
                .detail("failed", counts.failed)
                .detail("prompt_tokens", counts.prompt_tokens)
                .detail("output_tokens", counts.output_tokens)
                .detail("models", models.join(" "))
                .detail("since", since);
            entries.push(match &key {
                Some(key) => entry.object("key", Some(key), None),
                None => entry,
            });
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
mod tests {
    use super::*;

    fn denied(name: &str) -> Entry {
        Entry::new(Action::Denied).actor(Who::control(None, name, 5, 5, Some(1))).outcome(Outcome::Denied)
    }

    #[test]
    fn the_first_are_single_and_the_rest_is_counted() {
        let mut fold = Fold::default();
        let single = (0..100).filter_map(|n| fold.admit(denied("mallory"), n)).count();
        assert_eq!(single, 3);
        assert!(fold.admit(denied("alice"), 5).is_some());
        assert!(fold.admit(Entry::new(Action::Create), 5).is_some());
        let entries = fold.close(0);
        assert_eq!(entries.len(), 1);
        assert_eq!((&*entries[0].details["count"], &*entries[0].details["since"]), ("97", "3"));
        assert_eq!(fold.close(0), []);
    }

    #[test]
    fn no_name_a_stranger_makes_up_costs_memory_for_ever() {
        let mut fold = Fold::default();
        for n in 0..ACTORS_MAX + 500 {
            fold.admit(denied(&format!("n{n}")), 0);
        }
        fold.lose(Action::Create);
        let entries = fold.close(0);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].action, Action::AuditOverflow);
        assert_eq!((&*entries[0].details["n_denied"], &*entries[0].details["n_create"]), ("500", "1"));
    }

    #[test]
    fn inference_is_summed_per_actor() {
        let mut fold = Fold::default();
        let done = Inference {
            user: Some("u"),
            key: Some("k"),
            name: "alice",
            organization: Some("o"),
            model: Some("llama3:8b"),
            status: 200,
            prompt_tokens: 10,
            output_tokens: 5,
        };
        for n in 0..20 {
            fold.infer(&Inference { status: if n == 0 { 500 } else { 200 }, ..done });
            fold.infer(&Inference { model: Some(&format!("m{n:02}")), key: None, ..done });
        }
        let mut entries = fold.close(7);
        entries.sort_by_key(|e| e.object.is_none());
        let [with_key, without] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!(with_key.details["requests"], "20");
        assert_eq!(with_key.details["failed"], "1");
        assert_eq!(with_key.details["prompt_tokens"], "200");
        assert_eq!(with_key.details["models"], "llama3:8b=20");
        assert!(without.details["models"].contains("others=12"), "{}", without.details["models"]);
        assert_eq!(without.who.id.as_deref(), Some("u"));
    }
}
