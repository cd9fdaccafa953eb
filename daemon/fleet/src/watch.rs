//! A watch of the nodes that loses no change, however slow its reader, and covers the reader's own nodes alone.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use aivonx_domain::TenantScope;
use aivonx_protocol::{Event, node::Node};
use futures_util::{Stream, stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Fleet, node_scope::NodeScope};

/// A change of a node, and whose the node is now.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) owner: Option<Arc<str>>,
    pub(super) event: Event,
}

impl Fleet {
    /// All nodes within reach, then every change of any of them, as `Event::Node` and `Event::NodeRemoved`; a
    /// node that leaves the reach is removed from it. What changes all the time (latency, requests, errors) is sent
    /// once a second at most.
    pub fn watch(self: &Arc<Self>, reach: &TenantScope) -> impl Stream<Item = Event> + Send + use<> {
        let (fleet, reach) = (self.clone(), reach.clone());
        let realm = NodeScope::from(&reach);
        // Subscribed before the nodes are listed: nothing falls in between.
        watch(self.changes(), realm, move || fleet.list(&reach))
    }
}

struct Watch<F> {
    changes: Receiver<Told>,
    realm: NodeScope,
    list: F,
    /// Ids that the reader knows of.
    told: BTreeSet<String>,
    ready: VecDeque<Event>,
}

fn watch<F>(changes: Receiver<Told>, realm: NodeScope, list: F) -> impl Stream<Item = Event> + Send
where
    F: Fn() -> Vec<Node> + Send,
{
    let mut watch = Watch { changes, realm, list, told: BTreeSet::new(), ready: VecDeque::new() };
    watch.tell_all();
    stream::unfold(watch, async |mut watch| {
        let event = watch.next().await?;
        Some((event, watch))
    })
}

impl<F: Fn() -> Vec<Node>> Watch<F> {
    /// None when the fleet is gone.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.changes.recv().await {
                Ok(told) => {
                    if let Some(event) = self.take(told) {
                        return Some(event);
                    }
                }
                // Too slow for the feed: everything anew says at least as much as what was lost.
                Err(RecvError::Lagged(_)) => self.tell_all(),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The event for a change; None if the reader gets none.
    fn take(&mut self, told: Told) -> Option<Event> {
        match told.event {
            Event::Node(node) if self.realm.covers(told.owner.as_deref()) => {
                self.told.insert(node.id.clone());
                Some(Event::Node(node))
            }
            // Another's now: for this reader it is gone.
            Event::Node(node) => self.told.remove(&node.id).then(|| Event::NodeRemoved(node.id.clone())),
            // Gone before the reader knew of it: there is nothing to remove.
            Event::NodeRemoved(id) => self.told.remove(&id).then_some(Event::NodeRemoved(id)),
            _ => None,
        }
    }

    fn tell_all(&mut self) {
        let nodes = (self.list)();
        let now: BTreeSet<String> = nodes.iter().map(|node| node.id.clone()).collect();
        self.ready.extend(self.told.difference(&now).cloned().map(Event::NodeRemoved));
        self.ready.extend(nodes.into_iter().map(|node| Event::Node(Box::new(node))));
        self.told = now;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use aivonx_protocol::Reply;
    use futures_util::{FutureExt as _, StreamExt as _};
    use tokio::sync::broadcast;

    use super::*;

    fn node(id: &str) -> Node {
        let sample =
            Reply::samples().into_iter().find_map(|r| if let Reply::Node(n) = r { Some(*n) } else { None });
        Node { id: id.into(), ..sample.unwrap() }
    }

    fn changed(owner: Option<&str>, id: &str) -> Told {
        Told { owner: owner.map(Into::into), event: Event::Node(Box::new(node(id))) }
    }

    fn removed(owner: Option<&str>, id: &str) -> Told {
        Told { owner: owner.map(Into::into), event: Event::NodeRemoved(id.into()) }
    }

    fn id(event: Option<Event>) -> (bool, String) {
        match event {
            Some(Event::Node(node)) => (true, node.id),
            Some(Event::NodeRemoved(id)) => (false, id),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_watch_begins_with_all_nodes_and_survives_a_loss() {
        let (feed, changes) = broadcast::channel(2);
        let nodes = Arc::new(Mutex::new(vec![node("a"), node("b")]));
        let listed = nodes.clone();
        let all = NodeScope::from(&TenantScope::All);
        let mut events = std::pin::pin!(watch(changes, all, move || listed.lock().unwrap().clone()));
        assert_eq!(id(events.next().await), (true, "a".into()));
        assert_eq!(id(events.next().await), (true, "b".into()));
        feed.send(changed(None, "c")).unwrap();
        assert_eq!(id(events.next().await), (true, "c".into()));
        // Never sent, so never removed.
        feed.send(removed(None, "x")).unwrap();
        feed.send(removed(None, "a")).unwrap();
        assert_eq!(id(events.next().await), (false, "a".into()));

        // The reader sleeps through a removal and an addition.
        *nodes.lock().unwrap() = vec![node("c"), node("d")];
        for _ in 0..9 {
            feed.send(changed(None, "c")).unwrap();
        }
        assert_eq!(id(events.next().await), (false, "b".into()));
        assert_eq!(id(events.next().await), (true, "c".into()));
        assert_eq!(id(events.next().await), (true, "d".into()));
        drop(feed);
        while let Some(event) = events.next().await {
            assert_eq!(id(Some(event)), (true, "c".into()));
        }
    }

    #[tokio::test]
    async fn changes_of_others_nodes_are_not_told_and_a_node_that_becomes_anothers_is_gone() {
        let (feed, changes) = broadcast::channel(16);
        let acme = NodeScope::from(&TenantScope::Organization("acme".into()));
        let mut events = std::pin::pin!(watch(changes, acme, || vec![node("a")]));
        assert_eq!(id(events.next().await), (true, "a".into()));
        for owner in [None, Some("other")] {
            feed.send(changed(owner, "x")).unwrap();
            feed.send(removed(owner, "x")).unwrap();
        }
        assert!(events.next().now_or_never().is_none(), "nothing of others");
        feed.send(changed(Some("acme"), "b")).unwrap();
        assert_eq!(id(events.next().await), (true, "b".into()));
        feed.send(changed(Some("other"), "a")).unwrap();
        assert_eq!(id(events.next().await), (false, "a".into()));
        feed.send(changed(Some("other"), "a")).unwrap();
        feed.send(removed(Some("other"), "a")).unwrap();
        assert!(events.next().now_or_never().is_none(), "and nothing of it later");
        feed.send(changed(Some("acme"), "a")).unwrap();
        assert_eq!(id(events.next().await), (true, "a".into()));
    }
}
