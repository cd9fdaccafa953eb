//! What a body of OpenAI's or Anthropic's API names instead of bringing it along: what a node keeps under an id, which
//! it hands to whoever knows that, and what it fetches from an address.

use std::sync::LazyLock;

use bytes::Bytes;
use regex::bytes::Regex;
use smallvec::SmallVec;

use super::{
    escape::unescape,
    json::{JsonError, Kind, MAX_DEPTH, Raw, Scanner, Sink},
};

/// The first thing named that is not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// What a node keeps: where it is named, and its id.
    Kept(&'static str, String),
    /// An address that a node is not to fetch: where it is named, and what is wrong with it.
    Fetched(&'static str, String),
}

/// Why reading ended early.
#[derive(Debug)]
enum Found {
    Reference(Reference),
    Json,
}

impl From<JsonError> for Found {
    fn from(_: JsonError) -> Self {
        Self::Json
    }
}

/// What is wrong with an address, if a node is not to fetch it. Of a long one only the beginning is there, and the
/// second argument is true.
pub type Judge = fn(&str, bool) -> Option<String>;

/// Any spelling of what a name in a chat must hold to matter here; `s` and `k` have foldings beyond ASCII.
static SUSPECT: LazyLock<Regex> = LazyLock::new(|| {
    // A constant, which the tests use.
    Regex::new(r"(?i-u)url|file_id|vector|container|ill_id|audio|:\\?/|\\u").expect("a valid pattern")
});

/// The same of what must hold to name an address.
static FETCHES: LazyLock<Regex> =
    // As above.
    LazyLock::new(|| Regex::new(r"(?i-u)url|:\\?/|\\u").expect("a valid pattern"));

/// No match of [`SUSPECT`] is longer.
const SUSPECT_LONGEST: usize = 9;

/// Whether a body may name anything at all, other than that of a response; quickly.
#[must_use]
pub fn may_refer(segments: &[Bytes]) -> bool {
    if let [whole] = segments {
        return SUSPECT.is_match(whole);
    }
    // What lies before and behind the end of a segment, where a name may be cut.
    let mut seam = SmallVec::<[u8; 2 * SUSPECT_LONGEST]>::new();
    segments.iter().any(|segment| {
        seam.extend_from_slice(&segment[..segment.len().min(SUSPECT_LONGEST)]);
        let found = SUSPECT.is_match(&seam) || SUSPECT.is_match(segment);
        if segment.len() > SUSPECT_LONGEST {
            seam.clear();
            seam.extend_from_slice(&segment[segment.len() - SUSPECT_LONGEST..]);
        } else {
            seam.drain(..seam.len().saturating_sub(SUSPECT_LONGEST));
        }
        found
    })
}

/// The first thing named in a body that is JSON: anything kept if `isolated`, or an address that `judge` finds something
/// wrong with.
#[must_use]
pub fn first(segments: &[Bytes], isolated: bool, judge: Judge) -> Option<Reference> {
    first_of(segments.iter().map(|segment| &**segment), Reader::new(isolated, false, judge))
}

/// The first address in a message of a websocket that `judge` finds something wrong with. What a session keeps is its
/// own.
#[must_use]
pub fn first_fetched(message: &[u8], judge: Judge) -> Option<Reference> {
    let text = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    if FETCHES.is_match(text) { first_of([text], Reader::new(false, true, judge)) } else { None }
}

fn first_of<'a>(segments: impl IntoIterator<Item = &'a [u8]>, reader: Reader) -> Option<Reference> {
    let mut scanner = Scanner::new(reader);
    for segment in segments {
        match scanner.feed(segment) {
            Ok(()) => {}
            Err(Found::Reference(found)) => return Some(found),
            // What is no JSON was refused before.
            Err(Found::Json) => return None,
        }
    }
    None
}

