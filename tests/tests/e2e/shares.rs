//! Weighted aliases: a few keys are served another model.

use std::collections::BTreeMap;

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind},
    harness::{Daemon, Request},
};
use serde_json::{Value, json};

fn chat(secret: &str) -> Request {
    let body = json!({"model": "chat", "stream": false, "messages": [{"role": "user", "content": "hi"}]});
    Request::json("/api/chat", &body).field("Authorization", &format!("Bearer {secret}"))
}

/// Secrets of so many keys.
async fn keys(daemon: &Daemon, count: usize) -> Vec<String> {
    let mut secrets = Vec::new();
    for at in 0..count {
        let made = daemon.aivonx().json(&["key", "create", &format!("k{at}")]).await;
        secrets.push(made["secret"].as_str().unwrap().to_owned());
    }
    secrets
}

/// What each key is served.
async fn served(daemon: &Daemon, secrets: &[String]) -> Vec<String> {
    let mut served = Vec::new();
    for secret in secrets {
        let answer = daemon.ask(&chat(secret)).await.expect(200);
        served.push(answer.field("x-aivonx-model").unwrap().to_owned());
    }
    served
}

fn requests(shown: &Value) -> BTreeMap<String, u64> {
    let shares = shown["shares"].as_array().unwrap().iter();
    shares.map(|one| (one["model"].as_str().unwrap().into(), one["requests"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn keys_are_shared_out_by_weight_and_each_stays_where_it_is() {
    let node = FakeNode::start(Kind::Ollama, &["a:latest", "b:latest"]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&node).start().await;
    daemon.aivonx().ok(&["model", "alias", "set", "chat", "a=50", "b=50"]).await;
    let secrets = keys(&daemon, 24).await;
    let first = served(&daemon, &secrets).await;
    let to_b = first.iter().filter(|model| *model == "b").count();
    assert!((1..=23).contains(&to_b), "{to_b} of 24");
    assert_eq!(served(&daemon, &secrets).await, first, "each key stays where it is");

    let shown = daemon.aivonx().json(&["model", "alias", "show", "chat"]).await;
    assert_eq!(shown["weighted"], true, "{shown}");
    let counted = requests(&shown);
    assert_eq!((counted["b"], counted["a"] + counted["b"]), (2 * to_b as u64, 48), "{shown}");
    assert!(shown["shares"][0]["duration_ms"].as_f64().unwrap() > 0.0, "{shown}");
    let table = daemon.aivonx().ok(&["model", "alias", "show", "chat"]).await;
    assert!(table.contains("50.0 %") && table.contains("by weight"), "{table}");

    // Nobody moves whom the change is not about, and a restart moves nobody.
    daemon.aivonx().ok(&["model", "alias", "set", "chat", "a=90", "b=10"]).await;
    let later = served(&daemon, &secrets).await;
    assert!(first.iter().zip(&later).all(|(before, after)| before == "b" || after == "a"), "{later:?}");
    daemon.stop().await;
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    daemon.until_active(1).await;
    assert_eq!(served(&daemon, &secrets).await, later);

    // Without weights it is the first again.
    daemon.aivonx().ok(&["model", "alias", "set", "chat", "a", "b"]).await;
    assert!(served(&daemon, &secrets).await.iter().all(|model| model == "a"));
}

#[tokio::test]
async fn a_target_that_fails_shows_and_one_that_is_gone_is_replaced() {
    let (good, canary) = (
        FakeNode::start(Kind::Ollama, &["a:latest"]).await,
        FakeNode::start(Kind::Ollama, &["b:latest"]).await,
    );
    let daemon = Daemon::dev(&[&good, &canary]).await;
    daemon.aivonx().ok(&["model", "alias", "set", "chat", "a=0", "b=1"]).await;
    let secrets = keys(&daemon, 1).await;
    canary.fail_next(Fault::Status(400, "{\"error\":\"no\"}"));
    daemon.ask(&chat(&secrets[0])).await.expect(400);
    let shown = daemon.aivonx().json(&["model", "alias", "show", "chat"]).await;
    assert_eq!(shown["shares"][1]["errors"], 1, "{shown}");
    canary.set_up(false);
    daemon.until_active(1).await;
    let answer = daemon.ask(&chat(&secrets[0])).await.expect(200);
    assert_eq!(answer.field("x-aivonx-model"), Some("a"));
}

#[tokio::test]
async fn weights_are_checked() {
    let daemon = Daemon::dev(&[]).await;
    for (models, says) in [
        (&["a=1", "b"][..], "every model needs a weight"),
        (&["a=x"], "every model needs a weight"),
        (&["a=0", "b=0"], "serves nobody"),
        (&["a=1", "a=2"], "name each model once"),
        (&["a=9999999"], "1000000"),
    ] {
        let ran = daemon.aivonx().run(&[&["model", "alias", "set", "chat"], models].concat()).await;
        assert!(ran.code != 0 && ran.stderr.contains(says), "{models:?}: {}", ran.stderr);
    }
    let ran = daemon.aivonx().run(&["model", "alias", "show", "chat"]).await;
    assert!(ran.code == 1 && ran.stderr.contains("there is no alias"), "{}", ran.stderr);
}
