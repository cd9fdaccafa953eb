//! Control tokens: sessions for scripts.

use serde::{Deserialize, Serialize};

use crate::user::Role;

/// Requests about the caller's own control tokens; those of others are among their sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenRequest {
    /// Make one. Answered with `Reply::NewSession`.
    Create {
        /// What it is for; unique among the caller's.
        name: String,
        /// What it may do; None is the caller's own role. Never more than that.
        role: Option<Role>,
        /// How long it lasts, milliseconds, 1 minute to 400 days.
        lasts_ms: u64,
    },
    /// The caller's tokens. Answered with `Reply::Sessions`.
    List,
    /// End one. Answered with `Reply::Done`.
    Revoke {
        /// Name or id.
        token: String,
    },
}
