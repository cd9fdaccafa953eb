//! Hosted APIs behind the fleet.

use aivonx_protocol::organization::{self, OrganizationChange};
use aivonx_tests::{
    fake::FakeNode,
    harness::{Answer, Client, Daemon, Request},
    within,
};
use serde_json::{Value, json};

fn chat(model: &str) -> Request {
    let body = json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    Request::json("/v1/chat/completions", &body)
}

fn node(answer: &Answer) -> &str {
    answer.field("x-aivonx-node").unwrap_or_default()
}

/// A node of the fleet's own that takes one request at a time, and a hosted API, which have the same model.
async fn both(config: &str) -> (FakeNode, FakeNode, Daemon) {
    let (own, hosted) = (FakeNode::ollama().await, FakeNode::openai().await);
    own.with(|s| s.models[0].load());
    let daemon = Daemon::run(&[], config).await;
    daemon.aivonx().ok(&["node", "add", "gpu1", &own.url(), "--max-parallel", "1"]).await;
    daemon.aivonx().ok(&["node", "add", "hosted", &hosted.url(), "--third-party"]).await;
    daemon.until_active(2).await;
    (own, hosted, daemon)
}

/// Has the node of the fleet's own busy with a request, which waits for the gate.
async fn busy(own: &FakeNode, daemon: &Daemon) -> Client {
    own.gate();
    let mut first = daemon.client().await;
    first.send(&chat("m")).await;
    own.until_requests(own.requests().len() + 1).await;
    first
}

async fn waiting(daemon: &Daemon, count: usize) {
    let all = async {
        while daemon.aivonx().json(&["running", "list"]).await.as_array().map_or(0, Vec::len) < count {
            tokio::task::yield_now().await;
        }
    };
    within("the requests to be there", all).await;
}

#[tokio::test]
async fn a_third_party_is_asked_only_where_the_fleet_would_be_late() {
    let (own, hosted, daemon) = both("[overflow]\nafter = \"1h\"\n").await;
    assert_eq!(node(&daemon.ask(&chat("m")).await.expect(200)), "gpu1");
    let mut first = busy(&own, &daemon).await;
    let mut second = daemon.client().await;
    second.send(&chat("m")).await;
    waiting(&daemon, 2).await;
    assert!(hosted.requests().is_empty(), "it waits for the fleet's own");
    own.open_gate();
    first.answer().await.expect(200);
    assert_eq!(node(&second.answer().await.expect(200)), "gpu1");
    let shown = daemon.aivonx().json(&["node", "show", "hosted"]).await;
    assert_eq!(shown["third_party"], true, "{shown}");
    let explained = daemon.aivonx().json(&["explain", "m"]).await;
    let reason = explained["nodes"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("overflow.after"), "{explained}");
}

#[tokio::test]
async fn it_is_asked_where_the_fleet_is_late_down_or_does_not_have_the_model() {
    let (own, hosted, daemon) =
        both("[overflow]\nafter = \"50ms\"\n[health]\ninterval = \"500ms\"\nfailures = 3\n").await;
    let mut first = busy(&own, &daemon).await;
    assert_eq!(node(&daemon.ask(&chat("m")).await.expect(200)), "hosted");
    own.open_gate();
    first.answer().await.expect(200);
    own.set_up(false);
    daemon.until_active(1).await;
    assert_eq!(node(&daemon.ask(&chat("m")).await.expect(200)), "hosted");
    assert_eq!(hosted.requests().len(), 2);
}

#[tokio::test]
async fn no_prompt_goes_there_of_who_does_not_allow_it() {
    let (own, hosted, daemon) = both("[overflow]\nafter = \"50ms\"\n").await;
    let secret = daemon.tenant("acme").await;
    let by = |request: Request| request.field("Authorization", &format!("Bearer {secret}"));
    let mut first = busy(&own, &daemon).await;
    let mut second = daemon.client().await;
    second.send(&by(chat("m"))).await;
    waiting(&daemon, 2).await;
    own.open_gate();
    first.answer().await.expect(200);
    assert_eq!(node(&second.answer().await.expect(200)), "gpu1");
    assert!(hosted.requests().is_empty());

    // Where only the third party has the model there is none.
    own.with(|s| s.models.clear());
    daemon.aivonx().ok(&["node", "check", "gpu1"]).await;
    let refused = daemon.ask(&by(chat("m"))).await.expect(403);
    assert!(refused.text().contains("third party"), "{}", refused.text());
    assert!(hosted.requests().is_empty());
    let change = OrganizationChange { cloud_models: Some(true), ..OrganizationChange::default() };
    let set = organization::Set { organization: "acme".into(), revision: None, change: Box::new(change) };
    daemon.control().await.ask(set).await.unwrap();
    assert_eq!(node(&daemon.ask(&by(chat("m"))).await.expect(200)), "hosted");

    // As of the fleet's own again it is like any other.
    daemon.aivonx().ok(&["node", "set", "hosted", "--no-third-party"]).await;
    let models = daemon.aivonx().json(&["model", "list"]).await;
    assert_eq!(models[0]["cloud"], json!(false), "{models}");
}

