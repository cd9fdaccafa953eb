//! What an object of an answer says: which of its strings go on with a text, which texts end with it, and what of it is
//! no text at all.

use std::{
    hash::{BuildHasher as _, Hasher as _},
    ops::Range,
};

use foldhash::fast::FixedState;

use crate::api::json::{JsonError, Kind, MAX_DEPTH, Raw, Scanner, Sink};

/// Names of strings that go on from one object of a stream to the next.
const GOES_ON: [&[u8]; 13] = [
    b"content",
    b"text",
    b"thinking",
    b"reasoning",
    b"reasoning_content",
    b"refusal",
    b"arguments",
    b"partial_json",
    b"response",
    b"completion",
    b"transcript",
    b"delta",
    b"output_text",
];

/// Names of strings that no model writes.
const NO_TEXT: [&[u8]; 24] = [
    b"id",
    b"object",
    b"model",
    b"remote_model",
    b"remote_host",
    b"created_at",
    b"system_fingerprint",
    b"type",
    b"role",
    b"done_reason",
    b"finish_reason",
    b"stop_reason",
    b"status",
    b"service_tier",
    b"obfuscation",
    b"item_id",
    b"event_id",
    b"call_id",
    b"tool_call_id",
    b"tool_use_id",
    b"response_id",
    b"previous_response_id",
    b"signature",
    b"encrypted_content",
];

/// Words that the dialects have for why an answer ended, how far it is, and how it is served.
const WORDS: [&[u8]; 36] = [
    b"stop",
    b"length",
    b"load",
    b"unload",
    b"tool_calls",
    b"function_call",
    b"content_filter",
    b"end_turn",
    b"max_tokens",
    b"stop_sequence",
    b"tool_use",
    b"pause_turn",
    b"refusal",
    b"model_context_window_exceeded",
    b"eos",
    b"eos_token",
    b"limit",
    b"word",
    b"abort",
    b"error",
    b"queued",
    b"in_progress",
    b"completed",
    b"incomplete",
    b"failed",
    b"cancelled",
    b"searching",
    b"interpreting",
    b"generating",
    b"success",
    b"auto",
    b"default",
    b"flex",
    b"priority",
    b"scale",
    b"standard",
];

/// Roles of messages.
const ROLES: [&[u8]; 6] = [b"assistant", b"user", b"system", b"developer", b"tool", b"function"];

/// Whether the value of a field of [`NO_TEXT`] is what the dialects have there. A node that writes something else there
/// writes a text.
fn is_word(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"done_reason" | b"finish_reason" | b"stop_reason" | b"status" | b"service_tier" => {
            value.is_empty() || WORDS.contains(&value)
        }
        b"role" => value.is_empty() || ROLES.contains(&value),
        // There are a hundred: `response.output_text.delta`.
        b"type" | b"object" => {
            value.len() <= 64 && value.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'.'))
        }
        _ => true,
    }
}

/// Names of numbers that say to which text an object belongs.
const INDEX: [&[u8]; 4] = [b"index", b"output_index", b"content_index", b"summary_index"];

/// Most values of an object that are looked at: it takes their memory many times over.
const MOST: usize = 1 << 18;

/// Why an object cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It is not JSON, or too deep.
    Syntax,
    /// It has more than [`MOST`] values.
    Large,
}

/// A string that goes on with a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which text.
    pub(super) text: u64,
    /// Which answer, or item of one, it belongs to.
    pub(super) item: u64,
    /// Between its quotes.
    pub(super) raw: Range<usize>,
    /// The text is JSON.
    pub(super) json: bool,
}

/// Which texts end with an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ends {
    None,
    /// Those of these answers or items.
    Items(Vec<u64>),
    All,
}

/// An object of an answer.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) pieces: Vec<Piece>,
    pub(super) ends: Ends,
    /// It says once more what others said before.
    pub(super) repeats: bool,
    /// Values that repeat the text otherwise: probabilities of its tokens, tokens to go on from.
    pub(super) echoes: Vec<Range<usize>>,
    /// The object with all that is no text, and all that goes on, left blank.
    pub(super) rest: Vec<u8>,
}

impl From<JsonError> for Malformed {
    fn from(_: JsonError) -> Self {
        Self::Syntax
    }
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    /// All of it; of a string what is between its quotes.
    range: Range<usize>,
    parent: usize,
    /// Its name in an object.
    name: Range<usize>,
    /// Its place in an array.
    at: u64,
    /// What is said of where it belongs, of an object.
    index: Option<u64>,
}

/// The parent of the outermost value.
const NONE: usize = usize::MAX;

struct Tree<'a> {
    text: &'a [u8],
    nodes: Vec<Node>,
    /// The objects and arrays that are open, with how many values each has so far.
    open: Vec<(usize, u64)>,
    /// Length of the name of the value that comes next, if it has one.
    named: Option<usize>,
    /// How deep the value is that is open and repeats the text otherwise: nothing is kept of what is in it.
    echo: Option<usize>,
    /// What the outermost object says to belong to.
    output: Option<u64>,
}

