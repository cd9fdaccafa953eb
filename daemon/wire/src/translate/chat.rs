//! A chat in no dialect: what the dialects have in common of a request, borrowed from the client's body.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    ops::Range,
};

use super::{Refused, json::Object};
use crate::api::media;

/// A request for the next message of a chat.
#[derive(Debug, Default)]
pub(super) struct Chat<'a> {
    pub(super) model: Cow<'a, str>,
    pub(super) stream: bool,
    pub(super) messages: Vec<Message<'a>>,
    pub(super) tools: Vec<Tool<'a>>,
    pub(super) choice: Option<Choice<'a>>,
    /// Whether several tools may be called at once.
    pub(super) parallel: Option<bool>,
    pub(super) format: Option<Format<'a>>,
    pub(super) think: Option<Think<'a>>,
    pub(super) sampling: Sampling<'a>,
    /// How long the model stays in memory, in Ollama's form.
    pub(super) keep_alive: Option<&'a str>,
}

#[derive(Debug)]
pub(super) enum Message<'a> {
    System(Cow<'a, str>),
    User(Vec<Part<'a>>),
    Assistant(Said<'a>),
    /// What a tool gave back.
    Tool(Outcome<'a>),
}

/// What the model said.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    pub(super) thinking: Cow<'a, str>,
    pub(super) text: Cow<'a, str>,
    pub(super) calls: Vec<Call<'a>>,
}

/// A call of a tool.
#[derive(Debug, Default)]
pub(super) struct Call<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    /// JSON.
    pub(super) arguments: Cow<'a, str>,
}

/// What a call came to.
#[derive(Debug, Default)]
pub(super) struct Outcome<'a> {
    /// Of the call.
    pub(super) id: Cow<'a, str>,
    /// Of the tool, if the client says it.
    pub(super) name: Cow<'a, str>,
    pub(super) text: Cow<'a, str>,
    pub(super) images: Vec<Image<'a>>,
}

#[derive(Debug)]
pub(super) enum Part<'a> {
    Text(Cow<'a, str>),
    Image(Image<'a>),
}

#[derive(Debug)]
pub(super) enum Image<'a> {
    /// Base64.
    Data { media: Cow<'a, str>, data: Cow<'a, str> },
    /// To be fetched.
    Url(Cow<'a, str>),
}

#[derive(Debug)]
pub(super) struct Tool<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) description: Option<Cow<'a, str>>,
    /// A JSON schema.
    pub(super) parameters: Option<&'a str>,
    pub(super) strict: Option<bool>,
}

/// Which tools are to be called.
#[derive(Debug)]
pub(super) enum Choice<'a> {
    Auto,
    Nothing,
    Any,
    One(Cow<'a, str>),
}

/// What the text of the answer has to be.
#[derive(Debug)]
pub(super) enum Format<'a> {
    Json,
    Schema { name: Cow<'a, str>, schema: &'a str, strict: Option<bool> },
}

/// Whether to think before the answer.
#[derive(Debug)]
pub(super) enum Think<'a> {
    Off,
    On,
    /// `low`, `medium`, `high`.
    Effort(Cow<'a, str>),
    /// The same, of a client that does not know whether the model can think.
    Hint(Cow<'a, str>),
}

/// How tokens are drawn: JSON as the client wrote it, which the node checks.
#[derive(Debug, Default)]
pub(super) struct Sampling<'a> {
    pub(super) max_tokens: Option<&'a str>,
    pub(super) temperature: Option<&'a str>,
    pub(super) top_p: Option<&'a str>,
    pub(super) top_k: Option<&'a str>,
    pub(super) min_p: Option<&'a str>,
    pub(super) seed: Option<&'a str>,
    pub(super) frequency_penalty: Option<&'a str>,
    pub(super) presence_penalty: Option<&'a str>,
    pub(super) repeat_penalty: Option<&'a str>,
    /// A string, or a list of them.
    pub(super) stop: Option<&'a str>,
}

