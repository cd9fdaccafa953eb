//! Tests of the scheduler.

use std::sync::Arc;

use aivonx_protocol::{
    node::{AdminState, NodeKind, Pool},
    organization::NodeAccess,
    strategy::Strategy,
};

use aivonx_scheduler::ModelId;

use super::{NoNode, Overflow, Place, Want, Work};
use crate::{
    Lease, Node, RoutingRules, Seen, Snapshot, catalogue,
    inventory::{Inventory, read_tags},
    node::parse_version,
    snapshot::ModelEntry,
    testing::node,
};

fn seen(version: &str, loaded: &[&str]) -> Arc<Seen> {
    let parsed = parse_version(version).unwrap();
    let loaded = loaded.iter().map(|m| (*m).into()).collect();
    Arc::new(Seen { version: Some((version.into(), parsed)), loaded, ..Seen::default() })
}

/// Every ollama node has `m:latest`, every openai node `M`.
fn snapshot(nodes: Vec<Node>) -> Snapshot {
    let with = |kind| (0_u16..).zip(&nodes).filter(|(_, n)| n.kind == kind).map(|(at, _)| at).collect();
    let entry = |name: &str, nodes: Vec<u16>| ModelEntry {
        name: name.into(),
        number: ModelId(0),
        strategy: None,
        nodes,
        cloud: Vec::new(),
    };
    let ollama = entry("m:latest", with(NodeKind::Ollama));
    let openai = entry("M", with(NodeKind::Openai));
    let mut snapshot = Snapshot::of_nodes(nodes);
    snapshot.strategy = Strategy::LeastActive;
    if !ollama.nodes.is_empty() {
        snapshot.ollama.insert("m:latest".into(), ollama);
    }
    if !openai.nodes.is_empty() {
        snapshot.openai.insert("M".into(), openai);
    }
    snapshot
}

const WANT: Want<'static> = Want {
    overflow: Overflow { after: 30.0, otherwise: None },
    model: Some("m"),
    granted: false,
    ollama: Some((0, 0, 0)),
    openai: true,
    api: 0,
    eligible: &RoutingRules::ALL,
};

fn name(lease: &Lease) -> &str {
    &lease.node().name
}

#[test]
fn least_active_wins_and_a_lease_counts_once() {
    let fleet = snapshot(vec![node("a"), node("b"), node("c")]);
    let leases: Vec<Lease> = (0..9).map(|_| fleet.choose(WANT, &[]).unwrap()).collect();
    assert!(fleet.nodes.iter().all(|n| n.live.active() == 3), "spread evenly");
    drop(leases);
    assert!(fleet.nodes.iter().all(|n| n.live.active() == 0 && n.live.requests() == 3));
}

#[test]
fn equals_take_turns_fairly_even_beside_a_busier_node() {
    let fleet = snapshot(vec![node("a"), node("b"), node("c")]);
    let _busy = fleet.choose(WANT, &[fleet.nodes[0].clone(), fleet.nodes[2].clone()]).unwrap();
    let mut hits = [0, 0, 0];
    for _ in 0..600 {
        let lease = fleet.choose(WANT, &[]).unwrap();
        hits[fleet.nodes.iter().position(|n| Arc::ptr_eq(n, lease.node())).unwrap()] += 1;
    }
    assert_eq!(hits[1], 0);
    assert!(hits[0] > 100 && hits[2] > 100, "{hits:?}");
}

#[test]
fn lowest_latency_wins_and_the_unknown_comes_last() {
    let mut fleet = snapshot(vec![node("a"), node("b"), node("c")]);
    fleet.strategy = Strategy::LowestLatency;
    fleet.nodes[0].live.observe_latency(900);
    fleet.nodes[2].live.observe_latency(300);
    let first = fleet.choose(WANT, &[]).unwrap();
    assert_eq!(name(&first), "c");
    let second = fleet.choose(WANT, &[first.node().clone()]).unwrap();
    assert_eq!(name(&second), "a");
    let third = fleet.choose(WANT, &[first.node().clone(), second.node().clone()]).unwrap();
    assert_eq!(name(&third), "b");
}

