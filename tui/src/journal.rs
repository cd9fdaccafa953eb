//! The part of the log that only the journal still has, read by `journalctl` with the caller's own rights.

use std::{fs, os::unix::fs::MetadataExt as _, process::Stdio};

use aivonx_protocol::{
    UnixMillis,
    log::{Level, LogEvent, LogFilter},
};
use jiff::tz::TimeZone;
use regex::Regex;
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
};

use crate::{
    exit::Failure,
    render::text::{log_line, safe},
};

/// The daemon's `SYSLOG_IDENTIFIER`.
const IDENTIFIER: &str = "aivonxd";
/// The daemon's unit.
const UNIT: &str = "aivonxd.service";
/// What the daemon puts before the names of its fields.
const PREFIX: &str = "AIVONX_";
/// Which part of the daemon an entry is from.
const TARGET: &str = "AIVONX_TARGET";
/// When it happened; the journal's own time is when it came in.
const TIME: &str = "AIVONX_TIME";
/// Longest line of journalctl that is read; a longer one is skipped.
const LINE_MAX: usize = 1 << 20;

/// Reads events at or after `since` and before `until` that pass `filter`, oldest first, and hands each to `take`. Any
/// process may write to the journal as `aivonxd`: only entries of the daemon's own unit, of root or of `daemon` (the
/// uid it runs as now) count.
///
/// # Errors
/// journalctl is missing, failed, or may not read the journal; and the errors of `take`.
pub async fn read(
    filter: &LogFilter,
    since: UnixMillis,
    until: UnixMillis,
    daemon: Option<u32>,
    mut take: impl FnMut(LogEvent) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let grep = Grep::of(filter)?;
    let mut arguments =
        vec![format!("--since=@{}", since / 1000), format!("--until=@{}", until.div_ceil(1000))];
    if let Some(node) = &filter.node {
        arguments.push(format!("{PREFIX}NODE={node}"));
    }
    if let Some(id) = &filter.organization {
        arguments.push(format!("{PREFIX}ORGANIZATION={id}"));
    }
    let mut journal = Journal::open(&arguments)?;
    while let Some(event) = journal.next(daemon).await? {
        let wanted = |e: &LogEvent| (since..until).contains(&e.time) && passes(e, filter, grep.as_ref());
        if let Some(event) = event.filter(wanted) {
            take(event)?;
        }
    }
    journal.end().await
}

/// A part of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The least severity.
    pub level: Level,
    /// Begin there; None is as late as possible.
    pub since: Option<UnixMillis>,
    /// End before this.
    pub until: UnixMillis,
    /// At most about so many events.
    pub lines: usize,
    /// The daemon's process, whose uid is asked of the system.
    pub pid: Option<u32>,
}

/// What was found of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The events, oldest first.
    pub events: Vec<LogEvent>,
    /// Whether there may be more: before them, or behind them if they begin at a given time.
    pub more: bool,
}

/// How much later than it happened an event may have come into the journal, milliseconds.
const LATE: u64 = 2000;
/// Most entries looked at for some that are early enough.
const ENTRIES_MAX: usize = 1 << 17;

/// Reads a part of the journal.
///
/// # Errors
/// As of [`read`].
pub async fn part(asked: &Part) -> Result<Past, Failure> {
    let pid = asked.pid.and_then(|pid| fs::metadata(format!("/proc/{pid}")).ok());
    let daemon = pid.map(|process| process.uid());
    let filter = LogFilter { level: Some(asked.level), ..LogFilter::default() };
    if let Some(since) = asked.since {
        let mut arguments = vec![format!("--since=@{}", since / 1000)];
        arguments.extend(upper(asked));
        let mut journal = Journal::open(&arguments)?;
        let mut events = Vec::new();
        while let Some(event) = journal.next(daemon).await? {
            let wanted = |e: &LogEvent| (since..asked.until).contains(&e.time) && passes(e, &filter, None);
            events.extend(event.filter(wanted));
            if events.len() >= asked.lines {
                return Ok(Past { events, more: true });
            }
        }
        journal.end().await?;
        return Ok(Past { events, more: false });
    }
    let mut lines = asked.lines;
    loop {
        let mut arguments = vec![format!("--lines={lines}")];
        arguments.extend(upper(asked));
        let mut journal = Journal::open(&arguments)?;
        let (mut events, mut entries) = (Vec::new(), 0);
        while let Some(event) = journal.next(daemon).await? {
            entries += 1;
            events.extend(event.filter(|e: &LogEvent| e.time < asked.until && passes(e, &filter, None)));
        }
        journal.end().await?;
        let more = entries >= lines;
        // In a busy second all of them may be too late: those before them are wanted.
        if !events.is_empty() || !more || lines >= ENTRIES_MAX {
            return Ok(Past { events, more });
        }
        lines *= 4;
    }
}

