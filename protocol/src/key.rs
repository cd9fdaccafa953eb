//! API keys: what clients of the gateway prove themselves with.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyScope {
    /// Use models; implies `models:read`.
    #[serde(rename = "infer")]
    Infer,
    /// List models.
    #[serde(rename = "models:read")]
    ModelsRead,
    /// Pull, push, create, copy and delete models.
    #[serde(rename = "models:write")]
    ModelsWrite,
    /// Metrics and state of the gateway.
    #[serde(rename = "admin:read")]
    AdminRead,
}

impl KeyScope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Infer, Self::ModelsRead, Self::ModelsWrite, Self::AdminRead];

    /// The scope as commands and JSON spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Infer => "infer",
            Self::ModelsRead => "models:read",
            Self::ModelsWrite => "models:write",
            Self::AdminRead => "admin:read",
        }
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no scope; use infer, models:read, models:write or admin:read")]
pub struct NoScope(pub String);

impl std::str::FromStr for KeyScope {
    type Err = NoScope;

    fn from_str(word: &str) -> Result<Self, NoScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word).ok_or_else(|| NoScope(word.to_owned()))
    }
}
