//! `POST /v1/messages`.

use serde_json::Value;

use super::{
    json::{count, flag, quote},
    ollama::tokens,
    reply::Reply,
    state::State,
};

const BROKEN: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"an error was encountered while running the model\"}}\n\n";

pub(super) fn answer(state: &State, name: &str, body: &Value) -> Reply {
    let asked = body.get("max_tokens").and_then(Value::as_u64).unwrap_or(u64::MAX);
    // Every request of this API has a limit; only a huge one asks the fake to go on and on.
    let endless = (10_000..u64::MAX).contains(&asked);
    let (mut words, _) = tokens(state, endless.then_some(asked));
    let cut = usize::try_from(asked).is_ok_and(|n| n < words.len());
    if cut {
        words.truncate(usize::try_from(asked).unwrap_or(0));
    }
    let model = quote(name);
    let prompt = body.get("messages").map_or(0, count);
    let tool = body.get("tools").and_then(Value::as_array).and_then(|t| t.first());
    let tool = tool.map(|tool| quote(tool["name"].as_str().unwrap_or_default()));
    let reason = match (&tool, cut) {
        (Some(_), _) => "tool_use",
        (None, true) => "max_tokens",
        (None, false) => "end_turn",
    };
    if !flag(body, "stream", false) {
        let content = match &tool {
            Some(name) => {
                format!(r#"{{"type":"tool_use","id":"toolu_1","name":{name},"input":{{"city":"Paris"}}}}"#)
            }
            None => format!(r#"{{"type":"text","text":{}}}"#, quote(&words.concat())),
        };
        return Reply::v1(
            200,
            format!(
                r#"{{"id":"msg_42","type":"message","role":"assistant","model":{model},"content":[{content}],"stop_reason":"{reason}","usage":{{"input_tokens":{prompt},"output_tokens":{}}}}}"#,
                words.len()
            ),
        );
    }
    // The first event's count is an estimate, as Ollama's is: only the last one counts.
    let mut events = vec![(
        "message_start",
        format!(
            r#""message":{{"id":"msg_42","type":"message","role":"assistant","model":{model},"content":[],"usage":{{"input_tokens":{},"output_tokens":0}}}}"#,
            prompt + 7
        ),
    )];
    let (block, deltas): (String, Vec<String>) = match &tool {
        Some(name) => (
            format!(r#"{{"type":"tool_use","id":"toolu_1","name":{name},"input":{{}}}}"#),
            vec![r#"{"type":"input_json_delta","partial_json":"{\"city\":\"Paris\"}"}"#.to_owned()],
        ),
        None => (
            r#"{"type":"text","text":""}"#.to_owned(),
            words.iter().map(|w| format!(r#"{{"type":"text_delta","text":{}}}"#, quote(w))).collect(),
        ),
    };
    events.push(("content_block_start", format!(r#""index":0,"content_block":{block}"#)));
    events.extend(
        deltas.into_iter().map(|delta| ("content_block_delta", format!(r#""index":0,"delta":{delta}"#))),
    );
    events.push(("content_block_stop", r#""index":0"#.to_owned()));
    events.push((
        "message_delta",
        format!(
            r#""delta":{{"stop_reason":"{reason}"}},"usage":{{"input_tokens":{prompt},"output_tokens":{}}}"#,
            words.len()
        ),
    ));
    events.push(("message_stop", String::new()));
    let lines = events
        .into_iter()
        .map(|(kind, rest)| {
            let comma = if rest.is_empty() { "" } else { "," };
            format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{comma}{rest}}}\n\n")
        })
        .collect();
    Reply::sse(lines, BROKEN)
}
