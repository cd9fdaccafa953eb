//! Paths, methods, and who may ask at all.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, H2Client, Request},
};
use serde_json::json;

fn chat() -> String {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}).to_string()
}

#[tokio::test]
async fn odd_paths_are_404_and_reach_no_node() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    for target in [
        "/nowhere",
        "/api",
        "/api/",
        "/api/chat/",
        "//api/chat",
        "/api//chat",
        "/api/./chat",
        "/api/../api/chat",
        "/x/../api/chat",
        "/api/%63hat",
        "/api/chat%2f",
        "/api/chat%00",
        "/API/chat",
        "/api/chat;x=1",
        "/api/chat/..",
        "/v1/../api/chat",
        "/v1",
        "/v1/",
        "/v1/chat",
        "/v1/models/..",
        "/v1/models/a%2Fb",
        "/v1/models/../../api/tags",
        "/api/generate/x",
        "/api/proxy/show",
        "/.well-known/x",
        "/api\\chat",
        "http://example.com/api/chat",
        "http://example.com:80/api/chat",
        "https://localhost/../api/chat",
        "/api/blobs/..",
        "/v1/models/",
        "/:11434/api/chat",
        "/@evil/api/chat",
    ] {
        let answer = daemon.ask(&Request::post(target, chat())).await;
        assert!(matches!(answer.status, 400 | 404), "{target}: {}", answer.status);
        assert!(!answer.text().contains("<html"), "{target}");
    }
    assert!(node.requests().is_empty(), "{:?}", node.requests());
    // A query changes nothing and goes no further.
    daemon.ask(&Request::post("/api/chat?model=x&stream=false", chat())).await.expect(200);
    assert_eq!(node.only_request().head.target(), "/api/chat");
}

#[tokio::test]
async fn unknown_paths_methods_and_routes_to_come_have_the_dialects_shape() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let anthropic = [("anthropic-version", "2023-06-01")];
    for (path, method, status) in [
        ("/api/nowhere", "POST", 404),
        ("/v1/nowhere", "POST", 404),
        ("/api/chat", "GET", 405),
        ("/api/tags", "POST", 405),
        ("/api/delete", "POST", 405),
        ("/v1/chat/completions", "GET", 405),
        ("/v1/messages", "GET", 405),
        ("/v1/models", "DELETE", 405),
        ("/api/push", "POST", 501),
        ("/api/create", "POST", 501),
        ("/api/copy", "POST", 501),
        ("/v1/audio/transcriptions", "POST", 501),
        ("/api/blobs/sha256:00", "POST", 501),
        ("/", "POST", 405),
        ("/health", "PUT", 405),
    ] {
        let mut request =
            Request::new(method, path).body(if method == "POST" { chat() } else { String::new() });
        let answer = daemon.ask(&request).await.expect(status);
        let error = answer.json();
        // In each dialect the words say that it is known, and not served.
        let not_yet = "is not served by this version of the gateway";
        let says = |error: &serde_json::Value| error.to_string().contains(not_yet) == (status == 501);
        assert!(says(&error), "{path}: {error}");
        if path.starts_with("/v1/messages") {
            assert_eq!(
                (&error["type"], error["error"]["message"].is_string()),
                (&json!("error"), true),
                "{path}"
            );
            assert_eq!(error["request_id"].as_str(), answer.field("x-request-id"), "{path}");
        } else if path.starts_with("/v1") {
            let error = &error["error"];
            assert!(error["message"].is_string() && error["type"].is_string(), "{path}: {error}");
            assert!(error.get("param").is_some() && error.get("code").is_some(), "{path}: {error}");
        } else {
            assert!(error["error"].is_string(), "{path}: {error}");
        }
        assert_eq!(answer.field("allow").is_some(), status == 405, "{method} {path}");
        request = request.field(anthropic[0].0, anthropic[0].1);
        if path.starts_with("/v1") {
            let error = daemon.ask(&request).await.expect(status).json();
            assert!(error["type"] == "error" && says(&error), "{path}: {error}");
        }
    }
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn connect_trace_and_upgrade_are_refused() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let requests = [
        Request::new("TRACE", "/api/chat"),
        Request::new("TRACE", "/"),
        Request::new("CONNECT", "localhost:80"),
        Request::new("CONNECT", "/api/chat"),
        Request::post("/api/chat", chat()).field("Connection", "Upgrade").field("Upgrade", "websocket"),
        Request::post("/api/chat", chat())
            .field("Connection", "Upgrade, HTTP2-Settings")
            .field("Upgrade", "h2c")
            .field("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    ];
    for request in requests {
        let mut client = daemon.client().await;
        client.send(&request).await;
        let head = client.head().await;
        assert!((400..=505).contains(&head.status()), "{request:?}: {}", head.start);
    }
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn dev_answers_loopback_hosts_and_no_foreign_page() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let port = daemon.address().port();
    for host in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            daemon.ask(&Request::get("/api/tags").field("Host", &host)).await.expect(200);
        }
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "localhost@evil.example",
        "evil.example:11435",
        "0.0.0.0",
        "169.254.169.254",
        "",
    ] {
        for path in ["/api/tags", "/", "/api/version", "/health", "/nowhere"] {
            let answer = daemon.ask(&Request::get(path).field("Host", host)).await;
            assert!((400..500).contains(&answer.status), "{host:?} {path}: {}", answer.status);
        }
    }
    let missing = daemon.ask(&Request::get("/api/tags").without_host()).await;
    assert!((400..500).contains(&missing.status), "{}", missing.status);
    let twice = Request::get("/api/tags").field("Host", "localhost").field("Host", "evil.example");
    assert!((400..500).contains(&daemon.ask(&twice).await.status));
    let own = format!("http://127.0.0.1:{port}");
    daemon.ask(&Request::get("/api/tags").field("Origin", &own)).await.expect(200);
    for origin in
        ["https://evil.example", "null", "http://localhost.evil.example", "file://", "http://127.0.0.1.x.y"]
    {
        for request in [
            Request::get("/api/tags"),
            Request::post("/api/chat", chat()),
            Request::new("OPTIONS", "/api/chat"),
        ] {
            let answer = daemon.ask(&request.field("Origin", origin)).await;
            assert!((400..500).contains(&answer.status), "{origin}: {}", answer.status);
            assert_eq!(answer.field("access-control-allow-origin"), None, "{origin}");
        }
    }
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn a_host_that_differs_from_the_authority_is_400() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut client = H2Client::connect(daemon.address()).await;
    let own = daemon.address().to_string();
    let answer = client.ask("GET", "/api/tags", &[("host", &own)], "").await;
    assert_eq!(answer.status.as_u16(), 200);
    for host in ["localhost", "evil.example"] {
        let answer = client.ask("GET", "/api/tags", &[("host", host)], "").await;
        assert_eq!(answer.status.as_u16(), 400, "{host}");
    }
    let other = format!("http://{own}/api/tags");
    let answer = daemon.ask(&Request::get(&other).field("Host", "localhost:1")).await;
    assert!(matches!(answer.status, 400 | 404), "{}", answer.status);
}
