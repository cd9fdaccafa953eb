//! What a line of an answer says to the meter, found without parsing it: most lines say nothing.

use std::sync::LazyLock;

use memchr::memmem;

use super::text::LineText;
use crate::api::{failure, route::Stream, usage::type_of};

type Finder = LazyLock<memmem::Finder<'static>>;

static USAGE: Finder = LazyLock::new(|| memmem::Finder::new("\"usage\""));
static DONE: Finder = LazyLock::new(|| memmem::Finder::new("\"done\""));
static ERROR: Finder = LazyLock::new(|| memmem::Finder::new("\"error\""));
static TIMINGS: Finder = LazyLock::new(|| memmem::Finder::new("\"timings\""));
static FINISH_REASON: Finder = LazyLock::new(|| memmem::Finder::new("\"finish_reason\""));
static STOP: Finder = LazyLock::new(|| memmem::Finder::new("\"stop\""));
static STOP_REASON: Finder = LazyLock::new(|| memmem::Finder::new("\"stop_reason\""));
static DELTA: Finder = LazyLock::new(|| memmem::Finder::new("delta\""));
static LAST_RESPONSES: [Finder; 4] = [
    LazyLock::new(|| memmem::Finder::new("\"response.completed\"")),
    LazyLock::new(|| memmem::Finder::new("\"response.failed\"")),
    LazyLock::new(|| memmem::Finder::new("\"response.incomplete\"")),
    LazyLock::new(|| memmem::Finder::new("\"response.cancelled\"")),
];
static LAST_MESSAGES: [Finder; 1] = [LazyLock::new(|| memmem::Finder::new("\"message_stop\""))];

/// The node's words if this line of Ollama's reports an error, in whatever order and spacing.
pub(super) fn error(line: &[u8]) -> Option<String> {
    ERROR.find(line).and_then(|_| failure::words(line))
}

/// Whether these lines have a `done` that is true.
pub(super) fn has_done(lines: &[u8]) -> bool {
    has_member(lines, &DONE, b't')
}

/// Whether these lines have a `usage` that is not null.
pub(super) fn has_usage(lines: &[u8]) -> bool {
    has_member(lines, &USAGE, b'{')
}

/// Whether llama.cpp's server wrote this end of an answer: it adds its `timings` to what others write, too.
pub(super) fn is_of_llama(tail: &[u8]) -> bool {
    has_member(tail, &TIMINGS, b'{')
}

/// Whether a member of some object in these lines has a value that begins with `first`. Text cannot be
/// mistaken for it: its quotes are escaped.
fn has_member(lines: &[u8], key: &memmem::Finder<'_>, first: u8) -> bool {
    key.find_iter(lines).any(|at| {
        let value = lines[at + key.needle().len()..].trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|v| v.trim_ascii_start().first() == Some(&first))
    })
}

/// Whether a member of some object in these lines is a string that is not empty.
fn has_text(lines: &[u8], key: &memmem::Finder<'_>) -> bool {
    key.find_iter(lines).any(|at| {
        let value = lines[at + key.needle().len()..].trim_ascii_start().strip_prefix(b":");
        let text = value.and_then(|value| value.trim_ascii_start().strip_prefix(b"\""));
        text.is_some_and(|text| !text.starts_with(b"\""))
    })
}

/// The lines of a text, without their ends.
pub(super) fn each(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', text).map(move |end| {
        let line = &text[start..end];
        start = end + 1;
        line
    })
}

/// Where the last end of a line in `chunk` is.
pub(super) fn last_end(kind: Stream, chunk: &[u8]) -> Option<usize> {
    match kind {
        Stream::Ndjson => memchr::memrchr(b'\n', chunk),
        _ => memchr::memrchr2(b'\r', b'\n', chunk),
    }
}

/// The length of the first line of `lines` with its end, if it has one.
pub(super) fn first_end(kind: Stream, lines: &[u8]) -> Option<usize> {
    match kind {
        Stream::Ndjson => memchr::memchr(b'\n', lines).map(|at| at + 1),
        _ => of_events(lines).next().map(<[u8]>::len),
    }
}

/// The lines of server-sent events with their ends: CR, LF or both (WHATWG, 9.2.5). Text without an end is not a line.
pub(super) fn of_events(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = memchr::memchr2(b'\r', b'\n', rest)?;
        let both = rest[at] == b'\r' && rest.get(at + 1) == Some(&b'\n');
        let (line, after) = rest.split_at(at + 1 + usize::from(both));
        rest = after;
        Some(line)
    })
}

/// What some lines of server-sent events say.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The stream is over.
    pub(super) over: bool,
    /// The model is: what is still to come is formality.
    pub(super) finished: bool,
    /// Events that carry a piece of the output, about.
    pub(super) pieces: u64,
    /// What the node says failed.
    pub(super) failure: Option<String>,
    /// The data of events that had it on several lines.
    pub(super) joined: Vec<Vec<u8>>,
}

