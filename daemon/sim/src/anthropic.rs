//! `POST /v1/messages`.

use serde_json::Value;

use crate::{
    draft::Ask,
    json::{first_tool, flag, quote},
    reply::Reply,
    state::NodeState,
};

const BROKEN: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"an error was encountered while running the model\"}}\n\n";

pub(crate) fn answer(state: &mut NodeState, name: &str, body: &Value) -> Reply {
    let limit = body.get("max_tokens").and_then(Value::as_u64);
    let draft = state.draft(&Ask { cuts_only: true, ..Ask::new(name, body.get("messages"), limit) });
    let tool = first_tool(body).filter(|_| draft.scripted);
    let tool = tool.map(|tool| quote(tool["name"].as_str().unwrap_or_default()));
    let reason = match (&tool, draft.cut) {
        (Some(_), _) => "tool_use",
        (None, true) => "max_tokens",
        (None, false) => "end_turn",
    };
    let message = |content: &str, rest: &str| {
        format!(
            r#"{{"id":"msg_{}","type":"message","role":"assistant","model":{},"content":[{content}]{rest}}}"#,
            draft.number,
            quote(name)
        )
    };
    let usage = |prompt, made| format!(r#""usage":{{"input_tokens":{prompt},"output_tokens":{made}}}"#);
    let counted = usage(draft.prompt, draft.made());
    if !flag(body, "stream", false) {
        let content = match &tool {
            Some(name) => {
                format!(r#"{{"type":"tool_use","id":"toolu_1","name":{name},"input":{{"city":"Paris"}}}}"#)
            }
            None => format!(r#"{{"type":"text","text":{}}}"#, quote(&draft.text())),
        };
        let whole = message(&content, &format!(r#","stop_reason":"{reason}",{counted}"#));
        return Reply::v1(200, whole).after(draft.whole_after()).then(draft.then);
    }
    let (block, deltas) = match &tool {
        Some(name) => (
            format!(r#"{{"type":"tool_use","id":"toolu_1","name":{name},"input":{{}}}}"#),
            vec![r#"{"type":"input_json_delta","partial_json":"{\"city\":\"Paris\"}"}"#.to_owned()],
        ),
        None => (
            r#"{"type":"text","text":""}"#.to_owned(),
            draft.words.iter().map(|w| format!(r#"{{"type":"text_delta","text":{}}}"#, quote(w))).collect(),
        ),
    };
    // The first event's count is an estimate, as Ollama's is: only the last one counts.
    let begun = message("", &format!(",{}", usage(draft.prompt + 7, 0)));
    let before = vec![
        event("message_start", &format!(r#","message":{begun}"#)),
        event("content_block_start", &format!(r#","index":0,"content_block":{block}"#)),
    ];
    let delta = |delta: String| event("content_block_delta", &format!(r#","index":0,"delta":{delta}"#));
    let tokens = deltas.into_iter().map(delta).collect();
    let after = vec![
        event("content_block_stop", r#","index":0"#),
        event("message_delta", &format!(r#","delta":{{"stop_reason":"{reason}"}},{counted}"#)),
        event("message_stop", ""),
    ];
    Reply::sse(draft.steps(before, tokens, after), BROKEN).then(draft.then)
}

fn event(kind: &str, rest: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n")
}
