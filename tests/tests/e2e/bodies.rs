//! The design's rules about request bodies. Each is broken here, and the node must hear nothing of it.

use std::io::Write;

use aivonx_tests::{
    fake::{FakeNode, Fault},
    harness::{Daemon, Request},
};
use serde_json::json;

const GOVERNED: &[&str] =
    &["model", "name", "stream", "stream_options", "messages", "prompt", "options", "keep_alive"];

async fn refused(
    daemon: &Daemon,
    node: &FakeNode,
    request: &Request,
    statuses: &[u16],
    what: &str,
) -> String {
    let before = node.requests().len();
    let answer = daemon.ask(request).await;
    assert!(statuses.contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    assert_eq!(node.requests().len(), before, "{what}: the node heard of it");
    assert!(answer.field("x-request-id").is_some(), "{what}");
    let takes = (answer.status == 415).then_some("zstd, gzip, deflate");
    assert_eq!(answer.field("accept-encoding"), takes, "{what}");
    answer.text()
}

#[tokio::test]
async fn governed_keys_are_refused_when_repeated_or_miscased() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let value = |key: &str| match key {
        "model" | "name" => "\"m\"",
        "stream" => "false",
        "messages" => "[]",
        "prompt" => "\"x\"",
        "keep_alive" => "0",
        _ => "{}",
    };
    for key in GOVERNED {
        let (v, upper) = (value(key), key.to_uppercase());
        let mut first = key.chars();
        let title: String = first.next().unwrap().to_uppercase().chain(first).collect();
        let escaped = format!("\\u{:04x}{}", key.as_bytes()[0], &key[1..]);
        let mut bad = vec![
            format!("\"{key}\":{v},\"{key}\":{v}"),
            format!("\"{key}\":{v},\"{escaped}\":{v}"),
            format!("\"{title}\":{v}"),
            format!("\"{upper}\":{v}"),
            format!("\"{key}\":{v},\"{title}\":{v}"),
            format!("\"\\u{:04x}{}\":{v}", key.as_bytes()[0] - 32, &key[1..]),
        ];
        // U+017F folds to s, U+212A to k: a node's decoder takes them for the plain letters.
        for (plain, folded, escape) in [('s', '\u{17f}', "\\u017f"), ('k', '\u{212a}', "\\u212A")] {
            if key.contains(plain) {
                bad.push(format!("\"{}\":{v}", key.replacen(plain, &folded.to_string(), 1)));
                bad.push(format!("\"{}\":{v}", key.replacen(plain, escape, 1)));
            }
        }
        for fields in bad {
            let model = if *key == "model" { "" } else { ",\"model\":\"m\"" };
            let body = format!("{{{fields}{model}}}");
            for path in ["/api/generate", "/v1/chat/completions", "/v1/messages"] {
                let text = refused(&daemon, &node, &Request::post(path, body.clone()), &[400], &body).await;
                assert!(text.contains(key), "the answer names the key: {text}");
            }
        }
    }
    // An escaped spelling of the right key is that key.
    let fine = "{\"mod\\u0065l\":\"\\u006d\",\"prompt\":\"x\",\"stream\":false}";
    daemon.ask(&Request::post("/api/generate", fine)).await.expect(200);
    assert_eq!(node.only_request().body, fine);
}

#[tokio::test]
async fn what_is_not_a_proper_object_is_refused() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let deep = format!("{{\"model\":\"m\",\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"model\":\"{}\"}}", "x".repeat(100_000));
    for body in [
        "",
        " ",
        "[]",
        "null",
        "1",
        "\"model\"",
        "{",
        "{\"model\":\"m\"",
        "{\"model\":\"m\",}",
        "{'model':'m'}",
        "{\"model\":\"m\"} {}",
        "{\"model\":\"m\"}x",
        "{\"model\":1}",
        "{\"model\":[\"m\"]}",
        "{\"model\":\"m\",\"stream\":\"false\"}",
        "{\"model\":\"m\",\"stream\":0}",
        "{}",
        "{\"prompt\":\"no model\"}",
        "{\"model\":\"\"}",
        "{\"model\":null}",
        &deep,
        &long,
    ] {
        let what = &body[..body.len().min(60)];
        refused(&daemon, &node, &Request::post("/api/chat", body.to_owned()), &[400], what).await;
    }
    // Mistakes in values that nobody governs are for the node to find; the client gets its 400 all the same.
    for body in
        ["{\"model\":\"m\",\"x\":\"\n\"}", "{\"model\":\"m\",\"x\":NaN}", "{\"model\":\"m\",\"x\":\"\\q\"}"]
    {
        let before = node.requests().len();
        daemon.ask(&Request::post("/api/chat", body)).await.expect(400);
        assert!(node.requests()[before..].iter().all(|r| r.body == body), "{body}");
    }
    let text =
        refused(&daemon, &node, &Request::post("/api/chat", "{\"prompt\":\"x\"}"), &[400], "no model").await;
    assert!(text.contains("model"), "{text}");
}

