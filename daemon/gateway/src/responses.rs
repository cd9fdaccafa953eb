//! Which node made which response: what follows one goes where it is kept. Each organization knows its own alone.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aivonx_domain::now;
use aivonx_fleet::RoutingRules;
use aivonx_identity::Caller;
use memchr::memmem;
use serde::{Deserialize, Serialize};

/// Most responses remembered of one organization; the oldest are forgotten first.
const KEPT: usize = 4096;

/// Most remembered of all of them.
const KEPT_OF_ALL: usize = 16 * KEPT;

/// Longest id that is remembered.
const LONGEST: usize = 128;

/// How the keys begin under which responses are kept over a restart: `response:OWNER/ID`.
pub const KEPT_AS: &str = "response:";

/// Who made a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Maker {
    /// Id of the node.
    pub(super) node: Arc<str>,
    /// The model that was asked for.
    pub(super) asked: Arc<str>,
    /// The one that answered.
    pub(super) model: Arc<str>,
    /// Whether what was asked for is an alias of the fleet, not of an organization. False of what was kept before this
    /// was.
    #[serde(default)]
    of_fleet: bool,
    /// When, in milliseconds since 1970.
    at: u64,
}

impl Maker {
    pub(super) fn new(node: &Arc<str>, asked: &str, of_fleet: bool, model: &str) -> Self {
        Self { node: node.clone(), asked: asked.into(), model: model.into(), of_fleet, at: now() }
    }

    /// Whether what these rules allow of the fleet has the model in it.
    pub(super) fn is_for(&self, rules: &RoutingRules) -> bool {
        rules.allows_all() || rules.allows_as(&self.asked, self.of_fleet, &self.model)
    }
}

/// The responses of one organization.
#[derive(Debug, Default)]
struct Made {
    makers: HashMap<Arc<str>, Maker>,
    order: VecDeque<Arc<str>>,
}

/// Those of all organizations, none of which has none.
#[derive(Debug, Default)]
struct All {
    owners: HashMap<Arc<str>, Made>,
    /// Whose each of them is, in the order in which they were made.
    order: VecDeque<Arc<str>>,
    /// Owners and ids of those that came or went since they were kept.
    changed: HashSet<(Arc<str>, Arc<str>)>,
}

/// Ids of responses and the ids of their nodes, by organization.
#[derive(Debug, Default)]
pub struct Responses(Mutex<All>);

