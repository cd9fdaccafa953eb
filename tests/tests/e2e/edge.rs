//! Who is let in, and what is believed of them.

use std::net::SocketAddr;

use aivonx_protocol::daemon;
use aivonx_tests::{
    fake::FakeNode,
    harness::{Client, Daemon, Request},
};
use serde_json::json;

/// Where the listeners are.
async fn listeners(daemon: &Daemon) -> Vec<SocketAddr> {
    let status = daemon.control().await.ask(daemon::GetStatus).await.expect("a status");
    status.listen.iter().map(|address| address.parse().expect("an address")).collect()
}

/// The client's address in the log's line of this answer.
async fn logged(daemon: &Daemon, id: &str) -> String {
    daemon.stderr().until(&format!(r"{id}[^\n]* client=(\S+)")).await
}

fn tags() -> Request {
    Request::get("/api/tags")
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[proxy]\ntrusted = [\"127.0.0.1\", \"10.0.0.0/8\"]\n").await;
    for (fields, client) in [
        (&[("X-Forwarded-For", "6.6.6.6, 192.0.2.9")][..], "192.0.2.9"),
        (&[("X-Forwarded-For", "192.0.2.8, 10.0.0.2")], "192.0.2.8"),
        (&[("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "192.0.2.7")], "192.0.2.7"),
        (&[("Forwarded", "for=6.6.6.6, for=\"[2001:db8::7]:4711\";proto=https")], "2001:db8::7"),
        (&[], "127.0.0.1"),
    ] {
        let request = fields.iter().fold(tags(), |request, (name, value)| request.field(name, value));
        let answer = daemon.ask(&request).await.expect(200);
        let id = answer.field("x-request-id").unwrap();
        assert_eq!(logged(&daemon, id).await, client, "{fields:?}");
        let https = fields.iter().any(|(_, value)| value.contains("https"));
        assert_eq!(answer.field("strict-transport-security").is_some(), https, "{fields:?}");
    }
    let both = tags().field("X-Forwarded-For", "192.0.2.9").field("Forwarded", "for=127.0.0.1");
    let answer = daemon.ask(&both).await.expect(400);
    assert!(answer.text().contains("different clients"), "{}", answer.text());
    let spoofed = tags().field("X-Forwarded-Proto", "https").field("Forwarded", "for=192.0.2.9;proto=http");
    daemon.ask(&spoofed).await.expect(400);
    // Hosts too; those that are not served stay so.
    daemon.ask(&tags().field("X-Forwarded-Host", "localhost")).await.expect(200);
    daemon.ask(&tags().field("X-Forwarded-Host", "evil.example")).await.expect(403);
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[proxy]\ntrusted = [\"10.0.0.0/8\"]\n").await;
    let request =
        tags().field("X-Forwarded-For", "192.0.2.9").field("Forwarded", "for=192.0.2.9;proto=https");
    let answer = daemon.ask(&request.field("X-Forwarded-Host", "evil.example")).await.expect(200);
    assert_eq!(logged(&daemon, answer.field("x-request-id").unwrap()).await, "127.0.0.1");
    assert_eq!(answer.field("strict-transport-security"), None);
}

#[tokio::test]
async fn the_proxy_protocol_names_the_client_of_a_connection() {
    let node = FakeNode::ollama().await;
    let listener = "[[listen]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n";
    let daemon = Daemon::run(&[&node], &format!("[proxy]\ntrusted = [\"127.0.0.1\"]\n{listener}")).await;
    let address = listeners(&daemon).await[1];
    let two = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, 6, 10, 0, 0, 1, 1, 2, 3, 4]].concat();
    for (header, client) in [
        (&b"PROXY TCP4 192.0.2.5 10.0.0.1 5000 443\r\n"[..], "192.0.2.5"),
        (b"PROXY TCP6 2001:db8::5 2001:db8::1 5000 443\r\n", "2001:db8::5"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (&two, "192.0.2.6"),
    ] {
        let mut connection = Client::connect(address).await;
        let request = [header, &tags().bytes(address)].concat();
        connection.send_raw("GET", &request).await;
        let answer = connection.answer().await.expect(200);
        assert_eq!(logged(&daemon, answer.field("x-request-id").unwrap()).await, client);
        // It holds of all that comes on the connection.
        let again = connection.ask(&tags()).await.expect(200);
        assert_eq!(logged(&daemon, again.field("x-request-id").unwrap()).await, client);
    }
    for begin in
        [&b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"PROXY TCP4 nonsense\r\n", &two[..13]]
    {
        let mut connection = Client::connect(address).await;
        connection.send_raw("GET", begin).await;
        if begin.len() < 14 {
            drop(connection);
            continue;
        }
        assert!(connection.try_head().await.is_none(), "{begin:?}");
    }
    // Where it is not agreed on, it is no HTTP.
    let mut connection = daemon.client().await;
    connection.send_raw("GET", b"PROXY TCP4 192.0.2.5 10.0.0.1 5000 443\r\n\r\n").await;
    if let Some(head) = connection.try_head().await {
        assert_eq!(head.status(), 400);
    }
}

#[tokio::test]
async fn a_listener_lets_in_whom_it_says() {
    let node = FakeNode::ollama().await;
    let listeners_of = "[[listen]]\naddress = \"127.0.0.1:0\"\nallow = [\"10.0.0.0/8\"]\n\
        [[listen]]\naddress = \"127.0.0.1:0\"\nallow = [\"127.0.0.1\"]\naccess = \"required\"\n";
    let daemon = Daemon::run(&[&node], listeners_of).await;
    let all = listeners(&daemon).await;
    let answer = Client::connect(all[1]).await.ask(&tags()).await.expect(403);
    assert!(answer.text().contains("127.0.0.1 may not connect here"), "{}", answer.text());
    // The harness's gateway is open, but for this listener.
    Client::connect(all[0]).await.ask(&tags()).await.expect(200);
    Client::connect(all[2]).await.ask(&tags()).await.expect(401);
    Client::connect(all[2]).await.ask(&Request::get("/health")).await.expect(200);
}

#[tokio::test]
async fn groups_of_routes_are_closed_and_opened_by_listener() {
    let node = FakeNode::ollama().await;
    let listener = "[[listen]]\naddress = \"127.0.0.1:0\"\naccess = \"required\"\nroutes = { management = \"off\", \
        models = \"anonymous\", inference = \"models:write\", open = \"key\" }\n";
    let daemon = Daemon::run(&[&node], listener).await;
    let address = listeners(&daemon).await[1];
    let aivonx = daemon.aivonx();
    let mut keys = Vec::new();
    for (name, scope) in [("user", "infer"), ("admin", "models:write")] {
        let made = aivonx.json(&["key", "create", name, "--scope", scope]).await;
        keys.push(made["secret"].as_str().expect("a secret").to_owned());
    }
    let ask = async |request: Request, key: Option<&str>| {
        let request = match key {
            Some(key) => request.field("x-api-key", key),
            None => request,
        };
        Client::connect(address).await.ask(&request).await.status
    };
    let (user, admin) = (Some(&*keys[0]), Some(&*keys[1]));
    let pull = || Request::json("/api/pull", &json!({"model": "m"}));
    let health = || Request::get("/health");
    assert_eq!([ask(pull(), None).await, ask(pull(), admin).await], [404; 2]);
    assert_eq!([ask(tags(), None).await, ask(tags(), user).await], [200; 2]);
    assert_eq!([ask(chat(), None).await, ask(chat(), user).await, ask(chat(), admin).await], [401, 403, 200]);
    assert_eq!([ask(health(), None).await, ask(health(), user).await], [401, 200]);

    let list = aivonx.json(&["route", "list"]).await;
    let all = list.as_array().unwrap().iter().filter(|one| one["listener"] == address.to_string());
    let access: Vec<_> = all.map(|one| one["access"].as_str().unwrap()).collect();
    assert_eq!(access, ["models:write", "anonymous", "off", "key", "admin:read", "key"]);
    assert!(aivonx.ok(&["route", "list"]).await.contains("POST /api/"));
}

#[tokio::test]
async fn logging_in_is_closed_with_the_account() {
    let node = FakeNode::ollama().await;
    let rules = ["account = \"off\"", "account = \"key\", open = \"off\""];
    let listener = |rule| format!("[[listen]]\naddress = \"127.0.0.1:0\"\nroutes = {{ {rule} }}\n");
    let daemon = Daemon::run(&[&node], &rules.map(listener).concat()).await;
    let all = listeners(&daemon).await;
    let status =
        async |at: usize, request: Request| Client::connect(all[at]).await.ask(&request).await.status;
    for (path, body) in [
        ("login", json!({"username": "nobody", "password": "x"})),
        ("refresh", json!({"refresh": "x"})),
        ("password/reset", json!({"username": "nobody", "code": "x", "password": "marked-kettle-orbit"})),
    ] {
        let path = format!("/api/account/{path}");
        let ask = || Request::json(&path, &body);
        let served = status(0, ask()).await;
        assert!([400, 401].contains(&served), "{path} {served}");
        assert_eq!([status(1, ask()).await, status(2, ask()).await], [404, served], "{path}");
    }
    assert_eq!(
        [status(1, Request::get("/health")).await, status(2, Request::get("/health")).await],
        [200, 404]
    );
    // Not even a preflight says that it is there.
    for (path, served) in [("/api/account/login", false), ("/health", true)] {
        let answer = Client::connect(all[1]).await.ask(&Request::new("OPTIONS", path)).await.expect(204);
        assert_eq!(answer.field("allow").is_some(), served, "{path}");
    }
}

#[tokio::test]
async fn other_sites_ask_only_with_a_key() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    for site in ["cross-site", "same-site"] {
        let answer = daemon.ask(&tags().field("Sec-Fetch-Site", site)).await.expect(403);
        assert!(answer.text().contains("another site"), "{}", answer.text());
        daemon.ask(&Request::get("/health").field("Sec-Fetch-Site", site)).await.expect(200);
    }
    for site in ["same-origin", "none"] {
        daemon.ask(&tags().field("Sec-Fetch-Site", site)).await.expect(200);
    }
    let keyed = tags().field("Sec-Fetch-Site", "cross-site").field("Authorization", "Bearer placeholder");
    daemon.ask(&keyed).await.expect(200);
    let page = tags().field("Sec-Fetch-Site", "cross-site").field("Origin", "http://localhost:3000");
    daemon.ask(&page).await.expect(200);
}

fn chat() -> Request {
    Request::json("/api/chat", &json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
}

#[tokio::test]
async fn what_runs_for_a_blocked_one_ends() {
    let node = FakeNode::ollama().await;
    node.with(|s| s.models[0].load());
    let daemon = Daemon::run(&[&node], "[proxy]\ntrusted = [\"127.0.0.1\"]\n").await;
    let aivonx = daemon.aivonx();
    let made = aivonx.json(&["key", "create", "ci"]).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let keyed = |request: Request| request.field("Authorization", &format!("Bearer {secret}"));
    let from = |request: Request| request.field("X-Forwarded-For", "192.0.2.77");
    node.gate();
    for (target, request) in [("ci", keyed(chat())), ("192.0.2.0/24", from(chat()))] {
        let mut stream = daemon.client().await;
        stream.send(&request).await;
        node.release(1);
        let head = stream.head().await;
        stream.piece().await.unwrap().unwrap();
        let said = aivonx.ok(&["block", "add", target, "--for", "1h", "--reason", "spam"]).await;
        assert!(said.contains("aivonx block remove"), "{said}");
        let answer = stream.rest(head).await;
        let last = answer.lines().pop().unwrap();
        assert!(last["error"].as_str().unwrap().contains("blocked"), "{last}");
        let refused = daemon.ask(&request).await.expect(403);
        assert!(refused.text().contains("blocked"), "{}", refused.text());
        let list = aivonx.json(&["block", "list"]).await;
        assert_eq!((&list[0]["target"], &list[0]["reason"]), (&json!(target), &json!("spam")), "{list}");
        aivonx.ok(&["block", "remove", target]).await;
        assert_eq!(aivonx.json(&["block", "list"]).await, json!([]));
    }
    node.release(1000);
    daemon.ask(&keyed(chat())).await.expect(200);
    daemon.ask(&from(chat())).await.expect(200);

    // New connections of an address are closed, and idle ones.
    let mut idle = daemon.client().await;
    idle.ask(&tags()).await.expect(200);
    aivonx.ok(&["block", "add", "127.0.0.1"]).await;
    idle.closed().await;
    let mut closed = daemon.client().await;
    closed.send(&tags()).await;
    assert!(closed.try_head().await.is_none());
    aivonx.ok(&["block", "remove", "127.0.0.1"]).await;
    daemon.ask(&tags()).await.expect(200);

    let unknown = aivonx.run(&["block", "add", "nobody-of-that-name"]).await;
    assert!(unknown.code != 0 && unknown.stderr.contains("no user or key"), "{}", unknown.stderr);
    let audit = aivonx.json(&["audit", "list"]).await;
    assert!(audit.to_string().contains("192.0.2.0/24"), "{audit}");
}
