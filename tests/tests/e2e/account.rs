//! The account API: what a tenant's people do, who have no shell on the gateway.

mod changes;
mod second_factor;
mod usage;

use aivonx_protocol::{
    Client as Control,
    audit::{self, Action, AuditFilter, Outcome},
    key::{self, KeyScope},
    lockout,
    organization::{self, NewOrganization, NodeAccess},
    user::{self, Role},
};
use aivonx_tests::{
    fake::FakeNode,
    harness::{Answer, Daemon, Request, new_key, new_user},
    within,
};
use serde_json::{Value, json};

const PASSWORD: &str = "marked-kettle-orbit-ninety";
const NEW: &str = "marked-walnut-harbour-moth";

struct Gateway {
    node: FakeNode,
    daemon: Daemon,
    control: Control,
}

/// A gateway with the organization acme and its member alice.
async fn gateway() -> Gateway {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().node(&node).arg("--access").arg("required").start().await;
    furnished(node, daemon).await
}

async fn furnished(node: FakeNode, daemon: Daemon) -> Gateway {
    let control = daemon.control().await;
    let new = NewOrganization {
        slug: "acme".into(),
        name: None,
        require_totp: false,
        models: Vec::new(),
        nodes: NodeAccess::Shared,
        cloud_models: false,
        privacy: None,
        limit_profile: None,
    };
    control.ask(organization::Add(Box::new(new))).await.expect("an organization");
    let gateway = Gateway { node, daemon, control };
    gateway.user("alice").await;
    gateway
}

fn bearer(request: Request, secret: &str) -> Request {
    request.field("authorization", &format!("Bearer {secret}"))
}

fn chat(stream: bool) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    Request::json("/api/chat", &json!({"model": "m", "stream": stream, "messages": messages}))
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{}", answer.text());
    assert!(answer.json()["error"].is_string());
    if status == 401 {
        assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"aivonx\""));
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

impl Gateway {
    async fn user(&self, name: &str) {
        let new = new_user(name, Role::Member, Some("acme"), Some(PASSWORD));
        self.control.ask(user::Add(Box::new(new))).await.expect("a user");
    }

    async fn login(&self, user: &str, password: &str) -> Answer {
        let body = json!({"username": user, "password": password});
        self.daemon.post("/api/account/login", &body).await
    }

    async fn login_with(&self, password: &str, otp: &str) -> Answer {
        let body = json!({"username": "alice", "password": password, "otp": otp});
        self.daemon.post("/api/account/login", &body).await
    }

    /// Access and refresh token of a login that must succeed.
    async fn tokens(&self, password: &str) -> (String, String) {
        let tokens = self.login("alice", password).await.expect(200).json();
        (text(&tokens, "access"), text(&tokens, "refresh"))
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.daemon.post("/api/account/refresh", &json!({"refresh": token})).await
    }

    async fn get(&self, path: &str, access: &str) -> Answer {
        self.daemon.ask(&bearer(Request::get(path), access)).await
    }

    async fn post(&self, path: &str, access: &str, body: &Value) -> Answer {
        self.daemon.ask(&bearer(Request::json(path, body), access)).await
    }

    async fn delete(&self, path: &str, access: &str) -> Answer {
        self.daemon.ask(&bearer(Request::new("DELETE", path), access)).await
    }
}

