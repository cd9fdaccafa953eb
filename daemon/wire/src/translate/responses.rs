//! OpenAI's responses.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Value, json};

use super::{
    Refused,
    answer::{About, Answer, Called, Event, Repeated, Stop, Usage, Writer},
    chat::{Call, Chat, Format, Message, Outcome, Part, Said, Tool, joined},
    json::{Object, string},
    openai,
};

/// Reads a request.
pub(super) fn request<'a>(body: &Object<'a>) -> Result<Chat<'a>, Refused> {
    // What a server would have kept of earlier responses is not there, and nothing is worked on without a client.
    body.refuse(&[
        "previous_response_id",
        "conversation",
        "background",
        "prompt",
        "top_logprobs",
        "max_tool_calls",
    ])?;
    let mut chat = Chat {
        model: body.needed("model")?,
        stream: body.flag("stream")?.unwrap_or(false),
        parallel: body.flag("parallel_tool_calls")?,
        choice: openai::choice(body)?,
        ..Chat::default()
    };
    if let Some(instructions) = body.text("instructions")?.filter(|text| !text.is_empty()) {
        chat.messages.push(Message::System(instructions));
    }
    match body.get("input") {
        Some(input) => match string(input) {
            Some(text) => chat.messages.push(Message::User(vec![Part::Text(text)])),
            None => body.each("input", |item| read_item(&Object::of(item)?, &mut chat.messages))?,
        },
        None => return Err(Refused::expected("input", "a string or a list of items")),
    }
    body.each("tools", |tool| {
        chat.tools.push(read_tool(&Object::of(tool)?)?);
        Ok(())
    })?;
    if let Some(text) = body.object("text")?
        && let Some(format) = text.object("format")?
    {
        chat.format = match &*format.text("type")?.unwrap_or_default() {
            "json_object" => Some(Format::Json),
            "json_schema" => openai::schema(&format)?,
            _ => None,
        };
    }
    if let Some(reasoning) = body.object("reasoning")? {
        chat.think = reasoning.text("effort")?.map(openai::effort);
    }
    chat.sampling.max_tokens = body.number("max_output_tokens")?;
    chat.sampling.temperature = body.number("temperature")?;
    chat.sampling.top_p = body.number("top_p")?;
    Ok(chat)
}

/// Members of a request that its answer repeats.
const REPEATED: [&str; 7] =
    ["max_output_tokens", "parallel_tool_calls", "temperature", "tool_choice", "top_p", "tools", "metadata"];

/// Most bytes of all that is repeated: they are kept until the answer is over.
const REPEATED_MOST: usize = 64 << 10;

/// What the answer to a request repeats of it, without what would be too much.
pub(super) fn asked(body: &Object<'_>) -> Arc<Repeated> {
    let mut room = REPEATED_MOST;
    let repeated = REPEATED.into_iter().filter_map(|name| {
        let text = body.raw(name)?;
        room = room.checked_sub(text.len())?;
        Some((name, text.into()))
    });
    repeated.collect()
}

fn read_tool<'a>(tool: &Object<'a>) -> Result<Tool<'a>, Refused> {
    let kind = tool.text("type")?.unwrap_or_default();
    if kind != "function" {
        return Err(Refused::value("type", &kind));
    }
    Ok(Tool {
        name: tool.needed("name")?,
        description: tool.text("description")?,
        parameters: tool.raw("parameters"),
        strict: tool.flag("strict")?,
    })
}

fn read_item<'a>(item: &Object<'a>, into: &mut Vec<Message<'a>>) -> Result<(), Refused> {
    let kind = item.text("type")?.unwrap_or("message".into());
    match &*kind {
        // Thoughts, words and calls of one turn are items of their own, and nothing may stand between its calls and what
        // they came to.
        "message" => match (read_message(item)?, into.last_mut()) {
            (Message::Assistant(more), Some(Message::Assistant(said)))
                if said.text.is_empty() || !said.calls.is_empty() =>
            {
                append(&mut said.text, more.text);
            }
            (message, _) => into.push(message),
        },
        "function_call" => {
            let call = Call {
                id: item.needed("call_id")?,
                name: item.needed("name")?,
                arguments: item.text("arguments")?.unwrap_or_default(),
            };
            match into.last_mut() {
                Some(Message::Assistant(said)) => said.calls.push(call),
                _ => into.push(Message::Assistant(Said { calls: vec![call], ..Said::default() })),
            }
        }
        "function_call_output" => {
            let mut outcome = Outcome { id: item.needed("call_id")?, ..Outcome::default() };
            let mut texts = Vec::new();
            for part in openai::parts(item.get("output"), "output")? {
                match part {
                    Part::Text(text) => texts.push(text),
                    Part::Image(image) => outcome.images.push(image),
                }
            }
            outcome.text = joined(texts, "\n");
            into.push(Message::Tool(outcome));
        }
        "reasoning" => {
            let mut thoughts = Vec::new();
            for name in ["content", "summary"] {
                item.each(name, |part| {
                    thoughts.push(Object::of(part)?.needed("text")?);
                    Ok(())
                })?;
                if !thoughts.is_empty() {
                    break;
                }
            }
            let thinking = joined(thoughts, "\n");
            match into.last_mut() {
                _ if thinking.is_empty() => {}
                Some(Message::Assistant(said)) if !said.calls.is_empty() => {
                    append(&mut said.thinking, thinking)
                }
                _ => into.push(Message::Assistant(Said { thinking, ..Said::default() })),
            }
        }
        kind => return Err(Refused::value("type", kind)),
    }
    Ok(())
}

