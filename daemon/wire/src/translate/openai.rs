//! OpenAI's chat completions, and completions, as clients ask for them.

use std::borrow::Cow;

use serde_json::{Value, json, value::RawValue};

use super::{
    Refused,
    answer::{About, Answer, Event, Stop, Usage, Writer},
    chat::{Call, Chat, Choice, Format, Image, Message, Outcome, Part, Said, Sampling, Think, joined},
    json::{Object, string},
    ollama::read_tool,
};

/// Reads a request.
pub(super) fn request<'a>(body: &Object<'a>) -> Result<Chat<'a>, Refused> {
    body.refuse(&["logprobs", "top_logprobs", "logit_bias", "audio", "functions", "function_call"])?;
    // An empty object asks for a search as well.
    if body.get("web_search_options").is_some() {
        return Err(Refused::not_carried("web_search_options"));
    }
    if body.list("modalities")?.iter().any(|modality| string(modality).as_deref() != Some("text")) {
        return Err(Refused::not_carried("modalities"));
    }
    only_one(body, "n")?;
    let mut chat = Chat {
        model: body.needed("model")?,
        stream: body.flag("stream")?.unwrap_or(false),
        parallel: body.flag("parallel_tool_calls")?,
        think: body.text("reasoning_effort")?.map(effort),
        keep_alive: body.raw("keep_alive"),
        ..Chat::default()
    };
    body.each("messages", |message| {
        chat.messages.push(read_message(&Object::of(message)?)?);
        Ok(())
    })?;
    body.each("tools", |tool| {
        chat.tools.push(read_tool(&Object::of(tool)?)?);
        Ok(())
    })?;
    chat.choice = choice(body)?;
    if let Some(format) = body.object("response_format")? {
        chat.format = match &*format.text("type")?.unwrap_or_default() {
            "json_object" => Some(Format::Json),
            "json_schema" => schema(&format.object("json_schema")?.unwrap_or_default())?,
            _ => None,
        };
    }
    chat.sampling = sampling(body)?;
    chat.sampling.max_tokens = body.number("max_completion_tokens")?.or(chat.sampling.max_tokens);
    Ok(chat)
}

/// Reads a request of `/v1/completions`, whose prompt becomes a message, as Ollama makes one of it.
pub(super) fn completion<'a>(body: &Object<'a>) -> Result<Chat<'a>, Refused> {
    body.refuse(&["suffix", "echo", "logprobs", "logit_bias"])?;
    only_one(body, "n")?;
    only_one(body, "best_of")?;
    let prompt = match body.get("prompt") {
        None => "".into(),
        Some(prompt) => match string(prompt) {
            Some(text) => text,
            // Several prompts have several answers, and numbers are tokens of a model's own.
            None => match &body.list("prompt")?[..] {
                [one] => string(one).ok_or(Refused::not_carried("prompt[0]"))?,
                _ => return Err(Refused::not_carried("prompt")),
            },
        },
    };
    Ok(Chat {
        model: body.needed("model")?,
        stream: body.flag("stream")?.unwrap_or(false),
        keep_alive: body.raw("keep_alive"),
        messages: vec![Message::User(vec![Part::Text(prompt)])],
        sampling: sampling(body)?,
        ..Chat::default()
    })
}

fn only_one(body: &Object<'_>, name: &str) -> Result<(), Refused> {
    match body.raw(name) {
        None | Some("1") => Ok(()),
        Some(_) => Err(Refused::not_carried(name)),
    }
}

fn sampling<'a>(body: &Object<'a>) -> Result<Sampling<'a>, Refused> {
    Ok(Sampling { max_tokens: body.number("max_tokens")?, stop: body.raw("stop"), ..Sampling::alike(body)? })
}

pub(super) fn effort(effort: Cow<'_, str>) -> Think<'_> {
    match &*effort {
        "none" | "minimal" => Think::Off,
        "xhigh" => Think::Effort("high".into()),
        _ => Think::Effort(effort),
    }
}

/// The schema in an object that also has its name.
pub(super) fn schema<'a>(of: &Object<'a>) -> Result<Option<Format<'a>>, Refused> {
    let name = of.text("name")?.unwrap_or("answer".into());
    let strict = of.flag("strict")?;
    Ok(of.raw("schema").map(|schema| Format::Schema { name, schema, strict }))
}

