//! Requests about nodes.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use aivonx_protocol::{
    Event, Reply,
    node::{Node, NodeRequest},
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    control::{Answer, Services, access::Permitted},
    fleet::Fleet,
};

pub(super) async fn handle(services: &Services, permitted: Permitted<NodeRequest>) -> Answer {
    let fleet = &services.fleet;
    let node = |node| Reply::Node(Box::new(node));
    Answer::Reply(match permitted.into_request() {
        NodeRequest::List => Ok(Reply::Nodes(fleet.list())),
        NodeRequest::Show { node: wanted } => fleet.show(&wanted).map(node),
        NodeRequest::Add(new) => fleet.add(*new).await.map(|probe| Reply::Probe(Box::new(probe))),
        NodeRequest::Set { node: wanted, revision, change } => {
            fleet.set(&wanted, revision, *change).await.map(node)
        }
        NodeRequest::SetState { node: wanted, revision, state } => {
            fleet.set_state(&wanted, revision, state).await.map(node)
        }
        NodeRequest::Remove { node: wanted, revision } => {
            fleet.remove(&wanted, revision).await.map(|()| Reply::Done)
        }
        NodeRequest::Check { node: wanted } => {
            fleet.check(&wanted).await.map(|probe| Reply::Probe(Box::new(probe)))
        }
        NodeRequest::Watch => {
            let fleet: Arc<Fleet> = fleet.clone();
            let changes = fleet.watch();
            return Answer::Stream(watch(changes, move || fleet.list()).map(Ok).boxed());
        }
    })
}

/// A watch of the nodes that can lose no change, however slow its reader.
struct Watch<F> {
    changes: Receiver<Event>,
    list: F,
    /// Ids told and not told to be gone.
    told: BTreeSet<String>,
    ready: VecDeque<Event>,
}

/// All nodes, then every change. `changes` must have been subscribed to before.
fn watch<F>(changes: Receiver<Event>, list: F) -> impl Stream<Item = Event> + Send
where
    F: Fn() -> Vec<Node> + Send,
{
    let mut watch = Watch { changes, list, told: BTreeSet::new(), ready: VecDeque::new() };
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
                Ok(event) => {
                    match &event {
                        Event::Node(node) => {
                            self.told.insert(node.id.clone());
                        }
                        // Gone before it was told: nothing to take back.
                        Event::NodeRemoved(id) if !self.told.remove(id) => continue,
                        _ => {}
                    }
                    return Some(event);
                }
                // Too slow for the feed: everything anew says at least as much as what was lost.
                Err(RecvError::Lagged(_)) => self.tell_all(),
                Err(RecvError::Closed) => return None,
            }
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

    use tokio::sync::broadcast;

    use super::*;

    fn node(id: &str) -> Node {
        let sample =
            Reply::samples().into_iter().find_map(|r| if let Reply::Node(n) = r { Some(*n) } else { None });
        Node { id: id.into(), ..sample.unwrap() }
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
        let mut events = std::pin::pin!(watch(changes, move || listed.lock().unwrap().clone()));
        assert_eq!(id(events.next().await), (true, "a".into()));
        assert_eq!(id(events.next().await), (true, "b".into()));
        feed.send(Event::Node(Box::new(node("c")))).unwrap();
        assert_eq!(id(events.next().await), (true, "c".into()));
        // Never told, so never taken back.
        feed.send(Event::NodeRemoved("x".into())).unwrap();
        feed.send(Event::NodeRemoved("a".into())).unwrap();
        assert_eq!(id(events.next().await), (false, "a".into()));

        // The reader sleeps through a removal and an addition.
        *nodes.lock().unwrap() = vec![node("c"), node("d")];
        for _ in 0..9 {
            feed.send(Event::Node(Box::new(node("c")))).unwrap();
        }
        assert_eq!(id(events.next().await), (false, "b".into()));
        assert_eq!(id(events.next().await), (true, "c".into()));
        assert_eq!(id(events.next().await), (true, "d".into()));
        drop(feed);
        while let Some(event) = events.next().await {
            assert_eq!(id(Some(event)), (true, "c".into()));
        }
    }
}
