//! How objects are shown, on the command line and in the console.

use aivonx_protocol::UnixMillis;
use jiff::tz::TimeZone;

use super::{Cell, bar, text};
use crate::theme::Theme;

/// How an object is shown: on the command line or in the console, at which time and in which zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The time that ages are counted to.
    pub(crate) now: UnixMillis,
    /// The zone times are shown in.
    pub(crate) zone: &'a TimeZone,
    /// How the console looks; None on the command line.
    pub(crate) theme: Option<Theme>,
    /// Ids of the keys that are disabled, which their records do not say.
    pub(crate) disabled_keys: &'a [String],
}

impl View<'_> {
    /// A word with a sign before it in the console, where a column of words is looked over, not read.
    pub(crate) fn signed(&self, unicode: &'static str, ascii: &'static str, word: &str) -> String {
        self.theme.map_or_else(|| word.to_owned(), |theme| format!("{} {word}", theme.sign(unicode, ascii)))
    }

    /// How long ago that was; `-` where it never was.
    pub(crate) fn ago(&self, at: Option<UnixMillis>) -> Cell {
        Cell::optional(at.map(|at| text::ago(at, self.now)))
    }

    /// A number, in the console in a few cells.
    pub(crate) fn number(&self, number: u64) -> String {
        if self.theme.is_some() { text::short(number) } else { text::count(number) }
    }

    /// Micro-USD as dollars; the command line has every decimal there is.
    pub(crate) fn dollars(&self, micro: u64) -> String {
        if self.theme.is_some() { text::dollars(micro) } else { text::usd(micro) }
    }

    /// A share, in the console as a bar of so many cells.
    pub(crate) fn bar(&self, share: f64, cells: usize) -> String {
        self.theme.map_or_else(|| bar::percent(share), |theme| bar::told(share, cells, theme))
    }

    /// A time with its date.
    pub(crate) fn time(&self, at: UnixMillis) -> String {
        text::time(at, self.zone)
    }
}
