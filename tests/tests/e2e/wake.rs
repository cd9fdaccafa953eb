//! Nodes that may sleep.

use std::time::Duration;

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
    within,
};
use serde_json::{Value, json};
use tokio::{net::UdpSocket, time::timeout};

const OFTEN: &str = "[health]\ninterval = \"100ms\"\nfailures = 1\nsuccesses = 1\n";

async fn until_pool(daemon: &Daemon, pool: &str) -> Value {
    let is = async {
        loop {
            let node = daemon.nodes().await.remove(0);
            if node["pool"] == pool {
                return node;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(pool, is).await
}

#[tokio::test]
async fn a_node_that_nobody_asks_is_left_alone_and_woken_for_a_request() {
    let node = FakeNode::ollama().await;
    let network = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = network.local_addr().unwrap().to_string();
    let daemon = Daemon::run(&[&node], OFTEN).await;
    let set = ["node", "set", "n0", "--wake", "AA-BB-CC-DD-EE-01", "--wake-at", &at, "--wake-idle", "1s"];
    daemon.aivonx().ok(&set).await;
    let shown = daemon.aivonx().json(&["node", "show", "n0"]).await;
    let wake = json!({"mac": "aa:bb:cc:dd:ee:01", "address": at, "idle_seconds": 1});
    assert_eq!(shown["wake"], wake, "{shown}");

    until_pool(&daemon, "asleep").await;
    let asked = node.with(|s| s.connections);
    node.set_up(false);
    assert!(daemon.aivonx().ok(&["node", "list"]).await.contains("asleep"));
    let status = daemon.aivonx().json(&["status"]).await;
    assert_eq!(status["nodes_active"], 1, "{status}");
    let tags = daemon.get("/api/tags").await.expect(200).json();
    assert_eq!(tags["models"][0]["name"], "m:latest", "what it has is still served");
    let explained = daemon.aivonx().json(&["explain", "m"]).await;
    assert!(explained["nodes"][0]["cost"]["wait_ms"].as_i64().unwrap() > 5000, "{explained}");

    let mut client = daemon.client().await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": false});
    client.send(&Request::json("/api/chat", &body)).await;
    let mut packet = [0; 200];
    let length = within("the packet", network.recv(&mut packet)).await.unwrap();
    let expected = [&[0xff; 6][..], &[0xaa, 0xbb, 0xcc, 0xdd, 0xee, 1].repeat(16)].concat();
    assert_eq!(&packet[..length], expected);
    assert_eq!(node.with(|s| s.connections), asked, "nobody asked it while it slept");
    node.set_up(true);
    client.answer().await.expect(200);
    until_pool(&daemon, "active").await;

    // What it took is what it is thought to take from now on.
    until_pool(&daemon, "asleep").await;
    let explained = daemon.aivonx().json(&["explain", "m"]).await;
    assert!(explained["nodes"][0]["cost"]["wait_ms"].as_i64().unwrap() < 5000, "{explained}");
    daemon.aivonx().ok(&["node", "set", "n0", "--no-wake"]).await;
    until_pool(&daemon, "active").await;
    assert_eq!(daemon.aivonx().json(&["node", "show", "n0"]).await["wake"], Value::Null);
}

#[tokio::test]
async fn a_model_that_is_to_be_kept_loaded_wakes_its_node_and_keeps_it_awake() {
    let node = FakeNode::ollama().await;
    let network = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = network.local_addr().unwrap().to_string();
    let daemon = Daemon::run(&[&node], OFTEN).await;
    let set = ["node", "set", "n0", "--wake", "AA-BB-CC-DD-EE-01", "--wake-at", &at, "--wake-idle", "1s"];
    daemon.aivonx().ok(&set).await;
    until_pool(&daemon, "asleep").await;
    node.set_up(false);

    daemon.aivonx().ok(&["model", "place", "m", "--copies", "1"]).await;
    // It is looked at again and again until it is awake.
    for _ in 0..3 {
        within("the packet", network.recv(&mut [0; 200])).await.unwrap();
    }
    let placed = daemon.aivonx().json(&["model", "place", "--list"]).await[0].clone();
    assert!(placed["loaded"].as_array().unwrap().is_empty(), "{placed}");
    assert!(placed["lacks"].as_str().unwrap().contains("asleep"), "{placed}");
    node.set_up(true);
    let holds = || node.with(|s| s.models.iter().any(|one| one.name == "m:latest" && one.loaded.is_some()));
    let loaded = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the copy to be loaded", loaded).await;

    // It goes on being checked for longer than it takes to be left alone.
    let from = node.with(|s| s.recorded.len());
    let checked = async {
        while node.with(|s| s.recorded.len()) < from + 120 {
            assert_eq!(daemon.nodes().await.remove(0)["pool"], "active");
        }
    };
    within("forty checks", checked).await;
    while timeout(Duration::from_millis(50), network.recv(&mut [0; 200])).await.is_ok() {}
    daemon.aivonx().ok(&["model", "place", "m", "--remove"]).await;
    until_pool(&daemon, "asleep").await;
    // Not for what it was woken for before.
    let woken = timeout(Duration::from_secs(1), network.recv(&mut [0; 200])).await;
    assert!(woken.is_err(), "it is woken though nobody asks it");
    assert_eq!(daemon.nodes().await.remove(0)["pool"], "asleep");
}

#[tokio::test]
async fn what_is_said_of_waking_is_checked() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "").await;
    for (arguments, says) in [
        (&["--wake", "aa:bb"][..], "no hardware address"),
        (&["--wake", "aa:bb:cc:dd:ee:ff", "--wake-at", "nowhere"], "no address with a port"),
        (&["--wake", "aa:bb:cc:dd:ee:ff", "--wake-idle", "0s"], "no time after which"),
        (&["--wake-at", "127.0.0.1:9"], "--wake"),
        (&["--wake", "aa:bb:cc:dd:ee:ff", "--no-wake"], "cannot be used with"),
    ] {
        let ran = daemon.aivonx().run(&[&["node", "set", "n0"], arguments].concat()).await;
        assert!(ran.code != 0 && ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_node_is_woken_by_hand() {
    let node = FakeNode::ollama().await;
    let network = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = network.local_addr().unwrap().to_string();
    let daemon = Daemon::run(&[&node], OFTEN).await;
    let aivonx = daemon.aivonx();
    let refused = aivonx.run(&["node", "wake", "n0"]).await;
    assert!(refused.code != 0 && refused.stderr.contains("node set n0 --wake MAC"), "{}", refused.stderr);
    let set = ["node", "set", "n0", "--wake", "AA-BB-CC-DD-EE-01", "--wake-at", &at, "--wake-idle", "1s"];
    aivonx.ok(&set).await;
    until_pool(&daemon, "asleep").await;
    assert!(aivonx.ok(&["node", "wake", "n0"]).await.contains("n0 is being woken"));
    let mut packet = [0; 200];
    within("the packet", network.recv(&mut packet)).await.unwrap();
    until_pool(&daemon, "active").await;
}
