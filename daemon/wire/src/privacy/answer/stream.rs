//! A stream whose objects wait for what may become a finding in the texts that they go on with.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
};

use aivonx_domain::Findings;
use bytes::Bytes;
use foldhash::fast::FixedState;

use super::{
    super::{
        body::{Edit, apart, apply},
        text::{Ruler, decode},
    },
    Rules, Stopped,
    event::{Ends, Object, Piece},
    frames::{Endless, Frame, Frames},
    plain, rest, silenced,
    text::Text,
};
use crate::api::{Pieces, route::Stream};

/// Most bytes of objects that wait.
const WAITING: usize = 2 << 20;

/// Most text that waits without need, and of other texts of the same answer before one that does not go on is judged.
const ENOUGH: usize = 64;

/// Most texts that go on at the same time.
const TEXTS: usize = 512;

type Texts = HashMap<u64, Open, FixedState>;

#[derive(Debug)]
pub(super) struct Streamed {
    frames: Frames,
    texts: Texts,
    waiting: VecDeque<Event>,
    /// Bytes of those.
    bytes: usize,
}

/// A text that goes on.
#[derive(Debug)]
struct Open {
    item: u64,
    text: Text,
    /// Bytes of other texts of the same answer since.
    quiet: usize,
    over: bool,
}

/// A part of the stream that may have to wait.
#[derive(Debug)]
struct Event {
    bytes: Bytes,
    parts: Vec<Part>,
    /// What must be replaced beside the texts.
    edits: Vec<Edit>,
    /// Values that repeat the texts.
    echoes: Vec<Range<usize>>,
}

/// A piece of a text in an event.
#[derive(Debug, Clone)]
struct Part {
    text: u64,
    /// Between its quotes.
    raw: Range<usize>,
    /// In the text.
    start: usize,
    end: usize,
}

