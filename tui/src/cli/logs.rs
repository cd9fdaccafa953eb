//! `aivonx logs`

use std::{collections::VecDeque, fs, os::unix::fs::MetadataExt as _};

use aivonx_protocol::{
    Event, UnixMillis,
    client::Client,
    daemon,
    log::{self, Level, LogEvent, LogFilter, LogPage},
    node, organization,
};
use clap::{Args, ValueEnum};
use jiff::{Zoned, tz::TimeZone};
use regex::Regex;
use serde::Serialize;

use super::Context;
use crate::{
    exit::Failure,
    journal::{self, older_events},
    render::{
        Out, Tone,
        out::note,
        text::{self, plural, safe},
    },
    time_arg,
};

/// Lines shown where nothing else is asked for, and before following.
const LINES: u32 = 100;
const LINES_BEFORE: u32 = 10;
/// More than the daemon holds.
const ALL: u32 = 1_000_000;

/// [`Level`] as clap sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Least {
    /// Failures.
    Error,
    /// And what is off.
    #[value(alias = "warning")]
    Warn,
    /// And what happens.
    Info,
    /// And details for developers.
    Debug,
    /// Everything.
    Trace,
}

impl From<Least> for Level {
    fn from(least: Least) -> Self {
        match least {
            Least::Error => Self::Error,
            Least::Warn => Self::Warn,
            Least::Info => Self::Info,
            Least::Debug => Self::Debug,
            Least::Trace => Self::Trace,
        }
    }
}

/// `logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Go on with what happens, until interrupted
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// At most so many past lines [default: 100; 10 with -f; all with --since]
    #[arg(long, short = 'n', value_name = "N")]
    pub lines: Option<u32>,
    /// The beginning, as [`time_arg::since`] reads it.
    #[arg(long, short = 'S', value_name = "TIME", value_parser = since, help = time_arg::SINCE)]
    pub since: Option<UnixMillis>,
    /// Least severity [default: info]
    #[arg(long, short = 'l', value_enum, value_name = "LEVEL", hide_possible_values = true)]
    #[arg(help = "Least severity: error, warn, info, debug, trace [default: info]")]
    pub level: Option<Least>,
    /// Only lines in which this regular expression is found, as they are printed
    #[arg(long, short = 'g', value_name = "RE", value_parser = expression)]
    pub grep: Option<String>,
    /// Only lines about this node
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// Only lines of this organization
    #[arg(long, value_name = "ORG")]
    pub org: Option<String>,
}

fn since(text: &str) -> Result<UnixMillis, String> {
    time_arg::since(text, &Zoned::now())
}

fn expression(text: &str) -> Result<String, String> {
    // Only the last line of the error says what is wrong; the others draw the spot.
    Regex::new(text).map(|_| text.to_owned()).map_err(|error| format!("not a regular expression: {error}"))
}

/// Carries it out.
///
/// # Errors
/// Why not; also if the older part cannot be read, after all that can.
pub async fn run(context: &mut Context, args: LogsArgs) -> Result<(), Failure> {
    let mut filter = LogFilter {
        level: args.level.map(Into::into),
        grep: args.grep,
        node: args.node,
        since: args.since,
        ..LogFilter::default()
    };
    let wanted = match (args.lines, args.since, args.follow) {
        (Some(lines), ..) => lines,
        (None, Some(_), _) => ALL,
        (None, None, true) => LINES_BEFORE,
        (None, None, false) => LINES,
    };
    let client = context.client().await?;
    if let Some(org) = &args.org {
        // By its id, which is what the journal has of every event.
        filter.organization = Some(client.ask(organization::Show { organization: org.to_owned() }).await?.id);
    }
    // One that was removed may still be in the log; one that was mistyped is not.
    if let Some(node) = &filter.node
        && let Ok(nodes) = client.ask(node::List).await
        && nodes.iter().all(|known| known.name != *node)
    {
        note(format_args!("aivonx: no node is named {} now; see aivonx node list", safe(node)));
    }
    let out = &mut context.out;
    let page = if args.follow && args.since.is_none() {
        None
    } else {
        Some(client.ask(log::Recent { filter: filter.clone(), lines: wanted }).await?)
    };
    let older = match &page {
        Some(page) => older(&client, out, &filter, page, args.lines).await,
        None => Ok(()),
    };
    match older {
        Err(failure @ Failure::Output(_)) => return Err(failure),
        Err(failure) if args.follow => note(format_args!("aivonx: {failure}")),
        older if !args.follow => {
            for event in page.iter().flat_map(|page| &page.events) {
                write(out, event)?;
            }
            return older;
        }
        _ => {}
    }
    follow(&client, out, filter, wanted).await
}

