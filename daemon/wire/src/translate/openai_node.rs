//! OpenAI's chat completions, and completions, as nodes serve them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{
    Refused,
    answer::{Event, Stop, Usage},
    chat::{Chat, Choice, Format, Image, Message, Part, Sampling, Think},
    json::Json,
    lenient::{Count, Entries, Lenient, Text},
};

/// Writes a request. `usage` asks for the counts of a stream.
pub(super) fn request(chat: &Chat<'_>, usage: bool) -> Vec<u8> {
    Json::object(|body| {
        body.put("model", &chat.model);
        body.list("messages", |list| chat.messages.iter().for_each(|message| write_message(message, list)));
        stream(chat, usage, body);
        if !chat.tools.is_empty() {
            tools(chat, body);
        }
        match &chat.format {
            Some(Format::Json) => body.within("response_format", |format| format.put("type", "json_object")),
            Some(Format::Schema { name, schema, strict }) => body.within("response_format", |format| {
                format.put("type", "json_schema");
                format.within("json_schema", |of| {
                    of.put("name", name);
                    of.raw("schema", schema);
                    of.put_some("strict", *strict);
                });
            }),
            None => {}
        }
        match &chat.think {
            Some(Think::Effort(effort) | Think::Hint(effort)) => body.put("reasoning_effort", effort),
            // Where llama.cpp, vLLM and SGLang have it.
            Some(on @ (Think::On | Think::Off)) => body.within("chat_template_kwargs", |arguments| {
                arguments.put("enable_thinking", matches!(on, Think::On));
            }),
            None => {}
        }
        sampling(&chat.sampling, body);
    })
}

/// Writes a request for the completion of a text that is given to the model as it is.
pub(super) fn completion(chat: &Chat<'_>, usage: bool) -> Result<Vec<u8>, Refused> {
    let [Message::User(parts)] = &chat.messages[..] else { return Err(Refused::not_carried("raw")) };
    let [Part::Text(prompt)] = &parts[..] else { return Err(Refused::not_carried("images")) };
    if chat.format.is_some() {
        return Err(Refused::not_carried("format"));
    }
    Ok(Json::object(|body| {
        body.put("model", &chat.model);
        body.put("prompt", prompt);
        stream(chat, usage, body);
        sampling(&chat.sampling, body);
    }))
}

fn stream(chat: &Chat<'_>, usage: bool, body: &mut Json) {
    body.put("stream", chat.stream);
    if usage && chat.stream {
        body.within("stream_options", |options| options.put("include_usage", true));
    }
}

fn sampling(sampling: &Sampling<'_>, body: &mut Json) {
    for (name, value) in [
        ("max_tokens", sampling.max_tokens),
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("top_k", sampling.top_k),
        ("min_p", sampling.min_p),
        ("seed", sampling.seed),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
        // As llama.cpp and as vLLM call it.
        ("repeat_penalty", sampling.repeat_penalty),
        ("repetition_penalty", sampling.repeat_penalty),
        ("stop", sampling.stop),
    ] {
        body.raw_some(name, value);
    }
}

fn tools(chat: &Chat<'_>, body: &mut Json) {
    body.list("tools", |list| {
        for tool in &chat.tools {
            list.item(|item| {
                item.put("type", "function");
                item.within("function", |function| {
                    function.put("name", &tool.name);
                    function.put_some("description", tool.description.as_ref());
                    function.raw_some("parameters", tool.parameters);
                    function.put_some("strict", tool.strict);
                });
            });
        }
    });
    match &chat.choice {
        Some(Choice::Auto) => body.put("tool_choice", "auto"),
        Some(Choice::Nothing) => body.put("tool_choice", "none"),
        Some(Choice::Any) => body.put("tool_choice", "required"),
        Some(Choice::One(name)) => body.within("tool_choice", |choice| {
            choice.put("type", "function");
            choice.within("function", |function| function.put("name", name));
        }),
        None => {}
    }
    body.put_some("parallel_tool_calls", chat.parallel);
}

fn write_message(message: &Message<'_>, list: &mut Json) {
    match message {
        Message::System(text) => list.item(|item| {
            item.put("role", "system");
            item.put("content", text);
        }),
        Message::User(parts) => list.item(|item| {
            item.put("role", "user");
            content(parts, item);
        }),
        Message::Assistant(said) => list.item(|item| {
            item.put("role", "assistant");
            if !said.thinking.is_empty() {
                item.put("reasoning_content", &said.thinking);
            }
            if said.text.is_empty() && !said.calls.is_empty() {
                item.put("content", ());
            } else {
                item.put("content", &said.text);
            }
            if !said.calls.is_empty() {
                item.list("tool_calls", |calls| {
                    for call in &said.calls {
                        calls.item(|item| {
                            item.put("id", &call.id);
                            item.put("type", "function");
                            item.within("function", |function| {
                                function.put("name", &call.name);
                                function.put("arguments", &call.arguments);
                            });
                        });
                    }
                });
            }
        }),
        Message::Tool(outcome) => {
            list.item(|item| {
                item.put("role", "tool");
                item.put("tool_call_id", &outcome.id);
                item.put("content", &outcome.text);
            });
            // A tool's message is text alone.
            if !outcome.images.is_empty() {
                list.item(|item| {
                    item.put("role", "user");
                    item.list("content", |parts| outcome.images.iter().for_each(|one| image(one, parts)));
                });
            }
        }
    }
}

