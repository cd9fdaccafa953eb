//! One event as the daemon holds it.

use std::fmt::{self, Write as _};

pub(crate) use aivonx_domain::{access::AccessRecord, now};
use aivonx_protocol::{UnixMillis, log::Level};
use tracing::field::Visit;

use super::{
    access_format,
    redact::{self, Redaction},
};

/// Longest message, bytes; what is longer is cut and ends with `…`.
pub(crate) const MESSAGE_MAX: usize = 8 << 10;
/// Longest value of a field, bytes.
pub(crate) const VALUE_MAX: usize = 2 << 10;
/// Most bytes of message and values together; fields that no longer fit are cut to nothing.
const TEXT_MAX: usize = 16 << 10;

/// Bytes of the counters before what is shared.
pub(crate) const HEADER: usize = 16;

/// One event that was written down when it happened. Redacted, cut, not escaped.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) time: UnixMillis,
    pub(crate) level: Level,
    /// Without our crate's name: `fleet::health`.
    pub(crate) target: &'static str,
    pub(crate) text: Text,
}

/// What an event says; while it is being written, and of a span around it, the fields alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    message: String,
    fields: Vec<Field>,
}

/// One field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    /// Whether the value is a number or a boolean, for JSON.
    pub(crate) bare: bool,
}

impl Record {
    /// An event of now that says `text`.
    pub(crate) fn new(level: Level, target: &'static str, text: Text) -> Self {
        Self { time: now(), level, target, text }
    }

    /// A record of telemetry's own, outside tracing: for what the writer thread must say without feeding
    /// itself.
    pub(crate) fn own(level: Level, event: &'static str, message: &str) -> Self {
        let mut text = Text::default();
        text.put(MESSAGE, false, |w| w.write_str(message));
        text.put("event", false, |w| w.write_str(event));
        Self::new(level, "telemetry", text)
    }

    /// An event with these fields, for tests.
    #[cfg(test)]
    pub(crate) fn about(level: Level, message: &str, fields: &[(&'static str, &str)]) -> Self {
        let mut text = Text::default();
        text.put(MESSAGE, false, |w| w.write_str(message));
        for (name, value) in fields {
            text.put(name, false, |w| w.write_str(value));
        }
        Self::new(level, "test", text)
    }

    /// Bytes held, allocations included.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + HEADER + self.text.bytes()
    }
}

impl Text {
    /// The words about a finished request.
    pub(crate) fn about(request: &AccessRecord) -> Self {
        let mut text = Self::default();
        let plain = Redaction::Plain;
        let said = access_format::said(request);
        text.write(MESSAGE, false, plain, |w| w.write_str(&said));
        access_format::each_field(request, |name, value, _| {
            value.with_text(|value, bare| text.write(name, bare, plain, |w| w.write_str(value)));
        });
        text
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.length() + self.fields.len() * size_of::<Field>()
    }

    /// Bytes of message and values.
    fn length(&self) -> usize {
        self.fields.iter().fold(self.message.len(), |sum, field| sum + field.value.len())
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name).map(|field| &*field.value)
    }

    /// Takes over the fields of a span that lies around the event.
    pub(crate) fn take_over(&mut self, span: &Self) {
        for Field { name, value, bare } in &span.fields {
            self.write(name, *bare, Redaction::Plain, |w| w.write_str(value));
        }
    }

    /// Writes a value under the rules for anything that comes from anywhere.
    fn put(&mut self, name: &'static str, bare: bool, write: impl FnOnce(&mut Bounded<'_>) -> fmt::Result) {
        let verdict = if name == MESSAGE { Redaction::Scrub } else { redact::judge(name) };
        self.write(name, bare, verdict, write);
    }

    fn write(
        &mut self,
        name: &'static str,
        bare: bool,
        verdict: Redaction,
        write: impl FnOnce(&mut Bounded<'_>) -> fmt::Result,
    ) {
        let mut value = String::new();
        if verdict == Redaction::Hide {
            value.push_str(redact::REDACTED);
        } else {
            let max = if name == MESSAGE { MESSAGE_MAX } else { VALUE_MAX };
            let left = max.min(TEXT_MAX.saturating_sub(self.length()));
            // An error here is the bound, which has left its mark, or a value that refuses to print.
            let _ = write(&mut Bounded { text: &mut value, left });
            if verdict == Redaction::Scrub && !bare {
                redact::scrub(&mut value, 0);
            }
        }
        if name == MESSAGE {
            self.message = value;
            return;
        }
        let bare = bare && verdict != Redaction::Hide;
        let field = Field { name: name.strip_prefix("r#").unwrap_or(name), value, bare };
        // The innermost word counts: an event's own field replaces its span's.
        match self.fields.iter_mut().find(|old| old.name == field.name) {
            Some(old) => *old = field,
            None => self.fields.push(field),
        }
    }
}

/// The field that is the sentence, as tracing names it.
const MESSAGE: &str = "message";

/// Writes up to `left` bytes, then `…`, then fails, which ends the formatting of a value that is too long.
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

impl Visit for Text {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.put(field.name(), false, |w| w.write_str(value));
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        self.put(field.name(), false, |w| write!(w, "{value:?}"));
    }

    fn record_error(&mut self, field: &tracing::field::Field, value: &(dyn std::error::Error + 'static)) {
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

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        self.put(field.name(), true, |w| write!(w, "{value}"));
    }

    fn record_i64(&mut self, field: &tracing::field::Field, value: i64) {
        self.put(field.name(), true, |w| write!(w, "{value}"));
    }

    fn record_bool(&mut self, field: &tracing::field::Field, value: bool) {
        self.put(field.name(), true, |w| write!(w, "{value}"));
    }

    fn record_f64(&mut self, field: &tracing::field::Field, value: f64) {
        self.put(field.name(), value.is_finite(), |w| write!(w, "{value}"));
    }
}