impl Streamed {
    pub(super) fn new(framing: Stream) -> Self {
        Self { frames: Frames::new(framing), texts: Texts::default(), waiting: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn pass(
        &mut self,
        piece: &[u8],
        rules: &Rules,
        findings: &mut Findings,
        out: &mut Pieces,
    ) -> Result<(), Stopped> {
        self.frames.add(piece);
        loop {
            match self.frames.next() {
                Ok(Some(frame)) => self.frame(frame, rules, findings, out)?,
                Ok(None) => return Ok(()),
                Err(Endless) => {
                    self.frames = Frames::new(Stream::Ndjson);
                    return Err(Stopped::Unsearchable);
                }
            }
        }
    }

    pub(super) fn finish(
        &mut self,
        rules: &Rules,
        findings: &mut Findings,
        out: &mut Pieces,
    ) -> Result<(), Stopped> {
        self.frames.end();
        self.pass(b"", rules, findings, out)?;
        self.texts.values_mut().for_each(|open| open.over = true);
        self.judge(rules, findings)?;
        self.release(findings, out);
        Ok(())
    }

    fn frame(
        &mut self,
        frame: Frame,
        rules: &Rules,
        findings: &mut Findings,
        out: &mut Pieces,
    ) -> Result<(), Stopped> {
        let event = match self.read(frame, rules, findings) {
            // Nothing waits for it.
            Err(_) if !rules.holds() => return Ok(()),
            event => event?,
        };
        self.judge(rules, findings)?;
        if !rules.holds() {
            return Ok(());
        }
        self.bytes += event.bytes.len();
        self.waiting.push_back(event);
        self.release(findings, out);
        if self.bytes > WAITING { Err(Stopped::Held) } else { Ok(()) }
    }

    /// Reads a part of the stream, and adds to the texts that it goes on with.
    fn read(&mut self, frame: Frame, rules: &Rules, findings: &mut Findings) -> Result<Event, Stopped> {
        let Frame { bytes, data } = &frame;
        let object = &bytes[data.clone()];
        if !object.trim_ascii_start().starts_with(b"{") {
            let edits = plain(bytes, rules, findings)?;
            return Ok(Event { bytes: frame.bytes, parts: Vec::new(), edits, echoes: Vec::new() });
        }
        let object = Object::of_stream(object).map_err(|_| Stopped::Unsearchable)?;
        let mut edits = Vec::new();
        for beside in frame.beside() {
            let found = plain(&bytes[beside.clone()], rules, findings)?;
            edits.extend(
                found.into_iter().map(|edit| Edit { range: shifted(&edit.range, beside.start), ..edit }),
            );
        }
        // What is said once more, at the end of a text, is counted once.
        let mut again = Findings::default();
        let counted = if object.repeats && !self.texts.is_empty() { &mut again } else { findings };
        let found = rest(&object, rules, counted)?;
        edits.extend(found.into_iter().map(|edit| Edit { range: shifted(&edit.range, data.start), ..edit }));
        let echoes = object.echoes.iter().map(|echo| shifted(echo, data.start)).collect();
        let mut parts = Vec::with_capacity(object.pieces.len());
        for piece in object.pieces {
            parts.push(self.go_on(bytes, data.start, piece, rules.holds())?);
        }
        for open in self.texts.values_mut() {
            open.over |= match object.ends {
                Ends::None => false,
                Ends::Items(ref items) => items.contains(&open.item),
                Ends::All => true,
            };
        }
        Ok(Event { bytes: frame.bytes, parts, edits, echoes })
    }

    fn go_on(&mut self, bytes: &[u8], at: usize, piece: Piece, holds: bool) -> Result<Part, Stopped> {
        let Piece { text, item, raw, json } = piece;
        let raw = shifted(&raw, at);
        let mut decoded = Vec::new();
        decode(&bytes[raw.clone()], &mut decoded).map_err(|_| Stopped::Unsearchable)?;
        if self.texts.len() >= TEXTS {
            let Self { texts, waiting, .. } = self;
            let waits =
                |id: &u64| waiting.iter().any(|event| event.parts.iter().any(|part| part.text == *id));
            texts.retain(|id, open| !open.over || waits(id));
            if texts.len() >= TEXTS && !texts.contains_key(&text) {
                if holds {
                    return Err(Stopped::Held);
                }
                // Nothing waits for them.
                self.texts.clear();
            }
        }
        if !decoded.is_empty() {
            let others = self.texts.iter_mut().filter(|(id, open)| **id != text && open.item == item);
            others.for_each(|(_, open)| open.quiet += decoded.len());
        }
        let new = || Open { item, text: Text::new(json), quiet: 0, over: false };
        let open = self.texts.entry(text).or_insert_with(new);
        (open.quiet, open.over) = (0, false);
        let start = open.text.push(&decoded);
        Ok(Part { text, raw, start, end: open.text.end() })
    }

    /// Judges what of the texts will not change any more.
    fn judge(&mut self, rules: &Rules, findings: &mut Findings) -> Result<(), Stopped> {
        let holds = rules.holds();
        for open in self.texts.values_mut().filter(|open| open.text.judged() < open.text.end()) {
            let over = open.over || open.quiet > ENOUGH;
            match open.text.judge(rules, over, findings) {
                Ok(()) => {}
                Err(stopped) if holds => return Err(stopped),
                Err(_) => open.text.give_up(),
            }
            if !holds {
                open.text.forget(usize::MAX);
            }
        }
        Ok(())
    }

    /// Puts what need not wait into `out`.
    fn release(&mut self, findings: &Findings, out: &mut Pieces) {
        let found = findings.total() > 0;
        while let Some(event) = self.waiting.front() {
            let judged =
                |part: &Part| self.texts.get(&part.text).is_none_or(|open| open.text.judged() >= part.end);
            if !event.parts.iter().all(judged) {
                self.release_part(found, out);
                return;
            }
            let Some(event) = self.waiting.pop_front() else { return };
            self.bytes -= event.bytes.len();
            out.push(event.write(&self.texts, found));
            for part in event.parts {
                if let Some(open) = self.texts.get_mut(&part.text) {
                    open.text.forget(part.end);
                }
            }
        }
    }

    /// The first event waits for a part of its text: what need not wait goes ahead, if it or the rest is much.
    fn release_part(&mut self, found: bool, out: &mut Pieces) {
        let Some(event) = self.waiting.front_mut() else { return };
        let [part] = &event.parts[..] else { return };
        let Some(open) = self.texts.get(&part.text) else { return };
        let judged = open.text.judged();
        let (ahead, held) = (judged.saturating_sub(part.start), part.end - judged);
        if ahead == 0 || ahead.max(held) <= ENOUGH {
            return;
        }
        let (first, rest) = event.split(judged);
        out.push(first.write(&self.texts, found));
        self.bytes = self.bytes - event.bytes.len() + rest.bytes.len();
        *event = rest;
    }
}

impl Event {
    /// The event as the client gets it; `found`: something was found in the answer.
    fn write(&self, texts: &Texts, found: bool) -> Bytes {
        let mut edits: Vec<Edit> = self.edits.iter().map(Edit::clone).collect();
        for part in &self.parts {
            let Some(open) = texts.get(&part.text) else { continue };
            edits.extend(part.edits(&self.bytes, &open.text));
        }
        if found {
            edits.extend(self.echoes.iter().map(|echo| silenced(&self.bytes, echo.clone())));
        }
        if edits.is_empty() {
            return self.bytes.clone();
        }
        apart(&mut edits, 0);
        apply(&self.bytes, &edits).into()
    }

    /// The event twice: with its only text up to `at`, and with that from there on.
    fn split(&self, at: usize) -> (Self, Self) {
        let part = &self.parts[0];
        let behind = Ruler::new(&self.bytes[part.raw.clone()]).range(at - part.start..part.end - part.start);
        let behind = shifted(&behind, part.raw.start);
        let before = part.raw.start..behind.start;
        let without = |cut: Range<usize>, start: usize, end: usize| {
            let bytes = [&self.bytes[..cut.start], &self.bytes[cut.end..]].concat();
            let place = |range: &Range<usize>| {
                if range.start < cut.end {
                    range.clone()
                } else {
                    range.start - cut.len()..range.end - cut.len()
                }
            };
            let raw = part.raw.start..part.raw.end - cut.len();
            Self {
                bytes: bytes.into(),
                parts: vec![Part { text: part.text, raw, start, end }],
                edits: self
                    .edits
                    .iter()
                    .map(|edit| Edit { range: place(&edit.range), text: edit.text.clone() })
                    .collect(),
                echoes: self.echoes.iter().map(place).collect(),
            }
        };
        (without(behind.clone(), part.start, at), without(before, at, part.end))
    }
}

impl Part {
    /// What must be replaced of it in the event.
    fn edits(&self, bytes: &[u8], text: &Text) -> Vec<Edit> {
        let mut ruler = Ruler::new(&bytes[self.raw.clone()]);
        text.marks(self.start, self.end)
            .map(|mark| {
                let (start, end) = (mark.start.max(self.start), mark.end.min(self.end));
                let range = ruler.range(start - self.start..end - self.start);
                // The marker stands where the finding begins.
                let text = if mark.start < self.start { "".into() } else { mark.marker.clone() };
                Edit { range: shifted(&range, self.raw.start), text }
            })
            .collect()
    }
}

fn shifted(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}
