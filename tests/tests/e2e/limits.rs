//! Limits hold under parallel requests, failing nodes and clients, and a killed process.

mod answers;
mod budgets;
mod counts;
mod restart;
mod unpriced;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Answer, Builder, Daemon, Request},
    within,
};
use serde_json::{Value, json};

/// The organization of every test.
const ORGANIZATION: &str = "acme";

/// A daemon in whose days it is about noon: none of these tests runs over midnight.
fn builder(extra: &str) -> Builder {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let offset = (now / 3600 + 12) % 24;
    Daemon::builder().config(&format!("[limits]\nday_offset = \"{offset}h\"\n{extra}"))
}

/// A daemon with an organization, and a key of it.
struct Rig {
    node: FakeNode,
    daemon: Daemon,
    key: String,
}

impl Rig {
    async fn new() -> Self {
        let node = FakeNode::ollama().await;
        // A load would go on when its client leaves.
        node.with(|s| s.models[0].load());
        let daemon = builder("").node(&node).start().await;
        Self::with(node, daemon).await
    }

    async fn with(node: FakeNode, daemon: Daemon) -> Self {
        let key = daemon.tenant(ORGANIZATION).await;
        Self { node, daemon, key }
    }

    /// Sets limits of the organization.
    async fn limit(&self, values: &[&str]) {
        set(&self.daemon, &["--org", ORGANIZATION], values).await;
    }

    fn with_key(&self, request: Request) -> Request {
        request.field("Authorization", &format!("Bearer {}", self.key))
    }

    async fn chat(&self, stream: bool) -> Answer {
        self.daemon.ask(&self.with_key(chat(stream))).await
    }

    /// What is used of a limit of the organization.
    async fn used(&self, limit: &str) -> Value {
        used(&self.daemon, limit).await
    }

    /// Waits until so much of it is used: a request is settled when its end was noticed.
    async fn until_used(&self, limit: &str, wanted: &Value) {
        let mut last = Value::Null;
        let reached = async {
            loop {
                last = self.used(limit).await;
                if last == *wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(aivonx_tests::DEADLINE, reached).await.is_err() {
            panic!("{limit}: {last} is used, not {wanted}");
        }
    }
}

async fn set(daemon: &Daemon, target: &[&str], values: &[&str]) {
    daemon.aivonx().ok(&[&["limit", "set"][..], target, values].concat()).await;
}

async fn used(daemon: &Daemon, limit: &str) -> Value {
    let shown = daemon.aivonx().json(&["limit", "show", "--org", ORGANIZATION]).await;
    let limits = shown["limits"].as_array().unwrap();
    limits.iter().find(|l| l["name"] == limit).unwrap_or_else(|| panic!("{limit} in {shown}"))["used"].clone()
}

fn chat(stream: bool) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    Request::json("/api/chat", &json!({"model": "m", "stream": stream, "messages": messages}))
}

#[tokio::test]
async fn refused_credentials_count_by_address_and_good_ones_do_not() {
    let node = FakeNode::ollama().await;
    let daemon = builder("").node(&node).mode("required").start().await;
    let rig = Rig::with(node, daemon).await;
    set(&rig.daemon, &[], &["refused.hour=3"]).await;
    let guess = |n: u32| chat(false).field("Authorization", &format!("Bearer aivx_guess{n}"));
    for n in 0..3 {
        rig.daemon.ask(&guess(n)).await.expect(401);
    }
    let answer = rig.daemon.ask(&guess(3)).await.expect(429);
    assert!(answer.field("retry-after").is_some());
    assert!(answer.text().contains("refused.hour"), "{}", answer.text());
    rig.chat(false).await.expect(200);
    // Nothing at all is no guess.
    rig.daemon.ask(&chat(false)).await.expect(401);
}
