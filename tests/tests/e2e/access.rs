//! Who may use the gateway over HTTP: keys, their scopes, and what happens when they are withdrawn.

use aivonx_protocol::{
    Client as Control, block,
    key::{self, KeyChange, KeyScope},
    organization::{self, NewOrganization, NodeAccess, OrganizationChange},
};
use aivonx_tests::{
    fake::FakeNode,
    harness::{Answer, Daemon, Request, new_key},
    within,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

async fn daemon(access: &str, nodes: &[&FakeNode]) -> Daemon {
    let builder = nodes.iter().fold(Daemon::builder(), |b, node| b.node(node));
    builder.arg("--access").arg(access).start().await
}

async fn organization(control: &Control, slug: &str) {
    let new = NewOrganization {
        slug: slug.into(),
        name: None,
        require_totp: false,
        models: Vec::new(),
        nodes: NodeAccess::Shared,
        cloud_models: false,
        privacy: None,
        limit_profile: None,
    };
    control.ask(organization::Add(Box::new(new))).await.expect("an organization");
}

async fn key(control: &Control, organization: Option<&str>, scopes: &[KeyScope]) -> String {
    let name = format!(
        "k{}",
        control.ask(key::List { organization: None, user: None, all: true }).await.expect("keys").len()
    );
    let made = control.ask(key::Create(Box::new(new_key(&name, organization, scopes)))).await.expect("a key");
    made.secret.expose().to_owned()
}

fn chat(stream: bool) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    Request::json("/api/chat", &json!({"model": "m", "stream": stream, "messages": messages}))
}

fn bearer(request: Request, secret: &str) -> Request {
    request.field("authorization", &format!("Bearer {secret}"))
}

#[track_caller]
fn refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    if status == 401 {
        assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"aivonx\""));
    }
}

#[tokio::test]
async fn without_a_key_only_the_doorbell_answers() {
    let node = FakeNode::ollama().await;
    let daemon = daemon("required", &[&node]).await;
    for path in ["/", "/api/version", "/health", "/api/health", "/ready", "/api/proxy"] {
        daemon.get(path).await.expect(200);
        daemon.ask(&Request::get(path).method("HEAD")).await.expect(200);
    }
    for path in ["/api/tags", "/api/ps", "/v1/models", "/v1/models/m", "/metrics", "/api/proxy/state"] {
        let answer = daemon.get(path).await;
        // dev's listener serves diagnostics to everyone on this machine.
        if !matches!(path, "/metrics" | "/api/proxy/state") {
            refused(&answer, 401);
        }
    }
    let ollama = daemon.ask(&chat(true)).await;
    refused(&ollama, 401);
    assert!(ollama.json()["error"].as_str().unwrap().contains("API key"));
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9});
    let openai = daemon.post("/v1/chat/completions", &body).await;
    refused(&openai, 401);
    assert_eq!(openai.json()["error"]["type"], "authentication_error");
    let anthropic = daemon.post("/v1/messages", &body).await;
    refused(&anthropic, 401);
    assert_eq!(anthropic.json()["error"]["type"], "authentication_error");
    assert!(node.requests().iter().all(|r| r.is_health()), "nothing reached the node");
}

#[tokio::test]
async fn a_key_opens_in_every_field_the_ecosystems_use() {
    let node = FakeNode::ollama().await;
    let daemon = daemon("required", &[&node]).await;
    let control = daemon.control().await;
    organization(&control, "acme").await;
    let secret = key(&control, Some("acme"), &[KeyScope::Infer]).await;
    for (name, value) in [
        ("authorization", format!("Bearer {secret}")),
        ("authorization", format!("bearer {secret}")),
        ("authorization", format!("Api-Key {secret}")),
        ("authorization", format!("Token {secret}")),
        ("x-api-key", secret.clone()),
        ("authorization", format!("Basic {}", STANDARD.encode(format!("me:{secret}")))),
    ] {
        daemon.ask(&chat(false).field(name, &value)).await.expect(200);
    }
    daemon.ask(&bearer(Request::get("/api/tags"), &secret)).await.expect(200);
    daemon.ask(&bearer(Request::get("/v1/models"), &secret)).await.expect(200);
    for request in [
        bearer(chat(false), "ollama"),
        bearer(chat(false), &secret[..secret.len() - 1]),
        bearer(chat(false), &secret.to_uppercase()),
        bearer(chat(false), &secret).field("x-api-key", "another"),
        chat(false).field("authorization", &format!("Basic {secret}")),
    ] {
        refused(&daemon.ask(&request).await, 401);
    }
    let both = bearer(chat(false), &secret).field("x-api-key", "another");
    let words = daemon.ask(&both).await.text();
    assert!(words.contains("two different credentials"), "{words}");
    // The node never sees it, the log never says it.
    for request in node.requests() {
        assert!(!format!("{request:?}").contains(&secret));
    }
    assert!(!daemon.stderr().text().contains(&secret));
}

