//! The tables of the file, with their keys.

use super::{
    model::{self, Config, Listen},
    table::Key,
};

/// A table of the file with its keys.
pub(super) struct Section {
    /// Name in brackets; empty at the top level.
    pub(super) name: &'static str,
    /// Lines of its doc comment.
    pub(super) doc: &'static [&'static str],
    /// Its keys.
    pub(super) keys: &'static [Key<Config>],
}

/// Name of the array of tables of listeners.
pub(super) const LISTEN: &str = "listen";

/// The keys of one `[[listen]]`.
pub(super) const LISTEN_KEYS: &[Key<Listen>] = model::LISTEN_KEYS;

/// Doc of `[[listen]]`.
pub(super) const LISTEN_DOC: &[&str] = model::LISTEN_DOC;

/// Every table but `[[listen]]`, in the order in which they are printed; the top level first.
pub(super) const SECTIONS: [Section; 17] = [
    Section { name: "", doc: model::TOP_DOC, keys: model::TOP_KEYS },
    Section { name: "control", doc: model::CONTROL_DOC, keys: model::CONTROL_KEYS },
    Section { name: "access", doc: model::ACCESS_DOC, keys: model::ACCESS_KEYS },
    Section { name: "limits", doc: model::LIMITS_DOC, keys: model::LIMITS_KEYS },
    Section { name: "timeouts", doc: model::TIMEOUTS_DOC, keys: model::TIMEOUTS_KEYS },
    Section { name: "proxy", doc: model::PROXY_DOC, keys: model::PROXY_KEYS },
    Section { name: "health", doc: model::HEALTH_DOC, keys: model::HEALTH_KEYS },
    Section { name: "overflow", doc: model::OVERFLOW_DOC, keys: model::OVERFLOW_KEYS },
    Section { name: "log", doc: model::LOG_DOC, keys: model::LOG_KEYS },
    Section { name: "store", doc: model::STORE_DOC, keys: model::STORE_KEYS },
    Section { name: "cluster", doc: model::CLUSTER_DOC, keys: model::CLUSTER_KEYS },
    Section { name: "secrets", doc: model::SECRETS_DOC, keys: model::SECRETS_KEYS },
    Section { name: "audit", doc: model::AUDIT_DOC, keys: model::AUDIT_KEYS },
    Section { name: "usage", doc: model::USAGE_DOC, keys: model::USAGE_KEYS },
    Section { name: "backup", doc: model::BACKUP_DOC, keys: model::BACKUP_KEYS },
    Section { name: "headers", doc: model::HEADERS_DOC, keys: model::HEADERS_KEYS },
    Section { name: "acme", doc: model::ACME_DOC, keys: model::ACME_KEYS },
];

/// Every table as its header is written.
pub(super) fn accepted_tables() -> String {
    let tables = SECTIONS[1..].iter().map(|section| format!("[{}]", section.name));
    let all: Vec<String> = std::iter::once(format!("[[{LISTEN}]]")).chain(tables).collect();
    all.join(", ")
}

/// The dotted name of a key.
pub(super) fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}