/// An event that has not ended.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Its data so far where the object stands on several lines, which a newline joins (WHATWG, 9.2.6).
    data: Vec<u8>,
    /// Its name says that it reports an error.
    is_error: bool,
}

impl Open {
    /// Takes a line of data if it begins an object that it does not end, or goes on with one.
    fn takes(&mut self, data: &[u8]) -> bool {
        let begins = data.starts_with(b"{") && !data.ends_with(b"}");
        if self.data.is_empty() && !begins {
            return false;
        }
        // What is longer is not read, as lines are not.
        if self.data.len() + data.len() <= super::LONGEST_LINE {
            self.data.extend_from_slice(data);
            self.data.push(b'\n');
        }
        true
    }
}

/// Reads what these lines of a stream of `kind` say, and adds their text.
pub(super) fn events(kind: Stream, lines: &[u8], open: &mut Open, text: &mut LineText) -> Events {
    let mut events = Events::default();
    for line in of_events(lines) {
        if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.trim_ascii();
            if !open.takes(data) {
                events.read(kind, data, std::mem::take(&mut open.is_error), text);
            }
        } else if let Some(name) = line.strip_prefix(b"event:") {
            let name = name.trim_ascii();
            open.is_error = name == b"error";
            events.over |= kind != Stream::Done && is_last(name);
        } else if line.trim_ascii().is_empty() {
            let is_error = std::mem::take(&mut open.is_error);
            if !open.data.is_empty() {
                let data = std::mem::take(&mut open.data);
                events.read(kind, &data, is_error, text);
                events.joined.push(data);
            }
        }
    }
    events.finished = match kind {
        // llama.cpp's own API says it with a member of its own.
        Stream::Done => has_text(lines, &FINISH_REASON) || has_member(lines, &STOP, b't'),
        Stream::Messages => has_text(lines, &STOP_REASON),
        _ => false,
    };
    events
}

impl Events {
    /// Reads the data of an event.
    fn read(&mut self, kind: Stream, data: &[u8], is_error: bool, text: &mut LineText) {
        let over = is_error || ends_stream(kind, data);
        self.over |= over;
        if is_error {
            self.failure = self.failure.take().or_else(|| Some(failure::words_of_error(data)));
        } else if over && data != b"[DONE]" {
            self.failure = self.failure.take().or_else(|| failure::words(data));
        }
        if !over && is_piece(kind, data) {
            self.pieces += 1;
            text.add(data);
        }
    }
}

/// Whether the event of this name or type is a stream's last.
fn is_last(name: &[u8]) -> bool {
    matches!(
        name,
        b"message_stop"
            | b"response.completed"
            | b"response.failed"
            | b"response.incomplete"
            | b"response.cancelled"
            | b"error"
    )
}

/// Whether the stream ends with this data. Some servers leave the names of events out, or end every stream as OpenAI's
/// first API did.
fn ends_stream(kind: Stream, data: &[u8]) -> bool {
    if data == b"[DONE]"
        || data.strip_prefix(b"{").is_some_and(|d| d.trim_ascii_start().starts_with(b"\"error\""))
    {
        return true;
    }
    let names: &[_] = match kind {
        Stream::Responses => &LAST_RESPONSES,
        Stream::Messages => &LAST_MESSAGES,
        _ => return false,
    };
    // Only what is the object's own type counts, not what stands somewhere in it.
    names.iter().chain([&ERROR]).any(|name| name.find(data).is_some())
        && type_of(data).is_some_and(|name| is_last(name.as_bytes()))
}

/// Whether lines end with a blank one, which ends an event.
pub(super) fn ends_event(lines: &[u8]) -> bool {
    let last = lines.strip_suffix(b"\n").unwrap_or(lines);
    let before = last.strip_suffix(b"\r").unwrap_or(last);
    before.last().is_none_or(|byte| matches!(byte, b'\n' | b'\r'))
}

/// Whether a line without its end is a stream's last: nothing that could still come would change what it says.
pub(super) fn is_last_line(kind: Stream, line: &[u8]) -> bool {
    let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return false };
    data == b"[DONE]" || (kind != Stream::Ndjson && ends_stream(kind, data) && failure::is_json(data))
}

/// Whether data carries a piece of the output: of the two APIs that name their events, those called some `delta`.
fn is_piece(kind: Stream, data: &[u8]) -> bool {
    kind == Stream::Done || DELTA.find(data).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_reason_ends_nothing() {
        for (line, finished) in [
            (r#"data: {"choices":[{"finish_reason":"stop"}]}"#, true),
            (r#"data: {"choices":[{"finish_reason" : "length"}]}"#, true),
            (r#"data: {"choices":[{"finish_reason":""}]}"#, false),
            (r#"data: {"choices":[{"finish_reason":null}]}"#, false),
        ] {
            assert_eq!(has_text(line.as_bytes(), &FINISH_REASON), finished, "{line}");
        }
    }
}
