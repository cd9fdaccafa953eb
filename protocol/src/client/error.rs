//! What can go wrong on the way to an answer. The command line's exit code follows from the variant.

use std::{fmt, io, path::Path};

use crate::{Fault, Untrusted, handshake::HandshakeError};

/// Why a request has no answer. Fit for a terminal as it is: text that came over the socket is escaped.
#[derive(Debug)]
pub enum ClientError {
    /// No daemon answers.
    Unreachable(String),
    /// The socket's permissions keep the caller out.
    Denied(String),
    /// The daemon speaks another version of the protocol, or no such protocol.
    Version(String),
    /// The daemon refused the request, or failed in it.
    Fault(Fault),
    /// The connection ended before the answer.
    Closed(String),
    /// One side broke the protocol's rules, or the request is too large for it.
    Protocol(String),
}

impl std::error::Error for ClientError {}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text) | Self::Denied(text) | Self::Version(text) => f.write_str(text),
            Self::Fault(fault) => write_lines(f, &fault.to_string()),
            Self::Closed(why) => write!(
                f,
                "aivonxd closed the connection: {}\nWhether the request was carried out is unknown; look before \
                 you repeat it.",
                Untrusted::new(why)
            ),
            Self::Protocol(why) => write!(
                f,
                "aivonx and aivonxd do not understand each other: {}\nInstall both from the same version.",
                Untrusted::new(why)
            ),
        }
    }
}

/// Faults may have several lines (a configuration's mistakes): the line ends are ours, the rest is not.
fn write_lines(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            f.write_str("\n")?;
        }
        write!(f, "{}", Untrusted::new(line).max(4096))?;
    }
    Ok(())
}

impl ClientError {
    /// Of a failed connect to the socket at `path`.
    #[must_use]
    pub fn connecting(path: &Path, error: &io::Error) -> Self {
        let shown = path.display().to_string();
        let path = Untrusted::new(&shown).max(4096);
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied(format!(
                "you may not use the control socket {path}\nRun the command as root or as the daemon's user, or \
                 join the socket's group."
            )),
            io::ErrorKind::NotFound => Self::Unreachable(format!(
                "there is no control socket at {path}\nStart aivonxd, or name its socket with --socket or \
                 AIVONX_SOCKET."
            )),
            io::ErrorKind::ConnectionRefused => Self::Unreachable(format!(
                "nobody answers on the control socket {path}\naivonxd is not running: start it."
            )),
            _ => Self::Unreachable(format!(
                "the control socket {path} cannot be reached: {error}\nLook whether aivonxd runs and how it does."
            )),
        }
    }

    pub(super) fn silent(seconds: u64) -> Self {
        Self::Unreachable(format!(
            "aivonxd did not answer within {seconds} s\nLook whether it is stopped or overloaded."
        ))
    }

    pub(super) fn unexpected(asked: &str, got: &str) -> Self {
        Self::Protocol(format!("{asked} was answered with {got}"))
    }
}

impl From<HandshakeError> for ClientError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Refused(fault) => Self::Fault(fault),
            HandshakeError::Version { .. } => {
                Self::Version(format!("{error}\nInstall aivonx and aivonxd from the same version."))
            }
            HandshakeError::Foreign(why) => Self::Version(format!(
                "what answers on the control socket is not aivonxd: {}\nName aivonxd's socket with --socket or \
                 AIVONX_SOCKET.",
                Untrusted::new(&why)
            )),
            HandshakeError::Closed | HandshakeError::Frame(_) => Self::Closed(error.to_string()),
        }
    }
}
