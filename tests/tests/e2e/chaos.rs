//! Nodes that fail at random while clients ask: each request gets exactly one complete answer, or one
//! well-formed error.

use aivonx_tests::{
    fake::{FakeNode, Fault},
    harness::{Answer, Daemon, Request},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

const PATHS: &[&str] = &[
    "/api/chat",
    "/api/generate",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
];

fn fault(rng: &mut StdRng) -> Option<Fault> {
    let at = rng.random_range(0..9);
    [
        None,
        None,
        Some(Fault::ResetBeforeHead),
        Some(Fault::CloseBeforeHead),
        Some(Fault::CloseIfReused),
        Some(Fault::ResetAfter(at)),
        Some(Fault::CloseAfter(at)),
        Some(Fault::EndAfter(at)),
        Some(Fault::ErrorAfter(at)),
        Some(Fault::Status(500, r#"{"error":"boom"}"#)),
        Some(Fault::Status(503, r#"{"error":"busy"}"#)),
        Some(Fault::Garbage),
        Some(Fault::BadChunk),
        Some(Fault::LengthTooLong(10)),
        Some(Fault::SlowHead),
        Some(Fault::Interim),
        Some(Fault::LongLine(100_000)),
    ]
    .choose(rng)
    .cloned()
    .flatten()
}

fn is_error(value: &Value) -> bool {
    value.get("error").is_some_and(|e| e.is_string() || e["message"].is_string())
        || value["type"] == "error"
        || value["type"] == "response.failed"
}

/// How often the answer ended: completely, or with an error. Must be once.
fn endings(path: &str, stream: bool, answer: &Answer) -> (usize, usize) {
    let text = answer.text();
    if answer.status != 200 || !stream {
        if answer.cut.is_some() {
            // One object with its length: a cut is the only way to say that it is not whole.
            return (0, 1);
        }
        let error = is_error(&answer.json());
        return (usize::from(!error), usize::from(error));
    }
    assert_eq!(answer.cut, None, "{path}: a stream's framing ends in order: {text}");
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    let values: Vec<Value> = if path.starts_with("/api/") {
        text.lines().filter_map(|line| parse(line.trim_start_matches('x'))).collect()
    } else {
        answer
            .events()
            .iter()
            .filter_map(|e| if e == "[DONE]" { Some(json!("[DONE]")) } else { parse(e) })
            .collect()
    };
    let complete = |v: &Value| {
        v["done"] == true || v == "[DONE]" || v["type"] == "message_stop" || v["type"] == "response.completed"
    };
    // The model stopped; a node whose answer ends in order after that said all there is.
    let stopped =
        |v: &Value| v["choices"][0]["finish_reason"].is_string() || v["delta"]["stop_reason"].is_string();
    let last = values.last().unwrap_or_else(|| panic!("{path}: an empty stream"));
    assert!(complete(last) || is_error(last) || stopped(last), "{path}: nothing after the end: {text}");
    let complete = values.iter().filter(|v| complete(v)).count().max(usize::from(stopped(last)));
    (complete, values.iter().filter(|v| is_error(v)).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_random_interleavings() {
    let seed: u64 =
        std::env::var("AIVONX_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random);
    println!("AIVONX_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await, FakeNode::ollama().await];
    let all: Vec<&FakeNode> = nodes.iter().collect();
    let limits = "[health]\ninterval = \"1s\"\nfailures = 8\nsuccesses = 1\n[timeouts]\nidle = \"5s\"\nheader_wait = \"5s\"\n";
    let daemon = std::sync::Arc::new(Daemon::run(&all, limits).await);
    let (mut complete, mut failed, mut left) = (0, 0, 0);
    for round in 0..200 {
        for node in &nodes {
            let faults: Vec<Fault> = (0..rng.random_range(0..4)).filter_map(|_| fault(&mut rng)).collect();
            node.with(|s| s.faults = faults.into());
        }
        if rng.random_bool(0.1) {
            nodes.choose(&mut rng).unwrap().drop_connections();
        }
        let mut tasks = Vec::new();
        for _ in 0..rng.random_range(1..6) {
            let path = *PATHS.choose(&mut rng).unwrap();
            let stream = rng.random_bool(0.7);
            let leaves = rng.random_bool(0.15).then(|| rng.random_range(0..4));
            let messages = json!([{"role": "user", "content": "hi"}]);
            let body = json!({"model": "m", "stream": stream, "messages": messages, "prompt": "x", "input": "x", "max_tokens": 99});
            let daemon = daemon.clone();
            tasks.push(tokio::spawn(async move {
                let mut client = daemon.client().await;
                client.send(&Request::json(path, &body)).await;
                if let Some(pieces) = leaves {
                    if pieces > 0 && client.try_head().await.is_some() {
                        for _ in 0..pieces {
                            if !matches!(client.piece().await, Ok(Some(_))) {
                                break;
                            }
                        }
                    }
                    client.reset();
                    return None;
                }
                let answer = client.answer().await;
                let (complete, errors) = endings(path, stream, &answer);
                assert_eq!(
                    complete + errors,
                    1,
                    "{path} stream={stream}: {} {}",
                    answer.status,
                    answer.text()
                );
                Some(complete == 1)
            }));
        }
        for task in tasks {
            match task.await.unwrap_or_else(|e| panic!("seed {seed}, round {round}: {e}")) {
                Some(true) => complete += 1,
                Some(false) => failed += 1,
                None => left += 1,
            }
        }
    }
    daemon.until_idle().await;
    println!("{complete} complete, {failed} errors, {left} left");
    assert!(complete > 50 && left > 0);
    for node in &nodes {
        node.with(|s| s.faults.clear());
    }
    daemon.until_active(3).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    daemon.post("/api/chat", &body).await.expect(200);
}
