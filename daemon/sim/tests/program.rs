//! The program as `aivonxd dev --simulate` starts it.

#![allow(clippy::unwrap_used, reason = "a test fails where it fails")]

use std::{net::SocketAddr, process::Stdio};

use aivonx_sim::{
    wire::{Framing, Head, Wire},
    within,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

struct Program {
    child: Child,
    token: String,
    nodes: Vec<SocketAddr>,
}

impl Program {
    async fn start(nodes: u8, seed: u64) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_aivonx-sim"))
            .args(["--nodes", &nodes.to_string(), "--seed", &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within("the first line", lines.next_line()).await.unwrap().unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let url =
            |node: &Value| node["url"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        Self {
            child,
            token: said["nodes"]["token"].as_str().unwrap().to_owned(),
            nodes: said["nodes"]["nodes"].as_array().unwrap().iter().map(url).collect(),
        }
    }

    async fn ask(&self, line: &str, token: &str, body: &str) -> (Head, String) {
        let mut wire = Wire::connect(self.nodes[0]).await.unwrap();
        let length = body.len();
        let asked = format!(
            "{line} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        wire.send(asked.as_bytes()).await.unwrap();
        let head = wire.head().await.unwrap().unwrap();
        let body = wire.body(Framing::of_response(&head, "")).await.unwrap();
        (head, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn first_words(seed: u64) -> String {
        let program = Self::start(1, seed).await;
        let asked =
            json!({"model": "llama3.2:3b", "prompt": "why", "options": {"num_predict": 5}, "stream": false});
        let (head, body) = program.ask("POST /api/generate", &program.token, &asked.to_string()).await;
        assert_eq!(head.status(), 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["response"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn it_serves_those_who_know_its_token_until_its_input_ends() {
    let mut program = Program::start(2, 1).await;
    assert_eq!(program.nodes.len(), 2);
    assert_eq!(program.ask("GET /api/version", "x", "").await.0.status(), 401);
    assert_eq!(program.ask("GET /__fake/requests", &program.token, "").await.0.status(), 404);
    assert_eq!(program.ask("GET /api/version", &program.token, "").await.1, r#"{"version":"0.14.2"}"#);
    drop(program.child.stdin.take());
    assert!(within("its end", program.child.wait()).await.unwrap().success());
    assert!(Wire::connect(program.nodes[0]).await.is_err());
}

#[tokio::test]
async fn a_seed_is_a_text() {
    let first = Program::first_words(7).await;
    assert_eq!(first, Program::first_words(7).await);
    assert_ne!(first, Program::first_words(8).await);
}

#[tokio::test]
async fn what_it_cannot_read_ends_it() {
    let mut program = Program::start(1, 1).await;
    program.child.stdin.as_mut().unwrap().write_all(b"what\n").await.unwrap();
    assert_eq!(within("its end", program.child.wait()).await.unwrap().code(), Some(1));
}
