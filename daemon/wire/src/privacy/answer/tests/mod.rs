//! Answers of every dialect, cut at every place.

mod own;
mod properties;
mod stream;
mod whole;

use aivonx_protocol::privacy::AnswerMode;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    super::{Privacy, Screening},
    Screen, Stopped,
};
use crate::api::{Pieces, route::Stream};

fn privacy(answers: AnswerMode) -> Screening {
    Privacy { answers, ..Privacy::OFF }.into()
}

/// What of an answer goes out, and how it ends.
fn screened(mode: AnswerMode, stream: Option<Stream>, chunks: &[&[u8]]) -> (Vec<u8>, Result<u64, Stopped>) {
    let mut screen = Screen::new(&privacy(mode), stream);
    let mut out = Pieces::default();
    let ended = chunks
        .iter()
        .try_for_each(|chunk| screen.pass(Bytes::copy_from_slice(chunk), &mut out))
        .and_then(|()| screen.finish(&mut out));
    let mut bytes = Vec::new();
    while let Some(piece) = out.pop(usize::MAX) {
        bytes.extend_from_slice(&piece);
    }
    (bytes, ended.map(|()| screen.findings().total()))
}

fn redacted(stream: Stream, text: &str) -> String {
    let (bytes, ended) = screened(AnswerMode::Redact, Some(stream), &[text.as_bytes()]);
    ended.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// How a dialect streams a text, token by token, and where the text is in what comes out.
struct Dialect {
    stream: Stream,
    begin: fn() -> String,
    token: fn(&str) -> String,
    end: fn() -> String,
    text: fn(&Value) -> Option<&str>,
}

fn sse(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn named(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap())
}

const DIALECTS: [Dialect; 7] = [
    Dialect {
        stream: Stream::Ndjson,
        begin: String::new,
        token: |text| {
            format!(
                "{}\n",
                json!({"model": "m", "message": {"role": "assistant", "content": text}, "done": false})
            )
        },
        end: || {
            format!(
                "{}\n",
                json!({"model": "m", "message": {"role": "assistant", "content": ""}, "done": true, "total_duration": 5_043_500_667_u64})
            )
        },
        text: |value| value["message"]["content"].as_str(),
    },
    Dialect {
        stream: Stream::Ndjson,
        begin: String::new,
        token: |text| {
            format!(
                "{}\n",
                json!({"model": "m", "created_at": "2024-03-01T12:00:00.123456789Z", "response": text, "done": false})
            )
        },
        end: || format!("{}\n", json!({"response": "", "done": true})),
        text: |value| value["response"].as_str(),
    },
    Dialect {
        stream: Stream::Done,
        begin: String::new,
        token: |text| {
            sse(
                &json!({"id": "chatcmpl-1", "created": 1_700_000_000, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}),
            )
        },
        end: || {
            sse(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
                + "data: [DONE]\n\n"
        },
        text: |value| value["choices"][0]["delta"]["content"].as_str(),
    },
    Dialect {
        stream: Stream::Done,
        begin: String::new,
        token: |text| sse(&json!({"choices": [{"text": text, "index": 0, "finish_reason": null}]})),
        end: || "data: [DONE]\n\n".into(),
        text: |value| value["choices"][0]["text"].as_str(),
    },
    Dialect {
        stream: Stream::Done,
        begin: String::new,
        token: |text| {
            sse(
                &json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}, "index": 0}]}),
            )
        },
        end: || "data: [DONE]\n\n".into(),
        text: |value| value["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str(),
    },
    Dialect {
        stream: Stream::Messages,
        begin: || {
            named(
                &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            )
        },
        token: |text| {
            named(
                &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
            )
        },
        end: || {
            named(&json!({"type": "content_block_stop", "index": 0}))
                + &named(&json!({"type": "message_stop"}))
        },
        text: |value| value["delta"]["text"].as_str(),
    },
    Dialect {
        stream: Stream::Responses,
        begin: || named(&json!({"type": "response.created", "response": {"id": "resp_1"}})),
        token: |text| {
            named(
                &json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": text}),
            )
        },
        end: || {
            named(&json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed"}}))
        },
        text: |value| value["delta"].as_str(),
    },
];

impl Dialect {
    /// A whole stream of the tokens.
    fn stream(&self, tokens: &[&str]) -> String {
        let tokens: String = tokens.iter().map(|token| (self.token)(token)).collect();
        (self.begin)() + &tokens + &(self.end)()
    }

    /// The text in a stream.
    fn read(&self, stream: &str) -> String {
        let lines = stream.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
        let objects = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        objects.filter_map(|value| (self.text)(&value).map(str::to_owned)).collect()
    }
}

const TEXT: &str = "Write to bob@example.com or call 555-123-4567, card 4111 1111 1111 1111. ssn 123-45-6789, \
                    api_key = sk-1234567890abcdefghij1; that is all of it.";
const SAFE: &str = "Write to [REDACTED_EMAIL] or call [REDACTED_PHONE], card [REDACTED_CARD]. ssn [REDACTED_SSN], \
                    api_key = [REDACTED_KEY]; that is all of it.";
