//! Limits as they are administered: what is set is in force for the next request, and shown as it is.

use aivonx_protocol::{
    WireSecret, account,
    user::{self, Role},
};
use aivonx_tests::{
    fake::FakeNode,
    harness::{Aivonx, Answer, Daemon, Request, new_user},
};
use serde_json::{Value, json};

const PASSWORD: &str = "marked-kettle-orbit-ninety";

/// A gateway with the organization acme, its member alice, and the secret of its key `ci`, which is nobody's.
async fn gateway(node: &FakeNode) -> (Daemon, String) {
    let daemon = Daemon::builder().node(node).arg("--access").arg("required").start().await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "acme"]).await;
    let alice = new_user("alice", Role::Member, Some("acme"), Some(PASSWORD));
    daemon.control().await.ask(user::Add(Box::new(alice))).await.unwrap();
    let secret = key(&aivonx, &["ci", "--org", "acme"]).await;
    (daemon, secret)
}

async fn key(aivonx: &Aivonx, arguments: &[&str]) -> String {
    let made = aivonx.json(&[&["key", "create"], arguments].concat()).await;
    made["secret"].as_str().unwrap().to_owned()
}

async fn chat(daemon: &Daemon, secret: &str) -> Answer {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "m", "stream": false, "messages": messages});
    let request = Request::json("/api/chat", &body);
    daemon.ask(&request.field("authorization", &format!("Bearer {secret}"))).await
}

/// The limit `name` of `level` among those shown.
fn limit(limits: &Value, level: &str, name: &str) -> Value {
    let mut all = limits["limits"].as_array().unwrap().iter();
    let found = all.find(|limit| limit["level"] == level && limit["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {name} of the {level} in {limits}")).clone()
}

/// The four fields, and the headers beside them.
#[track_caller]
fn limited(answer: &Answer, cap: u64) {
    let body = answer.json();
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!((&body["limit"], &body["used"]), (&json!(cap), &json!(cap)), "{body}");
    assert!(body["error"].is_string() && body["reset_in_hours"].is_number(), "{body}");
    let after: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!(after > 0 && after <= 31 * 86_400, "{after}");
    assert_eq!(answer.field("x-ratelimit-remaining"), Some("0"));
}

#[tokio::test]
async fn what_is_set_holds_for_the_next_request() {
    let node = FakeNode::ollama().await;
    let (daemon, secret) = gateway(&node).await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["limit", "set", "--org", "acme", "inference.day=3"]).await;
    for _ in 0..3 {
        chat(&daemon, &secret).await.expect(200);
    }
    limited(&chat(&daemon, &secret).await, 3);
    let shown = aivonx.json(&["limit", "show", "--org", "acme"]).await;
    let total = limit(&shown, "organization", "inference.day");
    assert_eq!((&total["limit"], &total["used"]), (&json!(3), &json!(3)), "{total}");
    assert_eq!((&total["source"], &total["unit"]), (&json!("organization"), &json!("requests")));
    assert!(total["resets"].is_u64());
    let table = aivonx.ok(&["limit", "show", "--org", "acme"]).await;
    assert!(table.contains("inference.day") && table.contains("organization acme"), "{table}");

    aivonx.ok(&["limit", "set", "--org", "acme", "inference.day=4"]).await;
    chat(&daemon, &secret).await.expect(200);
    limited(&chat(&daemon, &secret).await, 4);
    // Others have their own, and this one has none any more.
    aivonx.ok(&["limit", "unset", "--org", "acme", "inference.day"]).await;
    chat(&daemon, &secret).await.expect(200);
    aivonx.ok(&["limit", "set", "--org", "acme", "--key", "ci", "inference.day=5"]).await;
    limited(&chat(&daemon, &secret).await, 5);
    let alices = key(&aivonx, &["hers", "--org", "acme", "--user", "alice"]).await;
    chat(&daemon, &alices).await.expect(200);
    assert_eq!(node.requests().iter().filter(|r| r.head.start.contains("/api/chat")).count(), 6);
}

