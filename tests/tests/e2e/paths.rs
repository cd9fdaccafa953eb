//! Paths, methods, and who may ask at all.

use aivonx_tests::{
    fake::{FakeNode, Kind},
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
        "/v1/models/../../api/tags",
        "/v1/models/%2E%2E",
        "/api/generate/x",
        "/api/proxy/show",
        "/.well-known/x",
        "/api\\chat",
        "http://example.com/api/chat",
        "http://example.com:80/api/chat",
        "https://localhost/../api/chat",
        "/api/blobs/..",
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
        ("/v1/messages/count_tokens", "GET", 405),
        ("/v1/nowhere", "POST", 404),
        ("/api/chat", "GET", 405),
        ("/api/tags", "POST", 405),
        ("/api/delete", "POST", 405),
        ("/v1/chat/completions", "GET", 405),
        ("/v1/messages", "GET", 405),
        ("/v1/models", "DELETE", 405),
        ("/api/push", "GET", 405),
        ("/api/create", "GET", 405),
        ("/api/copy", "GET", 405),
        ("/v1/audio/transcriptions", "GET", 405),
        ("/api/me", "POST", 404),
        ("/api/experimental/web_search", "POST", 404),
        ("/v1/files", "POST", 404),
        ("/v1/batches/b1", "GET", 404),
        ("/v1/messages/batches", "POST", 404),
        ("/v1/messages/batches/b1/results", "GET", 404),
        ("/v1/responses/compact", "POST", 404),
        ("/api/blobs/sha256:00", "PUT", 405),
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
        // What no time cures is not to be tried again, and what is known is not called unknown.
        let never = status == 404 && !path.contains("nowhere");
        assert_eq!(answer.field("x-should-retry"), (status == 501 || never).then_some("false"), "{path}");
        assert!(!never || !error.to_string().contains("no such path"), "{path}: {error}");
        request = request.field(anthropic[0].0, anthropic[0].1);
        if path.starts_with("/v1") {
            let error = daemon.ask(&request).await.expect(status).json();
            assert!(error["type"] == "error" && says(&error), "{path}: {error}");
        }
    }
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn connect_and_trace_are_refused() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let requests = [
        Request::new("TRACE", "/api/chat"),
        Request::new("TRACE", "/"),
        Request::new("CONNECT", "localhost:80"),
        Request::new("CONNECT", "/api/chat"),
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
async fn an_upgrade_that_is_not_served_is_ignored() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut client = daemon.client().await;
    for fields in [
        &[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")][..],
        &[
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ],
        &[("Connection", "upgrade")],
    ] {
        for request in [Request::post("/v1/chat/completions", chat()), Request::get("/api/tags")] {
            let request = fields.iter().fold(request, |request, (name, value)| request.field(name, value));
            // On one connection: it goes on as it was.
            let answer = client.ask(&request).await.expect(200);
            assert_eq!(answer.field("upgrade"), None);
        }
        let head = node.requests().pop().unwrap().head;
        for name in ["upgrade", "connection", "http2-settings", "sec-websocket-version"] {
            assert_eq!(head.get(name), None, "{name} reached the node");
        }
    }
    // With the body in chunks, as the JDK's client sends it.
    let chunks = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
        HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nTransfer-Encoding: chunked\r\n\r\n\
        1b\r\n{\"model\":\"m\",\"messages\":[]}\r\n0\r\n\r\n";
    let mut client = daemon.client().await;
    client.send_raw("POST", chunks).await;
    client.answer().await.expect(200);
}

#[tokio::test]
async fn slashes_that_say_nothing_do_not_count() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    for target in ["//api/chat", "/api/chat/", "/api//chat", "///api/chat//"] {
        daemon.ask(&Request::post(target, chat())).await.expect(200);
        assert_eq!(node.requests().pop().unwrap().head.target(), "/api/chat", "{target}");
    }
    for target in ["//v1/models", "/v1/models/", "//", "//api/tags?x=//y"] {
        daemon.get(target).await.expect(200);
    }
    let error = daemon.get("//v1//nowhere").await.expect(404).json();
    assert!(error["error"]["message"].is_string(), "in the dialect of the path that was meant: {error}");
}

#[tokio::test]
async fn a_wrong_base_url_is_told_in_the_clients_own_dialect() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    for (path, meant) in [
        ("/chat/completions", "/v1/chat/completions"),
        ("/models", "/v1/models"),
        ("/v1/v1/responses", "/v1/responses"),
        ("/messages", "/v1/messages"),
        ("/v1/api/chat", "/api/chat"),
        ("/tags", "/api/tags"),
    ] {
        let error = daemon.ask(&Request::post(path, chat())).await.expect(404).json();
        let words = match meant {
            "/api/chat" | "/api/tags" => &error["error"],
            _ => &error["error"]["message"],
        };
        assert!(words.as_str().is_some_and(|words| words.contains(meant)), "{path}: {error}");
        assert_eq!(error["type"] == "error", meant == "/v1/messages", "{path}: {error}");
    }
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn models_are_retrieved_by_the_ids_that_clients_write() {
    let node = FakeNode::start(Kind::Ollama, &["hf.co/org/Repo-GGUF:Q4_K_M"]).await;
    let daemon = Daemon::dev(&[&node]).await;
    for id in ["hf.co/org/Repo-GGUF:Q4_K_M", "hf.co%2Forg%2FRepo-GGUF%3AQ4_K_M"] {
        let model = daemon.get(&format!("/v1/models/{id}")).await.expect(200).json();
        assert_eq!(model["id"], "hf.co/org/Repo-GGUF:Q4_K_M");
    }
    daemon.get("/v1/models/other%2Fmodel").await.expect(404);
}

#[tokio::test]
async fn pages_of_this_machine_may_ask_and_read_the_answers() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    for origin in
        ["http://localhost:5174", "http://127.0.0.1:3000", "app://obsidian.md", "vscode-webview://1abc"]
    {
        let preflight = Request::new("OPTIONS", "/v1/chat/completions")
            .field("Origin", origin)
            .field("Access-Control-Request-Method", "POST")
            .field("Access-Control-Request-Headers", "authorization,content-type,x-stainless-timeout");
        let answer = daemon.ask(&preflight).await.expect(204);
        assert_eq!(answer.field("access-control-allow-origin"), Some(origin));
        let fields = "authorization,content-type,x-stainless-timeout";
        assert_eq!(answer.field("access-control-allow-headers"), Some(fields));
        assert!(answer.field("access-control-allow-methods").unwrap().contains("POST"));
        let vary = "origin, access-control-request-method, access-control-request-headers";
        assert_eq!(answer.field("vary"), Some(vary));
        // Refusals can be read, too.
        for (path, status) in [("/v1/chat/completions", 200), ("/nowhere", 404)] {
            let answer =
                daemon.ask(&Request::post(path, chat()).field("Origin", origin)).await.expect(status);
            assert_eq!(answer.field("access-control-allow-origin"), Some(origin), "{path}");
            assert_eq!(answer.field("vary"), Some("origin"));
            assert_eq!(answer.field("access-control-allow-credentials"), None);
        }
    }
    let plain = daemon.ask(&Request::new("OPTIONS", "/api/chat")).await.expect(204);
    assert_eq!(plain.field("allow"), Some("POST"));
    assert_eq!(plain.field("access-control-allow-origin"), None);
}

