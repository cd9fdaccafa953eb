//! One event as the daemon holds it.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
};

pub(crate) use aivonx_domain::{access::AccessRecord, now};
use aivonx_protocol::{UnixMillis, log::Level};
use tracing::field::{Field, Visit};

use super::{
    redact::{self, Verdict},
    view::{Body, HEADER, View},
    wording,
};

/// Longest message, bytes; what is longer is cut and ends with `…`.
pub(crate) const MESSAGE_MAX: usize = 8 << 10;
/// Longest value of a field, bytes.
pub(crate) const VALUE_MAX: usize = 2 << 10;
/// Most bytes of message and values together; fields that no longer fit are cut to nothing.
const TEXT_MAX: usize = 16 << 10;

/// One event that was written down when it happened. Redacted, cut, not escaped.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) time: UnixMillis,
    pub(crate) level: Level,
    /// Without our crate's name: `fleet::health`.
    pub(crate) target: &'static str,
    pub(crate) text: Text,
}

/// Message and fields in two allocations, whatever their number.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    text: Box<str>,
    message: (u32, u32),
    fields: Box<[Slot]>,
}

/// Where a field's value lies in the text.
#[derive(Debug, Clone, Copy)]
struct Slot {
    name: &'static str,
    start: u32,
    len: u16,
    /// Whether the value is a number or a boolean, for JSON.
    bare: bool,
}

/// One field of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldRef<'a> {
    pub(crate) name: &'static str,
    pub(crate) value: &'a str,
    /// Whether the value is a number or a boolean.
    pub(crate) bare: bool,
}

impl Record {
    /// A record of telemetry's own, outside tracing: for what the writer thread must say without feeding
    /// itself.
    pub(crate) fn own(level: Level, event: &'static str, message: &str) -> Self {
        Draft::record(level, "telemetry", |draft| {
            draft.put("message", false, |w| w.write_str(message));
            draft.put("event", false, |w| w.write_str(event));
        })
    }

    /// An event with these fields, for tests.
    #[cfg(test)]
    pub(crate) fn about(level: Level, message: &str, fields: &[(&'static str, &str)]) -> Self {
        Draft::record(level, "test", |draft| {
            draft.put("message", false, |w| w.write_str(message));
            for (name, value) in fields {
                draft.put(name, false, |w| w.write_str(value));
            }
        })
    }

    /// Bytes held, allocations included.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + HEADER + self.text.bytes()
    }

    /// The event as number `seq`.
    pub(crate) fn view(&self, seq: u64) -> View<'_> {
        View { seq, time: self.time, level: self.level, target: self.target, body: Body::Text(&self.text) }
    }
}

impl Text {
    /// The words about a finished request.
    pub(crate) fn about(request: &AccessRecord) -> Self {
        Draft::with(|draft| {
            draft.add(MESSAGE, false, |w| w.write_str(&wording::sentence(request)));
            wording::each_field(request, |name, value, _| {
                value.with_text(|value, bare| draft.add(name, bare, |w| w.write_str(value)));
            });
            draft.finish()
        })
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.fields.len() * size_of::<Slot>()
    }

    pub(crate) fn message(&self) -> &str {
        self.text.get(self.message.0 as usize..self.message.1 as usize).unwrap_or_default()
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = FieldRef<'_>> {
        self.fields.iter().map(|slot| FieldRef {
            name: slot.name,
            value: self
                .text
                .get(slot.start as usize..slot.start as usize + slot.len as usize)
                .unwrap_or_default(),
            bare: slot.bare,
        })
    }
}

/// A record being written, or the fields of a span.
#[derive(Debug, Default, Clone)]
pub(crate) struct Draft {
    text: String,
    message: (u32, u32),
    fields: Vec<Slot>,
}

thread_local! {
    /// Taken while in use, so that a value that logs while it is printed finds none and makes its own.
    static SCRATCH: Cell<Option<Box<Draft>>> = const { Cell::new(None) };
}

impl Draft {
    /// Runs `write` on this thread's reused draft and makes the record.
    pub(crate) fn record(level: Level, target: &'static str, write: impl FnOnce(&mut Self)) -> Record {
        let text = Self::with(|draft| {
            write(draft);
            draft.finish()
        });
        Record { time: now(), level, target, text }
    }

    fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let mut draft = SCRATCH.take().unwrap_or_default();
        draft.text.clear();
        draft.fields.clear();
        draft.message = (0, 0);
        let result = work(&mut draft);
        SCRATCH.set(Some(draft));
        result
    }

    fn finish(&self) -> Text {
        Text { text: self.text.as_str().into(), message: self.message, fields: self.fields.as_slice().into() }
    }

    /// Takes over the fields of a span that lies around the event.
    pub(crate) fn take_over(&mut self, span: &Self) {
        for slot in &span.fields {
            let start = slot.start as usize;
            let value = span.text.get(start..start + slot.len as usize).unwrap_or_default();
            let new = self.write(slot.name, slot.bare, Verdict::Plain, |w| w.write_str(value));
            self.set(new);
        }
    }

    /// Writes a value under the rules for anything that comes from anywhere.
    fn put(&mut self, name: &'static str, bare: bool, write: impl FnOnce(&mut Bounded<'_>) -> fmt::Result) {
        let verdict = if name == MESSAGE { Verdict::Scrub } else { redact::judge(name) };
        let slot = self.write(name, bare, verdict, write);
        self.set(slot);
    }

    /// Writes a value of ours, which is safe and whose name is new in this draft.
    fn add(&mut self, name: &'static str, bare: bool, write: impl FnOnce(&mut Bounded<'_>) -> fmt::Result) {
        match self.write(name, bare, Verdict::Plain, write) {
            Written::Message(at) => self.message = at,
            Written::Field(slot) => self.fields.push(slot),
        }
    }

    fn set(&mut self, written: Written) {
        match written {
            Written::Message(at) => self.message = at,
            // The innermost word counts: an event's own field replaces its span's.
            Written::Field(slot) => match self.fields.iter_mut().find(|f| f.name == slot.name) {
                Some(old) => *old = slot,
                None => self.fields.push(slot),
            },
        }
    }

    fn write(
        &mut self,
        name: &'static str,
        bare: bool,
        verdict: Verdict,
        write: impl FnOnce(&mut Bounded<'_>) -> fmt::Result,
    ) -> Written {
        let start = self.text.len();
        if verdict == Verdict::Hide {
            self.text.push_str(redact::REDACTED);
        } else {
            let max = if name == MESSAGE { MESSAGE_MAX } else { VALUE_MAX };
            let left = max.min(TEXT_MAX.saturating_sub(start));
            // An error here is the bound, which has left its mark, or a value that refuses to print.
            let _ = write(&mut Bounded { text: &mut self.text, left });
            if verdict == Verdict::Scrub && !bare {
                redact::scrub(&mut self.text, start);
            }
        }
        let end = self.text.len();
        if name == MESSAGE {
            return Written::Message((start as u32, end as u32));
        }
        // A mask is at most ten times as long as what it hides, with the name it goes by, so that a value stays below
        // 64 KiB.
        let len = u16::try_from(end - start).unwrap_or(0);
        let bare = bare && verdict != Verdict::Hide;
        Written::Field(Slot { name: name.strip_prefix("r#").unwrap_or(name), start: start as u32, len, bare })
    }
}

/// The field that is the sentence, as tracing names it.
const MESSAGE: &str = "message";

/// What [`Draft::write`] has written, and where.
enum Written {
    Message((u32, u32)),
    Field(Slot),
}

/// Writes up to `left` bytes, then `…`, then fails, which ends the formatting of whatever is so long.
struct Bounded<'a> {
    text: &'a mut String,
    left: usize,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if s.len() <= self.left {
            self.text.push_str(s);
            self.left -= s.len();
            return Ok(());
        }
        let mut cut = self.left;
        while !s.is_char_boundary(cut) {
            cut -= 1;
        }
        self.text.push_str(&s[..cut]);
        self.text.push('…');
        self.left = 0;
        Err(fmt::Error)
    }
}

impl Visit for Draft {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), false, |w| w.write_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), false, |w| write!(w, "{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field.name(), false, |w| {
            write!(w, "{value}")?;
            let mut source = value.source();
            while let Some(cause) = source {
                write!(w, ": {cause}")?;
                source = cause.source();
            }
            Ok(())
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), true, |w| write!(w, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), true, |w| write!(w, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), true, |w| write!(w, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.is_finite(), |w| write!(w, "{value}"));
    }
}
