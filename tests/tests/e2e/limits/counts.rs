//! What a request is charged when the node counts wrongly, or does not come to count.

use aivonx_tests::{
    fake::{FakeNode, Fault},
    harness::Request,
    within,
};
use serde_json::{Value, json};

use super::{Rig, builder};

/// A request that costs the budget at most `output` tokens, for any of the routes.
fn asked(path: &str, stream: bool, output: u64) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let mut body = json!({"model": "m", "stream": stream, "messages": messages});
    if path.starts_with("/v1") {
        body["max_tokens"] = output.into();
    } else {
        body["options"] = json!({"num_predict": output});
    }
    Request::json(path, &body)
}

impl Rig {
    async fn tokens(&self) -> u64 {
        self.used("tokens.day").await.as_u64().unwrap()
    }
}

#[tokio::test]
async fn a_wild_count_takes_no_more_than_was_asked_and_sent() {
    let rig = Rig::new().await;
    rig.limit(&["tokens.day=1000000"]).await;
    for (path, answer) in [
        (
            "/api/chat",
            r#"{"model":"m","message":{"role":"assistant","content":"x"},"done":true,"prompt_eval_count":9223372036854775807,"eval_count":18446744073709551615}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":1e300,"completion_tokens":99999999999999999999}}"#,
        ),
    ] {
        let before = rig.tokens().await;
        rig.node.fail_next(Fault::Body(answer));
        rig.daemon.ask(&rig.with_key(asked(path, false, 50))).await.expect(200);
        let size = rig.node.requests().pop().unwrap().body.len() as u64;
        rig.until_used("tokens.day", &json!(before + size + 4096 + 50)).await;
    }
    let before = rig.tokens().await;
    let odd = r#"{"message":{"content":"x"},"done":true,"prompt_eval_count":-5000,"eval_count":-100000}"#;
    rig.node.fail_next(Fault::Body(odd));
    rig.daemon.ask(&rig.with_key(asked("/api/chat", false, 50))).await.expect(200);
    assert!(rig.tokens().await > before, "what cannot be read is estimated");
}

#[tokio::test]
async fn a_prompt_out_of_the_nodes_cache_is_counted() {
    let rig = Rig::new().await;
    rig.limit(&["tokens.day=1000000"]).await;
    let answer = r#"{"type":"message","content":[],"usage":{"cache_read_input_tokens":330,"input_tokens":1,"output_tokens":1}}"#;
    rig.node.fail_next(Fault::Body(answer));
    rig.daemon.ask(&rig.with_key(asked("/v1/messages", false, 9))).await.expect(200);
    rig.until_used("tokens.day", &json!(332)).await;
}

/// A chat whose prompt has 1000 characters.
fn long(path: &str, stream: bool) -> Request {
    let messages = json!([{"role": "user", "content": "word ".repeat(200)}]);
    Request::json(path, &json!({"model": "m", "stream": stream, "max_tokens": 5000, "messages": messages}))
}

#[tokio::test]
async fn a_count_far_below_what_went_by_is_none() {
    let rig = Rig::new().await;
    rig.limit(&["tokens.day=1000000", "concurrent=9"]).await;
    let words = "word ".repeat(800);
    let whole = format!(
        r#"{{"choices":[{{"message":{{"content":"{words}"}}}}],"usage":{{"prompt_tokens":1,"completion_tokens":1}}}}"#
    );
    rig.node.fail_next(Fault::Body(whole.leak()));
    rig.daemon.ask(&rig.with_key(long("/v1/chat/completions", false))).await.expect(200);
    rig.until_used("concurrent", &json!(0)).await;
    // A token is taken for four bytes; of the prompt, keys count as well.
    let used = rig.tokens().await;
    assert!((1250..1300).contains(&used), "{used}");

    let chunk = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let counts = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
    // All of it in one event.
    rig.node.fail_next(Fault::Events(chunk(&words) + counts + "data: [DONE]\n\n"));
    rig.daemon.ask(&rig.with_key(long("/v1/chat/completions", true))).await.expect(200);
    rig.until_used("concurrent", &json!(0)).await;
    let used = rig.tokens().await - used;
    assert!((1250..1300).contains(&used), "{used}");
}

