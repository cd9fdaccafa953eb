//! The two forms of a line: for people and JSON. Both are safe to print: what could move a cursor or hide
//! text is escaped.

use std::fmt::Write as _;

use aivonx_config::LogFormat;
use aivonx_domain::access::AccessRecord;
use aivonx_protocol::{UnixMillis, Untrusted, log::Level};

use super::{
    phrases::Phrases,
    view::{Body, View},
    wording::{Value, each_field, push_number, sentence},
};

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) format: LogFormat,
    /// Colours, for a terminal.
    pub(crate) colour: bool,
}

/// Writes lines and remembers the moment it wrote last: most share it.
#[derive(Debug)]
pub(crate) struct Formatter {
    style: Style,
    second: u64,
    /// `2026-11-22T03:04:05`
    stamp: String,
    /// When and how bad the last request was of which it was said.
    latest: Option<(UnixMillis, Level)>,
    /// What its line began with.
    beginning: String,
    phrases: Phrases,
    /// Reused.
    words: String,
}

impl Formatter {
    pub(crate) fn new(style: Style) -> Self {
        Self {
            style,
            second: u64::MAX,
            stamp: String::new(),
            latest: None,
            beginning: String::new(),
            phrases: Phrases::new(style.format),
            words: String::new(),
        }
    }

    /// Appends `record` as one line.
    pub(crate) fn line(&mut self, record: View<'_>, out: &mut String) {
        if !self.request(record, out) {
            match self.style.format {
                LogFormat::Human => self.human(record, out),
                LogFormat::Json => self.json(record, out),
            }
        }
        out.push('\n');
    }

    /// Appends the line of an ordinary request; false, and nothing appended, of all else.
    fn request(&mut self, record: View<'_>, out: &mut String) -> bool {
        let Body::Access(request) = record.body else { return false };
        if self.latest != Some((record.time, record.level)) {
            self.latest = Some((record.time, record.level));
            let mut beginning = std::mem::take(&mut self.beginning);
            beginning.clear();
            match self.style.format {
                LogFormat::Human => self.human_head(record, &mut beginning),
                LogFormat::Json => self.json_head(record, &mut beginning),
            }
            self.beginning = beginning;
        }
        // Longer than most.
        out.reserve(1024);
        let before = out.len();
        out.push_str(&self.beginning);
        if self.style.format == LogFormat::Json {
            push_number(record.seq, out);
            out.push_str(",\"level\":\"");
            out.push_str(json_level(record.level));
            out.push_str("\",\"target\":\"access\",\"message\":");
        }
        let done = self.phrases.push(request, out);
        if !done {
            out.truncate(before);
        } else if self.style.format == LogFormat::Json {
            out.push('}');
        }
        done
    }

    fn human_head(&mut self, record: View<'_>, out: &mut String) {
        self.time(record.time, out);
        let (colour, word) = match record.level {
            Level::Error => ("\u{1b}[31m", "ERROR"),
            Level::Warn => ("\u{1b}[33m", "WARN "),
            Level::Info => ("\u{1b}[32m", "INFO "),
            Level::Debug => ("\u{1b}[34m", "DEBUG"),
            Level::Trace => ("\u{1b}[35m", "TRACE"),
        };
        out.push(' ');
        if self.style.colour {
            let _ = write!(out, "{colour}{word}\u{1b}[0m");
        } else {
            out.push_str(word);
        }
        out.push(' ');
        out.push_str(record.target);
        out.push_str(": ");
    }

    fn human(&mut self, record: View<'_>, out: &mut String) {
        self.human_head(record, out);
        match record.body {
            Body::Text(text) => {
                escape(text.message(), out);
                for field in text.fields() {
                    human_field(field.name, field.value, field.bare, out);
                }
            }
            Body::Access(request) => self.slowly(request, out),
        }
    }