#[tokio::test]
async fn other_pages_and_hosts_are_those_that_are_listed() {
    let node = FakeNode::ollama().await;
    let allowed = ["--allow-host", "gw.example", "--allow-origin", "*.example.org"];
    let daemon = allowed.iter().fold(Daemon::builder().node(&node), |b, arg| b.arg(arg)).start().await;
    let ask = async |origin: &str| {
        let request = Request::get("/api/version").field("Host", "gw.example").field("Origin", origin);
        daemon.ask(&request).await
    };
    // Without a scheme it is HTTPS, and the log says so.
    daemon.stderr().until("taken for .https://..example.org").await;
    ask("http://chat.example.org").await.expect(403);
    let answer = ask("https://chat.example.org").await.expect(200);
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://chat.example.org"));
    let refused = ask("https://chat.example.net").await.expect(403);
    assert!(refused.text().contains("--allow-origin"), "{}", refused.text());
    assert_eq!(refused.field("access-control-allow-origin"), None);
    for host in ["host.docker.internal", "mybox.local", "gw.example."] {
        daemon.ask(&Request::get("/api/version").field("Host", host)).await.expect(200);
    }
}

#[tokio::test]
async fn dev_answers_loopback_hosts_and_no_foreign_page() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let port = daemon.address().port();
    for host in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "10.0.0.1", "[fd00::7]", "0.0.0.0"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            daemon.ask(&Request::get("/api/tags").field("Host", &host)).await.expect(200);
        }
    }
    // What watches over the gateway may ask for it by any name.
    daemon.ask(&Request::get("/health").field("Host", "evil.example")).await.expect(200);
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "93.184.216.34",
        "10.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example:11435",
        "169.254.169.254",
        "",
    ] {
        for path in ["/api/tags", "/", "/api/version", "/nowhere"] {
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
        ["https://evil.example", "null", "http://localhost.evil.example", "file:///x", "http://127.0.0.1.x.y"]
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