#[tokio::test]
async fn a_long_prompt_is_counted_where_nothing_is_capped() {
    let rig = Rig::new().await;
    rig.node.fail_next(Fault::Body(
        r#"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
    ));
    let messages = json!([{"role": "user", "content": "word ".repeat(10_000)}]);
    let body = json!({"model": "m", "messages": messages});
    rig.daemon.ask(&rig.with_key(Request::json("/v1/chat/completions", &body))).await.expect(200);
    within("the usage", async {
        loop {
            let total = rig.daemon.aivonx().json(&["usage", "show"]).await["total"].clone();
            if total["output_tokens"] == 1 {
                let prompt = total["prompt_tokens"].as_u64().unwrap();
                assert!((12_500..12_600).contains(&prompt), "{total}");
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_cache_is_counted_though_the_last_event_does_not_tell() {
    let rig = Rig::new().await;
    rig.limit(&["tokens.day=1000000"]).await;
    let events = r#"event: message_start
data: {"type":"message_start","message":{"usage":{"input_tokens":1,"cache_read_input_tokens":330,"output_tokens":0}}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":1,"output_tokens":9}}

event: message_stop
data: {"type":"message_stop"}

"#;
    rig.node.fail_next(Fault::Events(events.into()));
    rig.daemon.ask(&rig.with_key(asked("/v1/messages", true, 50))).await.expect(200);
    rig.until_used("tokens.day", &json!(331 + 9)).await;
}

#[tokio::test]
async fn answers_that_are_made_and_not_sent_are_paid() {
    let rig = Rig::new().await;
    rig.limit(&["tokens.day=10000"]).await;
    let of = |best: u64| {
        let body = json!({"model": "m", "prompt": "hi", "max_tokens": 100, "best_of": best});
        rig.with_key(Request::json("/v1/completions", &body))
    };
    let answer = r#"{"choices":[{"text":"abcd"}],"usage":{"prompt_tokens":2,"completion_tokens":10}}"#;
    rig.node.fail_next(Fault::Body(answer));
    rig.daemon.ask(&of(20)).await.expect(200);
    rig.until_used("tokens.day", &json!(2 + 20 * 10)).await;
    // A hundred of them would be too much, and two hundred are for nobody.
    let told = rig.daemon.ask(&of(100)).await.expect(429);
    assert!(told.text().contains("tokens.day"), "{}", told.text());
    let told = rig.daemon.ask(&of(200)).await.expect(400);
    assert!(told.text().contains("'best_of' asks for 200 answers; at most 128"), "{}", told.text());
}

#[tokio::test]
async fn an_unstreamed_answer_that_takes_too_long_is_paid_as_one_that_is_left() {
    let node = FakeNode::ollama().await;
    let daemon = builder("[timeouts]\nheader_wait = \"1s\"\nwhole = \"1s\"\n").node(&node).start().await;
    let rig = Rig::with(node, daemon).await;
    rig.limit(&["tokens.day=1000000", "concurrent=9"]).await;
    for (stream, output) in [(false, 500), (true, 0)] {
        rig.node.fail_next(Fault::Silence);
        let before = rig.tokens().await;
        rig.daemon.ask(&rig.with_key(asked("/api/chat", stream, 500))).await.expect(504);
        rig.until_used("concurrent", &json!(0)).await;
        let used = rig.tokens().await - before;
        assert!((output + 1..output + 30).contains(&used), "{used}");
    }
}

#[tokio::test]
async fn who_leaves_an_unstreamed_answer_pays_what_was_reserved() {
    let rig = Rig::new().await;
    rig.limit(&["tokens.day=1000000", "concurrent=9"]).await;
    rig.node.gate();
    for (gone, path) in (1..).zip(["/api/chat", "/v1/chat/completions"]) {
        let before = rig.tokens().await;
        let mut client = rig.daemon.client().await;
        client.send(&rig.with_key(asked(path, false, 500))).await;
        rig.node.until_requests(gone).await;
        let reserved = rig.tokens().await;
        assert!(reserved >= before + 500, "{reserved}");
        client.reset();
        rig.node.until_gone(gone).await;
        rig.until_used("concurrent", &json!(0)).await;
        assert_eq!(rig.tokens().await, reserved, "{path}");
    }
}

#[tokio::test]
async fn who_leaves_a_stream_that_began_with_a_zero_pays_for_what_went_by() {
    let rig = Rig::new().await;
    rig.limit(&["tokens.day=1000000"]).await;
    rig.node.gate();
    let mut client = rig.daemon.client().await;
    client.send(&rig.with_key(asked("/v1/messages", true, 5000))).await;
    // Two events at the beginning; the first counts the prompt, and says that there is no output.
    rig.node.release(6);
    client.head().await;
    let mut text = String::new();
    while text.matches("\"text_delta\"").count() < 4 {
        text += &String::from_utf8_lossy(&client.piece().await.unwrap().unwrap());
    }
    let start: Value =
        serde_json::from_str(text.lines().nth(1).unwrap().strip_prefix("data: ").unwrap()).unwrap();
    let usage = &start["message"]["usage"];
    assert_eq!(usage["output_tokens"], 0);
    client.reset();
    rig.until_used("tokens.day", &json!(usage["input_tokens"].as_u64().unwrap() + 4)).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_paid_as_far_as_it_came() {
    let rig = Rig::new().await;
    rig.limit(&["tokens.day=1000000", "inference.day=9", "concurrent=9"]).await;
    rig.node.gate();
    rig.node.fail_next(Fault::ResetAfter(2));
    let mut client = rig.daemon.client().await;
    client.send(&rig.with_key(asked("/api/chat", true, 500))).await;
    rig.node.until_requests(1).await;
    let prompt = rig.tokens().await - 500;
    rig.node.open_gate();
    let answer = client.answer().await.expect(200);
    assert!(answer.lines().last().unwrap()["error"].is_string());
    rig.until_used("concurrent", &json!(0)).await;
    assert_eq!(rig.tokens().await, prompt + 2);
    assert_eq!(rig.used("inference.day").await, json!(1));
}

#[tokio::test]
async fn a_stream_that_lacks_only_its_last_line_is_complete_and_no_failure() {
    let rig = Rig::new().await;
    rig.limit(&["tokens.day=1000000", "inference.day=100"]).await;
    let tokens = 6;
    let mut requests = 0;
    for (path, steps) in
        [("/v1/chat/completions", tokens + 2), ("/v1/completions", tokens + 1), ("/v1/messages", tokens + 4)]
    {
        for _ in 0..6 {
            rig.node.fail_next(Fault::EndAfter(steps));
            let request = json!({"model": "m", "stream": true, "max_tokens": tokens, "prompt": "hi",
                "messages": [{"role": "user", "content": "hi"}]});
            let answer = rig.daemon.ask(&rig.with_key(Request::json(path, &request))).await.expect(200);
            requests += 1;
            let text = answer.text();
            assert!(!text.contains("[DONE]") && !text.contains("message_stop"), "{path}: {text}");
            assert!(answer.cut.is_none() && !text.contains("error"), "{path}: {text}");
            assert!(text.contains("\"length\"") || text.contains("\"end_turn\""), "{path}: {text}");
            rig.until_used("inference.day", &json!(requests)).await;
        }
    }
    assert_eq!(rig.daemon.nodes().await[0]["pool"], "active");
    assert!(rig.tokens().await >= requests * tokens as u64);
}
