//! Who may ask what: the one table from request to permission, and the proof that it was consulted.
//!
//! A handler takes its request out of a [`Permitted`], and only [`check`] makes one: there is no way to a
//! handler around this file.

use std::fmt;

use aivonx_protocol::{
    Fault, FaultKind, Request, config::ConfigRequest, daemon::DaemonRequest, job::JobRequest,
    log::LogRequest, model::ModelRequest, node::NodeRequest, strategy::StrategyRequest,
};
use tokio::net::UnixStream;

/// What a request needs. Roles will be sets of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See that the daemon runs, and how it is.
    Status,
    /// See nodes and the strategy.
    FleetRead,
    /// Add, change, check and remove nodes; change the strategy.
    FleetWrite,
    /// See models.
    ModelsRead,
    /// Pull and remove models.
    ModelsWrite,
    /// See jobs.
    JobsRead,
    /// End jobs.
    JobsWrite,
    /// Read the log.
    LogRead,
    /// See the effective configuration.
    ConfigRead,
    /// Have the configuration read again.
    ConfigWrite,
}

impl Permission {
    /// Whether a request that needs this changes something. A change that has begun is carried out even if
    /// the caller leaves: half of one would be worse.
    #[must_use]
    pub fn changes(self) -> bool {
        match self {
            Self::FleetWrite | Self::ModelsWrite | Self::JobsWrite | Self::ConfigWrite => true,
            Self::Status
            | Self::FleetRead
            | Self::ModelsRead
            | Self::JobsRead
            | Self::LogRead
            | Self::ConfigRead => false,
        }
    }
}

/// The permission `request` needs. Exhaustive on purpose: a new request does not compile before it has one.
#[must_use]
pub fn needed(request: &Request) -> Permission {
    match request {
        Request::Daemon(DaemonRequest::Status) => Permission::Status,
        Request::Node(request) => match request {
            NodeRequest::List | NodeRequest::Show { .. } | NodeRequest::Watch => Permission::FleetRead,
            NodeRequest::Add(_)
            | NodeRequest::Set { .. }
            | NodeRequest::SetState { .. }
            | NodeRequest::Remove { .. }
            | NodeRequest::Check { .. } => Permission::FleetWrite,
        },
        Request::Model(request) => match request {
            ModelRequest::List | ModelRequest::Show { .. } => Permission::ModelsRead,
            ModelRequest::Pull { .. } | ModelRequest::Remove { .. } => Permission::ModelsWrite,
        },
        Request::Strategy(request) => match request {
            StrategyRequest::Show => Permission::FleetRead,
            StrategyRequest::Set(_) => Permission::FleetWrite,
        },
        Request::Job(request) => match request {
            JobRequest::List | JobRequest::Show { .. } | JobRequest::Follow { .. } => Permission::JobsRead,
            JobRequest::Cancel { .. } => Permission::JobsWrite,
        },
        Request::Log(request) => match request {
            LogRequest::Recent { .. } | LogRequest::Follow { .. } => Permission::LogRead,
        },
        Request::Config(request) => match request {
            ConfigRequest::Show => Permission::ConfigRead,
            ConfigRequest::Reload => Permission::ConfigWrite,
        },
    }
}

/// How the daemon was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `aivonxd dev`
    Dev,
    /// `aivonxd run`
    Run,
}

/// The rule while there are no administrators: root and the daemon's own user may do everything, everybody
/// else who reaches the socket may ask for the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRule {
    /// How the daemon was started.
    pub mode: Mode,
    /// The user the daemon runs as.
    pub daemon_uid: u32,
}

impl AccessRule {
    /// Whether `peer` may do everything.
    #[must_use]
    pub fn trusts(&self, peer: &Peer) -> bool {
        peer.uid == 0 || peer.uid == self.daemon_uid
    }

    fn allows(&self, peer: &Peer, permission: Permission) -> bool {
        permission == Permission::Status || self.trusts(peer)
    }
}

/// Who is at the other end of a connection, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Process, where the kernel tells.
    pub pid: Option<i32>,
}

impl Peer {
    /// Reads the credentials of a connection.
    ///
    /// # Errors
    /// What the kernel reports: such a peer is refused.
    pub fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let cred = stream.peer_cred()?;
        Ok(Self { uid: cred.uid(), gid: cred.gid(), pid: cred.pid() })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)?;
        match self.pid {
            Some(pid) => write!(f, " (process {pid})"),
            None => Ok(()),
        }
    }
}

/// A request whose caller may make it. Only [`check`] makes one.
#[derive(Debug)]
pub struct Permitted<R> {
    request: R,
    peer: Peer,
}

impl<R> Permitted<R> {
    /// The request, to carry it out.
    pub fn into_request(self) -> R {
        self.request
    }

    /// Who asks.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    fn with<T>(&self, request: T) -> Permitted<T> {
        Permitted { request, peer: self.peer }
    }
}

