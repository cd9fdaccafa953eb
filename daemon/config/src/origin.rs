//! Where the value of each key comes from.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// The origin of one value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// Not given anywhere.
    #[default]
    Default,
    /// Given in a file.
    File {
        /// As named when it was read.
        file: Arc<str>,
        /// From 1.
        line: usize,
    },
    /// Given, or implied, by the command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// The origin of every value that is not a default, by dotted key (`limits.body_bytes`, `listen[0].address`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Origin {
        self.0.get(key).cloned().unwrap_or_default()
    }

    pub(super) fn set(&mut self, key: impl Into<String>, origin: Origin) {
        self.0.insert(key.into(), origin);
    }

    /// Takes what `other` says about the keys that begin with `prefix`, and nothing else about them.
    pub(super) fn keep(&mut self, prefix: &str, other: &Self) {
        self.0.retain(|key, _| !key.starts_with(prefix));
        let kept = other.0.iter().filter(|(key, _)| key.starts_with(prefix));
        self.0.extend(kept.map(|(key, origin)| (key.clone(), origin.clone())));
    }
}
