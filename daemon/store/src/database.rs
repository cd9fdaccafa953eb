//! The database that keeps the settings in place of the embedded store, as `[cluster]` names it.

use std::{fmt, fs, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};

use aivonx_config::{Cluster, Postgres, credentials};
use zeroize::Zeroizing;

use super::StoreError;

/// Where the database is, and what opens it.
pub struct Server {
    url: Postgres,
    password: Option<Zeroizing<String>>,
    /// What this gateway is called among the members; None: as its host.
    member: Option<String>,
}

/// Longest password that is read, bytes.
const MAX_PASSWORD: u64 = 1024;

/// Shortest password that is no weakness, characters.
pub const GOOD_PASSWORD: usize = 16;

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Server {
    /// The one that the configuration names; None if it names none.
    ///
    /// # Errors
    /// If the file of the password cannot be used, or this build cannot speak with PostgreSQL.
    pub fn configured(cluster: &Cluster) -> Result<Option<Self>, StoreError> {
        let Some(url) = cluster.postgres.clone() else { return Ok(None) };
        if !cfg!(feature = "cluster") {
            return Err(StoreError::DatabaseRefused(
                "cluster.postgres is set, but this aivonxd was built without the feature \"cluster\"; install one that has \
                 it, or remove the key"
                    .into(),
            ));
        }
        let file = cluster.password_file.clone().or_else(|| credentials::file(credentials::POSTGRES));
        let password = file.map(|file| password(&file)).transpose()?;
        Ok(Some(Self { url, password, member: Some(cluster.member.clone()).filter(|name| !name.is_empty()) }))
    }

    /// At `url`, with the password in `file`, or none.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn at(url: Postgres, file: Option<&Path>) -> Result<Self, StoreError> {
        Ok(Self { url, password: file.map(password).transpose()?, member: None })
    }

    /// The same database as another role, with the password in `file`, or none.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn as_role(&self, role: &str, file: Option<&Path>) -> Result<Self, StoreError> {
        Self::at(self.url.with_user(role), file)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &Postgres {
        &self.url
    }

    /// Characters of the password; None without one.
    #[must_use]
    pub fn password_length(&self) -> Option<usize> {
        self.password.as_ref().map(|password| password.chars().count())
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|password| &***password)
    }

    /// As messages name it: without the role and the ways to connect.
    #[must_use]
    pub fn name(&self) -> String {
        let hosts = self.url.hosts.iter().map(|host| match host {
            aivonx_config::Host::Tcp(name, port) if name.contains(':') => format!("[{name}]:{port}"),
            aivonx_config::Host::Tcp(name, port) => format!("{name}:{port}"),
            aivonx_config::Host::Unix(dir, _) => dir.display().to_string(),
        });
        let hosts = hosts.collect::<Vec<_>>().join(",");
        format!("the PostgreSQL database {} at {hosts}", aivonx_protocol::Untrusted::new(&self.url.database))
    }
}

fn password(file: &Path) -> Result<Zeroizing<String>, StoreError> {
    let bad = |what: String| StoreError::BadPath { path: file.to_owned(), what };
    if fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return Err(bad("the file of the database's password is not a regular file".into()));
    }
    let opened =
        fs::File::open(file).map_err(StoreError::io("open the file of the database's password", file))?;
    let meta = opened.metadata().map_err(StoreError::io("look at", file))?;
    let mode = meta.mode() & 0o7777;
    if mode & credentials::others(file) != 0 {
        return Err(bad(format!("others may read the database's password (mode {mode:04o}); chmod 0600 it")));
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_PASSWORD as usize + 1));
    let read = opened.take(MAX_PASSWORD + 1).read_to_string(&mut text);
    read.map_err(|_| bad("the database's password in it is not text".into()))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let is_one_line = !password.is_empty() && !password.chars().any(char::is_control);
    if text.len() as u64 > MAX_PASSWORD || !is_one_line {
        return Err(bad(format!(
            "it must hold the database's password alone, in one line of at most {MAX_PASSWORD} bytes"
        )));
    }
    Ok(Zeroizing::new(password.to_owned()))
}

/// Whether and how the tables are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tables {
    /// As this build needs them.
    Ready,
    /// They have to be made, and why.
    Missing(String),
}

#[cfg(feature = "cluster")]
mod with {
    use std::{path::Path, sync::Arc, time::Duration};

    use super::{Server, Tables};
    use crate::{
        StoreError,
        backend::postgres::{
            Link, Postgres,
            bank::PostgresBank,
            member::{Claim, Claimant},
            schema,
        },
        bank::Bank,
        engine::Engine,
    };

    impl Server {
        /// The statements of `aivonxd migrate`: they make the tables and give the configured role its rights.
        #[must_use]
        pub fn sql(&self) -> String {
            schema::sql(&self.url().user)
        }

