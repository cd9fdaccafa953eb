//! Requests about nodes.

use aivonx_protocol::{Reply, node::NodeRequest};
use futures_util::StreamExt as _;

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<NodeRequest>) -> Answer {
    let fleet = &services.fleet;
    let actor = permitted.actor().clone();
    let reach = &actor.reach();
    let node = |node| Reply::Node(Box::new(node));
    let probe = |probe| Reply::Probe(Box::new(probe));
    let done = match permitted.into_request() {
        NodeRequest::List => Ok(Reply::Nodes(fleet.list(reach))),
        NodeRequest::Show { node: wanted } => fleet.show(reach, &wanted).map(node),
        NodeRequest::Add(new) => fleet.add(reach, *new).await.map(probe),
        NodeRequest::Set { node: wanted, revision, change } => {
            fleet.set(reach, &wanted, revision, *change).await.map(node)
        }
        NodeRequest::SetState { node: wanted, revision, state } => {
            fleet.set_state(reach, &wanted, revision, state).await.map(node)
        }
        NodeRequest::Remove { node: wanted, revision } => {
            fleet.remove(reach, &wanted, revision).await.map(|()| Reply::Done)
        }
        NodeRequest::Check { node: wanted } => fleet.check(reach, &wanted).await.map(probe),
        NodeRequest::Probe(new) => {
            fleet.probe(reach, &new).await.map(|probed| Reply::Probed(Box::new(probed)))
        }
        NodeRequest::ProbeChange { node: wanted, change } => {
            fleet.probe_change(reach, &wanted, &change).await.map(|probed| Reply::Probed(Box::new(probed)))
        }
        NodeRequest::Watch => return Answer::Stream(fleet.watch(reach).map(Ok).boxed()),
    };
    Answer::Reply(done.map_err(|error| services.fault(&actor, error)))
}
