//! The real `aivonxd`.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use aivonx_protocol::{WireSecret, client::Client as ControlClient};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{Aivonx, Answer, Client, Log, Request, binary};
use crate::{fake::FakeNode, within};

/// How to start a daemon.
#[derive(Debug, Default)]
pub struct Builder {
    arguments: Vec<String>,
    nodes: Vec<String>,
    environment: Vec<(String, String)>,
    config: Option<String>,
    plain_listener: bool,
    access: Option<String>,
    alone: bool,
    mode: Option<String>,
    folder: Option<PathBuf>,
    inherited: Option<TcpListener>,
}

impl Builder {
    /// With this node.
    #[must_use]
    pub fn node(mut self, node: &FakeNode) -> Self {
        self.nodes.push(node.url());
        self
    }

    /// With a node at this URL.
    #[must_use]
    pub fn node_url(mut self, url: &str) -> Self {
        self.nodes.push(url.to_owned());
        self
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `run` with a configuration file instead of `dev`. `extra` goes after the keys every test needs:
    /// it may open tables, and must not repeat `data_dir`, `listen`, `[control]` or `[access]`.
    #[must_use]
    pub fn config(mut self, extra: &str) -> Self {
        self.config = Some(extra.to_owned());
        self
    }

    /// `run` with a listener that is not marked for diagnostics.
    #[must_use]
    pub fn plain_listener(mut self) -> Self {
        self.plain_listener = true;
        self
    }

    /// `run` with these keys under `[access]` beside its mode, instead of the permission to manage models.
    #[must_use]
    pub fn access(mut self, keys: &str) -> Self {
        self.access = Some(keys.to_owned());
        self
    }

    /// `run` with this access mode instead of `open`.
    #[must_use]
    pub fn mode(mut self, mode: &str) -> Self {
        self.mode = Some(mode.to_owned());
        self
    }

    /// `run` without an administrator, and without the harness logging in: what is reached is what a stranger
    /// reaches.
    #[must_use]
    pub fn not_set_up(mut self) -> Self {
        self.alone = true;
        self
    }

    /// In this directory, which stays, instead of one of its own.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// `run` with this socket passed to it as systemd does, and as its listener.
    #[must_use]
    pub fn inherits(mut self, socket: &TcpListener) -> Self {
        self.inherited = Some(socket.try_clone().expect("a descriptor is free"));
        self
    }

    /// Starts it and waits until it listens and its nodes are active.
    pub async fn start(self) -> Daemon {
        let expected = self.nodes.len();
        let daemon = self.start_any().await;
        if expected > 0 {
            daemon.until_active(expected).await;
        }
        daemon
    }

    /// Starts it and waits until it listens, whatever its nodes are.
    pub async fn start_any(self) -> Daemon {
        let (own, folder) = match &self.folder {
            Some(folder) => (None, folder.clone()),
            None => {
                let own = tempfile::Builder::new().prefix("aivonx-").tempdir().expect("a private directory");
                let folder = own.path().to_owned();
                (Some(own), folder)
            }
        };
        let mut command = match &self.inherited {
            None => Command::new(binary("aivonxd")),
            // The descriptor must be the third and the process id the daemon's own: a shell does both.
            Some(_) => {
                let mut shell = Command::new("sh");
                let pass = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
                shell.arg("-c").arg(pass).arg(binary("aivonxd"));
                shell
            }
        };
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &folder)
            .env("XDG_STATE_HOME", folder.join("state"))
            .env("NO_COLOR", "1")
            .envs(self.environment.iter().map(|(n, v)| (n, v)));
        let data = folder.join("data");
        let socket = if let Some(extra) = &self.config {
            let socket = folder.join("control.sock");
            let file = folder.join("aivonxd.toml");
            let setup = folder.join("setup");
            write_setup(&setup);
            std::fs::write(&file, self.configuration(&data, &socket, &setup, extra))
                .expect("a file of our own");
            command.arg("run").arg("--config").arg(file);
            socket
        } else {
            command.arg("dev").arg("--dir").arg(&data).arg("--listen").arg("127.0.0.1:0");
            for node in &self.nodes {
                command.arg("--node").arg(node);
            }
            data.join("control.sock")
        };
        command.args(&self.arguments);
        let mut child = command
            .stdin(self.inherited.as_ref().map_or_else(Stdio::null, |socket| {
                std::os::fd::OwnedFd::from(socket.try_clone().expect("a descriptor is free")).into()
            }))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("aivonxd starts");
        let (stdout, stderr) = (Log::new(), Log::new());
        stdout.follow(child.stdout.take().expect("piped"));
        stderr.follow(child.stderr.take().expect("piped"));
        let mut daemon = Daemon {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            logs_in: self.config.is_some() && !self.alone,
            token: None,
            child,
            stdout,
            stderr,
            folder,
            data,
            socket,
            _own: own,
        };
        daemon.find_address().await;
        if self.config.is_some() && !self.alone {
            for (n, url) in self.nodes.iter().enumerate() {
                daemon.aivonx().ok(&["node", "add", &format!("n{n}"), url]).await;
            }
        }
        daemon
    }

    fn configuration(&self, data: &Path, socket: &Path, setup: &Path, extra: &str) -> String {
        let setup = if self.alone { String::new() } else { format!("setup_file = \"{}\"", setup.display()) };
        let (data, socket) = (data.display(), socket.display());
        let diagnostics = !self.plain_listener;
        let own = SocketAddr::from(([127, 0, 0, 1], 0));
        let listen = self.inherited.as_ref().map_or(own, |s| s.local_addr().expect("it is bound"));
        let mode = self.mode.as_deref().unwrap_or("open");
        let access = self.access.as_deref().unwrap_or("allow_model_management = true");
        format!(
            r#"data_dir = "{data}"

[[listen]]
address = "{listen}"
diagnostics = {diagnostics}

[control]
socket = "{socket}"
group = ""

[access]
mode = "{mode}"
{setup}
{access}

{extra}
"#
        )
    }
}

/// Name of the administrator of a daemon in `run`.
pub const ADMIN: &str = "harness";
/// Its password.
pub const ADMIN_PASSWORD: &str = "seven quiet lamps under glass";
/// How long the harness's token lasts, milliseconds.
const TOKEN_LASTS: u64 = 3_600_000;

/// Writes the file that a daemon makes its first administrator from.
fn write_setup(path: &Path) {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let text = format!("username = \"{ADMIN}\"\npassword = \"{ADMIN_PASSWORD}\"\nno_totp = true\n");
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file of our own");
}

/// Logs in at `socket`, as soon as there is a daemon behind it, and asks where it listens. Returns that and a
/// token for whoever comes after.
async fn log_in(socket: &Path) -> (String, WireSecret) {
    within("the control socket", async {
        loop {
            if let Ok(client) = ControlClient::connect(socket, "tests").await
                && client.login(ADMIN, WireSecret::new(ADMIN_PASSWORD.to_owned()), None).await.is_ok()
                && let Ok(status) = client.status().await
            {
                let name = format!("tests-{}", status.pid);
                // The same process may be asked again.
                client.token_revoke(&name).await.ok();
                let token = client.token_create(&name, None, TOKEN_LASTS).await.expect("a token of our own");
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
        // `dev` prints it; `run` tells it over the control socket, wherever its log goes.
        let found = tokio::select! {
            address = stdout.until(r"listening on http://(127\.0\.0\.1:\d+)") => Ok(address),
            // Strangers are not told over the socket.
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
            within("the login", client.resume(token.clone())).await.expect("the token is good");
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
        let nodes = within("the nodes", self.control().await.node_list()).await.expect("a list");
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
