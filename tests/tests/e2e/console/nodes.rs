//! Screen 2.

use aivonx_tests::{fake::FakeNode, harness::Daemon};

use super::{console, ends_well};

#[tokio::test]
async fn a_node_is_added_seen_and_removed() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().node_url("http://127.0.0.1:1").start_any().await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["1 Overview", "superadmin", "1 standby"]).await;
    console.keys("2");
    console.until(&["[2 Nodes]", "node1"]).await;
    console.keys("a");
    console.until(&["Add a node"]).await;
    console.keys("fake\t");
    console.keys(&node.url());
    // ctrl-s sends.
    console.keys("\x13");
    // Its line may come before the form goes: keys are the list's once its own are offered.
    console.until(&["Nodes 2", "active", "e edit", &node.url()]).await;
    console.keys("?");
    console.until(&["let it finish what it has"]).await;
    console.leave("let it finish what it has").await;
    console.until(&["Nodes 2", "e edit"]).await;
    console.keys("/fake\r");
    console.until(&["Nodes 1 of 2"]).await;
    console.keys("d");
    console.until(&["no active node is left"]).await;
    console.keys("y");
    console.until(&["draining"]).await;
    // ctrl-d removes, after a question.
    console.keys("\x04");
    console.until(&["Remove node fake?"]).await;
    console.keys("y");
    console.until(&["fake is removed"]).await;
    console.keys("q");
    ends_well(console).await;
    let names = daemon.aivonx().json(&["node", "list"]).await;
    assert_eq!(names.as_array().map(Vec::len), Some(1), "{names}");
}
