//! `POST /v1/messages`.

use super::{
    answer::{SSE, V1, quote},
    generate::{Done, Form},
    openai::Head,
};

/// An answer in Anthropic's form.
pub(super) struct Messages {
    pub(super) head: Head,
}

fn event(kind: &str, rest: &str) -> String {
    let comma = if rest.is_empty() { "" } else { "," };
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{comma}{rest}}}\n\n")
}

fn reason(done: &Done) -> &'static str {
    if done.cut { "max_tokens" } else { "end_turn" }
}

impl Messages {
    fn message(&self, content: &str, rest: &str) -> String {
        let Head { model, number, .. } = &self.head;
        format!(
            r#"{{"id":"msg_{number}","type":"message","role":"assistant","model":{model},"content":[{content}]{rest}}}"#
        )
    }
}

impl Form for Messages {
    const TYPES: (&'static str, &'static str) = (V1, SSE);

    fn begin(&mut self, prompt: u64) -> String {
        // An estimate, as Ollama's is: only the count at the end is right.
        let usage = format!(r#","usage":{{"input_tokens":{},"output_tokens":0}}"#, prompt + 7);
        let message = self.message("", &usage);
        event("message_start", &format!(r#""message":{message}"#))
            + &event("content_block_start", r#""index":0,"content_block":{"type":"text","text":""}"#)
    }

    fn token(&mut self, text: &str) -> String {
        let delta = format!(r#""index":0,"delta":{{"type":"text_delta","text":{}}}"#, quote(text));
        event("content_block_delta", &delta)
    }

    fn end(&mut self, _text: &str, done: &Done) -> String {
        let delta = format!(
            r#""delta":{{"stop_reason":"{}"}},"usage":{{"input_tokens":{},"output_tokens":{}}}"#,
            reason(done),
            done.prompt,
            done.made
        );
        event("content_block_stop", r#""index":0"#)
            + &event("message_delta", &delta)
            + &event("message_stop", "")
    }

    fn whole(&mut self, text: &str, done: &Done) -> String {
        let content = format!(r#"{{"type":"text","text":{}}}"#, quote(text));
        let rest = format!(
            r#","stop_reason":"{}","usage":{{"input_tokens":{},"output_tokens":{}}}"#,
            reason(done),
            done.prompt,
            done.made
        );
        self.message(&content, &rest) + "\n"
    }
}
