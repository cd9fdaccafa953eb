//! A node's answer on its way into the client's dialect, piece by piece.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    About, Api,
    answer::{Answer, Event, Repeated, Usage, Writer},
    anthropic, embed,
    in_turn::InTurn,
    ollama, ollama_node, openai, openai_node,
    openai_node::Unreadable,
    responses,
};
use crate::api::{Pieces, failure, route::Stream};

/// Longest line of a stream.
const LONGEST_LINE: usize = 4 << 20;

/// Most bytes of an answer in one piece: it is kept until it is whole.
pub const LONGEST: usize = 64 << 20;

/// How much of an error is read.
const LONGEST_ERROR: usize = 64 << 10;

/// What a client is to know of a node's answer that cannot be read.
const UNREADABLE: &str = "the node's answer could not be read";

/// Translates one answer.
pub struct Translator {
    client: Api,
    about: About,
    shape: Shape,
    /// What came and was not read: a line that has not ended, or all.
    held: Vec<u8>,
    /// It cannot be read.
    failed: bool,
    /// It is of one piece, was read, and tells tokens that the node did not count.
    estimated: bool,
}

enum Shape {
    Stream(Lines),
    Whole {
        reader: Reader,
        base64: bool,
    },
    Error(StatusCode),
    /// What became of the answer before it was passed on.
    Written(Pieces),
}

struct Lines {
    reader: Reader,
    writer: Box<dyn Writer>,
    /// Of the node's stream.
    events: bool,
    /// The data of an event that has not ended.
    data: Vec<u8>,
    /// Its name says that it reports an error.
    is_error: bool,
    /// The last line ended with a CR, which an LF may belong to.
    after_cr: bool,
    over: bool,
    /// Pieces of text, which are counted where the node does not count.
    pieces: u64,
    counted: bool,
}

enum Reader {
    Openai(openai_node::Reader),
    Ollama(ollama_node::Reader),
}

impl Reader {
    fn of(node: Api, wishes: Wishes) -> Self {
        match node {
            Api::OllamaChat => Self::Ollama(ollama_node::Reader::default()),
            _ => Self::Openai(openai_node::Reader::new(wishes.stops)),
        }
    }

    /// Reads an object; calls get the id that a node may not have given them.
    fn read(
        &mut self,
        about: &About,
        object: &[u8],
        mut then: impl FnMut(Event<'_>),
    ) -> Result<(), Unreadable> {
        let named = |event: Event<'_>| match event {
            Event::Call { at, id: "", name } => {
                then(Event::Call { at, id: &format!("call_{}_{at}", about.id), name })
            }
            event => then(event),
        };
        match self {
            Self::Openai(reader) => reader.read(object, named),
            Self::Ollama(reader) => reader.read(object, named),
        }
    }
}

/// What the client asked for beside the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The counts of a stream of completions.
    pub usage: bool,
    /// Vectors as base64.
    pub base64: bool,
    /// The texts that are to stop the answer, as the client listed them, if it is to be told which did.
    pub stops: Option<Arc<[String]>>,
    /// Members of the request that the answer repeats.
    pub asked: Option<Arc<Repeated>>,
}

impl Translator {
    /// For a stream.
    #[must_use]
    pub fn stream(client: Api, node: Api, about: About, mut wishes: Wishes) -> Self {
        let about = About { asked: wishes.asked.take(), ..about };
        let writer: Box<dyn Writer> = match client {
            Api::Messages => Box::new(InTurn::<anthropic::Events>::default()),
            Api::Responses => Box::new(InTurn::<responses::Events>::default()),
            Api::OllamaChat | Api::OllamaGenerate => Box::new(ollama::Lines::new(client == Api::OllamaChat)),
            _ => Box::new(openai::Chunks::new(client == Api::Chat, wishes.usage)),
        };
        let lines = Lines {
            reader: Reader::of(node, wishes),
            writer,
            events: node.stream() != Stream::Ndjson,
            data: Vec::new(),
            is_error: false,
            after_cr: false,
            over: false,
            pieces: 0,
            counted: false,
        };
        Self { client, about, shape: Shape::Stream(lines), held: Vec::new(), failed: false, estimated: false }
    }

    /// For an answer in one piece.
    #[must_use]
    pub fn whole(client: Api, node: Api, about: About, mut wishes: Wishes) -> Self {
        let about = About { asked: wishes.asked.take(), ..about };
        let base64 = wishes.base64;
        let shape = Shape::Whole { reader: Reader::of(node, wishes), base64 };
        Self { client, about, shape, held: Vec::new(), failed: false, estimated: false }
    }

