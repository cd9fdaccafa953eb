//! The file configuration, as the daemon runs with it.

use serde::{Deserialize, Serialize};

use crate::{
    audit::{Action, Noted},
    operation::operations,
};

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

operations! {
    /// Requests about the configuration.
    Request::Config(ConfigRequest);

    /// Every effective setting and where it comes from.
    "config.show" Show -> Vec<Setting> as Config, needs ConfigRead;

    /// Reads the file again; on a mistake nothing changes.
    "config.reload" Reload -> Reloaded as Reloaded, needs ConfigWrite,
        noted |_op| Noted::new(Action::ConfigReload, "config", "");
}
