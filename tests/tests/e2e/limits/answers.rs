//! The refusal in every dialect.

use aivonx_protocol::{
    key::{self, KeyScope, NewKey},
    user::{self, Role},
};
use aivonx_tests::harness::{ADMIN, ADMIN_PASSWORD, Request, new_key, new_user};
use serde_json::{Value, json};

use super::{Rig, chat, set};

#[tokio::test]
async fn what_an_organization_hides_no_refusal_tells() {
    let rig = Rig::new().await;
    rig.limit(&["inference.day=1"]).await;
    let refused = async || {
        let answer = rig.chat(false).await.expect(429);
        assert!(answer.field("retry-after").is_some() && answer.field("x-ratelimit-reset").is_some());
        assert!(answer.json()["reset_in_hours"].is_f64(), "{}", answer.text());
        let numbers = answer.json()["used"].is_u64() && answer.json()["limit"].is_u64();
        (answer.text().contains("1 of 1"), answer.field("x-ratelimit-limit").is_some(), numbers)
    };
    rig.chat(false).await.expect(200);
    for (option, shows) in [("--hide-usage", false), ("--no-hide-usage", true)] {
        rig.daemon.aivonx().ok(&["org", "set", super::ORGANIZATION, option]).await;
        assert_eq!(refused().await, (shows, shows, shows), "{option}");
    }
}

#[tokio::test]
async fn each_dialect_is_told_in_its_own_shape_with_the_four_fields() {
    let rig = Rig::new().await;
    rig.limit(&["inference.day=1"]).await;
    rig.chat(false).await.expect(200);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "prompt": "hi",
        "input": "hi", "max_tokens": 5, "stream": true});
    let mut seen = Vec::new();
    for path in [
        "/api/chat",
        "/api/generate",
        "/api/embed",
        "/api/embeddings",
        "/api/proxy/chat",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
    ] {
        let answer = rig.daemon.ask(&rig.with_key(Request::json(path, &body))).await.expect(429);
        let told = answer.json();
        assert_eq!((&told["limit"], &told["used"]), (&json!(1), &json!(1)), "{path} {told}");
        let hours = told["reset_in_hours"].as_f64().unwrap();
        assert!((10.0..=13.0).contains(&hours), "{hours}");
        let after: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
        let apart = (after as f64 - hours * 3600.0).abs();
        assert!(apart < 2.0, "{after} s and {hours} h");
        let field = |name| answer.field(name).unwrap().parse::<u64>().unwrap();
        assert_eq!((field("x-ratelimit-limit"), field("x-ratelimit-remaining")), (1, 0));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(field("x-ratelimit-reset").abs_diff(now + after) < 60, "{answer:?}");
        assert_eq!(answer.field("x-should-retry"), Some("false"));
        let (kind, message) = match path {
            "/v1/messages" => {
                assert_eq!(told["type"], "error");
                assert!(told["request_id"].is_string());
                (Some(&told["error"]["type"]), &told["error"]["message"])
            }
            path if path.starts_with("/v1") => {
                assert_eq!(told["error"]["code"], "rate_limit_exceeded");
                (Some(&told["error"]["type"]), &told["error"]["message"])
            }
            _ => (None, &told["error"]),
        };
        assert!(kind.is_none_or(|kind| kind == "rate_limit_error"), "{told}");
        seen.push(message.as_str().unwrap().to_owned());
    }
    for message in seen {
        let begins =
            "the limit inference.day of the organization is reached: 1 of 1 requests are used; it resets in ";
        assert!(message.starts_with(begins), "{message}");
        assert!(!message.contains("aivonx"), "only administrators can change it: {message}");
    }
    assert_eq!(rig.node.requests().len(), 1);
    let metrics = rig.daemon.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("aivonx_limit_refusals_total{limit=\"inference.day\"} 10\n"), "{metrics}");
}

#[tokio::test]
async fn administrators_are_told_what_changes_it() {
    let rig = Rig::new().await;
    set(&rig.daemon, &["--user", ADMIN], &["concurrent=0"]).await;
    let login = json!({"username": ADMIN, "password": ADMIN_PASSWORD});
    let tokens = rig.daemon.post("/api/account/login", &login).await.expect(200).json();
    let access = ["access", "access_token"].into_iter().find_map(|name| tokens[name].as_str()).unwrap();
    let asked = chat(false).field("Authorization", &format!("Bearer {access}"));
    let told = rig.daemon.ask(&asked).await.expect(429);
    assert_eq!(
        told.json()["error"],
        format!(
            "the limit concurrent of the user is reached: 0 of 0 requests are running (to change it: aivonx limit set --user {ADMIN} concurrent=N)"
        )
    );
    assert_eq!((told.json()["reset_in_hours"].clone(), told.field("retry-after")), (Value::Null, Some("1")));
    assert_eq!(told.field("x-should-retry"), None, "it may be over in a moment");
}

#[tokio::test]
async fn who_may_only_tighten_is_told_so() {
    let rig = Rig::new().await;
    let boss = new_user("boss", Role::OrgAdmin, Some("acme"), Some(ADMIN_PASSWORD));
    let control = rig.daemon.control().await;
    control.ask(user::Add(Box::new(boss))).await.unwrap();
    let key = NewKey { user: Some("boss".into()), ..new_key("boss", None, &[KeyScope::Infer]) };
    let key = control.ask(key::Create(Box::new(key))).await.unwrap().secret;
    rig.limit(&["inference.day=0"]).await;
    let asked = chat(false).field("Authorization", &format!("Bearer {}", key.expose()));
    let told = rig.daemon.ask(&asked).await.expect(429);
    let told = told.json()["error"].as_str().unwrap().to_owned();
    let hint = "(to change it, as far as superadmins left room: aivonx limit set --org acme inference.day=N)";
    assert!(told.ends_with(hint), "{told}");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_never_worth_another_try() {
    let rig = Rig::new().await;
    rig.limit(&["prompt.chars=20"]).await;
    let of = async |text: &str| {
        let body = json!({"model": "m", "prompt": text, "stream": false});
        rig.daemon.ask(&rig.with_key(Request::json("/api/generate", &body))).await
    };
    // Characters, not bytes, and of the prompt alone.
    let twenty = "\u{e9}".repeat(20);
    of(&twenty).await.expect(200);
    let told = of(&(twenty + "x")).await.expect(413);
    assert_eq!(
        told.json(),
        json!({"error": "the prompt has 21 characters, more than the 20 of the limit prompt.chars",
            "limit": 20, "used": 21, "reset_in_hours": null})
    );
    assert_eq!(told.field("retry-after"), None);
    assert_eq!(rig.node.requests().len(), 1);
}

#[tokio::test]
async fn money_is_told_in_dollars() {
    let rig = Rig::new().await;
    rig.daemon.aivonx().ok(&["price", "set", "*", "100", "100"]).await;
    rig.limit(&["spend.day=0.01"]).await;
    let body = json!({"model": "m", "prompt": "hi", "options": {"num_predict": 1000}});
    let told = rig.daemon.ask(&rig.with_key(Request::json("/api/generate", &body))).await.expect(429);
    assert_eq!((&told.json()["limit"], &told.json()["used"]), (&json!(0.01), &json!(0)));
    assert_eq!(told.field("x-ratelimit-limit"), Some("0.01"));
    assert!(told.text().contains("more than the limit; ask for less output"), "{}", told.text());
}