        /// Whether the tables are there.
        ///
        /// # Errors
        /// If the database cannot be asked.
        pub fn tables(&self) -> Result<Tables, StoreError> {
            match schema::check(&Link::to(self)?) {
                Ok(()) => Ok(Tables::Ready),
                Err(StoreError::NotMigrated(why)) => Ok(Tables::Missing(why)),
                Err(e) => Err(e),
            }
        }

        /// Makes the tables, and gives the role `runtime` its rights.
        ///
        /// # Errors
        /// If the database refuses, or cannot be reached.
        pub fn migrate(&self, runtime: &str) -> Result<(), StoreError> {
            schema::apply(&Link::to(self)?, runtime)
        }

        /// What its role may do that the gateway does not need, in words.
        ///
        /// # Errors
        /// If the database cannot be asked.
        pub fn needless_rights(&self) -> Result<Vec<String>, StoreError> {
            schema::rights(&Link::to(self)?)
        }

        /// The shared budgets, for the gateway `member`. Its leases end `expires` after they were renewed; days begin
        /// `day_offset` after midnight UTC. The database need not be there yet.
        ///
        /// # Errors
        /// If the way to it cannot be prepared.
        pub fn bank(
            &self,
            member: &str,
            expires: Duration,
            day_offset: Duration,
        ) -> Result<Arc<dyn Bank>, StoreError> {
            Ok(Arc::new(PostgresBank::new(Link::to(self)?, member, expires, day_offset)))
        }

        /// An engine over the settings, as the member `id` with the data directory `dir`, whose lock the caller has.
        pub(crate) fn engine(&self, dir: &Path, id: &str) -> Result<Engine, StoreError> {
            Ok(Engine::over(self.backend(dir, id, false)?))
        }

        pub(crate) fn backend(&self, dir: &Path, id: &str, force: bool) -> Result<Postgres, StoreError> {
            let link = Link::to(self)?;
            schema::check(&link)?;
            let claimant = Claimant::of(dir, id, self.member.as_deref())?;
            let claim = Claim::take(&link, claimant, force)?;
            Postgres::new(Arc::new(link), claim)
        }

        /// The same, from another process that is this member only by `force`.
        pub(crate) fn engine_taken_over(
            &self,
            dir: &Path,
            id: &str,
            force: bool,
        ) -> Result<Engine, StoreError> {
            Ok(Engine::over(self.backend(dir, id, force)?))
        }

        /// The same, and no other member may be there.
        pub(crate) fn engine_alone(&self, dir: &Path, id: &str) -> Result<Engine, StoreError> {
            let link = Link::to(self)?;
            schema::check(&link)?;
            Claim::alone(&link, id)?;
            self.engine(dir, id)
        }

        /// An engine that reads the settings, whoever writes them, and can write none.
        pub(crate) fn engine_to_read(&self) -> Result<Engine, StoreError> {
            let link = Link::to(self)?;
            schema::check(&link)?;
            Ok(Engine::over(Postgres::new(Arc::new(link), Claim::none())?))
        }
    }
}

#[cfg(not(feature = "cluster"))]
mod without {
    use std::{path::Path, sync::Arc, time::Duration};

    use super::{Server, Tables};
    use crate::{StoreError, bank::Bank, engine::Engine};

    /// [`Server::configured`] makes none without the feature.
    #[expect(missing_docs, reason = "as with the feature")]
    impl Server {
        #[must_use]
        pub fn sql(&self) -> String {
            String::new()
        }

        pub fn tables(&self) -> Result<Tables, StoreError> {
            Err(none())
        }

        pub fn migrate(&self, _: &str) -> Result<(), StoreError> {
            Err(none())
        }

        pub fn needless_rights(&self) -> Result<Vec<String>, StoreError> {
            Err(none())
        }

        pub fn bank(&self, _: &str, _: Duration, _: Duration) -> Result<Arc<dyn Bank>, StoreError> {
            Err(none())
        }

        pub(crate) fn engine(&self, _: &Path, _: &str) -> Result<Engine, StoreError> {
            Err(none())
        }

        pub(crate) fn engine_taken_over(&self, _: &Path, _: &str, _: bool) -> Result<Engine, StoreError> {
            Err(none())
        }

        pub(crate) fn engine_alone(&self, _: &Path, _: &str) -> Result<Engine, StoreError> {
            Err(none())
        }

        pub(crate) fn engine_to_read(&self) -> Result<Engine, StoreError> {
            Err(none())
        }
    }

    fn none() -> StoreError {
        StoreError::DatabaseRefused("this aivonxd was built without the feature \"cluster\"".into())
    }
}
