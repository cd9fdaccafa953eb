use std::sync::Arc;

use aivonx_protocol::{
    node::{AdminState, Pool},
    organization::NodeAccess,
};

use super::*;
use crate::{
    inventory::{Inventory, read_tags},
    testing,
};

fn known(name: &str, models: &[&str], change: impl FnOnce(&mut Node)) -> Known {
    let tags: Vec<_> = models.iter().map(|name| serde_json::json!({ "name": name })).collect();
    let tags = serde_json::json!({ "models": tags }).to_string();
    let sight = Inventory {
        version: None,
        models: read_tags(tags.as_bytes()).unwrap(),
        loaded: Vec::new(),
        tells: true,
    };
    let mut node = testing::node(name);
    change(&mut node);
    (Arc::new(node), Some(Arc::new(sight)))
}

#[test]
fn a_node_is_spare_only_if_others_serve_all_it_serves_to_all_it_serves() {
    let label = |node: &mut Node| node.labels = Arc::new([("zone".into(), "b".into())].into());
    let acme = |node: &mut Node| node.organization = Some("acme".into());
    let labels = NodeAccess::Labels([("zone".into(), "b".into())].into());
    let of = |access: &NodeAccess, models: &[String]| RoutingRules::of("acme", access, models, true);
    let all = || vec![RoutingRules::SHARED, of(&NodeAccess::Shared, &[])];

    let first = known("a", &["m:latest", "n:8b"], |_| {});
    let mut same = known("b", &["M", "n:8b", "x"], |_| {});
    let spare = |known: &[Known], callers: &[RoutingRules]| is_spare(&known[0].0, known, callers);
    assert!(spare(&[first.clone(), same.clone()], &all()));
    assert!(!spare(std::slice::from_ref(&first), &all()), "the only one");
    assert!(!spare(&[first.clone(), known("b", &["m"], |_| {})], &all()), "the only one with n:8b");
    assert!(!spare(&[first.clone(), known("b", &["m", "n:8b"], acme)], &all()), "the other is acme's");
    assert!(
        spare(
            &[known("a", &["m", "n"], |_| {}), known("b", &["m"], |_| {})],
            &[of(&NodeAccess::Shared, &["m".into()])]
        ),
        "nobody may use n"
    );

    let zoned = [known("a", &["m"], label), known("b", &["m"], |_| {})];
    assert!(spare(&zoned, &[RoutingRules::SHARED]));
    assert!(
        !spare(&zoned, &[RoutingRules::SHARED, of(&labels, &[])]),
        "those bound to the zone have but this one"
    );

    for (pool, state) in [(Pool::Standby, AdminState::Enabled), (Pool::Active, AdminState::Draining)] {
        let node = Arc::make_mut(&mut same.0);
        (node.pool, node.admin_state) = (pool, state);
        assert!(!spare(&[first.clone(), same.clone()], &all()), "the other takes no requests");
    }
}