impl Object {
    /// Reads an object of a stream.
    pub(super) fn of_stream(text: &[u8]) -> Result<Self, Malformed> {
        let tree = Tree::read(text)?;
        let kind = tree.member(0, b"type").map(|node| &text[node.range.clone()]);
        let mut object = tree.blank();
        for (at, node) in tree.nodes.iter().enumerate() {
            if node.kind != Kind::String || !tree.goes_on(at, kind) {
                continue;
            }
            let (id, item) = tree.belongs(at, kind);
            let json = matches!(tree.name(at), b"arguments" | b"partial_json")
                || kind.is_some_and(|kind| kind.ends_with(b"arguments.delta"));
            object.rest[node.range.clone()].fill(b' ');
            object.pieces.push(Piece { text: id, item, raw: node.range.clone(), json });
        }
        object.ends = tree.ends(kind);
        object.repeats = kind.is_some() && object.pieces.is_empty();
        Ok(object)
    }

    /// Reads an answer that is one object.
    pub(super) fn whole(text: &[u8]) -> Result<Self, Malformed> {
        Tree::read(text).map(|tree| tree.blank())
    }
}

impl<'a> Tree<'a> {
    fn read(text: &'a [u8]) -> Result<Self, Malformed> {
        let nodes = Vec::with_capacity(32);
        let mut scanner =
            Scanner::new(Self { text, nodes, open: Vec::new(), named: None, echo: None, output: None });
        scanner.feed(text)?;
        let mut tree = scanner.finish()?;
        tree.output = (tree.member(0, b"output_index"))
            .and_then(|node| std::str::from_utf8(&text[node.range.clone()]).ok()?.parse().ok());
        Ok(tree)
    }

    /// Where the name is of the value that begins at `at`: only a colon and blanks are between its quote and that.
    fn take_name(&mut self, at: usize) -> Range<usize> {
        let Some(length) = self.named.take() else { return 0..0 };
        let colon = self.text[..at].trim_ascii_end().len() - 1;
        let quote = self.text[..colon].trim_ascii_end().len() - 1;
        quote - length..quote
    }

    fn is_within_echo(&self, depth: usize) -> bool {
        self.echo.is_some_and(|echo| depth > echo)
    }

    fn add_index(&mut self, object: usize, member: usize) {
        let number = std::str::from_utf8(&self.text[self.nodes[member].range.clone()]).ok();
        if let Some(number) = number.and_then(|text| text.parse::<u32>().ok()) {
            let index = self.nodes[object].index.unwrap_or(0);
            self.nodes[object].index = Some(index << 20 | u64::from(number));
        }
    }

