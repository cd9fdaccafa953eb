//! Which node made which response: what follows one goes where it is kept. Each organization knows its own alone.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aivonx_identity::Caller;
use memchr::memmem;

/// Most responses remembered of one organization; the oldest are forgotten first.
const KEPT: usize = 4096;

/// Longest id that is remembered.
const LONGEST: usize = 128;

/// The responses of one organization.
#[derive(Debug, Default)]
struct Made {
    nodes: HashMap<Arc<str>, Arc<str>>,
    order: VecDeque<Arc<str>>,
}

/// Ids of responses and the ids of their nodes, by organization.
#[derive(Debug, Default)]
pub struct Responses(Mutex<HashMap<Arc<str>, Made>>);

impl Responses {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Made>> {
        // Every entry is whole at each moment, or forgotten.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `node` made the response of this id for `caller`.
    pub(super) fn made(&self, caller: &str, id: &str, node: &Arc<str>) {
        let (mut all, id) = (self.lock(), Arc::<str>::from(id));
        if !all.contains_key(caller) {
            all.insert(caller.into(), Made::default());
        }
        let Some(made) = all.get_mut(caller) else { return };
        if made.nodes.insert(id.clone(), node.clone()).is_none() {
            made.order.push_back(id);
        }
        if made.order.len() > KEPT
            && let Some(oldest) = made.order.pop_front()
        {
            made.nodes.remove(&oldest);
        }
    }

    /// The node that made it.
    pub(super) fn node(&self, caller: &str, id: &str) -> Option<Arc<str>> {
        self.lock().get(caller)?.nodes.get(id).cloned()
    }
}

/// Whose responses a caller's are: those of its organization, or its own.
pub(super) fn owner(caller: &Caller) -> &str {
    match (caller.organization(), caller) {
        (Some(organization), _) => &organization.id,
        (None, Caller::Anonymous) => "",
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
