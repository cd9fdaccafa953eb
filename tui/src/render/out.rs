//! Standard output, as the command line asked for it.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd,
};

use jiff::tz::TimeZone;
use rustix::fs::FileType;
use serde::Serialize;

use super::{Table, Tone, View, json};
use crate::exit::Failure;

/// What standard output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For scripts.
    Json,
}

/// Standard output. A reader that went away ends the command quietly: see [`Failure::exit`].
pub struct Out {
    writer: Box<dyn Write>,
    /// Whether nobody ever sees what is written.
    nowhere: bool,
    /// Tables or JSON.
    pub format: Format,
    /// Columns of the terminal; None where lines may be as long as they like.
    pub width: Option<usize>,
    /// Whether lines can be drawn again.
    pub terminal: bool,
    /// Whether colours are shown.
    pub colour: bool,
    /// Whether colours are not wanted anywhere.
    pub no_colour: bool,
    /// The zone times are shown in.
    pub zone: TimeZone,
}

impl Out {
    /// Standard output in `format`. `COLUMNS` counts even in a pipe, so that `watch aivonx ...` fits.
    #[must_use]
    pub fn stdout(format: Format, no_colour: bool) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let asked = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|&n| n >= 20);
        let found = || {
            terminal.then(|| crossterm::terminal::size().ok()).flatten().map(|(columns, _)| columns.into())
        };
        let quiet = no_colour || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            nowhere: is_null(&stdout),
            writer: Box::new(stdout),
            format,
            width: asked.or_else(found),
            terminal: terminal && !dumb,
            colour: terminal && !quiet && !dumb,
            no_colour: quiet,
            zone: TimeZone::system(),
        }
    }

    /// Whether scripts read it.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// To be called before something is made that is shown only once.
    ///
    /// # Errors
    /// [`Failure::Usage`] if standard output is closed, or `/dev/null`, which is the same here.
    pub fn check_seen(&self) -> Result<(), Failure> {
        match self.nowhere {
            false => Ok(()),
            true => Err(Failure::usage(
                "standard output is closed or /dev/null, so the secret would be lost; nothing was done",
            )),
        }
    }

    /// Writes a line. What is foreign in it must have been escaped.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.writer, "{text}")?;
        Ok(())
    }

    /// Writes without a line break and at once.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn raw(&mut self, text: impl Display) -> Result<(), Failure> {
        write!(self.writer, "{text}")?;
        self.writer.flush()?;
        Ok(())
    }

    /// How nouns are looked at here and now.
    pub(crate) fn view(&self) -> View<'_> {
        View { now: super::text::now(), zone: &self.zone, theme: None, disabled_keys: &[] }
    }

    /// `text` in the colour of its meaning, where colours are shown.
    #[must_use]
    pub fn paint(&self, text: &str, tone: Tone) -> String {
        if self.colour { super::table::paint(text, tone) } else { text.to_owned() }
    }

    /// Writes a table.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let text = table.render(self.width, self.colour);
        self.line(text)
    }

    /// Writes `value` as JSON on several lines.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn json<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let text = json::pretty(value).map_err(io::Error::other)?;
        self.line(text)
    }

    /// Writes `value` as JSON on one line.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn json_line<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let text = json::line(value).map_err(io::Error::other)?;
        self.line(text)
    }

    /// Writes `value` as JSON, or what `people` makes of it.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn show<T: Serialize>(
        &mut self,
        value: &T,
        people: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.is_json() { self.json(value) } else { people(self) }
    }
}

/// Whether it is `/dev/null`, which also takes the place of a standard output that was closed.
fn is_null(output: &impl AsFd) -> bool {
    rustix::fs::fstat(output).is_ok_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice
            && found.st_rdev == rustix::fs::makedev(1, 3)
    })
}

/// Says something beside the output, on standard error. Nobody to hear it is no failure.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A line on a terminal that standard error is: drawn anew as things go on, gone when dropped. Nothing is
/// written where there is no such terminal.
#[derive(Debug)]
pub struct Passing {
    shown: bool,
    drawn: bool,
}

impl Passing {
    /// Nothing drawn yet. Not `wanted` is as without a terminal.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { shown: wanted && !dumb && io::stderr().is_terminal(), drawn: false }
    }

    /// Shows `text` in place of what stood there: one line, escaped, and short, as one that wraps stays.
    pub fn say(&mut self, text: impl Display) {
        if self.shown {
            self.drawn = true;
            let _ = write!(io::stderr(), "\r\u{1b}[2K{text}");
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(io::stderr(), "\r\u{1b}[2K");
        }
    }
}
