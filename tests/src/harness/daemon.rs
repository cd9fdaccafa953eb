//! The real `aivonxd`.

mod builder;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use aivonx_protocol::{WireSecret, account, client::Client as ControlClient, daemon, node, token};
use tempfile::TempDir;
use tokio::process::Child;

pub use self::builder::Builder;
use super::{Aivonx, Answer, Client, Log, Request};
use crate::{fake::FakeNode, within};

/// Name of the administrator of a daemon in `run`.
pub const ADMIN: &str = "harness";
/// Its password.
pub const ADMIN_PASSWORD: &str = "seven quiet lamps under glass";
/// How long the harness's token lasts, milliseconds.
const TOKEN_LASTS: u64 = 3_600_000;

/// Logs in at `socket`, as soon as there is a daemon behind it, and asks where it listens. Returns that and a
/// token for later calls.
async fn log_in(socket: &Path) -> (String, WireSecret) {
    within("the control socket", async {
        loop {
            if let Ok(client) = ControlClient::connect(socket, "tests").await
                && client
                    .ask(account::Login {
                        username: ADMIN.to_owned(),
                        password: WireSecret::new(ADMIN_PASSWORD.to_owned()),
                        otp: None,
                    })
                    .await
                    .is_ok()
                && let Ok(status) = client.ask(daemon::GetStatus).await
            {
                let name = format!("tests-{}", status.pid);
                // The same process may be asked again.
                client.ask(token::Revoke { token: name.clone() }).await.ok();
                let token = client
                    .ask(token::Create { name: name.clone(), role: None, lasts_ms: TOKEN_LASTS })
                    .await
                    .expect("a token of our own");
                return (status.listen[0].clone(), token.secret);
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await
}

/// A running daemon. Killed when dropped; what it wrote is shown if the test fails.
#[derive(Debug)]
pub struct Daemon {
    address: SocketAddr,
    logs_in: bool,
    token: Option<WireSecret>,
    child: Child,
    stdout: Log,
    stderr: Log,
    folder: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    _own: Option<TempDir>,
}

impl Daemon {
    /// How to start one.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `aivonxd dev` in front of `nodes`, all active.
    pub async fn dev(nodes: &[&FakeNode]) -> Self {
        nodes.iter().fold(Self::builder(), |b, n| b.node(n)).start().await
    }

    /// `aivonxd run` with `extra` in its file, in front of `nodes`.
    pub async fn run(nodes: &[&FakeNode], extra: &str) -> Self {
        nodes.iter().fold(Self::builder().config(extra), |b, n| b.node(n)).start().await
    }

    async fn find_address(&mut self) {
        let (stdout, stderr, socket) = (self.stdout.clone(), self.stderr.clone(), self.socket.clone());
        // `dev` prints it; `run` reports it over the control socket, wherever its log goes.
        let found = tokio::select! {
            address = stdout.until(r"listening on https?://(127\.0\.0\.1:\d+)") => Ok(address),
            // The socket does not report it without a login.
            address = stderr.until(r"the gateway serves.* listen=(127\.0\.0\.1:\d+)"), if !self.logs_in => Ok(address),
            (address, token) = log_in(&socket), if self.logs_in => {
                self.token = Some(token);
                Ok(address)
            }
            status = self.child.wait() => Err(status),
        };
        match found {
            Ok(address) => self.address = address.parse().expect("an address"),
            Err(status) => {
                // The readers may still be behind the process.
                tokio::task::yield_now().await;
                panic!("aivonxd ended ({status:?}) before it listened:\n{}{}", stdout.text(), stderr.text());
            }
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The directory the daemon lives in: data, and in `run` the configuration file.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its configuration file (`run` only).
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.folder.join("aivonxd.toml")
    }

    /// The command line pointed at it.
    #[must_use]
    pub fn aivonx(&self) -> Aivonx {
        match &self.token {
            Some(token) => Aivonx::new(&self.socket).token(token.expose()),
            None => Aivonx::new(&self.socket),
        }
    }

    /// An administrator's token, if the harness has logged in.
    #[must_use]
    pub fn token(&self) -> Option<&WireSecret> {
        self.token.as_ref()
    }

    /// What it wrote on standard error.
    #[must_use]
    pub fn stderr(&self) -> &Log {
        &self.stderr
    }

    /// What it wrote on standard output.
    #[must_use]
    pub fn stdout(&self) -> &Log {
        &self.stdout
    }

    /// A connection to it.
    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, request: &Request) -> Answer {
        self.client().await.ask(request).await
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(&Request::get(path)).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.ask(&Request::json(path, body)).await
    }

    /// A connection to the control socket.
    pub async fn control(&self) -> ControlClient {
        let client = self.control_as_stranger().await;
        if let Some(token) = &self.token {
            within("the login", client.ask(account::Resume { secret: token.clone() }))
                .await
                .expect("the token is good");
        }
        client
    }

    /// The same, without logging in.
    pub async fn control_as_stranger(&self) -> ControlClient {
        let connect = ControlClient::connect(&self.socket, "tests");
        within("the control socket", connect).await.expect("the control socket answers")
    }

    /// All nodes, with the fields that `node list --output json` prints.
    pub async fn nodes(&self) -> Vec<serde_json::Value> {
        let nodes = within("the nodes", self.control().await.ask(node::List)).await.expect("a list");
        nodes.iter().map(|node| serde_json::to_value(node).expect("plain data")).collect()
    }

    /// Waits until `condition` holds of the nodes.
    pub async fn until_nodes(&self, what: &str, mut condition: impl FnMut(&[serde_json::Value]) -> bool) {
        within(what, async {
            while !condition(&self.nodes().await) {
                tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            }
        })
        .await;
    }

    /// Waits until so many nodes are active.
    pub async fn until_active(&self, count: usize) {
        self.until_nodes(&format!("{count} active nodes"), |nodes| {
            nodes.iter().filter(|n| n["pool"] == "active").count() == count
        })
        .await;
    }

    /// Waits until no request is at work.
    pub async fn until_idle(&self) {
        self.until_nodes("active counts back at zero", |nodes| {
            nodes.iter().all(|n| n["active_requests"] == 0)
        })
        .await;
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("the process is ours");
    }

    /// Kills it without notice and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the process is ours");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        within("the daemon's end", self.child.wait()).await.expect("the process is ours")
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.ended().await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- aivonxd wrote:\n{}{}---", self.stdout.text(), self.stderr.text());
        }
        self.child.start_kill().ok();
    }
}