#[tokio::test]
async fn a_scope_opens_what_it_says_and_no_more() {
    let node = FakeNode::ollama().await;
    let daemon = daemon("required", &[&node]).await;
    let control = daemon.control().await;
    let read = key(&control, None, &[KeyScope::ModelsRead]).await;
    daemon.ask(&bearer(Request::get("/api/tags"), &read)).await.expect(200);
    daemon.ask(&bearer(Request::json("/api/show", &json!({"model": "m"})), &read)).await.expect(200);
    refused(&daemon.ask(&bearer(chat(false), &read)).await, 403);
    let pull = Request::json("/api/pull", &json!({"model": "m", "stream": false}));
    let infer = key(&control, None, &[KeyScope::Infer]).await;
    refused(&daemon.ask(&bearer(pull.clone(), &infer)).await, 403);
    let write = key(&control, None, &[KeyScope::ModelsWrite]).await;
    daemon.ask(&bearer(pull, &write)).await.expect(200);
    refused(&daemon.ask(&bearer(chat(false), &write)).await, 403);
    // Each refusal is counted, as are wrong keys.
    refused(&daemon.ask(&bearer(chat(false), "wrong")).await, 401);
    let metrics = daemon.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("\naivonx_denials_total 4\n"), "{metrics}");
    // Scrapers that read nothing newer say so.
    for (accept, begins, kind) in [
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4", "# TYPE aivonx_denials_total counter"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text",
            "# TYPE aivonx_denials counter",
        ),
    ] {
        let answer = daemon.ask(&Request::get("/metrics").field("accept", accept)).await.expect(200);
        assert!(answer.field("content-type").unwrap().starts_with(begins), "{accept}");
        assert!(answer.text().contains(kind), "{accept}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_its_stream_ends() {
    let node = FakeNode::ollama().await;
    let daemon = daemon("required", &[&node]).await;
    let control = daemon.control().await;
    organization(&control, "acme").await;
    let secret = key(&control, Some("acme"), &[KeyScope::Infer]).await;
    node.gate();
    let mut client = daemon.client().await;
    client.send(&bearer(chat(true), &secret)).await;
    node.release(1);
    let head = client.head().await;
    client.piece().await.unwrap().unwrap();

    control.ask(key::Revoke { organization: Some("acme".into()), key: "k0".into() }).await.unwrap();
    refused(&daemon.ask(&bearer(chat(false), &secret)).await, 401);
    let answer = within("the end of the stream", client.rest(head)).await;
    let last = answer.lines().pop().unwrap();
    assert_eq!(last["error"], "the credential was revoked", "{last}");
    daemon.until_idle().await;
}

#[tokio::test]
async fn disabling_an_organization_ends_what_its_keys_do() {
    let node = FakeNode::ollama().await;
    let daemon = daemon("required", &[&node]).await;
    let control = daemon.control().await;
    organization(&control, "acme").await;
    let secret = key(&control, Some("acme"), &[KeyScope::Infer]).await;
    node.gate();
    // One that streams, and one that has no byte yet.
    let (mut streams, mut waits) = (daemon.client().await, daemon.client().await);
    streams.send(&bearer(chat(true), &secret)).await;
    node.release(1);
    let head = streams.head().await;
    streams.piece().await.unwrap().unwrap();
    waits.send(&bearer(chat(false), &secret)).await;
    node.until_requests(2).await;
    let change = |enabled| OrganizationChange { enabled: Some(enabled), ..OrganizationChange::default() };
    control
        .ask(organization::Set {
            organization: "acme".into(),
            revision: None,
            change: Box::new(change(false)),
        })
        .await
        .unwrap();
    assert!(streams.rest(head).await.lines().pop().unwrap()["error"].is_string());
    refused(&waits.answer().await, 401);
    refused(&daemon.ask(&bearer(chat(false), &secret)).await, 401);
    node.open_gate();
    control
        .ask(organization::Set {
            organization: "acme".into(),
            revision: None,
            change: Box::new(change(true)),
        })
        .await
        .unwrap();
    daemon.ask(&bearer(chat(false), &secret)).await.expect(200);
}

#[tokio::test]
async fn a_rotated_key_keeps_its_grace_and_changes_take_effect_at_once() {
    let node = FakeNode::ollama().await;
    let daemon = daemon("required", &[&node]).await;
    let control = daemon.control().await;
    let old = key(&control, None, &[KeyScope::Infer]).await;
    let new = control
        .ask(key::Rotate { organization: None, key: "k0".into(), grace_ms: 60_000 })
        .await
        .unwrap()
        .secret;
    for secret in [&old[..], new.expose()] {
        daemon.ask(&bearer(chat(false), secret)).await.expect(200);
    }
    let last =
        control.ask(key::Rotate { organization: None, key: "k0".into(), grace_ms: 0 }).await.unwrap().secret;
    for secret in [&old[..], new.expose()] {
        refused(&daemon.ask(&bearer(chat(false), secret)).await, 401);
    }
    daemon.ask(&bearer(chat(false), last.expose())).await.expect(200);
    let networks = KeyChange { networks: Some(vec!["192.0.2.0/24".into()]), ..KeyChange::default() };
    control
        .ask(key::Set { organization: None, key: "k0".into(), revision: None, change: Box::new(networks) })
        .await
        .unwrap();
    refused(&daemon.ask(&bearer(chat(false), last.expose())).await, 401);
}

#[tokio::test]
async fn optional_takes_strangers_but_no_wrong_key() {
    let node = FakeNode::ollama().await;
    let daemon = daemon("optional", &[&node]).await;
    daemon.ask(&chat(false)).await.expect(200);
    daemon.get("/api/tags").await.expect(200);
    refused(&daemon.ask(&bearer(chat(false), "ollama")).await, 401);
}

#[tokio::test]
async fn open_asks_for_nothing_and_minds_no_placeholder() {
    let node = FakeNode::ollama().await;
    let daemon = daemon("open", &[&node]).await;
    daemon.ask(&chat(false)).await.expect(200);
    daemon.ask(&bearer(chat(false), "ollama")).await.expect(200);
}

#[tokio::test]
async fn open_takes_nobody_for_anonymous_whose_key_was_shut_off() {
    let node = FakeNode::ollama().await;
    let daemon = daemon("open", &[&node]).await;
    let control = daemon.control().await;
    organization(&control, "acme").await;
    let secret = key(&control, Some("acme"), &[KeyScope::Infer]).await;
    daemon.ask(&bearer(chat(false), &secret)).await.expect(200);
    let switch = async |enabled| {
        let change = OrganizationChange { enabled: Some(enabled), ..OrganizationChange::default() };
        let set = organization::Set { organization: "acme".into(), revision: None, change: Box::new(change) };
        control.ask(set).await.unwrap();
    };
    control.ask(block::Add { target: "key:k0".into(), lasts_ms: None, reason: String::new() }).await.unwrap();
    refused(&daemon.ask(&bearer(chat(false), &secret)).await, 403);
    // The block stands; that its organization is disabled besides does not undo it.
    switch(false).await;
    refused(&daemon.ask(&bearer(chat(false), &secret)).await, 401);
    control.ask(block::Remove { target: "key:k0".into() }).await.unwrap();
    refused(&daemon.ask(&bearer(chat(false), &secret)).await, 401);
    switch(true).await;
    daemon.ask(&bearer(chat(false), &secret)).await.expect(200);
    let rotated =
        control.ask(key::Rotate { organization: Some("acme".into()), key: "k0".into(), grace_ms: 0 }).await;
    refused(&daemon.ask(&bearer(chat(false), &secret)).await, 401);
    let secret = rotated.unwrap().secret.expose().to_owned();
    daemon.ask(&bearer(chat(false), &secret)).await.expect(200);
    control.ask(key::Revoke { organization: Some("acme".into()), key: "k0".into() }).await.unwrap();
    refused(&daemon.ask(&bearer(chat(false), &secret)).await, 401);
    // Who has none is served as before.
    daemon.ask(&bearer(chat(false), "ollama")).await.expect(200);
}

#[tokio::test]
async fn a_key_survives_a_restart() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let start =
        || Daemon::builder().node(&node).arg("--access").arg("required").folder(folder.path()).start();
    let mut daemon = start().await;
    let secret = key(&daemon.control().await, None, &[KeyScope::Infer]).await;
    daemon.kill().await;
    let daemon = start().await;
    daemon.ask(&bearer(chat(false), &secret)).await.expect(200);
    daemon.control().await.ask(key::Revoke { organization: None, key: "k0".into() }).await.unwrap();
    refused(&daemon.ask(&bearer(chat(false), &secret)).await, 401);
}
