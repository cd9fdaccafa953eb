//! What can go wrong in the store, each with what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use aivonx_protocol::{Fault, FaultKind, UnixMillis, Untrusted};

use super::{codec::CodecError, room};

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A backup is half in place.
    #[error(
        "in {} the restoration of a backup was interrupted; do it again: aivonxd restore FILE",
        .dir.display()
    )]
    HalfRestored {
        /// The data directory.
        dir: PathBuf,
    },
    /// Another record has this name.
    #[error("the {noun} name \"{}\" is taken", Untrusted::new(.name))]
    NameTaken {
        /// Kind of record (`node`).
        noun: &'static str,
        /// The name.
        name: String,
    },
    /// Another record has, or had, this id.
    #[error("the {noun} id \"{}\" is taken", Untrusted::new(.id))]
    IdTaken {
        /// Kind of record.
        noun: &'static str,
        /// The id.
        id: String,
    },
    /// No such record.
    #[error("there is no {noun} \"{}\"", Untrusted::new(.id))]
    NotFound {
        /// Kind of record.
        noun: &'static str,
        /// The id asked for.
        id: String,
    },
    /// The record is outside the caller's reach. Reads exactly as if there were none: the caller must not learn
    /// that there is.
    #[error("there is no {noun} \"{}\"", Untrusted::new(.id))]
    Foreign {
        /// Kind of record.
        noun: &'static str,
        /// What was asked for.
        id: String,
    },
    /// Without this user nobody could administer the fleet.
    #[error("\"{}\" is the last enabled superadmin", Untrusted::new(.name))]
    LastSuperadmin {
        /// The user's name.
        name: String,
    },
    /// An organization that still has something.
    #[error(
        "the organization \"{}\" still has {users} users, {keys} keys and {nodes} nodes of its own",
        Untrusted::new(.slug)
    )]
    NotEmpty {
        /// The organization's slug.
        slug: String,
        /// Users in it.
        users: u32,
        /// Keys of it.
        keys: u32,
        /// Nodes assigned to it.
        nodes: u32,
    },
    /// A rule of the caller's own, checked inside the transaction.
    #[error("{0}")]
    Refused(Box<Fault>),
    /// The record changed since the caller read it.
    #[error(
        "{noun} \"{}\" has changed: revision {expected} was expected, it is at {found}", Untrusted::new(.id)
    )]
    Conflict {
        /// Kind of record.
        noun: &'static str,
        /// Its id.
        id: String,
        /// The revision the caller saw.
        expected: u64,
        /// The revision it has now.
        found: u64,
    },
    /// A record is larger than the store takes.
    #[error("the {noun} record is {bytes} bytes, more than the {limit} bytes a record may have")]
    TooLarge {
        /// Kind of record.
        noun: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A secret in it was sealed under a data key that a rotation has replaced meanwhile.
    #[error("the keys were rotated while this {noun} was being changed, and nothing was stored")]
    StaleSeal {
        /// Kind of record.
        noun: &'static str,
    },
    /// A mistake in this build: a secret stands where a rotation does not look for one.
    #[error("a record of the store's tree {tree} holds a secret that a rotation of the keys would not find")]
    UnknownSecret {
        /// The tree.
        tree: &'static str,
    },
    /// A second daemon (or `recover`) on the same directory.
    #[error(
        "the data directory {} is in use by {}; stop that process first, or give this one another directory",
        .dir.display(),
        .pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// Who holds the lock, if it said so.
        pid: Option<u32>,
    },
    /// The directory holds something that is not ours.
    #[error(
        "{} is not an aivonx data directory: it is not empty (it holds \"{}\") and has no STORE file; \
         give an empty or new directory",
        .dir.display(), Untrusted::new(.entry)
    )]
    ForeignDirectory {
        /// The directory.
        dir: PathBuf,
        /// One of the things in it.
        entry: String,
    },
    /// The path is not a directory, or the like.
    #[error("{}: {what}", .path.display())]
    BadPath {
        /// The path.
        path: PathBuf,
        /// What is wrong and how to mend it.
        what: String,
    },
    /// Written by a later version.
    #[error(
        "the store in {} has schema {found}, this aivonxd knows schemas up to {known}; \
         install the version that wrote it, or restore a snapshot of schema {known} or lower with \
         `aivonxd recover`", .dir.display()
    )]
    NewerSchema {
        /// The data directory.
        dir: PathBuf,
        /// Schema found.
        found: u32,
        /// Newest schema this build knows.
        known: u32,
    },
    /// Written by a later version that keeps something this one does not know.
    #[error(
        "the store in {} has a tree \"{}\" that this aivonxd does not know: a later version wrote it; install that \
         version, or restore an older snapshot with `aivonxd recover`", .dir.display(), Untrusted::new(.tree)
    )]
    NewerTree {
        /// The data directory.
        dir: PathBuf,
        /// Name of the tree.
        tree: String,
    },
    /// Something in the directory does not check out.
    #[error(
        "the store in {} is damaged: {what}. See what can be restored with \
         `aivonxd recover --list`, then run `aivonxd recover --snapshot FILE`; the damaged store is kept",
        .dir.display()
    )]
    Damaged {
        /// The data directory.
        dir: PathBuf,
        /// What was found.
        what: String,
    },
    /// A snapshot file does not check out, or is not one.
    #[error("the snapshot {} cannot be used: {what}", .path.display())]
    BadSnapshot {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Opening did not come to an end.
    #[error(
        "opening the store in {} did not finish within {} s, which is what damage looks like. \
         See what can be restored with `aivonxd recover --list`; if the disk is only slow, raise \
         store.open_deadline", .dir.display(), .deadline.as_secs_f32()
    )]
    OpenTimedOut {
        /// The data directory.
        dir: PathBuf,
        /// The deadline that passed.
        deadline: Duration,
    },
    /// A stored record does not decode. Found at run time; the open would have refused.
    #[error("a record of the store's tree {tree} cannot be read: {source}")]
    Record {
        /// The tree.
        tree: &'static str,
        /// Why.
        source: CodecError,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The storage engine failed.
    #[error("the storage engine failed: {0}")]
    Engine(String),
    /// The database that keeps the settings does not answer, or says that it failed.
    #[error("{0}")]
    Database(String),
    /// It may not be used, and what to do.
    #[error("{0}")]
    DatabaseRefused(String),
    /// Another process with this data directory, or a copy of it, writes it, or did until it was last seen.
    #[error("{why}")]
    DatabaseHeld {
        /// Who, and what to do.
        why: String,
        /// When, by the database's clock: where that changes, the process is alive.
        seen: UnixMillis,
    },
    /// Its tables are not there, or this role may not use them.
    #[error(
        "{0}: its tables are not made, or its role may not use them. See what has to be done with `aivonxd migrate --print`, \
         and have it done with `aivonxd migrate --apply`"
    )]
    NotMigrated(String),
    /// Other members were faster for too long. Nothing was changed.
    #[error("{0}")]
    TurnLost(String),
    /// This process may not write any more: it was fenced, or another with this data directory took its place.
    #[error("{0}")]
    Superseded(String),
    /// What is in the database does not check out.
    #[error(
        "the settings in {name} are damaged: {what}. Restore the database from its own backup and run `aivonxd takeover`; or \
         put a snapshot back into the embedded store with `aivonxd recover` and move that with `aivonxd move`"
    )]
    DamagedDatabase {
        /// The database.
        name: String,
        /// What was found.
        what: String,
    },
    /// An earlier write to the database failed.
    #[error("no change is made until the database takes writes again: {0}")]
    Away(String),
    /// An earlier write could not be made durable; what is on the disk is no longer known.
    #[error(
        "an earlier write failed, and the store takes no more changes until the disk takes writes again: check its \
         space, inodes and health"
    )]
    Failed,
    /// The disk is full.
    #[error(
        "the disk of {} is full: {free} bytes are free, {} are needed; make room on it, or move the data directory to a \
         larger one", .dir.display(), room::NEEDED
    )]
    NoRoom {
        /// The data directory, or the part of it that lies there.
        dir: PathBuf,
        /// Bytes that are free.
        free: u64,
    },
    /// The disk is mounted read-only, which a kernel does by itself after errors.
    #[error("the disk of {} is mounted read-only; look for errors of the disk, and mount it anew", .dir.display())]
    ReadOnly {
        /// The data directory, or the part of it that lies there.
        dir: PathBuf,
    },
    /// Files of the store were taken away while it is open, and cannot be made again.
    #[error("no change is made while files of the store are missing: {why}")]
    Disordered {
        /// Which, or why they cannot be made again.
        why: String,
    },
    /// The audit log cannot be written, and a change that nobody could account for is not made.
    #[error("no change is made while the audit log cannot be written: {why}")]
    Unrecorded {
        /// Why it cannot.
        why: String,
    },
    /// A ledger did not answer in time.
    #[error("an operation of a ledger did not end within {} s: check the disk", .deadline.as_secs_f32())]
    TooSlow {
        /// The deadline that passed.
        deadline: Duration,
    },
    /// The store was closed.
    #[error("the store is closed: aivonxd is shutting down")]
    Closed,
    /// A change is durable, but the records could not be read back in time to act by it.
    #[error("the change is stored, but cannot be read back yet, so that the old state is still in force")]
    NotInForce,
    /// A worker panicked.
    #[error("an operation of the store panicked: {0}")]
    Panicked(String),
    /// A step of the migration failed.
    #[error("migrating the store to schema {to} failed: {reason}; the snapshot {} was taken before", .backup.display())]
    Migration {
        /// The schema that was to be reached.
        to: u32,
        /// Why.
        reason: String,
        /// The snapshot taken before.
        backup: PathBuf,
    },
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether it would go well with more room on the disk.
    #[must_use]
    pub fn wants_room(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Whether it failed because the process, or the system, has as many files open as it may.
    #[must_use]
    pub(super) fn wants_descriptors(&self) -> bool {
        let limits =
            [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(rustix::io::Errno::raw_os_error);
        matches!(self, Self::Io { source, .. } if source.raw_os_error().is_some_and(|no| limits.contains(&no)))
    }

    /// Whether the caller's request is at fault, not the store.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NameTaken { .. }
                | Self::IdTaken { .. }
                | Self::NotFound { .. }
                | Self::Foreign { .. }
                | Self::LastSuperadmin { .. }
                | Self::NotEmpty { .. }
                | Self::Refused(_)
                | Self::Conflict { .. }
                | Self::TooLarge { .. }
                | Self::StaleSeal { .. }
        )
    }
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        Self::Engine(match &error {
            sled::Error::Io(source) => system_words(source),
            error => error.to_string(),
        })
    }
}

