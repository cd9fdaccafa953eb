//! Forms with files, and sound and images that come back.

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind},
    harness::{Daemon, Request},
};
use serde_json::json;

const WAV: &[u8] = b"RIFF\x24\0\0\0WAVEfmt \x10\0\r\n--aivonx-\0data";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// A form with these fields and, at their end unless they are empty, a file.
fn form(path: &str, fields: &[(&str, &str)], file: (&str, &str, &[u8])) -> Request {
    let mut body = Vec::new();
    let (field, name, content) = file;
    let head =
        format!("--XX\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\r\n");
    body.extend([head.as_bytes(), content, b"\r\n"].concat());
    for (name, value) in fields {
        let part = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.into_bytes());
    }
    body.extend(b"--XX--\r\n");
    Request::new("POST", path).field("content-type", "multipart/form-data; boundary=XX").body(body)
}

fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn files_reach_a_node_that_takes_them() {
    let (node, ollama) = (FakeNode::openai().await, FakeNode::start(Kind::Ollama, &["o"]).await);
    let daemon = Daemon::dev(&[&node, &ollama]).await;
    for (path, file) in [
        ("/v1/audio/transcriptions", ("file", "a.wav", WAV)),
        ("/v1/audio/translations", ("file", "a.wav", WAV)),
        ("/v1/images/edits", ("image[]", "a.png", PNG)),
    ] {
        node.fail_next(Fault::Body(r#"{"text":"Hello"}"#));
        let request =
            form(path, &[("model", "m"), ("prompt", "names: Zoë"), ("response_format", "json")], file);
        assert_eq!(daemon.ask(&request).await.expect(200).text(), r#"{"text":"Hello"}"#, "{path}");
        let sent = node.requests().pop().unwrap();
        assert_eq!(sent.head.target(), path);
        let media_type = sent.head.get("content-type").unwrap().to_owned();
        let boundary = media_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        assert!(sent.body.starts_with(format!("--{boundary}\r\n").as_bytes()), "{path}");
        assert!(sent.body.ends_with(format!("\r\n--{boundary}--\r\n").as_bytes()), "{path}");
        assert!(holds(&sent.body, file.2) && holds(&sent.body, "Zoë".as_bytes()), "{path}");
        // Its own name stays here.
        let (_, end) = file.1.rsplit_once('.').unwrap();
        let name = format!("name=\"{}\"; filename=\"file.{end}\"", file.0);
        assert!(holds(&sent.body, name.as_bytes()) && !holds(&sent.body, file.1.as_bytes()), "{path}");
        // What does not have it says so, in words.
        let refused = daemon.ask(&form(path, &[("model", "o")], file)).await.expect(501);
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains("serves this route"), "{path}");
        let missing = daemon.ask(&form(path, &[("prompt", "x")], file)).await.expect(400).json();
        assert_eq!(missing["error"]["message"], "model is required", "{path}");
        let body = daemon.post(path, &json!({"model": "m"})).await.expect(400).json();
        assert!(body["error"]["message"].as_str().unwrap().contains("multipart/form-data"), "{path}");
        daemon.ask(&form(path, &[("model", "x")], file)).await.expect(404);
    }
}

#[tokio::test]
async fn a_file_that_is_not_what_it_is_called_reaches_no_node() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::dev(&[&node]).await;
    for (path, file, says) in [
        ("/v1/audio/transcriptions", ("file", "a.mp3", WAV), "declared as '.mp3', but is WAV"),
        ("/v1/audio/transcriptions", ("file", "a.wav", PNG), "none of WAV"),
        ("/v1/audio/transcriptions", ("file", "a.wav", b"#!/bin/sh\n"), "none of WAV"),
        ("/v1/audio/transcriptions", ("model", "a.wav", WAV), "must be a text"),
        ("/v1/images/edits", ("image", "a.png", WAV), "none of PNG"),
    ] {
        let refused = daemon.ask(&form(path, &[("model", "m")], file)).await.expect(400).json();
        assert!(refused["error"]["message"].as_str().unwrap().contains(says), "{says}: {refused}");
    }
    let large = form("/v1/audio/transcriptions", &[("model", "m")], ("file", "a.wav", &vec![0; 27 << 20]));
    daemon.ask(&large).await.expect(413);
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn a_form_is_searched_counted_and_served_under_an_alias() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let key = daemon.tenant("acme").await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["privacy", "set", "--org", "acme", "redact"]).await;
    aivonx.ok(&["limit", "set", "--org", "acme", "inference.day=1"]).await;
    aivonx.ok(&["model", "alias", "set", "whisper-1", "m"]).await;
    let fields = [("prompt", "as john.doe@example.com said"), ("model", "whisper-1")];
    let request = form("/v1/audio/transcriptions", &fields, ("file", "a.wav", WAV));
    let request = request.field("authorization", &format!("Bearer {key}"));
    node.fail_next(Fault::Body(r#"{"text":"Hello"}"#));
    daemon.ask(&request).await.expect(200);
    let sent = node.requests().pop().unwrap().body;
    assert!(holds(&sent, b"\r\n\r\nas [REDACTED_EMAIL] said\r\n") && !holds(&sent, b"john.doe"));
    assert!(holds(&sent, b"name=\"model\"\r\n\r\nm\r\n") && holds(&sent, WAV));
    daemon.ask(&request).await.expect(429);
}

#[tokio::test]
async fn speech_and_images_come_as_the_node_makes_them() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::dev(&[&node]).await;
    for (path, body) in [
        (
            "/v1/audio/speech",
            json!({"model": "m", "input": "Hi", "voice": "alloy", "response_format": "mp3"}),
        ),
        ("/v1/images/generations", json!({"model": "m", "prompt": "a cat", "size": "512x512"})),
    ] {
        node.fail_next(Fault::Body("ID3\u{4}some sound"));
        assert_eq!(daemon.post(path, &body).await.expect(200).text(), "ID3\u{4}some sound", "{path}");
        assert_eq!(node.requests().pop().unwrap().json(), body, "{path}");
    }
}
