//! From one dialect to another, where no node that has a model speaks the client's. There is one form in the middle:
//! of a request a [`chat`], of an answer its [events](answer). Each dialect reads and writes those, so that the pairs
//! need nothing of their own. What cannot be carried over is refused by name.

mod answer;
mod anthropic;
mod chat;
mod embed;
mod in_turn;
mod json;
mod lenient;
mod ollama;
mod ollama_node;
mod openai;
mod openai_node;
mod responses;
mod stream;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use aivonx_protocol::Untrusted;

use self::{chat::Chat, json::Object};
use crate::api::{Dialect, route::Stream};

pub use self::{
    answer::{About, Repeated},
    stream::{LONGEST, Translator, Wishes},
};

/// An API that is translated: from each, and to those that have a counterpart on the other kind of node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    Chat,
    Completions,
    Responses,
    Embeddings,
    Messages,
    OllamaChat,
    OllamaGenerate,
    OllamaEmbed,
    OllamaEmbeddings,
}

impl Api {
    /// Those of clients.
    const ALL: [Self; 9] = [
        Self::Chat,
        Self::Completions,
        Self::Responses,
        Self::Embeddings,
        Self::Messages,
        Self::OllamaChat,
        Self::OllamaGenerate,
        Self::OllamaEmbed,
        Self::OllamaEmbeddings,
    ];

    /// The one at this path on a node.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.path() == path)
    }

    /// Its path on a node.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Responses => "/v1/responses",
            Self::Embeddings => "/v1/embeddings",
            Self::Messages => "/v1/messages",
            Self::OllamaChat => "/api/chat",
            Self::OllamaGenerate => "/api/generate",
            Self::OllamaEmbed => "/api/embed",
            Self::OllamaEmbeddings => "/api/embeddings",
        }
    }

    /// A bit of its own, for sets.
    #[must_use]
    pub fn bit(self) -> u64 {
        1 << self as u64
    }

    /// How its streams are framed.
    #[must_use]
    pub fn stream(self) -> Stream {
        match self {
            Self::Chat | Self::Completions => Stream::Done,
            Self::Responses => Stream::Responses,
            Self::Messages => Stream::Messages,
            Self::OllamaChat | Self::OllamaGenerate => Stream::Ndjson,
            Self::Embeddings | Self::OllamaEmbed | Self::OllamaEmbeddings => Stream::Never,
        }
    }

    /// What its requests are translated to for a node with Ollama's API, or for one with OpenAI's; None if that is the
    /// same.
    #[must_use]
    pub fn counterpart(self, ollama: bool) -> Option<Self> {
        let embeds = self.stream() == Stream::Never;
        let other = match (ollama, embeds) {
            (true, false) => Self::OllamaChat,
            (true, true) => Self::OllamaEmbed,
            (false, false) => Self::Chat,
            (false, true) => Self::Embeddings,
        };
        (other != self).then_some(other)
    }

    /// Whose it is.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        Dialect::of_path(self.path(), false)
    }
}

/// What a client's request comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// The node is sent this body, in an API of its own; the answer is to be as wished.
    Send(Api, Vec<u8>, Wishes),
    /// There is nothing to be done for it: this is the answer.
    Answer(Vec<u8>),
}

/// Translates a request of `client` to one of `node`. `usage` asks for the counts of a stream.
///
/// # Errors
/// [`Refused`] names what has no counterpart, or is not what it should be.
pub fn request(client: Api, node: Api, usage: bool, about: &About, body: &[u8]) -> Result<Request, Refused> {
    let body = Object::read(body).ok_or(Refused::expected("the body", "an object"))?;
    let mut chat = match client {
        Api::Embeddings | Api::OllamaEmbed | Api::OllamaEmbeddings => {
            let base64 = body.text("encoding_format")?.is_some_and(|format| format == "base64");
            let sent = embed::request(client, node, &body)?;
            return Ok(Request::Send(node, sent, Wishes { base64, ..Wishes::default() }));
        }
        Api::Messages => anthropic::request(&body)?,
        Api::Chat => openai::request(&body)?,
        Api::Completions => openai::completion(&body)?,
        Api::Responses => responses::request(&body)?,
        Api::OllamaChat => ollama::chat(&body)?,
        Api::OllamaGenerate => ollama::generate(&body)?,
    };
    // A prompt of a generation has a system message of its own, which is no prompt yet.
    let is_idle = match client {
        Api::OllamaChat => chat.messages.is_empty(),
        Api::OllamaGenerate => {
            chat.messages.iter().all(|message| matches!(message, chat::Message::System(_)))
        }
        _ => false,
    };
    if is_idle {
        return Ok(Request::Answer(ollama::idle(about, &body, client == Api::OllamaChat)));
    }
    if client == Api::OllamaGenerate && node == Api::Chat && body.flag("raw")? == Some(true) {
        let sent = openai_node::completion(&chat, usage)?;
        return Ok(Request::Send(Api::Completions, sent, Wishes::default()));
    }
    chat.join_calls();
    let options = body.object("stream_options")?.unwrap_or_default();
    let stops = chat.sampling.stop.filter(|_| client == Api::Messages);
    let wishes = Wishes {
        usage: options.flag("include_usage")?.unwrap_or(false),
        stops: stops.and_then(|list| serde_json::from_str::<Vec<String>>(list).ok()).map(Arc::from),
        asked: (client == Api::Responses).then(|| responses::asked(&body)),
        ..Wishes::default()
    };
    Ok(Request::Send(node, write(&chat, node, usage)?, wishes))
}

fn write(chat: &Chat<'_>, node: Api, usage: bool) -> Result<Vec<u8>, Refused> {
    if node == Api::OllamaChat {
        ollama_node::check(chat)?;
        return Ok(ollama_node::request(chat));
    }
    Ok(openai_node::request(chat, usage))
}

/// Why a request is not translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The path of what is wrong: `messages[2].content[0].type`.
    field: String,
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    /// It has no counterpart.
    NotCarried,
    /// The same, of this value.
    Value(String),
    /// It is not this.
    Expected(&'static str),
}

impl Refused {
    fn not_carried(field: &str) -> Self {
        Self { field: field.to_owned(), why: Why::NotCarried }
    }

    fn value(field: &str, value: &str) -> Self {
        Self { field: field.to_owned(), why: Why::Value(Untrusted::new(value).max(40).to_string()) }
    }

    fn expected(field: &str, expected: &'static str) -> Self {
        Self { field: field.to_owned(), why: Why::Expected(expected) }
    }

    /// The same, seen from the object that it is part of.
    fn within(mut self, outer: &str) -> Self {
        self.field = match &*self.field {
            "" => outer.to_owned(),
            inner if inner.starts_with('[') => format!("{outer}{inner}"),
            inner => format!("{outer}.{inner}"),
        };
        self
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CURE: &str = "cannot be translated for the nodes that have this model, which speak another API; \
            leave it out, or ask for a model of a node that speaks this one";
        match &self.why {
            Why::NotCarried => write!(f, "'{}' {CURE}", self.field),
            Why::Value(value) => write!(f, "'{}' of '{value}' {CURE}", self.field),
            Why::Expected(expected) => write!(f, "'{}' is not {expected}", self.field),
        }
    }
}

impl std::error::Error for Refused {}
