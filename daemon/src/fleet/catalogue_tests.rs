//! Tests of the catalogue.

use std::sync::Arc;

use aivonx_protocol::{
    node::{AdminState, NodeKind, Pool},
    strategy::Strategy,
};
use serde_json::{Value, json};

use super::{Known, build, models};
use crate::fleet::{
    Endpoint, Live, Node,
    address::NodeUrl,
    sight::{Sight, read_openai, read_ps, read_tags},
};

fn known(name: &str, version: &str, tags: &str, ps: &str) -> Known {
    let sight = Sight {
        version: Some(version.into()),
        models: read_tags(tags.as_bytes()).unwrap(),
        loaded: read_ps(ps.as_bytes()).unwrap(),
    };
    let url = NodeUrl::parse(&format!("http://{name}")).unwrap();
    let node = Node {
        id: name.into(),
        name: name.into(),
        url: url.text.as_str().into(),
        kind: NodeKind::Ollama,
        admin_state: AdminState::Enabled,
        pool: Pool::Active,
        max_parallel: 0,
        labels: Arc::default(),
        endpoint: Arc::new(Endpoint::new(&url, None, None, false)),
        seen: Arc::new(sight.seen()),
        live: Arc::new(Live::default()),
        revision: 1,
    };
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
    let snapshot = build(&fleet(), Strategy::LeastActive);
    let tags = value(&snapshot.tags);
    let names: Vec<&Value> = tags["models"].as_array().unwrap().iter().map(|m| &m["name"]).collect();
    assert_eq!(names, ["m:latest", "only-a:8b", "gpt-oss:120b-cloud"], "newest first, once per name");
    assert_eq!(tags["models"][0]["digest"], "new", "09:00Z is newer than 10:00+02:00");
    assert_eq!(&*snapshot.ollama["m:latest"].nodes, [0, 1]);
    assert_eq!(&*snapshot.ollama["only-a:8b"].nodes, [0]);
    assert!(snapshot.ollama["m:latest"].cloud, "one node's copy is remote");
    assert!(snapshot.ollama["gpt-oss:120b-cloud"].cloud && !snapshot.ollama["only-a:8b"].cloud);
    assert_eq!(snapshot.version.as_deref(), Some("0.12.10"));
    assert!(snapshot.nodes[0].seen.loaded.contains("m:latest"));
}

#[test]
fn keeps_the_nodes_own_objects_and_adds_the_node_to_ps() {
    let mut fleet = fleet();
    fleet.truncate(1);
    let snapshot = build(&fleet, Strategy::LeastActive);
    let text = std::str::from_utf8(&snapshot.tags).unwrap();
    assert!(text.contains(r#""digest":"old","z":1.50,"a":2}"#), "{text}");

    let ps = value(&build(&self::fleet(), Strategy::LeastActive).ps);
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
    vllm.1 = Some(Arc::new(Sight { models, ..Sight::default() }));
    change(&mut vllm, |n| n.kind = NodeKind::Openai);
    fleet.push(vllm);
    let snapshot = build(&fleet, Strategy::LeastActive);
    let list = value(&snapshot.models);
    assert_eq!(list["object"], "list");
    let ids: Vec<&Value> = list["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!(ids, ["Qwen/Qwen3", "gpt-oss:120b-cloud", "m:latest", "only-a:8b"]);
    assert_eq!(list["data"][0], json!({"id": "Qwen/Qwen3", "owned_by": "vllm"}));
    assert_eq!(
        value(&snapshot.ollama["only-a:8b"].openai_object),
        json!({"id": "only-a:8b", "object": "model", "created": 1_735_689_600, "owned_by": "library"})
    );
    assert_eq!(&*snapshot.openai["Qwen/Qwen3"].nodes, [2]);
    assert!(!snapshot.ollama.contains_key("qwen/qwen3:latest"), "openai names are exact");
}

#[test]
fn nodes_that_take_nothing_keep_their_place_but_are_not_listed() {
    let mut fleet = fleet();
    change(&mut fleet[1], |n| n.pool = Pool::Standby);
    let snapshot = build(&fleet, Strategy::LeastActive);
    assert_eq!(value(&snapshot.tags)["models"].as_array().unwrap().len(), 2);
    assert_eq!(value(&snapshot.ps)["models"].as_array().unwrap().len(), 1);
    assert_eq!(&*snapshot.ollama["gpt-oss:120b-cloud"].nodes, [1], "so that the answer is 503, not 404");
    assert_eq!(snapshot.version.as_deref(), Some("0.14.0"));

    change(&mut fleet[0], |n| n.admin_state = AdminState::Draining);
    let snapshot = build(&fleet, Strategy::LeastActive);
    assert_eq!(&snapshot.tags[..], br#"{"models":[]}"#);
    assert_eq!(&snapshot.models[..], br#"{"object":"list","data":[]}"#);
    assert_eq!(value(&snapshot.ps)["models"][0]["node"], "a", "it still holds what it holds");
}

#[test]
fn shows_administrators_every_model_on_every_node() {
    let all: Vec<_> = models(&fleet()).into_iter().map(|(_, model)| model).collect();
    let names: Vec<&str> = all.iter().map(|m| &*m.name).collect();
    assert_eq!(names, ["gpt-oss:120b-cloud", "m:latest", "only-a:8b"]);
    let m = &all[1];
    assert_eq!((m.digest.as_deref(), m.cloud), (Some("new"), true));
    assert_eq!((&*m.nodes[0].node, m.nodes[0].loaded, m.nodes[0].size_vram), ("a", true, Some(9)));
    assert_eq!((m.nodes[0].expires_at, m.nodes[0].context_length), (Some(1_767_225_601_000), Some(4096)));
    assert!(m.nodes[1].loaded);
    assert!(!all[2].nodes[0].loaded);
}
