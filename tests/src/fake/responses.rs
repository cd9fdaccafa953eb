//! `POST /v1/responses`.

use serde_json::Value;

use super::{
    json::{count, flag, quote},
    ollama::tokens,
    openai::CREATED,
    reply::Reply,
    state::State,
};

const BROKEN: &str = "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"an error was encountered while running the model\",\"param\":null,\"sequence_number\":99}\n\n";

pub(super) fn answer(state: &State, name: &str, body: &Value) -> Reply {
    let (words, _) = tokens(state, body.get("max_output_tokens").and_then(Value::as_u64));
    let text = quote(&words.concat());
    let prompt = body.get("input").map_or(0, count);
    let part =
        |text: &str| format!(r#"{{"type":"output_text","text":{text},"annotations":[],"logprobs":[]}}"#);
    let item = |status: &str, content: String| {
        format!(
            r#"{{"id":"msg_42","type":"message","status":"{status}","role":"assistant","content":[{content}]}}"#
        )
    };
    let response = |status: &str, output: String, usage: String| {
        format!(
            r#"{{"id":"resp_42","object":"response","created_at":{CREATED},"status":"{status}","error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"model":{},"output":[{output}],"parallel_tool_calls":true,"previous_response_id":null,"tool_choice":"auto","tools":[],"temperature":1,"top_p":1,"truncation":"disabled","metadata":{{}},"usage":{usage}}}"#,
            quote(name)
        )
    };
    let usage = format!(
        r#"{{"input_tokens":{prompt},"output_tokens":{0},"total_tokens":{1},"input_tokens_details":{{"cached_tokens":0}},"output_tokens_details":{{"reasoning_tokens":0}}}}"#,
        words.len(),
        prompt + words.len()
    );
    let complete = response("completed", item("completed", part(&text)), usage);
    if !flag(body, "stream", false) {
        return Reply::v1(200, complete);
    }
    let started = response("in_progress", String::new(), "null".to_owned());
    let place = r#""item_id":"msg_42","output_index":0,"content_index":0"#;
    let mut events: Vec<(&str, String)> = vec![
        ("response.created", format!(r#""response":{started}"#)),
        ("response.in_progress", format!(r#""response":{started}"#)),
        (
            "response.output_item.added",
            format!(r#""output_index":0,"item":{}"#, item("in_progress", String::new())),
        ),
        ("response.content_part.added", format!(r#"{place},"part":{}"#, part("\"\""))),
    ];
    for word in &words {
        let delta = format!(r#"{place},"delta":{},"logprobs":[]"#, quote(word));
        events.push(("response.output_text.delta", delta));
    }
    events.push(("response.output_text.done", format!(r#"{place},"text":{text},"logprobs":[]"#)));
    events.push(("response.content_part.done", format!(r#"{place},"part":{}"#, part(&text))));
    events.push((
        "response.output_item.done",
        format!(r#""output_index":0,"item":{}"#, item("completed", part(&text))),
    ));
    events.push(("response.completed", format!(r#""response":{complete}"#)));
    let lines = events
        .into_iter()
        .enumerate()
        .map(|(n, (kind, rest))| {
            format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{n},{rest}}}\n\n")
        })
        .collect();
    Reply::sse(lines, BROKEN)
}
