//! Control tokens: sessions for scripts.

use crate::{
    audit::{Action, Noted},
    operation::operations,
    session::{NewSession, Session},
    user::Role,
};

operations! {
    /// Requests about the caller's own control tokens; those of others are among their sessions.
    Request::Token(TokenRequest);

    /// Make one.
    "token.create" Create {
        /// What it is for; unique among the caller's.
        name: String,
        /// What it may do; None is the caller's own role. Never more than that.
        role: Option<Role>,
        /// How long it lasts, milliseconds, 1 minute to 400 days.
        lasts_ms: u64,
    } -> NewSession as NewSession, needs Account,
        noted |op| Noted::new(Action::TokenCreate, "token", &op.name)
            .maybe("role", &op.role)
            .with("lasts_ms", op.lasts_ms);

    /// The caller's tokens.
    "token.list" List -> Vec<Session> as Sessions, needs AccountRead;

    /// End one.
    "token.revoke" Revoke {
        /// Name or id.
        token: String,
    } -> () as Done, needs Account, noted |op| Noted::new(Action::TokenRevoke, "token", &op.token);
}