    /// For an error.
    #[must_use]
    pub fn error(client: Api, about: About, status: StatusCode) -> Self {
        Self { client, about, shape: Shape::Error(status), held: Vec::new(), failed: false, estimated: false }
    }

    /// For an answer in one piece that was translated already: what that came to is put out at the end.
    #[must_use]
    pub fn written(client: Api, about: About, written: Pieces) -> Self {
        Self {
            client,
            about,
            shape: Shape::Written(written),
            held: Vec::new(),
            failed: false,
            estimated: false,
        }
    }

    /// The type of what it writes.
    #[must_use]
    pub fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match (&self.shape, self.client.stream()) {
            (Shape::Stream(_), Stream::Ndjson) => "application/x-ndjson",
            (Shape::Stream(_), _) => "text/event-stream; charset=utf-8",
            _ => "application/json; charset=utf-8",
        })
    }

    /// Takes a piece of the node's answer and puts what it says into `out`.
    pub fn pass(&mut self, piece: &[u8], out: &mut Pieces) {
        if self.failed {
            return;
        }
        let longest = match &self.shape {
            Shape::Stream(_) => {
                self.lines(piece, out);
                return;
            }
            Shape::Written(_) => return,
            Shape::Whole { .. } => LONGEST,
            Shape::Error(_) => LONGEST_ERROR,
        };
        if self.held.len() + piece.len() <= longest {
            self.held.extend_from_slice(piece);
        } else {
            self.failed = true;
            self.held = Vec::new();
        }
    }

    fn lines(&mut self, piece: &[u8], out: &mut Pieces) {
        let Self { client, about, shape: Shape::Stream(lines), held, failed, .. } = self else { return };
        let mut written = Vec::new();
        let mut rest = piece;
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            let is_cr = rest[end] == b'\r';
            let is_rest_of_end =
                std::mem::replace(&mut lines.after_cr, is_cr) && !is_cr && end == 0 && held.is_empty();
            rest = after;
            if is_rest_of_end {
                continue;
            }
            let read = if held.is_empty() {
                lines.line(about, line, *client, &mut written)
            } else {
                held.extend_from_slice(line);
                let line = std::mem::take(held);
                lines.line(about, &line, *client, &mut written)
            };
            if read.is_err() {
                *failed = true;
                break;
            }
        }
        if !rest.is_empty() {
            lines.after_cr = false;
            held.extend_from_slice(rest);
        }
        *failed |= held.len().max(lines.data.len()) > LONGEST_LINE || lines.writer.kept() > LONGEST;
        if *failed && !std::mem::replace(&mut lines.over, true) {
            *held = Vec::new();
            written.extend_from_slice(&client.dialect().stream_error(UNREADABLE, &about.id));
        }
        if !written.is_empty() {
            out.push(Bytes::from(written));
        }
    }

    /// The node's answer is over, as it should be: puts the last words into `out`.
    ///
    /// # Errors
    /// The answer could not be read. A stream ended with an error.
    pub fn finish(&mut self, out: &mut Pieces) -> Result<(), &'static str> {
        match &mut self.shape {
            Shape::Written(written) => {
                while let Some(piece) = written.pop(usize::MAX) {
                    out.push(piece);
                }
            }
            Shape::Stream(_) => {
                // A last line or event without its end.
                self.lines(b"\n\n", out);
                self.last_words(out);
            }
            Shape::Error(status) => {
                let words = failure::words(&self.held).filter(|words| !words.is_empty());
                let words = words.unwrap_or_else(|| format!("the node answered {}", status.as_u16()));
                out.push(self.client.dialect().error_body(*status, &words, &self.about.id));
                return Ok(());
            }
            Shape::Whole { .. } if self.failed => {}
            Shape::Whole { .. } => match self.read_whole() {
                Ok(object) => out.push(Bytes::from(object)),
                Err(Unreadable) => self.failed = true,
            },
        }
        if self.failed { Err(UNREADABLE) } else { Ok(()) }
    }

    /// Whether an answer in one piece that was read tells tokens which the node did not count.
    #[must_use]
    pub fn is_estimated(&self) -> bool {
        self.estimated
    }

    fn last_words(&mut self, out: &mut Pieces) {
        if let Shape::Stream(lines) = &mut self.shape
            && !std::mem::replace(&mut lines.over, true)
        {
            let mut written = Vec::new();
            lines.finish(&self.about, &mut written);
            out.push(Bytes::from(written));
        }
    }

    fn read_whole(&mut self) -> Result<Vec<u8>, Unreadable> {
        let Shape::Whole { reader, base64 } = &mut self.shape else { return Err(Unreadable) };
        let (client, about) = (self.client, &self.about);
        // What reads objects takes the members of a list for theirs.
        if !self.held.trim_ascii_start().starts_with(b"{") {
            return Err(Unreadable);
        }
        if client.stream() == Stream::Never {
            let (object, estimated) = embed::answer(client, about, *base64, &self.held)?;
            self.estimated = estimated;
            return Ok(object);
        }
        if !is_answer(&self.held) {
            return Err(Unreadable);
        }
        let mut answer = Answer::default();
        let mut counted = false;
        reader.read(about, &self.held, |event| {
            counted |= matches!(event, Event::Usage(_));
            answer.take(event);
        })?;
        if !counted {
            answer.usage = Usage { prompt: about.prompt, output: answer.tokens(), ..Usage::default() };
        }
        self.estimated = !counted;
        Ok(match client {
            Api::Messages => anthropic::whole(about, &answer),
            Api::Responses => responses::whole(about, answer),
            Api::OllamaChat | Api::OllamaGenerate => ollama::whole(about, &answer, client == Api::OllamaChat),
            Api::Completions => openai::whole_completion(about, &answer),
            _ => openai::whole(about, &answer),
        })
    }
}

