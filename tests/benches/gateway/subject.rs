//! What is measured: the bare node, the gateway, nginx and haproxy, each set up for the same work.

use super::{
    options::Options,
    placement::Placement,
    process::{self, Process},
    wire::{Reader, Side, Wish},
};
use aivonx_protocol::{
    Client,
    key::{self, KeyScope, NewKey},
    limit::{self, LimitName, LimitSetting, LimitTarget, LimitValue},
    money::MicroUsd,
    organization::{self, NewOrganization, NodeAccess},
    price,
};
use anyhow::{Context as _, bail, ensure};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a proxy may take until it answers.
const START: Duration = Duration::from_secs(20);

/// A proxy that runs, or the node itself.
#[derive(Debug)]
pub(crate) struct Subject {
    /// `direct`, `gateway`, `before`, `keyed`, `limited`, `nginx` or `haproxy`.
    pub(crate) name: &'static str,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The processes that carry the traffic; none for `direct`.
    pub(crate) pids: Vec<i32>,
    /// The key every request needs.
    pub(crate) secret: Option<String>,
    // Ended in this order: the process, then the directory it works in.
    _process: Option<Process>,
    _dir: Option<TempDir>,
}

/// How to start a proxy.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// `gateway`, `before`, `keyed`, `limited`, `nginx` or `haproxy`.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: PathBuf,
    /// What it says about its version.
    pub(crate) version: String,
}

/// Starts the fake node.
pub(crate) fn node(placement: Placement) -> anyhow::Result<(Process, Subject)> {
    let mut process = process::start(process::own_role(placement.node, "node")?.stdout(Stdio::piped()))?;
    let mut line = String::new();
    let output = process.stdout().context("the node has no output")?;
    BufReader::new(output).read_line(&mut line).context("reading the node's port")?;
    let port: u16 = line.trim().parse().with_context(|| format!("the node said {line:?}"))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok((
        process,
        Subject { name: "direct", address, pids: Vec::new(), secret: None, _process: None, _dir: None },
    ))
}

/// Recipes for the wanted proxies that are there, and a line about each that is not.
pub(crate) fn recipes(options: &Options) -> anyhow::Result<(Vec<Recipe>, Vec<String>)> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in options.proxies.iter().copied() {
        if name == "gateway" {
            let program = match &options.aivonxd {
                Some(program) => program.clone(),
                None => build()?,
            };
            for (name, wanted) in [("keyed", options.keyed), ("limited", options.limited)] {
                if wanted {
                    found.push(Recipe {
                        name,
                        version: said(&program, "--version"),
                        program: program.clone(),
                    });
                }
            }
            found.push(Recipe { name, version: said(&program, "--version"), program });
            if let Some(program) = options.before.clone() {
                found.push(Recipe { name: "before", version: said(&program, "--version"), program });
            }
        } else if let Some(program) = installed(name) {
            found.push(Recipe { name, version: said(&program, "-v"), program });
        } else {
            missing.push(format!("{name} is not installed: its column is left out"));
        }
    }
    Ok((found, missing))
}

/// The first line a program says about its version.
fn said(program: &Path, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else { return "unknown version".to_owned() };
    let text = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned();
    line.split(" - ").next().unwrap_or_default().to_owned()
}

fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Builds `aivonxd` in release and says where it is.
fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Cargo's variables about this bench's own package would look to build scripts like a changed environment, and make
    // the next build from a shell start anew.
    for (name, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if own.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
            command.env_remove(&name);
        }
    }
    let output = command
        .args(["build", "--release", "-p", "aivonx-daemon", "--bin", "aivonxd"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo build")?;
    ensure!(output.status.success(), "cargo build --release --bin aivonxd failed: {}", output.status);
    for line in output.stdout.split(|byte| *byte == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        if let (Some("aivonxd"), Some(path)) =
            (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            return Ok(path.into());
        }
    }
    bail!("cargo built no aivonxd")
}

impl Recipe {
    /// Starts the proxy in front of `node` and waits until it passes a chat on.
    pub(crate) fn start(&self, node: SocketAddr, placement: Placement) -> anyhow::Result<Subject> {
        let dir = tempfile::Builder::new().prefix("aivonx-bench-").tempdir()?;
        let address = free_address()?;
        let path = dir.path();
        let program = self.program.to_str().context("the program's path is not UTF-8")?;
        let mut command = process::on_core(placement.proxy, program)?;
        match self.name {
            "gateway" | "before" => gateway(&mut command, path, address, node),
            "keyed" | "limited" => {
                gateway(&mut command, path, address, node);
                command.args(["--access", "required"]);
            }
            "nginx" => nginx(&mut command, path, address, node)?,
            _ => haproxy(&mut command, path, address, node)?,
        }
        let log = path.join("output.log");
        let output = fs::File::create(&log)?;
        command.stdout(output.try_clone()?).stderr(output);
        let mut process = process::start(&mut command)?;
        let started = Instant::now();
        let mut secret = None;
        while let Err(error) = self.ready(path, address, &mut secret) {
            let ended = process.ended();
            if ended.is_some() || started.elapsed() > START {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let said = said.get(..4000).unwrap_or(&said);
                bail!("{} does not serve ({ended:?}, {error:#}); it said:\n{said}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // nginx's master passes no traffic: its worker is what is measured.
        let pids = match self.name {
            "nginx" => process::children_of(process.pid()),
            _ => vec![process.pid()],
        };
        ensure!(!pids.is_empty(), "{} has no worker process", self.name);
        Ok(Subject { name: self.name, address, pids, secret, _process: Some(process), _dir: Some(dir) })
    }

    /// Whether it passes a chat on; makes the key for it first, where one is needed.
    fn ready(&self, dir: &Path, address: SocketAddr, secret: &mut Option<String>) -> anyhow::Result<()> {
        if matches!(self.name, "keyed" | "limited") && secret.is_none() {
            *secret = Some(make_key(&dir.join("state/control.sock"), self.name == "limited")?);
        }
        try_chat(address, secret.as_deref())
    }
}

/// Makes a key that may use models, as the user who started the gateway. With `limited`, it is in an organization,
/// both have a cap on everything, far away, and models have a price.
fn make_key(socket: &Path, limited: bool) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::connect(socket, "bench").await?;
        let organization = limited.then(|| "bench".to_owned());
        if let Some(slug) = &organization {
            client.ask(organization::Add(Box::new(new_organization(slug)))).await?;
            client.ask(price::Set { model: "*".into(), prompt: MicroUsd(1), output: MicroUsd(1) }).await?;
        }
        let new = NewKey {
            name: "bench".to_owned(),
            organization: organization.clone(),
            user: None,
            scopes: vec![KeyScope::Infer],
            models: Vec::new(),
            networks: Vec::new(),
            expires: None,
        };
        let secret = client.ask(key::Create(Box::new(new))).await?.secret.expose().to_owned();
        if let Some(organization) = organization {
            let key = LimitTarget::Key { organization: Some(organization.clone()), key: "bench".to_owned() };
            client.ask(limit::Set { target: key, revision: None, values: far_away() }).await?;
            client
                .ask(limit::Set {
                    target: LimitTarget::Organization { organization },
                    revision: None,
                    values: far_away(),
                })
                .await?;
        }
        Ok(secret)
    })
}

fn new_organization(slug: &str) -> NewOrganization {
    NewOrganization {
        slug: slug.to_owned(),
        name: None,
        require_totp: false,
        models: Vec::new(),
        nodes: NodeAccess::Shared,
        cloud_models: false,
        privacy: None,
        limit_profile: None,
    }
}

/// A cap on everything that inference counts.
fn far_away() -> Vec<LimitValue> {
    let counted = [
        LimitName::UserHour,
        LimitName::InferenceDay,
        LimitName::BurstMinute,
        LimitName::SpendDay,
        LimitName::SpendMonth,
        LimitName::TokensMinute,
        LimitName::TokensDay,
        LimitName::Concurrent,
        LimitName::PromptChars,
    ];
    let value = |name| LimitValue { name: LimitSetting::bare(name), limit: Some(1_000_000_000_000) };
    counted.into_iter().map(value).collect()
}

/// A port nobody listens on now. Another process could take it before the proxy does; the start fails then.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn try_chat(address: SocketAddr, secret: Option<&str>) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.write_all(&Wish::UNARY.request("hello", None, secret))?;
    let mut reader = Reader::new(Side::Client);
    let mut buffer = [0; 4096];
    loop {
        let length = socket.read(&mut buffer)?;
        ensure!(length > 0, "the connection ended within an answer");
        if reader.feed(&buffer[..length])? {
            return reader.expect_ok();
        }
    }
}

fn gateway(command: &mut Command, dir: &Path, address: SocketAddr, node: SocketAddr) {
    command.arg("dev").arg("--dir").arg(dir.join("state"));
    command.args(["--listen", &address.to_string(), "--node", &format!("http://{node}")]);
    command.env_remove("OLLAMA_HOST").env_remove("JOURNAL_STREAM").env_remove("RUST_LOG");
}

/// Streams both ways as they come, keeps connections on both sides, logs nothing.
fn nginx(command: &mut Command, dir: &Path, address: SocketAddr, node: SocketAddr) -> anyhow::Result<()> {
    // The worker would otherwise give up root's rights and could not enter the private directory.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let text = format!(
        "daemon off; {user}\n\
         worker_processes 1; worker_rlimit_nofile 16384;\n\
         pid nginx.pid; error_log error.log crit;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
           access_log off;\n\
           client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
           uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
           keepalive_requests 1000000000; keepalive_timeout 75s; client_max_body_size 0;\n\
           upstream node {{ server {node}; keepalive 128; keepalive_requests 1000000000; }}\n\
           server {{\n\
             listen {address};\n\
             location / {{\n\
               proxy_pass http://node; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
               proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600s;\n\
             }}\n\
           }}\n\
         }}\n"
    );
    fs::write(dir.join("nginx.conf"), text)?;
    command.arg("-p").arg(dir).args(["-c", "nginx.conf", "-e", "error.log"]);
    Ok(())
}

/// The same in haproxy's terms; without `http-no-delay` it may hold back the chunks of a stream.
fn haproxy(command: &mut Command, dir: &Path, address: SocketAddr, node: SocketAddr) -> anyhow::Result<()> {
    let text = format!(
        "global\n  maxconn 8000\n  nbthread 1\n\
         defaults\n  mode http\n  option http-no-delay\n  http-reuse always\n\
         \x20 timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n  timeout http-keep-alive 75s\n\
         frontend clients\n  bind {address}\n  default_backend nodes\n\
         backend nodes\n  server node {node}\n"
    );
    let file = dir.join("haproxy.cfg");
    fs::write(&file, text)?;
    command.arg("-db").arg("-f").arg(file);
    Ok(())
}
