//! Screens 2, 3 and 4 at work: a probe, a drain, a pull, loading and unloading.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
};
use serde_json::json;

use super::{console, ends_well};

/// Types this key with control.
const CTRL_D: &str = "\x04";
const CTRL_S: &str = "\x13";
const CTRL_U: &str = "\x15";

#[tokio::test]
async fn a_server_is_asked_what_it_is_before_it_is_added() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().node_url("http://127.0.0.1:1").start_any().await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["1 Overview", "superadmin", "1 standby"]).await;
    console.keys("2");
    console.until(&["[2 Nodes]", "node1"]).await;
    console.keys("a");
    console.until(&["Add a node", "ctrl-t test"]).await;
    // An address at which nobody is says so, and keys go on meanwhile.
    console.keys("fake\thttp://127.0.0.1:1\t");
    console.until(&["> Kind", "refused"]).await;
    console.keys("\x1b[Z");
    console.until(&["> URL"]).await;
    console.keys(CTRL_U);
    console.keys(&node.url());
    console.keys("\t");
    console.until(&["Ollama 0.14.2 with 1 model", "m:latest"]).await;
    let listed = daemon.aivonx().json(&["node", "list"]).await;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "only asked: {listed}");
    console.keys(CTRL_S);
    console.until(&["Nodes 2", "● active", "e edit"]).await;
    let entries = daemon.aivonx().json(&["audit", "list", "--action", "node_probe"]).await;
    assert_eq!(entries.as_array().map(Vec::len), Some(2), "who had the gateway connect where: {entries}");
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn a_node_that_drains_counts_down_and_is_removed() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.gate();
    let mut client = daemon.client().await;
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    client.send(&Request::json("/api/chat", &chat)).await;
    node.release(1);
    let head = client.head().await;

    let mut console = console(&daemon, 80, 24);
    console.until(&["1 Overview", "superadmin"]).await;
    console.keys("2");
    console.until(&["Nodes 1", "● active"]).await;
    console.keys("d");
    console.until(&["no active node is left"]).await;
    console.keys("y");
    console.until(&["◐ draining", "1 left"]).await;
    // The question names the running requests before they would be cancelled.
    console.keys(CTRL_D);
    console.until(&["Remove node", "1 request is at work"]).await;
    console.leave("Remove node").await;
    console.until(&["e edit", "1 left"]).await;
    node.open_gate();
    client.rest(head).await;
    console.until(&["◐ draining", "0 left"]).await;
    console.keys(CTRL_D);
    console.until(&["Remove node", "leave it"]).await;
    console.keys("y");
    console.until(&["is removed", "There is no node yet"]).await;
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn a_pull_shows_how_far_it_is_on_both_screens() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.gate();
    let mut console = console(&daemon, 120, 40);
    console.until(&["1 Overview", "superadmin"]).await;
    console.keys("3");
    console.until(&["Models", "m:latest", "disk"]).await;
    console.keys("p");
    console.until(&["Pull a model", "> Model"]).await;
    console.keys(CTRL_U);
    console.keys("new");
    console.keys(CTRL_S);
    console.until(&["p pull", "pulling new"]).await;
    node.release(3);
    // A third of the first layer.
    console.until(&["pulling new", "33%", "1.0 MB of 3.0 MB"]).await;
    console.keys("4");
    console.until(&["[4 Jobs]", "running", "33%"]).await;
    console.keys("\r");
    console.until(&["esc: back", "It goes on when this console is", "closed.", "log"]).await;
    node.open_gate();
    console.until(&["state", "done", "100%"]).await;
    console.keys("3");
    console.until(&["[3 Models]", "new:latest"]).await;
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn a_model_is_loaded_and_taken_out_again() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["1 Overview", "superadmin"]).await;
    console.keys("3");
    console.until(&["m:latest", "disk"]).await;
    console.keys("L");
    console.until(&["Load m:latest", "Stays for"]).await;
    console.keys("1h");
    console.keys(CTRL_S);
    console.until(&["mem 1.2GB", "U unload"]).await;
    assert_eq!(node.only_request().json()["keep_alive"], "1h");
    console.keys("2");
    console.until(&["[2 Nodes]", "1/1", "1.2 GB"]).await;
    console.keys("3");
    console.until(&["[3 Models]", "mem 1.2GB"]).await;
    console.keys("U");
    console.until(&["out of the memory", "leave it"]).await;
    console.keys("y");
    console.until(&["disk", "U unload"]).await;
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn the_strategy_is_set() {
    let daemon = Daemon::builder().start_any().await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["1 Overview", "superadmin"]).await;
    console.keys(":strategy\r");
    console.until(&["How a node is chosen", "< cost >"]).await;
    console.keys("ll");
    console.until(&["< lowest_latency >"]).await;
    console.keys(CTRL_S);
    console.until(&["requests go to the node with the lowest average latency"]).await;
    assert_eq!(daemon.aivonx().json(&["strategy", "show"]).await, "lowest_latency");
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn a_model_is_kept_loaded_and_rules_are_set_for_models() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().node(&node).start().await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "acme"]).await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["superadmin"]).await;
    console.keys("3");
    console.until(&["[Models] Kept Strategies Orgs", "m:latest"]).await;
    console.keys("K");
    console.until(&["Keep a model loaded", "m:latest"]).await;
    console.keys("\x13");
    console.until(&["m:latest is to be kept loaded on 1 node"]).await;
    console.keys("\t");
    console.until(&["[Kept]", "1 of 1"]).await;
    console.keys("\x04");
    console.until(&["Keep m:latest loaded no longer?"]).await;
    console.keys("y");
    console.until(&["No model is kept loaded"]).await;

    console.keys("\t");
    console.until(&["[Strategies]", "as the fleet has it"]).await;
    console.keys("a");
    console.until(&["A strategy for models"]).await;
    console.keys("embed*\tw\x13");
    console.until(&["strategy of embed* is weighted"]).await;
    console.keys("\t");
    console.until(&["[Orgs]", "Every organization sees"]).await;
    console.keys("a");
    console.until(&["For which organizations models are"]).await;
    console.keys("m*\tacme\x13");
    console.until(&["ONLY FOR", "acme"]).await;
    let policies = aivonx.json(&["model", "policy", "list"]).await;
    assert_eq!(policies[0]["only_orgs"], json!(["acme"]), "{policies}");

    console.keys("2");
    console.until(&["[2 Nodes]", "active"]).await;
    console.keys("w");
    console.until(&["MAC", "Idle for"]).await;
    console.keys("aa:bb:cc:dd:ee:ff\x13");
    console.until(&["it may sleep, and is woken by a request"]).await;
    console.keys("\r");
    console.until(&["woken as aa:bb:cc:dd:ee:ff at", "255.255.255.255:9"]).await;
    console.keys("q");
    ends_well(console).await;
}
