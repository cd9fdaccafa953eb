//! A stream taken apart into its objects: lines, or server-sent events (WHATWG HTML, 9.2.6).

use std::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};
use serde::de::IgnoredAny;

use super::LONGEST;
use crate::api::route::Stream;

/// What UTF-8 may begin with.
pub(super) const BOM: &[u8] = "\u{feff}".as_bytes();

/// An object of a stream does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endless;

/// A line or an event, with all that ends it.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    /// Where its data is.
    pub(super) data: Range<usize>,
}

impl Frame {
    /// What else of an event is text, before and behind its data: its name and id, comments.
    pub(super) fn beside(&self) -> impl Iterator<Item = Range<usize>> + use<'_> {
        let before = &self.bytes[..self.data.start];
        let before = before.strip_suffix(b" ").unwrap_or(before);
        let before = before.strip_suffix(b"data:").unwrap_or(before).len();
        [0..before, self.data.end..self.bytes.len()]
            .into_iter()
            .filter(|range| !is_nothing(self.bytes[range.clone()].trim_ascii()))
    }
}

/// Whether nothing can be found in it: the name of an event of the APIs, or nothing at all.
fn is_nothing(text: &[u8]) -> bool {
    let name = text.strip_prefix(b"event:").map_or(text, <[u8]>::trim_ascii);
    text.is_empty()
        || (name.len() < text.len() && name.iter().all(|b| matches!(b, b'a'..=b'z' | b'_' | b'.')))
}

#[derive(Debug)]
pub(super) struct Frames {
    events: bool,
    held: BytesMut,
    /// Where the line begins that was not read yet.
    line: usize,
    /// How far the end of that line was looked for.
    searched: usize,
    /// The data of the last line of the event that has any.
    last: Range<usize>,
    /// What may stand before the first was looked for.
    begun: bool,
    /// Nothing more comes.
    over: bool,
}

impl Frames {
    pub(super) fn new(framing: Stream) -> Self {
        Self {
            events: framing != Stream::Ndjson,
            held: BytesMut::new(),
            line: 0,
            searched: 0,
            last: 0..0,
            begun: false,
            over: false,
        }
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    pub(super) fn end(&mut self) {
        self.over = true;
    }

    /// The next that is whole.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Endless> {
        if !self.begun {
            if !self.over && self.held.len() < BOM.len() && BOM.starts_with(&self.held) {
                return Ok(None);
            }
            // Clients skip it, and would read the line behind it.
            if self.held.starts_with(BOM) {
                self.held.advance(BOM.len());
            }
            self.begun = true;
        }
        let end = if self.events { self.event() } else { self.line() };
        let end = end.or((self.over && !self.held.is_empty()).then_some(self.held.len()));
        let Some(end) = end else {
            return if self.held.len() > LONGEST { Err(Endless) } else { Ok(None) };
        };
        (self.line, self.searched, self.last) = (0, 0, 0..0);
        let bytes = self.held.split_to(end).freeze();
        Ok(Some(if self.events { of_event(bytes) } else { Frame { data: 0..bytes.len(), bytes } }))
    }

    fn line(&mut self) -> Option<usize> {
        let found = memchr::memchr(b'\n', &self.held[self.line..]);
        let end = found.map(|at| self.line + at + 1);
        self.line = self.held.len();
        end
    }

    /// The end of the first event: behind a blank line, or where another object begins without one.
    fn event(&mut self) -> Option<usize> {
        loop {
            let start = self.line;
            let from = self.searched.max(start);
            self.searched = self.held.len();
            let end = from + memchr::memchr2(b'\n', b'\r', &self.held[from..])?;
            self.searched = end;
            let next = match self.held[end..] {
                [b'\r', b'\n', ..] => end + 2,
                // An LF may belong to it.
                [b'\r'] if !self.over => return None,
                _ => end + 1,
            };
            if end == start {
                return Some(next);
            }
            if let Some(data) = data(&self.held[start..end]).next() {
                // Those before that were looked at when the next came.
                if is_whole(&self.held[self.last.clone()]) {
                    return Some(start);
                }
                self.last = start + data.start..start + data.end;
            }
            self.line = next;
        }
    }
}

/// Whether data is an object by itself, or the word that ends a stream.
fn is_whole(data: &[u8]) -> bool {
    data == b"[DONE]" || (!data.is_empty() && serde_json::from_slice::<IgnoredAny>(data).is_ok())
}

