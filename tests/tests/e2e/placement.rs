//! Models that are kept loaded.

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind, Model},
    harness::Daemon,
    within,
};
use serde_json::{Value, json};

const OFTEN: &str = "[health]\ninterval = \"100ms\"\nfailures = 1\nsuccesses = 1\n";

fn holds(node: &FakeNode, model: &str) -> bool {
    node.with(|s| s.models.iter().any(|one| one.name == model && one.loaded.is_some()))
}

fn unload(node: &FakeNode) {
    node.with(|s| s.models.iter_mut().for_each(|model| model.loaded = None));
}

/// Waits until so many of the nodes hold the model.
async fn until_held(nodes: &[&FakeNode], model: &str, count: usize) {
    let held = async {
        while nodes.iter().filter(|node| holds(node, model)).count() != count {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    within("the copies to be loaded", held).await;
}

async fn placement(daemon: &Daemon) -> Value {
    daemon.aivonx().json(&["model", "place", "--list"]).await[0].clone()
}

async fn until_placed(daemon: &Daemon, condition: impl Fn(&Value) -> bool) -> Value {
    let placed = async {
        loop {
            let placement = placement(daemon).await;
            if condition(&placement) {
                return placement;
            }
        }
    };
    within("the placement", placed).await
}

#[tokio::test]
async fn copies_are_loaded_spread_and_loaded_again() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await, FakeNode::ollama().await];
    let all = [&nodes[0], &nodes[1], &nodes[2]];
    let folder = tempfile::tempdir().unwrap();
    let daemon = || Daemon::builder().folder(folder.path()).config(OFTEN);
    let mut first = all.into_iter().fold(daemon(), |builder, node| builder.node(node)).start().await;
    let placed = first.aivonx().json(&["model", "place", "m", "--copies", "2"]).await;
    assert_eq!((&placed["copies"], &placed["pin"]), (&json!(2), &json!(false)), "{placed}");
    until_held(&all, "m:latest", 2).await;
    let placed = until_placed(&first, |one| one["loaded"].as_array().unwrap().len() == 2).await;
    assert_eq!(placed["lacks"], Value::Null, "{placed}");
    let shown = first.aivonx().ok(&["model", "show", "m"]).await;
    assert!(shown.contains("Kept loaded on 2 of 2 nodes."), "{shown}");

    // What leaves is loaded again, here or elsewhere.
    let holder = all.into_iter().find(|node| holds(node, "m:latest")).unwrap();
    unload(holder);
    until_held(&all, "m:latest", 2).await;
    // So is what a node took along.
    let holder = all.into_iter().find(|node| holds(node, "m:latest")).unwrap();
    holder.set_up(false);
    first.until_active(2).await;
    until_held(&all, "m:latest", 2).await;
    holder.set_up(true);
    first.until_active(3).await;

    // And after a restart.
    first.stop().await;
    all.into_iter().for_each(unload);
    let second = daemon().start_any().await;
    until_held(&all, "m:latest", 2).await;
    second.aivonx().ok(&["model", "place", "m", "--remove"]).await;
    assert_eq!(second.aivonx().json(&["model", "place", "--list"]).await, json!([]));
    all.into_iter().for_each(unload);
    let again = second.aivonx().run(&["model", "place", "m", "--remove"]).await;
    assert!(again.code == 1 && again.stderr.contains("is not kept loaded"), "{}", again.stderr);
    assert_eq!(all.into_iter().filter(|node| holds(node, "m:latest")).count(), 0);
}

