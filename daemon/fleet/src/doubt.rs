//! What real traffic says against a node. A request may itself be what a node fails over, so traffic moves no node:
//! it has the node checked at once, and callers weigh by their number, not by how often they ask.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Who sent a request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Id of the organization, else of the user or the key.
    Subject(Arc<str>),
    /// Somebody at this address.
    Address(IpAddr),
}

/// How an attempt of real traffic went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Traffic {
    /// The node did its work.
    Served,
    /// The node does not have a model that it listed.
    Missing,
    /// The node has begun to answer with the model of this normal name, which it was not seen to hold in memory.
    Loaded(Box<str>),
    /// The node takes the model of this normal name out of memory, now that it has answered.
    Unloads(Box<str>),
    /// The node failed.
    Failed {
        /// How. Untrusted text.
        why: String,
        /// Whose request it was; None if the node took nobody's.
        by: Option<Caller>,
    },
}

/// The callers whose requests failed on a node since one was served.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    heard: Vec<Caller>,
    since: Option<Instant>,
}

/// Callers remembered.
const HEARD: usize = 16;

/// How long they are remembered.
const LASTS: Duration = Duration::from_secs(60);

impl Doubts {
    /// Takes in a failed attempt. Whether it is reason to check the node now: each caller is, once.
    pub(super) fn hear(&mut self, by: Option<Caller>, now: Instant) -> bool {
        let Some(by) = by else { return true };
        if self.since.is_none_or(|since| now.saturating_duration_since(since) > LASTS) {
            self.heard.clear();
            self.since = Some(now);
        }
        let news = self.heard.len() < HEARD && !self.heard.contains(&by);
        if news {
            self.heard.push(by);
        }
        news
    }

    /// A request was served.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_heard_once_and_many_more_often_but_not_without_end() {
        let now = Instant::now();
        let caller = |n: u8| Some(Caller::Address(IpAddr::from([192, 0, 2, n])));
        let mut doubts = Doubts::default();
        assert!(doubts.hear(caller(1), now) && !doubts.hear(caller(1), now));
        assert!(doubts.hear(Some(Caller::Subject("acme".into())), now));
        assert!(doubts.hear(None, now) && doubts.hear(None, now), "nobody's request got through");
        let heard = (2..100).filter(|n| doubts.hear(caller(*n), now)).count();
        assert_eq!(heard, HEARD - 2);
        assert!(doubts.hear(caller(1), now + LASTS + Duration::from_secs(1)), "and again after a while");
        doubts.clear();
        assert!(doubts.hear(caller(1), now), "and after a request was served");
    }
}
