//! `--simulate`: nodes, and traffic to them, of a process of their own, `aivonx-sim`. What stands between them and a
//! client is the gateway as it always is.
//!
//! The nodes listen on loopback, on ports of the kernel's choice, and answer nobody who does not show a token that is
//! made at every start: nothing is opened to the machine that was not before. The process ends when its standard
//! input does, and the other end of that is here: it does not outlive this process, however that ends.

use std::{
    collections::BTreeMap,
    env, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use aivonx_domain::TenantScope;
use aivonx_fleet::Fleet;
use aivonx_protocol::{
    WireSecret,
    node::{Credential, NewNode, NodeKind},
    program,
};
use aivonx_store::{Store, StoreError, UsageLog};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use super::past::{self, Used};
use crate::{args::Traffic, error::AppError};

const PROGRAM: &str = "aivonx-sim";
/// Where packages put it, from the folder of this program.
const LIBEXEC: &str = "../libexec/aivonx";
/// How long it may take to end.
const END: Duration = Duration::from_secs(2);
/// What the name of every organization ends with that the traffic makes.
const MARK: &str = "(simulated)";

/// The process while it runs. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Simulation {
    token: WireSecret,
    nodes: Vec<SimNode>,
    /// Names of the nodes in the fleet, in their order.
    names: Vec<String>,
    child: Child,
    /// It ends when this closes.
    input: ChildStdin,
    listener: JoinHandle<()>,
}

/// What the process says: JSON, a line each.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Nodes { token: String, nodes: Vec<SimNode> },
    Past(Vec<Used>),
    Failed(String),
}

#[derive(Debug, Deserialize)]
struct SimNode {
    url: String,
    gpu: String,
    /// Requests at once.
    parallel: u32,
}

impl Simulation {
    /// Starts the process and waits for its nodes. `log` is where it may write what was used before today.
    ///
    /// # Errors
    /// The program is not there, or does not start.
    pub(crate) async fn start(count: u8, seed: u64, log: UsageLog) -> Result<Self, AppError> {
        Self::spawn(count, seed, log).await.map_err(AppError::system("cannot simulate nodes"))
    }

