//! Tests of explanations.

use aivonx_protocol::node::{AdminState, Pool};
use aivonx_scheduler::Block;

use super::*;
use crate::{RoutingRules, snapshot::ModelEntry, testing::node};

const WANT: Want<'static> = Want {
    overflow: crate::Overflow { after: 0.0, otherwise: None },
    model: Some("m"),
    granted: false,
    ollama: Some((0, 0, 0)),
    openai: false,
    api: 0,
    eligible: &RoutingRules::ALL,
};

/// All of these have `m:latest` but the last.
fn fleet(nodes: Vec<Node>) -> Snapshot {
    let having = 0..u16::try_from(nodes.len() - 1).unwrap();
    let mut snapshot = Snapshot::of_nodes(nodes);
    let number = snapshot.dispatch.model("m:latest");
    let entry = ModelEntry {
        name: "m:latest".into(),
        number,
        strategy: None,
        nodes: having.collect(),
        cloud: Vec::new(),
    };
    snapshot.ollama.insert("m:latest".into(), entry);
    snapshot
}

fn told(explained: &Explained) -> Vec<(&str, bool, Option<&str>)> {
    explained.nodes.iter().map(|one| (&*one.node, one.chosen, one.reason.as_deref())).collect()
}

#[test]
fn candidates_come_first_and_others_with_their_reasons() {
    let snapshot = fleet(vec![
        node("a"),
        Node { admin_state: AdminState::Draining, ..node("b") },
        Node { pool: Pool::Standby, ..node("c") },
        node("d"),
        Node { organization: Some("acme".into()), ..node("e") },
        node("f"),
    ]);
    let busy = snapshot.nodes.iter().filter(|node| &*node.name != "d").cloned().collect::<Vec<_>>();
    let work = Work { prompt: 400_000, streams: true, ..Work::default() };
    let place = snapshot.place(WANT, work, &busy).unwrap();
    let explained = snapshot.explain(WANT, Work { prompt: 4000, ..work }, &NodeScope::ALL).unwrap();
    assert_eq!(
        told(&explained),
        [
            ("a", true, None),
            ("e", false, None),
            ("d", false, None),
            ("b", false, Some("draining")),
            ("c", false, Some("down")),
            ("f", false, Some("does not have the model")),
        ]
    );
    let costs: Vec<Cost> = explained.nodes.iter().filter_map(|one| one.cost).collect();
    assert_eq!((costs[0].wait_ms, costs[0].prefill_ms, costs[0].cached_tokens), (0, 1000, 0));
    assert!(costs[2].wait_ms > 10_000, "{costs:?}");
    assert!(explained.why.starts_with("a and e cost the same"), "{}", explained.why);
    drop(place);
}

#[test]
fn what_is_cached_explains_the_choice() {
    let snapshot = fleet(vec![node("a"), node("b"), node("c")]);
    let blocks = [Block { hash: 7, tokens: 3000 }];
    let work = Work { prompt: 4000, blocks: &blocks, streams: true, ..Work::default() };
    drop(snapshot.place(WANT, work, &[snapshot.nodes[0].clone()]).unwrap());
    let explained = snapshot.explain(WANT, work, &NodeScope::ALL).unwrap();
    let why = &explained.why;
    assert!(why.starts_with("b costs 0.25") && why.contains(" s and a 1.00"), "{why}");
    assert!(why.ends_with("above all because it has 3000 more tokens of the prompt cached."), "{why}");
    assert_eq!(explained.nodes[0].cost.map(|cost| cost.cached_tokens), Some(3000));
}

#[test]
fn nodes_of_others_are_not_shown() {
    let acme = RoutingRules::of("acme", &aivonx_protocol::organization::NodeAccess::Shared, &[], true);
    let snapshot =
        fleet(vec![node("shared"), Node { organization: Some("acme".into()), ..node("own") }, node("x")]);
    let want = Want { eligible: &acme, ..WANT };
    let realm = NodeScope::from(&aivonx_domain::TenantScope::Organization("acme".into()));
    let explained = snapshot.explain(want, Work::default(), &realm).unwrap();
    assert_eq!(told(&explained), [("own", false, Some("does not serve the organization"))]);
    assert_eq!(explained.why, "A node that is not your organization's would be chosen.");
    let whole = snapshot.explain(want, Work::default(), &NodeScope::ALL).unwrap();
    assert_eq!(whole.why, "shared is the only candidate.");
    assert!(snapshot.explain(Want { model: Some("n"), ..want }, Work::default(), &NodeScope::ALL).is_err());
}