/// Whether an object has what every answer of a node has: it may be any other that came from what stands in front.
fn is_answer(object: &[u8]) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Members {
        choices: Option<IgnoredAny>,
        message: Option<IgnoredAny>,
        done: Option<IgnoredAny>,
    }
    // What is odd in another way, its reader says.
    serde_json::from_slice::<Members>(object).map_or(true, |Members { choices, message, done }| {
        choices.is_some() || message.is_some() || done.is_some()
    })
}

impl Lines {
    fn line(&mut self, about: &About, line: &[u8], client: Api, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        if !self.events {
            return if line.trim_ascii().is_empty() { Ok(()) } else { self.object(about, line, client, out) };
        }
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            let read = match data.trim_ascii() {
                b"" => Ok(()),
                data => self.object(about, data, client, out),
            };
            self.is_error = false;
            return read;
        }
        if let Some(name) = line.strip_prefix(b"event:") {
            self.is_error = name.trim_ascii() == b"error";
        }
        let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return Ok(()) };
        // Nearly all have it on one line, and some servers leave out the blank one that ends an event.
        if self.data.is_empty() && (data.ends_with(b"}") || !data.starts_with(b"{")) {
            return if data.is_empty() { Ok(()) } else { self.object(about, data, client, out) };
        }
        self.data.extend_from_slice(data);
        self.data.push(b'\n');
        Ok(())
    }

    fn object(
        &mut self,
        about: &About,
        object: &[u8],
        client: Api,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        if self.over {
            return Ok(());
        }
        if object == b"[DONE]" {
            self.over = true;
            self.finish(about, out);
            return Ok(());
        }
        let words =
            if self.is_error { Some(failure::words_of_error(object)) } else { failure::words(object) };
        if let Some(words) = words {
            self.over = true;
            let words = if words.is_empty() { "the node reported an error" } else { &words };
            out.extend_from_slice(&client.dialect().stream_error(words, &about.id));
            return Ok(());
        }
        // Keep-alives and the like.
        if self.events && !object.starts_with(b"{") {
            return Ok(());
        }
        let Self { reader, writer, pieces, counted, .. } = self;
        reader.read(about, object, |event| {
            *pieces +=
                u64::from(matches!(event, Event::Thinking(_) | Event::Text(_) | Event::Arguments { .. }));
            *counted |= matches!(event, Event::Usage(_));
            writer.event(about, event, out);
        })?;
        if let Reader::Ollama(reader) = reader
            && reader.is_over()
        {
            self.over = true;
            self.finish(about, out);
        }
        Ok(())
    }

    fn finish(&mut self, about: &About, out: &mut Vec<u8>) {
        if !self.counted {
            let usage = Usage { prompt: about.prompt, output: self.pieces, ..Usage::default() };
            self.writer.event(about, Event::Usage(usage), out);
        }
        self.writer.finish(about, out);
    }
}
