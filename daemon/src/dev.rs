//! `aivonxd dev`: the gateway for this machine alone, set up from nothing.

mod past;
mod simulation;

use std::{
    collections::BTreeMap,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use aivonx_config::{self as config, AccessMode};
use aivonx_domain::TenantScope;
use aivonx_fleet::Fleet;
use aivonx_protocol::{
    Fault, Untrusted,
    node::{Credential, NewNode, Node, NodeKind, Pool},
};
use aivonx_store::{Store, usage::Calendar};

pub(crate) use self::simulation::Simulation;
use crate::{args::Dev, error::AppError, trusted};

/// Where Ollama listens by default.
const OLLAMA: &str = "http://127.0.0.1:11434";

/// The directory of everything: the one given, else `$XDG_STATE_HOME/aivonx`, else `~/.local/state/aivonx`. It must
/// be ours alone.
pub(crate) fn directory(given: Option<&Path>) -> Result<PathBuf, AppError> {
    let dir = named(given)?;
    trusted::directory(&dir).map_err(|why| AppError::Usage(format!("--dir {}: {why}", dir.display())))
}

fn named(given: Option<&Path>) -> Result<PathBuf, AppError> {
    if let Some(dir) = given {
        return std::path::absolute(dir).map_err(AppError::system("cannot resolve --dir"));
    }
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    from("XDG_STATE_HOME")
        .filter(|p| p.is_absolute())
        .or_else(|| from("HOME").map(|h| h.join(".local/state")))
        .map(|state| state.join("aivonx"))
        .ok_or_else(|| {
            AppError::Usage("neither XDG_STATE_HOME nor HOME is set: name a directory with --dir".into())
        })
}

/// The configuration of `dev`, which is for loopback only, and open by default.
pub(crate) fn configuration(dir: &Path, args: &Dev) -> Result<config::Live, AppError> {
    let listen = args.listen;
    if !listen.ip().is_loopback() {
        return Err(AppError::Usage(format!(
            "--listen {listen}: dev is for this machine and listens on loopback only; use \
             127.0.0.1:{0} or [::1]:{0}, or 'aivonxd run' with a configuration file",
            listen.port()
        )));
    }
    let tls = args.tls_cert.as_ref().zip(args.tls_key.as_ref());
    let tls = tls.map(|(cert, key)| Ok((std::path::absolute(cert)?, std::path::absolute(key)?)));
    let tls = tls.transpose().map_err(AppError::system("cannot resolve --tls-cert and --tls-key"))?;
    let asked = config::Asked { hosts: args.hosts.clone(), origins: args.origins.clone(), tls };
    Ok(config::Live::dev(dir, listen, args.access.into(), asked))
}

/// Adds the nodes given and those simulated, or, if there are no nodes yet, the Ollama of this machine.
pub(crate) async fn first_nodes(
    fleet: &Arc<Fleet>,
    given: &[String],
    simulation: Option<&mut Simulation>,
    own: &[SocketAddr],
) -> Result<(), AppError> {
    if let Some(simulation) = simulation {
        simulation.join(fleet).await?;
    }
    let known = fleet.list(&TenantScope::All);
    let wanted: Vec<String> = match given {
        [] if known.is_empty() => vec![local_ollama(own)],
        given => given.to_vec(),
    };
    for url in wanted {
        let url = url.trim_end_matches('/').to_owned();
        let present = fleet.list(&TenantScope::All);
        if present.iter().any(|n| n.url == url) {
            continue;
        }
        let node = NewNode {
            name: free_name(&present),
            url,
            kind: None,
            credential: Credential::None,
            ca_pem: None,
            server_name: None,
            max_parallel: 0,
            labels: BTreeMap::new(),
            force: false,
            organization: None,
        };
        let added = fleet.add_whatever(&TenantScope::All, node).await;
        added.map_err(|e| AppError::Usage(format!("--node: {}", Fault::from(e))))?;
    }
    Ok(())
}

/// Starts the simulated nodes, if asked to.
pub(crate) async fn simulate(
    args: &Dev,
    store: &Store,
    live: &config::Live,
) -> Result<Option<Simulation>, AppError> {
    let Some(count) = args.simulate else { return Ok(None) };
    let log = store.usage_log(Calendar::new(live.get().limits.day_offset));
    Simulation::start(count, args.seed, log).await.map(Some)
}

/// Begins to make traffic, if asked to and if nobody's own organizations, users and keys are in the way of it.
pub(crate) async fn traffic(
    args: &Dev,
    simulation: Option<&mut Simulation>,
    store: &Store,
    live: &config::Live,
    own: &[SocketAddr],
) -> Result<(), AppError> {
    let (Some(amount), Some(simulation), Some(gateway)) = (args.traffic, simulation, own.first()) else {
        return Ok(());
    };
    if !simulation::fit(store).await? {
        return Err(AppError::Usage(
            "--traffic: it makes organizations, users and keys, and there are others already; use an empty \
             directory: --dir \"$(mktemp -d)\""
                .into(),
        ));
    }
    let begun = simulation.begin_traffic(amount, *gateway, &live.get().control.socket).await;
    begun.map_err(AppError::system("cannot make traffic"))
}

/// Returns once standard input has ended, if that matters.
pub(crate) async fn input_ends(matters: bool) {
    if !matters {
        return std::future::pending().await;
    }
    let (ended, over) = tokio::sync::oneshot::channel();
    // Not through the runtime: reading there would keep the process from ending.
    let reader = std::thread::Builder::new().name("input".into()).spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = ended.send(());
    });
    // Without the thread, signals alone end the daemon.
    match reader {
        Ok(_) => drop(over.await),
        Err(error) => {
            tracing::warn!(event = "start", %error, "standard input is not watched");
            std::future::pending().await
        }
    }
}