#[test]
fn requests_for_a_model_stay_where_it_was_loaded_and_go_elsewhere_when_that_is_full() {
    let (mut a, mut b) = (node("a"), node("b"));
    (a.max_parallel, b.max_parallel) = (1, 1);
    let models = read_tags(br#"{"models":[{"name":"m:latest","digest":"d"}]}"#).unwrap();
    let has = Arc::new(Inventory { models, tells: true, ..Inventory::default() });
    let known = [a, b].map(|node| (Arc::new(node), Some(has.clone())));
    let fleet = catalogue::of(known.to_vec(), Strategy::Cost);
    let lease = fleet.choose(WANT, &[]).unwrap();
    lease.begun();
    let first = name(&lease).to_owned();
    drop(lease);
    for spelling in ["m", "M:latest", "library/m", "m:LATEST"] {
        let lease = fleet.choose(Want { model: Some(spelling), ..WANT }, &[]).unwrap();
        assert_eq!(name(&lease), first, "{spelling}");
    }
    let _busy = fleet.choose(WANT, &[]).unwrap();
    assert_ne!(name(&fleet.choose(WANT, &[]).unwrap()), first);
}

#[test]
fn bounds_hold_and_full_nodes_are_passed_over() {
    let (mut a, mut b) = (node("a"), node("b"));
    (a.max_parallel, b.max_parallel) = (1, 2);
    let fleet = snapshot(vec![a, b]);
    let leases: Vec<Lease> = (0..3).map(|_| fleet.choose(WANT, &[]).unwrap()).collect();
    assert_eq!((fleet.nodes[0].live.active(), fleet.nodes[1].live.active()), (1, 2));
    assert!(matches!(fleet.place(WANT, Work::default(), &[]), Ok(Place::Waits(_))));
    drop(leases);
    assert!(fleet.choose(WANT, &[]).is_ok());
}

#[test]
fn says_why_there_is_no_node() {
    assert_eq!(Snapshot::default().choose(WANT, &[]).unwrap_err(), NoNode::Empty);
    let nothing = Want { model: None, ..WANT };
    assert_eq!(Snapshot::default().choose(nothing, &[]).unwrap_err(), NoNode::Empty);

    let fleet = snapshot(vec![node("a")]);
    let unknown = fleet.choose(Want { model: Some("mm"), ..WANT }, &[]).unwrap_err();
    assert_eq!(unknown, NoNode::UnknownModel { model: "mm".into(), nearest: vec!["m:latest".into()] });
    assert_eq!(fleet.choose(WANT, &[fleet.nodes[0].clone()]).unwrap_err(), NoNode::Down);

    for change in [
        (|n: &mut Node| n.pool = Pool::Standby) as fn(&mut Node),
        |n| n.admin_state = AdminState::Draining,
        |n| n.admin_state = AdminState::Disabled,
    ] {
        let mut a = node("a");
        change(&mut a);
        assert_eq!(snapshot(vec![a]).choose(WANT, &[]).unwrap_err(), NoNode::Down);
    }

    let mut never_seen = node("a");
    never_seen.pool = Pool::Standby;
    let fleet = Snapshot::of_nodes([never_seen]);
    assert_eq!(fleet.choose(WANT, &[]).unwrap_err(), NoNode::Down, "nobody knows what it has");
}

#[test]
fn kinds_and_versions_decide_who_serves_a_route() {
    let (mut old, mut new) = (node("old"), node("new"));
    (old.seen, new.seen) = (seen("0.12.6", &[]), seen("0.14.0-rc1", &[]));
    let fleet = snapshot(vec![old, new]);
    let newer = Want { ollama: Some((0, 13, 3)), ..WANT };
    for _ in 0..4 {
        assert_eq!(name(&fleet.choose(newer, &[]).unwrap()), "new");
    }
    let newest = fleet.choose(Want { ollama: Some((0, 15, 0)), ..WANT }, &[]).unwrap_err();
    assert!(newest.to_string().contains("0.15.0"), "{newest}");

    let mut openai = node("vllm");
    openai.kind = NodeKind::Openai;
    let fleet = snapshot(vec![node("a"), openai]);
    let exact = Want { model: Some("M"), ..WANT };
    let leases = [fleet.choose(exact, &[]).unwrap(), fleet.choose(exact, &[]).unwrap()];
    let mut names: Vec<&str> = leases.iter().map(name).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "vllm"], "M is m:latest on ollama nodes and M on openai nodes");
    assert_eq!(name(&fleet.choose(Want { openai: false, ..exact }, &[]).unwrap()), "a");
    assert_eq!(name(&fleet.choose(Want { ollama: None, ..exact }, &[]).unwrap()), "vllm");
    let neither = Want { ollama: None, openai: false, model: None, ..WANT };
    assert!(matches!(fleet.choose(neither, &[]).unwrap_err(), NoNode::Unserved(_)));
}