#[tokio::test]
async fn a_member_logs_in_refreshes_uses_models_and_logs_out() {
    let g = gateway().await;
    let answer = g.login("alice", PASSWORD).await.expect(200);
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let tokens = answer.json();
    assert_eq!(tokens["expires_in"], 900);
    assert_eq!((&tokens["must_enrol"], &tokens["must_change_password"]), (&json!(false), &json!(false)));
    let (access, refresh) = (text(&tokens, "access"), text(&tokens, "refresh"));

    let me = g.get("/api/account/me", &access).await.expect(200).json();
    assert_eq!(
        (&me["name"], &me["role"], &me["organization"]),
        (&json!("alice"), &json!("member"), &json!("acme"))
    );
    for field in [("authorization", format!("Token {access}")), ("x-api-key", access.clone())] {
        g.daemon.ask(&chat(false).field(field.0, &field.1)).await.expect(200);
    }
    let second = g.refresh(&refresh).await.expect(200).json();
    g.daemon.ask(&bearer(chat(false), &text(&second, "access"))).await.expect(200);
    g.daemon.ask(&bearer(chat(false), &access)).await.expect(200);
    let logout = g.post("/api/account/logout", &access, &json!({})).await.expect(204);
    assert_eq!(logout.text(), "");
    for access in [access, text(&second, "access")] {
        refused(&g.get("/api/account/me", &access).await, 401, "token_invalid");
        assert_eq!(g.daemon.ask(&bearer(chat(false), &access)).await.status, 401);
    }
    refused(&g.refresh(&text(&second, "refresh")).await, 401, "refresh_invalid");
    // Without the access token, the refresh token ends its session.
    let (_, refresh) = g.tokens(PASSWORD).await;
    g.daemon.post("/api/account/logout", &json!({"refresh": refresh})).await.expect(204);
    refused(&g.refresh(&refresh).await, 401, "refresh_invalid");
    refused(&g.daemon.ask(&Request::new("POST", "/api/account/logout")).await, 401, "token_required");
    // The node saw none of it, and neither did the log.
    for request in g.node.requests() {
        let seen = format!("{request:?}");
        assert!(!seen.contains("aivr_") && !seen.contains("eyJ"), "{seen}");
    }
    let log = g.daemon.stderr().text();
    assert!(!log.contains(PASSWORD) && !log.contains("aivr_") && !log.contains("eyJ"), "{log}");
}

#[tokio::test]
async fn a_spent_refresh_token_ends_the_family_and_its_running_streams() {
    let g = gateway().await;
    let (_, first) = g.tokens(PASSWORD).await;
    let second = g.refresh(&first).await.expect(200).json();
    let access = text(&second, "access");
    refused(&g.refresh(&first).await, 401, "refresh_invalid");
    refused(&g.refresh(&text(&second, "refresh")).await, 401, "refresh_invalid");
    assert_eq!(g.daemon.ask(&bearer(chat(false), &access)).await.status, 401);
    // Disabling the user ends what runs under an access token that has not expired.
    let (access, _) = g.tokens(PASSWORD).await;
    g.node.gate();
    let mut client = g.daemon.client().await;
    client.send(&bearer(chat(true), &access)).await;
    g.node.release(1);
    let head = client.head().await;
    client.piece().await.unwrap().unwrap();
    g.control.ask(user::SetEnabled { user: "alice".into(), revision: None, enabled: false }).await.unwrap();
    let answer = within("the end of the stream", client.rest(head)).await;
    assert!(answer.lines().pop().unwrap()["error"].is_string());
    refused(&g.get("/api/account/me", &access).await, 401, "token_invalid");
    refused(&g.login("alice", PASSWORD).await, 401, "invalid_credentials");
}