fn read_message<'a>(message: &Object<'a>) -> Result<Message<'a>, Refused> {
    let role = message.needed("role")?;
    let parts = openai::parts(message.get("content"), "content")?;
    if role == "user" {
        return Ok(Message::User(parts));
    }
    let text = openai::text(parts)?;
    match &*role {
        "system" | "developer" => Ok(Message::System(text)),
        "assistant" => Ok(Message::Assistant(Said { text, ..Said::default() })),
        role => Err(Refused::value("role", role)),
    }
}

/// Puts more behind a text that may be empty.
fn append<'a>(text: &mut Cow<'a, str>, more: Cow<'a, str>) {
    if text.is_empty() {
        *text = more;
    } else if !more.is_empty() {
        let text = text.to_mut();
        text.push('\n');
        text.push_str(&more);
    }
}

/// Writes an answer's stream. The last event has all of the answer in it, so that it is kept until then.
#[derive(Debug, Default)]
pub(super) struct Events {
    number: u64,
    /// Bytes of text in the items.
    kept: usize,
    /// The items that are done.
    done: Vec<Value>,
    open: Option<Open>,
    stop: Stop,
    usage: Usage,
}

/// An item that is not done.
#[derive(Debug)]
enum Open {
    Thinking(String),
    Text(String),
    /// The call of this number.
    Call(usize, Called),
}

impl Open {
    /// The item as it is so far, and once it is `done`.
    fn item(&self, about: &About, at: usize, done: bool) -> Value {
        let (id, status) = (&about.id, if done { "completed" } else { "in_progress" });
        match self {
            Self::Thinking(text) => {
                let summary = if done { json!([{"type": "summary_text", "text": text}]) } else { json!([]) };
                json!({"id": format!("rs_{id}_{at}"), "type": "reasoning", "summary": summary})
            }
            Self::Text(text) => {
                let content = if done { json!([part(text)]) } else { json!([]) };
                json!({"id": format!("msg_{id}_{at}"), "type": "message", "status": status, "role": "assistant",
                    "content": content})
            }
            Self::Call(_, call) => {
                json!({"id": format!("fc_{id}_{at}"), "type": "function_call", "status": status,
                "call_id": call.id, "name": call.name, "arguments": call.arguments})
            }
        }
    }
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

impl Events {
    fn send(&mut self, kind: &str, mut data: Value, out: &mut Vec<u8>) {
        data["type"] = kind.into();
        data["sequence_number"] = self.number.into();
        self.number += 1;
        out.extend_from_slice(format!("event: {kind}\ndata: {data}\n\n").as_bytes());
    }

    fn begin(&mut self, about: &About, out: &mut Vec<u8>) {
        if self.number == 0 {
            let response = response(about, "in_progress", Vec::new(), None);
            self.send("response.created", json!({"response": response}), out);
            self.send("response.in_progress", json!({"response": response}), out);
        }
    }

    /// Begins an item, after the one that is open is done.
    fn open(&mut self, about: &About, open: Open, out: &mut Vec<u8>) {
        self.close(about, out);
        let at = self.done.len();
        let item = open.item(about, at, false);
        let id = item["id"].clone();
        self.send("response.output_item.added", json!({"output_index": at, "item": item}), out);
        let place = |index: &str| json!({"item_id": id, "output_index": at, index: 0});
        match open {
            Open::Thinking(_) => {
                let mut data = place("summary_index");
                data["part"] = json!({"type": "summary_text", "text": ""});
                self.send("response.reasoning_summary_part.added", data, out);
            }
            Open::Text(_) => {
                let mut data = place("content_index");
                data["part"] = part("");
                self.send("response.content_part.added", data, out);
            }
            Open::Call(..) => {}
        }
        self.open = Some(open);
    }

    fn close(&mut self, about: &About, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        let at = self.done.len();
        let item = open.item(about, at, true);
        let with = |more: Value| {
            let mut data = json!({"item_id": item["id"], "output_index": at});
            if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
                data.extend(more);
            }
            data
        };
        match &open {
            Open::Thinking(text) => {
                let done = with(json!({"summary_index": 0, "text": text}));
                self.send("response.reasoning_summary_text.done", done, out);
                let done = with(json!({"summary_index": 0, "part": {"type": "summary_text", "text": text}}));
                self.send("response.reasoning_summary_part.done", done, out);
            }
            Open::Text(text) => {
                let done = with(json!({"content_index": 0, "text": text, "logprobs": []}));
                self.send("response.output_text.done", done, out);
                let done = with(json!({"content_index": 0, "part": part(text)}));
                self.send("response.content_part.done", done, out);
            }
            Open::Call(_, call) => {
                let done = with(json!({"name": call.name, "arguments": call.arguments}));
                self.send("response.function_call_arguments.done", done, out);
            }
        }
        self.send("response.output_item.done", json!({"output_index": at, "item": item}), out);
        self.done.push(item);
    }

