//! `cargo bench -p aivonx-tests --bench console`: what the console costs, and how soon it answers.
//!
//! The real console at a terminal, with the real daemon: 50 nodes, 5000 users, 100 000 lines of log. Both are built
//! in release first. The aims: 20 MB resident (64 MB with the log), 2 % of a core idle on the overview, the first
//! frame in 50 ms, a frame 16 ms after its key.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use aivonx_protocol::{
    node::{self, Credential, NewNode, NodeKind},
    user::{self, NewUser, Role},
};
use aivonx_tests::{
    fake::FakeNode,
    harness::{Client, Console, Daemon, Request},
};
use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};

const NODES: usize = 50;
const USERS: usize = 5000;
const LINES: u64 = 100_000;
/// Requests at once while the log is filled.
const CLIENTS: u64 = 16;

fn main() -> Result<()> {
    // Cargo asks every bench whether it has tests.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    build()?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(bench())
}

/// The harness runs what lies beside this bench.
fn build() -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let status = cargo
        .args(["build", "--release", "-p", "aivonx-daemon", "-p", "aivonx-tui", "--bins"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("running cargo build")?;
    ensure!(status.success(), "cargo build --release failed: {status}");
    Ok(())
}

async fn bench() -> Result<()> {
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(FakeNode::ollama().await);
    }
    let daemon = Daemon::builder().node(&nodes[0]).start().await;
    fill(&daemon, &nodes[1..]).await?;

    let mut frames = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let mut console = start(&daemon);
        // The last line of it.
        console.until(&["quit"]).await;
        frames.push(began.elapsed());
        console.keys("q");
        console.end().await;
    }
    told("first frame", "50 ms", &mut frames);

    let mut console = start(&daemon);
    console.until(&["[1 Overview]", "50 active"]).await;
    let pid = console.pid();
    for (name, traffic) in [("idle", false), ("with traffic", true)] {
        let client = traffic.then(|| tokio::spawn(requests(daemon.address(), 500, Some(50))));
        let (before, began) = (cpu(pid)?, Instant::now());
        // A share of time can be had from time alone.
        tokio::time::sleep(Duration::from_secs(15)).await;
        let share = (cpu(pid)? - before) / began.elapsed().as_secs_f64() * 100.0;
        println!("overview, {name:24} {share:6.2} % of a core (aim 2 % idle)");
        if let Some(client) = client {
            client.abort();
        }
    }
    println!("resident on the overview            {:6.1} MB (aim 20 MB)", resident(pid)?);

    for (screen, shown) in [("2", "[2 Nodes]"), ("5", "[5 Access]")] {
        console.keys(screen);
        console.until(&[shown]).await;
        if screen == "5" {
            console.keys("\t");
            console.until(&["[Users]", "user0000"]).await;
        }
        keys(&mut console, &format!("key to frame, {shown}")).await;
    }
    println!("resident with {USERS} users            {:6.1} MB", resident(pid)?);

    console.keys("7");
    console.until(&["[7 Logs]", "following"]).await;
    let began = Instant::now();
    let clients = (0..CLIENTS).map(|_| tokio::spawn(requests(daemon.address(), LINES / CLIENTS, None)));
    for client in clients.collect::<Vec<_>>() {
        client.await??;
    }
    let took = began.elapsed();
    println!("log filled at                       {:6.0} events/s", LINES as f64 / took.as_secs_f64());
    // The last one.
    let last = Client::connect(daemon.address()).await.ask(&Request::get("/no-such-path")).await;
    console.until(&[last.field("x-request-id").context("its id")?]).await;
    println!("the last one is seen after          {:6.0} ms", (began.elapsed() - took).as_secs_f64() * 1e3);
    println!("resident with {LINES} lines          {:6.1} MB (aim 64 MB)", resident(pid)?);
    console.keys("f");
    keys(&mut console, "key to frame, [7 Logs]").await;
    console.keys("/status:404\r");
    console.until(&["status:404"]).await;
    keys(&mut console, "key to frame, logs with a filter").await;
    console.keys("q");
    let (status, restored) = console.end().await;
    ensure!(status.success() && restored, "{status:?}, terminal restored: {restored}");
    Ok(())
}

fn start(daemon: &Daemon) -> Console {
    Console::start(daemon.aivonx().command(&[]), 120, 40)
}

async fn fill(daemon: &Daemon, nodes: &[FakeNode]) -> Result<()> {
    let control = daemon.control().await;
    for (n, node) in nodes.iter().enumerate() {
        let node = NewNode {
            name: format!("gpu{n:02}"),
            url: node.url(),
            kind: Some(NodeKind::Ollama),
            credential: Credential::None,
            ca_pem: None,
            server_name: None,
            max_parallel: 0,
            labels: std::iter::once(("rack".to_owned(), format!("r{}", n % 7))).collect(),
            force: true,
            organization: None,
        };
        control.ask(node::Add(Box::new(node))).await?;
    }
    // Many at once: those that wait together become durable together.
    let control = &control;
    let users = futures_util::stream::iter(0..USERS).map(|n| async move {
        let user = NewUser {
            name: format!("user{n:04}"),
            display_name: Some(format!("Person Number {n}")),
            email: Some(format!("user{n}@example.com")),
            role: Role::Operator,
            organization: None,
            password: None,
        };
        control.ask(user::Add(Box::new(user))).await
    });
    users.buffer_unordered(32).try_collect::<Vec<_>>().await?;
    Ok(())
}

/// Requests that cost the gateway little and the log a line each; with `every`, so many milliseconds apart.
async fn requests(address: std::net::SocketAddr, count: u64, every: Option<u64>) -> Result<()> {
    let mut client = Client::connect(address).await;
    for n in 0..count {
        client.ask(&Request::get(&format!("/no-such-path/{n}"))).await;
        if let Some(every) = every {
            tokio::time::sleep(Duration::from_millis(every)).await;
        }
    }
    Ok(())
}

/// How soon the screen moves after a key that moves something on it.
async fn keys(console: &mut Console, what: &str) {
    let mut times = Vec::new();
    for n in 0..60 {
        // Events of the daemon are drawn, too: let them pass.
        tokio::time::sleep(Duration::from_millis(40)).await;
        let began = Instant::now();
        console.keys(["j", "j", "G", "k", "g", "\x06"][n % 6]);
        console.drawn().await;
        times.push(began.elapsed());
    }
    told(what, "16 ms", &mut times);
}

fn told(what: &str, aim: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!("{what:35} {:6.1} ms, p95 {:.1}, worst {:.1} (aim {aim})", at(50), at(95), at(100));
}

/// Seconds of processor time so far.
fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("a name in parentheses")?;
    let ticks: Vec<&str> = rest.split_whitespace().skip(11).take(2).collect();
    let ticks = ticks.iter().map(|ticks| ticks.parse::<f64>()).sum::<Result<f64, _>>()?;
    #[allow(clippy::cast_precision_loss, reason = "a hundred")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Ok(ticks / per_second)
}

/// Resident memory, MB.
fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
}
