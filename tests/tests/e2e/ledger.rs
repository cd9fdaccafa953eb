//! The usage ledger over the real binaries: it says what the nodes counted, in every dialect, and goes on saying it.

use std::time::Duration;

use aivonx_tests::{
    fake::FakeNode,
    harness::{Aivonx, Client, Daemon, Request},
    within,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

/// What asks a node to count, in every dialect, as a stream and whole.
fn requests() -> Vec<Request> {
    let mut all = Vec::new();
    let messages = json!([{"role": "user", "content": "a b c"}]);
    for path in [
        "/api/chat",
        "/api/generate",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
    ] {
        for stream in [true, false] {
            let body = json!({"model": "m", "stream": stream, "messages": messages, "prompt": "a b c",
                "input": "a b c", "max_tokens": 6, "max_output_tokens": 6, "options": {"num_predict": 6},
                "stream_options": {"include_usage": true}});
            all.push(Request::json(path, &body));
        }
    }
    for path in ["/api/embed", "/v1/embeddings"] {
        all.push(Request::json(path, &json!({"model": "m", "input": ["a b", "c"]})));
    }
    all
}

/// The last number that stands behind one of `names`.
fn last(text: &str, names: &[&str]) -> u64 {
    let pattern = regex::Regex::new(&format!(r#""(?:{})":\s*(\d+)"#, names.join("|"))).unwrap();
    pattern.captures_iter(text).last().map_or(0, |found| found[1].parse().unwrap())
}

/// What the node itself counts for these requests: prompt and output.
async fn counted(node: &FakeNode, requests: &[Request]) -> (u64, u64) {
    let (mut prompt, mut output) = (0, 0);
    for request in requests {
        let text = Client::connect(node.address()).await.ask(request).await.expect(200).text();
        prompt += last(&text, &["prompt_eval_count", "prompt_tokens", "input_tokens"]);
        output += last(&text, &["eval_count", "completion_tokens", "output_tokens"]);
    }
    (prompt, output)
}

/// Asks until the ledger has so many requests: the last of them may still be on its way from the data plane.
async fn usage(aivonx: &Aivonx, arguments: &[&str], requests: u64) -> Value {
    let mut line = vec!["usage", "show"];
    line.extend(arguments);
    within("the ledger has every request", async {
        loop {
            let report = aivonx.json(&line).await;
            let found = report["total"]["requests"].as_u64().unwrap();
            assert!(found <= requests, "{report}");
            if found == requests {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

fn tokens(report: &Value) -> (u64, u64) {
    let total = &report["total"];
    (total["prompt_tokens"].as_u64().unwrap(), total["output_tokens"].as_u64().unwrap())
}

#[tokio::test]
async fn totals_are_what_the_node_counted_in_every_dialect_and_after_a_restart() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&node).start().await;
    let requests = requests();
    let expected = counted(&node, &requests).await;
    assert!(expected.0 > 0 && expected.1 > 0, "{expected:?}");
    for request in &requests {
        daemon.ask(request).await.expect(200);
    }
    let number = requests.len() as u64;
    let report = usage(&daemon.aivonx(), &["--by", "model"], number).await;
    assert_eq!(tokens(&report), expected, "{report}");
    assert_eq!((&report["total"]["estimated"], &report["total"]["failed"]), (&json!(0), &json!(0)));
    assert_eq!(report["rows"].as_array().unwrap().len(), 1, "{report}");
    // A restart in order loses nothing, not even what ended last.
    daemon.ask(&requests[0]).await.expect(200);
    assert!(daemon.stop().await.success());
    let mut daemon = Daemon::builder().folder(folder.path()).start().await;
    let again = usage(&daemon.aivonx(), &[], number + 1).await;
    let more = counted(&node, &requests[..1]).await;
    assert_eq!(tokens(&again), (expected.0 + more.0, expected.1 + more.1));
    // Hours come from the requests, days from their sums: the same.
    let hours = usage(&daemon.aivonx(), &["--per", "hour"], number + 1).await;
    assert_eq!(tokens(&hours), tokens(&again));

    // What the ledger has reported is written: it survives a kill.
    daemon.kill().await;
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    let killed = usage(&daemon.aivonx(), &["--per", "hour"], number + 1).await;
    assert_eq!(tokens(&killed), tokens(&again));
    assert_eq!(tokens(&usage(&daemon.aivonx(), &[], number + 1).await), tokens(&again));
}

#[tokio::test]
async fn what_a_node_does_not_count_is_estimated_and_says_so() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    daemon.post("/api/embeddings", &json!({"model": "m", "prompt": "some words"})).await.expect(200);
    let report = usage(&daemon.aivonx(), &[], 1).await;
    assert_eq!(report["total"]["estimated"], 1, "{report}");
    assert!(tokens(&report).0 > 0 && tokens(&report).1 == 0, "{report}");
}

#[tokio::test]
async fn usage_is_told_by_organization_and_exported() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().node(&node).arg("--access").arg("required").start().await;
    let aivonx = daemon.aivonx();
    let mut secrets = Vec::new();
    for org in ["acme", "other"] {
        aivonx.ok(&["org", "add", org]).await;
        let key = aivonx.json(&["key", "create", "ci", "--org", org, "--scope", "infer"]).await;
        secrets.push(key["secret"].as_str().unwrap().to_owned());
    }
    let chat = Request::json("/api/generate", &json!({"model": "m", "prompt": "a b", "stream": false}));
    for (secret, times) in secrets.iter().zip([3, 1]) {
        for _ in 0..times {
            let request = chat.clone().field("authorization", &format!("Bearer {secret}"));
            daemon.ask(&request).await.expect(200);
        }
    }
    let acme = usage(&aivonx, &["--org", "acme", "--by", "model"], 3).await;
    let row = &acme["rows"][0];
    assert_eq!((row["requests"].as_u64(), acme["rows"].as_array().unwrap().len()), (Some(3), 1), "{acme}");
    for field in
        ["requests_used", "requests_limit", "spend_used", "spend_limit", "prompt_tokens", "output_tokens"]
    {
        assert!(row.get(field).is_some(), "{field}: {row}");
    }
    assert_eq!(acme["total"]["requests_used"], 3, "{acme}");
    let all = usage(&aivonx, &["--by", "org"], 4).await;
    let names: Vec<_> = all["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str()).collect();
    assert_eq!(names, [Some("acme"), Some("other")], "{all}");
    let top = aivonx.json(&["usage", "top", "--of", "org", "--by", "requests", "-n", "1"]).await;
    assert_eq!((&top["rows"][0]["name"], &top["cut"]), (&json!("acme"), &json!(true)), "{top}");

    let csv = aivonx.ok(&["usage", "export", "--org", "acme"]).await;
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert!(csv.lines().skip(1).all(|line| line.contains(",acme,") && !line.contains("other")), "{csv}");
    let lines = aivonx.ok(&["usage", "export", "--format", "jsonl"]).await;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_ne!(aivonx.run(&["usage", "show", "--org", "nobody"]).await.code, 0);
}

#[tokio::test]
async fn what_came_from_an_address_is_found_by_it() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&node).start().await;
    let request = Request::json("/api/generate", &json!({"model": "m", "prompt": "a b", "stream": false}));
    daemon.ask(&request).await.expect(200);
    usage(&daemon.aivonx(), &[], 1).await;
    // From a client with another address.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut stream = socket.connect(daemon.address()).await.unwrap();
    stream.write_all(&request.field("connection", "close").bytes(daemon.address())).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));

    let aivonx = daemon.aivonx();
    usage(&aivonx, &[], 2).await;
    for (network, requests) in [("127.0.0.0/8", 2), ("127.0.0.2", 1), ("192.0.2.0/24", 0)] {
        let report = aivonx.json(&["usage", "show", "--address", network, "--per", "day"]).await;
        assert_eq!(report["total"]["requests"], requests, "{network}: {report}");
        let top = aivonx.json(&["usage", "top", "--of", "model", "--address", network]).await;
        assert_eq!(top["total"]["requests"], requests, "{network}: {top}");
        let lines = aivonx.ok(&["usage", "export", "--format", "jsonl", "--address", network]).await;
        assert_eq!(lines.lines().count(), requests, "{network}: {lines}");
    }
    let lines = aivonx.ok(&["usage", "export", "--format", "jsonl"]).await;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let addresses: Vec<_> = lines.iter().map(|line| line["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, ["127.0.0.1", "127.0.0.2"]);
    assert!(aivonx.ok(&["usage", "export", "--address", "127.0.0.2"]).await.contains(",127.0.0.2\r\n"));
    let wrong = aivonx.run(&["usage", "show", "--address", "somewhere"]).await;
    assert!(wrong.stderr.contains("it is no network; use 192.0.2.0/24"), "{wrong:?}");

    // What the minute comes to is written at its end, or at that of the daemon.
    assert!(daemon.stop().await.success());
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    let aivonx = daemon.aivonx();
    let list = ["audit", "list", "--action", "inference_summary", "--address"];
    for (network, entries) in [("127.0.0.0/8", 2), ("127.0.0.2/32", 1), ("192.0.2.0/24", 0)] {
        let found = aivonx.json(&[&list[..], &[network]].concat()).await;
        assert_eq!(found.as_array().unwrap().len(), entries, "{network}: {found}");
        assert!(network != "127.0.0.2/32" || found[0]["source"]["address"] == "127.0.0.2", "{found}");
    }
}