/// A permitted request, by noun.
#[derive(Debug)]
pub enum Noun {
    /// The daemon.
    Daemon(Permitted<DaemonRequest>),
    /// Nodes.
    Node(Permitted<NodeRequest>),
    /// Models.
    Model(Permitted<ModelRequest>),
    /// The strategy.
    Strategy(Permitted<StrategyRequest>),
    /// Jobs.
    Job(Permitted<JobRequest>),
    /// The log.
    Log(Permitted<LogRequest>),
    /// The configuration.
    Config(Permitted<ConfigRequest>),
}

impl Permitted<Request> {
    /// Its name, for the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.request.name()
    }

    /// The permission it was checked for.
    #[must_use]
    pub fn permission(&self) -> Permission {
        needed(&self.request)
    }

    /// The request of one noun, for that noun's handler.
    #[must_use]
    pub fn noun(self) -> Noun {
        let proof = Permitted { request: (), peer: self.peer };
        match self.request {
            Request::Daemon(request) => Noun::Daemon(proof.with(request)),
            Request::Node(request) => Noun::Node(proof.with(request)),
            Request::Model(request) => Noun::Model(proof.with(request)),
            Request::Strategy(request) => Noun::Strategy(proof.with(request)),
            Request::Job(request) => Noun::Job(proof.with(request)),
            Request::Log(request) => Noun::Log(proof.with(request)),
            Request::Config(request) => Noun::Config(proof.with(request)),
        }
    }
}

/// Whether `peer` may make `request`.
///
/// # Errors
/// `NotPermitted`, saying how to be permitted.
pub fn check(rule: &AccessRule, peer: &Peer, request: Request) -> Result<Permitted<Request>, Fault> {
    if rule.allows(peer, needed(&request)) {
        return Ok(Permitted { request, peer: *peer });
    }
    let hint = match rule.mode {
        Mode::Dev => format!("Run the command as the user who started aivonxd (uid {}), or as root.", {
            rule.daemon_uid
        }),
        Mode::Run => "Run the command as root (sudo).".to_owned(),
    };
    let message = format!("uid {} may not use {}", peer.uid, request.name());
    Err(Fault::new(FaultKind::NotPermitted, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> AccessRule {
        AccessRule { mode: Mode::Run, daemon_uid: 990 }
    }

    fn peer(uid: u32) -> Peer {
        Peer { uid, gid: uid, pid: Some(1) }
    }

    #[test]
    fn root_and_the_daemon_may_do_everything() {
        for uid in [0, 990] {
            for request in Request::samples() {
                let name = request.name();
                let permitted = check(&rule(), &peer(uid), request);
                assert_eq!(permitted.unwrap().name(), name);
            }
        }
    }

    #[test]
    fn others_may_ask_for_the_status_only() {
        for request in Request::samples() {
            let name = request.name();
            match check(&rule(), &peer(1000), request) {
                Ok(permitted) => assert_eq!(permitted.permission(), Permission::Status, "{name}"),
                Err(fault) => {
                    assert_ne!(name, "daemon.status");
                    assert_eq!(fault.kind, FaultKind::NotPermitted);
                    assert!(fault.message.contains(name), "{fault}");
                }
            }
        }
    }

    /// What each request needs, spelled out a second time: a change of the table is a decision.
    #[test]
    fn every_request_declares_its_permission() {
        for request in Request::samples() {
            let expected = match request.name() {
                "daemon.status" => Permission::Status,
                "node.list" | "node.show" | "node.watch" | "strategy.show" => Permission::FleetRead,
                "node.add" | "node.set" | "node.set_state" | "node.remove" | "node.check"
                | "strategy.set" => Permission::FleetWrite,
                "model.list" | "model.show" => Permission::ModelsRead,
                "model.pull" | "model.remove" => Permission::ModelsWrite,
                "job.list" | "job.show" | "job.follow" => Permission::JobsRead,
                "job.cancel" => Permission::JobsWrite,
                "log.recent" | "log.follow" => Permission::LogRead,
                "config.show" => Permission::ConfigRead,
                "config.reload" => Permission::ConfigWrite,
                other => panic!("say here what {other} needs"),
            };
            assert_eq!(needed(&request), expected, "{}", request.name());
        }
    }

    /// Two methods of one noun must not swap: the proof carries the very request that was checked.
    #[test]
    fn the_proof_carries_the_request() {
        for request in Request::samples() {
            let again = match check(&rule(), &peer(0), request.clone()).unwrap().noun() {
                Noun::Daemon(p) => Request::Daemon(p.into_request()),
                Noun::Node(p) => Request::Node(p.into_request()),
                Noun::Model(p) => Request::Model(p.into_request()),
                Noun::Strategy(p) => Request::Strategy(p.into_request()),
                Noun::Job(p) => Request::Job(p.into_request()),
                Noun::Log(p) => Request::Log(p.into_request()),
                Noun::Config(p) => Request::Config(p.into_request()),
            };
            assert_eq!(again, request);
        }
    }
}
