//! One name, different weights.

use aivonx_tests::{
    fake::{FakeNode, Kind},
    harness::Daemon,
};
use serde_json::{Value, json};

#[tokio::test]
async fn different_weights_under_one_name_are_told_per_node_and_a_pull_is_offered() {
    let nodes = [
        FakeNode::start(Kind::Ollama, &["m:latest", "same:latest"]).await,
        FakeNode::start(Kind::Ollama, &["m:latest", "same:latest"]).await,
    ];
    nodes[1].with(|state| {
        let [m, same] = &mut state.models[..] else { panic!("two models") };
        // Made on each node by itself, it has two manifests and the same weights.
        same.digest = "5".repeat(64);
        m.digest = "6".repeat(64);
        m.weights = "7".repeat(64);
    });
    let daemon = Daemon::dev(&[&nodes[0], &nodes[1]]).await;
    let aivonx = daemon.aivonx();
    let listed = aivonx.ok(&["model", "list"]).await;
    assert!(listed.contains("m:latest (differs)"), "{listed}");
    assert!(
        listed.contains("different weights on node1, node2") && listed.contains("aivonx model pull m:latest"),
        "{listed}"
    );
    assert!(!listed.contains("same:latest (differs)"), "{listed}");
    let shown = aivonx.ok(&["model", "show", "m"]).await;
    assert!(
        shown.contains("WEIGHTS") && shown.contains("777777777777") && shown.contains("aivonx model pull"),
        "{shown}"
    );
    let json = aivonx.json(&["model", "show", "m"]).await;
    let weights = |node: usize| json["drift"][node]["weights"].as_str().unwrap();
    assert_eq!(
        (&json["drift"][1]["node"], weights(1)),
        (&json!("node2"), &*format!("sha256:{}", "7".repeat(64)))
    );
    assert_ne!(weights(0), weights(1));
    assert_eq!(aivonx.json(&["model", "show", "same"]).await["drift"], Value::Null);
    // Each digest is asked for once.
    let asked = |node: &FakeNode| node.requests().iter().filter(|r| r.head.target() == "/api/show").count();
    assert_eq!(nodes.iter().map(asked).sum::<usize>(), 4);

    // Once they have the same, nothing is said.
    nodes[1].with(|state| state.models[0].digest = nodes[0].with(|other| other.models[0].digest.clone()));
    aivonx.ok(&["node", "check", "node2"]).await;
    let listed = aivonx.ok(&["model", "list"]).await;
    assert!(!listed.contains("differs"), "{listed}");
}
