//! What passes over a node's answer while it is forwarded: it finds the end and the token counts, holds back
//! nothing but the unfinished line (useless to a client, and not to be followed by an error in mid-line),
//! and takes out the usage chunk a client did not ask for.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::{memmem, memrchr};

use super::{
    pieces::Pieces,
    route::Stream,
    usage::{EventData, OllamaLine, Usage, of_tail},
};

/// A line longer than this is passed on unread; whether the stream ended properly is then not known.
const LONGEST_LINE: usize = 4 << 20;

/// How much of the end of a single-object answer is kept to read counts from.
const TAIL: usize = 2048;

/// How much of its beginning: some servers write the usage of embeddings before the vectors.
const HEAD: usize = 512;

/// Bytes of a single object that are not what the model wrote, about.
const ENVELOPE: u64 = 256;

/// Bytes of text per token, about.
pub const BYTES_PER_TOKEN: u64 = 4;

/// How Ollama ends every chunk of `/v1/completions` but the last where usage is asked for.
const EMPTY_USAGE: &[u8] = br#","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#;

/// How an answer is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One object, or bytes of no interest.
    Whole,
    /// Lines or events.
    Lines(Stream),
}

/// Meters one answer.
#[derive(Debug)]
pub struct Meter {
    shape: Shape,
    /// Take out the usage chunk.
    strip: bool,
    /// Drop the blank line after a chunk taken out.
    skip_blank: bool,
    /// The line that has not ended yet.
    held: Vec<u8>,
    /// The end of an answer of [`Shape::Whole`].
    tail: Bytes,
    /// The beginning of one.
    head: Bytes,
    /// Lines that went by, or bytes of an answer of [`Shape::Whole`].
    seen: u64,
    /// A terminator, or the node's own error, went by.
    ended: bool,
    /// A line was too long to be read.
    blind: bool,
    /// The bytes passed on so far end with a line end.
    at_line_start: bool,
    usage: Usage,
}

impl Meter {
    /// For a stream of `kind`; `strip` takes out a usage chunk that the client did not ask for.
    #[must_use]
    pub fn stream(kind: Stream, strip: bool) -> Self {
        let shape = if kind == Stream::Never { Shape::Whole } else { Shape::Lines(kind) };
        Self {
            shape,
            strip,
            skip_blank: false,
            held: Vec::new(),
            tail: Bytes::new(),
            head: Bytes::new(),
            seen: 0,
            ended: false,
            blind: false,
            at_line_start: true,
            usage: Usage::default(),
        }
    }

    /// For an answer that is one object.
    #[must_use]
    pub fn whole() -> Self {
        Self::stream(Stream::Never, false)
    }

    /// Takes a chunk from the node and puts what goes to the client into `out`.
    pub fn pass(&mut self, chunk: Bytes, out: &mut Pieces) {
        let Shape::Lines(kind) = self.shape else {
            self.keep_head(&chunk);
            self.seen += chunk.len() as u64;
            self.keep_tail(&chunk);
            out.push(chunk);
            return;
        };
        self.seen += memchr::memchr_iter(b'\n', &chunk).count() as u64;
        let Some(last) = memrchr(b'\n', &chunk) else {
            self.hold(&chunk, out);
            return;
        };
        let (lines, rest) = (chunk.slice(..=last), chunk.slice(last + 1..));
        self.at_line_start = true;
        if self.held.is_empty() {
            self.lines(kind, lines, out);
        } else {
            // The line that was cut by the chunk's end goes out whole, as one piece.
            let first = memchr::memchr(b'\n', &lines).map_or(lines.len(), |at| at + 1);
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(&lines[..first]);
            self.lines(kind, Bytes::from(joined), out);
            if first < lines.len() {
                self.lines(kind, lines.slice(first..), out);
            }
        }
        if !rest.is_empty() {
            self.hold(&rest, out);
        }
    }

    fn hold(&mut self, part: &[u8], out: &mut Pieces) {
        if self.blind && !self.at_line_start {
            out.push(Bytes::copy_from_slice(part));
            return;
        }
        self.held.extend_from_slice(part);
        if self.held.len() > LONGEST_LINE {
            self.blind = true;
            self.at_line_start = false;
            out.push(Bytes::from(std::mem::take(&mut self.held)));
        }
    }

    fn keep_head(&mut self, chunk: &Bytes) {
        let more = chunk.slice(..chunk.len().min(HEAD - self.head.len()));
        if self.head.is_empty() {
            self.head = more;
        } else if !more.is_empty() {
            self.head = [&self.head[..], &more].concat().into();
        }
    }

