//! Tests of the catalogue.

use std::sync::Arc;

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    node::{AdminState, NodeKind, Pool},
    organization::NodeAccess,
    strategy::Strategy,
};
use serde_json::{Value, json};

use super::{Known, models, of};
use crate::{
    Lists, Node, RoutingRules,
    inventory::{Inventory, read_openai, read_ps, read_tags},
    node_scope::NodeScope,
    tenants::Tenants,
    testing,
};

fn known(name: &str, version: &str, tags: &str, ps: &str) -> Known {
    let sight = Inventory {
        version: Some(version.into()),
        models: read_tags(tags.as_bytes()).unwrap(),
        loaded: read_ps(ps.as_bytes()).unwrap(),
        tells: true,
    };
    let node = Node { seen: Arc::new(sight.seen()), ..testing::node(name) };
    (Arc::new(node), Some(Arc::new(sight)))
}

fn change(known: &mut Known, change: impl FnOnce(&mut Node)) {
    change(Arc::make_mut(&mut known.0));
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn fleet() -> Vec<Known> {
    let a = known(
        "a",
        "0.14.0",
        r#"{"models":[{"name":"m:latest","modified_at":"2026-01-01T10:00:00+02:00","digest":"old","z":1.50,"a":2},
            {"name":"only-a:8b","modified_at":"2025-01-01T00:00:00Z"}]}"#,
        r#"{"models":[{"name":"M:latest","size_vram":9,"expires_at":"2026-01-01T00:00:01Z","context_length":4096}]}"#,
    );
    let b = known(
        "b",
        "0.12.10",
        r#"{"models":[{"name":"m:latest","modified_at":"2026-01-01T09:00:00Z","digest":"new","remote_host":"https://x"},
            {"name":"gpt-oss:120b-cloud"}]}"#,
        r#"{"models":[{"name":"m:latest"},{"name":"n","node":"mine"}]}"#,
    );
    vec![a, b]
}

#[test]
fn merges_what_the_nodes_have() {
    let snapshot = of(fleet(), Strategy::LeastActive);
    let lists = snapshot.lists(&RoutingRules::ALL);
    let tags = value(&lists.tags);
    let names: Vec<&Value> = tags["models"].as_array().unwrap().iter().map(|m| &m["name"]).collect();
    assert_eq!(names, ["m:latest", "only-a:8b", "gpt-oss:120b-cloud"], "newest first, once per name");
    assert_eq!(tags["models"][0]["digest"], "new", "09:00Z is newer than 10:00+02:00");
    assert_eq!(&*snapshot.ollama["m:latest"].nodes, [0, 1]);
    assert_eq!(&*snapshot.ollama["only-a:8b"].nodes, [0]);
    assert!(snapshot.ollama["m:latest"].cloud == [1], "one node's copy is remote");
    assert_eq!(snapshot.ollama["gpt-oss:120b-cloud"].cloud, [1]);
    assert!(snapshot.ollama["only-a:8b"].cloud.is_empty());
    assert_eq!(snapshot.version.as_deref(), Some("0.12.10"));
    assert!(snapshot.nodes[0].seen.loaded.contains("m:latest"));
}

