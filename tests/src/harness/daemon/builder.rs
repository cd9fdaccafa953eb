//! How a daemon is started.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use super::{ADMIN, ADMIN_PASSWORD, Daemon};
use crate::{
    fake::FakeNode,
    harness::{Log, binary},
};

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
    open_files: Option<u64>,
    behind: Vec<String>,
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

    /// Started by this command line, which runs what follows it in its own place.
    #[must_use]
    pub fn behind(mut self, command: &[&str]) -> Self {
        self.behind = command.iter().map(|&word| word.to_owned()).collect();
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

    /// With so many descriptors and no more.
    #[must_use]
    pub fn open_files(mut self, limit: u64) -> Self {
        self.open_files = Some(limit);
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

    /// Starts it and waits until it listens; does not wait for its nodes to be healthy.
    pub async fn start_any(self) -> Daemon {
        let (own, folder) = match &self.folder {
            Some(folder) => (None, folder.clone()),
            None => {
                let own = tempfile::Builder::new().prefix("aivonx-").tempdir().expect("a private directory");
                let folder = own.path().to_owned();
                (Some(own), folder)
            }
        };
        // A shell sets what only the process itself can: its limits, and its descriptors and id for systemd's protocol.
        let limit = self.open_files.map(|limit| format!("ulimit -n {limit}; ")).unwrap_or_default();
        let pass = match &self.inherited {
            None => "",
            Some(_) => "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; ",
        };
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{limit}{pass}exec \"$0\" \"$@\""))
            .args(&self.behind)
            .arg(binary("aivonxd"))
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

/// Writes the file that a daemon makes its first administrator from.
fn write_setup(path: &Path) {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let text = format!("username = \"{ADMIN}\"\npassword = \"{ADMIN_PASSWORD}\"\nno_totp = true\n");
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file of our own");
}
