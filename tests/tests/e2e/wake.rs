//! Nodes that may sleep.

use std::time::Duration;

use aivonx_protocol::{
    Event,
    node::{self, Node, Pool},
};
use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
    within,
};
use serde_json::{Value, json};
use tokio::{net::UdpSocket, time::timeout};

const OFTEN: &str = "[health]\ninterval = \"100ms\"\nfailures = 1\nsuccesses = 1\n";

/// The only node, once it is of this pool.
async fn until_pool(daemon: &Daemon, pool: Pool) -> Node {
    let mut events = daemon.control().await.follow(node::Watch).await.unwrap();
    within(&format!("{pool:?}"), async {
        loop {
            match events.next().await.unwrap().unwrap() {
                Event::Node(node) if node.pool == pool => return *node,
                _ => {}
            }
        }
    })
    .await
}

const MAC: &str = "AA-BB-CC-DD-EE-01";

/// Lets the only node sleep once nobody has asked it for a second; the packets that wake it go to `network`.
async fn may_sleep(daemon: &Daemon, network: &UdpSocket, mac: &str) {
    let at = network.local_addr().unwrap().to_string();
    daemon.aivonx().ok(&["node", "set", "n0", "--wake", mac, "--wake-at", &at, "--wake-idle", "1s"]).await;
}

/// A node that sleeps, and the network that the packets for it go to.
async fn sleeper() -> (FakeNode, UdpSocket, Daemon) {
    let node = FakeNode::ollama().await;
    let network = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let daemon = Daemon::run(&[&node], OFTEN).await;
    may_sleep(&daemon, &network, MAC).await;
    until_pool(&daemon, Pool::Asleep).await;
    (node, network, daemon)
}

/// The next packet, and whether it is one that wakes the card of this last byte.
async fn packet(network: &UdpSocket, last: u8) -> bool {
    let mut packet = [0; 200];
    let length = within("the packet", network.recv(&mut packet)).await.unwrap();
    packet[..length] == [&[0xff; 6][..], &[0xaa, 0xbb, 0xcc, 0xdd, 0xee, last].repeat(16)].concat()
}

#[tokio::test]
async fn a_node_that_nobody_asks_is_left_alone_and_woken_for_a_request() {
    let (node, network, daemon) = sleeper().await;
    let at = network.local_addr().unwrap().to_string();
    let shown = daemon.aivonx().json(&["node", "show", "n0"]).await;
    let wake = json!({"mac": "aa:bb:cc:dd:ee:01", "address": at, "idle_seconds": 1});
    assert_eq!(shown["wake"], wake, "{shown}");

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
    assert!(packet(&network, 1).await);
    assert_eq!(node.with(|s| s.connections), asked, "nobody asked it while it slept");
    node.set_up(true);
    client.answer().await.expect(200);
    until_pool(&daemon, Pool::Active).await;

    // What it took is what it is thought to take from now on.
    until_pool(&daemon, Pool::Asleep).await;
    let explained = daemon.aivonx().json(&["explain", "m"]).await;
    assert!(explained["nodes"][0]["cost"]["wait_ms"].as_i64().unwrap() < 5000, "{explained}");
    daemon.aivonx().ok(&["node", "set", "n0", "--no-wake"]).await;
    until_pool(&daemon, Pool::Active).await;
    assert_eq!(daemon.aivonx().json(&["node", "show", "n0"]).await["wake"], Value::Null);
}

#[tokio::test]
async fn a_model_that_is_to_be_kept_loaded_wakes_its_node_and_keeps_it_awake() {
    let (node, network, daemon) = sleeper().await;
    node.set_up(false);

    daemon.aivonx().ok(&["model", "place", "m", "--copies", "1"]).await;
    // It is looked at again and again until it is awake.
    for _ in 0..3 {
        assert!(packet(&network, 1).await);
    }
    let placed = daemon.aivonx().json(&["model", "place", "--list"]).await[0].clone();
    assert!(placed["loaded"].as_array().unwrap().is_empty(), "{placed}");
    assert!(placed["lacks"].as_str().unwrap().contains("asleep"), "{placed}");
    node.set_up(true);
    node.until("the copy to be loaded", |s| {
        s.models.iter().any(|one| one.name == "m:latest" && one.loaded.is_some())
    })
    .await;

    // It goes on being checked for longer than it takes to be left alone.
    until_pool(&daemon, Pool::Active).await;
    let mut events = daemon.control().await.follow(node::Watch).await.unwrap();
    let stays = async {
        while let Some(Ok(event)) = events.next().await {
            assert!(matches!(&event, Event::Node(node) if node.pool == Pool::Active), "{event:?}");
        }
    };
    tokio::select! {
        () = node.until_checked(120) => {}
        () = stays => panic!("the nodes are followed no more"),
    }
    while timeout(Duration::from_millis(50), network.recv(&mut [0; 200])).await.is_ok() {}
    daemon.aivonx().ok(&["model", "place", "m", "--remove"]).await;
    until_pool(&daemon, Pool::Asleep).await;
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
    let daemon = Daemon::run(&[&node], OFTEN).await;
    let aivonx = daemon.aivonx();
    let refused = aivonx.run(&["node", "wake", "n0"]).await;
    assert!(refused.code != 0 && refused.stderr.contains("node set n0 --wake MAC"), "{}", refused.stderr);
    may_sleep(&daemon, &network, MAC).await;
    until_pool(&daemon, Pool::Asleep).await;
    assert!(aivonx.ok(&["node", "wake", "n0"]).await.contains("n0 is being woken"));
    assert!(packet(&network, 1).await);
    until_pool(&daemon, Pool::Active).await;
}

#[tokio::test]
async fn how_a_node_is_woken_is_mended_while_it_is_called() {
    let (node, network, daemon) = sleeper().await;
    node.set_up(false);
    daemon.aivonx().ok(&["node", "wake", "n0"]).await;
    assert!(packet(&network, 1).await);
    may_sleep(&daemon, &network, "aa:bb:cc:dd:ee:02").await;
    while !packet(&network, 2).await {}
    node.set_up(true);
    until_pool(&daemon, Pool::Active).await;
}
