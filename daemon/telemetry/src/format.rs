//! The two forms of a line: for people and JSON. Both are safe to print: what could move a cursor or hide
//! text is escaped.

use std::fmt::Write as _;

use aivonx_config::LogFormat;
use aivonx_protocol::{UnixMillis, Untrusted, log::Level};
use jiff::fmt::temporal::DateTimePrinter;

use super::{
    access_format::{each_field, said, sentence},
    view::{Body, View},
};

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) format: LogFormat,
    /// Colours, for a terminal.
    pub(crate) colour: bool,
}

impl Style {
    /// Appends `record` as one line.
    pub(crate) fn line(self, record: View<'_>, out: &mut String) {
        match self.format {
            LogFormat::Human => self.human(record, out),
            LogFormat::Json => json(record, out),
        }
        out.push('\n');
    }

    fn human(self, record: View<'_>, out: &mut String) {
        time(record.time, out);
        let (colour, word) = match record.level {
            Level::Error => ("\u{1b}[31m", "ERROR"),
            Level::Warn => ("\u{1b}[33m", "WARN "),
            Level::Info => ("\u{1b}[32m", "INFO "),
            Level::Debug => ("\u{1b}[34m", "DEBUG"),
            Level::Trace => ("\u{1b}[35m", "TRACE"),
        };
        let (colour, plain) = if self.colour { (colour, "\u{1b}[0m") } else { ("", "") };
        out.extend([" ", colour, word, plain, " ", record.target, ": "]);
        match record.body {
            Body::Text(text) => {
                escape(text.message(), out);
                for field in text.fields() {
                    human_field(field.name, &field.value, field.bare, out);
                }
            }
            Body::Access(request) => {
                let from = out.len();
                sentence(request, out);
                if !printable(&out[from..]) {
                    let said = out.split_off(from);
                    escape(&said, out);
                }
                each_field(request, |name, value, said| {
                    if !said {
                        value.with_text(|text, bare| human_field(name, text, bare, out));
                    }
                });
            }
        }
    }
}

fn json(record: View<'_>, out: &mut String) {
    out.push_str("{\"time\":\"");
    time(record.time, out);
    out.push_str("\",\"seq\":");
    out.push_str(itoa::Buffer::new().format(record.seq));
    out.extend([",\"level\":\"", json_level(record.level), "\",\"target\":"]);
    json_string(record.target, out);
    out.push_str(",\"message\":");
    match record.body {
        Body::Text(text) => {
            json_string(text.message(), out);
            text.fields().iter().for_each(|field| json_field(field.name, &field.value, field.bare, out));
        }
        Body::Access(request) => {
            json_string(&said(request), out);
            each_field(request, |name, value, _| {
                value.with_text(|text, bare| json_field(name, text, bare, out));
            });
        }
    }
    out.push('}');
}

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// UTC, RFC 3339, milliseconds.
fn time(time: UnixMillis, out: &mut String) {
    // Writing to a string does not fail.
    let _ = match i64::try_from(time).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
        Some(at) => PRINTER.print_timestamp(&at, out).map_err(|_| std::fmt::Error),
        None => write!(out, "@{}.{:03}Z", time / 1000, time % 1000),
    };
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

/// Appends `,"name":"value"`, or the value without quotes if it is `bare`.
fn json_field(name: &str, value: &str, bare: bool, out: &mut String) {
    out.push(',');
    if matches!(name, "time" | "seq" | "level" | "target" | "message") {
        let _ = write!(out, "\"field_{name}\"");
    } else {
        json_string(name, out);
    }
    out.push(':');
    if bare {
        out.push_str(value);
    } else {
        json_string(value, out);
    }
}

/// Appends ` name=value`, the value quoted where it needs it.
pub(crate) fn human_field(name: &str, value: &str, bare: bool, out: &mut String) {
    out.extend([" ", name, "="]);
    if bare || plain(value) {
        return escape(value, out);
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

/// Whether a value needs no quotes.
fn plain(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| !matches!(b, b' ' | b'"' | b'='))
}

/// Appends untrusted text for a terminal. It has been cut before.
pub(crate) fn escape(text: &str, out: &mut String) {
    if printable(text) {
        out.push_str(text);
    } else {
        let _ = write!(out, "{}", Untrusted::new(text).max(usize::MAX));
    }
}

fn printable(text: &str) -> bool {
    // Of all bytes, so that many are compared at once.
    text.bytes().fold(true, |all, b| all & (0x20..0x7f).contains(&b))
}

/// Appends a JSON string in which also those characters are escaped that JSON would allow and a terminal
/// would obey. Nothing is lost.
fn json_string(text: &str, out: &mut String) {
    out.push('"');
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
    out.push('"');
}
