//! Websockets: both ways, metered, and ended with what they run under.

use std::collections::HashMap;

use aivonx_tests::{
    fake::{
        FakeNode, Fault,
        socket::{CLOSE, TEXT, frame},
    },
    harness::{Daemon, Request, Socket},
    within,
};
use serde_json::{Value, json};

const REALTIME: &str = "/v1/realtime?model=m";

const CREATE: &str = r#"{"type":"response.create","response":{"modalities":["text"]}}"#;

async fn open(daemon: &Daemon, target: &str, key: &str) -> Socket {
    Socket::open(daemon.address(), &Socket::request(target, key), b"").await
}

/// The sessions that run.
async fn running(daemon: &Daemon) -> Vec<Value> {
    daemon.aivonx().json(&["running", "list"]).await.as_array().unwrap().clone()
}

/// What the log says of the last session that is over, once there are `count`.
async fn logged(daemon: &Daemon, count: usize) -> HashMap<String, String> {
    let aivonx = daemon.aivonx();
    let look = async || {
        let events = aivonx.ok(&["logs", "-n", "1000", "--output", "json"]).await;
        let ends: Vec<&str> = events.lines().filter(|line| line.contains("\"outcome\"")).collect();
        let ends: Vec<&&str> = ends.iter().filter(|line| line.contains("/v1/realtime")).collect();
        let last = ends.last().filter(|_| ends.len() >= count)?;
        let event: Value = serde_json::from_str(last).unwrap();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let fields = event["fields"].as_array().unwrap().iter();
        Some(fields.map(|field| (text(&field[0]), text(&field[1]))).collect())
    };
    within("the record", async {
        loop {
            if let Some(record) = look().await {
                return record;
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_is_said_goes_both_ways_as_it_is() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::dev(&[&node]).await;
    let request = Socket::request(&format!("{REALTIME}&intent=transcription"), "").field(
        "Sec-WebSocket-Protocol",
        "realtime, openai-insecure-api-key.sk-secret, openai-beta.realtime-v1",
    );
    // A client need not wait for the head of the answer.
    let mut socket = Socket::open(daemon.address(), &request, &frame(TEXT, b"first", true)).await;
    assert_eq!(socket.head.get("upgrade"), Some("websocket"));
    assert_eq!(socket.head.get("sec-websocket-accept"), Some("of dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(
        (socket.head.get("sec-websocket-protocol"), socket.head.get("x-aivonx-node")),
        (Some("realtime"), Some("node1"))
    );
    assert_eq!(socket.hear().await, (TEXT, "first".to_owned()));
    let sent = node.only_request();
    assert_eq!(sent.head.target(), "/v1/realtime?model=m&intent=transcription");
    let raw = String::from_utf8_lossy(&sent.head.raw).to_lowercase();
    assert!(
        !raw.contains("secret") && !raw.contains("extensions") && !raw.contains("content-length"),
        "{raw}"
    );
    for text in
        ["ü", &"x".repeat(300), &"y".repeat(100_000), r#"{"type":"session.update","session":{"model":"m"}}"#]
    {
        socket.say(text).await;
        assert_eq!(socket.hear().await, (TEXT, text.to_owned()));
    }
    // A message in parts, with a ping among them, cut wherever.
    let parts = [[0x01, 0x82, 0, 0, 0, 0, b'a', b'b'], [0x80, 0x82, 0, 0, 0, 0, b'c', b'd']];
    socket.send(&parts[0]).await;
    socket.send(&frame(9, b"?", true)).await;
    assert_eq!(socket.hear().await, (9, "?".to_owned()));
    for byte in parts[1] {
        socket.send(&[byte]).await;
    }
    assert_eq!(socket.hear().await, (TEXT, "abcd".to_owned()));
    let listed = running(&daemon).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["route"], &listed[0]["phase"], &listed[0]["node"]),
        (&json!("/v1/realtime"), &json!("answering"), &json!("node1"))
    );
    socket.send(&frame(CLOSE, b"\x03\xe8bye", true)).await;
    assert_eq!(socket.closed().await, (1000, "bye".to_owned()));
    daemon.until_idle().await;
    let record = logged(&daemon, 1).await;
    assert_eq!((&*record["status"], &*record["outcome"]), ("101", "complete"), "{record:?}");
    for bytes in ["bytes_in", "bytes_out"] {
        assert!(record[bytes].parse::<u64>().unwrap() > 100_000, "{record:?}");
    }
}

#[tokio::test]
async fn answers_are_counted_and_kept_within_the_limits() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let key = daemon.tenant("acme").await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["limit", "set", "--org", "acme", "concurrent=1", "tokens.day=250"]).await;
    let mut socket = open(&daemon, REALTIME, &key).await;
    daemon.ask(&Socket::request(REALTIME, &key)).await.expect(429);
    for round in 1..=2 {
        socket.say(CREATE).await;
        for _ in 0..4 {
            socket.hear().await;
        }
        let counted = async { while running(&daemon).await[0]["tokens"] != 50 * round {} };
        within("the tokens", counted).await;
        // And what the next is sure to have.
        let shown = aivonx.json(&["limit", "show", "--org", "acme"]).await;
        let of_day = shown["limits"].as_array().unwrap().iter().find(|limit| limit["name"] == "tokens.day");
        assert_eq!(of_day.unwrap()["used"], 90 * round + 1, "{shown}");
    }
    // The third goes beyond what there is, and no other is begun.
    socket.say(CREATE).await;
    let (code, why) = socket.closed().await;
    assert_eq!(code, 1008);
    assert!(why.contains("tokens.day"), "{why}");
    daemon.until_idle().await;
    let record = logged(&daemon, 2).await;
    assert_eq!((&*record["prompt_tokens"], &*record["output_tokens"]), ("120", "150"), "{record:?}");
    assert_eq!(record["limit"], "tokens.day");
    daemon.ask(&Socket::request(REALTIME, &key)).await.expect(429);
}

#[tokio::test]
async fn a_session_ends_with_what_it_runs_under() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::builder().node(&node).arg("--access").arg("required").start().await;
    let key = daemon.tenant("acme").await;
    let aivonx = daemon.aivonx();
    for ((by, code, words), ended) in [
        ("cancel", 1008, "an administrator ended the request"),
        ("drain", 1001, "the node is drained"),
        ("revoke", 1008, "the credential was revoked"),
    ]
    .into_iter()
    .zip(1..)
    {
        let mut socket = open(&daemon, REALTIME, &key).await;
        socket.say("hello").await;
        socket.hear().await;
        match by {
            "cancel" => {
                let id = running(&daemon).await[0]["id"].as_str().unwrap().to_owned();
                aivonx.ok(&["running", "cancel", &id]).await;
            }
            "drain" => drop(aivonx.ok(&["node", "drain", "node1"]).await),
            _ => {
                aivonx.ok(&["node", "enable", "node1"]).await;
                let keys = aivonx.json(&["key", "list"]).await;
                aivonx.ok(&["key", "revoke", keys[0]["id"].as_str().unwrap(), "--yes"]).await;
            }
        }
        let (was, why) = socket.closed().await;
        assert!(was == code && why.contains(words), "{by}: {was} {why}");
        node.until("a close", |state| {
            state.said.iter().filter(|said| said.contains("the client left")).count() == ended
        })
        .await;
        if by == "drain" {
            aivonx.ok(&["node", "enable", "node1"]).await;
        }
    }
    daemon.until_idle().await;
    assert_eq!(logged(&daemon, 3).await["outcome"], "ended");
    daemon.ask(&Socket::request(REALTIME, &key)).await.expect(401);
}

#[tokio::test]
async fn a_daemon_that_stops_does_not_wait_for_a_session() {
    let node = FakeNode::openai().await;
    let mut daemon = Daemon::dev(&[&node]).await;
    let mut socket = open(&daemon, REALTIME, "").await;
    socket.say("hello").await;
    socket.hear().await;
    let (stopped, closed) = tokio::join!(daemon.stop(), socket.closed());
    assert_eq!(closed, (1001, "the gateway is shutting down".to_owned()));
    assert!(stopped.success());
}

#[tokio::test]
async fn a_model_that_the_caller_may_not_use_is_not_to_be_had_within_a_session() {
    let node = FakeNode::start(aivonx_tests::fake::Kind::Openai, &["m", "dear"]).await;
    let daemon = Daemon::run(&[&node], "").await;
    daemon.tenant("acme").await;
    let made = daemon
        .aivonx()
        .json(&["key", "create", "only", "--org", "acme", "--scope", "infer", "--model", "m"])
        .await;
    let key = made["secret"].as_str().unwrap();
    daemon.ask(&Socket::request("/v1/realtime?model=dear", key)).await.expect(404);
    daemon.ask(&Socket::request("/v1/realtime?model=m&transcription_model=dear", key)).await.expect(404);
    for (message, code) in [
        (r#"{"type":"session.update","session":{"model":"dear"}}"#, 1008),
        (r#"{"type":"response.create","response":{"M\u006fdel":"dear"}}"#, 1008),
        (r#"{"type":"session.update","session":{"model":'dear'}}"#, 1007),
        (r#"{"type":"session.update","session":{"tools":[{"server_url":"http://10.0.0.1/dear"}]}}"#, 1008),
    ] {
        let mut socket = open(&daemon, REALTIME, key).await;
        socket.say(message).await;
        let (was, why) = socket.closed().await;
        assert_eq!(was, code, "{message}: {why}");
    }
    assert!(!node.with(|state| state.said.iter().any(|said| said.contains("dear"))));
    // One that is malformed ends it, too, and is not the node's fault.
    let mut socket = open(&daemon, REALTIME, key).await;
    socket.send(b"\x81\x01x").await;
    assert_eq!(socket.closed().await.0, 1002);
    let mut socket = open(&daemon, REALTIME, key).await;
    socket.send(&frame(TEXT, b"\xff", true)).await;
    assert_eq!(socket.closed().await.0, 1007);
    assert_eq!(daemon.nodes().await[0]["pool"], "active");
}

#[tokio::test]
async fn what_is_no_websocket_is_said_to_be_none() {
    let (lacking, node) = (FakeNode::openai().await, FakeNode::openai().await);
    lacking.with(|state| state.lacks.push("/v1/realtime".into()));
    let daemon = Daemon::dev(&[&lacking, &node]).await;
    let plain = daemon.ask(&Request::get(REALTIME)).await.expect(426);
    assert_eq!(plain.field("sec-websocket-version"), Some("13"));
    for (target, status) in [
        ("/v1/realtime", 400),
        ("/v1/realtime?model=", 400),
        ("/v1/realtime?model=m&model=n", 400),
        ("/v1/realtime?model=m&call_id=1", 400),
        ("/v1/realtime?model=other", 404),
    ] {
        let answer = daemon.ask(&Socket::request(target, "")).await.expect(status);
        assert!(answer.json()["error"]["message"].is_string());
    }
    for (field, value, body) in [("Content-Length", "1", "x"), ("Transfer-Encoding", "chunked", "0\r\n\r\n")]
    {
        daemon.ask(&Socket::request(REALTIME, "").body(body).field(field, value)).await.expect(400);
    }
    // A node that has none is passed over, and not blamed.
    for _ in 0..4 {
        let mut socket = open(&daemon, REALTIME, "").await;
        assert_eq!(socket.head.get("x-aivonx-node"), Some("node2"));
        socket.say("x").await;
        assert_eq!(socket.hear().await.1, "x");
    }
    // What a node says of the request itself is passed on. One that answers as if it were an ordinary request does not
    // have it either, and is not asked again for a while.
    for (fault, status) in [
        (Fault::Status(400, r#"{"error":{"message":"no such voice"}}"#), 400),
        (Fault::ResetBeforeHead, 502),
        (Fault::Body("{}"), 501),
    ] {
        node.fail_always(Some(fault));
        let answer = daemon.ask(&Socket::request(REALTIME, "")).await.expect(status);
        assert!(status != 501 || answer.field("x-should-retry") == Some("false"));
    }
}

#[tokio::test]
async fn a_node_that_falls_is_said_to_and_a_client_that_leaves_leaves_it() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut socket = open(&daemon, REALTIME, "").await;
    socket.say("fall").await;
    assert_eq!(socket.closed().await, (1014, "the node broke the websocket off".to_owned()));
    let record = logged(&daemon, 1).await;
    assert_eq!(record["outcome"], "broken", "{record:?}");
    let socket = open(&daemon, REALTIME, "").await;
    socket.reset();
    node.until("a close", |state| state.said.iter().any(|said| said.contains("the client left"))).await;
    daemon.until_idle().await;
    assert_eq!(logged(&daemon, 2).await["outcome"], "client_gone");
}

#[tokio::test]
async fn what_cannot_be_searched_is_not_begun_where_it_must_be() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let key = daemon.tenant("acme").await;
    daemon.aivonx().ok(&["privacy", "set", "--org", "acme", "redact"]).await;
    let answer = daemon.ask(&Socket::request(REALTIME, &key)).await.expect(403);
    assert!(answer.text().contains("/v1/chat/completions"), "{}", answer.text());
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn what_cannot_be_measured_is_not_begun_where_it_is_bounded() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let key = daemon.tenant("acme").await;
    let aivonx = daemon.aivonx();
    for (bound, free, named) in [
        (
            &["limit", "set", "--org", "acme", "prompt.chars=100"][..],
            &["limit", "unset", "--org", "acme", "prompt.chars"][..],
            "prompt.chars",
        ),
        (
            &["model", "policy", "set", "m", "--max-output", "10"],
            &["model", "policy", "unset", "m"],
            "--max-output",
        ),
    ] {
        aivonx.ok(bound).await;
        let answer = daemon.ask(&Socket::request(REALTIME, &key)).await.expect(403);
        assert!(answer.text().contains(named), "{}", answer.text());
        assert!(node.requests().is_empty());
        aivonx.ok(free).await;
    }
    let mut socket = open(&daemon, REALTIME, &key).await;
    socket.say("hello").await;
    socket.hear().await;
}

#[tokio::test]
async fn a_session_is_held_to_what_holds_now() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let key = daemon.tenant("acme").await;
    let aivonx = daemon.aivonx();
    let id = aivonx.json(&["key", "list"]).await[0]["id"].as_str().unwrap().to_owned();
    for (set, unset, words) in [
        (
            &["privacy", "set", "--org", "acme", "redact"][..],
            &["privacy", "set", "--org", "acme", "off"][..],
            "personal data",
        ),
        (
            &["model", "policy", "set", "m", "--max-output", "10"],
            &["model", "policy", "unset", "m"],
            "--max-output",
        ),
        (&["key", "set", &id, "--model", "other"], &["key", "set", &id, "--model", "m"], "revoked"),
    ] {
        let mut socket = open(&daemon, REALTIME, &key).await;
        socket.say("before").await;
        assert_eq!(socket.hear().await.1, "before");
        aivonx.ok(set).await;
        socket.say("after").await;
        let (code, why) = socket.closed().await;
        assert!(code == 1008 && why.contains(words), "{code} {why}");
        aivonx.ok(unset).await;
    }
    assert!(!node.with(|state| state.said.iter().any(|said| said.contains("after"))));
    // One that says nothing ends when its key expires.
    let socket = open(&daemon, REALTIME, &key).await;
    aivonx.ok(&["key", "set", &id, "--expires", "3s"]).await;
    let (code, why) = socket.closed().await;
    assert!(code == 1008 && why.contains("revoked"), "{code} {why}");
}

#[tokio::test]
async fn a_client_that_leaves_before_an_answer_is_over_pays_for_its_prompt() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let key = daemon.tenant("acme").await;
    let mut socket = open(&daemon, REALTIME, &key).await;
    let item = json!({ "type": "conversation.item.create", "item": { "text": "x".repeat(4000) } });
    socket.say(&item.to_string()).await;
    socket.hear().await;
    // Asked for as the node of the tests does not read it, so that its answer never comes.
    socket.say(r#"{"type":"resp\u006fnse.create"}"#).await;
    socket.hear().await;
    socket.reset();
    daemon.until_idle().await;
    let record = logged(&daemon, 1).await;
    assert!(record["prompt_tokens"].parse::<u64>().unwrap() >= 1000, "{record:?}");
}
