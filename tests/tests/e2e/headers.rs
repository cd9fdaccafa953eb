//! What of the head goes through, and what ends at the gateway.

use aivonx_tests::{
    fake::{FakeNode, Fault},
    harness::{Daemon, H2Client, Request},
    within,
};
use serde_json::json;

fn generate() -> String {
    json!({"model": "m", "prompt": "x"}).to_string()
}

#[tokio::test]
async fn nothing_of_the_client_that_is_not_the_nodes_business_reaches_it() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let request = Request::post("/api/generate", generate())
        .field("Connection", "keep-alive, X-Named")
        .field("X-Named", "hop")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Connection", "keep-alive")
        .field("Proxy-Authorization", "Basic c2VjcmV0")
        .field("TE", "trailers")
        .field("Trailer", "X-T")
        .field("Accept-Encoding", "gzip, br")
        .field("Authorization", "Bearer client-secret")
        .field("X-Api-Key", "client-secret")
        .field("Api-Key", "client-secret")
        .field("Cookie", "session=client-secret")
        .field("Cookie2", "client-secret")
        .field("Origin", &format!("http://{}", daemon.address()))
        .field("X-Request-Id", "mine-1")
        .field("User-Agent", "tester/1")
        .field("Anthropic-Version", "2023-06-01")
        .field("Traceparent", "00-80e1afed08e019fc1110464cfa66635c-02e80198930058d4-01")
        .field("Tracestate", "a=b")
        .field("Via", "1.1 front");
    daemon.ask(&request).await.expect(200);
    let head = node.only_request().head;
    for name in [
        "x-named",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "authorization",
        "x-api-key",
        "api-key",
        "cookie",
        "cookie2",
        "origin",
        "expect",
        "upgrade",
        "transfer-encoding",
    ] {
        assert_eq!(head.get(name), None, "{name} reached the node");
    }
    let text = String::from_utf8_lossy(&head.raw).into_owned();
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(head.all("host"), [node.address().to_string()]);
    assert_eq!(head.all("accept-encoding"), ["identity"]);
    assert_eq!(head.all("content-length").len(), 1);
    assert_eq!(head.get("anthropic-version"), Some("2023-06-01"));
    let trace = "00-80e1afed08e019fc1110464cfa66635c-02e80198930058d4-01";
    assert_eq!((head.get("traceparent"), head.get("tracestate")), (Some(trace), Some("a=b")));
    let via = head.get("via").unwrap();
    assert!(via.starts_with("1.1 front, 1.1 aivonx-") && head.all("via").len() == 1, "{via}");
    // The same over HTTP/2, where cookies may come in pieces.
    let mut client = H2Client::connect(daemon.address()).await;
    let fields = [
        ("cookie", "a=client-secret"),
        ("cookie", "b=client-secret"),
        ("te", "trailers"),
        ("authorization", "client-secret"),
    ];
    assert_eq!(client.ask("POST", "/api/generate", &fields, generate()).await.status.as_u16(), 200);
    let head = node.requests()[1].head.clone();
    let text = String::from_utf8_lossy(&head.raw).into_owned();
    assert!(!text.contains("secret") && !text.to_lowercase().contains("\nte:"), "{text}");
    assert!(head.get("via").unwrap().starts_with("2 aivonx-"), "{text}");
}