/// What lets journalctl leave out most of what is not wanted.
fn upper(asked: &Part) -> [String; 2] {
    let priority = match asked.level {
        Level::Error => "err",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    };
    [
        format!("--until=@{}", asked.until.saturating_add(LATE).div_ceil(1000)),
        format!("--priority={priority}"),
    ]
}

/// journalctl at work. It ends when this is dropped.
struct Journal {
    child: Child,
    lines: BufReader<ChildStdout>,
    line: Vec<u8>,
    notices: JoinHandle<String>,
}

impl Journal {
    /// Starts it for the daemon's entries and these conditions.
    fn open(arguments: &[String]) -> Result<Self, Failure> {
        let mut child = Command::new("journalctl")
            .args(["--output=json", "--no-pager", "--all"])
            .arg(format!("--identifier={IDENTIFIER}"))
            .args(arguments)
            // Its notices are recognised by their words.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                Failure::failed(format!(
                    "older events are in the journal, but journalctl does not start: {error}"
                ))
            })?;
        let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Failure::failed("journalctl has no output"));
        };
        // Drained aside, so that a talkative journalctl cannot block itself.
        let notices = tokio::spawn(async move {
            let mut text = Vec::new();
            let _ = (&mut stderr).take(64 << 10).read_to_end(&mut text).await;
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Self { child, lines: BufReader::new(stdout), line: Vec::new(), notices })
    }

    /// The next entry, as an event if it is one of the daemon; None at the end.
    async fn next(&mut self, daemon: Option<u32>) -> Result<Option<Option<LogEvent>>, Failure> {
        self.line.clear();
        match self.lines.read_until(b'\n', &mut self.line).await {
            Ok(0) => Ok(None),
            Ok(_) if self.line.len() > LINE_MAX => Ok(Some(None)),
            Ok(_) => Ok(Some(parse(&self.line, daemon))),
            Err(error) => Err(Failure::failed(format!("journalctl cannot be read: {error}"))),
        }
    }

    /// How it ended.
    async fn end(mut self) -> Result<(), Failure> {
        let status = self.child.wait().await;
        let notices = self.notices.await.unwrap_or_default();
        match refusal(&notices) {
            Some(failure) => Err(failure),
            None if status.as_ref().is_ok_and(std::process::ExitStatus::success) => Ok(()),
            // An empty journal is no failure, though journalctl says 1.
            None if notices.trim().is_empty() || notices.contains("No journal files were found") => Ok(()),
            None => Err(Failure::failed(format!("journalctl failed: {}", notices.trim()))),
        }
    }
}

/// Whether journalctl said that it may not see the system's journal.
fn refusal(notices: &str) -> Option<Failure> {
    let closed = ["insufficient permissions", "not seeing messages from other users", "Permission denied"];
    closed.iter().any(|words| notices.contains(words)).then(|| Failure::NotPermitted {
        message: "older events are in the journal, which you may not read: you are in neither of the groups \
                      systemd-journal and adm"
            .to_owned(),
        hint: Some(
            "Join one and log in again: sudo usermod -aG systemd-journal \"$USER\"; or run this with sudo."
                .to_owned(),
        ),
    })
}

/// The filter's expression, compiled, and the zone of the lines it is looked for in.
struct Grep {
    expression: Regex,
    zone: TimeZone,
}

impl Grep {
    /// # Errors
    /// A usage failure with what is wrong in the expression.
    fn of(filter: &LogFilter) -> Result<Option<Self>, Failure> {
        let Some(text) = &filter.grep else { return Ok(None) };
        match Regex::new(text) {
            Ok(expression) => Ok(Some(Self { expression, zone: TimeZone::system() })),
            Err(error) => Err(Failure::usage(format!("--grep: {error}"))),
        }
    }

    fn finds(&self, event: &LogEvent) -> bool {
        self.expression.is_match(&event.message)
            || event.fields.iter().any(|(_, value)| self.expression.is_match(value))
            || self.expression.is_match(&log_line(event, &self.zone))
    }
}

