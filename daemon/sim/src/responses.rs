//! `POST /v1/responses`.

use serde_json::Value;

use crate::{
    draft::Ask,
    json::{flag, quote},
    reply::Reply,
    state::NodeState,
};

const BROKEN: &str = "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"an error was encountered while running the model\",\"param\":null,\"sequence_number\":99}\n\n";

pub(crate) fn answer(state: &mut NodeState, name: &str, body: &Value) -> Reply {
    let limit = body.get("max_output_tokens").and_then(Value::as_u64);
    let draft = state.draft(&Ask::new(name, body.get("input"), limit));
    let (text, number) = (quote(&draft.text()), draft.number);
    let part =
        |text: &str| format!(r#"{{"type":"output_text","text":{text},"annotations":[],"logprobs":[]}}"#);
    let item = |status: &str, content: &str| {
        format!(
            r#"{{"id":"msg_{number}","type":"message","status":"{status}","role":"assistant","content":[{content}]}}"#
        )
    };
    let response = |status: &str, output: &str, usage: &str| {
        format!(
            r#"{{"id":"resp_{number}","object":"response","created_at":{},"status":"{status}","error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"model":{},"output":[{output}],"parallel_tool_calls":true,"previous_response_id":null,"tool_choice":"auto","tools":[],"temperature":1,"top_p":1,"truncation":"disabled","metadata":{{}},"usage":{usage}}}"#,
            draft.created.as_second(),
            quote(name)
        )
    };
    let usage = format!(
        r#"{{"input_tokens":{0},"output_tokens":{1},"total_tokens":{2},"input_tokens_details":{{"cached_tokens":0}},"output_tokens_details":{{"reasoning_tokens":0}}}}"#,
        draft.prompt,
        draft.made(),
        draft.prompt + draft.made()
    );
    let done = item("completed", &part(&text));
    let complete = response("completed", &done, &usage);
    if !flag(body, "stream", false) {
        return Reply::v1(200, complete).after(draft.whole_after()).then(draft.then);
    }
    let mut events = 0;
    let mut event = |kind: &str, rest: &str| {
        let number = events;
        events += 1;
        format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{number},{rest}}}\n\n")
    };
    let started = format!(r#""response":{}"#, response("in_progress", "", "null"));
    let place = format!(r#""item_id":"msg_{number}","output_index":0,"content_index":0"#);
    let before = vec![
        event("response.created", &started),
        event("response.in_progress", &started),
        event(
            "response.output_item.added",
            &format!(r#""output_index":0,"item":{}"#, item("in_progress", "")),
        ),
        event("response.content_part.added", &format!(r#"{place},"part":{}"#, part("\"\""))),
    ];
    let delta = |word: &String| format!(r#"{place},"delta":{},"logprobs":[]"#, quote(word));
    let tokens = draft.words.iter().map(|word| event("response.output_text.delta", &delta(word))).collect();
    let after = vec![
        event("response.output_text.done", &format!(r#"{place},"text":{text},"logprobs":[]"#)),
        event("response.content_part.done", &format!(r#"{place},"part":{}"#, part(&text))),
        event("response.output_item.done", &format!(r#""output_index":0,"item":{done}"#)),
        event("response.completed", &format!(r#""response":{complete}"#)),
    ];
    Reply::sse(draft.steps(before, tokens, after), BROKEN).then(draft.then)
}