fn content(parts: &[Part<'_>], item: &mut Json) {
    if let [Part::Text(text)] = parts {
        item.put("content", text);
        return;
    }
    item.list("content", |list| {
        for part in parts {
            match part {
                Part::Text(text) => list.item(|item| {
                    item.put("type", "text");
                    item.put("text", text);
                }),
                Part::Image(one) => image(one, list),
            }
        }
    });
}

fn image(image: &Image<'_>, list: &mut Json) {
    list.item(|item| {
        item.put("type", "image_url");
        item.within("image_url", |of| match image {
            Image::Data { media, data } => of.put("url", format!("data:{media};base64,{data}")),
            Image::Url(url) => of.put("url", url),
        });
    });
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chunk {
    choices: Lenient<Entries<OneChoice>>,
    usage: Lenient<Counts>,
    timings: Lenient<Timings>,
}

/// What llama.cpp says of its work, in milliseconds.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct Timings {
    prompt_ms: f64,
    predicted_ms: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OneChoice {
    #[serde(alias = "message")]
    delta: Lenient<Delta>,
    /// Of a completion.
    text: Lenient<Text>,
    finish_reason: Lenient<Text>,
    /// The text that stopped it, as vLLM says it: a number is a token of the model's own.
    stop_reason: Option<Value>,
    /// The same as SGLang says it.
    matched_stop: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Lenient<Text>,
    refusal: Lenient<Text>,
    reasoning_content: Lenient<Text>,
    reasoning: Lenient<Text>,
    tool_calls: Lenient<Entries<ToolCall>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolCall {
    index: Lenient<usize>,
    id: Lenient<Text>,
    function: Lenient<Function>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Function {
    name: Lenient<Text>,
    arguments: Lenient<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    prompt_tokens: Lenient<Count>,
    completion_tokens: Lenient<Count>,
    prompt_tokens_details: Lenient<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Lenient<Count>,
}

/// Reads a stream's data, or the one object of an answer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The calls that began, by the index that the node gives them.
    calls: HashMap<usize, usize>,
    /// How many began.
    begun: usize,
    /// The list of texts that are to stop the answer, if the client gave one. What else the node calls one is its own.
    stops: Option<Arc<[String]>>,
}

impl Reader {
    pub(super) fn new(stops: Option<Arc<[String]>>) -> Self {
        Self { stops, ..Self::default() }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// It is not what a node of this dialect sends.
    pub(super) fn read(&mut self, object: &[u8], mut event: impl FnMut(Event<'_>)) -> Result<(), Unreadable> {
        let chunk: Chunk = serde_json::from_slice(object).map_err(|_| Unreadable)?;
        // Of several answers there is one: no other dialect can ask for more.
        if let Some(choice) = chunk.choices.0.and_then(|entries| entries.0.into_iter().next()) {
            let delta = choice.delta.0.unwrap_or_default();
            if let Some(thinking) = delta.reasoning_content.0.or(delta.reasoning.0) {
                text(&thinking.0).map(Event::Thinking).into_iter().for_each(&mut event);
            }
            for said in [delta.content.0, delta.refusal.0, choice.text.0].into_iter().flatten() {
                text(&said.0).map(Event::Text).into_iter().for_each(&mut event);
            }
            for call in delta.tool_calls.0.map(|entries| entries.0).unwrap_or_default() {
                self.call(&call, &mut event);
            }
            if let Some(Text(reason)) = choice.finish_reason.0.filter(|reason| !reason.0.is_empty()) {
                event(Event::Stop(match &*reason {
                    "length" => Stop::Length,
                    "content_filter" => Stop::Refused,
                    _ if self.begun > 0 => Stop::Calls,
                    _ => Stop::End,
                }));
                if let Some(Value::String(text)) = choice.stop_reason.or(choice.matched_stop)
                    && self.is_named(&text)
                {
                    event(Event::StoppedAt(&text));
                }
            }
        }
        if let Some(counts) = chunk.usage.0 {
            let timings = chunk.timings.0.unwrap_or_default();
            let time = |ms: f64| Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default();
            event(Event::Usage(Usage {
                reading: time(timings.prompt_ms),
                writing: time(timings.predicted_ms),
                prompt: counts.prompt_tokens.or_zero(),
                cached: counts.prompt_tokens_details.0.map_or(0, |details| details.cached_tokens.or_zero()),
                output: counts.completion_tokens.or_zero(),
            }));
        }
        Ok(())
    }

    fn is_named(&self, text: &str) -> bool {
        self.stops.iter().flat_map(|named| named.iter()).any(|one| one == text)
    }

    fn call(&mut self, call: &ToolCall, event: &mut impl FnMut(Event<'_>)) {
        let function = call.function.0.as_ref();
        let name = function.map_or("", |function| function.name.as_str());
        let known = match call.index.0 {
            Some(index) => self.calls.get(&index).copied(),
            // Without an index a piece without a name goes on with the last call.
            None => name.is_empty().then(|| self.begun.checked_sub(1)).flatten(),
        };
        let at = known.unwrap_or_else(|| {
            let at = self.begun;
            self.begun += 1;
            self.calls.entry(call.index.0.unwrap_or(at)).or_insert(at);
            event(Event::Call { at, id: call.id.as_str(), name });
            at
        });
        if let Some(text) = function.and_then(|function| text(function.arguments.as_str())) {
            event(Event::Arguments { at, text });
        }
    }
}

/// What a node sent is not what its dialect has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

fn text(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