/// What a key, or the list that a value stands in, says of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Nothing,
    /// Free data of the client, or what an earlier answer said: no node looks up anything that stands in it.
    Data,
    /// The items that a response is to follow.
    Input,
    /// A thing that is kept: its id, or an object with it.
    Kept(&'static str),
    /// The same, where `auto` asks for a new one.
    Container,
    /// An id, or ids, of a thing that is kept.
    Id(&'static str),
    /// An address, or an object with it.
    Address(&'static str),
    /// An object that may have an address, or is something else.
    Source(&'static str),
    /// `id`, `type` and `url` of whatever they stand in.
    OwnId,
    OwnType,
    OwnUrl,
    /// What an item has that is not a mere reference.
    Content,
}

impl Meaning {
    /// Of the key `name` at this depth, in a body or in the `message` of a websocket.
    fn of(name: &str, depth: usize, message: bool) -> Self {
        match (name, depth) {
            ("input", 1) => Self::Input,
            // It stands in `response`, and tools are called with `arguments`.
            ("input", _) if message => Self::Input,
            ("conversation", 1) => Self::Kept("conversation"),
            ("prompt", 1) => Self::Kept("prompt.id"),
            ("audio", _) => Self::Kept("audio.id"),
            ("container", _) => Self::Container,
            ("container_id", _) => Self::Id("container_id"),
            ("file_id" | "file_ids", _) => Self::Id("file_id"),
            ("vector_store_id" | "vector_store_ids", _) => Self::Id("vector_store_ids"),
            ("skill_id", _) => Self::Id("skill_id"),
            ("image_url", _) => Self::Address("image_url"),
            ("video_url", _) => Self::Address("video_url"),
            ("audio_url", _) => Self::Address("audio_url"),
            ("file_url", _) => Self::Address("file_url"),
            ("server_url", _) => Self::Address("server_url"),
            ("mcp_servers", _) => Self::Source("mcp_servers.url"),
            ("source", _) => Self::Source("source.url"),
            ("file", _) => Self::Source("file.url"),
            ("image" | "images" | "mask" | "video", _) => Self::Source("image.url"),
            ("id", _) => Self::OwnId,
            ("type", _) => Self::OwnType,
            ("url", _) => Self::OwnUrl,
            ("role" | "content", _) => Self::Content,
            // What a tool was called with.
            ("input", _) => Self::Data,
            (
                "chat_template_kwargs"
                | "parameters"
                | "schema"
                | "input_schema"
                | "json_schema"
                | "metadata"
                | "arguments"
                | "annotations"
                | "results"
                | "action"
                | "sources",
                _,
            ) => Self::Data,
            _ => Self::Nothing,
        }
    }
}

/// An object or array that is open.
#[derive(Debug)]
struct Open {
    /// What it is itself.
    is: Meaning,
    is_array: bool,
    /// Of an object the key whose value comes next.
    key: Meaning,
    /// Whether it is an item of the input.
    item: bool,
    id: Option<String>,
    /// Of an item whether it says what it is, or brings that along.
    whole: bool,
    refers: bool,
}

#[derive(Debug)]
struct Reader {
    /// Whether what is kept counts.
    isolated: bool,
    /// Whether it is the message of a websocket.
    message: bool,
    judge: Judge,
    open: SmallVec<[Open; 16]>,
}

impl Reader {
    fn new(isolated: bool, message: bool, judge: Judge) -> Self {
        Self { isolated, message, judge, open: SmallVec::new() }
    }

    /// What the value that comes next is.
    fn next(&self) -> Meaning {
        match self.open.last() {
            Some(Open { is: Meaning::Data, .. }) => Meaning::Data,
            Some(Open { is_array: true, is, .. }) => *is,
            Some(Open { key, .. }) => *key,
            None => Meaning::Nothing,
        }
    }

    fn text(&mut self, text: String, cut: bool) -> Result<(), Found> {
        let isolated = self.isolated;
        let kept = |what, id| {
            if isolated { Err(Found::Reference(Reference::Kept(what, id))) } else { Ok(()) }
        };
        let meaning = self.next();
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        match (meaning, open.is) {
            // In `prompt` of completions and in `audio` of a stream strings are something else.
            (Meaning::Kept("conversation"), _) => kept("conversation", text),
            (Meaning::Container, _) if text != "auto" => kept("container", text),
            (Meaning::Id(_), _) if text == "auto" => Ok(()),
            (Meaning::Id(what), _) => kept(what, text),
            (Meaning::OwnId, Meaning::Kept(what)) => kept(what, text),
            (Meaning::OwnId, Meaning::Container) => kept("container", text),
            (Meaning::OwnId, _) => {
                open.id = Some(text);
                Ok(())
            }
            (Meaning::OwnType, _) => {
                open.refers |= text == "item_reference";
                open.whole = true;
                Ok(())
            }
            (Meaning::Address(what), _)
            | (Meaning::OwnUrl, Meaning::Address(what) | Meaning::Source(what)) => {
                self.fetched(what, &text, cut)
            }
            // Where it may be the thing itself; a source is what is cited.
            (Meaning::Source(what), _) if what != "source.url" && text.contains("://") => {
                self.fetched(what, &text, cut)
            }
            _ => Ok(()),
        }
    }

    /// An address that a node is to fetch.
    fn fetched(&self, what: &'static str, text: &str, cut: bool) -> Result<(), Found> {
        (self.judge)(text, cut).map_or(Ok(()), |wrong| Err(Found::Reference(Reference::Fetched(what, wrong))))
    }
}

impl Sink for Reader {
    const TOLD: usize = MAX_DEPTH;
    type Error = Found;

    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), Found> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        open.key = Meaning::Nothing;
        // None of the names is that long.
        if open.is != Meaning::Data
            && key.length <= 128
            && let Some(name) = unescape(key.bytes)
        {
            open.key = Meaning::of(&folded(&name), depth, self.message);
            open.whole |= open.key == Meaning::Content;
        }
        Ok(())
    }

    fn begin(&mut self, _: usize, kind: Kind, _: usize) -> Result<bool, Found> {
        let is = self.next();
        if matches!(kind, Kind::Object | Kind::Array) {
            let in_input = self.open.last().is_some_and(|open| open.is_array && open.is == Meaning::Input);
            let item = kind == Kind::Object && in_input;
            // A list in the list of items is none of items.
            let is = if item || in_input { Meaning::Nothing } else { is };
            let is_array = kind == Kind::Array;
            self.open.push(Open {
                is,
                is_array,
                key: Meaning::Nothing,
                item,
                id: None,
                whole: false,
                refers: false,
            });
        }
        Ok(!matches!(is, Meaning::Nothing | Meaning::Data | Meaning::Content))
    }

    fn end(&mut self, _: usize, kind: Kind, _: usize, raw: Option<Raw<'_>>) -> Result<(), Found> {
        match kind {
            Kind::Object | Kind::Array => {
                let Some(Open { item: true, id: Some(id), whole, refers, .. }) = self.open.pop() else {
                    return Ok(());
                };
                if self.isolated && (refers || !whole) {
                    return Err(Found::Reference(Reference::Kept("item_reference", id)));
                }
                Ok(())
            }
            Kind::String => match raw {
                Some(raw) => self.text(beginning(raw), raw.cut),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// The text of a string as far as it was kept: an escape may have been cut in two.
fn beginning(raw: Raw<'_>) -> String {
    let spare = if raw.cut { 12 } else { 0 };
    let mut lengths = (raw.bytes.len().saturating_sub(spare)..=raw.bytes.len()).rev();
    lengths.find_map(|length| unescape(&raw.bytes[..length])).unwrap_or_default()
}

/// As nodes compare keys that do so without regard to case.
fn folded(name: &str) -> String {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(address: &str, cut: bool) -> Option<String> {
        if cut {
            return Some(format!("the beginning, {} bytes", address.len()));
        }
        (address.contains("10.0.0.1") || address.starts_with("file:")).then(|| address.to_owned())
    }

    fn named(body: &str) -> Option<Reference> {
        let whole = first(&[Bytes::from(body.to_owned())], true, judge);
        for at in 1..body.len() {
            if body.is_char_boundary(at) {
                let (a, b) = body.split_at(at);
                let parts = [Bytes::from(a.to_owned()), Bytes::from(b.to_owned())];
                assert_eq!(first(&parts, true, judge), whole, "{a} | {b}");
                let in_one = may_refer(&[Bytes::from(body.to_owned())]);
                assert_eq!(may_refer(&parts), in_one, "{a} | {b}");
            }
        }
        whole
    }

    #[test]
    fn what_is_kept_is_found_wherever_it_is_named() {
        for (body, what) in [
            (r#"{"conversation":"X"}"#, "conversation"),
            (r#"{"conversation":{"id":"X"}}"#, "conversation"),
            (r#"{"CONVER\u017fATION":{"Id":"X"}}"#, "conversation"),
            (r#"{"prompt":{"id":"X","version":"2"}}"#, "prompt.id"),
            (r#"{"input":[{"type":"item_reference","id":"X"}]}"#, "item_reference"),
            (r#"{"input":[{"id":"X"}]}"#, "item_reference"),
            (r#"{"input":[{"id":"X","type":null}]}"#, "item_reference"),
            (r#"{"input":[{"type":"message","id":"X","type":"item_reference"}]}"#, "item_reference"),
            (r#"{"input":[{"role":"user","content":[{"type":"input_file","file_id":"X"}]}]}"#, "file_id"),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"X"}}]}]}"#,
                "file_id",
            ),
            (r#"{"messages":[{"role":"assistant","audio":{"id":"X"}}]}"#, "audio.id"),
            (r#"{"messages":[{"content":[{"source":{"type":"file","file_id":"X"}}]}]}"#, "file_id"),
            (r#"{"tools":[{"type":"file_search","vector_store_ids":["X"]}]}"#, "vector_store_ids"),
            (r#"{"tools":[{"type":"code_interpreter","container":"X"}]}"#, "container"),
            (r#"{"tools":[{"container":{"type":"auto","file_ids":["X"]}}]}"#, "file_id"),
            (r#"{"container":{"id":"X"}}"#, "container"),
            (r#"{"container":{"skills":[{"skill_id":"X"}]}}"#, "skill_id"),
            (r#"{"input":[{"type":"code_interpreter_call","container_id":"X","id":"y"}]}"#, "container_id"),
        ] {
            assert_eq!(named(body), Some(Reference::Kept(what, "X".into())), "{body}");
            if !body.contains("input") && !body.contains("rompt") && !body.to_lowercase().contains("conv") {
                assert!(may_refer(&[Bytes::from_static(body.as_bytes())]), "{body}");
            }
        }
    }

    #[test]
    fn addresses_are_judged_where_nodes_fetch_them() {
        for (body, what) in [
            (r#"{"tools":[{"type":"mcp","server_url":"http://10.0.0.1/mcp"}]}"#, "server_url"),
            (r#"{"messages":[{"content":[{"image_url":{"url":"http://10.0.0.1/mcp"}}]}]}"#, "image_url"),
            (r#"{"messages":[{"content":[{"image_url":"http:\/\/10.0.0.1\/mcp"}]}]}"#, "image_url"),
            (r#"{"messages":[{"content":[{"IMAGE_URL":{"URL":"http://10.0.0.1/mcp"}}]}]}"#, "image_url"),
            (
                r#"{"input":[{"content":[{"type":"input_file","file_url":"http://10.0.0.1/mcp"}]}]}"#,
                "file_url",
            ),
            (
                r#"{"messages":[{"content":[{"source":{"type":"url","url":"http://10.0.0.1/mcp"}}]}]}"#,
                "source.url",
            ),
            (r#"{"file":"http://10.0.0.1/mcp"}"#, "file.url"),
            (r#"{"documents":[{"image":"http:\/\/10.0.0.1\/mcp"}]}"#, "image.url"),
            (r#"{"mcp_servers":[{"type":"url","url":"http://10.0.0.1/mcp"}]}"#, "mcp_servers.url"),
            (r#"{"messages":[{"content":[{"video_url":{"url":"http://10.0.0.1/mcp"}}]}]}"#, "video_url"),
        ] {
            let found = named(body);
            assert_eq!(found, Some(Reference::Fetched(what, "http://10.0.0.1/mcp".into())), "{body}");
            assert!(may_refer(&[Bytes::from_static(body.as_bytes())]), "{body}");
        }
        let message = "\u{feff}{\"session\":{\"tools\":[{\"server_url\":\"http://10.0.0.1/mcp\"}]}}";
        let found = Some(Reference::Fetched("server_url", "http://10.0.0.1/mcp".into()));
        assert_eq!(first_fetched(message.as_bytes(), judge), found);
        assert_eq!(
            first_fetched(br#"{"conversation":"c","item":{"type":"item_reference","id":"x"}}"#, judge),
            None
        );
        let message = r#"{"type":"response.create","response":{"input":[{"type":"message","role":"user",
            "content":[{"type":"input_image","image_url":"http://10.0.0.1/mcp"}]}]}}"#;
        let found = Some(Reference::Fetched("image_url", "http://10.0.0.1/mcp".into()));
        assert_eq!(first_fetched(message.as_bytes(), judge), found);
        let long = format!(r#"{{"image_url":"http://{}@10.0.0.1/"}}"#, "a".repeat(2000));
        let found = first(&[Bytes::from(long)], true, judge);
        assert_eq!(found, Some(Reference::Fetched("image_url", "the beginning, 1024 bytes".into())));
    }

    #[test]
    fn a_name_is_suspected_in_however_many_pieces_it_lies() {
        for text in [r#"{"container":1}"#, r#"{"a":"http:\/\/x"}"#, r#"{"File_Id":"x"}"#, r#"{"\u0066":1}"#] {
            for size in 1..=text.len() {
                let pieces: Vec<_> = text.as_bytes().chunks(size).map(Bytes::from_static).collect();
                assert!(may_refer(&pieces), "{text} in pieces of {size}");
            }
        }
        let plain = br#"{"messages":[{"role":"user","content":"hi"}]}"#;
        let pieces: Vec<_> = plain.chunks(3).map(Bytes::from_static).collect();
        assert!(!may_refer(&pieces));
    }

    #[test]
    fn what_is_brought_along_is_nobody_elses() {
        for body in [
            r#"{"model":"m","input":"file_id"}"#,
            r#"{"input":[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"x","annotations":[{"type":"url_citation","url":"http://10.0.0.1"},{"file_id":"f"}]}]}]}"#,
            r#"{"input":[{"type":"reasoning","id":"rs_1","summary":[]},{"id":"fc_1","type":"function_call","call_id":"c","arguments":"{}"}]}"#,
            r#"{"input":[{"role":"user","id":"x","content":"y"}]}"#,
            r#"{"prompt":"once","metadata":{"file_id":"f","conversation":"c"}}"#,
            r#"{"prompt":["a","b"],"audio":{"voice":"alloy","format":"wav"}}"#,
            r#"{"tools":[{"function":{"parameters":{"examples":[{"file_id":"x","image_url":"http://10.0.0.1"}]}}}]}"#,
            r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto"}},{"container":"auto"}]}"#,
            r#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"docker","input":{"container":"web","file_id":"f","image_url":"http://10.0.0.1"}}]}]}"#,
            r#"{"messages":[{"role":"tool","tool_call_id":"c","id":"x","content":"http://10.0.0.1"}]}"#,
            r#"{"messages":[{"content":[{"image_url":{"url":"https://example.org/a.png"}}]}]}"#,
            r#"{"messages":[{"content":[{"type":"search_result","source":"http://10.0.0.1/page","content":[]}]}]}"#,
            r#"{"conversation":null,"container":null,"file_id":null}"#,
        ] {
            assert_eq!(named(body), None, "{body}");
        }
        assert_eq!(first(&[Bytes::from_static(br#"{"conversation":"c"}"#)], false, judge), None);
        assert!(!may_refer(&[Bytes::from_static(br#"{"messages":[{"role":"user","content":"hi"}]}"#)]));
    }
}
