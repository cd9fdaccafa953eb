//! The file configuration, as the daemon runs with it.

use serde::{Deserialize, Serialize};

/// One effective setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Dotted key (`limits.body_bytes`).
    pub key: String,
    /// Value in the file's own notation; secrets are `[hidden]`.
    pub value: String,
    /// Where it comes from: `default`, `FILE:LINE` or `command line`.
    pub origin: String,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Keys that took effect.
    pub applied: Vec<String>,
    /// Keys that changed in the file but need a restart.
    pub needs_restart: Vec<String>,
}

/// Requests about the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigRequest {
    /// Answered with `Reply::Config`.
    Show,
    /// Read the file again. Answered with `Reply::Reloaded`; on a mistake nothing changes.
    Reload,
}
