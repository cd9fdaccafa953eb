//! Ollama's chat and generation.

use std::{borrow::Cow, time::Duration};

use serde_json::{Value, json};

use super::{
    Refused,
    answer::{About, Answer, Called, Event, Stop, Usage, Writer},
    chat::{Call, Chat, Format, Image, Message, Outcome, Part, Said, Sampling, Think, Tool},
    json::{Object, string},
};
use crate::api::peek::is_no_time;

/// Reads a request of `/api/chat`. One without messages loads the model, and has no translation.
pub(super) fn chat<'a>(body: &Object<'a>) -> Result<Chat<'a>, Refused> {
    let mut chat = common(body)?;
    body.each("messages", |message| {
        chat.messages.push(read_message(&Object::of(message)?)?);
        Ok(())
    })?;
    body.each("tools", |tool| {
        chat.tools.push(read_tool(&Object::of(tool)?)?);
        Ok(())
    })?;
    Ok(chat)
}

/// Reads a request of `/api/generate`, whose prompt becomes a message: the template that a node would put it into is
/// one for chats.
pub(super) fn generate<'a>(body: &Object<'a>) -> Result<Chat<'a>, Refused> {
    body.refuse(&["suffix", "context"])?;
    let is_raw = body.flag("raw")?.unwrap_or(false);
    if !is_raw {
        body.refuse(&["template"])?;
    }
    let mut chat = common(body)?;
    // What is raw goes without the template that the system prompt would stand in.
    if let Some(system) = body.text("system")?.filter(|system| !is_raw && !system.is_empty()) {
        chat.messages.push(Message::System(system));
    }
    let prompt = body.text("prompt")?.unwrap_or_default();
    let images = images(body)?;
    if !prompt.is_empty() || !images.is_empty() {
        chat.messages.push(Message::User(parts(prompt, images)));
    }
    Ok(chat)
}

fn common<'a>(body: &Object<'a>) -> Result<Chat<'a>, Refused> {
    body.refuse(&["logprobs", "top_logprobs"])?;
    Ok(Chat {
        model: body.needed("model")?,
        stream: body.flag("stream")?.unwrap_or(true),
        format: format(body),
        think: think(body)?,
        sampling: body.object("options")?.map(|options| sampling(&options)).transpose()?.unwrap_or_default(),
        ..Chat::default()
    })
}

fn format<'a>(body: &Object<'a>) -> Option<Format<'a>> {
    let format = body.get("format")?;
    match string(format) {
        Some(text) if text.is_empty() => None,
        Some(_) => Some(Format::Json),
        None => Some(Format::Schema { name: "answer".into(), schema: format.get(), strict: None }),
    }
}

fn think<'a>(body: &Object<'a>) -> Result<Option<Think<'a>>, Refused> {
    let Some(think) = body.get("think") else { return Ok(None) };
    if let Some(effort) = string(think) {
        return Ok(Some(Think::Effort(effort)));
    }
    Ok(body.flag("think")?.map(|on| if on { Think::On } else { Think::Off }))
}

/// Options that say how a model is run are left out: a server with OpenAI's API has settled that when it started.
fn sampling<'a>(options: &Object<'a>) -> Result<Sampling<'a>, Refused> {
    Ok(Sampling {
        // Below zero there is no bound.
        max_tokens: options.number("num_predict")?.filter(|most| !most.starts_with('-')),
        repeat_penalty: options.number("repeat_penalty")?,
        stop: options.raw("stop").filter(|stop| *stop != "[]"),
        ..Sampling::alike(options)?
    })
}

fn images<'a>(of: &Object<'a>) -> Result<Vec<Image<'a>>, Refused> {
    let mut images = Vec::new();
    of.each("images", |image| {
        images.push(Image::of_base64(string(image).ok_or(Refused::expected("", "a string"))?));
        Ok(())
    })?;
    Ok(images)
}

fn parts<'a>(text: Cow<'a, str>, images: Vec<Image<'a>>) -> Vec<Part<'a>> {
    let mut parts = Vec::with_capacity(images.len() + 1);
    if !text.is_empty() || images.is_empty() {
        parts.push(Part::Text(text));
    }
    parts.extend(images.into_iter().map(Part::Image));
    parts
}

fn read_message<'a>(message: &Object<'a>) -> Result<Message<'a>, Refused> {
    let role = message.needed("role")?;
    let text = message.text("content")?.unwrap_or_default();
    Ok(match &*role {
        "system" | "developer" => Message::System(text),
        "user" => Message::User(parts(text, images(message)?)),
        "assistant" => {
            let mut said =
                Said { thinking: message.text("thinking")?.unwrap_or_default(), text, calls: Vec::new() };
            message.each("tool_calls", |call| {
                let call = Object::of(call)?;
                let function = call.object("function")?.unwrap_or_default();
                said.calls.push(Call {
                    id: call.text("id")?.unwrap_or_default(),
                    name: function.needed("name").map_err(|refused| refused.within("function"))?,
                    arguments: function.raw("arguments").unwrap_or("{}").into(),
                });
                Ok(())
            })?;
            Message::Assistant(said)
        }
        "tool" => {
            let name = message.text("tool_name")?;
            Message::Tool(Outcome {
                id: message.text("tool_call_id")?.unwrap_or_default(),
                name: if name.is_some() { name } else { message.text("name")? }.unwrap_or_default(),
                text,
                images: images(message)?,
            })
        }
        role => return Err(Refused::value("role", role)),
    })
}