#[tokio::test]
async fn framing_that_two_readers_may_read_differently_is_refused() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let body = "{\"model\":\"m\",\"prompt\":\"x\"}";
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = body.len();
    let head = |fields: &str| format!("POST /api/generate HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n");
    for (what, bytes) in [
        ("two lengths", head(&format!("Content-Length: {length}\r\nContent-Length: 3")) + body),
        ("signed length", head(&format!("Content-Length: +{length}")) + body),
        ("a list of lengths", head(&format!("Content-Length: {length}, 3")) + body),
        ("no length", head("Content-Length: many") + body),
        ("unknown coding", head("Transfer-Encoding: gzip, chunked") + &chunked),
        ("coding after chunked", head("Transfer-Encoding: chunked, gzip") + &chunked),
        ("odd chunked", head("Transfer-Encoding: xchunked") + &chunked),
        ("bad chunk size", head("Transfer-Encoding: chunked") + "zz\r\n{}\r\n0\r\n\r\n"),
        ("chunk size too large", head("Transfer-Encoding: chunked") + "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        ("space before colon", head(&format!("Content-Length : {length}")) + body),
        ("folded field", head(&format!("X-A: b\r\n c\r\nContent-Length: {length}")) + body),
        ("bare line feed", "POST /api/generate HTTP/1.1\nHost: localhost\nX: \u{0}\n\n".to_owned()),
        ("line feed alone", "GET /api/tags HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n".to_owned()),
        ("empty line alone", "GET /api/tags HTTP/1.1\r\nHost: localhost\r\n\n".to_owned()),
        (
            "HTTP/1.0 with chunks",
            format!(
                "POST /api/generate HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"
            ),
        ),
    ] {
        let mut client = daemon.client().await;
        client.send_raw("POST", bytes.as_bytes()).await;
        if let Some(head) = client.try_head().await {
            assert!((400..=501).contains(&head.status()), "{what}: {}", head.start);
            client.rest(head).await;
            client.closed().await;
        }
        assert!(node.requests().is_empty(), "{what}: the node heard of it");
    }
}

#[tokio::test]
async fn a_length_beside_chunks_is_refused_and_nothing_can_hide_behind_them() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let body = "{\"model\":\"m\",\"prompt\":\"x\"}";
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    // A proxy that went by the length would take what follows for the rest of this body, or the other way
    // round: so nothing that follows is answered.
    let hidden = "GET /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let after = chunked.len() + hidden.len();
    for fields in [
        format!("Content-Length: {after}\r\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {after}"),
        "Content-Length: 4\r\nTransfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding: chunked".to_owned(),
    ] {
        let before = node.requests().len();
        let mut client = daemon.client().await;
        let bytes =
            format!("POST /api/generate HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n{chunked}{hidden}");
        client.send_raw("POST", bytes.as_bytes()).await;
        let answer = client.answer().await;
        assert_eq!(answer.field("connection"), Some("close"), "{fields}");
        assert_eq!(answer.status, if fields.contains("Length") { 400 } else { 200 }, "{fields}");
        assert!(client.try_head().await.is_none(), "{fields}: what follows was answered");
        if answer.status == 200 {
            let sent = node.requests();
            assert_eq!((sent.len(), &sent[before].body[..]), (before + 1, body.as_bytes()), "{fields}");
            assert_eq!(sent[before].head.all("content-length").len(), 1, "{fields}");
            assert_eq!(sent[before].head.get("transfer-encoding"), None, "{fields}");
        }
    }
}