#[test]
fn a_node_that_was_found_to_lack_an_api_is_no_candidate_for_it() {
    let fleet = snapshot(vec![node("a"), node("b")]);
    fleet.nodes[0].live.has_not(2, "m");
    let (lacking, other) = (Want { api: 2, ..WANT }, Want { api: 4, ..WANT });
    for _ in 0..4 {
        assert_eq!(name(&fleet.choose(lacking, &[]).unwrap()), "b");
    }
    fleet.nodes[1].live.has_not(2, "m");
    assert!(matches!(fleet.choose(lacking, &[]).unwrap_err(), NoNode::Unserved(_)));
    assert!(fleet.choose(other, &[]).is_ok());
    fleet.nodes[0].live.forget_lacks();
    assert_eq!(name(&fleet.choose(lacking, &[]).unwrap()), "a");
}

#[test]
fn leases_balance_under_threads_and_never_pass_a_bound() {
    let mut nodes = vec![node("a"), node("b"), node("c")];
    for node in &mut nodes {
        node.max_parallel = 2;
    }
    let fleet = Arc::new(snapshot(nodes));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let fleet = fleet.clone();
            std::thread::spawn(move || {
                let mut taken = 0_u64;
                for _ in 0..2000 {
                    if let Ok(lease) = fleet.choose(WANT, &[]) {
                        assert!(lease.node().live.active() <= 2);
                        taken += 1;
                    }
                }
                taken
            })
        })
        .collect();
    let taken: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
    assert!(fleet.nodes.iter().all(|n| n.live.active() == 0));
    assert_eq!(fleet.nodes.iter().map(|n| n.live.requests()).sum::<u64>(), taken);
}

fn of(organization: &str, access: &NodeAccess, models: &[&str], cloud: bool) -> RoutingRules {
    let models: Vec<String> = models.iter().map(|m| (*m).to_owned()).collect();
    RoutingRules::of(organization, access, &models, cloud)
}

/// `shared`, and one node of each of two organizations; each has `m`, and a model of its own name.
fn tenants() -> Snapshot {
    let owned = |owner: &str| Node { organization: Some(owner.into()), ..node(owner) };
    let mut fleet = snapshot(vec![owned("acme"), owned("other"), node("shared")]);
    for (at, name) in [(0, "acme-own"), (1, "other-own"), (2, "shared-own")] {
        let entry = ModelEntry {
            name: name.into(),
            number: ModelId(0),
            strategy: None,
            nodes: vec![at],
            cloud: Vec::new(),
        };
        fleet.ollama.insert(format!("{name}:latest").into(), entry);
    }
    fleet
}

#[test]
fn an_organization_is_served_by_its_nodes_alone_and_hears_of_no_others() {
    let fleet = tenants();
    let cases = [
        (of("acme", &NodeAccess::Exclusive, &[], true), "acme"),
        (of("other", &NodeAccess::Exclusive, &[], true), "other"),
        (of("acme", &NodeAccess::Shared, &[], true), "shared"),
        (RoutingRules::SHARED, "shared"),
    ];
    for (eligible, here) in &cases {
        let want = Want { eligible, ..WANT };
        let leases: Vec<Lease> = (0..6).map(|_| fleet.choose(want, &[]).unwrap()).collect();
        assert!(leases.iter().all(|lease| name(lease) == *here), "{eligible:?}");
        assert_eq!(name(&fleet.choose(Want { model: None, ..want }, &[]).unwrap()), *here);
        for node in ["acme", "other", "shared"] {
            let model = format!("{node}-own");
            let chosen = fleet.choose(Want { model: Some(&model), ..want }, &[]);
            assert_eq!(fleet.known(&model, eligible).is_some(), node == *here, "{model}");
            if node == *here {
                assert!(chosen.is_ok());
                continue;
            }
            let NoNode::UnknownModel { nearest, .. } = chosen.unwrap_err() else { panic!("{model}") };
            let own = format!("{here}-own");
            assert!(nearest.iter().all(|like| *like == own || like == "m:latest"), "{nearest:?}");
        }
        let newest = Want { ollama: Some((99, 0, 0)), ..want };
        let mut seen = snapshot(
            fleet.nodes.iter().map(|n| Node { seen: seen("0.1.0", &[]), ..Node::clone(n) }).collect(),
        );
        seen.strategy = Strategy::LowestLatency;
        let unserved = seen.choose(newest, &[]).unwrap_err().to_string();
        for node in ["acme", "other", "shared"] {
            assert_eq!(unserved.contains(node), node == *here, "{unserved}");
        }
    }
}