/// A tool as Ollama's and OpenAI's chat write it.
pub(super) fn read_tool<'a>(tool: &Object<'a>) -> Result<Tool<'a>, Refused> {
    match tool.text("type")? {
        Some(kind) if kind != "function" => return Err(Refused::value("type", &kind)),
        _ => {}
    }
    let function = tool.object("function")?.ok_or(Refused::expected("function", "an object"))?;
    let named = |refused: Refused| refused.within("function");
    Ok(Tool {
        name: function.needed("name").map_err(named)?,
        description: function.text("description").map_err(named)?,
        parameters: function.raw("parameters"),
        strict: function.flag("strict").map_err(named)?,
    })
}

/// What the answer to a request with nothing in it says: it only loads the model, or unloads it, which a server with
/// OpenAI's API does by itself.
pub(super) fn idle(about: &About, body: &Object<'_>, chat: bool) -> Vec<u8> {
    let unloads = body.raw("keep_alive").is_some_and(|keep| is_no_time(keep.as_bytes()));
    let mut line = head(about, chat, "", "", &[]);
    line["done"] = true.into();
    line["done_reason"] = if unloads { "unload" } else { "load" }.into();
    line.to_string().into_bytes()
}

/// Writes an answer's stream.
#[derive(Debug)]
pub(super) struct Lines {
    /// Of `/api/chat`, not of `/api/generate`.
    chat: bool,
    /// The calls so far: a line has a call whole.
    calls: Vec<Called>,
    stop: Stop,
    usage: Usage,
    /// When the first piece came.
    first: Option<Duration>,
}

impl Lines {
    pub(super) fn new(chat: bool) -> Self {
        Self { chat, calls: Vec::new(), stop: Stop::End, usage: Usage::default(), first: None }
    }

    fn line(line: &Value, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{line}\n").as_bytes());
    }

    fn flush(&mut self, about: &About, out: &mut Vec<u8>) {
        if !self.calls.is_empty() {
            Self::line(&head(about, self.chat, "", "", &std::mem::take(&mut self.calls)), out);
        }
    }
}

impl Writer for Lines {
    fn event(&mut self, about: &About, event: Event<'_>, out: &mut Vec<u8>) {
        self.first = self.first.or_else(|| about.begun.map(|begun| begun.elapsed()));
        match event {
            Event::Thinking(text) => Self::line(&head(about, self.chat, text, "", &[]), out),
            Event::Text(text) => Self::line(&head(about, self.chat, "", text, &[]), out),
            Event::Call { at: _, id, name } => {
                self.calls.push(Called { id: id.into(), name: name.into(), arguments: String::new() });
            }
            Event::Arguments { at, text } => {
                if let Some(call) = self.calls.get_mut(at) {
                    call.arguments.push_str(text);
                }
            }
            Event::Stop(stop) => {
                self.stop = stop;
                self.flush(about, out);
            }
            Event::StoppedAt(_) => {}
            Event::Usage(usage) => self.usage = usage,
        }
    }

    fn finish(&mut self, about: &About, out: &mut Vec<u8>) {
        self.flush(about, out);
        let mut line = head(about, self.chat, "", "", &[]);
        end(&mut line, about, self.stop, self.usage, self.first);
        Self::line(&line, out);
    }

    fn kept(&self) -> usize {
        self.calls.iter().map(|call| call.arguments.len()).sum()
    }
}

/// An answer in one piece.
pub(super) fn whole(about: &About, answer: &Answer, chat: bool) -> Vec<u8> {
    let mut object = head(about, chat, &answer.thinking, &answer.text, &answer.calls);
    end(&mut object, about, answer.stop, answer.usage, None);
    object.to_string().into_bytes()
}

fn head(about: &About, chat: bool, thinking: &str, text: &str, calls: &[Called]) -> Value {
    let mut line = json!({"model": about.model, "created_at": about.created_at, "done": false});
    let mut said = json!({});
    if !thinking.is_empty() {
        said["thinking"] = thinking.into();
    }
    if !calls.is_empty() {
        let call = |(at, call): (usize, &Called)| json!({"id": call.id, "function": {"index": at, "name": call.name, "arguments": call.object()}});
        said["tool_calls"] = calls.iter().enumerate().map(call).collect();
    }
    if chat {
        said["role"] = "assistant".into();
        said["content"] = text.into();
        line["message"] = said;
    } else {
        said["response"] = text.into();
        if let (Value::Object(line), Value::Object(said)) = (&mut line, said) {
            line.extend(said);
        }
    }
    line
}

fn end(line: &mut Value, about: &About, stop: Stop, usage: Usage, first: Option<Duration>) {
    line["done"] = true.into();
    line["done_reason"] = if stop == Stop::Length { "length" } else { "stop" }.into();
    line["prompt_eval_count"] = usage.prompt.into();
    line["eval_count"] = usage.output.into();
    let Some(total) = about.begun.map(|begun| begun.elapsed()) else { return };
    let first = first.unwrap_or_default();
    let or = |said: Duration, seen: Duration| if said.is_zero() { seen } else { said };
    for (name, time) in [
        ("total_duration", total),
        ("load_duration", Duration::ZERO),
        ("prompt_eval_duration", or(usage.reading, first)),
        ("eval_duration", or(usage.writing, total.saturating_sub(first))),
    ] {
        line[name] = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).into();
    }
}
