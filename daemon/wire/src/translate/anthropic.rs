//! Anthropic's messages.

use std::borrow::Cow;

use serde_json::{json, value::RawValue};

use super::{
    Refused,
    answer::{About, Answer, Event, Stop, Usage, Writer},
    chat::{Call, Chat, Choice, Format, Image, Message, Outcome, Part, Said, Think, Tool, joined},
    json::{Object, string},
};

/// Reads a request.
pub(super) fn request<'a>(body: &Object<'a>) -> Result<Chat<'a>, Refused> {
    body.refuse(&["mcp_servers", "container"])?;
    let mut chat = Chat {
        model: body.needed("model")?,
        stream: body.flag("stream")?.unwrap_or(false),
        keep_alive: body.raw("keep_alive"),
        ..Chat::default()
    };
    if let Some(system) = body.get("system") {
        let system = texts(system).map_err(|refused| refused.within("system"))?;
        chat.messages.push(Message::System(joined(system, "\n\n")));
    }
    body.each("messages", |message| read_message(&Object::of(message)?, &mut chat.messages))?;
    body.each("tools", |tool| {
        chat.tools.push(read_tool(&Object::of(tool)?)?);
        Ok(())
    })?;
    if let Some(choice) = body.object("tool_choice")? {
        chat.parallel = choice.flag("disable_parallel_tool_use")?.map(|disabled| !disabled);
        chat.choice = Some(match &*choice.text("type")?.unwrap_or_default() {
            "any" => Choice::Any,
            "none" => Choice::Nothing,
            "tool" => Choice::One(choice.needed("name")?),
            _ => Choice::Auto,
        });
    }
    chat.think = think(body)?;
    let output = body.object("output_config")?;
    let format = match &output {
        Some(output) if output.get("format").is_some() => output.object("format")?,
        _ => body.object("output_format")?,
    };
    if let Some(schema) = format.as_ref().and_then(|format| format.raw("schema")) {
        chat.format = Some(Format::Schema { name: "answer".into(), schema, strict: Some(true) });
    }
    let sampling = &mut chat.sampling;
    sampling.max_tokens = body.number("max_tokens")?;
    sampling.temperature = body.number("temperature")?;
    sampling.top_p = body.number("top_p")?;
    sampling.top_k = body.number("top_k")?;
    sampling.stop = body.raw("stop_sequences");
    Ok(chat)
}

/// That thinking is allowed says nothing about the model, which may not be able to: so it is left to it.
fn think<'a>(body: &Object<'a>) -> Result<Option<Think<'a>>, Refused> {
    if let Some(output) = body.object("output_config")?
        && let Some(effort) = output.text("effort")?
    {
        let most = matches!(&*effort, "max" | "xhigh");
        return Ok(Some(Think::Hint(if most { "high".into() } else { effort })));
    }
    let thinking = body.object("thinking")?;
    let kind = thinking.map(|thinking| thinking.text("type")).transpose()?.flatten();
    Ok(kind.filter(|kind| kind == "disabled").map(|_| Think::Off))
}

/// The texts of what may be a string or blocks of text.
fn texts(value: &RawValue) -> Result<Vec<Cow<'_, str>>, Refused> {
    if let Some(text) = string(value) {
        return Ok(vec![text]);
    }
    let mut texts = Vec::new();
    each_block(value, "", |block| match &*block.kind {
        "text" => {
            texts.push(block.object.needed("text")?);
            Ok(())
        }
        _ => Err(block.refused()),
    })?;
    Ok(texts)
}

struct Block<'a> {
    kind: Cow<'a, str>,
    object: Object<'a>,
}

impl Block<'_> {
    fn refused(&self) -> Refused {
        Refused::value("type", &self.kind)
    }
}

fn each_block<'a>(
    value: &'a RawValue,
    name: &str,
    mut read: impl FnMut(Block<'a>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let blocks: Vec<&RawValue> = serde_json::from_str(value.get())
        .map_err(|_| Refused::expected(name, "a string or a list of blocks"))?;
    for (at, block) in blocks.into_iter().enumerate() {
        Object::of(block)
            .and_then(|object| read(Block { kind: object.text("type")?.unwrap_or_default(), object }))
            .map_err(|refused| refused.within(&format!("{name}[{at}]")))?;
    }
    Ok(())
}

