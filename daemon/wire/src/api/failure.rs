//! What a node says went wrong, found in its answers: the words of an error object, and whether a stream begins with
//! one instead of output.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::route::Stream;

/// Characters kept of a node's words.
const WORDS: usize = 200;

/// How much of a stream's first line is looked at: an error object names itself at its beginning.
const NAMED_WITHIN: usize = 64;

/// The longest error a stream's first line may be and still be recognised as such.
const LONGEST: usize = 4 << 10;

/// How a stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// Too little came to say it.
    Unknown,
    /// With output, or with what is no error.
    Output,
    /// With an error; the node's words.
    Error(String),
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    detail: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    object: Option<Cow<'a, str>>,
}

/// The node's words in an object that reports an error in any of the dialects' forms; None if it reports none.
#[must_use]
pub fn words(object: &[u8]) -> Option<String> {
    words_within(object, 2)
}

/// The node's words in the data of an event whose name says that it is an error: whatever is there.
#[must_use]
pub fn words_of_error(data: &[u8]) -> String {
    let plain = || {
        let read: Object<'_> = serde_json::from_slice(data).ok()?;
        read.message.or(read.detail).map(|text| cut(&text))
    };
    words(data).or_else(plain).unwrap_or_else(|| match serde_json::from_slice::<Cow<'_, str>>(data) {
        Ok(text) => cut(&text),
        Err(_) if is_json(data) => String::new(),
        Err(_) => cut(&String::from_utf8_lossy(data)),
    })
}

/// Whether it is JSON, and whole.
pub(crate) fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

fn words_within(object: &[u8], depth: u8) -> Option<String> {
    let read: Object<'_> = serde_json::from_slice(object).ok()?;
    let says_error = [&read.kind, &read.object].into_iter().flatten().any(|name| name == "error");
    if let Some(error) = read.error.filter(|raw| !matches!(raw.get(), "null" | "false" | "\"\"")) {
        if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(error.get()) {
            return Some(cut(&text));
        }
        let inner: Option<Object<'_>> = serde_json::from_str(error.get()).ok();
        return Some(inner.and_then(|inner| inner.message).map_or_else(String::new, |text| cut(&text)));
    }
    if says_error {
        return Some(read.message.or(read.detail).map_or_else(String::new, |text| cut(&text)));
    }
    // `response.failed` carries the whole response.
    let failed = read.kind.is_some_and(|kind| kind == "response.failed");
    let response = read.response.filter(|_| failed && depth > 0)?;
    words_within(response.get().as_bytes(), depth - 1)
}

/// The beginning of a text that is shown to people.
fn cut(text: &str) -> String {
    text.chars().take(WORDS).collect()
}

/// How a stream of `kind` begins, of which `held` has come.
#[must_use]
pub fn opening(kind: Stream, held: &[u8]) -> Opening {
    let mut in_error = false;
    let mut lines = held.split_inclusive(|byte| matches!(byte, b'\n' | b'\r'));
    loop {
        let rest = lines.clone();
        let Some(line) = lines.next() else { return Opening::Unknown };
        let complete = matches!(line.last(), Some(b'\n' | b'\r'));
        let text = line.trim_ascii();
        if complete && text.is_empty() {
            continue;
        }
        // What only says that the node is still there, or how to come back.
        if kind != Stream::Ndjson && QUIET.iter().any(|field| text.starts_with(field)) {
            if complete {
                continue;
            }
            return Opening::Unknown;
        }
        if kind == Stream::Ndjson {
            return of_object(text, complete);
        }
        if let Some(data) = text.strip_prefix(b"data:").map(<[u8]>::trim_ascii_start) {
            if complete && data.starts_with(b"{") && !is_json(data) {
                return of_lines(rest, in_error);
            }
            return match in_error {
                true if complete => Opening::Error(words_of_error(data)),
                true if data.len() < LONGEST => Opening::Unknown,
                _ => of_object(data, complete),
            };
        }
        let Some(name) = text.strip_prefix(b"event:").map(<[u8]>::trim_ascii) else {
            let fields = [&b"data:"[..], b"event:"].into_iter().chain(QUIET);
            let cut = !complete && fields.into_iter().any(|field| field.starts_with(text));
            return if cut { Opening::Unknown } else { Opening::Output };
        };
        match complete {
            // Its words are in the line that follows.
            true if ERRORS.contains(&name) => in_error = name == b"error",
            false if ERRORS.iter().any(|error| error.starts_with(name)) => return Opening::Unknown,
            _ => return Opening::Output,
        }
    }
}

/// How lines begin that are no output: comments, and fields beside an event.
/// <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>
const QUIET: [&[u8]; 3] = [b":", b"id:", b"retry:"];

/// Names of events that report an error.
const ERRORS: [&[u8]; 2] = [b"error", b"response.failed"];

/// An event whose data is an object that stands on several lines, which a newline joins (WHATWG HTML, 9.2.6).
fn of_lines<'a>(lines: impl Iterator<Item = &'a [u8]>, in_error: bool) -> Opening {
    let mut object = Vec::new();
    let mut after_cr = false;
    for line in lines {
        // The LF of a CRLF is none of its own.
        let is_rest = std::mem::replace(&mut after_cr, line.ends_with(b"\r")) && line == b"\n";
        let text = line.trim_ascii();
        let is_blank = text.is_empty() && !is_rest;
        if let Some(data) = text.strip_prefix(b"data:") {
            object.extend_from_slice(data);
            object.push(b'\n');
        }
        let complete = matches!(line.last(), Some(b'\n' | b'\r'));
        if is_blank || object.len() > LONGEST || (complete && is_json(&object)) {
            return if in_error { Opening::Error(words_of_error(&object)) } else { of_object(&object, true) };
        }
    }
    Opening::Unknown
}