#[tokio::test]
async fn nothing_of_the_node_that_is_not_the_clients_business_reaches_it() {
    let node = FakeNode::ollama().await;
    let fields = [
        ("Set-Cookie", "node=1"),
        ("Server", "node/1"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "*"),
        ("Strict-Transport-Security", "max-age=1"),
        ("Alt-Svc", "h3=\":443\""),
        ("WWW-Authenticate", "Basic"),
        ("Proxy-Authenticate", "Basic"),
        ("Connection", "X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Trailer", "X-T"),
        ("Upgrade", "h2c"),
        ("X-Request-Id", "the-nodes"),
        ("X-Aivonx-Node", "a-lie"),
        ("Authorization", "Bearer node"),
        ("Proxy-Connection", "keep-alive"),
        ("Location", "http://elsewhere.example/"),
        ("Refresh", "0; url=http://elsewhere.example/"),
        ("Link", "<http://elsewhere.example>; rel=preload"),
        ("Clear-Site-Data", "\"*\""),
        ("X-Aivonx-Model", "a-lie"),
        ("X-RateLimit-Remaining", "0"),
        ("Retry-After", "3600"),
        ("Vary", "*"),
        ("Content-Security-Policy", "default-src *"),
        ("X-LiteLLM-Model-Api-Base", "http://10.0.0.1/"),
    ];
    node.with(|s| s.extra_fields = fields.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec());
    let daemon = Daemon::dev(&[&node]).await;
    let name = daemon.nodes().await[0]["name"].as_str().unwrap().to_owned();
    for body in [generate(), json!({"model": "m", "prompt": "x", "stream": false}).to_string()] {
        let answer = daemon.ask(&Request::post("/api/generate", body)).await.expect(200);
        for (field, value) in fields {
            assert!(!answer.head.all(field).contains(&value), "{field}: {value} reached the client");
        }
        assert_eq!(answer.field("x-aivonx-node"), Some(name.as_str()));
        assert_eq!(answer.head.all("x-request-id").len(), 1);
    }
}

#[tokio::test]
async fn streams_ask_the_proxies_in_front_not_to_hold_them_back() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let body = |stream| json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "x"}], "prompt": "x", "input": "x", "max_tokens": 9});
    for path in [
        "/api/chat",
        "/api/generate",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
    ] {
        for stream in [true, false] {
            let answer = daemon.post(path, &body(stream)).await.expect(200);
            let buffering = answer.field("x-accel-buffering");
            assert_eq!(buffering, stream.then_some("no"), "{path} {stream}");
            assert_eq!(
                answer.field("cache-control").unwrap().contains("no-cache"),
                stream,
                "{path} {stream}"
            );
        }
    }
}

#[tokio::test]
async fn a_busy_nodes_own_limits_reach_the_client() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::dev(&[&node]).await;
    let fields = [("retry-after-ms", "7000"), ("x-ratelimit-remaining-requests", "0")];
    node.with(|s| s.extra_fields = fields.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec());
    let body = json!({"model": "m", "messages": []});
    node.fail_next(Fault::Status(429, "{}"));
    let answer = daemon.post("/v1/chat/completions", &body).await.expect(429);
    for (field, value) in fields {
        assert_eq!(answer.field(field), Some(value), "{field}");
    }
    let answer = daemon.post("/v1/chat/completions", &body).await.expect(200);
    for (field, _) in fields {
        assert_eq!(answer.field(field), None, "{field}");
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_security_fields() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut seen = std::collections::HashSet::new();
    for request in [
        Request::get("/"),
        Request::get("/nowhere"),
        Request::get("/api/chat"),
        Request::get("/api/tags"),
        Request::post("/api/generate", generate()),
        Request::post("/api/generate", "{"),
        Request::get("/api/tags").field("Host", "evil.example"),
        Request::get("/").field("X-Request-Id", "client-id-1"),
        Request::get("/").field("X-Request-Id", "not fine; really"),
        Request::get("/").field("X-Request-Id", &"x".repeat(65)),
    ] {
        let answer = daemon.ask(&request).await;
        let id = answer
            .field("x-request-id")
            .unwrap_or_else(|| panic!("{request:?}: {:?}", answer.head))
            .to_owned();
        assert!(id.len() >= 16 && id.is_ascii() && id != "client-id-1", "{id}");
        assert!(seen.insert(id), "ids are unique");
        for (name, value) in FOR_BROWSERS {
            assert_eq!(answer.head.all(name), [value], "{name} of {request:?}");
        }
        assert_eq!(answer.field("strict-transport-security"), None, "this is no HTTPS");
    }
}

