//! A chat in no dialect: what the dialects have in common of a request, borrowed from the client's body.

use std::borrow::Cow;

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

impl<'a> Image<'a> {
    /// Of a URL, which may carry the image itself (RFC 2397).
    pub(super) fn of_url(url: Cow<'a, str>) -> Self {
        let carried = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        match carried {
            Some((media, data)) => {
                Self::Data { media: media.to_owned().into(), data: data.to_owned().into() }
            }
            None => Self::Url(url),
        }
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
        let mut open: Vec<(String, String)> = Vec::new();
        let mut made = 0;
        for message in &mut self.messages {
            match message {
                Message::Assistant(said) => {
                    for call in &mut said.calls {
                        if call.id.is_empty() {
                            call.id = format!("call_{made}").into();
                            made += 1;
                        }
                        open.push((call.id.to_string(), call.name.to_string()));
                    }
                }
                Message::Tool(outcome) => {
                    let fits = |(id, name): &(String, String)| {
                        if outcome.id.is_empty() {
                            outcome.name.is_empty() || *name == *outcome.name
                        } else {
                            *id == *outcome.id
                        }
                    };
                    let Some(at) = open.iter().position(fits) else { continue };
                    let (id, name) = open.remove(at);
                    if outcome.id.is_empty() {
                        outcome.id = id.into();
                    }
                    if outcome.name.is_empty() {
                        outcome.name = name.into();
                    }
                }
                Message::System(_) | Message::User(_) => {}
            }
        }
    }
}

/// The texts, with `between` between them.
pub(super) fn joined<'a>(texts: Vec<Cow<'a, str>>, between: &str) -> Cow<'a, str> {
    match <[_; 1]>::try_from(texts) {
        Ok([one]) => one,
        Err(texts) => texts.join(between).into(),
    }
}