fn free_name(present: &[Node]) -> String {
    (1..).map(|n| format!("node{n}")).find(|name| present.iter().all(|p| p.name != *name)).unwrap_or_default()
}

/// What `OLLAMA_HOST` names, unless that is this gateway, as it is for a client of ours.
fn local_ollama(own: &[SocketAddr]) -> String {
    let from_env = std::env::var("OLLAMA_HOST").ok().filter(|v| !v.trim().is_empty());
    let url = from_env.map_or_else(|| OLLAMA.to_owned(), |value| ollama_host(&value));
    let is_own = url.strip_prefix("http://").is_some_and(|rest| own.iter().any(|a| rest == a.to_string()));
    if is_own { OLLAMA.to_owned() } else { url }
}

/// `OLLAMA_HOST` as a URL, read as Ollama reads it: scheme and port are optional, and a server's address of
/// all interfaces means this machine.
fn ollama_host(value: &str) -> String {
    let value = value.trim().trim_end_matches('/');
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
    let default_port = match (value.contains("://"), scheme) {
        (true, "http") => ":80",
        (true, "https") => ":443",
        _ => ":11434",
    };
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(host, _)| !host.ends_with(':') && (!host.contains(':') || host.ends_with(']')));
    let bracketed = authority.contains(':') && !authority.contains('[') && !has_port;
    let authority = if bracketed { format!("[{authority}]") } else { authority.to_owned() };
    let authority = if has_port { authority } else { format!("{authority}{default_port}") };
    let authority = authority.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "[::1]:", 1);
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    format!("{scheme}://{authority}{path}")
}