#[tokio::test]
async fn what_is_refused_before_it_is_a_request_has_the_fields_too() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[headers]\nreferrer_policy = \"\"\n").await;
    let large =
        format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX-Large: {}\r\n\r\n", "x".repeat(600 << 10));
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70 << 10));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(500));
    for (bytes, statuses) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\na b: c\r\n\r\n", &[400][..]),
        ("GET / HTTP/1.1\r\nHost: localhost\r\na: b\0c\r\n\r\n", &[400]),
        ("G\u{1}T / HTTP/1.1\r\nHost: localhost\r\n\r\n", &[400]),
        ("GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", &[400]),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 2\r\n\r\n", &[400]),
        (&large, &[400, 431]),
        (&long, &[414, 404, 400, 431]),
        (&many, &[431]),
    ] {
        // Also where a request was served before on the connection.
        for before in [0, 2] {
            let mut client = daemon.client().await;
            for _ in 0..before {
                client.ask(&Request::get("/health")).await.expect(200);
            }
            client.send_raw("GET", bytes.as_bytes()).await;
            let answer = client.answer().await;
            let shown = bytes.chars().take(60).collect::<String>();
            assert!(statuses.contains(&answer.status), "{shown:?}: {}", answer.head.start);
            for (name, value) in FOR_BROWSERS {
                let wanted: &[&str] = if name == "referrer-policy" { &[] } else { &[value] };
                assert_eq!(answer.head.all(name), wanted, "{name} of {shown:?}");
            }
            assert_eq!(answer.head.all("cache-control"), ["no-store"]);
            assert_eq!(answer.head.all("strict-transport-security"), [""; 0]);
            client.closed().await;
        }
    }
}

/// Fields for browsers, as they are by default.
const FOR_BROWSERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    (
        "permissions-policy",
        "geolocation=(), microphone=(), camera=(), payment=(), usb=(), interest-cohort=()",
    ),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
];

#[tokio::test]
async fn fields_for_browsers_can_be_set_and_left_out() {
    let node = FakeNode::ollama().await;
    let daemon =
        Daemon::run(&[&node], "[headers]\nframe_options = \"\"\nreferrer_policy = \"no-referrer\"\n").await;
    let expect = async |path: &str, fields: [(&str, &[&str]); 3]| {
        let answer = daemon.get(path).await;
        for (name, values) in fields {
            assert_eq!(answer.head.all(name), values, "{name} of {path}");
        }
    };
    let set: [(&str, &[&str]); 3] = [
        ("x-frame-options", &[]),
        ("referrer-policy", &["no-referrer"]),
        ("x-content-type-options", &["nosniff"]),
    ];
    expect("/health", set).await;
    expect("/nowhere", set).await;
    let text = std::fs::read_to_string(daemon.config_file()).unwrap();
    std::fs::write(daemon.config_file(), text.replace("no-referrer", "origin")).unwrap();
    let said = daemon.aivonx().ok(&["config", "reload"]).await;
    assert!(said.contains("headers.referrer_policy"), "{said}");
    expect("/health", [set[0], ("referrer-policy", &["origin"]), set[2]]).await;
}

#[tokio::test]
async fn a_clients_own_id_is_kept_beside_ours_in_the_log() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let request = Request::post("/api/generate", generate());
    let answer = daemon.ask(&request.clone().field("X-Request-Id", "fine.id_1-A")).await.expect(200);
    let ours = answer.field("x-request-id").unwrap().to_owned();
    let line = daemon.stderr().until(&format!(r"\n?([^\n]*{ours}[^\n]*)\n")).await;
    assert!(line.contains("fine.id_1-A"), "{line}");
    let odd = daemon.ask(&request.field("X-Request-Id", "evil id\u{1b}[31m")).await;
    if odd.status == 200 {
        let ours = odd.field("x-request-id").unwrap().to_owned();
        let line = daemon.stderr().until(&format!(r"\n?([^\n]*{ours}[^\n]*)\n")).await;
        assert!(!line.contains("evil"), "{line}");
    }
}

#[tokio::test]
async fn interim_answers_are_skipped_but_not_for_ever() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.fail_next(Fault::Interim);
    let mut client = daemon.client().await;
    client.send(&Request::post("/api/generate", generate())).await;
    let head = client.head().await;
    assert_eq!(head.status(), 200, "the final answer comes first");
    assert_eq!(client.rest(head).await.lines().last().unwrap()["done"], true);
    node.fail_next(Fault::EndlessInterim);
    let answer = daemon.ask(&Request::post("/api/generate", generate())).await.expect(502);
    assert!(answer.text().contains("interim"), "{}", answer.text());
}

