//! What is said between `aivonxd dev --simulate` and the process it starts for it: JSON, a line each. The daemon's half
//! is its `dev/simulation.rs`.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

/// What this process says on standard output.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said<'a> {
    /// First of all: the nodes, and what they want to be shown.
    Nodes { token: &'a str, nodes: Vec<Node> },
    /// What the made-up clients used in the days before.
    Past(Vec<Used>),
    /// What went wrong.
    Failed(String),
}

/// A node that serves.
#[derive(Debug, Serialize)]
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) gpu: &'static str,
    /// Requests at once.
    pub(crate) parallel: u32,
}

/// Requests of one day.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Used {
    /// Milliseconds since the epoch.
    pub(crate) time: u64,
    /// Id and slug.
    pub(crate) organization: (String, String),
    /// Id and name.
    pub(crate) user: Option<(String, String)>,
    /// Id and name.
    pub(crate) key: (String, String),
    pub(crate) model: String,
    pub(crate) node: Option<String>,
    pub(crate) requests: u32,
    /// Tokens.
    pub(crate) prompt: u64,
    /// Tokens.
    pub(crate) output: u64,
    /// Millionths of a US dollar.
    pub(crate) cost: u64,
    pub(crate) status: u16,
}

/// A command on standard input, one per line. The process ends when standard input does.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// Make traffic from now on.
    Traffic(Traffic),
    /// Make no more traffic: its clients leave at once.
    Rest,
}

/// Where traffic goes.
#[derive(Debug, Deserialize)]
pub(crate) struct Traffic {
    /// Where clients connect.
    pub(crate) gateway: SocketAddr,
    /// The control socket.
    pub(crate) socket: PathBuf,
    pub(crate) amount: Amount,
    /// Names of the nodes in the fleet, in their order.
    pub(crate) nodes: Vec<String>,
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Amount {
    /// A request or two a second.
    Light,
    /// Several times as many.
    Busy,
}

/// Says it on standard output. If nobody listens standard input ends as well.
pub(crate) fn say(said: &Said<'_>) {
    let Ok(mut line) = serde_json::to_string(said) else { return };
    line.push('\n');
    let _ = io::stdout().lock().write_all(line.as_bytes());
}
