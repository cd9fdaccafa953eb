//! Lockouts: logins that failed too often.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    operation::operations,
};

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

operations! {
    /// Requests about lockouts.
    Request::Lockout(LockoutRequest);

    /// Locked ones, or all with failures.
    "lockout.list" List {
        /// Those not locked (yet) too.
        all: bool,
    } -> Vec<Lockout> as Lockouts, needs LockoutRead;

    /// Forget failures.
    "lockout.clear" Clear {
        /// Of this user name; None is every name.
        user: Option<String>,
        /// From this address; None is every address.
        address: Option<String>,
    } -> u32 as LockoutsCleared, needs LockoutWrite,
        noted |op| {
            let user = op.user.as_deref().unwrap_or_default();
            Noted::new(Action::LockoutCleared, "lockout", user).maybe("address", &op.address)
        };
}
