//! Ollama's chat, as nodes serve it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Refused,
    answer::{Event, Stop, Usage, compact},
    chat::{Chat, Choice, Format, Image, Message, Part, Think},
    json::Json,
    lenient::{Count, Entries, Lenient, Text},
    openai_node::Unreadable,
};

/// Refuses what nodes cannot be asked in this dialect.
pub(super) fn check(chat: &Chat<'_>) -> Result<(), Refused> {
    if matches!(chat.choice, Some(Choice::Any | Choice::One(_))) {
        return Err(Refused::not_carried("tool_choice"));
    }
    for (at, message) in chat.messages.iter().enumerate() {
        let url = match message {
            Message::User(parts) => parts.iter().any(|part| matches!(part, Part::Image(Image::Url(_)))),
            Message::Tool(outcome) => outcome.images.iter().any(|image| matches!(image, Image::Url(_))),
            Message::System(_) | Message::Assistant(_) => false,
        };
        if url {
            return Err(Refused::not_carried(&format!("messages[{at}]: the URL of an image")));
        }
    }
    Ok(())
}

/// Writes a request.
pub(super) fn request(chat: &Chat<'_>) -> Vec<u8> {
    Json::object(|body| {
        body.put("model", &chat.model);
        body.list("messages", |list| chat.messages.iter().for_each(|message| write_message(message, list)));
        body.put("stream", chat.stream);
        if !chat.tools.is_empty() && !matches!(chat.choice, Some(Choice::Nothing)) {
            body.list("tools", |list| {
                for tool in &chat.tools {
                    list.item(|item| {
                        item.put("type", "function");
                        item.within("function", |function| {
                            function.put("name", &tool.name);
                            function.put("description", tool.description.as_deref().unwrap_or_default());
                            function.raw("parameters", tool.parameters.unwrap_or(r#"{"type":"object"}"#));
                        });
                    });
                }
            });
        }
        match &chat.format {
            Some(Format::Json) => body.put("format", "json"),
            Some(Format::Schema { schema, .. }) => body.raw("format", schema),
            None => {}
        }
        match &chat.think {
            Some(Think::Effort(effort)) => body.put("think", effort),
            Some(on @ (Think::On | Think::Off)) => body.put("think", matches!(on, Think::On)),
            // A model that cannot think is no reason to refuse.
            Some(Think::Hint(_)) | None => {}
        }
        body.raw_some("keep_alive", chat.keep_alive);
        options(chat, body);
    })
}

fn options(chat: &Chat<'_>, body: &mut Json) {
    let sampling = &chat.sampling;
    let given = [
        ("num_predict", sampling.max_tokens),
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("top_k", sampling.top_k),
        ("min_p", sampling.min_p),
        ("seed", sampling.seed),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
        ("repeat_penalty", sampling.repeat_penalty),
    ];
    let stop =
        sampling.stop.map(|stop| if stop.starts_with('[') { stop.to_owned() } else { format!("[{stop}]") });
    if stop.is_some() || given.iter().any(|(_, value)| value.is_some()) {
        body.within("options", |options| {
            given.iter().for_each(|(name, value)| options.raw_some(name, *value));
            options.raw_some("stop", stop.as_deref());
        });
    }
}

fn write_message(message: &Message<'_>, list: &mut Json) {
    list.item(|item| match message {
        Message::System(text) => {
            item.put("role", "system");
            item.put("content", text);
        }
        Message::User(parts) => {
            item.put("role", "user");
            let texts = parts.iter().filter_map(|part| match part {
                Part::Text(text) => Some(&**text),
                Part::Image(_) => None,
            });
            item.put("content", texts.collect::<Vec<_>>().join("\n"));
            images(
                item,
                parts
                    .iter()
                    .filter_map(|part| if let Part::Image(image) = part { Some(image) } else { None }),
            );
        }
        Message::Assistant(said) => {
            item.put("role", "assistant");
            item.put("content", &said.text);
            if !said.thinking.is_empty() {
                item.put("thinking", &said.thinking);
            }
            if !said.calls.is_empty() {
                item.list("tool_calls", |calls| {
                    for call in &said.calls {
                        calls.item(|item| {
                            item.put("id", &call.id);
                            item.within("function", |function| {
                                function.put("name", &call.name);
                                function.raw("arguments", arguments(&call.arguments));
                            });
                        });
                    }
                });
            }
        }
        Message::Tool(outcome) => {
            item.put("role", "tool");
            item.put("content", &outcome.text);
            item.put("tool_name", &outcome.name);
            item.put("tool_call_id", &outcome.id);
            images(item, outcome.images.iter());
        }
    });
}

/// Arguments as an object; what a model once wrote badly is left out.
fn arguments(text: &str) -> &str {
    let is_object = serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().starts_with('{'));
    if is_object { text } else { "{}" }
}

fn images<'i>(item: &mut Json, images: impl Iterator<Item = &'i Image<'i>>) {
    let data: Vec<&str> = images
        .filter_map(|image| if let Image::Data { data, .. } = image { Some(&**data) } else { None })
        .collect();
    if !data.is_empty() {
        item.put("images", data);
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    message: Lenient<Said<'a>>,
    done: Lenient<bool>,
    done_reason: Lenient<Text>,
    prompt_eval_count: Lenient<Count>,
    eval_count: Lenient<Count>,
    /// Nanoseconds.
    prompt_eval_duration: Lenient<Count>,
    eval_duration: Lenient<Count>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    content: Lenient<Text>,
    thinking: Lenient<Text>,
    #[serde(borrow)]
    tool_calls: Lenient<Entries<Call<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Call<'a> {
    id: Lenient<Text>,
    #[serde(borrow)]
    function: Lenient<Function<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Function<'a> {
    name: Lenient<Text>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// Reads a stream's lines, or the one object of an answer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    calls: usize,
    over: bool,
}

impl Reader {
    /// Whether the last line was read.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Reads an object.
    ///
    /// # Errors
    /// It is not what a node of this dialect sends.
    pub(super) fn read(&mut self, object: &[u8], mut event: impl FnMut(Event<'_>)) -> Result<(), Unreadable> {
        let line: Line<'_> = serde_json::from_slice(object).map_err(|_| Unreadable)?;
        let said = line.message.0.unwrap_or_default();
        let (thinking, content) = (said.thinking.as_str(), said.content.as_str());
        if !thinking.is_empty() {
            event(Event::Thinking(thinking));
        }
        if !content.is_empty() {
            event(Event::Text(content));
        }
        for call in said.tool_calls.0.map(|entries| entries.0).unwrap_or_default() {
            let Some(function) = call.function.0 else { continue };
            let at = self.calls;
            self.calls += 1;
            event(Event::Call { at, id: call.id.as_str(), name: function.name.as_str() });
            event(Event::Arguments { at, text: function.arguments.map_or("{}", compact) });
        }
        if line.done.0 == Some(true) {
            self.over = true;
            if line.prompt_eval_count.0.or(line.eval_count.0).is_some() {
                event(Event::Usage(Usage {
                    prompt: line.prompt_eval_count.or_zero(),
                    cached: 0,
                    output: line.eval_count.or_zero(),
                    reading: Duration::from_nanos(line.prompt_eval_duration.or_zero()),
                    writing: Duration::from_nanos(line.eval_duration.or_zero()),
                }));
            }
            event(Event::Stop(match line.done_reason.as_str() {
                // It sends calls whole, or not at all.
                _ if self.calls > 0 => Stop::Calls,
                "length" => Stop::Length,
                _ => Stop::End,
            }));
        }
        Ok(())
    }
}
