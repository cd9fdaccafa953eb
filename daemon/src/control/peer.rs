//! The process at the other end of a connection.

use std::{fmt, sync::Arc};

use aivonx_identity::{Actor, Source};
use aivonx_protocol::user::Role;
use tokio::net::UnixStream;

/// Who is at the other end of a connection, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Process, where the kernel reports it.
    pub pid: Option<i32>,
}

impl Peer {
    /// Reads the credentials of a connection.
    ///
    /// # Errors
    /// What the kernel reports: such a peer is refused.
    pub fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let cred = stream.peer_cred()?;
        Ok(Self { uid: cred.uid(), gid: cred.gid(), pid: cred.pid() })
    }

    /// The peer as the source of what it does.
    #[must_use]
    pub fn source(&self) -> Source {
        Source::Control { uid: self.uid, gid: self.gid, pid: self.pid }
    }

    /// The actor of a peer that nobody has logged in on.
    pub(super) fn actor(&self, role: Role) -> Arc<Actor> {
        Arc::new(Actor {
            user: None,
            name: format!("uid {}", self.uid),
            role,
            organization: None,
            session: None,
            source: self.source(),
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)?;
        match self.pid {
            Some(pid) => write!(f, " (process {pid})"),
            None => Ok(()),
        }
    }
}