fn read_message<'a>(message: &Object<'a>, into: &mut Vec<Message<'a>>) -> Result<(), Refused> {
    let role = message.needed("role")?;
    let content =
        message.get("content").ok_or(Refused::expected("content", "a string or a list of blocks"))?;
    if role == "system" {
        into.push(Message::System(joined(
            texts(content).map_err(|refused| refused.within("content"))?,
            "\n\n",
        )));
        return Ok(());
    }
    let by_model = role == "assistant";
    if let Some(text) = string(content) {
        into.push(match by_model {
            true => Message::Assistant(Said { text, ..Said::default() }),
            false => Message::User(vec![Part::Text(text)]),
        });
        return Ok(());
    }
    let (mut parts, mut said, mut thoughts, mut spoken) =
        (Vec::new(), Said::default(), Vec::new(), Vec::new());
    each_block(content, "content", |block| {
        let Block { kind, object } = &block;
        match (&**kind, by_model) {
            ("text", true) => spoken.push(object.needed("text")?),
            ("text", false) => parts.push(Part::Text(object.needed("text")?)),
            ("thinking", true) => thoughts.push(object.text("thinking")?.unwrap_or_default()),
            // Only the one who wrote it can read it.
            ("redacted_thinking", true) => {}
            ("tool_use", true) => said.calls.push(Call {
                id: object.needed("id")?,
                name: object.needed("name")?,
                arguments: object.raw("input").unwrap_or("{}").into(),
            }),
            ("image", false) => parts.push(Part::Image(image(object)?)),
            ("document", false) => parts.push(Part::Text(document(object)?)),
            ("tool_result", false) => into.push(Message::Tool(outcome(object)?)),
            _ => return Err(block.refused()),
        }
        Ok(())
    })?;
    if by_model {
        said.thinking = joined(thoughts, "\n");
        said.text = joined(spoken, "\n");
        into.push(Message::Assistant(said));
    } else if !parts.is_empty() {
        into.push(Message::User(parts));
    }
    Ok(())
}

fn image<'a>(block: &Object<'a>) -> Result<Image<'a>, Refused> {
    let source = block.object("source")?.ok_or(Refused::expected("source", "an object"))?;
    let kind = source.text("type")?.unwrap_or_default();
    match &*kind {
        "base64" => Ok(Image::Data { media: source.needed("media_type")?, data: source.needed("data")? }),
        "url" => Ok(Image::Url(source.needed("url")?)),
        kind => Err(Refused::value("source.type", kind)),
    }
}

/// A document that is text.
fn document<'a>(block: &Object<'a>) -> Result<Cow<'a, str>, Refused> {
    let source = block.object("source")?.ok_or(Refused::expected("source", "an object"))?;
    match &*source.text("type")?.unwrap_or_default() {
        "text" => source.needed("data"),
        kind => Err(Refused::value("source.type", kind)),
    }
}

fn outcome<'a>(block: &Object<'a>) -> Result<Outcome<'a>, Refused> {
    let mut outcome = Outcome { id: block.needed("tool_use_id")?, ..Outcome::default() };
    if let Some(content) = block.get("content") {
        outcome.text = match string(content) {
            Some(text) => text,
            None => result(content, &mut outcome.images)?,
        };
    }
    // The other dialects have no place for it.
    if block.flag("is_error")? == Some(true) {
        outcome.text = match &*outcome.text {
            "" => "Error".into(),
            text => format!("Error: {text}").into(),
        };
    }
    Ok(outcome)
}

/// The text in the blocks of a result; its images go to `images`.
fn result<'a>(content: &'a RawValue, images: &mut Vec<Image<'a>>) -> Result<Cow<'a, str>, Refused> {
    let mut texts = Vec::new();
    each_block(content, "content", |block| {
        match &*block.kind {
            "text" => texts.push(block.object.needed("text")?),
            "image" => images.push(image(&block.object)?),
            // A tool that was found, by name.
            "tool_reference" => texts.push(block.object.needed("tool_name")?),
            _ => return Err(block.refused()),
        }
        Ok(())
    })?;
    Ok(joined(texts, "\n"))
}

fn read_tool<'a>(tool: &Object<'a>) -> Result<Tool<'a>, Refused> {
    match tool.text("type")? {
        Some(kind) if kind != "custom" => Err(Refused::value("type", &kind)),
        _ => Ok(Tool {
            name: tool.needed("name")?,
            description: tool.text("description")?,
            parameters: tool.raw("input_schema"),
            strict: tool.flag("strict")?,
        }),
    }
}

/// Writes an answer's stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    begun: bool,
    /// The block that has not ended, by its number.
    open: Option<Kind>,
    blocks: usize,
    usage: Usage,
    stop: Option<Stop>,
    /// The text that stopped it, of those that were to.
    stopped_at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Thinking,
    Text,
    /// Of the tool call of this number.
    Call(usize),
}