    fn delta(&mut self, kind: &str, index: Option<&str>, about: &About, text: &str, out: &mut Vec<u8>) {
        let at = self.done.len();
        let Some(open) = &self.open else { return };
        let mut data =
            json!({"item_id": open.item(about, at, false)["id"], "output_index": at, "delta": text});
        if let Some(index) = index {
            data[index] = 0.into();
        }
        if kind == "response.output_text.delta" {
            data["logprobs"] = json!([]);
        }
        self.send(kind, data, out);
    }
}

impl Writer for Events {
    fn event(&mut self, about: &About, event: Event<'_>, out: &mut Vec<u8>) {
        self.begin(about, out);
        if let Event::Thinking(text) | Event::Text(text) | Event::Arguments { text, .. } = event {
            self.kept += text.len();
        }
        match event {
            Event::Thinking(text) => {
                if !matches!(self.open, Some(Open::Thinking(_))) {
                    self.open(about, Open::Thinking(String::new()), out);
                }
                if let Some(Open::Thinking(all)) = &mut self.open {
                    all.push_str(text);
                }
                self.delta("response.reasoning_summary_text.delta", Some("summary_index"), about, text, out);
            }
            Event::Text(text) => {
                if !matches!(self.open, Some(Open::Text(_))) {
                    self.open(about, Open::Text(String::new()), out);
                }
                if let Some(Open::Text(all)) = &mut self.open {
                    all.push_str(text);
                }
                self.delta("response.output_text.delta", Some("content_index"), about, text, out);
            }
            Event::Call { at, id, name } => {
                let call = Called { id: id.into(), name: name.into(), arguments: String::new() };
                self.open(about, Open::Call(at, call), out);
            }
            Event::Arguments { at, text } => {
                if let Some(Open::Call(number, call)) = &mut self.open
                    && *number == at
                {
                    call.arguments.push_str(text);
                    self.delta("response.function_call_arguments.delta", None, about, text, out);
                }
            }
            Event::Stop(stop) => self.stop = stop,
            Event::StoppedAt(_) => {}
            Event::Usage(usage) => self.usage = usage,
        }
    }

    fn finish(&mut self, about: &About, out: &mut Vec<u8>) {
        self.begin(about, out);
        self.close(about, out);
        let status = status(self.stop);
        let response = response(about, status, std::mem::take(&mut self.done), Some((self.stop, self.usage)));
        self.send(&format!("response.{status}"), json!({"response": response}), out);
    }

    fn kept(&self) -> usize {
        self.kept
    }
}

/// An answer in one piece.
pub(super) fn whole(about: &About, answer: Answer) -> Vec<u8> {
    let Answer { thinking, text, calls, stop, usage, stopped_at: _ } = answer;
    let mut items = Vec::new();
    if !thinking.is_empty() {
        items.push(Open::Thinking(thinking));
    }
    if !text.is_empty() || calls.is_empty() {
        items.push(Open::Text(text));
    }
    items.extend(calls.into_iter().enumerate().map(|(at, call)| Open::Call(at, call)));
    let items = items.iter().enumerate().map(|(at, item)| item.item(about, at, true)).collect();
    response(about, status(stop), items, Some((stop, usage))).to_string().into_bytes()
}

fn status(stop: Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Calls => "completed",
        Stop::Length | Stop::Refused => "incomplete",
    }
}

fn response(about: &About, status: &str, output: Vec<Value>, end: Option<(Stop, Usage)>) -> Value {
    let why = end.and_then(|(stop, _)| match stop {
        Stop::Length => Some(json!({"reason": "max_output_tokens"})),
        Stop::Refused => Some(json!({"reason": "content_filter"})),
        Stop::End | Stop::Calls => None,
    });
    let usage = end.map(|(_, usage)| {
        json!({
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt.saturating_add(usage.output),
        })
    });
    let mut response = json!({
        "id": format!("resp_{}", about.id),
        "object": "response",
        "created_at": about.created,
        "status": status,
        "error": null,
        "incomplete_details": why,
        "instructions": null,
        "metadata": {},
        "model": about.model,
        "output": output,
        "parallel_tool_calls": true,
        "tool_choice": "auto",
        "tools": [],
        "store": false,
        "usage": usage,
    });
    for (name, text) in about.asked.iter().flat_map(|asked| asked.iter()) {
        // It was read with the request.
        response[name] = serde_json::from_str(text).unwrap_or_default();
    }
    response
}