    fn keep_tail(&mut self, chunk: &Bytes) {
        let over = (self.tail.len() + chunk.len()).saturating_sub(TAIL);
        if over >= self.tail.len() {
            // The chunk is all of the tail, which then shares its bytes.
            self.tail = chunk.slice(chunk.len().saturating_sub(TAIL)..);
        } else {
            self.tail = [&self.tail[over..], chunk].concat().into();
        }
    }

    /// Passes on complete lines.
    fn lines(&mut self, kind: Stream, lines: Bytes, out: &mut Pieces) {
        match kind {
            Stream::Ndjson => self.ndjson(&lines),
            _ if self.strip && (self.skip_blank || has_usage(&lines)) => {
                let kept = self.without_usage(kind, &lines);
                if !kept.is_empty() {
                    out.push(Bytes::from(kept));
                }
                return;
            }
            _ => self.events(kind, &lines),
        }
        out.push(lines);
    }

    fn ndjson(&mut self, lines: &[u8]) {
        if self.ended {
            return;
        }
        let body = &lines[..lines.len() - 1];
        let last = memrchr(b'\n', body).map_or(body, |at| &body[at + 1..]);
        if last.starts_with(b"{\"error\"") {
            self.ended = true;
        } else if has_member(lines, &DONE, b't') {
            for line in body.split(|b| *b == b'\n') {
                if let Some(line) = OllamaLine::read(line).filter(|l| l.done) {
                    self.ended = true;
                    self.usage.absorb(line.usage());
                }
            }
        }
    }

    fn events(&mut self, kind: Stream, lines: &[u8]) {
        if !self.ended && terminator(kind, lines) {
            self.ended = true;
        }
        if has_usage(lines) {
            for line in lines.split(|b| *b == b'\n') {
                self.read_usage(line);
            }
        }
    }

    fn read_usage(&mut self, line: &[u8]) -> bool {
        let Some(event) = line.strip_prefix(b"data:").filter(|l| has_usage(l)).and_then(EventData::read)
        else {
            return false;
        };
        if let Some(usage) = event.usage() {
            self.usage.absorb(usage);
        }
        event.usage_only()
    }

    fn without_usage(&mut self, kind: Stream, lines: &[u8]) -> Vec<u8> {
        let mut kept = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|b| *b == b'\n') {
            let blank = line.trim_ascii().is_empty();
            if std::mem::take(&mut self.skip_blank) && blank {
                continue;
            }
            if self.read_usage(line) {
                self.skip_blank = true;
                continue;
            }
            match line.trim_ascii_end().strip_suffix(EMPTY_USAGE) {
                Some(before) => {
                    kept.extend_from_slice(before);
                    kept.push(b'}');
                    kept.extend_from_slice(&line[before.len() + EMPTY_USAGE.len()..]);
                }
                None => kept.extend_from_slice(line),
            }
        }
        if !self.ended && terminator(kind, &kept) {
            self.ended = true;
        }
        kept
    }

    /// Called when the node's answer is over, cleanly or not: passes on what was held back, if it can be of
    /// use, and says whether the answer was complete.
    pub fn finish(&mut self, clean: bool, out: &mut Pieces) -> End {
        let Shape::Lines(kind) = self.shape else {
            self.usage = of_tail(&self.tail);
            if self.usage == Usage::default() {
                self.usage = of_tail(&self.head);
            }
            if has_member(&self.tail, &DONE, b't') {
                self.usage.or_zero();
            }
            return if clean { End::Complete } else { End::Cut };
        };
        if clean && !self.held.is_empty() {
            // A last line without its line end: whole if the answer ended in order.
            let mut line = std::mem::take(&mut self.held);
            line.push(b'\n');
            self.lines(kind, Bytes::from(line), out);
        }
        if self.ended || (clean && self.blind) {
            End::Complete
        } else if self.blind && !self.at_line_start {
            End::Cut
        } else {
            End::Missing
        }
    }

    /// Whether a terminator, or the node's own error, went by.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Tokens of output that went by, about: streams have one in a line or event, and of a single object most
    /// is text. For answers whose node did not count.
    #[must_use]
    pub fn produced(&self) -> u64 {
        match self.shape {
            Shape::Whole => self.seen.saturating_sub(ENVELOPE) / BYTES_PER_TOKEN,
            Shape::Lines(Stream::Ndjson) => self.seen,
            // Data and a blank line.
            Shape::Lines(Stream::Done) => self.seen / 2,
            // And a line with the event's name before.
            Shape::Lines(_) => self.seen / 3,
        }
    }

    /// The counts read so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With its terminator, or with the node's own error.
    Complete,
    /// Between two lines: the dialect's error can follow.
    Missing,
    /// In the middle of something: nothing can follow, the connection must be broken off.
    Cut,
}