/// Where the data of each line of an event is.
fn data(event: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < event.len() {
            let start = at;
            let end = memchr::memchr2(b'\n', b'\r', &event[start..]).map_or(event.len(), |n| start + n);
            at = end + 1;
            if let Some(data) = event[start..end].strip_prefix(b"data:") {
                let data = data.strip_prefix(b" ").unwrap_or(data);
                return Some(end - data.len()..end);
            }
        }
        None
    })
}

/// An event whose data stands in one line: where it does not, it is written so.
fn of_event(bytes: Bytes) -> Frame {
    let lines: Vec<_> = data(&bytes).collect();
    let (first, more) = match &lines[..] {
        [] => return Frame { data: bytes.len()..bytes.len(), bytes },
        [line] => return Frame { data: line.clone(), bytes },
        [first, more @ ..] => (first, more),
    };
    let mut written = bytes[..first.end].to_vec();
    let mut kept = first.end;
    for line in more {
        written.push(b' ');
        written.extend_from_slice(&bytes[line.clone()]);
    }
    let end = written.len();
    for line in more {
        // The line with its name, and what ended the one before.
        let name = memchr::memrchr2(b'\n', b'\r', &bytes[..line.start]).unwrap_or(kept);
        written.extend_from_slice(&bytes[kept..name.max(kept)]);
        kept = line.end;
    }
    written.extend_from_slice(&bytes[kept..]);
    Frame { bytes: written.into(), data: first.start..end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_of_events_are_not_searched() {
        for (text, searched) in [
            ("event: response.output_text.delta\ndata: {}\n\n", 0),
            ("event:ping\r\ndata: {}\r\n\r\n", 0),
            ("event: anna@example.org\ndata: {}\n\n", 1),
            ("event: ping\nid: anna\ndata: {}\n\n", 1),
            ("ping\ndata: {}\n: anna\n\n", 2),
        ] {
            assert_eq!(of_event(text.into()).beside().count(), searched, "{text}");
        }
    }

    fn all(framing: Stream, text: &str, size: usize) -> Vec<(String, String)> {
        let mut frames = Frames::new(framing);
        let mut out = Vec::new();
        let mut take = |frames: &mut Frames| {
            while let Some(Frame { bytes, data }) = frames.next().unwrap() {
                let text = |range: Range<usize>| String::from_utf8_lossy(&bytes[range]).into_owned();
                out.push((text(0..bytes.len()), text(data)));
            }
        };
        for piece in text.as_bytes().chunks(size) {
            frames.add(piece);
            take(&mut frames);
        }
        frames.end();
        take(&mut frames);
        out
    }

    #[test]
    fn events_and_lines_come_whole_however_they_are_cut() {
        let events =
            "event: a\ndata: {\"a\":1}\n\n: ping\n\ndata:{\"b\":2}\r\n\r\ndata: {\"c\":3}\ndata: [DONE]\n\n";
        let wanted = [
            ("event: a\ndata: {\"a\":1}\n\n", "{\"a\":1}"),
            (": ping\n\n", ""),
            ("data:{\"b\":2}\r\n\r\n", "{\"b\":2}"),
            ("data: {\"c\":3}\n", "{\"c\":3}"),
            ("data: [DONE]\n\n", "[DONE]"),
        ];
        let lines = "{\"a\":1}\n{\"b\":2}";
        for size in 1..events.len() {
            let got = all(Stream::Done, events, size);
            assert_eq!(got.iter().map(|(a, b)| (&**a, &**b)).collect::<Vec<_>>(), wanted, "{size}");
            let got: Vec<_> = all(Stream::Ndjson, lines, size).into_iter().map(|frame| frame.0).collect();
            assert_eq!(got, ["{\"a\":1}\n", "{\"b\":2}"], "{size}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_none_of_the_first_line() {
        for (framing, text, data) in
            [(Stream::Done, "\u{feff}data: {}\n\n", "{}"), (Stream::Ndjson, "\u{feff}{}\n", "{}\n")]
        {
            for size in 1..text.len() {
                let got = all(framing, text, size);
                assert_eq!(got, [(text.trim_start_matches('\u{feff}').into(), data.into())], "{size}");
            }
        }
        assert_eq!(all(Stream::Ndjson, "\u{feff}", 1), []);
    }

    #[test]
    fn data_on_several_lines_is_read_as_one() {
        let got = all(Stream::Done, "id: 1\ndata: {\"a\":\ndata: 1}\nevent: x\n\n", 7);
        assert_eq!(got, [("id: 1\ndata: {\"a\": 1}\nevent: x\n\n".into(), "{\"a\": 1}".into())]);
    }
}
