//! Screen 6.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
};
use serde_json::json;

use super::{console, ends_well};

async fn chat(daemon: &Daemon, secret: &str) -> u16 {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "m", "stream": false, "messages": messages});
    let request = Request::json("/api/chat", &body);
    daemon.ask(&request.field("authorization", &format!("Bearer {secret}"))).await.status
}

#[tokio::test]
async fn a_limit_set_in_the_console_refuses_the_next_request() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().node(&node).arg("--access").arg("required").start().await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "acme"]).await;
    let made = aivonx.json(&["key", "create", "ci", "--org", "acme"]).await;
    let secret = made["secret"].as_str().unwrap();
    for _ in 0..2 {
        assert_eq!(chat(&daemon, secret).await, 200);
    }
    let mut console = console(&daemon, 80, 24);
    console.until(&["1 Overview", "superadmin"]).await;
    console.keys("6");
    console.until(&["[6 Usage]", "acme", "today UTC: 2 requests"]).await;
    console.keys("\r");
    console.until(&["Limits of organization acme", "inference.day", "requests per day"]).await;
    console.keys("e");
    console.until(&["Set limits of organization acme"]).await;
    // ctrl-u empties the field, ctrl-s sends.
    console.keys("\x15inference.day=2\x13");
    console.until(&["2 are used already: requests are refused"]).await;
    console.keys("y");
    console.until(&["inference.day 2 holds for organization acme", "2 of 2", "100%"]).await;
    assert_eq!(chat(&daemon, secret).await, 429);
    console.leave("Limits of organization acme").await;
    console.until(&["[Orgs] Users", "100%"]).await;
    // More lets more through.
    console.keys("\r");
    console.until(&["2 of 2", "requests per day"]).await;
    console.keys("e");
    console.until(&["Set limits of organization acme"]).await;
    console.keys("\x15inference.day=3\x13");
    console.until(&["inference.day 3 holds for organization acme", "2 of 3"]).await;
    assert_eq!(chat(&daemon, secret).await, 200);
    assert_eq!(chat(&daemon, secret).await, 429);
    // It is asked again while it is shown.
    console.until(&["3 of 3", "u unset"]).await;
    // The limit that was changed is the chosen one.
    console.keys("u");
    console.until(&["inference.day of organization acme is inherited again"]).await;
    assert_eq!(chat(&daemon, secret).await, 200);
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn privacy_of_answers_and_own_patterns_are_set() {
    let daemon = Daemon::builder().config("").start_any().await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "acme"]).await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["superadmin"]).await;
    console.keys("6");
    console.until(&["[6 Usage]", "acme"]).await;
    console.keys("\r");
    console.until(&["Limits of organization acme", "answers off"]).await;
    console.keys("v");
    console.until(&["Personal data of organization acme", "Answers"]).await;
    // To the field of the answers, and there to what begins with r.
    console.keys("\t\tr\x13");
    console.until(&["the privacy mode of answers to organization acme is redact", "answers redact"]).await;
    assert_eq!(aivonx.json(&["privacy", "show", "--org", "acme"]).await["answers"], json!("redact"));
    console.keys("w");
    console.until(&["Patterns of organization acme", "looks for nothing of its own"]).await;
    console.keys("a");
    console.until(&["Add a pattern", "Looks for"]).await;
    console.keys("staff\t\tE-[0-9]{6}\x13");
    console.until(&["added staff: what matches is replaced", "[REDACTED_STAFF]"]).await;
    console.keys("\x04");
    console.until(&["Remove pattern staff?"]).await;
    console.keys("y");
    console.until(&["staff is not looked for any more", "looks for nothing of its own"]).await;
    console.leave("Patterns of organization acme").await;
    console.until(&["Limits of organization acme"]).await;
    console.keys("q");
    ends_well(console).await;
}