/// Shows what lies before the daemon's memory, or says where it is.
async fn older(
    client: &Client,
    out: &mut Out,
    filter: &LogFilter,
    page: &LogPage,
    lines: Option<u32>,
) -> Result<(), Failure> {
    let Some(since) = filter.since else { return Ok(()) };
    let oldest = page.oldest.unwrap_or_else(text::now);
    if since >= oldest {
        return Ok(());
    }
    // The page may begin later than the memory, if not all of it fits into one answer.
    let until = page.events.first().map_or(oldest, |event| event.time);
    if page.sink != "journald" {
        note(elsewhere(&page.sink, oldest, &out.zone));
        return Ok(());
    }
    let daemon = fs::metadata(format!("/proc/{}", client.ask(daemon::GetStatus).await?.pid))
        .ok()
        .map(|process| process.uid());
    let Some(lines) = lines else {
        return journal::read(filter, since, until, daemon, |event| write(out, &event)).await;
    };
    // Only the newest of them are wanted, and how many there are is known at the end.
    let room = (lines as usize).saturating_sub(page.events.len());
    let mut kept = VecDeque::new();
    let read = journal::read(filter, since, until, daemon, |event| {
        kept.push_back(event);
        if kept.len() > room {
            kept.pop_front();
        }
        Ok(())
    })
    .await;
    for event in kept {
        write(out, &event)?;
    }
    read
}

/// Where older events are, if not in the journal.
fn elsewhere(sink: &str, oldest: UnixMillis, zone: &TimeZone) -> String {
    format!("(the daemon holds events since {}; {})", text::time(oldest, zone), older_events(sink))
}

async fn follow(client: &Client, out: &mut Out, filter: LogFilter, lines: u32) -> Result<(), Failure> {
    let mut stream = client.follow(log::Follow { filter, lines }).await?;
    while let Some(step) = stream.next().await {
        match step? {
            Event::Log(event) => write(out, &event)?,
            Event::LogMissed(missed) => skipped(out, missed)?,
            _ => {}
        }
    }
    Err(Failure::Lost("the daemon ended the log stream".to_owned()))
}

/// What stands in the place of events a slow reader lost.
#[derive(Debug, Serialize)]
pub struct Missed {
    /// How many.
    pub missed: u64,
}

fn skipped(out: &mut Out, missed: u64) -> Result<(), Failure> {
    if out.is_json() {
        out.json_line(&Missed { missed })
    } else {
        out.line(format_args!("-- {} missed: this reader was too slow --", plural(missed, "line")))
    }
}

fn write(out: &mut Out, event: &LogEvent) -> Result<(), Failure> {
    if out.is_json() {
        return out.json_line(event);
    }
    let line = text::log_line(event, &out.zone);
    let tone = match event.level {
        Level::Error => Tone::Bad,
        Level::Warn => Tone::Warn,
        Level::Info => Tone::Plain,
        Level::Debug | Level::Trace => Tone::Dim,
    };
    let line = out.paint(&line, tone);
    out.line(line)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{cli::Cli, samples};

    #[test]
    fn lines_for_people() {
        let shown: Vec<String> =
            samples::events().iter().map(|event| text::log_line(event, &TimeZone::UTC)).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn older_events_are_somewhere() {
        insta::assert_snapshot!(
            [
                elsewhere("stderr", samples::NOW, &TimeZone::UTC),
                elsewhere("none", samples::NOW, &TimeZone::UTC),
                elsewhere("file /var/log/aivonxd.log", samples::NOW, &TimeZone::UTC)
            ]
            .join("\n")
        );
    }

    #[test]
    fn bad_arguments_are_usage() {
        for (args, says) in [
            (["--since", "tomorrow"], "accepted are"),
            (["--grep", "("], "not a regular expression"),
            (["--level", "loud"], "warn"),
            (["-n", "-1"], "-1"),
        ] {
            let error = Cli::try_parse_from(["aivonx", "logs", args[0], args[1]]).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
