//! What an object of an answer says: which of its strings go on with a text, which texts end with it, and what of it is
//! no text at all.

use std::{
    hash::{BuildHasher as _, Hasher as _},
    ops::Range,
};

use foldhash::fast::FixedState;

use crate::api::{
    escape::{Skipped, skip},
    json::MAX_DEPTH,
};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
    String,
    Number,
    Word,
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
    /// How many values that repeat the text otherwise are open: nothing is kept of what is in them.
    echoes: usize,
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
        let mut tree = Self { text, nodes: Vec::with_capacity(32), echoes: 0, output: None };
        let at = blanks(text, 0);
        let end = tree.value(at, NONE, 0..0, 0, 0)?;
        tree.output = (tree.member(0, b"output_index"))
            .and_then(|node| std::str::from_utf8(&text[node.range.clone()]).ok()?.parse().ok());
        if blanks(text, end) == text.len() { Ok(tree) } else { Err(Malformed::Syntax) }
    }

    fn value(
        &mut self,
        at: usize,
        parent: usize,
        name: Range<usize>,
        place: u64,
        depth: usize,
    ) -> Result<usize, Malformed> {
        let own = self.nodes.len();
        let (kind, range, end) = match self.text.get(at).ok_or(Malformed::Syntax)? {
            b'{' => (Kind::Object, at..at, at),
            b'[' => (Kind::Array, at..at, at),
            b'"' => {
                let end = self.string(at)?;
                (Kind::String, at + 1..end - 1, end)
            }
            byte => {
                let more = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                let end = self.text[at..].iter().position(more).map_or(self.text.len(), |n| at + n);
                let kind = match byte {
                    b'-' | b'0'..=b'9' => Kind::Number,
                    b't' | b'f' | b'n' => Kind::Word,
                    _ => return Err(Malformed::Syntax),
                };
                (kind, at..end, end)
            }
        };
        if own == MOST {
            return Err(Malformed::Large);
        }
        self.nodes.push(Node { kind, range, parent, name, at: place, index: None });
        if end > at {
            return Ok(end);
        }
        if depth == MAX_DEPTH {
            return Err(Malformed::Syntax);
        }
        let echoes = usize::from(self.is_echo(own));
        self.echoes += echoes;
        let end = self.members(at, own, kind == Kind::Object, depth + 1)?;
        self.echoes -= echoes;
        self.nodes[own].range = at..end;
        Ok(end)
    }

    fn members(&mut self, open: usize, own: usize, object: bool, depth: usize) -> Result<usize, Malformed> {
        let close = if object { b'}' } else { b']' };
        let mut at = blanks(self.text, open + 1);
        let mut place = 0;
        if self.text.get(at) == Some(&close) {
            return Ok(at + 1);
        }
        loop {
            let mut name = 0..0;
            if object {
                if self.text.get(at) != Some(&b'"') {
                    return Err(Malformed::Syntax);
                }
                let end = self.string(at)?;
                name = at + 1..end - 1;
                at = blanks(self.text, end);
                if self.text.get(at) != Some(&b':') {
                    return Err(Malformed::Syntax);
                }
                at = blanks(self.text, at + 1);
            }
            let member = self.nodes.len();
            at = blanks(self.text, self.value(at, own, name.clone(), place, depth)?);
            if object && INDEX.contains(&&self.text[name]) {
                self.add_index(own, member);
            }
            if self.echoes > 0 {
                self.nodes.truncate(member);
            }
            place += 1;
            match self.text.get(at) {
                Some(b',') => at = blanks(self.text, at + 1),
                Some(byte) if *byte == close => return Ok(at + 1),
                _ => return Err(Malformed::Syntax),
            }
        }
    }

    fn add_index(&mut self, object: usize, member: usize) {
        let number = std::str::from_utf8(&self.text[self.nodes[member].range.clone()]).ok();
        if let Some(number) = number.and_then(|text| text.parse::<u32>().ok()) {
            let index = self.nodes[object].index.unwrap_or(0);
            self.nodes[object].index = Some(index << 20 | u64::from(number));
        }
    }

    fn string(&self, at: usize) -> Result<usize, Malformed> {
        match skip(self.text, at + 1) {
            Skipped::Quote(end) => Ok(end),
            Skipped::Out { .. } => Err(Malformed::Syntax),
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
                | b"response.incomplete",
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
                Kind::String if NO_TEXT.contains(&name) && !self.is_argument(at) => {
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

fn is_delta(kind: &[u8]) -> bool {
    (kind.ends_with(b".delta") || kind.ends_with(b"_delta")) && !kind.ends_with(b"audio.delta")
}

fn blanks(text: &[u8], at: usize) -> usize {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    at + text.get(at..).unwrap_or_default().iter().take_while(blank).count()
}