    /// Appends the sentence and the fields of a request for people, whatever is in them.
    pub(crate) fn slowly(&mut self, request: &AccessRecord, out: &mut String) {
        self.words.clear();
        sentence(request, &mut self.words);
        escape(&self.words, out);
        each_field(request, |name, value, said| match value {
            _ if said => {}
            Value::Text(text) => human_field(name, text, false, out),
            Value::Number(number) => {
                name_field(name, out);
                push_number(number, out);
            }
        });
    }

    fn json_head(&mut self, record: View<'_>, out: &mut String) {
        out.push_str("{\"time\":\"");
        self.time(record.time, out);
        out.push_str("\",\"seq\":");
    }

    fn json(&mut self, record: View<'_>, out: &mut String) {
        self.json_head(record, out);
        push_number(record.seq, out);
        out.push_str(",\"level\":\"");
        out.push_str(json_level(record.level));
        out.push_str("\",\"target\":");
        json_string(record.target, out);
        out.push_str(",\"message\":");
        let text = record.text();
        json_string(text.message(), out);
        for field in text.fields() {
            out.push(',');
            if matches!(field.name, "time" | "seq" | "level" | "target" | "message") {
                let _ = write!(out, "\"field_{}\"", field.name);
            } else {
                json_string(field.name, out);
            }
            out.push(':');
            if field.bare {
                out.push_str(field.value);
            } else {
                json_string(field.value, out);
            }
        }
        out.push('}');
    }

    /// UTC, RFC 3339, milliseconds.
    fn time(&mut self, time: UnixMillis, out: &mut String) {
        let second = time / 1000;
        if second != self.second {
            self.second = second;
            self.stamp.clear();
            match i64::try_from(second).ok().and_then(|s| jiff::Timestamp::from_second(s).ok()) {
                Some(at) => {
                    let _ = write!(self.stamp, "{at}");
                    self.stamp.truncate(self.stamp.trim_end_matches('Z').len());
                }
                None => {
                    let _ = write!(self.stamp, "@{second}");
                }
            }
        }
        out.push_str(&self.stamp);
        out.push('.');
        for unit in [100, 10, 1] {
            // A digit.
            out.push(char::from(b'0' + (time % 1000 / unit % 10) as u8));
        }
        out.push('Z');
    }
}

fn json_level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Appends `,"name":"value"`.
pub(crate) fn json_field(name: &str, value: &str, out: &mut String) {
    out.push(',');
    json_string(name, out);
    out.push(':');
    json_string(value, out);
}

/// Whether text is the same in every form: printable ASCII without quotes and backslashes.
pub(crate) fn is_plain(text: &str) -> bool {
    each_byte(text, |b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\')
}

/// Appends ` name=value`, the value quoted where it needs it.
pub(crate) fn human_field(name: &str, value: &str, bare: bool, out: &mut String) {
    name_field(name, out);
    if bare || plain(value) {
        escape(value, out);
        return;
    }
    out.push('"');
    for (i, piece) in value.split('"').enumerate() {
        if i > 0 {
            out.push_str("\\\"");
        }
        escape(piece, out);
    }
    out.push('"');
}

fn name_field(name: &str, out: &mut String) {
    out.push(' ');
    out.push_str(name);
    out.push('=');
}

/// Whether a value needs no quotes.
fn plain(value: &str) -> bool {
    !value.is_empty() && each_byte(value, |b| !matches!(b, b' ' | b'"' | b'='))
}

/// Whether every byte is `good`. It looks at all of them whatever it finds, since a loop without a way out is
/// compiled to look at sixteen at once.
fn each_byte(text: &str, good: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |all, b| all & good(b))
}

/// Appends untrusted text for a terminal. It has been cut before.
pub(crate) fn escape(text: &str, out: &mut String) {
    if each_byte(text, |b| (0x20..0x7f).contains(&b)) {
        out.push_str(text);
    } else {
        let _ = write!(out, "{}", Untrusted::new(text).max(usize::MAX));
    }
}

/// Appends a JSON string in which also those characters are escaped that JSON would allow and a terminal
/// would obey. Nothing is lost.
fn json_string(text: &str, out: &mut String) {
    out.push('"');
    if is_plain(text) {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if Untrusted::is_hostile(c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
    }
    out.push('"');
}
