//! Which node made which response: what follows one goes where it is kept. Each organization knows its own alone.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aivonx_identity::Caller;
use memchr::memmem;

/// Most responses remembered of one organization; the oldest are forgotten first.
const KEPT: usize = 4096;

/// Most remembered of all of them.
const KEPT_OF_ALL: usize = 16 * KEPT;

/// Longest id that is remembered.
const LONGEST: usize = 128;

/// The responses of one organization.
#[derive(Debug, Default)]
struct Made {
    nodes: HashMap<Arc<str>, Arc<str>>,
    order: VecDeque<Arc<str>>,
}

/// Those of all organizations, none of which has none.
#[derive(Debug, Default)]
struct All {
    owners: HashMap<Arc<str>, Made>,
    /// Whose each of them is, in the order in which they were made.
    order: VecDeque<Arc<str>>,
}

/// Ids of responses and the ids of their nodes, by organization.
#[derive(Debug, Default)]
pub struct Responses(Mutex<All>);

impl All {
    /// Forgets the oldest response of an organization.
    fn forget_oldest(&mut self, owner: &Arc<str>) {
        let Some(made) = self.owners.get_mut(owner) else { return };
        if let Some(oldest) = made.order.pop_front() {
            made.nodes.remove(&oldest);
        }
        if made.order.is_empty() {
            self.owners.remove(owner);
        }
    }
}

impl Responses {
    fn lock(&self) -> MutexGuard<'_, All> {
        // Every entry is whole at each moment, or forgotten.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `node` made the response of this id for `caller`.
    pub(super) fn made(&self, caller: &str, id: &str, node: &Arc<str>) {
        let (mut all, id) = (self.lock(), Arc::<str>::from(id));
        let owner = match all.owners.get_key_value(caller) {
            Some((owner, _)) => owner.clone(),
            None => Arc::from(caller),
        };
        let made = all.owners.entry(owner.clone()).or_default();
        if made.nodes.insert(id.clone(), node.clone()).is_some() {
            return;
        }
        made.order.push_back(id);
        if made.order.len() > KEPT {
            // In place of its own, so that it drives out nobody else's.
            all.forget_oldest(&owner);
            return;
        }
        all.order.push_back(owner);
        if all.order.len() > KEPT_OF_ALL
            && let Some(oldest) = all.order.pop_front()
        {
            all.forget_oldest(&oldest);
        }
    }

    /// The node that made it.
    pub(super) fn node(&self, caller: &str, id: &str) -> Option<Arc<str>> {
        self.lock().owners.get(caller)?.nodes.get(id).cloned()
    }

    /// Forgets the responses of nodes that `is_there` does not know.
    pub fn keep_of(&self, is_there: impl Fn(&str) -> bool) {
        let All { owners, order } = &mut *self.lock();
        let mut forgotten: HashMap<Arc<str>, usize> = HashMap::new();
        owners.retain(|owner, made| {
            let before = made.nodes.len();
            made.nodes.retain(|_, node| is_there(node));
            let gone = before - made.nodes.len();
            if gone > 0 {
                made.order.retain(|id| made.nodes.contains_key(id));
                forgotten.insert(owner.clone(), gone);
            }
            !made.order.is_empty()
        });
        if !forgotten.is_empty() {
            order.retain(|owner| match forgotten.get_mut(owner) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    false
                }
                _ => true,
            });
        }
    }
}

/// Whose responses a caller's are: those of its organization, or its own.
pub(super) fn owner(caller: &Caller) -> &str {
    match (caller.organization(), caller) {
        (Some(organization), _) => &organization.id,
        (None, Caller::Anonymous(_)) => "",
        (None, Caller::Key(key)) => key.user.as_ref().map_or(&*key.id, |user| &*user.id),
        (None, Caller::User { user, .. }) => &user.id,
    }
}

/// Whether a text can be the id of a response.
pub(super) fn is_id(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// The id of the response that an answer begins with: that of the object itself, or of the one in its first event.
pub(super) fn id_in(beginning: &[u8]) -> Option<&str> {
    memmem::find_iter(beginning, b"\"id\"").find_map(|at| {
        let rest = beginning[at + 4..].trim_ascii_start().strip_prefix(b":")?;
        let text = rest.trim_ascii_start().strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', text)?;
        let id = std::str::from_utf8(&text[..end]).ok()?;
        // Items of the output have ids of their own.
        (id.starts_with("resp") && is_id(id)).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_knows_its_own_and_no_more_than_there_is_room_for() {
        let responses = Responses::default();
        let node = |name: &str| Arc::<str>::from(name);
        responses.made("a", "resp_1", &node("n1"));
        assert_eq!(responses.node("a", "resp_1").as_deref(), Some("n1"));
        assert_eq!((responses.node("b", "resp_1"), responses.node("a", "resp_2")), (None, None));
        for number in 0..KEPT {
            responses.made("b", &format!("resp_{number}"), &node("n2"));
            responses.made("b", "resp_0", &node("n2"));
        }
        assert!(responses.node("b", "resp_0").is_some());
        responses.made("b", "resp_last", &node("n2"));
        assert!(responses.node("b", "resp_0").is_none() && responses.node("b", "resp_last").is_some());
        assert!(responses.node("a", "resp_1").is_some(), "what is another's stays");
    }

    #[test]
    fn all_together_are_bounded_and_those_of_a_node_go_with_it() {
        let responses = Responses::default();
        let (kept, gone) = (Arc::<str>::from("n1"), Arc::<str>::from("n2"));
        for owner in 0..2 * KEPT_OF_ALL {
            responses.made(&owner.to_string(), "resp_1", if owner % 2 == 0 { &kept } else { &gone });
        }
        let sizes = || {
            let all = responses.lock();
            (all.owners.len(), all.order.len())
        };
        assert_eq!(sizes(), (KEPT_OF_ALL, KEPT_OF_ALL));
        assert!(responses.node("0", "resp_1").is_none());
        responses.keep_of(|node| node == "n1");
        assert_eq!(sizes(), (KEPT_OF_ALL / 2, KEPT_OF_ALL / 2));
        let last = |back: usize| responses.node(&(2 * KEPT_OF_ALL - back).to_string(), "resp_1");
        assert_eq!((last(2).as_deref(), last(1)), (Some("n1"), None));
    }

    #[test]
    fn the_id_is_that_of_the_response() {
        for (text, id) in [
            (r#"{"id":"resp_ab-1","object":"response"}"#, Some("resp_ab-1")),
            (r#"{"output":[{"id":"msg_1"}], "id" : "resp_2"}"#, Some("resp_2")),
            ("event: response.created\ndata: {\"response\":{\"id\":\"resp_3\"}}", Some("resp_3")),
            (r#"{"id":"resp_4"#, None),
            (r#"{"id":"resp_/../x"}"#, None),
            (r#"{"error":{}}"#, None),
        ] {
            assert_eq!(id_in(text.as_bytes()), id, "{text}");
        }
    }
}