#[tokio::test]
async fn a_redirect_is_neither_followed_nor_passed_on() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let body = json!({"model": "m", "prompt": "x", "input": "x", "messages": [], "max_tokens": 9});
    let paths = ["/api/generate", "/v1/chat/completions", "/v1/messages", "/api/show", "/api/embed"];
    for path in paths {
        node.fail_next(Fault::Redirect("http://169.254.169.254/latest"));
        let answer = daemon.post(path, &body).await.expect(502);
        assert_eq!(answer.field("location"), None);
        let told = answer.json();
        let message = if path.starts_with("/v1") { &told["error"]["message"] } else { &told["error"] };
        let message = message.as_str().unwrap();
        assert!(message.contains("redirects (302)") && message.contains("aivonx node set"), "{message}");
    }
    assert_eq!(node.requests().len(), paths.len(), "each was sent once");
    // It is set up wrongly, not ill.
    daemon.post("/api/generate", &body).await.expect(200);
    node.fail_next(Fault::Redirect("http://169.254.169.254/latest"));
    let told = daemon.aivonx().run(&["model", "remove", "m", "--yes"]).await;
    assert_ne!(told.code, 0, "{told:?}");
    assert_eq!(node.requests().last().unwrap().head.method(), "DELETE");
}

#[tokio::test]
async fn a_compressed_answer_is_refused_in_words() {
    let node = FakeNode::ollama().await;
    node.with(|s| s.extra_fields = vec![("Content-Encoding".to_owned(), "gzip".to_owned())]);
    let daemon = Daemon::dev(&[&node]).await;
    let answer = daemon.ask(&Request::post("/api/generate", generate())).await.expect(502);
    assert!(answer.text().contains("compresses"), "{}", answer.text());
}

