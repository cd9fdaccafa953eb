//! The connection to the daemon.

use aivonx_protocol::{UnixMillis, handshake::Login};

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is being made for the first time.
    Connecting,
    /// It stands.
    Up {
        /// Name and version of the daemon. Untrusted.
        daemon: String,
        /// What login it wants.
        login: Login,
        /// Path of the socket.
        socket: String,
    },
    /// It does not stand, and is tried again.
    Down {
        /// Why.
        why: String,
        /// Since when.
        since: UnixMillis,
        /// When it is tried again.
        retry: UnixMillis,
    },
}
