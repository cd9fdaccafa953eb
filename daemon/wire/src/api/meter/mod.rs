//! What passes over a node's answer while it is forwarded: it finds the end and the token counts, holds back
//! nothing but the unfinished line (useless to a client, and not to be followed by an error in mid-line),
//! and takes out the usage chunk a client did not ask for.

mod lines;
mod member;
#[cfg(test)]
mod tests;
mod text;

use bytes::Bytes;

use super::{
    pieces::Pieces,
    route::Stream,
    tail::{of_ollama, of_tail},
    timing::Timing,
    usage::{EventData, OllamaLine, Usage},
};
use lines::{Open, first_end, has_done, has_usage, is_of_llama, last_end};
pub use text::{Amount, BYTES_PER_TOKEN, may_count};
use text::{LineText, Text};

/// A line longer than this is passed on unread; whether the stream ended properly is then not known.
const LONGEST_LINE: usize = 4 << 20;

/// How much of the end of a single-object answer is kept to read counts from.
const TAIL: usize = 2048;

/// How much of its beginning: some servers write the usage of embeddings before the vectors.
const HEAD: usize = 512;

/// Bytes of a single object that are not what the model wrote, about.
const ENVELOPE: u64 = 256;

/// How Ollama ends every line but the last.
const UNDONE: &[u8] = br#","done":false}"#;

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
    /// Take out the usage that the client did not ask for.
    strip: bool,
    /// Drop the blank line after a chunk taken out.
    skip_blank: bool,
    /// The line that has not ended yet.
    held: Vec<u8>,
    /// The end of an answer of [`Shape::Whole`].
    tail: Bytes,
    /// The beginning of one that is longer than its `tail`.
    head: Bytes,
    /// Bytes that came.
    bytes: u64,
    /// Lines, or events that carry a piece of the output.
    pieces: u64,
    /// The text in them.
    lines_text: LineText,
    /// An event whose data has not ended yet.
    open: Open,
    /// The text of an answer of [`Shape::Whole`], once it has begun, if it is measured and JSON.
    whole_text: Option<Text>,
    measured: bool,
    /// A terminator, or the node's own error, went by.
    ended: bool,
    /// What the node said failed, if it did.
    failure: Option<String>,
    /// The model said why it stopped: all that is missing is the dialect's last line.
    finished: bool,
    /// The answer came to its end.
    complete: bool,
    /// The node counts the first of several answers alone.
    first_only: bool,
    /// The node gives the usage of a stream.
    has_usage: bool,
    /// The node gives llama.cpp's `timings`.
    has_timings: bool,
    /// A line was too long to be read.
    blind: bool,
    /// The bytes passed on so far end with a line end.
    at_line_start: bool,
    /// And that is a CR, which an LF may belong to.
    after_cr: bool,
    /// An event was begun whose blank line has not come.
    in_event: bool,
    usage: Usage,
    timing: Timing,
}

