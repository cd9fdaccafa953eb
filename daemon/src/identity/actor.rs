//! Who does something, and where they came from.

use std::net::IpAddr;

use aivonx_protocol::user::Role;

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Id of the user; None where the peer's uid alone decides.
    pub user: Option<String>,
    /// Its name, kept in the audit log when the user is gone.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Id of the organization it is bound to; None is fleet-wide.
    pub organization: Option<String>,
    /// Id of the session it acts in.
    pub session: Option<String>,
    /// Where it came from.
    pub source: Source,
}

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The control socket.
    Control {
        /// User of the peer.
        uid: u32,
        /// Its primary group.
        gid: u32,
        /// Its process, where the kernel tells.
        pid: Option<i32>,
    },
    /// A client over HTTP.
    Http {
        /// Its address.
        address: IpAddr,
        /// What it calls itself. Untrusted text.
        user_agent: Option<String>,
        /// Our id of the request.
        request_id: String,
    },
    /// The daemon itself.
    Daemon,
}