/// Whether an event passes, by the daemon's own rules for events in memory.
fn passes(event: &LogEvent, filter: &LogFilter, grep: Option<&Grep>) -> bool {
    let has = |name: &str, wanted: &Option<String>| {
        wanted
            .as_ref()
            .is_none_or(|wanted| event.fields.iter().any(|(key, value)| key == name && value == wanted))
    };
    event.level <= filter.level.unwrap_or(Level::Info)
        && has("node", &filter.node)
        && has("organization", &filter.organization)
        && grep.is_none_or(|grep| grep.finds(event))
}

/// One line of `journalctl -o json` as an event; None if it is not one, or not the daemon's. The sequence
/// number is 0: the journal does not keep it.
#[must_use]
pub fn parse(line: &[u8], daemon: Option<u32>) -> Option<LogEvent> {
    let entry: Map<String, Value> = serde_json::from_slice(line).ok()?;
    // journald itself sets the fields that begin with an underscore.
    let uid = entry.get("_UID").and_then(text).and_then(|uid| uid.parse::<u32>().ok());
    let unit = entry.get("_SYSTEMD_UNIT").and_then(text);
    if unit.as_deref() != Some(UNIT) && uid != Some(0) && (uid.is_none() || uid != daemon) {
        return None;
    }
    let received: u64 = text(entry.get("__REALTIME_TIMESTAMP")?)?.parse().ok()?;
    let happened = entry
        .get(TIME)
        .and_then(text)
        .and_then(|time| time.parse::<jiff::Timestamp>().ok())
        .and_then(|time| u64::try_from(time.as_millisecond()).ok());
    let level = match entry.get("PRIORITY").and_then(text).and_then(|digit| digit.parse::<u8>().ok()) {
        Some(0..=3) => Level::Error,
        Some(4) => Level::Warn,
        Some(7..) => Level::Debug,
        Some(5 | 6) | None => Level::Info,
    };
    let fields = entry
        .iter()
        .filter(|(key, _)| *key != TARGET && *key != TIME)
        .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?.to_lowercase(), text(value)?)))
        .collect();
    Some(LogEvent {
        seq: 0,
        time: happened.unwrap_or(received / 1000),
        level,
        target: entry.get(TARGET).and_then(text).unwrap_or_else(|| "daemon".to_owned()),
        message: entry.get("MESSAGE").and_then(text).unwrap_or_default(),
        fields,
    })
}

/// A field's text. journald writes fields with control characters as lists of bytes, and a field that occurs
/// several times as a list of texts, of which the first counts.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.first().is_some_and(Value::is_number) => {
            let bytes: Option<Vec<u8>> = items.iter().map(|item| item.as_u64()?.try_into().ok()).collect();
            Some(String::from_utf8_lossy(&bytes?).into_owned())
        }
        Value::Array(items) => items.first().and_then(text),
        _ => None,
    }
}

