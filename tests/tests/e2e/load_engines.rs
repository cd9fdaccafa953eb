//! Engines behind OpenAI's API that load and unload models when asked to.

use aivonx_tests::{
    fake::{Face, FakeNode, Kind},
    harness::Daemon,
};
use serde_json::{Value, json};

const OFTEN: &str = "[health]\ninterval = \"100ms\"\nfailures = 1\nsuccesses = 1\n";

fn held(node: &FakeNode) -> Vec<String> {
    let loaded = |s: &mut aivonx_tests::fake::NodeState| -> Vec<String> {
        s.models.iter().filter(|model| model.loaded.is_some()).map(|model| model.name.clone()).collect()
    };
    node.with(loaded)
}

#[tokio::test]
async fn each_engine_loads_and_unloads_in_its_own_way() {
    for (face, others) in [(Face::Router, &["a"][..]), (Face::Studio, &["a"]), (Face::Sleeper, &["a", "b"])] {
        let node = FakeNode::start(Kind::Openai, &["a", "b"]).await;
        node.with(|s| s.face = Some(face));
        let daemon = Daemon::run(&[], OFTEN).await;
        daemon.aivonx().ok(&["node", "add", "gpu1", &node.url(), "--kind", "openai"]).await;
        daemon.until_active(1).await;
        let shown = daemon.aivonx().json(&["node", "show", "gpu1"]).await;
        assert_eq!(shown["loaded"], json!([]), "{face:?}: {shown}");
        daemon.aivonx().ok(&["model", "load", "a"]).await;
        assert_eq!(held(&node), others, "{face:?}");
        let shown = daemon.aivonx().json(&["node", "show", "gpu1"]).await;
        assert_eq!(shown["loaded"], json!(others), "{face:?}: {shown}");
        daemon.aivonx().ok(&["model", "unload", "a"]).await;
        assert_eq!(held(&node), Vec::<String>::new(), "{face:?}");
        // Copies are kept there, too.
        daemon.aivonx().ok(&["model", "place", "b", "--copies", "1", "--pin"]).await;
        daemon
            .until_nodes("the copy", |nodes| {
                nodes[0]["loaded"].as_array().is_some_and(|loaded| loaded.contains(&json!("b")))
            })
            .await;
        let placed = daemon.aivonx().json(&["model", "place", "--list"]).await;
        assert_eq!(placed[0]["loaded"], json!(["gpu1"]), "{face:?}: {placed}");
    }
}

#[tokio::test]
async fn an_engine_that_sleeps_is_woken_for_a_request() {
    let node = FakeNode::start(Kind::Openai, &["a"]).await;
    node.with(|s| s.face = Some(Face::Sleeper));
    let daemon = Daemon::run(&[], OFTEN).await;
    daemon.aivonx().ok(&["node", "add", "gpu1", &node.url(), "--kind", "openai"]).await;
    daemon.until_active(1).await;
    daemon.aivonx().ok(&["model", "load", "a"]).await;
    daemon.aivonx().ok(&["model", "unload", "a"]).await;
    let asked = |path: &str| node.everything().iter().filter(|r| r.head.target() == path).count();
    let body = json!({"model": "a", "messages": [{"role": "user", "content": "x"}]});
    let ask = || daemon.post("/v1/chat/completions", &body);
    for answer in <[_; 4]>::from(tokio::join!(ask(), ask(), ask(), ask())) {
        answer.expect(200);
    }
    assert_eq!(asked("/wake_up"), 2, "once for the load, once for the requests");
    assert_eq!(asked("/models/load"), 1, "only the load has to find out which engine it is");
    assert_eq!(held(&node), ["a"]);
}

#[tokio::test]
async fn a_server_that_has_no_way_is_not_asked() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let ran = daemon.aivonx().run(&["model", "load", "m", "--node", "n0"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stderr.contains("has no way to manage models"), "{}", ran.stderr);
    let shown = daemon.aivonx().json(&["node", "show", "n0"]).await;
    assert_eq!(shown["loaded"], Value::Array(Vec::new()), "{shown}");
}