/// What the system said, which the engine gives in the form of a debugger.
fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    let message = text.split_once("message: \"").and_then(|(_, rest)| rest.split_once('"'));
    message.map_or_else(|| text.clone(), |(message, _)| message.to_owned())
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::NameTaken { noun, .. } => {
                // As the one who asks knows it: an organization has a name for people besides, and a key one of its own.
                let field = match noun {
                    "organization" => "slug",
                    "key_certificate" => "certificate",
                    _ => "name",
                };
                Self::new(FaultKind::Conflict, text).field(field).hint("choose another name")
            }
            StoreError::Conflict { noun, .. } => Self::new(FaultKind::Conflict, text)
                .field("revision")
                .hint(format!("look at the {noun} again, then repeat the change")),
            StoreError::TurnLost(_) => Self::new(FaultKind::Unavailable, text).hint("repeat the change"),
            StoreError::StaleSeal { .. } => Self::new(FaultKind::Conflict, text).hint("repeat the change"),
            StoreError::IdTaken { .. } => Self::new(FaultKind::Conflict, text),
            StoreError::NotFound { noun, .. } | StoreError::Foreign { noun, .. } => {
                let fault = Self::new(FaultKind::NotFound, text);
                match noun {
                    "organization" => fault.hint("see `aivonx org list`"),
                    "user" | "key" | "node" | "price" => fault.hint(format!("see `aivonx {noun} list`")),
                    _ => fault,
                }
            }
            StoreError::LastSuperadmin { .. } => {
                Self::new(FaultKind::Conflict, text).hint("make another user superadmin first")
            }
            StoreError::NotEmpty { .. } => Self::new(FaultKind::Conflict, text)
                .field("with-contents")
                .hint("with --with-contents its users and keys are removed too, and its nodes freed"),
            StoreError::Refused(fault) => *fault,
            StoreError::TooLarge { .. } => Self::new(FaultKind::Invalid, text),
            StoreError::Closed => Self::new(FaultKind::Unavailable, text),
            StoreError::Database(_) | StoreError::Superseded(_) | StoreError::Away(_) => {
                Self::new(FaultKind::Unavailable, text).hint("see `aivonx status`")
            }
            StoreError::Failed => Self::new(FaultKind::Unavailable, text).hint("see `aivonx status`"),
            StoreError::NotInForce => Self::new(FaultKind::Unavailable, text)
                .hint("it is tried again every second; see the daemon's log"),
            StoreError::NoRoom { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Disordered { .. }
            | StoreError::Unrecorded { .. } => {
                Self::new(FaultKind::Unavailable, text).hint("nothing was changed; see `aivonx status`")
            }
            _ => Self::new(FaultKind::Internal, text).hint("see the daemon's log"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_quoted_in_its_own_words() {
        let full = io::Error::from_raw_os_error(28);
        for told in [io::Error::other(format!("{full:?}")), full] {
            let error = StoreError::from(sled::Error::Io(told)).to_string();
            assert!(error.starts_with("the storage engine failed: No space left on device"), "{error}");
        }
    }
}
