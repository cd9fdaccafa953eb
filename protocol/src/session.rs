//! Sessions: proofs that someone has logged in.

use serde::{Deserialize, Serialize};

use crate::{UnixMillis, WireSecret, role::Role};

/// What kind of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// `aivonx login`, bound to the uid of the peer.
    Control,
    /// `aivonx token create`, for scripts.
    Token,
    /// A login over HTTP: a family of refresh tokens.
    Http,
}

/// One session, without its secret. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Stable id.
    pub id: String,
    /// What kind.
    pub kind: SessionKind,
    /// Name of the user.
    pub user: String,
    /// Name of a token.
    pub name: Option<String>,
    /// What it may do: never more than its user.
    pub role: Role,
    /// Slug of the organization it is bound to.
    pub organization: Option<String>,
    /// The uid it is bound to.
    pub peer_uid: Option<u32>,
    /// The address it was begun from, over HTTP.
    pub address: Option<String>,
    /// When it was begun.
    pub created: UnixMillis,
    /// When it was last used, to the minute.
    pub last_used: UnixMillis,
    /// When it ends at the latest.
    pub expires: UnixMillis,
}

/// A session just begun, with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSession {
    /// The session.
    pub session: Session,
    /// What resumes it. Shown once.
    pub secret: WireSecret,
}
