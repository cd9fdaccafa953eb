//! What a reader of the log asks for, compiled.

use std::fmt::Write as _;

use aivonx_protocol::{
    Fault, FaultKind, UnixMillis,
    log::{Level, LogFilter, TIME_FORMAT, push_line},
};
use jiff::{Timestamp, tz::TimeZone};
use regex::{Regex, RegexBuilder};

use super::view::View;

/// Longest expression accepted, bytes.
const GREP_MAX: usize = 1024;
/// Most memory a compiled expression may take, bytes.
const GREP_PROGRAM_MAX: usize = 1 << 20;

/// Why a filter was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The expression is too long.
    #[error("grep: the expression is {0} bytes long: use at most {GREP_MAX}")]
    TooLong(usize),
    /// The expression needs too much memory.
    #[error(
        "grep: the expression is too large when compiled: use smaller counts in {{n,m}} or fewer classes"
    )]
    TooLarge,
    /// Not a regular expression.
    #[error(
        "grep: `{expression}` is not a regular expression: {why}; put a backslash before characters meant as they are"
    )]
    Syntax {
        /// As given.
        expression: String,
        /// The parser's reason, on one line.
        why: String,
    },
}

impl From<FilterError> for Fault {
    fn from(e: FilterError) -> Self {
        Fault::new(FaultKind::Invalid, e.to_string()).field("grep")
    }
}

/// Which events the reader may see at all; the filter narrows these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogScope {
    /// All of them.
    Everyone,
    /// Those that belong to the organization with this id.
    Organization(String),
    /// None.
    Nobody,
}

impl LogScope {
    fn covers(&self, record: &View<'_>) -> bool {
        match self {
            Self::Everyone => true,
            Self::Organization(id) => record.is_of(id),
            Self::Nobody => false,
        }
    }
}

/// A compiled filter.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    whose: LogScope,
    organization: Option<String>,
    level: Level,
    grep: Option<Grep>,
    node: Option<String>,
    since: Option<UnixMillis>,
    after: Option<u64>,
}

impl Filter {
    pub(crate) fn compile(whose: &LogScope, filter: &LogFilter) -> Result<Self, FilterError> {
        Ok(Self {
            level: filter.level.unwrap_or(Level::Info),
            grep: filter.grep.as_deref().map(Grep::compile).transpose()?,
            node: filter.node.clone(),
            since: filter.since,
            after: filter.after,
            whose: whose.clone(),
            organization: filter.organization.clone(),
        })
    }

    /// What is another's first, then the cheapest test.
    pub(crate) fn passes(&self, record: &View<'_>) -> bool {
        self.whose.covers(record)
            && record.level <= self.level
            && self.after.is_none_or(|after| record.seq > after)
            && self.since.is_none_or(|since| record.time >= since)
            && self.organization.as_deref().is_none_or(|id| record.is_of(id))
            && self.node.as_deref().is_none_or(|node| record.is_about(node))
            && self.grep.as_ref().is_none_or(|grep| grep.finds(record))
    }
}

/// An expression, and what it takes to write lines as their reader sees them.
#[derive(Debug, Clone)]
struct Grep {
    expression: Regex,
    /// The machine's, as is that of who reads the log unless its environment says otherwise.
    zone: TimeZone,
}

impl Grep {
    fn compile(expression: &str) -> Result<Self, FilterError> {
        Ok(Self { expression: compile(expression)?, zone: TimeZone::system() })
    }

    /// Whether it is found in the line, or in one of its texts alone.
    fn finds(&self, record: &View<'_>) -> bool {
        let (text, found) = (record.text(), |text: &str| self.expression.is_match(text));
        if found(text.message()) || text.fields().iter().any(|field| found(&field.value)) {
            return true;
        }
        let mut line = String::with_capacity(512);
        let time = i64::try_from(record.time).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        if let Some(time) = time {
            let _ = write!(line, "{} ", time.to_zoned(self.zone.clone()).strftime(TIME_FORMAT));
        }
        let fields = text.fields().iter().map(|field| (field.name, &*field.value));
        push_line(record.level, record.target, text.message(), fields, &mut line);
        found(&line)
    }
}

fn compile(expression: &str) -> Result<Regex, FilterError> {
    if expression.len() > GREP_MAX {
        return Err(FilterError::TooLong(expression.len()));
    }
    RegexBuilder::new(expression)
        .size_limit(GREP_PROGRAM_MAX)
        .dfa_size_limit(GREP_PROGRAM_MAX)
        .build()
        .map_err(|e| match e {
            regex::Error::CompiledTooBig(_) => FilterError::TooLarge,
            other => {
                // The parser draws a picture of several lines whose last says what is wrong.
                let text = other.to_string();
                let why = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
                FilterError::Syntax { expression: expression.to_owned(), why: why.to_owned() }
            }
        })
}
