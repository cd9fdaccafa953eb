//! What keeps the settings: the embedded store or a database, by the configuration and by the data directory.

use std::{path::Path, sync::Arc};

use super::{StoreError, database::Server, engine::Engine, marker::Marker, settings, tree::Tree};

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

/// The database for settings that are to be made: it must hold none but those of an attempt that did not come to its end.
pub(super) fn empty_database(
    server: &Server,
    dir: &Path,
    database: &str,
    daemon: &str,
) -> Result<Engine, StoreError> {
    let engine = match server.engine(dir, database) {
        // An owner that never stored anything loses nothing, if it is not about to.
        Err(owned @ StoreError::Superseded(_)) if server.engine_to_read()?.backend().spaces()?.is_empty() => {
            server.engine_taken_over(dir, database, false).map_err(|_| owned)?
        }
        other => other?,
    };
    let spaces = engine.backend().spaces()?;
    if spaces.is_empty() {
        return Ok(engine);
    }
    // What was never finished has nothing but its own id.
    let own: Option<String> = engine.get(Tree::Setting, settings::DAEMON_ID)?;
    if own.as_deref() != Some(daemon) {
        return Err(StoreError::DatabaseRefused(format!(
            "{} holds settings already, and the data directory {} is new; give the gateway an empty database, or go on with \
             these settings here: aivonxd takeover",
            server.name(),
            dir.display()
        )));
    }
    spaces.iter().try_for_each(|space| engine.backend().clear(space))?;
    Ok(engine)
}