    async fn spawn(count: u8, seed: u64, log: UsageLog) -> io::Result<Self> {
        let program = find(env::current_exe().ok().as_deref(), env::var_os("PATH").as_deref())?;
        let mut child = Command::new(&program)
            .args(["--nodes", &count.to_string(), "--seed", &seed.to_string()])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What the terminal sends is for this process, which first lets what runs finish.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::other(format!("{}: {error}", program.display())))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("its pipes are missing"));
        };
        let mut lines = BufReader::new(output).lines();
        match next(&mut lines).await? {
            Some(Said::Nodes { token, nodes }) => {
                let listener = tokio::spawn(listen(lines, log));
                Ok(Self { token: WireSecret::new(token), nodes, names: Vec::new(), child, input, listener })
            }
            _ => Err(io::Error::other(format!("{} did not start", program.display()))),
        }
    }

    /// Makes its nodes those of the fleet, under names that are free.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn join(&mut self, fleet: &Fleet) -> Result<(), AppError> {
        for SimNode { url, gpu, parallel } in &self.nodes {
            let taken = fleet.list(&TenantScope::All);
            let is_free = |name: &String| taken.iter().all(|node| node.name != *name);
            let name = (1..).map(|n| format!("sim{n}")).find(is_free).unwrap_or_default();
            self.names.push(name.clone());
            let new = NewNode {
                name,
                url: url.clone(),
                kind: Some(NodeKind::Ollama),
                credential: Credential::Bearer(self.token.clone()),
                ca_pem: None,
                server_name: None,
                max_parallel: *parallel,
                labels: BTreeMap::from([("gpu".into(), gpu.clone()), ("simulated".into(), "yes".into())]),
                force: false,
                organization: None,
            };
            fleet.add_simulated(new).await?;
        }
        Ok(())
    }

    /// Makes traffic from now on: so much of it, through this address and this control socket.
    ///
    /// # Errors
    /// The process is gone.
    pub(crate) async fn begin_traffic(
        &mut self,
        amount: Traffic,
        gateway: SocketAddr,
        socket: &Path,
    ) -> io::Result<()> {
        let amount = match amount {
            Traffic::Light => "light",
            Traffic::Busy => "busy",
        };
        let (socket, nodes) = (socket.display().to_string(), &self.names);
        let place =
            json!({ "amount": amount, "gateway": gateway.to_string(), "socket": socket, "nodes": nodes });
        self.tell(&json!({ "traffic": place })).await
    }

    /// Ends the traffic: its clients leave at once.
    pub(crate) async fn end_traffic(&mut self) {
        // Gone already is as good.
        let _ = self.tell(&json!("rest")).await;
    }

    async fn tell(&mut self, what: &Value) -> io::Result<()> {
        self.input.write_all(format!("{what}\n").as_bytes()).await
    }

    /// Ends the nodes.
    pub(crate) async fn end(self) {
        let Self { input, mut child, listener, .. } = self;
        listener.abort();
        drop(input);
        // Past that, it is killed.
        let _ = timeout(END, child.wait()).await;
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> io::Result<Option<Said>> {
    let Some(line) = lines.next_line().await? else { return Ok(None) };
    // The reason would show some of it.
    serde_json::from_str(&line)
        .map(Some)
        .map_err(|_| io::Error::other(format!("{PROGRAM} is of another version")))
}

async fn listen(mut lines: Lines<BufReader<ChildStdout>>, log: UsageLog) {
    loop {
        let failed = match next(&mut lines).await {
            Ok(Some(Said::Past(used))) => past::write(&log, used).await.err().map(|error| error.to_string()),
            Ok(Some(Said::Failed(why))) => Some(why),
            Ok(Some(Said::Nodes { .. })) => None,
            Ok(None) => break,
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = failed {
            tracing::error!(event = "simulate", error, "the simulation lacks something");
        }
    }
    tracing::error!(event = "simulate", "{PROGRAM} has ended, and the simulated nodes with it");
}

/// Whether a store may be filled with people: it has nothing in it, or nothing else.
///
/// # Errors
/// The store fails.
pub(crate) async fn fit(store: &Store) -> Result<bool, StoreError> {
    let organizations = store.organizations().list(&TenantScope::All).await?;
    let users = store.users().list(&TenantScope::All).await?;
    let keys = store.keys().list(&TenantScope::All).await?;
    Ok(organizations.iter().all(|organization| organization.name.ends_with(MARK))
        && users.iter().all(|user| user.organization.is_some())
        && keys.iter().all(|key| key.organization.is_some()))
}

/// The program beside this one, else where packages put it, else the first on the path.
fn find(own: Option<&Path>, path: Option<&std::ffi::OsStr>) -> io::Result<PathBuf> {
    let beside = own.and_then(Path::parent);
    let folders = beside.into_iter().flat_map(|folder| [folder.to_owned(), folder.join(LIBEXEC)]);
    program::find(PROGRAM, folders, path).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "{PROGRAM} is neither in {0} nor in {0}/{LIBEXEC} nor on the PATH; it comes with the package aivonx, or \
                 build it: cargo build --bin {PROGRAM}",
                beside.unwrap_or(Path::new("?")).display()
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn program(folder: &Path, mode: u32) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let file = folder.join(PROGRAM);
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn the_program_beside_comes_before_the_packages_and_that_before_the_path() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = folder.path().join("bin/aivonxd");
        let path = env::join_paths([Path::new("bin"), other.path()]).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let missing = find(Some(&own), Some(&path)).unwrap_err().to_string();
        assert!(
            missing.contains("neither in") && missing.contains("cargo build --bin aivonx-sim"),
            "{missing}"
        );
        let on_path = program(other.path(), 0o755);
        assert_eq!(find(Some(&own), Some(&path)).unwrap(), on_path);
        program(&folder.path().join("libexec/aivonx"), 0o755);
        let packaged = folder.path().join("bin").join(LIBEXEC).join(PROGRAM);
        assert_eq!(find(Some(&own), Some(&path)).unwrap(), packaged);
        program(&folder.path().join("bin"), 0o644);
        assert_eq!(find(Some(&own), Some(&path)).unwrap(), packaged, "not a program");
        let beside = program(&folder.path().join("bin"), 0o755);
        assert_eq!(find(Some(&own), Some(&path)).unwrap(), beside);
    }
}