#[test]
fn keeps_the_nodes_own_objects_and_adds_the_node_to_ps() {
    let mut fleet = fleet();
    fleet.truncate(1);
    let snapshot = of(fleet, Strategy::LeastActive);
    let lists = snapshot.lists(&RoutingRules::ALL);
    let text = std::str::from_utf8(&lists.tags).unwrap();
    assert!(text.contains(r#""digest":"old","z":1.50,"a":2}"#), "{text}");

    let ps = value(&of(self::fleet(), Strategy::LeastActive).lists(&RoutingRules::ALL).ps);
    let pairs: Vec<(&str, &str)> = ps["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["name"].as_str().unwrap(), m["node"].as_str().unwrap()))
        .collect();
    assert_eq!(pairs, [("M:latest", "a"), ("m:latest", "b"), ("n", "b")]);
}

#[test]
fn lists_models_in_openai_shape() {
    let mut fleet = fleet();
    let mut vllm = known("v", "1.0", r#"{"models":[]}"#, r#"{"models":[]}"#);
    let models =
        read_openai(br#"{"data":[{"id":"Qwen/Qwen3","owned_by":"vllm"},{"id":"m:latest"}]}"#).unwrap();
    vllm.1 = Some(Arc::new(Inventory { models, ..Inventory::default() }));
    change(&mut vllm, |n| n.kind = NodeKind::Openai);
    fleet.push(vllm);
    let snapshot = of(fleet, Strategy::LeastActive);
    let lists = snapshot.lists(&RoutingRules::ALL);
    let list = value(&lists.models);
    assert_eq!(list["object"], "list");
    let ids: Vec<&Value> = list["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!(ids, ["Qwen/Qwen3", "gpt-oss:120b-cloud", "m:latest", "only-a:8b"]);
    assert_eq!(list["data"][0], json!({"id": "Qwen/Qwen3", "owned_by": "vllm"}));
    let tags = value(&lists.tags);
    let names: Vec<&Value> = tags["models"].as_array().unwrap().iter().map(|m| &m["name"]).collect();
    assert_eq!(names.iter().filter(|name| **name == "m:latest").count(), 1, "{tags}");
    assert_eq!(*names.last().unwrap(), "Qwen/Qwen3", "it is served by translation");
    assert_eq!(
        value(lists.model("Only-A:8b").unwrap()),
        json!({"id": "only-a:8b", "object": "model", "created": 1_735_689_600, "owned_by": "library"})
    );
    assert_eq!(&*snapshot.openai["Qwen/Qwen3"].nodes, [2]);
    assert!(!snapshot.ollama.contains_key("qwen/qwen3:latest"), "openai names are exact");
}

#[test]
fn nodes_that_take_nothing_keep_their_place_but_are_not_listed() {
    let mut fleet = fleet();
    change(&mut fleet[1], |n| n.pool = Pool::Standby);
    let snapshot = of(fleet.clone(), Strategy::LeastActive);
    let lists = snapshot.lists(&RoutingRules::ALL);
    assert_eq!(value(&lists.tags)["models"].as_array().unwrap().len(), 2);
    assert_eq!(value(&lists.ps)["models"].as_array().unwrap().len(), 1);
    assert_eq!(&*snapshot.ollama["gpt-oss:120b-cloud"].nodes, [1], "so that the answer is 503, not 404");
    assert_eq!(snapshot.version.as_deref(), Some("0.14.0"));

    change(&mut fleet[0], |n| n.admin_state = AdminState::Draining);
    let snapshot = of(fleet, Strategy::LeastActive);
    let lists = snapshot.lists(&RoutingRules::ALL);
    assert_eq!(&lists.tags[..], br#"{"models":[]}"#);
    assert_eq!(&lists.models[..], br#"{"object":"list","data":[]}"#);
    assert_eq!(value(&lists.ps)["models"][0]["node"], "a", "it still holds what it holds");
}

#[test]
fn shows_administrators_every_model_on_every_node() {
    let all: Vec<_> = models(&fleet(), &Tenants::default().view(&NodeScope::from(&TenantScope::All)))
        .into_iter()
        .map(|(_, model)| model)
        .collect();
    let names: Vec<&str> = all.iter().map(|m| &*m.name).collect();
    assert_eq!(names, ["gpt-oss:120b-cloud", "m:latest", "only-a:8b"]);
    let m = &all[1];
    assert_eq!((m.digest.as_deref(), m.cloud), (Some("new"), true));
    assert_eq!((&*m.nodes[0].node, m.nodes[0].loaded, m.nodes[0].size_vram), ("a", true, Some(9)));
    assert_eq!((m.nodes[0].expires_at, m.nodes[0].context_length), (Some(1_767_225_601_000), Some(4096)));
    assert!(m.nodes[1].loaded);
    assert!(!all[2].nodes[0].loaded);
}

/// What `lists` has, as text: names, digests and nodes of others must not be in it.
fn text(lists: &Lists) -> String {
    [&lists.tags, &lists.ps, &lists.models].map(|b| String::from_utf8_lossy(b).into_owned()).join("\n")
}

#[test]
fn each_sees_the_models_of_the_nodes_that_serve_it() {
    let mut fleet = fleet();
    change(&mut fleet[0], |n| n.organization = Some("acme".into()));
    let snapshot = of(fleet, Strategy::LeastActive);
    let acme = RoutingRules::of("acme", &NodeAccess::Exclusive, &[], true);

    let own = snapshot.lists(&acme);
    let seen = text(&own);
    assert!(seen.contains("only-a") && seen.contains("\"old\"") && seen.contains("\"node\":\"a\""), "{seen}");
    assert!(!seen.contains("\"new\"") && !seen.contains("gpt-oss") && !seen.contains("\"b\""), "{seen}");
    assert!(own.model("only-a:8b").is_some() && own.model("gpt-oss:120b-cloud").is_none());
    assert!(
        snapshot.known("only-a:8b", &acme).is_some() && snapshot.known("gpt-oss:120b-cloud", &acme).is_none()
    );

    for other in [RoutingRules::SHARED, RoutingRules::of("other", &NodeAccess::Shared, &[], true)] {
        let seen = text(&snapshot.lists(&other));
        assert!(seen.contains("\"new\"") && seen.contains("gpt-oss"), "{seen}");
        assert!(!seen.contains("only-a") && !seen.contains("\"old\"") && !seen.contains("\"a\""), "{seen}");
        assert!(snapshot.lists(&other).model("only-a:8b").is_none());
    }
    let nowhere = text(&snapshot.lists(&RoutingRules::of("other", &NodeAccess::Exclusive, &[], true)));
    assert!(!nowhere.contains("name") && !nowhere.contains("\"id\""), "{nowhere}");
    assert!(text(&snapshot.lists(&RoutingRules::ALL)).contains("only-a"));
}

#[test]
fn lists_leave_out_what_may_not_be_used() {
    let snapshot = of(fleet(), Strategy::LeastActive);
    let named = RoutingRules::of("acme", &NodeAccess::Shared, &["m".into()], true);
    let seen = text(&snapshot.lists(&named));
    assert!(seen.contains("m:latest") && !seen.contains("only-a") && !seen.contains("gpt-oss"), "{seen}");
    assert!(!seen.contains("\"n\""), "in memory is a list too: {seen}");

    let local = snapshot.lists(&RoutingRules::SHARED.without_cloud());
    let seen = text(&local);
    assert!(seen.contains("only-a") && !seen.contains("gpt-oss") && !seen.contains("\"new\""), "{seen}");
    assert!(seen.contains("\"old\""), "the copy that stays here is listed: {seen}");
    assert!(local.model("gpt-oss:120b-cloud").is_none());
    assert!(Arc::ptr_eq(&local, &snapshot.lists(&RoutingRules::SHARED.without_cloud())), "made once");
}