#[tokio::test]
async fn the_nearest_value_holds_and_says_where_it_is_from() {
    let node = FakeNode::ollama().await;
    let (mut daemon, _) = gateway(&node).await;
    let aivonx = daemon.aivonx();
    key(&aivonx, &["hers", "--org", "acme", "--user", "alice"]).await;
    aivonx.ok(&["limit", "profile", "apply", "standard", "--org", "acme"]).await;
    aivonx.ok(&["limit", "set", "burst.minute=20"]).await;
    aivonx.ok(&["limit", "set", "--org", "acme", "user.inference.day=50", "key.hour=7"]).await;
    aivonx.ok(&["limit", "set", "--user", "alice", "spend.day=2.50", "key.concurrent=1"]).await;
    aivonx.ok(&["price", "set", "m*", "0.15", "0.6"]).await;
    aivonx.ok(&["price", "set", "m:latest", "1", "2"]).await;

    // All of it is kept.
    assert!(daemon.stop().await.success());
    let folder = daemon.folder().to_owned();
    let daemon = Daemon::builder().folder(&folder).node(&node).arg("--access").arg("required").start().await;
    let aivonx = daemon.aivonx();
    let user = aivonx.json(&["limit", "show", "--user", "alice"]).await;
    assert_eq!((&user["profile"], &user["organization"]), (&json!("standard"), &json!("acme")));
    for (level, name, value, source) in [
        ("user", "spend.day", json!(2_500_000), "user"),
        ("user", "inference.day", json!(50), "organization"),
        ("user", "burst.minute", json!(20), "fleet"),
        ("user", "prompt.chars", json!(10_000), "profile"),
        ("user", "tokens.day", Value::Null, "profile"),
        ("organization", "inference.day", json!(1000), "profile"),
        ("organization", "spend.day", json!(100_000_000), "profile"),
    ] {
        let found = limit(&user, level, name);
        assert_eq!((&found["limit"], &found["source"]), (&value, &json!(source)), "{level} {name}");
    }
    let hers = aivonx.json(&["limit", "show", "--org", "acme", "--key", "hers"]).await;
    assert_eq!(limit(&hers, "key", "concurrent")["limit"], 1);
    assert_eq!(limit(&hers, "key", "user.hour")["limit"], 7);
    assert_eq!(limit(&hers, "user", "spend.day")["limit"], 2_500_000);
    let prices = aivonx.json(&["price", "list"]).await;
    let order: Vec<&str> = prices.as_array().unwrap().iter().map(|p| p["model"].as_str().unwrap()).collect();
    assert_eq!(order, ["m:latest", "m*"]);
    assert_eq!((&prices[1]["prompt"], &prices[1]["output"]), (&json!(150_000), &json!(600_000)));

    for (arguments, code) in [
        (vec!["limit", "set", "--org", "acme", "inference.day=-1"], 2),
        (vec!["limit", "set", "--org", "acme", "inference.year=1"], 2),
        (vec!["limit", "set", "--org", "acme", "login.hour=1"], 1),
        (vec!["limit", "set", "--org", "nobody", "inference.day=1"], 1),
        (vec!["limit", "set", "--org", "acme", "--revision", "9", "inference.day=1"], 1),
        (vec!["limit", "show", "--key", "nothing", "--org", "acme"], 1),
        (vec!["limit", "unset", "--user", "alice"], 2),
        (vec!["price", "set", "m", "1", "-2"], 2),
        (vec!["price", "remove", "nothing"], 1),
    ] {
        let ran = aivonx.run(&arguments).await;
        assert_eq!(ran.code, code, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_login_is_throttled_by_address_and_tokens_by_user() {
    let node = FakeNode::ollama().await;
    let (daemon, _) = gateway(&node).await;
    let aivonx = daemon.aivonx();
    let login = || {
        let body = json!({"username": "alice", "password": PASSWORD});
        let daemon = &daemon;
        async move { daemon.post("/api/account/login", &body).await }
    };
    let refresh = |token: &str| {
        let body = json!({"refresh": token});
        let daemon = &daemon;
        async move { daemon.post("/api/account/refresh", &body).await }
    };
    let text = |answer: &Answer, field: &str| answer.json()[field].as_str().unwrap().to_owned();
    let first = login().await.expect(200);
    aivonx.ok(&["limit", "set", "login.hour=2", "reset.hour=1"]).await;
    // What came before there was a limit was not counted.
    let second = login().await.expect(200);
    login().await.expect(200);
    limited(&login().await, 2);
    let reset = json!({"username": "alice", "code": "none", "password": PASSWORD});
    let reset = || daemon.post("/api/account/password/reset", &reset);
    assert_ne!(reset().await.status, 429);
    limited(&reset().await, 1);

    // One family counts once, however often it is refreshed.
    aivonx.ok(&["limit", "set", "--user", "alice", "token.hour=1"]).await;
    let mut token = text(&first, "refresh");
    for _ in 0..4 {
        token = text(&refresh(&token).await.expect(200), "refresh");
    }
    limited(&refresh(&text(&second, "refresh")).await, 1);
    aivonx.ok(&["limit", "set", "--user", "alice", "token.hour=2"]).await;
    refresh(&text(&second, "refresh")).await.expect(200);
    let mut logout = Request::json("/api/account/logout", &json!({"refresh": token}));
    logout = logout.field("content-type", "application/json");
    daemon.ask(&logout).await.expect(204);
}

#[tokio::test]
async fn the_profile_chosen_at_set_up_is_in_force() {
    let daemon = Daemon::builder().config("").not_set_up().start().await;
    let aivonx = daemon.aivonx();
    let arguments =
        ["setup", "--username", "root", "--password-file", "-", "--no-totp", "--profile", "standard"];
    let ran = aivonx.run_with_input(&arguments, PASSWORD).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let fleet = aivonx.json(&["limit", "show"]).await;
    assert_eq!((&fleet["level"], &fleet["profile"]), (&json!("fleet"), &json!("standard")));
    assert_eq!(limit(&fleet, "fleet", "login.hour")["limit"], 10);
    aivonx.ok(&["org", "add", "acme"]).await;
    let acme = aivonx.json(&["limit", "show", "--org", "acme"]).await;
    let users = limit(&acme, "organization", "user.inference.day");
    assert_eq!((&users["limit"], &users["source"]), (&json!(100), &json!("profile")));
    aivonx.ok(&["limit", "profile", "set", "team"]).await;
    let profiles = aivonx.json(&["limit", "profile", "list"]).await;
    assert_eq!((&profiles[0]["organizations"], &profiles[1]["fleet"]), (&json!(["acme"]), &json!(true)));
    // Only local users reach the control socket: their logins are not counted.
    aivonx.ok(&["limit", "set", "login.hour=1"]).await;
    for _ in 0..3 {
        let control = daemon.control_as_stranger().await;
        control
            .ask(account::Login {
                username: "root".into(),
                password: WireSecret::new(PASSWORD.into()),
                otp: None,
            })
            .await
            .unwrap();
    }
    // It is in the audit log with what was set.
    let entries = aivonx.json(&["audit", "list", "--action", "update"]).await;
    assert!(entries.to_string().contains("limit_profile"), "{entries}");
}
