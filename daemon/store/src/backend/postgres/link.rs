//! The connection to the server: made when it is needed, made anew when it was lost.

use std::{
    error::Error as _,
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::{runtime::Runtime, sync::Mutex, time::timeout};
use tokio_postgres::{
    Client, Config, NoTls, Row,
    config::{SslMode, TargetSessionAttrs},
    error::SqlState,
    types::{FromSqlOwned, ToSql, Type},
};

use super::tls::Connector;
use crate::{StoreError, database::Server};

/// Longest time to connect to one host.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest time of a statement. The server is told to end it before that, so that it is known then that it did nothing.
const STATEMENT: Duration = Duration::from_secs(12);
/// What every session is told. A pooler may give each statement another session: then the role's own settings hold, which
/// the administrator sets to the same (`ALTER ROLE ... SET`, see aivonxd(8)).
const SESSION: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET search_path = ''; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// A value for a statement, with its type.
pub(crate) struct Param(Box<dyn ToSql + Send + Sync>, Type);

impl Param {
    pub(crate) fn new(value: impl ToSql + Send + Sync + 'static, of: Type) -> Self {
        Self(Box::new(value), of)
    }
}

/// A way to the server. Its functions block.
pub(crate) struct Link {
    /// One thread of its own: whoever asks may be inside another runtime. None while it is dropped.
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    tls: Option<Connector>,
    /// As messages name it.
    name: String,
    client: Mutex<Option<Arc<Client>>>,
}

impl Link {
    /// To `server`, which need not be there yet.
    pub(crate) fn to(server: &Server) -> Result<Self, StoreError> {
        let url = server.url();
        let mut config = Config::new();
        config
            .user(&url.user)
            .dbname(&url.database)
            .application_name("aivonxd")
            .connect_timeout(CONNECT)
            .tcp_user_timeout(STATEMENT)
            .keepalives_idle(Duration::from_secs(30))
            // The one that takes writes: after a failover that is another.
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .ssl_mode(if url.tls.is_some() { SslMode::Require } else { SslMode::Disable });
        for host in &url.hosts {
            match host {
                aivonx_config::Host::Tcp(name, port) => config.host(name).port(*port),
                aivonx_config::Host::Unix(dir, port) => config.host_path(dir).port(*port),
            };
        }
        if let Some(password) = server.password() {
            config.password(password);
        }
        let tls = url.tls.as_ref().map(Connector::new).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store-postgres")
            .enable_all()
            .build()
            .map_err(|e| StoreError::Database(format!("cannot start a thread for PostgreSQL: {e}")))?;
        let name = server.name();
        Ok(Self {
            runtime: Some(runtime),
            shared: Arc::new(Shared { config, tls, name, client: Mutex::default() }),
        })
    }

    /// As messages name the database.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// Runs a statement that changes nothing: a second time if the connection was lost.
    pub(crate) fn read(&self, statement: &'static str, params: Vec<Param>) -> Result<Vec<Row>, StoreError> {
        self.run(statement, params, 2)
    }

    /// Runs a statement once. Where it fails, it may have been done all the same.
    pub(crate) fn once(&self, statement: &'static str, params: Vec<Param>) -> Result<Vec<Row>, StoreError> {
        self.run(statement, params, 1)
    }

    /// Runs several statements without parameters: all of them or none.
    pub(crate) fn batch(&self, statements: String) -> Result<(), StoreError> {
        self.wait(move |shared| async move {
            let client = shared.client().await?;
            let done = timeout(STATEMENT, client.batch_execute(&statements)).await;
            shared.judge(done).await
        })
    }

    fn run(&self, statement: &'static str, params: Vec<Param>, tries: u8) -> Result<Vec<Row>, StoreError> {
        self.wait(move |shared| async move {
            let params: Vec<_> =
                params.iter().map(|Param(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect();
            let mut tried = 0;
            loop {
                tried += 1;
                let client = shared.client().await?;
                let done = timeout(STATEMENT, client.query_typed(statement, &params)).await;
                let is_lost = matches!(&done, Ok(Err(e)) if e.as_db_error().is_none());
                if !is_lost || tried == tries {
                    return shared.judge(done).await;
                }
                shared.forget().await;
            }
        })
    }

    /// Runs `work` in the runtime of its own and waits for it.
    fn wait<T: Send + 'static, F: Future<Output = Result<T, StoreError>> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Shared>) -> F + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Database("the thread that speaks with PostgreSQL has ended".into());
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        let (tell, told) = mpsc::channel();
        let work = work(self.shared.clone());
        runtime.spawn(async move {
            // If nobody waits any more, it is of no interest.
            let _ = tell.send(work.await);
        });
        told.recv().map_err(|_| gone())?
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Within another runtime it may not be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    async fn client(&self) -> Result<Arc<Client>, StoreError> {
        let mut kept = self.client.lock().await;
        if let Some(client) = kept.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let any = self.connect_any();
        let client = match timeout(any, self.connect()).await {
            Ok(connected) => connected.map_err(|e| self.failed(&e))?,
            Err(_) => {
                let seconds = any.as_secs();
                let text = format!("{} does not answer: no connection within {seconds} s", self.name);
                return Err(StoreError::Database(text));
            }
        };
        Ok(kept.insert(Arc::new(client)).clone())
    }

    /// Longest time to connect to any of the hosts, of which all but the last may not answer, and to prepare the session.
    fn connect_any(&self) -> Duration {
        CONNECT * u32::try_from(self.config.get_ports().len() + 1).unwrap_or(u32::MAX)
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let client = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                // Ends with the client or the connection; statements are told why.
                tokio::spawn(connection);
                client
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(connection);
                client
            }
        };
        client.batch_execute(SESSION).await?;
        Ok(client)
    }

    async fn forget(&self) {
        self.client.lock().await.take();
    }

    async fn judge<T>(
        &self,
        done: Result<Result<T, tokio_postgres::Error>, tokio::time::error::Elapsed>,
    ) -> Result<T, StoreError> {
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(e)) => {
                if e.as_db_error().is_none() {
                    self.forget().await;
                }
                Err(self.failed(&e))
            }
            Err(_) => {
                self.forget().await;
                let seconds = STATEMENT.as_secs();
                Err(StoreError::Database(format!("{} did not answer within {seconds} s", self.name)))
            }
        }
    }

    fn failed(&self, error: &tokio_postgres::Error) -> StoreError {
        let name = &self.name;
        if let Some(said) = error.as_db_error() {
            // That a table is missing, or may not be used, is a matter of the migration.
            let missing = [
                &SqlState::UNDEFINED_TABLE,
                &SqlState::INVALID_SCHEMA_NAME,
                &SqlState::INSUFFICIENT_PRIVILEGE,
            ];
            // And these are not mended by waiting.
            let refused = [
                &SqlState::INVALID_PASSWORD,
                &SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                &SqlState::INVALID_CATALOG_NAME,
            ];
            let text = format!("{name} says: {} ({})", said.message(), said.code().code());
            return match said.code() {
                code if missing.contains(&code) => StoreError::NotMigrated(text),
                code if refused.contains(&code) => StoreError::DatabaseRefused(text),
                _ => StoreError::Database(text),
            };
        }
        let mut text = format!("{name}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text += &format!(": {cause_text}");
            }
            source = cause.source();
        }
        StoreError::Database(text)
    }
}

/// A column of a row.
pub(crate) fn column<T: FromSqlOwned>(row: &Row, at: usize) -> Result<T, StoreError> {
    row.try_get(at).map_err(|e| StoreError::Database(format!("PostgreSQL answers otherwise than asked: {e}")))
}
