//! What keeps the settings: the embedded store or a database, by the configuration and by the data directory.

use std::{path::Path, sync::Arc};

use super::{
    StoreError,
    database::Server,
    engine::{Engine, Meta},
    marker::Marker,
    settings,
    tree::{Tree, no_sums},
};

/// What keeps the settings, by the configuration.
#[derive(Debug)]
pub(super) struct Keeper {
    /// Of the embedded store.
    pub(super) cache_bytes: u64,
    /// The database, if that keeps them instead.
    pub(super) server: Option<Arc<Server>>,
}

impl Keeper {
    /// Refuses a data directory whose settings are elsewhere than the configuration says.
    pub(super) fn check(&self, dir: &Path, marker: &Marker) -> Result<(), StoreError> {
        let dir = dir.display();
        Err(StoreError::DatabaseRefused(match (&self.server, &marker.database) {
            (Some(_), Some(_)) | (None, None) => return Ok(()),
            (Some(server), None) => format!(
                "cluster.postgres is set, but the settings of {dir} are in its embedded store; move them to {} with `aivonxd \
                 move --from sled --to postgres`, or remove the key",
                server.name()
            ),
            (None, Some(_)) => format!(
                "the settings of {dir} are in PostgreSQL, but cluster.postgres is not set; set it, or move them back first \
                 with `aivonxd move --from postgres --to sled`"
            ),
        }))
    }
}

/// Words for what does not check out.
pub(super) fn damage(dir: &Path, server: Option<&Arc<Server>>) -> impl Fn(String) -> StoreError + use<> {
    let (dir, name) = (dir.to_owned(), server.map(|server| server.name()));
    move |what| match &name {
        Some(name) => StoreError::DamagedDatabase { name: name.clone(), what },
        None => StoreError::Damaged { dir: dir.clone(), what },
    }
}

/// Why what is stored cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsound {
    /// It does not check out.
    #[error("{0}")]
    Damage(String),
    /// The database did not say what it holds.
    #[error("{0}")]
    Unread(StoreError),
}

impl From<String> for Unsound {
    fn from(what: String) -> Self {
        Self::Damage(what)
    }
}

impl Unsound {
    /// For `what`, which could not be read. Only the files of the embedded store are damaged by that.
    pub(super) fn unread(what: &str, error: StoreError) -> Self {
        match error {
            StoreError::Database(_)
            | StoreError::DatabaseRefused(_)
            | StoreError::DatabaseHeld { .. }
            | StoreError::NotMigrated(_)
            | StoreError::TurnLost(_)
            | StoreError::Superseded(_) => Self::Unread(error),
            error => Self::Damage(format!("{what} cannot be read: {error}")),
        }
    }

    /// The error to report, where `damage` makes one of what does not check out.
    pub(super) fn report(self, damage: impl FnOnce(String) -> StoreError) -> StoreError {
        match self {
            Self::Damage(what) => damage(what),
            Self::Unread(error) => error,
        }
    }
}

/// The engine of a database, which this data directory joins or is the first to use, and the id of its installation.
pub(super) fn join(engine: &Engine, daemon: &str, schema: u32) -> Result<String, StoreError> {
    let known = |engine: &Engine| engine.get::<String>(Tree::Setting, settings::DAEMON_ID);
    if let Some(found) = known(engine)? {
        return Ok(found);
    }
    engine.start(&Meta { schema, seq: 0, sums: no_sums() }, None);
    engine.write_schema(Some(schema), |batch| match batch.get(Tree::Setting, settings::DAEMON_ID)? {
        // Another member was faster.
        Some(found) => Ok(found),
        None => batch.put(Tree::Setting, settings::DAEMON_ID, &daemon).map(|()| daemon.to_owned()),
    })
}
