//! Clients over HTTP use, list and manage what is for their organization.

use aivonx_protocol::{
    key::{self, KeyChange, KeyScope},
    node::{self, NodeChange},
    organization::{self, NodeAccess, OrganizationChange},
};
use aivonx_tests::harness::{Answer, Request};
use serde_json::{Value, json};

use super::world::{World, new_key};

fn chat(model: &str) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    Request::json("/api/chat", &json!({"model": model, "stream": false, "messages": messages}))
}

/// The answer about a model, without its name.
fn told(answer: &Answer, model: &str) -> (u16, String) {
    (answer.status, answer.text().replace(model, "X"))
}

fn names(answer: &Answer) -> Vec<String> {
    let list = answer.json();
    let (list, field) = match (&list["models"], &list["data"]) {
        (Value::Array(list), _) => (list.clone(), "name"),
        (_, Value::Array(list)) => (list.clone(), "id"),
        _ => panic!("{list}"),
    };
    let mut names: Vec<String> =
        list.iter().map(|m| m[field].as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn each_key_lists_and_uses_its_own_organizations_models() {
    let world = World::new().await;
    for (organization, own, node, foreign) in [
        ("acme", "acme-model", &world.anvil, ["other-model", "shared-model"]),
        ("other", "other-model", &world.osprey, ["acme-model", "shared-model"]),
    ] {
        let ask = async |request| world.ask(organization, "work", request).await;
        for path in ["/api/tags", "/v1/models"] {
            let listed = names(&ask(Request::get(path)).await.expect(200));
            let mut expected = [format!("{own}:latest"), "everywhere:latest".into()];
            expected.sort();
            assert_eq!(listed, expected, "{path}");
        }
        let before = node.requests().len();
        for model in [own, "everywhere"] {
            ask(chat(model)).await.expect(200);
        }
        assert_eq!(node.requests().len(), before + 2, "both went to its own node");
        ask(Request::get(&format!("/v1/models/{own}"))).await.expect(200);
        for foreign in foreign {
            let nothing = "qqqqqqqqqqqq";
            for request in [
                |model: &str| chat(model),
                |model: &str| Request::json("/api/show", &json!({"model": model})),
                |model: &str| {
                    let messages = json!([{"role": "user", "content": "hi"}]);
                    Request::json("/v1/chat/completions", &json!({"model": model, "messages": messages}))
                },
                |model: &str| Request::get(&format!("/v1/models/{model}")),
                |model: &str| Request::json("/api/delete", &json!({"model": model})).method("DELETE"),
            ] {
                let answer = ask(request(foreign)).await;
                assert_eq!(answer.status, 404, "{}", answer.text());
                // Names like it may be hinted at; this one's must not.
                let missing = ask(request(nothing)).await;
                assert_eq!(answer.status, missing.status);
                let text = told(&answer, foreign).1;
                assert!(!text.contains(":latest") || text.contains(own), "{text}");
                assert!(
                    !text.contains("osprey") && !text.contains("anvil") && !text.contains("commons"),
                    "{text}"
                );
            }
        }
    }
    // Strangers have the shared nodes.
    let strangers = names(&world.daemon.get("/api/tags").await.expect(200));
    assert_eq!(strangers, ["everywhere:latest", "shared-model:latest"]);
    assert_eq!(world.daemon.ask(&chat("acme-model")).await.status, 404);
    world.daemon.ask(&chat("shared-model")).await.expect(200);
}

#[tokio::test]
async fn a_list_of_models_and_the_way_to_a_third_party_are_closed() {
    let world = World::new().await;
    world.anvil.with(|s| {
        s.model("everywhere:latest").unwrap().remote_host = Some("https://third.example".into());
    });
    world.root.ask(node::Check { node: "anvil".into() }).await.unwrap();
    let refused = world.ask("acme", "work", chat("everywhere")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(world.ask("acme", "work", chat("gpt-oss:120b-cloud")).await.status, 403);
    let listed = names(&world.ask("acme", "work", Request::get("/api/tags")).await);
    assert_eq!(listed, ["acme-model:latest"]);
    world.ask("other", "work", chat("everywhere")).await.expect(200);
    let allow = OrganizationChange { cloud_models: Some(true), ..OrganizationChange::default() };
    world
        .root
        .ask(organization::Set { organization: "acme".into(), revision: None, change: Box::new(allow) })
        .await
        .unwrap();
    world.ask("acme", "work", chat("everywhere")).await.expect(200);

    let only = OrganizationChange { models: Some(vec!["every*".into()]), ..OrganizationChange::default() };
    world
        .root
        .ask(organization::Set { organization: "acme".into(), revision: None, change: Box::new(only) })
        .await
        .unwrap();
    let off = told(&world.ask("acme", "work", chat("acme-model")).await, "acme-model");
    let missing = told(&world.ask("acme", "work", chat("qqqqqqqqqq")).await, "qqqqqqqqqq");
    assert_eq!((off.0, missing.0), (404, 404));
    assert!(!off.1.contains(":latest"), "not even as a hint: {}", off.1);
    world.ask("acme", "work", chat("everywhere:latest")).await.expect(200);
    // A key narrows further, and its list takes effect at once.
    let none = KeyChange { models: Some(vec!["acme*".into()]), ..KeyChange::default() };
    world
        .root
        .ask(key::Set {
            organization: Some("acme".into()),
            key: "acme-work".into(),
            revision: None,
            change: Box::new(none),
        })
        .await
        .unwrap();
    assert_eq!(world.ask("acme", "work", chat("everywhere")).await.status, 404);
    assert!(names(&world.ask("acme", "work", Request::get("/api/tags")).await).is_empty());
}

#[tokio::test]
async fn models_are_managed_on_own_nodes_alone() {
    let world = World::new().await;
    let touched = |path: &str| {
        [&world.anvil, &world.osprey, &world.commons]
            .map(|node| node.requests().iter().filter(|r| r.head.start.contains(path)).count())
    };
    let before = touched("/api/pull");
    let pull = Request::json("/api/pull", &json!({"model": "fresh", "stream": false}));
    world.ask("acme", "work", pull).await.expect(200);
    let after = touched("/api/pull");
    assert_eq!((after[0] - before[0], after[1], after[2]), (1, before[1], before[2]));
    let delete = Request::json("/api/delete", &json!({"model": "everywhere"})).method("DELETE");
    world.ask("acme", "work", delete).await.expect(200);
    assert_eq!(touched("/api/delete"), [1, 0, 0]);

    // Served by shared nodes, it still manages none of them.
    let shared = OrganizationChange { nodes: Some(NodeAccess::Shared), ..OrganizationChange::default() };
    world
        .root
        .ask(organization::Set { organization: "other".into(), revision: None, change: Box::new(shared) })
        .await
        .unwrap();
    world.ask("other", "work", chat("shared-model")).await.expect(200);
    let delete = Request::json("/api/delete", &json!({"model": "shared-model"})).method("DELETE");
    assert_eq!(world.ask("other", "work", delete).await.status, 404);
    assert_eq!(touched("/api/delete"), [1, 0, 0]);
}

#[tokio::test]
async fn diagnostics_and_metrics_tell_each_its_own() {
    let world = World::new().await;
    for organization in ["acme", "other"] {
        let show = Request::json("/api/show", &json!({"model": "everywhere"}));
        world.ask(organization, "work", show).await.expect(200);
    }
    let whole = world
        .root
        .ask(key::Create(Box::new(new_key("whole", None, &[KeyScope::AdminRead]))))
        .await
        .unwrap()
        .secret;
    for path in ["/metrics", "/api/proxy/state", "/api/proxy/active-requests"] {
        let own = world.ask("acme", "watch", Request::get(path)).await.expect(200).text();
        assert!(own.contains("anvil") || own.contains(&world.anvil.url()), "{path}: {own}");
        for foreign in world.foreign_words().into_iter().chain([world.osprey.url(), world.commons.url()]) {
            assert!(!own.contains(&foreign), "{path}: {foreign} in {own}");
        }
        let all = Request::get(path).field("authorization", &format!("Bearer {}", whole.expose()));
        let all = world.daemon.ask(&all).await.expect(200).text();
        assert!(all.contains("osprey") || all.contains(&world.osprey.url()), "{path}");
        assert_eq!(world.ask("acme", "work", Request::get(path)).await.status, 403);
    }
    let of = |id: &str| format!("/api/proxy/active-requests?node_id={id}");
    let osprey = world.ids().node;
    let one = world.ask("acme", "watch", Request::get(&of(&osprey))).await.expect(200).json();
    assert_eq!(one, json!({"nodes": [], "total_active_requests": 0}));

    // A node that is assigned elsewhere takes new requests of its new owner alone.
    let to_other = NodeChange { organization: Some(Some("other".into())), ..NodeChange::default() };
    world
        .root
        .ask(node::Set { node: "anvil".into(), revision: None, change: Box::new(to_other) })
        .await
        .unwrap();
    let left = world.ask("acme", "work", chat("acme-model")).await;
    assert_eq!(left.status, 503, "{}", left.text());
    world.ask("other", "work", chat("acme-model")).await.expect(200);
}