#[tokio::test]
async fn what_a_node_is_told_to_read_is_what_was_checked() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    for kind in
        ["application/x-www-form-urlencoded", "application/json; charset=utf-7", "multipart/form-data"]
    {
        for path in ["/api/generate", "/v1/completions", "/api/show"] {
            let request = Request::new("POST", path).field("Content-Type", kind).body(generate());
            daemon.ask(&request).await.expect(200);
            let head = node.requests().pop().unwrap().head;
            assert_eq!(head.all("content-type"), ["application/json"], "{path} {kind}");
        }
    }
    daemon.ask(&Request::new("POST", "/api/generate").body(generate())).await.expect(200);
    assert_eq!(node.requests().pop().unwrap().head.get("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_request_that_comes_back_is_refused() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    daemon.ask(&Request::post("/api/generate", generate())).await.expect(200);
    let via = node.requests().pop().unwrap().head.get("via").unwrap().to_owned();
    for path in ["/api/generate", "/v1/messages", "/api/version", "/api/pull"] {
        for via in [&via, &via.to_uppercase()] {
            let again = Request::post(path, generate()).field("Via", "1.0 other").field("Via", via);
            let answer = daemon.ask(&again).await.expect(508);
            assert!(answer.text().contains("through this gateway already"), "{}", answer.text());
        }
    }
    for path in ["/health", "/ready"] {
        daemon.ask(&Request::get(path).field("Via", &via)).await.expect(200);
    }
    // A relay may have taken that out.
    let hops = node.requests().pop().unwrap().head.get("x-aivonx-hops").unwrap().to_owned();
    let again =
        Request::post("/api/generate", generate()).field("X-Aivonx-Hops", &format!("aivonx-0, {hops}"));
    daemon.ask(&again).await.expect(508);
    assert_eq!(node.requests().len(), 1);
    // Also what the gateway asks on its own account: it is no node of itself.
    let url = format!("http://{}", daemon.address());
    let told = daemon.aivonx().run(&["node", "add", "loop", &url]).await;
    assert_ne!(told.code, 0, "{told:?}");
}

#[tokio::test]
async fn gateways_that_list_each_other_forget_what_nobody_has() {
    const QUICK: &str = "[health]\ninterval = \"1s\"\n";
    let node = FakeNode::ollama().await;
    let (a, b) = (Daemon::run(&[&node], QUICK).await, Daemon::run(&[], QUICK).await);
    let c = Daemon::run(&[], QUICK).await;
    let url = |daemon: &Daemon| format!("http://{}", daemon.address());
    for (of, name, to) in [(&b, "a", &a), (&c, "b", &b), (&a, "c", &c), (&a, "b", &b)] {
        of.aivonx().ok(&["node", "add", name, &url(to), "--force"]).await;
    }
    let has =
        async |daemon: &Daemon| daemon.ask(&Request::get("/api/tags")).await.text().contains("\"m:latest\"");
    let until = async |wanted: bool| {
        for daemon in [&a, &b, &c] {
            within("the list of models", async {
                while has(daemon).await != wanted {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    };
    until(true).await;
    // By way of two others.
    c.ask(&Request::post("/api/generate", generate())).await.expect(200);
    a.aivonx().ok(&["node", "remove", "n0", "--yes"]).await;
    until(false).await;
}

#[tokio::test]
async fn a_refusal_before_the_body_was_read_reaches_the_client() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let body = json!({"model": "m", "prompt": "x".repeat(8 << 20)}).to_string();
    node.fail_always(Some(Fault::Early(413)));
    for _ in 0..8 {
        let answer = daemon.ask(&Request::post("/api/generate", body.clone())).await.expect(413);
        assert_eq!(answer.text(), "early");
    }
    node.fail_always(None);
    daemon.ask(&Request::post("/api/generate", generate())).await.expect(200);
}

#[tokio::test]
async fn the_node_field_can_be_switched_off() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[proxy]\nnode_header = false\n").await;
    let answer = daemon.ask(&Request::post("/api/generate", generate())).await.expect(200);
    assert_eq!(answer.field("x-aivonx-node"), None);
    // Nor does the list of what is in memory say which nodes there are, or a refusal.
    node.with(|s| s.models[0].load());
    daemon.aivonx().ok(&["node", "check", "n0"]).await;
    let row = daemon.get("/api/ps").await.expect(200).json()["models"][0].clone();
    assert!(row["name"].is_string() && row.get("node").is_none(), "{row}");
    for fault in [Fault::Status(401, "{}"), Fault::Redirect("http://elsewhere.invalid/")] {
        node.fail_next(fault);
        let refused = daemon.ask(&Request::post("/api/generate", generate())).await.expect(502).text();
        assert!(!refused.contains("n0") && refused.contains("a node "), "{refused}");
    }
    let refused = daemon.ask(&Request::json("/tokenize", &json!({"model": "m"}))).await.expect(501).text();
    assert!(!refused.contains("n0") && refused.contains("serves this route"), "{refused}");
}

#[tokio::test]
async fn the_error_of_a_job_names_nodes_to_those_who_may_see_them() {
    for shown in [true, false] {
        let (well, ill) = (FakeNode::ollama().await, FakeNode::ollama().await);
        let config = format!("[proxy]\nnode_header = {shown}\n");
        let daemon = Daemon::run(&[&well, &ill], &config).await;
        for stream in [true, false] {
            ill.fail_next(Fault::Status(500, r#"{"error":"disk full"}"#));
            let body = json!({"model": "new", "stream": stream});
            let said = daemon.post("/api/pull", &body).await.expect(if stream { 200 } else { 500 }).text();
            let wanted =
                if shown { "{\"error\":\"n1: disk full\"}\n" } else { "{\"error\":\"disk full\"}\n" };
            assert!(said.ends_with(wanted), "{said}");
        }
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_or_too_slow_is_refused() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[timeouts]\nhead = \"1s\"\n").await;
    let mut client = daemon.client().await;
    client.send(&Request::get("/api/tags").field("X-Large", &"x".repeat(200_000))).await;
    if let Some(head) = client.try_head().await {
        assert!(matches!(head.status(), 400 | 431), "{}", head.start);
    }
    for half in
        ["", "GET /api/tags HTT", "GET /api/tags HTTP/1.1\r\nHost: localhost\r\n", "PRI * HTTP/2.0\r\n\r\n"]
    {
        let mut client = daemon.client().await;
        client.send_raw("GET", half.as_bytes()).await;
        client.closed().await;
    }
}

#[tokio::test]
async fn a_head_has_no_content_over_http2_either() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut client = H2Client::connect(daemon.address()).await;
    for path in ["/health", "/", "/api/version"] {
        let whole = client.ask("GET", path, &[], "").await;
        let head = client.begin("HEAD", path, &[], "").await.unwrap();
        assert!(hyper::body::Body::is_end_stream(head.body()), "{path}: what follows is a protocol error");
        assert_eq!(head.headers().get("content-length"), whole.fields.get("content-length"), "{path}");
        assert_eq!(head.status(), whole.status, "{path}");
    }
}