/// A few lines for the user who started it: where it listens, what it found, what to type next.
pub(crate) async fn greet(live: &config::Live, fleet: &Arc<Fleet>, own: &[SocketAddr]) {
    let config = live.get();
    let address = own.first().map_or_else(String::new, ToString::to_string);
    let scheme = if config.listen.iter().any(config::Listen::speaks_tls) { "https" } else { "http" };
    let keys = match config.access.mode {
        AccessMode::Required => "with keys",
        AccessMode::Optional => "with or without keys",
        AccessMode::Open => "without keys",
    };
    let mut text = format!("aivonxd {} serves this machine, {keys} (dev)\n", env!("CARGO_PKG_VERSION"));
    text += &format!(
        "  listening on {scheme}://{address}\n  control socket {}\n",
        config.control.socket.display()
    );
    let nodes = fleet.list(&TenantScope::All);
    for node in &nodes {
        text += &format!("  node {} {}\n", Untrusted::new(&node.name), describe(node));
    }
    let lab = lab_authority(&config);
    // Certificates of a laboratory are for names, not for the address that is listened on.
    let target = match own.first() {
        Some(own) if scheme == "https" && own.ip().is_loopback() => {
            format!("https://localhost:{}", own.port())
        }
        _ => format!("{scheme}://{address}"),
    };
    let option = |name: &str| lab.as_ref().map_or_else(String::new, |ca| format!("{name} {} ", ca.display()));
    let model = nodes.iter().find_map(|node| Some((node.kind, node.models.first()?)));
    let socket = config.control.socket.display();
    text += &format!("try\n  export AIVONX_SOCKET={socket}\n  aivonx node list\n");
    let keyed = config.access.mode == AccessMode::Required;
    if keyed {
        text += "  aivonx key create me --secret-file me.key\n";
    }
    let key = if keyed { "-H \"Authorization: Bearer $(cat me.key)\" " } else { "" };
    text += &match model {
        Some((kind, model)) => {
            let (path, stream) = match kind {
                NodeKind::Ollama => ("/api/chat", ""),
                NodeKind::Openai => ("/v1/chat/completions", "\"stream\":true,"),
            };
            format!(
                "  curl -N {}{target}{path} {key}-d '{{\"model\":\"{}\",{stream}\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}'\n",
                option("--cacert"),
                Untrusted::new(model)
            )
        }
        None if keyed => format!("  aivonx connect --key-file me.key {}--to {target}\n", option("--ca")),
        None => match &lab {
            Some(ca) => format!("  SSL_CERT_FILE={} OLLAMA_HOST={target} ollama list\n", ca.display()),
            None => format!("  OLLAMA_HOST={target} ollama list\n"),
        },
    };
    // Nobody may be reading: that is no reason to stop.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// The authority that `aivonxd gen-cert` made together with the first certificate.
fn lab_authority(config: &config::Config) -> Option<PathBuf> {
    let certificate = config.listen.iter().find_map(|listen| listen.tls_cert.first())?;
    Some(certificate.with_file_name("ca.pem")).filter(|ca| ca.is_file())
}

fn describe(node: &Node) -> String {
    let url = Untrusted::new(&node.url);
    match node.pool {
        Pool::Active => {
            let version = match (&node.version, node.kind) {
                (Some(version), _) => format!("version {}", Untrusted::new(version)),
                (None, NodeKind::Ollama) => "of unknown version".to_owned(),
                (None, NodeKind::Openai) => "with the OpenAI API".to_owned(),
            };
            let models = node.models.len();
            let s = if models == 1 { "" } else { "s" };
            let simulated = if node.simulated { ", simulated" } else { "" };
            format!("{url}: active, {models} model{s}, {version}{simulated}")
        }
        Pool::Asleep => format!("{url}: asleep (woken when it is needed)"),
        Pool::Standby => {
            let why = node.last_error.as_deref().unwrap_or("not checked yet");
            format!("{url}: standby, {} (taken in as soon as it answers)", Untrusted::new(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ollama_host;

    #[test]
    fn ollama_host_is_read_as_ollama_reads_it() {
        for (value, url) in [
            ("127.0.0.1:11434", "http://127.0.0.1:11434"),
            ("gpu1", "http://gpu1:11434"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("http://gpu1", "http://gpu1:80"),
            ("https://gpu1/ollama/", "https://gpu1:443/ollama"),
            ("[::1]:11434", "http://[::1]:11434"),
            ("::1", "http://[::1]:11434"),
        ] {
            assert_eq!(ollama_host(value), url, "{value}");
        }
    }
}
