//! How a command ends: the one table of exit codes, and the failures that map to them.

use std::{fmt, io, path::PathBuf};

use aivonx_protocol::{Fault, FaultKind};

use crate::render::text::Lines;

/// Exit codes of `aivonx`. Scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Refused by the daemon, or failed.
    Failed,
    /// The command line is wrong.
    Usage,
    /// No daemon answered.
    Unreachable,
    /// The caller may not do this.
    NotPermitted,
}

impl Exit {
    /// Every exit code with the words `--help` explains it with.
    pub const TABLE: [(Self, u8, &'static str); 5] = [
        (Self::Done, 0, "done"),
        (Self::Failed, 1, "refused or failed"),
        (Self::Usage, 2, "wrong usage"),
        (Self::Unreachable, 3, "daemon not reachable"),
        (Self::NotPermitted, 4, "not permitted"),
    ];

    /// The number given to the shell.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::NotPermitted => 4,
        }
    }
}

/// A socket that was tried, and what happened.
#[derive(Debug)]
pub struct Tried {
    /// Path of the socket.
    pub path: PathBuf,
    /// Why it did not work, in a few words.
    pub why: String,
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line asks for something that makes no sense.
    #[error("{}", Said { message, hint: hint.as_deref() })]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// It failed here, not in the daemon.
    #[error("{}", Said { message, hint: hint.as_deref() })]
    Failed {
        /// What is wrong.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The operating system does not let the caller do it.
    #[error("{}", Said { message, hint: hint.as_deref() })]
    NotPermitted {
        /// What is wrong.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// No socket led to a daemon.
    #[error("{}", Sockets(.0))]
    Unreachable(Vec<Tried>),
    /// The connection ended before the answer.
    #[error("{}\nSee whether it still runs: aivonx status", Lines(.0))]
    Lost(String),
    /// The daemon refused or failed; `option` is its field as this verb's command line spells it.
    #[error("{}", Refusal { fault, option: option.as_deref() })]
    Fault {
        /// The daemon's answer.
        fault: Fault,
        /// `--max-parallel`, `URL`, ...
        option: Option<String>,
    },
    /// Standard output did not take what was written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// Everything there is to say has been printed.
    #[error("")]
    Silent(Exit),
}

impl Failure {
    /// A usage mistake without a hint.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// A failure without a hint.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: None }
    }

    /// Adds what to do next, where the kind of failure does not say it itself.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Usage { hint, .. } | Self::Failed { hint, .. } | Self::NotPermitted { hint, .. } =
            &mut self
        {
            *hint = Some(text.into());
        }
        self
    }

    /// The same where the failure has lost a new secret, which cannot be shown again: `what` became of it, and what
    /// to do next. It is never silent.
    #[must_use]
    pub fn lost(self, what: impl fmt::Display, next: impl Into<String>) -> Self {
        Self::failed(format!("{self}\n{what}")).with_hint(next)
    }

    /// The exit code it leads to.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } => Exit::Usage,
            Self::Failed { .. } => Exit::Failed,
            Self::NotPermitted { .. } => Exit::NotPermitted,
            Self::Unreachable(_) | Self::Lost(_) => Exit::Unreachable,
            Self::Fault { fault, .. } => match fault.kind {
                FaultKind::NotPermitted => Exit::NotPermitted,
                _ => Exit::Failed,
            },
            // The reader had enough (`| head`): that is not a failure of ours.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) => Exit::Failed,
            Self::Silent(exit) => *exit,
        }
    }

    /// Whether nothing is to be printed for it.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        match self {
            Self::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Self::Silent(_) => true,
            _ => false,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A message of our own, with its hint on the next line.
struct Said<'a> {
    message: &'a str,
    hint: Option<&'a str>,
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Lines(self.message))?;
        self.hint.map_or(Ok(()), |hint| write!(f, "\n{}", Lines(hint)))
    }
}

/// A fault with the option it is about. Its text is the daemon's and may quote a node's, so it is escaped.
struct Refusal<'a> {
    fault: &'a Fault,
    option: Option<&'a str>,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(option) = self.option {
            write!(f, "{}: ", Lines(option))?;
        }
        write!(f, "{}", Lines(&self.fault.message))?;
        if let Some(hint) = &self.fault.hint {
            return write!(f, "\n{}", Lines(hint));
        }
        match self.fault.kind {
            FaultKind::Conflict => f.write_str("\nLook at it as it is now and try again."),
            FaultKind::Unavailable | FaultKind::TimedOut => {
                f.write_str("\nTry again later; aivonx status says what needs attention.")
            }
            FaultKind::Internal => f.write_str("\nThe daemon's log has the cause: aivonx logs --level error"),
            FaultKind::Unsupported => f.write_str("\nThe daemon is of another version: aivonx status"),
            _ => Ok(()),
        }
    }
}

/// The sockets tried without success.
struct Sockets<'a>(&'a [Tried]);

impl fmt::Display for Sockets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no daemon is reachable. Tried:")?;
        for tried in self.0 {
            write!(f, "\n  {}: {}", Lines(&tried.path.to_string_lossy()), Lines(&tried.why))?;
        }
        f.write_str(
            "\nStart one:          sudo systemctl start aivonxd, or without root: aivonxd dev\
             \nOr name its socket: aivonx --socket DIR/control.sock ... (or AIVONX_SOCKET)",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_codes_agree() {
        for (place, (exit, code, words)) in Exit::TABLE.into_iter().enumerate() {
            assert_eq!(usize::from(code), place);
            assert_eq!(exit.code(), code);
            assert!(!words.is_empty());
        }
    }

    #[test]
    fn every_fault_kind_has_its_code() {
        for (kind, exit) in [
            (FaultKind::Invalid, Exit::Failed),
            (FaultKind::NotFound, Exit::Failed),
            (FaultKind::Conflict, Exit::Failed),
            (FaultKind::NotPermitted, Exit::NotPermitted),
            (FaultKind::Unavailable, Exit::Failed),
            (FaultKind::TimedOut, Exit::Failed),
            (FaultKind::Cancelled, Exit::Failed),
            (FaultKind::Internal, Exit::Failed),
            (FaultKind::Unsupported, Exit::Failed),
        ] {
            let failure = Failure::Fault { fault: Fault::new(kind, "no"), option: None };
            assert_eq!(failure.exit(), exit, "{kind:?}");
        }
    }

    #[test]
    fn every_failure_has_its_code() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        for (failure, exit, silent) in [
            (Failure::usage("u"), Exit::Usage, false),
            (Failure::failed("f"), Exit::Failed, false),
            (Failure::NotPermitted { message: "n".into(), hint: None }, Exit::NotPermitted, false),
            (Failure::Unreachable(Vec::new()), Exit::Unreachable, false),
            (Failure::Lost("l".into()), Exit::Unreachable, false),
            (Failure::Output(broken), Exit::Done, true),
            (Failure::Output(full), Exit::Failed, false),
            (Failure::Silent(Exit::Failed), Exit::Failed, true),
        ] {
            assert_eq!((failure.exit(), failure.is_silent()), (exit, silent), "{failure:?}");
        }
    }

    #[test]
    fn a_fault_shows_its_option_and_hint_escaped() {
        let fault = Fault::new(FaultKind::Invalid, "\"\u{1b}[2J\" is no URL").hint("Give http://HOST:PORT");
        let failure = Failure::Fault { fault, option: Some("--url".into()) };
        assert_eq!(failure.to_string(), "--url: \"\\u{1b}[2J\" is no URL\nGive http://HOST:PORT");
    }
}
