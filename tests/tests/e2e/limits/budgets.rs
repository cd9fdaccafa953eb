//! What is let through, what is given back, and what is paid.

use aivonx_tests::{
    fake::Fault,
    harness::{Client, Request},
};
use serde_json::json;
use tokio::task::JoinSet;

use super::{Rig, chat, set, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_500_requests_at_once_exactly_100_reach_the_nodes() {
    let rig = Rig::new().await;
    rig.limit(&["inference.day=100"]).await;
    // Else they would wait until it is.
    rig.node.with(|s| s.models[0].load());
    rig.daemon.aivonx().ok(&["node", "check", "n0"]).await;
    // None of those that are let through is over before all have been asked.
    rig.node.gate();
    let mut asked = JoinSet::new();
    for _ in 0..500 {
        let (address, request) = (rig.daemon.address(), rig.with_key(chat(true)));
        asked.spawn(async move { Client::connect(address).await.ask(&request).await.status });
    }
    let mut statuses = Vec::new();
    within("400 refusals", async {
        while statuses.len() < 400 {
            statuses.push(asked.join_next().await.unwrap().unwrap());
        }
    })
    .await;
    assert!(statuses.iter().all(|status| *status == 429), "{statuses:?}");
    rig.node.until_requests(100).await;
    rig.node.open_gate();
    while let Some(status) = asked.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(rig.node.requests().len(), 100);
    rig.chat(false).await.expect(429);
    assert_eq!(rig.used("inference.day").await, json!(100));
}

#[tokio::test]
async fn what_the_fleet_fails_is_given_back() {
    let rig = Rig::new().await;
    rig.limit(&["inference.day=2", "concurrent=1"]).await;
    for fault in [Fault::Status(500, "{\"error\":\"x\"}"), Fault::ResetBeforeHead, Fault::ResetAfter(0)] {
        rig.node.fail_always(Some(fault.clone()));
        rig.chat(true).await;
        rig.until_used("concurrent", &json!(0)).await;
        assert_eq!(rig.used("inference.day").await, json!(0), "{fault:?}");
    }
    rig.node.fail_always(None);
    let unknown = Request::json("/api/chat", &json!({"model": "nowhere", "messages": []}));
    rig.daemon.ask(&rig.with_key(unknown)).await.expect(404);
    rig.daemon.until_active(1).await;
    rig.chat(false).await.expect(200);
    // What the client got wrong counts: a node has looked at it.
    rig.node.fail_next(Fault::Status(400, "{\"error\":\"no\"}"));
    rig.chat(false).await.expect(400);
    rig.chat(false).await.expect(429);
    assert_eq!(rig.used("inference.day").await, json!(2));
}

#[tokio::test]
async fn a_client_that_left_pays_for_what_was_produced() {
    let rig = Rig::new().await;
    rig.daemon.aivonx().ok(&["price", "set", "m", "0", "1"]).await;
    rig.limit(&["tokens.day=100000", "spend.day=1"]).await;
    rig.node.gate();
    let mut client = rig.daemon.client().await;
    client.send(&rig.with_key(chat(true))).await;
    rig.node.release(3);
    client.head().await;
    let mut lines = 0;
    while lines < 3 {
        lines += client.piece().await.unwrap().unwrap().iter().filter(|byte| **byte == b'\n').count();
    }
    // As long as it runs, it may become as long as it was allowed to.
    let prompt = rig.used("tokens.day").await.as_u64().unwrap() - 4096;
    assert_eq!(rig.used("spend.day").await, json!(4096));
    client.reset();
    rig.node.until_gone(1).await;
    rig.until_used("tokens.day", &json!(prompt + 3)).await;
    assert_eq!(rig.used("spend.day").await, json!(3));
    assert_eq!(rig.used("inference.day").await, json!(1));
    // And one that is answered to its end, for what the node counted.
    rig.node.open_gate();
    let last = rig.chat(true).await.expect(200).lines().pop().unwrap();
    let counted = last["prompt_eval_count"].as_u64().unwrap() + last["eval_count"].as_u64().unwrap();
    rig.until_used("tokens.day", &json!(prompt + 3 + counted)).await;
    assert_eq!(rig.used("spend.day").await, json!(3 + last["eval_count"].as_u64().unwrap()));
}

#[tokio::test]
async fn an_open_output_gets_a_limit_where_money_is_counted() {
    let rig = Rig::new().await;
    let sent = async |request: Request| {
        rig.daemon.ask(&rig.with_key(request)).await.expect(200);
        rig.node.requests().pop().unwrap().json()
    };
    assert_eq!(sent(chat(false)).await["options"], json!(null));
    rig.daemon.aivonx().ok(&["price", "set", "*", "1", "2"]).await;
    rig.limit(&["spend.day=1"]).await;
    assert_eq!(sent(chat(false)).await["options"], json!({"num_predict": 4096}));
    let messages = json!([{"role": "user", "content": "hi"}]);
    let openai = json!({"model": "m", "messages": messages});
    assert_eq!(sent(Request::json("/v1/chat/completions", &openai)).await["max_tokens"], json!(4096));
    let bounded = json!({"model": "m", "messages": messages, "max_completion_tokens": 5});
    let body = sent(Request::json("/v1/chat/completions", &bounded)).await;
    // Not every node knows the newer key, and money relies on it.
    assert_eq!((&body["max_completion_tokens"], &body["max_tokens"]), (&json!(5), &json!(5)));
    let embed = json!({"model": "m", "input": "hi"});
    assert_eq!(sent(Request::json("/api/embed", &embed)).await, embed);
    // What is left is less: it gets that.
    let used = rig.used("spend.day").await.as_u64().unwrap();
    rig.limit(&[&format!("spend.day=0.{:06}", used + 4000)]).await;
    let left = sent(chat(false)).await["options"]["num_predict"].as_u64().unwrap();
    assert!((1900..2000).contains(&left), "two micro-USD a token, and a prompt: {left}");
    rig.limit(&["spend.day=0.000001"]).await;
    rig.chat(false).await.expect(429);
}

#[tokio::test]
async fn strangers_are_counted_by_address_and_health_is_not() {
    let rig = Rig::new().await;
    set(&rig.daemon, &[], &["anonymous.hour=2"]).await;
    for _ in 0..2 {
        rig.daemon.get("/api/tags").await.expect(200);
    }
    let refused = rig.daemon.ask(&chat(false)).await.expect(429);
    assert!(refused.text().contains("anonymous.hour"), "{}", refused.text());
    for path in ["/health", "/ready", "/api/version", "/metrics", "/"] {
        rig.daemon.get(path).await.expect(200);
    }
    rig.chat(false).await.expect(200);
    rig.limit(&["user.hour=2"]).await;
    let tags = rig.with_key(Request::get("/api/tags"));
    rig.daemon.ask(&tags).await.expect(200);
    rig.daemon.ask(&tags).await.expect(200);
    let refused = rig.daemon.ask(&tags).await.expect(429);
    assert!(refused.text().contains("user.hour"), "{}", refused.text());
    rig.daemon.get("/health").await.expect(200);
}
