//! What the tests of this part stand on: a store in a directory of its own, and users in it.

#![allow(clippy::unwrap_used, reason = "tests fail where it fails")]

use aivonx_config::StoreOptions;
use aivonx_protocol::user::Role;
use tempfile::TempDir;

mod postgres;

pub use postgres::PostgresServer;

use crate::{
    Store, UserRecord,
    secrets::{MasterKey, Vault},
};

/// A store that lasts as long as this.
pub struct Stand {
    _dir: TempDir,
    pub store: Store,
    pub vault: Vault,
}

pub async fn stand() -> Stand {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        cache_bytes: 16 << 20,
        snapshots: 1,
        snapshot_interval: std::time::Duration::from_secs(3600),
        open_deadline: std::time::Duration::from_secs(60),
        operation_deadline: std::time::Duration::from_secs(20),
    };
    let store = Store::open(dir.path(), &options).await.unwrap();
    let master = MasterKey::load_or_generate(&dir.path().join("master.key")).unwrap();
    let vault = Vault::open(master, &store).await.unwrap();
    Stand { _dir: dir, store, vault }
}

impl PostgresServer {
    /// Its database as the owner.
    #[must_use]
    pub fn server(&self) -> crate::database::Server {
        crate::database::Server::at(self.url("owner").parse().unwrap(), None).unwrap()
    }
}

impl Stand {
    /// A member without an organization, with a password hash or none.
    pub async fn user(&self, name: &str, password: Option<String>) -> UserRecord {
        let record = UserRecord { password, ..record("", name) };
        self.store.users().insert(record).await.unwrap()
    }
}

/// A member without an organization and without a password.
pub fn record(id: &str, name: &str) -> UserRecord {
    UserRecord { id: id.to_owned(), ..UserRecord::new(name, Role::Auditor, None) }
}

/// Copies a directory tree.
pub fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
