//! Files that systemd hands to this service alone: `LoadCredential=` in the unit, `CREDENTIALS_DIRECTORY` here.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The master key (`LoadCredential=aivonx-master-key:/etc/aivonx/master.key`).
pub const MASTER_KEY: &str = "aivonx-master-key";
/// The password of the role that connects to PostgreSQL.
pub const POSTGRES: &str = "aivonx-postgres";
/// Name and password of the first administrator.
pub const SETUP: &str = "aivonx-setup";

/// The credential of this name, if systemd gave one. One that may not be looked at counts: who then reads it fails, and
/// says why, instead of going on without.
#[must_use]
pub fn file(name: &str) -> Option<PathBuf> {
    directory().map(|dir| dir.join(name)).filter(|path| path.try_exists().unwrap_or(true))
}

/// The mode bits by which `path` would be open to others. systemd grants its credentials with an access list, whose
/// mask shows as the group's rights.
#[must_use]
pub fn others(path: &Path) -> u32 {
    if directory().is_some_and(|dir| path.starts_with(dir)) { 0o007 } else { 0o077 }
}

fn directory() -> Option<PathBuf> {
    env::var_os("CREDENTIALS_DIRECTORY").filter(|dir| !dir.is_empty()).map(PathBuf::from)
}
