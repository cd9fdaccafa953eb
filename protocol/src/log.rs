//! The daemon's log, as kept in memory and as it happens.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{UnixMillis, Untrusted, operation::operations};

/// Severity, most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something failed and needs someone.
    Error,
    /// Something is off and may need someone.
    Warn,
    /// What an operator wants to see.
    Info,
    /// What a developer wants to see.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// The word in a line, as wide as the longest of them.
    #[must_use]
    pub fn column(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN ",
            Self::Info => "INFO ",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

/// How the time at the beginning of a line is written, as `strftime` has it.
pub const TIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// Most characters shown of a message and of a field's value.
const TEXT_MAX: usize = 4000;

/// Appends an event's line behind its time, as `aivonx logs` prints it and `--grep` searches it: level, target,
/// message, and ` name=value` for each field. Foreign text is escaped.
pub fn push_line<'f>(
    level: Level,
    target: &str,
    message: &str,
    fields: impl IntoIterator<Item = (&'f str, &'f str)>,
    line: &mut String,
) {
    line.push_str(level.column());
    line.push(' ');
    push(target, TARGET_MAX, line);
    line.push_str(": ");
    push(message, TEXT_MAX, line);
    for (name, value) in fields {
        line.push(' ');
        push_field(name, value, line);
    }
}

/// Most characters shown of a target and of a field's name.
const TARGET_MAX: usize = 512;

/// Appends `name=value`, the value in quotes where it would run into what follows.
pub fn push_field(name: &str, value: &str, line: &mut String) {
    push(name, TARGET_MAX, line);
    line.push('=');
    if !value.is_empty() && !value.contains([' ', '"', '=']) {
        return push(value, TEXT_MAX, line);
    }
    line.push('"');
    let begin = line.len();
    push(value, TEXT_MAX, line);
    if value.contains('"') {
        let quoted = line.split_off(begin).replace('"', "\\\"");
        line.push_str(&quoted);
    }
    line.push('"');
}

/// Appends foreign text, escaped.
fn push(text: &str, max: usize, line: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(line, "{}", Untrusted::new(text).max(max));
}

/// One event. Every string has been stripped of secrets; none has been escaped for a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// Sequence number, rising by one per event since the daemon's start.
    pub seq: u64,
    /// When.
    pub time: UnixMillis,
    /// Severity.
    pub level: Level,
    /// Which part of the daemon (`access`, `fleet::health`).
    pub target: String,
    /// The sentence.
    pub message: String,
    /// Fields in the order written: `node`, `model`, `request_id`, `status`, `event`, ...
    pub fields: Vec<(String, String)>,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFilter {
    /// Least severity; None is `info`.
    pub level: Option<Level>,
    /// Regular expression on the line as [`push_line`] writes it behind its time, and on the message and each
    /// field's value alone, for `^` and `$`.
    pub grep: Option<String>,
    /// Only events whose `node` field is this name.
    pub node: Option<String>,
    /// Only events at or after this time.
    pub since: Option<UnixMillis>,
    /// Only events of this organization, by slug or id.
    pub organization: Option<String>,
    /// Only events behind the one with this number, for a reader that goes on: `Follow` then begins right
    /// there, counting what is gone since. A number the daemon has not given out is of an earlier start of it,
    /// and does not count.
    pub after: Option<u64>,
}

operations! {
    /// Requests about the log.
    Request::Log(LogRequest);

    /// The newest `lines` events in memory that pass the filter, oldest first.
    "log.recent" Recent {
        /// The filter.
        filter: LogFilter,
        /// How many at most.
        lines: u32,
    } -> LogPage as Logs, needs LogRead;

    /// The same as `Event::Log`, then every new event; `Event::LogMissed` counts what a slow reader lost.
    "log.follow" Follow {
        /// The filter.
        filter: LogFilter,
        /// How many of the past to begin with.
        lines: u32,
    } => Event, needs LogRead;
}

/// An answer to [`Recent`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPage {
    /// The events, oldest first.
    pub events: Vec<LogEvent>,
    /// Time of the oldest event still in memory: what lies before it is only in the journal or the file.
    pub oldest: Option<UnixMillis>,
    /// Where events go beside memory: `journald`, `stderr` or `file PATH`.
    pub sink: String,
}
