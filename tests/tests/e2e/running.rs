//! What runs now: listed as it goes, ended by an administrator.

use aivonx_protocol::{
    audit::{self, AuditFilter},
    running::{self, Phase},
};
use aivonx_tests::{
    fake::FakeNode,
    harness::{Client, Daemon, Request},
};
use serde_json::{Value, json};

fn chat(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}

/// The one request that runs, as a script sees it, once it has come so far.
async fn running(daemon: &Daemon, phase: &str) -> Value {
    loop {
        let list = daemon.aivonx().json(&["running", "list"]).await;
        match list.as_array().map(Vec::as_slice) {
            Some([one]) if one["phase"] == phase => return one.clone(),
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn a_request_is_followed_from_its_body_to_its_answer() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.gate();
    assert_eq!(daemon.aivonx().json(&["running", "list"]).await, json!([]));

    let mut client = daemon.client().await;
    let bytes = Request::json("/api/chat", &chat(true)).bytes(daemon.address());
    let (head, rest) = bytes.split_at(bytes.len() - 5);
    client.send_raw("POST", head).await;
    let receiving = running(&daemon, "receiving").await;
    assert_eq!((&receiving["route"], &receiving["node"]), (&json!("/api/chat"), &Value::Null));
    client.send_raw("POST", rest).await;
    let waiting = running(&daemon, "waiting").await;
    assert_eq!(waiting["id"], receiving["id"]);
    assert_eq!((&waiting["model"], &waiting["answering_ms"]), (&json!("m:latest"), &Value::Null));
    assert_eq!(waiting["client"], "127.0.0.1");
    node.release(2);
    let head = client.head().await;
    client.piece().await.unwrap().unwrap();
    let answering = running(&daemon, "answering").await;
    assert!(answering["tokens"].as_u64().unwrap() >= 1, "{answering}");
    assert_eq!(head.get("x-request-id"), answering["id"].as_str(), "the id that its client was told");
    let table = daemon.aivonx().ok(&["running", "list"]).await;
    assert!(table.contains("answering"), "{table}");

    drop(client);
    daemon.until_idle().await;
    assert_eq!(daemon.aivonx().json(&["running", "list"]).await, json!([]));
}

/// A request that waits for its node, or whose answer has begun.
async fn begun(daemon: &Daemon, node: &FakeNode, path: &str, answering: bool) -> Client {
    let mut client = daemon.client().await;
    client.send(&Request::json(path, &chat(true))).await;
    if answering {
        node.release(1);
        running(daemon, "answering").await;
    } else {
        running(daemon, "waiting").await;
    }
    client
}

#[tokio::test]
async fn an_ended_request_says_so_to_its_client_and_leaves_its_node() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.gate();
    let mut gone = 0;
    for path in ["/api/chat", "/v1/chat/completions", "/v1/messages"] {
        for answering in [false, true] {
            let mut client = begun(&daemon, &node, path, answering).await;
            let listed = daemon.control().await.ask(running::List).await.unwrap();
            assert_eq!(listed[0].phase == Phase::Answering, answering);
            daemon.aivonx().ok(&["running", "cancel", &listed[0].id]).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, if answering { 200 } else { 403 });
            assert!(answer.text().contains("an administrator ended the request"), "{}", answer.text());
            gone += 1;
            node.until_gone(gone).await;
            let again = daemon.aivonx().run(&["running", "cancel", &listed[0].id]).await;
            assert_eq!(again.code, 1, "{}", again.stderr);
            assert!(again.stderr.contains("is running"), "{}", again.stderr);
        }
    }
    let control = daemon.control().await;
    let page = control
        .ask(audit::List { filter: AuditFilter::default(), cursor: None, limit: 1000, oldest_first: false })
        .await
        .unwrap();
    let ended = page.entries.iter().filter(|entry| entry.action.as_str() == "request_cancel").count();
    assert_eq!(ended, 12, "those that failed too");
    assert_eq!(daemon.nodes().await[0]["pool"], "active", "it is not the node's failure");
}