impl Meter {
    /// For a stream of `kind`; `strip` takes out usage that the client did not ask for.
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
            bytes: 0,
            pieces: 0,
            lines_text: LineText::default(),
            open: Open::default(),
            whole_text: None,
            measured: false,
            ended: false,
            failure: None,
            finished: false,
            complete: false,
            first_only: false,
            has_usage: false,
            has_timings: false,
            blind: false,
            at_line_start: true,
            after_cr: false,
            in_event: false,
            usage: Usage::default(),
            timing: Timing::default(),
        }
    }

    /// For an answer that is one object, whose text is measured if it has `text`.
    #[must_use]
    pub fn whole(text: bool) -> Self {
        Self { measured: text, ..Self::stream(Stream::Never, false) }
    }

    /// Takes a chunk from the node and puts what goes to the client into `out`.
    pub fn pass(&mut self, mut chunk: Bytes, out: &mut Pieces) {
        self.bytes += chunk.len() as u64;
        let Shape::Lines(kind) = self.shape else {
            if std::mem::take(&mut self.measured) {
                self.whole_text = Some(Text::begin(chunk.clone()));
            } else if self.whole_text.as_mut().is_some_and(|text| !text.feed(&chunk)) {
                self.whole_text = None;
            }
            self.keep_tail(&chunk);
            out.push(chunk);
            return;
        };
        if std::mem::take(&mut self.after_cr) && chunk.first() == Some(&b'\n') {
            let end = chunk.split_to(1);
            // It goes with its line.
            if !self.skip_blank {
                out.push(end);
            }
            if chunk.is_empty() {
                return;
            }
        }
        let Some(last) = last_end(kind, &chunk) else {
            self.hold(&chunk, out);
            return;
        };
        let (lines, rest) = (chunk.slice(..=last), chunk.slice(last + 1..));
        self.at_line_start = true;
        if self.held.is_empty() {
            self.lines(kind, lines, out);
        } else {
            // The line that was cut by the chunk's end goes out whole, as one piece.
            let first = first_end(kind, &lines).unwrap_or(lines.len());
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(&lines[..first]);
            self.lines(kind, Bytes::from(joined), out);
            if first < lines.len() {
                self.lines(kind, lines.slice(first..), out);
            }
        }
        self.after_cr = rest.is_empty() && kind != Stream::Ndjson && chunk[last] == b'\r';
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

    fn keep_tail(&mut self, chunk: &Bytes) {
        let over = (self.tail.len() + chunk.len()).saturating_sub(TAIL);
        if over > 0 && self.head.is_empty() {
            // The tail, which was all so far, loses its beginning.
            let more = HEAD.saturating_sub(self.tail.len());
            self.head = match &self.tail {
                tail if more == 0 => tail.slice(..HEAD),
                tail if tail.is_empty() => chunk.slice(..HEAD),
                tail => [tail, &chunk[..more]].concat().into(),
            };
        }
        if over >= self.tail.len() {
            // The chunk is all of the tail, which then shares its bytes.
            self.tail = chunk.slice(chunk.len().saturating_sub(TAIL)..);
        } else {
            self.tail = [&self.tail[over..], chunk].concat().into();
        }
    }

    /// Passes on complete lines.
    fn lines(&mut self, kind: Stream, lines: Bytes, out: &mut Pieces) {
        self.in_event = kind != Stream::Ndjson && !lines::ends_event(&lines);
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
        let mut last: &[u8] = &[];
        for line in lines::each(lines) {
            self.pieces += 1;
            self.lines_text.add(line);
            last = line;
        }
        let is_only = last.len() + 1 == lines.len();
        if let Some(words) = lines::error(last) {
            self.ended = true;
            self.failure = Some(words);
        } else if is_only && last.ends_with(UNDONE) {
            // One line, as nearly all are: an object of its own whose last member says that it goes on.
        } else if has_done(lines) {
            for line in lines::each(lines) {
                if let Some(line) = OllamaLine::read(line).filter(|l| l.done) {
                    self.ended = true;
                    self.usage.absorb(line.usage());
                }
            }
            self.timing = Timing::read(last);
        }
    }

    fn events(&mut self, kind: Stream, lines: &[u8]) {
        self.note(kind, lines);
        if has_usage(lines) {
            for line in lines::of_events(lines) {
                self.read_usage(line);
            }
        }
    }

    fn note(&mut self, kind: Stream, lines: &[u8]) {
        let events = lines::events(kind, lines, &mut self.open, &mut self.lines_text);
        self.ended |= events.over;
        self.finished |= events.finished;
        if events.finished || events.over {
            self.timing.absorb(Timing::read(lines));
            if is_of_llama(lines) {
                self.has_timings = true;
                self.usage.absorb(Usage::of_timings(lines));
            }
        }
        self.pieces += events.pieces;
        self.failure = self.failure.take().or(events.failure);
        for data in &events.joined {
            self.read_data(data);
        }
    }

    /// What the stream shows of how its node counts where usage has to be asked for, if anything. In responses and
    /// messages it stands unasked.
    #[must_use]
    pub fn counting(&self) -> Option<Counting> {
        let usage = self.has_usage && self.shape == Shape::Lines(Stream::Done);
        self.has_timings.then_some(Counting::Timings).or(usage.then_some(Counting::Usage))
    }

    /// What the node said failed, if it ended its answer with an error. Untrusted text.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn read_usage(&mut self, line: &[u8]) -> bool {
        line.strip_prefix(b"data:").is_some_and(|data| self.read_data(data))
    }

    /// Takes the usage from an event's data, and says whether that is all there is in it.
    fn read_data(&mut self, data: &[u8]) -> bool {
        let Some(event) = Some(data).filter(|data| has_usage(data)).and_then(EventData::read) else {
            return false;
        };
        if let Some(usage) = event.usage() {
            self.has_usage = true;
            self.has_timings |= is_of_llama(data);
            self.usage.absorb(usage);
            self.timing.absorb(Timing::read(data));
        }
        event.usage_only()
    }

    fn without_usage(&mut self, kind: Stream, lines: &[u8]) -> Vec<u8> {
        let mut kept = Vec::with_capacity(lines.len());
        for line in lines::of_events(lines) {
            let blank = line.trim_ascii().is_empty();
            if std::mem::take(&mut self.skip_blank) && blank {
                continue;
            }
            // What llama.cpp says of its work goes with the usage where that is asked for.
            if self.read_usage(line) && !is_of_llama(line) {
                self.skip_blank = true;
                continue;
            }
            let data = line.strip_prefix(b"data:").filter(|data| has_usage(data));
            match data.and_then(|data| member::without(data, "usage")) {
                Some(rest) => {
                    kept.extend_from_slice(b"data:");
                    kept.extend_from_slice(&rest);
                }
                None => kept.extend_from_slice(line),
            }
        }
        self.note(kind, &kept);
        kept
    }

    /// Called when the node's answer is over, cleanly or not: passes on what was held back, if it can be of
    /// use, and says whether the answer was complete.
    pub fn finish(&mut self, clean: bool, out: &mut Pieces) -> End {
        let end = match self.shape {
            Shape::Whole => {
                self.read_tail();
                if clean { End::Complete } else { End::Cut }
            }
            Shape::Lines(kind) => self.finish_lines(kind, clean, out),
        };
        self.complete = end == End::Complete;
        end
    }

    /// How long the parts of the work took, as far as the answer said so.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    fn read_tail(&mut self) {
        if let Some((usage, timing)) = of_ollama(&self.tail) {
            return (self.usage, self.timing) = (usage, timing);
        }
        self.timing = Timing::read(&self.tail);
        self.usage = of_tail(&self.tail);
        self.first_only = is_of_llama(&self.tail);
        if self.usage == Usage::default() {
            let head = if self.head.is_empty() { &self.tail } else { &self.head };
            self.usage = of_tail(&head[..head.len().min(HEAD)]);
        }
        let Usage { prompt, output, .. } = self.usage;
        if (prompt.is_none() || output.is_none()) && has_done(&self.tail) {
            self.usage.or_zero(&self.tail);
        }
    }

    fn finish_lines(&mut self, kind: Stream, clean: bool, out: &mut Pieces) -> End {
        let mut last = Pieces::default();
        if (clean && !self.held.is_empty()) || lines::is_last_line(kind, &self.held) {
            // A last line without its line end: whole if the answer ended in order.
            let mut line = std::mem::take(&mut self.held);
            line.push(b'\n');
            self.lines(kind, Bytes::from(line), &mut last);
        }
        // What ended in order after the model had stopped lacks nothing but a formality.
        let end = if self.ended || (clean && (self.finished || self.blind)) {
            End::Complete
        } else if self.blind && !self.at_line_start {
            End::Cut
        } else {
            End::Missing
        };
        while let Some(mut piece) = last.pop(usize::MAX) {
            // It goes out as it came, unless an error follows.
            if end == End::Complete && last.is_empty() && piece.ends_with(b"\n") {
                piece.truncate(piece.len() - 1);
            }
            if !piece.is_empty() {
                out.push(piece);
            }
        }
        // The data of the error would belong to the same event.
        if end == End::Missing && self.in_event {
            out.push(Bytes::from_static(b"\n"));
        }
        end
    }

    /// Tokens of output that went by, about, while they do. Cheap.
    #[must_use]
    pub fn produced(&self) -> u64 {
        match self.shape {
            Shape::Whole => self.unread().tokens(),
            Shape::Lines(_) => self.tokens(self.lines_text.amount()),
        }
    }

    /// Tokens in the text that went by, about: streams have one in a line or event unless these are too long for that.
    fn tokens(&self, text: Amount) -> u64 {
        if self.shape != Shape::Whole && text.may_have(self.pieces) { self.pieces } else { text.tokens() }
    }

    /// The text that went by. Of an object that cannot be read most is text.
    fn text(&self) -> Amount {
        match (self.shape, &self.whole_text) {
            (Shape::Lines(_), _) => self.lines_text.amount(),
            (Shape::Whole, text) => text.as_ref().and_then(Text::amount).unwrap_or_else(|| self.unread()),
        }
    }

    fn unread(&self) -> Amount {
        Amount::words(self.bytes.saturating_sub(ENVELOPE))
    }

    /// Tokens of the answer so far. Where the node's count of the output is one `to_be_expected`, and fits any text
    /// of that length, the text of an answer in one piece is not scanned and reported as empty.
    #[must_use]
    pub fn tally(&self, to_be_expected: impl Fn(u64) -> bool) -> Tally {
        let fits = |count| self.complete && may_count(count, self.bytes) && to_be_expected(count);
        let text = match self.shape {
            Shape::Whole if self.usage.output.is_some_and(fits) => Amount::default(),
            _ => self.text(),
        };
        Tally {
            usage: self.usage,
            produced: self.tokens(text),
            pieces: self.pieces,
            text,
            bytes: self.bytes,
            streamed: self.shape != Shape::Whole,
            complete: self.complete,
            first_only: self.first_only,
        }
    }
}

/// What an answer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// As the node counted.
    pub usage: Usage,
    /// Tokens of output, as the gateway counted: pieces of a stream, or by the length of the text.
    pub produced: u64,
    /// Pieces of a stream.
    pub pieces: u64,
    /// Its text.
    pub text: Amount,
    /// Bytes of the body.
    pub bytes: u64,
    /// It came piece by piece.
    pub streamed: bool,
    /// It came to its end.
    pub complete: bool,
    /// Of several answers in one object the node counts the first alone, as llama.cpp does.
    pub first_only: bool,
}

/// How a node counts the tokens of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// In the usage of OpenAI's API, which has to be asked for.
    Usage,
    /// In llama.cpp's `timings`, which stand in every stream, and move when usage is asked for.
    Timings,
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