#[tokio::test]
async fn what_a_third_party_serves_counts_against_spend() {
    let (own, hosted, daemon) = both("[overflow]\nafter = \"50ms\"\n").await;
    let secret = daemon.tenant("acme").await;
    let change = OrganizationChange { cloud_models: Some(true), ..OrganizationChange::default() };
    let set = organization::Set { organization: "acme".into(), revision: None, change: Box::new(change) };
    daemon.control().await.ask(set).await.unwrap();
    daemon.aivonx().ok(&["price", "set", "m", "0", "1"]).await;
    daemon.aivonx().ok(&["limit", "set", "--org", "acme", "spend.day=0.00001"]).await;
    let by = |request: Request| request.field("Authorization", &format!("Bearer {secret}"));
    let mut first = busy(&own, &daemon).await;
    let answer = daemon.ask(&by(chat("m"))).await.expect(200);
    assert_eq!((node(&answer), hosted.requests().len()), ("hosted", 1));
    let made = answer.json()["usage"]["completion_tokens"].as_u64().unwrap();
    let spent = async {
        loop {
            let shown = daemon.aivonx().json(&["limit", "show", "--org", "acme"]).await;
            let all = shown["limits"].as_array().unwrap();
            if all.iter().find(|limit| limit["name"] == "spend.day").unwrap()["used"] == made {
                return;
            }
        }
    };
    within("the price of the answer", spent).await;
    // The rest is less than the next one may cost.
    let refused = daemon.ask(&by(chat("m"))).await.expect(429);
    assert!(refused.text().contains("spend"), "{}", refused.text());
    assert_eq!(hosted.requests().len(), 1);
    own.open_gate();
    first.answer().await.expect(200);
}

#[tokio::test]
async fn the_second_of_an_alias_is_asked_only_where_the_first_is_late() {
    let own = FakeNode::ollama().await;
    own.with(|s| s.models[0].load());
    let hosted = FakeNode::start(aivonx_tests::fake::Kind::Openai, &["big"]).await;
    for (after, expected) in [("1h", "gpu1"), ("50ms", "hosted")] {
        let daemon = Daemon::run(&[], &format!("[overflow]\nafter = \"{after}\"\n")).await;
        daemon.aivonx().ok(&["node", "add", "gpu1", &own.url(), "--max-parallel", "1"]).await;
        daemon.aivonx().ok(&["node", "add", "hosted", &hosted.url(), "--third-party"]).await;
        daemon.until_active(2).await;
        daemon.aivonx().ok(&["model", "alias", "set", "chat", "m", "big"]).await;
        let mut first = busy(&own, &daemon).await;
        let mut second = daemon.client().await;
        second.send(&chat("chat")).await;
        if expected == "gpu1" {
            waiting(&daemon, 2).await;
            own.open_gate();
        }
        let answer = second.answer().await.expect(200);
        assert_eq!(node(&answer), expected, "{after}");
        own.open_gate();
        first.answer().await.expect(200);
    }
}

#[tokio::test]
async fn what_is_said_of_a_node_is_checked_and_goes_with_it() {
    let hosted = FakeNode::openai().await;
    let daemon = Daemon::run(&[], "").await;
    let refused = daemon.aivonx().run(&["node", "add", "x", &hosted.url(), "--models-at-once", "5000"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("no number of models"), "{}", refused.stderr);
    daemon.aivonx().ok(&["node", "add", "x", &hosted.url(), "--models-at-once", "5"]).await;
    let shown = daemon.aivonx().json(&["node", "show", "x"]).await;
    assert_eq!((&shown["models_at_once"], &shown["third_party"]), (&json!(5), &json!(false)), "{shown}");
    daemon.aivonx().ok(&["node", "set", "x", "--models-at-once", "0"]).await;
    assert_eq!(daemon.aivonx().json(&["node", "show", "x"]).await["models_at_once"], Value::Null);
    daemon.aivonx().ok(&["node", "set", "x", "--third-party"]).await;
    daemon.aivonx().ok(&["node", "remove", "x", "--yes"]).await;
    daemon.aivonx().ok(&["node", "add", "x", &hosted.url()]).await;
    assert_eq!(daemon.aivonx().json(&["node", "show", "x"]).await["third_party"], false);
}