/// Where events are that the daemon no longer holds in memory, by its log's sink.
pub(crate) fn older_events(sink: &str) -> String {
    match sink.strip_prefix("file ") {
        Some(path) => format!("older ones are in {}", safe(path)),
        None if sink == "stderr" => "older ones went to its standard error".to_owned(),
        None => "older ones are kept nowhere".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"__REALTIME_TIMESTAMP":"1795307494123456","PRIORITY":"4","SYSLOG_IDENTIFIER":"aivonxd",
        "MESSAGE":"node went to standby","AIVONX_TARGET":"fleet::health","AIVONX_NODE":"gpu1","AIVONX_STATUS":"503",
        "_UID":"0","_PID":"7","AIVONX_EVENT":["node_down","second"]}"#;

    #[test]
    fn an_entry_becomes_an_event() {
        let event = parse(LINE.as_bytes(), None).unwrap();
        assert_eq!((event.seq, event.time, event.level), (0, 1_795_307_494_123, Level::Warn));
        assert_eq!(
            (event.target.as_str(), event.message.as_str()),
            ("fleet::health", "node went to standby")
        );
        let mut fields = event.fields;
        fields.sort();
        let expected = [("event", "node_down"), ("node", "gpu1"), ("status", "503")];
        assert_eq!(fields, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn the_time_is_when_it_happened() {
        let line =
            br#"{"__REALTIME_TIMESTAMP":"2000000","AIVONX_TIME":"1970-01-01T00:00:01.250Z","_UID":"0"}"#;
        let event = parse(line, None).unwrap();
        assert_eq!((event.time, event.fields), (1250, vec![]));
    }

    #[test]
    fn nobody_else_speaks_for_the_daemon() {
        for (field, daemon, counts) in [
            (r#""_UID":"0""#, None, true),
            (r#""_UID":"990""#, Some(990), true),
            (r#""_UID":"1000","_SYSTEMD_UNIT":"aivonxd.service""#, None, true),
            (r#""_UID":"1000""#, Some(990), false),
            (r#""_UID":"1000","_SYSTEMD_UNIT":"cron.service""#, None, false),
            (r#""MESSAGE":"no uid at all""#, None, false),
            (r#""UID":"0","SYSTEMD_UNIT":"aivonxd.service""#, Some(990), false),
        ] {
            let line = format!(r#"{{"__REALTIME_TIMESTAMP":"1",{field}}}"#);
            assert_eq!(parse(line.as_bytes(), daemon).is_some(), counts, "{field} {daemon:?}");
        }
    }

    #[test]
    fn bytes_are_text_again() {
        let line = br#"{"__REALTIME_TIMESTAMP":"1000000","_UID":"0","MESSAGE":[97,27,91,50,74,255]}"#;
        let event = parse(line, None).unwrap();
        assert_eq!(event.message, "a\u{1b}[2J\u{fffd}");
        assert_eq!(event.level, Level::Info);
    }

    #[test]
    fn every_priority_has_its_level() {
        for (priority, level) in [
            (0, Level::Error),
            (3, Level::Error),
            (4, Level::Warn),
            (5, Level::Info),
            (6, Level::Info),
            (7, Level::Debug),
        ] {
            let line = format!(r#"{{"__REALTIME_TIMESTAMP":"1","_UID":"0","PRIORITY":"{priority}"}}"#);
            assert_eq!(parse(line.as_bytes(), None).unwrap().level, level);
        }
    }

    #[test]
    fn what_is_no_entry_is_skipped() {
        for line in [
            "",
            "{}",
            "[]",
            "null",
            "{\"__REALTIME_TIMESTAMP\":\"x\"}",
            "{\"__REALTIME_TIMESTAMP\":null}",
            "-- No entries --",
        ] {
            assert_eq!(parse(line.as_bytes(), None), None, "{line}");
        }
    }

    #[test]
    fn the_filter_is_the_daemons() {
        let event = parse(LINE.as_bytes(), None).unwrap();
        let check = |filter: LogFilter| {
            let expression = Grep::of(&filter).unwrap();
            passes(&event, &filter, expression.as_ref())
        };
        assert!(check(LogFilter::default()));
        assert!(check(LogFilter { level: Some(Level::Warn), ..LogFilter::default() }));
        assert!(!check(LogFilter { level: Some(Level::Error), ..LogFilter::default() }));
        assert!(check(LogFilter { node: Some("gpu1".into()), ..LogFilter::default() }));
        assert!(!check(LogFilter { node: Some("gpu".into()), ..LogFilter::default() }));
        assert!(!check(LogFilter { organization: Some("gpu1".into()), ..LogFilter::default() }));
        assert!(check(LogFilter { grep: Some("^50[0-9]$".into()), ..LogFilter::default() }));
        // The line as it is printed.
        for printed in ["node=gpu1 status=503", "WARN  fleet::health: node went to standby", "^2026-11-2"] {
            assert!(check(LogFilter { grep: Some(printed.into()), ..LogFilter::default() }), "{printed}");
        }
        assert!(!check(LogFilter { grep: Some("status=500".into()), ..LogFilter::default() }));
        assert!(matches!(
            Grep::of(&LogFilter { grep: Some("(".into()), ..LogFilter::default() }),
            Err(Failure::Usage { .. })
        ));
    }

    #[test]
    fn a_closed_journal_names_the_groups() {
        let hint = "Hint: You are currently not seeing messages from other users and the system.\n      Users in groups 'adm', 'systemd-journal' can see all messages.";
        let failure = refusal(hint).unwrap();
        assert_eq!(failure.exit(), crate::exit::Exit::NotPermitted);
        assert!(failure.to_string().contains("systemd-journal"), "{failure}");
        assert!(refusal("No journal files were opened due to insufficient permissions.").is_some());
        assert!(refusal("").is_none());
    }
}