static USAGE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("\"usage\""));
static DONE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("\"done\""));

/// Whether these lines have a `usage` that is not null.
fn has_usage(lines: &[u8]) -> bool {
    has_member(lines, &USAGE, b'{')
}

/// Whether a member of some object in these lines has a value that begins with `first`. Text cannot be
/// mistaken for it: its quotes are escaped.
fn has_member(lines: &[u8], key: &memmem::Finder<'_>, first: u8) -> bool {
    key.find_iter(lines).any(|at| {
        let value = lines[at + key.needle().len()..].trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|v| v.trim_ascii_start().first() == Some(&first))
    })
}

fn terminator(kind: Stream, lines: &[u8]) -> bool {
    let quick: &[&[u8]] = match kind {
        Stream::Done => &[b"[DONE]", b"\"error\""],
        Stream::Responses => &[b"response.", b"error"],
        _ => &[b"message_stop", b"error"],
    };
    if !quick.iter().any(|q| memmem::find(lines, q).is_some()) {
        return false;
    }
    lines.split(|b| *b == b'\n').any(|line| ends_stream(kind, line))
}

fn ends_stream(kind: Stream, line: &[u8]) -> bool {
    let field = |name: &[u8]| line.strip_prefix(name).map(<[u8]>::trim_ascii);
    match kind {
        Stream::Done => field(b"data:").is_some_and(|d| d == b"[DONE]" || d.starts_with(b"{\"error\"")),
        Stream::Responses => {
            field(b"event:").is_some_and(|e| {
                matches!(e, b"response.completed" | b"response.failed" | b"response.incomplete" | b"error")
            }) || field(b"data:").is_some_and(|d| d.starts_with(b"{\"error\""))
        }
        _ => field(b"event:").is_some_and(|e| matches!(e, b"message_stop" | b"error")),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::{End, Meter};
    use crate::api::{pieces::Pieces, route::Stream, usage::Usage};

    fn run(mut meter: Meter, text: &str, cuts: &[usize], clean: bool) -> (String, End, Usage) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let mut out = Pieces::default();
        let mut start = 0;
        for cut in cuts.iter().copied().chain([text.len()]) {
            if cut > start {
                meter.pass(bytes.slice(start..cut), &mut out);
                start = cut;
            }
        }
        let end = meter.finish(clean, &mut out);
        let all: Vec<u8> = std::iter::from_fn(|| out.pop()).flatten().collect();
        (String::from_utf8(all).unwrap(), end, meter.usage())
    }

    const CHAT: &str = "{\"message\":{\"content\":\"\\\"done\\\":true\"},\"done\":false}\n\
        {\"message\":{\"tool_calls\":[{\"function\":{\"arguments\":{\"done\":true}}}]},\"done\":false}\n\
        {\"done\":true,\"context\":[1,2],\"prompt_eval_count\":5,\"eval_count\":7}\n";

    const SSE: &str = "data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n";

    #[test]
    fn an_empty_usage_in_every_chunk_goes_with_the_usage_chunk() {
        let chunk = |usage: &str| format!("data: {{\"choices\":[{{\"text\":\"a\"}}]{usage}}}\n\n");
        let empty = chunk(r#","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#);
        let last = &SSE[SSE.find("data: {\"choices\":[],").unwrap()..];
        let sent = format!("{empty}{empty}{last}");
        let want = format!("{0}{0}data: [DONE]\n\n", chunk(""));
        for cut in 0..sent.len() {
            let (text, end, usage) = run(Meter::stream(Stream::Done, true), &sent, &[cut], true);
            assert_eq!((text, end, usage), (want.clone(), End::Complete, COUNTED), "cut at {cut}");
        }
    }

    const COUNTED: Usage = Usage { prompt: Some(5), output: Some(7) };

    #[test]
    fn ndjson_is_whole_and_counted_wherever_it_is_cut() {
        for cut in 0..CHAT.len() {
            let (text, end, usage) = run(Meter::stream(Stream::Ndjson, false), CHAT, &[cut], true);
            assert_eq!((text.as_str(), end, usage), (CHAT, End::Complete, COUNTED), "cut at {cut}");
        }
    }

    #[test]
    fn a_broken_stream_stops_at_a_line() {
        let broken = &CHAT[..CHAT.len() - 20];
        let (text, end, _) = run(Meter::stream(Stream::Ndjson, false), broken, &[], false);
        assert_eq!(end, End::Missing);
        assert!(text.ends_with('\n'), "{text}");
        let (_, end, _) = run(Meter::stream(Stream::Ndjson, false), "{\"done\":false}\n", &[], true);
        assert_eq!(end, End::Missing);
        let (_, end, _) = run(Meter::stream(Stream::Ndjson, false), "{\"error\":\"x\"}\n", &[], true);
        assert_eq!(end, End::Complete);
    }

    #[test]
    fn the_usage_chunk_is_taken_out_wherever_it_is_cut() {
        let want = "data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\ndata: [DONE]\n\n";
        for cut in 0..SSE.len() {
            let (text, end, usage) = run(Meter::stream(Stream::Done, true), SSE, &[cut], true);
            assert_eq!((text.as_str(), end, usage), (want, End::Complete, COUNTED), "cut at {cut}");
            let (text, ..) = run(Meter::stream(Stream::Done, false), SSE, &[cut], true);
            assert_eq!(text, SSE);
        }
    }

    #[test]
    fn messages_and_responses_end_by_their_events() {
        let messages = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n\
            event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7}}\n\n\
            event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        let (_, end, usage) = run(Meter::stream(Stream::Messages, false), messages, &[40, 90], true);
        assert_eq!((end, usage), (End::Complete, COUNTED));
        let responses = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":7}}}\n\n";
        let (_, end, usage) = run(Meter::stream(Stream::Responses, false), responses, &[30], true);
        assert_eq!((end, usage), (End::Complete, COUNTED));
        let (_, end, _) =
            run(Meter::stream(Stream::Responses, false), "event: response.created\ndata: {}\n\n", &[], true);
        assert_eq!(end, End::Missing);
    }

    #[test]
    fn whole_answers_are_counted_from_their_tail() {
        let text = format!("{{\"x\":\"{}\",\"prompt_eval_count\":5,\"eval_count\":7}}", "y".repeat(5000));
        let (out, end, usage) = run(Meter::whole(), &text, &[10, 3000], true);
        assert_eq!((out.len(), end, usage), (text.len(), End::Complete, COUNTED));
        assert_eq!(run(Meter::whole(), &text, &[], false).1, End::Cut);
        // Embeddings of llama.cpp.
        let text = format!(
            "{{\"usage\":{{\"prompt_tokens\":5,\"total_tokens\":5}},\"data\":\"{}\"}}",
            "y".repeat(9000)
        );
        assert_eq!(run(Meter::whole(), &text, &[10, 3000], true).2, Usage { prompt: Some(5), output: None });
    }

    #[test]
    fn ollama_leaves_out_what_is_zero() {
        let zero = Usage { prompt: Some(0), output: Some(0) };
        let last = "{\"response\":\"\",\"done\":true,\"done_reason\":\"load\"}\n";
        assert_eq!(run(Meter::stream(Stream::Ndjson, false), last, &[], true).2, zero);
        assert_eq!(run(Meter::whole(), last, &[], true).2, zero);
        // It ends the stream, and tells nothing of what was produced.
        let broken = "{\"done\":false}\n{\"error\":\"x\"}\n";
        assert_eq!(run(Meter::stream(Stream::Ndjson, false), broken, &[], true).2, Usage::default());
    }

    #[test]
    fn what_went_by_is_estimated() {
        let mut out = Pieces::default();
        for (kind, text, want) in
            [(Stream::Ndjson, "{}\n{}\n", 2), (Stream::Done, SSE, 3), (Stream::Never, &*"y".repeat(656), 100)]
        {
            let mut meter = Meter::stream(kind, false);
            meter.pass(Bytes::copy_from_slice(text.as_bytes()), &mut out);
            assert_eq!(meter.produced(), want, "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_reordered(lines in prop::collection::vec("[a-z\"{}: ]{0,12}", 0..8),
            cuts in prop::collection::vec(0usize..120, 0..6)) {
            let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|c| *c < text.len()).collect();
            cuts.sort_unstable();
            for kind in [Stream::Ndjson, Stream::Done, Stream::Messages, Stream::Responses] {
                let (out, ..) = run(Meter::stream(kind, false), &text, &cuts, true);
                prop_assert_eq!(&out, &text);
            }
        }
    }
}
