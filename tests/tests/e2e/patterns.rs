//! Patterns of an organization's own, in prompts and answers.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Answer, Daemon, Request},
};
use serde_json::{Value, json};

async fn ask(daemon: &Daemon, prompt: &str, stream: bool, key: &str) -> Answer {
    let body = json!({"model": "m", "stream": stream, "prompt": prompt});
    daemon.ask(&Request::json("/api/generate", &body).field("authorization", &format!("Bearer {key}"))).await
}

fn says(node: &FakeNode, tokens: &[&str]) {
    node.with(|state| state.tokens = tokens.iter().map(|token| (*token).to_owned()).collect());
}

#[tokio::test]
async fn they_are_replaced_refused_and_removed() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "acme"]).await;
    let made = aivonx.json(&["key", "create", "work", "--org", "acme"]).await;
    let key = made["secret"].as_str().unwrap();
    let pattern = ["privacy", "pattern"];
    let run = async |arguments: &[&str]| aivonx.run(&[&pattern[..], arguments].concat()).await;
    assert!(run(&["add", "staff", "--regex", "E-[0-9]{6}", "--org", "acme"]).await.code == 0);
    let refuse = ["add", "project", "--words", "falcon,blue moon", "--action", "refuse", "--org", "acme"];
    assert!(run(&refuse).await.code == 0);

    // Prompts.
    says(&node, &["fine"]);
    ask(&daemon, "badge E-123456", false, key).await.expect(200);
    assert_eq!(node.requests().pop().unwrap().json()["prompt"], "badge [REDACTED_STAFF]");
    let before = node.requests().len();
    let refused = ask(&daemon, "what of Blue Moon?", false, key).await.expect(400).text();
    assert!(refused.contains("the pattern project refuses") && !refused.contains("Moon"), "{refused}");
    assert_eq!(node.requests().len(), before, "nothing reached the node");
    let tried = aivonx.run_with_input(&["privacy", "test", "--org", "acme"], "E-123456 of falcon").await;
    assert!(tried.stdout.contains("is refused"), "{}", tried.stdout);

    // Answers.
    says(&node, &["badge E", "-12", "3456", " it is"]);
    let stream = ask(&daemon, "go on", true, key).await.expect(200);
    let text = |answer: &Answer| -> String {
        answer.lines().iter().filter_map(|line| line["response"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(text(&stream), "badge [REDACTED_STAFF] it is");
    assert_eq!(ask(&daemon, "go on", false, key).await.json()["response"], "badge [REDACTED_STAFF] it is");
    says(&node, &["the fal", "con", " has", " landed"]);
    let stream = ask(&daemon, "go on", true, key).await.expect(200);
    assert!(stream.text().contains("a pattern of the organization refuses"), "{}", stream.text());
    assert!(!stream.text().contains("fal"), "{}", stream.text());
    // In one piece nothing was sent yet, and each dialect has its error.
    let messages = json!([{"role": "user", "content": "go on"}]);
    for (path, error) in [
        ("/api/chat", "/error"),
        ("/v1/chat/completions", "/error/message"),
        ("/v1/messages", "/error/message"),
    ] {
        let body = json!({"model": "m", "max_tokens": 9, "stream": false, "messages": messages});
        let request = Request::json(path, &body).field("authorization", &format!("Bearer {key}"));
        let answer = daemon.ask(&request).await.expect(403).json();
        let error = answer.pointer(error).and_then(|error| error.as_str()).unwrap_or_default();
        assert!(error.contains("a pattern of the organization refuses"), "{path} {answer}");
    }

    // Others have theirs.
    let plain =
        daemon.post("/api/generate", &json!({"model": "m", "stream": false, "prompt": "falcon"})).await;
    assert_eq!(plain.json()["response"], "the falcon has landed");

    let listed = aivonx.json(&["privacy", "pattern", "list", "--org", "acme"]).await;
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["project", "staff"]);
    assert!(run(&["remove", "project", "--org", "acme"]).await.code == 0);
    assert_eq!(ask(&daemon, "falcon", false, key).await.json()["response"], "the falcon has landed");
    assert!(!daemon.stderr().text().contains("Blue Moon"));
}

#[tokio::test]
async fn what_cannot_be_searched_for_is_refused_by_name() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let aivonx = daemon.aivonx();
    for (arguments, why) in [
        (&["x", "--regex", "a+"][..], "may have any length"),
        (&["x", "--regex", "[a-z]{1,5000}"], "5000 bytes"),
        (&["x", "--regex", "(a"], "no regular expression"),
        (&["x", "--regex", "a?"], "empty text"),
        (&["X Y", "--regex", "a"], "no name"),
        (&["x", "--words", "a", "--marker", ""], "0 characters"),
        (&["x"], "--regex"),
        (&["x", "--regex", "a", "--words", "b"], "cannot be used with"),
    ] {
        let run = aivonx.run(&[&["privacy", "pattern", "add"][..], arguments].concat()).await;
        assert!(run.code != 0 && run.stderr.contains(why), "{arguments:?} {}", run.stderr);
    }
    aivonx.ok(&["privacy", "pattern", "add", "x", "--words", "one"]).await;
    let twice = aivonx.run(&["privacy", "pattern", "add", "x", "--words", "two"]).await;
    assert!(twice.code != 0, "{}", twice.stdout);
    let listed: Value = aivonx.json(&["privacy", "pattern", "list"]).await;
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["marker"]), (1, &json!("[REDACTED_X]")));
}