impl Writer for Events {
    fn event(&mut self, about: &About, event: Event<'_>, out: &mut Vec<u8>) {
        self.begin(about, out);
        match event {
            Event::Thinking(text) => {
                self.block(
                    Kind::Thinking,
                    out,
                    || json!({"type": "thinking", "thinking": "", "signature": ""}),
                );
                self.delta(&json!({"type": "thinking_delta", "thinking": text}), out);
            }
            Event::Text(text) => {
                self.block(Kind::Text, out, || json!({"type": "text", "text": ""}));
                self.delta(&json!({"type": "text_delta", "text": text}), out);
            }
            Event::Call { at, id, name } => {
                self.block(
                    Kind::Call(at),
                    out,
                    || json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
                );
            }
            Event::Arguments { at, text } if self.open == Some(Kind::Call(at)) => {
                self.delta(&json!({"type": "input_json_delta", "partial_json": text}), out);
            }
            Event::Arguments { .. } => {}
            Event::Stop(stop) => self.stop = Some(stop),
            Event::StoppedAt(text) => self.stopped_at = Some(text.to_owned()),
            Event::Usage(usage) => self.usage = usage,
        }
    }

    fn finish(&mut self, about: &About, out: &mut Vec<u8>) {
        self.begin(about, out);
        self.close(out);
        let (reason, sequence) = stopped(self.stop.unwrap_or(Stop::End), self.stopped_at.as_deref());
        let delta = json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": usage(self.usage),
        });
        send("message_delta", &delta, out);
        send("message_stop", &json!({"type": "message_stop"}), out);
    }
}

impl Events {
    fn begin(&mut self, about: &About, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            let message = message(about, json!([]), (None, None), Usage::default());
            send("message_start", &json!({"type": "message_start", "message": message}), out);
        }
    }

    /// Goes on with a block of this kind, or begins one.
    fn block(&mut self, kind: Kind, out: &mut Vec<u8>, begin: impl FnOnce() -> serde_json::Value) {
        if self.open == Some(kind) {
            return;
        }
        self.close(out);
        self.open = Some(kind);
        let start = json!({"type": "content_block_start", "index": self.blocks, "content_block": begin()});
        send("content_block_start", &start, out);
    }

    fn delta(&self, delta: &serde_json::Value, out: &mut Vec<u8>) {
        let delta = json!({"type": "content_block_delta", "index": self.blocks, "delta": delta});
        send("content_block_delta", &delta, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            send("content_block_stop", &json!({"type": "content_block_stop", "index": self.blocks}), out);
            self.blocks += 1;
        }
    }
}

fn send(name: &str, data: &serde_json::Value, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("event: {name}\ndata: {data}\n\n").as_bytes());
}

/// An answer in one piece.
pub(super) fn whole(about: &About, answer: &Answer) -> Vec<u8> {
    let mut content = Vec::new();
    if !answer.thinking.is_empty() {
        content.push(json!({"type": "thinking", "thinking": answer.thinking, "signature": ""}));
    }
    if !answer.text.is_empty() || answer.calls.is_empty() && content.is_empty() {
        content.push(json!({"type": "text", "text": answer.text}));
    }
    for call in &answer.calls {
        let input = call.object();
        content.push(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input}));
    }
    let (reason, sequence) = stopped(answer.stop, answer.stopped_at.as_deref());
    message(about, content.into(), (Some(reason), sequence), answer.usage).to_string().into_bytes()
}

fn message(
    about: &About,
    content: serde_json::Value,
    (reason, sequence): (Option<&str>, Option<&str>),
    counts: Usage,
) -> serde_json::Value {
    json!({
        "id": format!("msg_{}", about.id),
        "type": "message",
        "role": "assistant",
        "model": about.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": usage(counts),
    })
}

/// `stop_reason`, and the `stop_sequence` that goes with no other reason.
fn stopped(stop: Stop, at: Option<&str>) -> (&'static str, Option<&str>) {
    let reason = match stop {
        Stop::End if at.is_some() => return ("stop_sequence", at),
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Calls => "tool_use",
        Stop::Refused => "refusal",
    };
    (reason, None)
}

/// Anthropic counts what came out of the cache apart.
fn usage(usage: Usage) -> serde_json::Value {
    json!({
        "input_tokens": usage.prompt.saturating_sub(usage.cached),
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    })
}