#[tokio::test]
async fn chunked_uploads_reach_the_node_with_their_length() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let body = "{\"model\":\"m\",\"prompt\":\"x\"}";
    let mut chunks = String::new();
    for byte in body.chars() {
        chunks += &format!("1;ext=1\r\n{byte}\r\n");
    }
    chunks += "0\r\nX-Trailer: secret\r\n\r\n";
    let request = Request::new("POST", "/api/generate").field("Transfer-Encoding", "chunked").body(chunks);
    daemon.ask(&request).await.expect(200);
    let sent = node.only_request();
    assert_eq!(sent.body, body);
    assert_eq!(sent.head.get("content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(sent.head.get("transfer-encoding"), None);
    assert!(!String::from_utf8_lossy(&sent.head.raw).contains("secret"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Frames of one block each that is not compressed (RFC 8878, 3.1).
fn zstd(frames: &[&[u8]]) -> Vec<u8> {
    let frame = |bytes: &&[u8]| {
        let length = u8::try_from(bytes.len()).unwrap();
        let block = u32::from(length) << 3 | 1;
        [&ZSTD[..], &[0x20, length], &block.to_le_bytes()[..3], bytes].concat()
    };
    frames.iter().flat_map(frame).collect()
}

#[tokio::test]
async fn compressed_bodies_are_decoded_or_refused() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[limits]\nbody_bytes = 1048576\n").await;
    let body = "{\"model\":\"m\",\"prompt\":\"x\"}";
    let request = |coding: &str, bytes: Vec<u8>| {
        Request::post("/api/generate", bytes).field("Content-Encoding", coding)
    };
    let packed = gzip(body.as_bytes());
    daemon.ask(&request("gzip", packed.clone())).await.expect(200);
    let sent = node.only_request();
    assert_eq!(sent.body, body);
    assert_eq!(sent.head.get("content-encoding"), None);
    assert_eq!(sent.head.get("content-length"), Some(body.len().to_string().as_str()));
    // What is checked is what is forwarded: a rule broken inside is found.
    let hidden = gzip(b"{\"model\":\"m\",\"Model\":\"other\"}");
    refused(&daemon, &node, &request("gzip", hidden), &[400], "miscased inside").await;
    let bomb = gzip(format!("{{\"model\":\"m\",\"prompt\":\"{}\"}}", "x".repeat(8 << 20)).as_bytes());
    assert!(bomb.len() < 100_000);
    refused(&daemon, &node, &request("gzip", bomb), &[413], "a bomb").await;
    let unpacked = zstd(&[body.as_bytes()]);
    for bytes in [unpacked.clone(), zstd(&[&body.as_bytes()[..9], &body.as_bytes()[9..]])] {
        daemon.ask(&request("zstd", bytes)).await.expect(200);
        assert_eq!(node.requests().pop().unwrap().body, body);
    }
    let hidden = zstd(&[b"{\"model\":\"m\",\"Model\":\"other\"}"]);
    refused(&daemon, &node, &request("zstd", hidden), &[400], "miscased inside").await;
    // A window of 1 GiB, and a megabyte of one byte again and again in 50 blocks of a run.
    let window = [&ZSTD[..], b"\x00\xa0\x01\x00\x00"].concat();
    refused(&daemon, &node, &request("zstd", window), &[413], "a window").await;
    let runs = [&ZSTD[..], b"\x00\x50", &b"\x02\x00\x08 ".repeat(50), b"\x01\x00\x00"].concat();
    refused(&daemon, &node, &request("zstd", runs), &[413], "a bomb").await;
    for (coding, bytes) in [
        ("zstd", unpacked[..unpacked.len() - 2].to_vec()),
        ("zstd", [&unpacked[..], b"rest"].concat()),
        ("zstd", packed.clone()),
        ("br", packed.clone()),
        ("gzip, gzip", gzip(&packed)),
        ("x-unknown", body.as_bytes().to_vec()),
        ("gzip", body.as_bytes().to_vec()),
        ("gzip", packed[..packed.len() - 6].to_vec()),
    ] {
        refused(&daemon, &node, &request(coding, bytes), &[400, 415], coding).await;
    }
}

#[tokio::test]
async fn bodies_beyond_the_cap_are_413() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[limits]\nbody_bytes = 65536\n").await;
    let fits = format!("{{\"model\":\"m\",\"prompt\":\"{}\"}}", "x".repeat(60_000));
    daemon.ask(&Request::post("/api/generate", fits)).await.expect(200);
    let large = format!("{{\"model\":\"m\",\"prompt\":\"{}\"}}", "x".repeat(70_000));
    refused(&daemon, &node, &Request::post("/api/generate", large.clone()), &[413], "with a length").await;
    let chunks = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let request = Request::new("POST", "/v1/messages").field("Transfer-Encoding", "chunked").body(chunks);
    let text = refused(&daemon, &node, &request, &[413], "in chunks").await;
    assert!(text.contains("request_too_large"), "{text}");
    // The promise alone is enough: nothing of the body has to be sent.
    let mut client = daemon.client().await;
    let promise = "POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n";
    client.send_raw("POST", promise.as_bytes()).await;
    assert_eq!(client.head().await.status(), 413);
}

#[tokio::test]
async fn bodies_beyond_the_budget_are_503_until_memory_is_free() {
    let node = FakeNode::ollama().await;
    let limits = "[limits]\nbody_bytes = 1048576\nbody_budget_bytes = 1572864\n";
    let daemon = Daemon::run(&[&node], limits).await;
    let large = format!("{{\"model\":\"m\",\"prompt\":\"{}\"}}", "x".repeat(1_000_000));
    let request = Request::post("/api/generate", large);
    node.fail_next(Fault::Silence);
    let mut first = daemon.client().await;
    first.send(&request).await;
    node.until_requests(1).await;
    let second = daemon.ask(&request).await.expect(503);
    assert!(second.field("retry-after").is_some_and(|v| v.parse::<u32>().is_ok()), "{:?}", second.head);
    assert!(second.json()["error"].is_string());
    first.reset();
    node.until_gone(1).await;
    daemon.until_idle().await;
    daemon.ask(&request).await.expect(200);
}

#[tokio::test]
async fn expect_is_answered_here_and_goes_no_further() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut client = daemon.client().await;
    let body = json!({"model": "m", "prompt": "x", "stream": false}).to_string();
    let head = format!(
        "POST /api/generate HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send_raw("POST", head.as_bytes()).await;
    assert_eq!(client.head().await.status(), 100);
    client.send_raw("POST", body.as_bytes()).await;
    client.answer().await.expect(200);
    assert_eq!(node.only_request().head.get("expect"), None);
}