impl<'a> Sampling<'a> {
    /// What all dialects call alike.
    pub(super) fn alike(of: &Object<'a>) -> Result<Self, Refused> {
        Ok(Self {
            temperature: of.number("temperature")?,
            top_p: of.number("top_p")?,
            top_k: of.number("top_k")?,
            min_p: of.number("min_p")?,
            seed: of.number("seed")?,
            frequency_penalty: of.number("frequency_penalty")?,
            presence_penalty: of.number("presence_penalty")?,
            ..Self::default()
        })
    }
}

impl<'a> Image<'a> {
    /// Of a URL, which may carry the image itself (RFC 2397).
    pub(super) fn of_url(url: Cow<'a, str>) -> Self {
        let Some(data) = media::payload(url.as_bytes()) else { return Self::Url(url) };
        let begin = url.len() - data.len();
        let cut = |range: Range<usize>| match &url {
            Cow::Borrowed(url) => Cow::Borrowed(&url[range]),
            Cow::Owned(url) => Cow::Owned(url[range].to_owned()),
        };
        Self::Data { media: cut("data:".len()..begin - ";base64,".len()), data: cut(begin..url.len()) }
    }

    /// Of base64 whose beginning says what it is.
    pub(super) fn of_base64(data: Cow<'a, str>) -> Self {
        let media = match data.get(..4) {
            Some("/9j/") => "image/jpeg",
            Some("R0lG") => "image/gif",
            Some("UklG") => "image/webp",
            _ => "image/png",
        };
        Self::Data { media: media.into(), data }
    }
}

impl Chat<'_> {
    /// Gives the calls ids that have none, and their outcomes the ids or the names that belong to them: one dialect
    /// joins the two by id, another by name and order.
    pub(super) fn join_calls(&mut self) {
        let mut open = OpenCalls::default();
        let mut made = 0;
        for message in &mut self.messages {
            match message {
                Message::Assistant(said) => {
                    for call in &mut said.calls {
                        if call.id.is_empty() {
                            call.id = format!("call_{made}").into();
                            made += 1;
                        }
                        open.add(call);
                    }
                }
                Message::Tool(outcome) => {
                    let Some(call) = open.take(outcome) else { continue };
                    if outcome.id.is_empty() {
                        outcome.id = call.id.clone();
                    }
                    if outcome.name.is_empty() {
                        outcome.name = call.name.clone();
                    }
                }
                Message::System(_) | Message::User(_) => {}
            }
        }
    }
}

/// The calls whose outcomes have not come yet. A body may have a million of each, so that none is searched for.
#[derive(Default)]
struct OpenCalls<'c, 'a> {
    /// None once its outcome came.
    calls: Vec<Option<&'c Call<'a>>>,
    /// Indices in `calls`, oldest first; those of calls whose outcomes came may still be among them.
    in_order: VecDeque<usize>,
    by_id: HashMap<&'c str, VecDeque<usize>>,
    by_name: HashMap<&'c str, VecDeque<usize>>,
}

impl<'c, 'a> OpenCalls<'c, 'a> {
    fn add(&mut self, call: &'c Call<'a>) {
        let at = self.calls.len();
        self.calls.push(Some(call));
        self.in_order.push_back(at);
        self.by_id.entry(&call.id).or_default().push_back(at);
        self.by_name.entry(&call.name).or_default().push_back(at);
    }

    /// The oldest call that this can be the outcome of: by id, or else by name, or else any.
    fn take(&mut self, outcome: &Outcome<'_>) -> Option<&'c Call<'a>> {
        let fitting = match (&*outcome.id, &*outcome.name) {
            ("", "") => &mut self.in_order,
            ("", name) => self.by_name.get_mut(name)?,
            (id, _) => self.by_id.get_mut(id)?,
        };
        while let Some(at) = fitting.pop_front() {
            if let Some(call) = self.calls[at].take() {
                return Some(call);
            }
        }
        None
    }
}

/// The texts, with `between` between them.
pub(super) fn joined<'a>(texts: Vec<Cow<'a, str>>, between: &str) -> Cow<'a, str> {
    match <[_; 1]>::try_from(texts) {
        Ok([one]) => one,
        Err(texts) => texts.join(between).into(),
    }
}
