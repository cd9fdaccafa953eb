//! Marked secrets go through every path; then everything written is searched for them.

use std::path::Path;

use aivonx_tests::{
    fake::{FakeNode, Fault},
    harness::{Daemon, H2Client, Request},
};
use serde_json::json;

const MARK: &str = "MARKED-SECRET";

fn search(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            let text = String::from_utf8_lossy(&bytes);
            for at in text.match_indices(MARK).map(|(at, _)| at) {
                found.push(format!(
                    "{}: {}",
                    path.display(),
                    text[at..].chars().take(40).collect::<String>()
                ));
            }
        }
    }
}

/// Removes them again, so that the next search finds what is new.
fn secret(name: &str) -> String {
    format!("{MARK}-{name}")
}

#[tokio::test]
async fn prompts_and_credentials_are_written_nowhere() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::ollama().await);
    let bearer = secret("bearer");
    b.with(|s| s.wants = Some(("authorization".to_owned(), format!("Bearer {bearer}"))));
    a.with(|s| s.tokens = vec![secret("answer")]);
    let config = "[log]\nlevel = \"trace\"\n[timeouts]\nheader_wait = \"1s\"\nidle = \"1s\"\n[health]\nfailures = 100\n";
    let mut daemon = Daemon::run(&[&a], config).await;
    let aivonx = daemon.aivonx();
    let added =
        aivonx.run_with_input(&["node", "add", "locked", &b.url(), "--bearer-file", "-"], &bearer).await;
    assert_eq!(added.code, 0, "{}", added.stderr);
    let wrong = aivonx
        .run_with_input(
            &["node", "set", "locked", "--basic-user", "u", "--basic-password-file", "-"],
            &secret("basic"),
        )
        .await;
    assert_eq!(wrong.code, 0, "{}", wrong.stderr);
    aivonx.run(&["node", "check", "locked"]).await;
    let own = aivonx
        .run_with_input(
            &["node", "set", "locked", "--header", "X-Key", "--header-value-file", "-"],
            &secret("header"),
        )
        .await;
    assert_eq!(own.code, 0, "{}", own.stderr);
    aivonx.run(&["node", "check", "locked"]).await;
    let back = aivonx.run_with_input(&["node", "set", "locked", "--bearer-file", "-"], &bearer).await;
    assert_eq!(back.code, 0, "{}", back.stderr);
    daemon.until_active(2).await;

    let prompt = secret("prompt");
    let body = json!({"model": "m", "stream": true, "prompt": prompt, "system": prompt, "suffix": prompt,
        "input": prompt, "images": [prompt], "max_tokens": 9, "options": {"stop": [prompt]},
        "messages": [{"role": "user", "content": prompt, "tool_calls": [{"function": {"arguments": {"x": prompt}}}]}]});
    let client_fields = |request: Request| {
        request
            .field("Authorization", &format!("Bearer {}", secret("client-key")))
            .field("X-Api-Key", &secret("client-key"))
            .field("Cookie", &format!("s={}", secret("cookie")))
            .field("Proxy-Authorization", &secret("proxy"))
    };
    let paths = [
        "/api/chat",
        "/api/generate",
        "/api/embed",
        "/api/embeddings",
        "/api/show",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
        "/api/proxy/chat",
        "/api/create",
        "/api/push",
        "/nowhere",
    ];
    for path in paths {
        for fault in [
            None,
            Some(Fault::ResetBeforeHead),
            Some(Fault::ResetAfter(1)),
            Some(Fault::Status(500, r#"{"error":"MARKED-SECRET-echo"}"#)),
            Some(Fault::Status(503, r#"{"error":"MARKED-SECRET-echo"}"#)),
            Some(Fault::Garbage),
        ] {
            // The node gets the model's name alone, and what it says of that is shown.
            if path == "/api/push" && matches!(fault, Some(Fault::Status(..))) {
                continue;
            }
            for node in [&a, &b] {
                node.with(|s| {
                    s.faults.clear();
                    s.faults.extend(fault.clone());
                });
            }
            daemon.ask(&client_fields(Request::json(path, &body))).await;
        }
        // Broken bodies, with the secret right where the mistake is.
        for bad in [
            format!("{{\"prompt\":\"{prompt}\""),
            format!("{{\"{prompt}\" 1}}"),
            format!("{{\"Prompt\":\"{prompt}\"}}"),
            format!("{{\"stream\":\"{prompt}\"}}"),
        ] {
            daemon.ask(&client_fields(Request::post(path, bad))).await;
        }
        let query = format!("{path}?key={}", secret("query"));
        daemon.ask(&client_fields(Request::json(&query, &body))).await;
    }
    daemon.ask(&Request::get(&format!("/{}", secret("path")))).await;
    daemon.ask(&Request::get(&format!("/v1/models/%{}", secret("path")))).await;
    a.fail_next(Fault::Silence);
    b.fail_next(Fault::Silence);
    daemon.ask(&client_fields(Request::json("/api/chat", &body))).await;
    let mut client = H2Client::connect(daemon.address()).await;
    client.ask("POST", "/api/chat", &[("cookie", &secret("cookie"))], body.to_string()).await;
    for arguments in [
        &["node", "list"][..],
        &["node", "show", "locked"],
        &["logs", "-n", "100000", "--level", "trace"],
        &["config", "show"],
        &["status"],
        &["job", "list"],
    ] {
        for output in ["table", "json"] {
            let ran = aivonx.run(&[arguments, &["--output", output]].concat()).await;
            assert!(
                !(ran.stdout.clone() + &ran.stderr).contains(MARK),
                "{arguments:?}: {}{}",
                ran.stdout,
                ran.stderr
            );
        }
    }
    let metrics = daemon.get("/metrics").await.text();
    assert!(!metrics.contains(MARK), "{metrics}");
    // The node did get its credential, and the client's never.
    let at_b = b.everything();
    assert!(at_b.iter().any(|r| r.head.get("authorization") == Some(&format!("Bearer {bearer}"))));
    for request in a.everything().iter().chain(&at_b) {
        let head = String::from_utf8_lossy(&request.head.raw).into_owned();
        for name in ["client-key", "cookie", "proxy", "query", "path"] {
            assert!(!head.contains(&secret(name)), "{name} reached a node: {head}");
        }
    }
    daemon.stop().await;
    let written = daemon.stderr().text() + &daemon.stdout().text();
    let lines: Vec<&str> = written.lines().filter(|l| l.contains(MARK)).collect();
    assert!(lines.is_empty(), "{} lines, first: {:?}", lines.len(), lines.first());
    let mut found = Vec::new();
    search(daemon.folder(), &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn files_with_secrets_are_the_daemons_alone() {
    use std::os::unix::fs::PermissionsExt;
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&daemon.data().join("master.key")), 0o600);
    assert_eq!(mode(daemon.data()) & 0o007, 0, "others have no business in the data directory");
    assert_eq!(mode(daemon.socket()) & 0o007, 0);
    for entry in std::fs::read_dir(daemon.data()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o002, 0, "{}", path.display());
    }
}