/// `tool_choice` of chat completions and of responses, which name the tool one level apart.
pub(super) fn choice<'a>(body: &Object<'a>) -> Result<Option<Choice<'a>>, Refused> {
    let Some(choice) = body.get("tool_choice") else { return Ok(None) };
    if let Some(word) = string(choice) {
        return Ok(Some(match &*word {
            "none" => Choice::Nothing,
            "required" => Choice::Any,
            _ => Choice::Auto,
        }));
    }
    let named = |refused: Refused| refused.within("tool_choice");
    let choice = Object::of(choice).map_err(named)?;
    let kind = choice.text("type").map_err(named)?.unwrap_or_default();
    if kind != "function" {
        return Err(Refused::value("tool_choice.type", &kind));
    }
    let function = choice.object("function").map_err(named)?;
    Ok(Some(Choice::One(function.as_ref().unwrap_or(&choice).needed("name").map_err(named)?)))
}

fn read_message<'a>(message: &Object<'a>) -> Result<Message<'a>, Refused> {
    let role = message.needed("role")?;
    let parts = || parts(message.get("content"), "content");
    let text = || text(parts()?);
    Ok(match &*role {
        "system" | "developer" => Message::System(text()?),
        "user" => Message::User(parts()?),
        "assistant" => {
            let thinking =
                message.text("reasoning_content")?.or(message.text("reasoning")?).unwrap_or_default();
            let mut said = Said { thinking, text: text()?, calls: Vec::new() };
            message.each("tool_calls", |call| {
                let call = Object::of(call)?;
                let function = call.object("function")?.ok_or(Refused::expected("function", "an object"))?;
                said.calls.push(Call {
                    id: call.text("id")?.unwrap_or_default(),
                    name: function.needed("name").map_err(|refused| refused.within("function"))?,
                    arguments: function.text("arguments")?.unwrap_or_default(),
                });
                Ok(())
            })?;
            Message::Assistant(said)
        }
        "tool" => Message::Tool(Outcome {
            id: message.needed("tool_call_id")?,
            text: text()?,
            ..Outcome::default()
        }),
        role => return Err(Refused::value("role", role)),
    })
}

/// The text of content that is text alone.
pub(super) fn text(parts: Vec<Part<'_>>) -> Result<Cow<'_, str>, Refused> {
    let texts = parts.into_iter().enumerate().map(|(at, part)| match part {
        Part::Text(text) => Ok(text),
        Part::Image(_) => Err(Refused::not_carried(&format!("content[{at}]"))),
    });
    Ok(joined(texts.collect::<Result<_, _>>()?, "\n"))
}

/// Content as chat completions and responses have it under this name: nothing, a string, or parts.
pub(super) fn parts<'a>(content: Option<&'a RawValue>, name: &str) -> Result<Vec<Part<'a>>, Refused> {
    let Some(content) = content else { return Ok(Vec::new()) };
    if let Some(text) = string(content) {
        return Ok(vec![Part::Text(text)]);
    }
    let list: Vec<&RawValue> = serde_json::from_str(content.get())
        .map_err(|_| Refused::expected(name, "a string or a list of parts"))?;
    let read = |(at, part): (usize, _)| {
        Object::of(part)
            .and_then(|part| read_part(&part))
            .map_err(|refused| refused.within(&format!("{name}[{at}]")))
    };
    list.into_iter().enumerate().map(read).collect()
}

fn read_part<'a>(part: &Object<'a>) -> Result<Part<'a>, Refused> {
    match &*part.text("type")?.unwrap_or_default() {
        "text" | "input_text" | "output_text" => Ok(Part::Text(part.needed("text")?)),
        "refusal" => Ok(Part::Text(part.needed("refusal")?)),
        "image_url" => {
            let image = part.object("image_url")?.ok_or(Refused::expected("image_url", "an object"))?;
            let url = image.needed("url").map_err(|refused| refused.within("image_url"))?;
            Ok(Part::Image(Image::of_url(url)))
        }
        "input_image" => Ok(Part::Image(Image::of_url(part.needed("image_url")?))),
        kind => Err(Refused::value("type", kind)),
    }
}