#[tokio::test]
async fn brute_force_locks_known_and_unknown_users_alike_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Daemon::builder().arg("--access").arg("required").folder(folder.path()).start();
    let mut daemon = start().await;
    let new = new_user("alice", Role::Auditor, None, Some(PASSWORD));
    daemon.control().await.ask(user::Add(Box::new(new))).await.unwrap();
    let login = |user: &'static str, password: &'static str| json!({"username": user, "password": password});
    for user in ["alice", "nobody"] {
        for _ in 0..5 {
            let answer = daemon.post("/api/account/login", &login(user, "wrong")).await;
            refused(&answer, 401, "invalid_credentials");
        }
    }
    for restarted in [false, true] {
        if restarted {
            daemon.kill().await;
            daemon = start().await;
        }
        for user in ["alice", "nobody"] {
            let answer = daemon.post("/api/account/login", &login(user, PASSWORD)).await;
            refused(&answer, 429, "locked");
            let wait: u64 = answer.field("retry-after").unwrap().parse().unwrap();
            assert!((3000..=3600).contains(&wait), "{wait}");
        }
    }
    let control = daemon.control().await;
    assert_eq!(control.ask(lockout::List { all: false }).await.unwrap().len(), 2);
    control.ask(lockout::Clear { user: Some("alice".into()), address: None }).await.unwrap();
    daemon.post("/api/account/login", &login("alice", PASSWORD)).await.expect(200);
    refused(&daemon.post("/api/account/login", &login("nobody", PASSWORD)).await, 429, "locked");
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let g = gateway().await;
    let (mine, refresh) = g.tokens(PASSWORD).await;
    let (other, other_refresh) = g.tokens(PASSWORD).await;
    let path = "/api/account/password";
    let change = |old: &str, new: &str| json!({"old": old, "new": new});
    refused(&g.daemon.post(path, &change(PASSWORD, NEW)).await, 401, "token_required");
    refused(&g.post(path, &mine, &change("wrong", NEW)).await, 401, "invalid_credentials");
    refused(&g.post(path, &mine, &change(PASSWORD, PASSWORD)).await, 400, "password_unchanged");
    let weak = g.post(path, &mine, &change(PASSWORD, "alice2026")).await;
    refused(&weak, 400, "password_refused");
    assert!(text(&weak.json(), "error").contains("at least 12 characters"), "{}", weak.text());
    let renewed = g.post(path, &mine, &change(PASSWORD, NEW)).await.expect(200).json();
    refused(&g.get("/api/account/me", &other).await, 401, "token_invalid");
    refused(&g.refresh(&other_refresh).await, 401, "refresh_invalid");
    g.get("/api/account/me", &text(&renewed, "access")).await.expect(200);
    g.refresh(&refresh).await.expect(200);
    refused(&g.login("alice", PASSWORD).await, 401, "invalid_credentials");
    g.login("alice", NEW).await.expect(200);
}

#[tokio::test]
async fn an_administrators_code_sets_a_new_password_once() {
    let g = gateway().await;
    let (access, _) = g.tokens(PASSWORD).await;
    let code = g.control.ask(user::ResetPassword { user: "alice".into() }).await.unwrap().code;
    // The old password and everything begun with it are void from then on.
    refused(&g.get("/api/account/me", &access).await, 401, "token_invalid");
    refused(&g.login("alice", PASSWORD).await, 401, "invalid_credentials");
    let reset = |user: &str, code: &str, password: &str| {
        let body = json!({"username": user, "code": code, "password": password});
        let daemon = &g.daemon;
        async move { daemon.post("/api/account/password/reset", &body).await }
    };
    refused(&reset("alice", "0000-0000-0000-0000", NEW).await, 400, "reset_code_invalid");
    refused(&reset("nobody", code.expose(), NEW).await, 400, "reset_code_invalid");
    refused(&reset("alice", code.expose(), "password1234").await, 400, "password_refused");
    reset("alice", code.expose(), NEW).await.expect(204);
    refused(&reset("alice", code.expose(), NEW).await, 400, "reset_code_invalid");
    g.login("alice", NEW).await.expect(200);
}