fn of_object(text: &[u8], complete: bool) -> Opening {
    if complete {
        let named = memmem::find(text, b"error").is_some() || memmem::find(text, b"failed").is_some();
        return named.then(|| words(text)).flatten().map_or(Opening::Output, Opening::Error);
    }
    if text.len() < NAMED_WITHIN {
        return Opening::Unknown;
    }
    let begins = memmem::find(&text[..NAMED_WITHIN], b"error").is_some()
        || memmem::find(&text[..NAMED_WITHIN], b"failed").is_some();
    if begins && text.len() < LONGEST { Opening::Unknown } else { Opening::Output }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_every_dialect() {
        for (object, want) in [
            (r#"{"error":"unexpected EOF"}"#, Some("unexpected EOF")),
            (
                r#"{"error":{"message":"out of memory","type":"api_error","code":null}}"#,
                Some("out of memory"),
            ),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#, Some("busy")),
            (r#"{"object":"error","message":"engine is dead","code":500}"#, Some("engine is dead")),
            (r#"{"type":"response.failed","response":{"error":{"message":"crashed"}}}"#, Some("crashed")),
            (r#"{"error":{"code":500}}"#, Some("")),
            (r#"{"error":null,"choices":[]}"#, None),
            (r#"{"message":{"content":"an error"},"done":false}"#, None),
            (r#"{"model":"m","response":"error","done":false}"#, None),
            ("no JSON", None),
        ] {
            assert_eq!(words(object.as_bytes()).as_deref(), want, "{object}");
        }
        assert_eq!(words(format!(r#"{{"error":"{}"}}"#, "x".repeat(5000)).as_bytes()).unwrap().len(), WORDS);
    }

    #[test]
    fn a_stream_that_begins_with_an_error_is_recognised_wherever_it_is_cut() {
        let error = |text: &str| Opening::Error(text.to_owned());
        for (kind, text, want) in [
            (
                Stream::Ndjson,
                "{\"error\":\"llama runner process has terminated\"}\n",
                "llama runner process has terminated",
            ),
            (Stream::Done, "data: {\"error\":{\"message\":\"x\"}}\n\n", "x"),
            (Stream::Done, "data:{\"object\":\"error\",\"message\":\"x\"}\r\n\r\n", "x"),
            (Stream::Done, "event: error\ndata: {\"message\":\"x\",\"code\":500}\n\n", "x"),
            (Stream::Messages, "event: error\ndata: {\"detail\": \"x\"}\n\n", "x"),
            (Stream::Responses, "event: error\ndata: x\n\n", "x"),
            (Stream::Done, "data: {\ndata:   \"error\": {\ndata: \"message\": \"x\"}}\n\n", "x"),
            (Stream::Messages, "event: error\r\ndata: {\r\ndata: \"message\":\"x\"}\r\n\r\n", "x"),
            (Stream::Messages, "event: error\rdata: {\rdata: \"message\":\"x\"}\r\r", "x"),
            (
                Stream::Messages,
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"x\"}}\n\n",
                "x",
            ),
            (
                Stream::Responses,
                "event: response.failed\r\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"message\":\"x\"}}}\r\n\r\n",
                "x",
            ),
        ] {
            assert_eq!(opening(kind, text.as_bytes()), error(want), "{text}");
            let end = text.trim_ascii_end().len();
            for at in 0..end {
                assert_eq!(opening(kind, &text.as_bytes()[..at]), Opening::Unknown, "{text} cut at {at}");
            }
        }
    }

    #[test]
    fn a_stream_that_begins_with_output_is_held_no_longer_than_it_takes_to_see_it() {
        for (kind, text) in [
            (
                Stream::Ndjson,
                "{\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\"",
            ),
            (Stream::Ndjson, "{\"model\":\"error\"}\n"),
            (Stream::Done, "data: {\"id\":\"x\"}\n"),
            (Stream::Done, "data: [DONE]\n"),
            (Stream::Messages, "event: message_start\n"),
            (Stream::Messages, "event: m"),
            (Stream::Done, ": ping\n\ndata: {\"id\":\"x\"}\n"),
            (Stream::Done, "id: 7\ndata: [DONE]\n"),
            (Stream::Done, "data: {\ndata: \"id\":\"x\"}\n"),
            (Stream::Done, "data: {x\n\n"),
        ] {
            assert_eq!(opening(kind, text.as_bytes()), Opening::Output, "{text}");
        }
        for text in [": ping\n\n", ": pi", "retry: 10\r\nid: 7\r\n: still there\r\n\r\n", "retr"] {
            assert_eq!(opening(Stream::Done, text.as_bytes()), Opening::Unknown, "{text}");
        }
        let endless = format!("{{\"error\":\"{}", "x".repeat(LONGEST));
        assert_eq!(opening(Stream::Ndjson, endless.as_bytes()), Opening::Output);
        let endless = format!("data: {{\ndata: \"error\":\"{}", "x".repeat(LONGEST));
        assert_eq!(opening(Stream::Done, endless.as_bytes()), Opening::Output);
    }
}