/// Writes an answer's stream.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// Of chat completions, not of completions.
    chat: bool,
    /// Whether the client asked for the counts.
    asks_usage: bool,
    stop: Stop,
    usage: Usage,
}

impl Chunks {
    pub(super) fn new(chat: bool, asks_usage: bool) -> Self {
        Self { chat, asks_usage, ..Self::default() }
    }

    fn chunk(&self, about: &About, choices: &Value) -> Value {
        match self.chat {
            true => object(about, "chatcmpl", "chat.completion.chunk", choices),
            false => object(about, "cmpl", COMPLETION, choices),
        }
    }

    /// Of completions `delta` is the text alone.
    fn send(&self, about: &About, delta: &Value, stop: Option<Stop>, out: &mut Vec<u8>) {
        let name = if self.chat { "delta" } else { "text" };
        let choice = json!({"index": 0, name: delta, "finish_reason": stop.map(finish_reason)});
        let chunk = self.chunk(about, &json!([choice]));
        out.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
    }
}

impl Writer for Chunks {
    fn event(&mut self, about: &About, event: Event<'_>, out: &mut Vec<u8>) {
        let delta = match event {
            Event::Text(text) if !self.chat => json!(text),
            Event::Thinking(_) | Event::Call { .. } | Event::Arguments { .. } if !self.chat => return,
            Event::Thinking(text) => json!({"role": "assistant", "content": "", "reasoning": text}),
            Event::Text(text) => json!({"role": "assistant", "content": text}),
            Event::Call { at, id, name } => json!({"role": "assistant", "content": "", "tool_calls": [
                {"index": at, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]}),
            Event::Arguments { at, text } => {
                json!({"tool_calls": [{"index": at, "function": {"arguments": text}}]})
            }
            Event::Stop(stop) => {
                self.stop = stop;
                return;
            }
            Event::StoppedAt(_) => return,
            Event::Usage(usage) => {
                self.usage = usage;
                return;
            }
        };
        self.send(about, &delta, None, out);
    }

    fn finish(&mut self, about: &About, out: &mut Vec<u8>) {
        let nothing = if self.chat { json!({}) } else { json!("") };
        self.send(about, &nothing, Some(self.stop), out);
        if self.asks_usage {
            let mut chunk = self.chunk(about, &json!([]));
            chunk["usage"] = usage(self.usage);
            out.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

/// An answer in one piece.
pub(super) fn whole(about: &About, answer: &Answer) -> Vec<u8> {
    let mut message = json!({"role": "assistant", "content": answer.text});
    if !answer.thinking.is_empty() {
        message["reasoning"] = answer.thinking.as_str().into();
    }
    if !answer.calls.is_empty() {
        let calls = answer.calls.iter().enumerate().map(|(at, call)| {
            json!({"index": at, "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments}})
        });
        message["tool_calls"] = calls.collect();
    }
    let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason(answer.stop)});
    let mut object = object(about, "chatcmpl", "chat.completion", &json!([choice]));
    object["usage"] = usage(answer.usage);
    object.to_string().into_bytes()
}

/// What answers of `/v1/completions` are, streamed or not.
const COMPLETION: &str = "text_completion";

/// The same of `/v1/completions`.
pub(super) fn whole_completion(about: &About, answer: &Answer) -> Vec<u8> {
    let choice = json!({"index": 0, "text": answer.text, "finish_reason": finish_reason(answer.stop)});
    let mut object = object(about, "cmpl", COMPLETION, &json!([choice]));
    object["usage"] = usage(answer.usage);
    object.to_string().into_bytes()
}

fn object(about: &About, id: &str, kind: &str, choices: &Value) -> Value {
    json!({
        "id": format!("{id}-{}", about.id),
        "object": kind,
        "created": about.created,
        "model": about.model,
        "choices": choices,
    })
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "stop",
        Stop::Length => "length",
        Stop::Calls => "tool_calls",
        Stop::Refused => "content_filter",
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt.saturating_add(usage.output),
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    })
}