#[tokio::test]
async fn everyone_makes_and_revokes_their_own_keys_and_no_others() {
    let g = gateway().await;
    g.user("bob").await;
    let (access, _) = g.tokens(PASSWORD).await;
    let bob = text(&g.login("bob", PASSWORD).await.expect(200).json(), "access");
    let made = g.post("/api/account/keys", &access, &json!({"name": "laptop"})).await.expect(201).json();
    let (id, secret) = (text(&made, "id"), text(&made, "secret"));
    assert_eq!(
        (&made["name"], &made["user"], &made["scopes"]),
        (&json!("laptop"), &json!("alice"), &json!(["infer"]))
    );
    g.daemon.ask(&bearer(chat(false), &secret)).await.expect(200);
    let names = |answer: Answer| -> Vec<String> {
        let json = answer.expect(200).json();
        json["keys"].as_array().unwrap().iter().map(|key| text(key, "name")).collect()
    };
    assert_eq!(names(g.get("/api/account/keys", &access).await), ["laptop"]);
    assert!(names(g.get("/api/account/keys", &bob).await).is_empty());
    assert!(!g.get("/api/account/keys", &access).await.text().contains(&secret));
    // A key manages nothing, not even itself; another's key does not exist.
    refused(&g.get("/api/account/keys", &secret).await, 403, "no_account");
    refused(&g.get("/api/account/me", &secret).await, 403, "no_account");
    let path = format!("/api/account/keys/{id}");
    let foreign = g.delete(&path, &bob).await;
    refused(&foreign, 404, "not_found");
    let missing = g.delete("/api/account/keys/0190c0de-0000-7000-8000-000000000000", &bob).await;
    refused(&missing, 404, "not_found");
    assert_eq!(
        text(&foreign.json(), "error").replace(&id, ""),
        text(&missing.json(), "error").replace("0190c0de-0000-7000-8000-000000000000", "")
    );
    g.daemon.ask(&bearer(chat(false), &secret)).await.expect(200);
    // Twice is once.
    for _ in 0..2 {
        g.delete(&path, &access).await.expect(204);
    }
    g.control.ask(key::Revoke { organization: None, key: id.clone() }).await.unwrap();
    let revoked = AuditFilter {
        actions: vec![Action::KeyRevoke],
        outcome: Some(Outcome::Ok),
        ..AuditFilter::default()
    };
    assert_eq!(
        g.control
            .ask(audit::List { filter: revoked, cursor: None, limit: 10, oldest_first: false })
            .await
            .unwrap()
            .entries
            .len(),
        1
    );
    assert_eq!(g.daemon.ask(&bearer(chat(false), &secret)).await.status, 401);
    assert!(names(g.get("/api/account/keys", &access).await).is_empty());
    // A member's key may do no more than the member.
    for scope in ["models:write", "admin:read"] {
        let body = json!({"name": "more", "scopes": [scope]});
        let answer = g.post("/api/account/keys", &access, &body).await;
        assert!(matches!(answer.status, 400 | 403), "{scope}: {}", answer.text());
    }
    let fleet = new_key("fleet", None, &[KeyScope::Infer]);
    let fleet = g.control.ask(key::Create(Box::new(fleet))).await.unwrap().key.id;
    refused(&g.delete(&format!("/api/account/keys/{fleet}"), &access).await, 404, "not_found");
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused_and_not_echoed() {
    let g = gateway().await;
    let secret = "marked-s3cret";
    for body in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"username":"alice"}"#,
        r#"{"username":"alice","password":"marked-s3cret","admin":true}"#,
        r#"{"username":"alice","password":"marked-s3cret","password":"x"}"#,
        r#"{"username":"alice","password":["marked-s3cret"]}"#,
        r#"{"username":"alice","marked-s3cret":1}"#,
        r#"{"username":"alice","password":"marked-s3cret"} x"#,
        "username=alice&password=marked-s3cret",
    ] {
        let answer = g.daemon.ask(&Request::post("/api/account/login", body.as_bytes().to_vec())).await;
        refused(&answer, 400, "invalid_request");
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    let large = format!(r#"{{"username":"alice","password":"{}"}}"#, "x".repeat(20 << 10));
    let answer = g.daemon.ask(&Request::post("/api/account/login", large)).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(g.daemon.get("/api/account/login").await.status, 405);
    assert_eq!(g.daemon.get("/api/account").await.status, 404);
    assert!(!g.daemon.stderr().text().contains(secret));
    // A login needs no key in any access mode; a wrong key beside it does not matter.
    let login = Request::json("/api/account/login", &json!({"username": "alice", "password": PASSWORD}));
    g.daemon.ask(&bearer(login, "wrong")).await.expect(200);
}