impl All {
    /// Forgets the oldest response of an organization.
    fn forget_oldest(&mut self, owner: &Arc<str>) {
        let Some(made) = self.owners.get_mut(owner) else { return };
        if let Some(oldest) = made.order.pop_front() {
            made.makers.remove(&oldest);
            self.changed.insert((owner.clone(), oldest));
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

    /// Those that were kept, by keys `response:OWNER/ID` and texts as [`Self::changes`] gives them; None for a text that the
    /// store cannot read. What cannot be read, or is more than there is room for, is among the changes, to be removed.
    pub fn recall<'a>(kept: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        let mut makers: Vec<(&str, &str, Maker)> = Vec::new();
        let mut unreadable: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for (key, text) in kept {
            let Some((owner, id)) = parts(key) else { continue };
            match text.and_then(|text| serde_json::from_str(text).ok()) {
                Some(maker) => makers.push((owner, id, maker)),
                None => unreadable.push((Arc::from(owner), Arc::from(id))),
            }
        }
        makers.sort_by_key(|(.., maker)| maker.at);
        let responses = Self::default();
        for (owner, id, maker) in makers {
            responses.made(owner, id, maker);
        }
        {
            let All { owners, changed, .. } = &mut *responses.lock();
            changed.retain(|(owner, id)| owners.get(owner).is_none_or(|made| !made.makers.contains_key(id)));
            changed.extend(unreadable);
        }
        responses
    }

    /// The changes under these keys could not be kept: they are asked for again.
    pub fn put_back(&self, keys: &[String]) {
        let keys = keys.iter().filter_map(|key| parts(key));
        self.lock().changed.extend(keys.map(|(owner, id)| (Arc::<str>::from(owner), Arc::<str>::from(id))));
    }

    /// What changed since this was asked last: keys `response:OWNER/ID`, each with the JSON text to keep under it, or None
    /// where its row is to be deleted.
    pub fn changes(&self) -> Vec<(String, Option<String>)> {
        let mut all = self.lock();
        let changed = std::mem::take(&mut all.changed).into_iter();
        changed
            .map(|(owner, id)| {
                let maker = all.owners.get(&owner).and_then(|made| made.makers.get(&id));
                let text = maker.and_then(|maker| serde_json::to_string(maker).ok());
                (format!("{KEPT_AS}{owner}/{id}"), text)
            })
            .collect()
    }

    /// `caller` was made the response of this id.
    pub(super) fn made(&self, caller: &str, id: &str, maker: Maker) {
        let (mut all, id) = (self.lock(), Arc::<str>::from(id));
        let owner = match all.owners.get_key_value(caller) {
            Some((owner, _)) => owner.clone(),
            None => Arc::from(caller),
        };
        all.changed.insert((owner.clone(), id.clone()));
        let made = all.owners.entry(owner.clone()).or_default();
        if made.makers.insert(id.clone(), maker).is_some() {
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

    /// Who made it.
    pub(super) fn maker(&self, caller: &str, id: &str) -> Option<Maker> {
        self.lock().owners.get(caller)?.makers.get(id).cloned()
    }

    /// Forgets the responses of nodes that `is_there` does not know.
    pub fn keep_of(&self, is_there: impl Fn(&str) -> bool) {
        let All { owners, order, changed } = &mut *self.lock();
        let mut forgotten: HashMap<Arc<str>, usize> = HashMap::new();
        owners.retain(|owner, made| {
            let before = made.makers.len();
            made.makers.retain(|id, maker| {
                let stays = is_there(&maker.node);
                if !stays {
                    changed.insert((owner.clone(), id.clone()));
                }
                stays
            });
            let gone = before - made.makers.len();
            if gone > 0 {
                made.order.retain(|id| made.makers.contains_key(id));
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

/// The owner and the id in a key of [`Responses::changes`].
fn parts(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(KEPT_AS)?.rsplit_once('/')
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
    use aivonx_protocol::organization::NodeAccess;

    use super::*;

    #[test]
    fn each_knows_its_own_and_no_more_than_there_is_room_for() {
        let responses = Responses::default();
        let node = |name: &str| Maker::new(&name.into(), "m", false, "m");
        responses.made("a", "resp_1", node("n1"));
        assert_eq!(responses.maker("a", "resp_1").unwrap().node, "n1".into());
        assert_eq!((responses.maker("b", "resp_1"), responses.maker("a", "resp_2")), (None, None));
        for number in 0..KEPT {
            responses.made("b", &format!("resp_{number}"), node("n2"));
            responses.made("b", "resp_0", node("n2"));
        }
        assert!(responses.maker("b", "resp_0").is_some());
        responses.made("b", "resp_last", node("n2"));
        assert!(responses.maker("b", "resp_0").is_none() && responses.maker("b", "resp_last").is_some());
        assert!(responses.maker("a", "resp_1").is_some(), "what is another's stays");
    }

    #[test]
    fn all_together_are_bounded_and_those_of_a_node_go_with_it() {
        let responses = Responses::default();
        for owner in 0..2 * KEPT_OF_ALL {
            let node = if owner % 2 == 0 { "n1" } else { "n2" };
            responses.made(&owner.to_string(), "resp_1", Maker::new(&node.into(), "m", false, "m"));
        }
        let sizes = || {
            let all = responses.lock();
            (all.owners.len(), all.order.len())
        };
        assert_eq!(sizes(), (KEPT_OF_ALL, KEPT_OF_ALL));
        assert!(responses.maker("0", "resp_1").is_none());
        responses.keep_of(|node| node == "n1");
        assert_eq!(sizes(), (KEPT_OF_ALL / 2, KEPT_OF_ALL / 2));
        let last = |back: usize| responses.maker(&(2 * KEPT_OF_ALL - back).to_string(), "resp_1");
        assert_eq!((last(2).map(|maker| maker.node), last(1)), (Some("n1".into()), None));
    }

    #[test]
    fn what_is_kept_is_known_again_in_the_same_order() {
        let responses = Responses::default();
        for id in ["resp_1", "resp_2", "resp_gone"] {
            let node = if id == "resp_gone" { "n2" } else { "n1" };
            responses.made("acme", id, Maker::new(&node.into(), "alias", true, "m"));
        }
        responses.made("", "resp_1", Maker::new(&"n1".into(), "m", false, "m"));
        let mut kept: HashMap<String, Option<String>> = responses.changes().into_iter().collect();
        assert_eq!((kept.len(), responses.changes().len()), (4, 0));
        responses.keep_of(|node| node == "n1");
        let gone = responses.changes();
        assert_eq!(gone, [("response:acme/resp_gone".to_owned(), None)]);
        kept.extend(gone);
        kept.insert("response:acme/resp_9".to_owned(), Some("{".to_owned()));
        kept.insert("response:acme/resp_sealed".to_owned(), None);
        kept.remove("response:acme/resp_gone");
        let again = Responses::recall(kept.iter().map(|(key, text)| (&**key, text.as_deref())));
        let mut removed = again.changes();
        removed.sort();
        assert!(again.changes().is_empty() && removed.iter().all(|(_, text)| text.is_none()));
        let removed: Vec<String> = removed.into_iter().map(|(key, _)| key).collect();
        assert_eq!(removed, ["response:acme/resp_9", "response:acme/resp_sealed"]);
        again.put_back(&removed);
        assert_eq!(again.changes().len(), 2);
        assert_eq!(again.maker("acme", "resp_1"), responses.maker("acme", "resp_1"));
        assert_eq!((again.maker("acme", "resp_gone"), again.maker("acme", "resp_9")), (None, None));
        assert!(again.maker("", "resp_1").is_some() && again.maker("", "resp_2").is_none());
    }

    #[test]
    fn only_an_alias_of_the_fleet_opens_what_its_model_made() {
        let rules = RoutingRules::of("acme", &NodeAccess::Shared, &["chat".to_owned()], true);
        let is_for = |asked: &str, of_fleet, model: &str| {
            Maker::new(&"n1".into(), asked, of_fleet, model).is_for(&rules)
        };
        assert!(is_for("chat", true, "secret") && is_for("chat", false, "chat"));
        assert!(!is_for("chat", false, "secret"), "an organization names its own as it likes");
        // As it was kept before that was.
        let text = r#"{"node":"n1","asked":"chat","model":"secret","at":1}"#;
        assert!(!serde_json::from_str::<Maker>(text).unwrap().is_for(&rules));
    }

    #[test]
    fn what_is_kept_beyond_the_room_for_it_is_removed() {
        let text = |at: usize| format!(r#"{{"node":"n1","asked":"m","model":"m","at":{at}}}"#);
        let kept: Vec<_> = (0..=KEPT).map(|at| (format!("response:acme/resp_{at}"), text(at))).collect();
        let responses = Responses::recall(kept.iter().map(|(key, text)| (&**key, Some(&**text))));
        assert_eq!(responses.changes(), [("response:acme/resp_0".to_owned(), None)]);
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
