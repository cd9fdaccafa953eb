//! Lockouts: logins that failed too often.

use serde::{Deserialize, Serialize};

use crate::UnixMillis;

/// The failed logins of one user name from one address. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockout {
    /// The name that was tried; there may be no such user.
    pub user: String,
    /// Where from: an IPv4 address, an IPv6 /64, or `uid N` for the control socket.
    pub address: String,
    /// Failures in a row.
    pub failures: u32,
    /// When the last one was.
    pub last: UnixMillis,
    /// Until when logins are refused; None is not (yet) locked.
    pub locked_until: Option<UnixMillis>,
}

/// Requests about lockouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockoutRequest {
    /// Locked ones, or all with failures. Answered with `Reply::Lockouts`.
    List {
        /// Those not locked (yet) too.
        all: bool,
    },
    /// Forget failures. Answered with `Reply::LockoutsCleared`.
    Clear {
        /// Of this user name; None is every name.
        user: Option<String>,
        /// From this address; None is every address.
        address: Option<String>,
    },
}
