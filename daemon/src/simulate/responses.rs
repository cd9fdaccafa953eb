//! `POST /v1/responses`.

use super::{
    answer::{SSE, V1, quote},
    generate::{Done, Form},
    openai::Head,
};

/// An answer in the form of OpenAI's newer API.
pub(super) struct Responses {
    head: Head,
    /// Events so far.
    events: u64,
}

impl Responses {
    pub(super) fn new(head: Head) -> Self {
        Self { head, events: 0 }
    }

    fn event(&mut self, kind: &str, rest: &str) -> String {
        let number = self.events;
        self.events += 1;
        format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{number},{rest}}}\n\n")
    }

    fn response(&self, status: &str, output: &str, usage: &str) -> String {
        let Head { model, created, number } = &self.head;
        format!(
            r#"{{"id":"resp_{number}","object":"response","created_at":{created},"status":"{status}","error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"model":{model},"output":[{output}],"parallel_tool_calls":true,"previous_response_id":null,"tool_choice":"auto","tools":[],"temperature":1,"top_p":1,"truncation":"disabled","metadata":{{}},"usage":{usage}}}"#
        )
    }

    fn item(&self, status: &str, content: &str) -> String {
        let number = self.head.number;
        format!(
            r#"{{"id":"msg_{number}","type":"message","status":"{status}","role":"assistant","content":[{content}]}}"#
        )
    }

    fn place(&self) -> String {
        format!(r#""item_id":"msg_{}","output_index":0,"content_index":0"#, self.head.number)
    }

    fn complete(&self, text: &str, done: &Done) -> String {
        let usage = format!(
            r#"{{"input_tokens":{0},"output_tokens":{1},"total_tokens":{2},"input_tokens_details":{{"cached_tokens":0}},"output_tokens_details":{{"reasoning_tokens":0}}}}"#,
            done.prompt,
            done.made,
            done.prompt + done.made
        );
        self.response("completed", &self.item("completed", &part(text)), &usage)
    }
}

fn part(text: &str) -> String {
    format!(r#"{{"type":"output_text","text":{},"annotations":[],"logprobs":[]}}"#, quote(text))
}

impl Form for Responses {
    const TYPES: (&'static str, &'static str) = (V1, SSE);

    fn begin(&mut self, _prompt: u64) -> String {
        let started = format!(r#""response":{}"#, self.response("in_progress", "", "null"));
        let added = format!(r#""output_index":0,"item":{}"#, self.item("in_progress", ""));
        let opened = format!(r#"{},"part":{}"#, self.place(), part(""));
        self.event("response.created", &started)
            + &self.event("response.in_progress", &started)
            + &self.event("response.output_item.added", &added)
            + &self.event("response.content_part.added", &opened)
    }

    fn token(&mut self, text: &str) -> String {
        let delta = format!(r#"{},"delta":{},"logprobs":[]"#, self.place(), quote(text));
        self.event("response.output_text.delta", &delta)
    }

    fn end(&mut self, text: &str, done: &Done) -> String {
        let place = self.place();
        let item = self.item("completed", &part(text));
        let complete = self.complete(text, done);
        self.event("response.output_text.done", &format!(r#"{place},"text":{},"logprobs":[]"#, quote(text)))
            + &self.event("response.content_part.done", &format!(r#"{place},"part":{}"#, part(text)))
            + &self.event("response.output_item.done", &format!(r#""output_index":0,"item":{item}"#))
            + &self.event("response.completed", &format!(r#""response":{complete}"#))
    }

    fn whole(&mut self, text: &str, done: &Done) -> String {
        self.complete(text, done) + "\n"
    }
}