#[tokio::test]
async fn copies_stay_where_they_are_to_be_and_are_pulled_where_that_is_wanted() {
    let nodes = [FakeNode::ollama().await, FakeNode::start(Kind::Ollama, &["n:latest"]).await];
    let daemon = Daemon::run(&[], OFTEN).await;
    daemon.aivonx().ok(&["node", "add", "a", &nodes[0].url(), "--label", "zone=x"]).await;
    daemon.aivonx().ok(&["node", "add", "b", &nodes[1].url(), "--label", "zone=y"]).await;
    daemon.until_active(2).await;

    daemon.aivonx().ok(&["model", "place", "m", "--copies", "1", "--on", "zone=y"]).await;
    let lacks = placement(&daemon).await;
    assert!(lacks["lacks"].as_str().unwrap().contains("0 of the active nodes"), "{lacks}");
    daemon.aivonx().ok(&["model", "place", "m", "--copies", "1", "--on", "b", "--pull", "--pin"]).await;
    until_held(&[&nodes[1]], "m:latest", 1).await;
    assert!(!holds(&nodes[0], "m:latest"));
    let bodies: Vec<Value> = nodes[1].requests().iter().map(|request| request.json()).collect();
    assert!(bodies.iter().any(|body| body["keep_alive"] == -1), "{bodies:?}");

    for (arguments, says) in [
        (&["m", "--copies", "0"][..], "no number of copies"),
        (&["m", "--copies", "1", "--on", "nowhere"], "there is no node 'nowhere'"),
        (&["m"], "--copies"),
        (&[], "MODEL"),
    ] {
        let ran = daemon.aivonx().run(&[&["model", "place"], arguments].concat()).await;
        assert!(ran.code != 0 && ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_copy_is_loaded_with_the_context_that_policy_sets() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], OFTEN).await;
    daemon.aivonx().ok(&["model", "policy", "set", "m", "--num-ctx", "4096"]).await;
    daemon.aivonx().ok(&["model", "place", "m", "--copies", "1"]).await;
    until_held(&[&node], "m:latest", 1).await;
    let sent = node.requests().into_iter().find(|sent| sent.head.target() == "/api/generate").unwrap();
    assert_eq!(sent.json()["options"], json!({"num_ctx": 4096}));
    // So are those that somebody loads.
    unload(&node);
    daemon.aivonx().ok(&["model", "place", "m", "--remove"]).await;
    daemon.aivonx().ok(&["model", "load", "m"]).await;
    let sent = node.requests().pop().unwrap();
    assert_eq!(sent.json()["options"], json!({"num_ctx": 4096}));
}

#[tokio::test]
async fn a_node_that_cannot_load_is_said_and_another_is_taken() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await];
    let daemon = Daemon::run(&[&nodes[0], &nodes[1]], OFTEN).await;
    for node in &nodes {
        node.with(|s| s.models.push(Model::new("big:latest")));
    }
    nodes[0].fail_always(Some(Fault::Status(500, "{\"error\":\"model requires more system memory\"}")));
    let names: Vec<Value> = daemon.nodes().await.into_iter().map(|node| node["name"].clone()).collect();
    let seen = async {
        while daemon.nodes().await.iter().any(|node| node["models"].as_array().unwrap().len() < 2) {}
    };
    within("the nodes' models", seen).await;
    daemon.aivonx().ok(&["model", "place", "big", "--copies", "2"]).await;
    until_held(&[&nodes[1]], "big:latest", 1).await;
    let lacks = until_placed(&daemon, |one| one["lacks"].is_string()).await;
    let why = lacks["lacks"].as_str().unwrap();
    assert!(
        why.contains("more system memory")
            && names.iter().any(|name| why.starts_with(name.as_str().unwrap())),
        "{lacks}"
    );
    nodes[0].fail_always(None);
    until_held(&[&nodes[0], &nodes[1]], "big:latest", 2).await;
}

/// Waits until the node holds the model with an end, or without one.
async fn until_pinned(node: &FakeNode, wanted: bool) {
    let asked = async {
        loop {
            let last = node.requests().into_iter().rfind(|request| request.head.target() == "/api/generate");
            let pinned = last.is_some_and(|request| request.json()["keep_alive"] == -1);
            if pinned == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    within(if wanted { "the model to be pinned" } else { "the model to be released" }, asked).await;
}

#[tokio::test]
async fn what_is_pinned_no_longer_is_released() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await];
    let daemon = Daemon::run(&[], OFTEN).await;
    daemon.aivonx().ok(&["node", "add", "a", &nodes[0].url()]).await;
    daemon.aivonx().ok(&["node", "add", "b", &nodes[1].url()]).await;
    daemon.until_active(2).await;
    let place = async |arguments: &[&str]| {
        daemon.aivonx().ok(&[&["model", "place", "m"], arguments].concat()).await;
    };
    let pinned = async |copies: usize| {
        until_placed(&daemon, |one| one["loaded"].as_array().unwrap().len() == copies).await;
    };
    place(&["--copies", "2", "--pin"]).await;
    until_pinned(&nodes[0], true).await;
    until_pinned(&nodes[1], true).await;
    pinned(2).await;
    // Fewer copies: one is left to itself.
    place(&["--copies", "1", "--pin"]).await;
    until_pinned(&nodes[1], false).await;
    // No pin.
    place(&["--copies", "1"]).await;
    until_pinned(&nodes[0], false).await;
    // No placement; what others hold without an end on other nodes is theirs.
    place(&["--copies", "1", "--pin", "--on", "a"]).await;
    until_pinned(&nodes[0], true).await;
    until_placed(&daemon, |one| one["loaded"] == json!(["a"])).await;
    let asked = nodes[1].requests().iter().filter(|sent| sent.head.target() == "/api/generate").count();
    daemon.aivonx().ok(&["model", "place", "m", "--remove"]).await;
    until_pinned(&nodes[0], false).await;
    let now = nodes[1].requests().iter().filter(|sent| sent.head.target() == "/api/generate").count();
    assert_eq!(now, asked);
}