    fn name(&self, at: usize) -> &'a [u8] {
        &self.text[self.nodes[at].name.clone()]
    }

    fn member(&self, object: usize, name: &[u8]) -> Option<&Node> {
        self.nodes.iter().find(|node| node.parent == object && &self.text[node.name.clone()] == name)
    }

    /// It and what it is in, from within outwards, without the outermost.
    fn up(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(at), |at| Some(self.nodes[*at].parent))
            .take_while(|at| !matches!(*at, 0 | NONE))
    }

    /// Whether a string goes on with a text, in an object of such a type.
    fn goes_on(&self, at: usize, kind: Option<&[u8]>) -> bool {
        let name = self.name(at);
        if !GOES_ON.contains(&name) {
            return false;
        }
        let Some(top) = self.up(at).last() else { return false };
        let (top, alone) = (self.name(top), self.nodes[at].parent == 0);
        match kind {
            None => match top {
                b"choices" => self.up(at).all(|node| self.name(node) != b"logprobs"),
                b"message" => self.nodes[self.nodes[at].parent].parent == 0,
                _ => alone,
            },
            Some(kind) if is_delta(kind) => top == b"delta",
            Some(b"content_block_start") => {
                top == b"content_block" && self.nodes[self.nodes[at].parent].parent == 0
            }
            Some(_) => false,
        }
    }

    /// Which text a string goes on with, and which answer that is of.
    fn belongs(&self, at: usize, kind: Option<&[u8]>) -> (u64, u64) {
        let mut hasher = FixedState::default().build_hasher();
        let mut item = self.nodes[0].index;
        if let Some(kind) = kind.filter(|kind| !kind.starts_with(b"content_block")) {
            hasher.write(kind);
        }
        hasher.write_u64(item.unwrap_or(0));
        let path: Vec<usize> = self.up(at).collect();
        for node in path.into_iter().rev() {
            let of = &self.nodes[node];
            match self.name(node) {
                b"content_block" => hasher.write(b"delta"),
                name => hasher.write(name),
            }
            if self.nodes[of.parent].kind == Kind::Array || of.index.is_some() {
                let place = of.index.unwrap_or(of.at);
                item = item.or(Some(place));
                hasher.write_u64(place);
            }
        }
        (hasher.finish(), self.item(item, kind))
    }

    /// Of what has an index in an object of such a type: the first of several that the type may have.
    fn item(&self, index: Option<u64>, kind: Option<&[u8]>) -> u64 {
        kind.and(self.output).or(index).unwrap_or(0)
    }

    fn ends(&self, kind: Option<&[u8]>) -> Ends {
        let said = |name: &[u8], value: &[u8]| {
            self.member(0, name).is_some_and(|node| &self.text[node.range.clone()] == value)
        };
        let item = || Ends::Items(vec![self.item(self.nodes[0].index, kind)]);
        match kind {
            Some(b"content_block_stop") => item(),
            Some(
                b"message_delta"
                | b"message_stop"
                | b"error"
                | b"response.completed"
                | b"response.failed"
                | b"response.incomplete"
                | b"response.cancelled",
            ) => Ends::All,
            Some(kind) if kind.ends_with(b".done") => item(),
            Some(_) => Ends::None,
            None if said(b"done", b"true")
                || said(b"stop", b"true")
                || self.member(0, b"error").is_some() =>
            {
                Ends::All
            }
            None => match self.finished() {
                finished if finished.is_empty() => Ends::None,
                finished => Ends::Items(finished),
            },
        }
    }

    /// The choices that say why they end.
    fn finished(&self) -> Vec<u64> {
        let reasons = self.nodes.iter().filter(|node| &self.text[node.name.clone()] == b"finish_reason");
        let choices = reasons.filter(|node| node.kind == Kind::String).map(|node| &self.nodes[node.parent]);
        choices.map(|choice| choice.index.unwrap_or(choice.at)).collect()
    }

    /// The object without what is no text.
    fn blank(&self) -> Object {
        let mut rest = self.text.to_vec();
        let mut echoes = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let name = self.name(at);
            match node.kind {
                Kind::String
                    if NO_TEXT.contains(&name)
                        && is_word(name, &self.text[node.range.clone()])
                        && !self.is_argument(at) =>
                {
                    rest[node.range.clone()].fill(b' ');
                }
                Kind::Number if !self.is_argument(at) => {
                    let place = &mut rest[node.range.clone()];
                    place.fill(b' ');
                    place[0] = b'0';
                }
                Kind::Object | Kind::Array if self.is_echo(at) || self.is_tokens(at) => {
                    echoes.push(node.range.clone());
                }
                _ => {}
            }
        }
        for echo in &echoes {
            let place = &mut rest[echo.clone()];
            place.fill(b' ');
            place[0] = b'0';
        }
        Object { pieces: Vec::new(), ends: Ends::None, repeats: false, echoes, rest }
    }

    /// Whether it is text by its tokens.
    fn is_echo(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        match self.name(at) {
            b"logprobs" | b"completion_probabilities" => true,
            b"context" => node.kind == Kind::Array && node.parent == 0,
            _ => false,
        }
    }

    /// Whether it is an array of the numbers of tokens.
    fn is_tokens(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        let mut within = self.nodes[at + 1..].iter().take_while(|inner| inner.range.start < node.range.end);
        node.kind == Kind::Array
            && matches!(self.name(at), b"token_ids" | b"prompt_token_ids" | b"tokens")
            && within.all(|inner| inner.kind == Kind::Number)
            && !self.is_argument(at)
    }

    /// Whether it is of the arguments of a tool.
    fn is_argument(&self, at: usize) -> bool {
        self.up(at).skip(1).any(|node| matches!(self.name(node), b"arguments" | b"input"))
    }
}

impl Sink for Tree<'_> {
    const TOLD: usize = MAX_DEPTH;
    type Error = Malformed;

    fn key(&mut self, _: usize, key: Raw<'_>) -> Result<(), Malformed> {
        self.named = Some(key.length);
        Ok(())
    }

    fn begin(&mut self, depth: usize, kind: Kind, at: usize) -> Result<bool, Malformed> {
        let name = self.take_name(at);
        if self.is_within_echo(depth) {
            return Ok(false);
        }
        let own = self.nodes.len();
        if own == MOST {
            return Err(Malformed::Large);
        }
        let (parent, place) = self.open.last_mut().map_or((NONE, 0), |(parent, values)| {
            *values += 1;
            (*parent, *values - 1)
        });
        self.nodes.push(Node { kind, range: at..at, parent, name, at: place, index: None });
        if matches!(kind, Kind::Object | Kind::Array) {
            self.open.push((own, 0));
            self.echo = self.is_echo(own).then_some(depth);
        }
        Ok(true)
    }

    fn end(&mut self, depth: usize, kind: Kind, end: usize, _: Option<Raw<'_>>) -> Result<(), Malformed> {
        if self.is_within_echo(depth) {
            return Ok(());
        }
        let own = if matches!(kind, Kind::Object | Kind::Array) {
            self.echo = None;
            self.open.pop().map(|(own, _)| own)
        } else {
            self.nodes.len().checked_sub(1)
        };
        let Some(own) = own else { return Ok(()) };
        let node = &mut self.nodes[own];
        let quote = usize::from(kind == Kind::String);
        node.range = node.range.start + quote..end - quote;
        let parent = node.parent;
        if INDEX.contains(&self.name(own)) {
            self.add_index(parent, own);
        }
        Ok(())
    }
}

fn is_delta(kind: &[u8]) -> bool {
    (kind.ends_with(b".delta") || kind.ends_with(b"_delta")) && !kind.ends_with(b"audio.delta")
}
