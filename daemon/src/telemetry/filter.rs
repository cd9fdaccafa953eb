//! What a reader of the log asks for, compiled.

use aivonx_protocol::{
    Fault, FaultKind, UnixMillis,
    log::{Level, LogFilter},
};
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

/// Whose events one may read, whatever one asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// All of them.
    Everyone,
    /// Those that belong to the organization with this id.
    Organization(String),
    /// None.
    Nobody,
}

impl Whose {
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
    whose: Whose,
    organization: Option<String>,
    level: Level,
    grep: Option<Regex>,
    node: Option<String>,
    since: Option<UnixMillis>,
    after: Option<u64>,
}

impl Filter {
    pub(crate) fn compile(whose: &Whose, filter: &LogFilter) -> Result<Self, FilterError> {
        Ok(Self {
            level: filter.level.unwrap_or(Level::Info),
            grep: filter.grep.as_deref().map(compile).transpose()?,
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
            && self.grep.as_ref().is_none_or(|re| {
                let text = record.text();
                re.is_match(text.message()) || text.fields().any(|f| re.is_match(f.value))
            })
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