#[test]
fn an_organization_without_nodes_is_told_so_whatever_others_have() {
    let nowhere = of("third", &NodeAccess::Exclusive, &[], true);
    for fleet in [tenants(), Snapshot::default()] {
        for model in [Some("m"), Some("acme-own"), Some("nothing"), None] {
            let refused = fleet.choose(Want { model, eligible: &nowhere, ..WANT }, &[]).unwrap_err();
            assert_eq!(refused, NoNode::NotServed);
        }
    }
}

#[test]
fn models_off_the_list_are_refused_alike_whether_there_or_not() {
    let fleet = tenants();
    let acme = of("acme", &NodeAccess::Exclusive, &["acme*"], true);
    for model in ["m", "nothing", "other-own"] {
        let refused = fleet.choose(Want { model: Some(model), eligible: &acme, ..WANT }, &[]).unwrap_err();
        assert_eq!(refused, NoNode::UnknownModel { model: model.into(), nearest: Vec::new() });
    }
    assert!(fleet.choose(Want { model: Some("Acme-Own"), eligible: &acme, ..WANT }, &[]).is_ok());
    let unknown = fleet.choose(Want { model: Some("acme-o"), eligible: &acme, ..WANT }, &[]).unwrap_err();
    assert_eq!(unknown, NoNode::UnknownModel { model: "acme-o".into(), nearest: vec!["acme-own".into()] });
}

#[test]
fn cloud_models_are_served_only_to_those_who_may_and_never_by_a_node_that_hands_them_on() {
    let mut fleet = snapshot(vec![node("a"), node("b")]);
    for (name, cloud) in [("alias:latest", vec![0, 1]), ("half:latest", vec![0])] {
        fleet.ollama.insert(
            name.into(),
            ModelEntry { name: name.into(), number: ModelId(0), strategy: None, nodes: vec![0, 1], cloud },
        );
    }
    let local = of("acme", &NodeAccess::Shared, &[], false);
    let choose = |model, eligible| fleet.choose(Want { model: Some(model), eligible, ..WANT }, &[]);
    for model in ["alias", "ALIAS:latest"] {
        assert_eq!(choose(model, &local).unwrap_err(), NoNode::Cloud(model.into()));
        assert!(choose(model, &RoutingRules::ALL).is_ok());
    }
    for model in ["gpt-oss:cloud", "gpt-oss:120b-CLOUD"] {
        assert_eq!(choose(model, &local).unwrap_err(), NoNode::Cloud(model.into()), "not even known");
    }
    for _ in 0..6 {
        assert_eq!(name(&choose("half", &local).unwrap()), "b");
    }
    let tried = [fleet.nodes[1].clone()];
    let want = Want { model: Some("half"), eligible: &local, ..WANT };
    assert_eq!(fleet.choose(want, &tried).unwrap_err(), NoNode::Down, "a retry does not go there either");
}

#[test]
fn third_parties_are_asked_once_the_fleets_own_are_late_or_gone() {
    let (mut own, hosted) = (node("a"), Node { third_party: true, kind: NodeKind::Openai, ..node("b") });
    own.max_parallel = 1;
    let exact = Want { model: Some("M"), ..WANT };
    let late = Want { overflow: Overflow { after: 0.0, otherwise: None }, ..exact };
    let make = |own: &Node| {
        let mut fleet = snapshot(vec![own.clone(), hosted.clone()]);
        fleet.third_parties = true;
        fleet
    };
    let fleet = make(&own);
    let first = fleet.choose(exact, &[]).unwrap();
    assert_eq!(name(&first), "a");
    // The one place is taken: it waits for it, unless that is too late.
    assert_eq!(fleet.choose(exact, &[]).unwrap_err(), NoNode::Down);
    assert_eq!(name(&fleet.choose(late, &[]).unwrap()), "b");
    // One that was tried is gone.
    assert_eq!(name(&fleet.choose(exact, &[first.node().clone()]).unwrap()), "b");
    let down = Node { pool: Pool::Standby, ..own };
    assert_eq!(name(&make(&down).choose(exact, &[]).unwrap()), "b");
    // Alone it is asked at once, unless another model would do soon enough.
    let alone = make(&Node { kind: NodeKind::Ollama, admin_state: AdminState::Disabled, ..down });
    assert_eq!(name(&alone.choose(exact, &[]).unwrap()), "b");
    let soon = Want { overflow: Overflow { after: 30.0, otherwise: Some(5.0) }, ..exact };
    assert_eq!(alone.choose(soon, &[]).unwrap_err(), NoNode::Down);
    let not_soon = Want { overflow: Overflow { after: 3.0, otherwise: Some(5.0) }, ..exact };
    assert_eq!(name(&alone.choose(not_soon, &[]).unwrap()), "b");
}
