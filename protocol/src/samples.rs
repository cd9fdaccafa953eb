//! Every request, reply, event and frame once, with its name: what logs call them, and what tests go
//! through. A new variant does not compile until it has a row here.

use std::collections::BTreeMap;

use crate::{
    ClientFrame, Event, Fault, FaultKind, Reply, Request, ServerFrame, WireSecret,
    config::{ConfigRequest, Reloaded, Setting},
    daemon::{DaemonRequest, Status},
    job::{Job, JobKind, JobRequest, JobState, JobTarget},
    log::{Level, LogEvent, LogFilter, LogPage, LogRequest},
    model::{Model, ModelOnNode, ModelRemoved, ModelRequest},
    node::{AdminState, Credential, NewNode, Node, NodeChange, NodeKind, NodeRequest, Pool, Probe},
    strategy::{Strategy, StrategyRequest},
};

/// Makes `Type::name` from an exhaustive match and `Type::samples` from the same rows.
macro_rules! catalogue {
    ($type:ident { $($pattern:pat => $name:literal, $sample:expr;)* }) => {
        impl $type {
            /// The name used in logs, tests and fixtures.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $($pattern => $name,)* }
            }

            /// One value of every variant, in the order of the wire. For tests.
            #[must_use]
            pub fn samples() -> Vec<Self> {
                vec![$($sample,)*]
            }
        }
    };
}

catalogue! { Request {
    Self::Daemon(DaemonRequest::Status) => "daemon.status", Self::Daemon(DaemonRequest::Status);
    Self::Node(NodeRequest::List) => "node.list", Self::Node(NodeRequest::List);
    Self::Node(NodeRequest::Show { .. }) => "node.show",
        Self::Node(NodeRequest::Show { node: "gpu1".into() });
    Self::Node(NodeRequest::Add(_)) => "node.add", Self::Node(NodeRequest::Add(Box::new(new_node())));
    Self::Node(NodeRequest::Set { .. }) => "node.set", Self::Node(NodeRequest::Set {
        node: "gpu1".into(), revision: Some(3), change: Box::new(node_change()),
    });
    Self::Node(NodeRequest::SetState { .. }) => "node.set_state", Self::Node(NodeRequest::SetState {
        node: "gpu1".into(), revision: None, state: AdminState::Draining,
    });
    Self::Node(NodeRequest::Remove { .. }) => "node.remove",
        Self::Node(NodeRequest::Remove { node: "gpu1".into(), revision: Some(300) });
    Self::Node(NodeRequest::Check { .. }) => "node.check",
        Self::Node(NodeRequest::Check { node: "gpu1".into() });
    Self::Node(NodeRequest::Watch) => "node.watch", Self::Node(NodeRequest::Watch);
    Self::Model(ModelRequest::List) => "model.list", Self::Model(ModelRequest::List);
    Self::Model(ModelRequest::Show { .. }) => "model.show",
        Self::Model(ModelRequest::Show { model: "llama3:8b".into() });
    Self::Model(ModelRequest::Pull { .. }) => "model.pull", Self::Model(ModelRequest::Pull {
        model: "llama3:8b".into(), nodes: vec!["gpu1".into(), "gpu2".into()], insecure: true,
    });
    Self::Model(ModelRequest::Remove { .. }) => "model.remove",
        Self::Model(ModelRequest::Remove { model: "llama3:8b".into(), node: Some("gpu1".into()) });
    Self::Strategy(StrategyRequest::Show) => "strategy.show", Self::Strategy(StrategyRequest::Show);
    Self::Strategy(StrategyRequest::Set(_)) => "strategy.set",
        Self::Strategy(StrategyRequest::Set(Strategy::LowestLatency));
    Self::Job(JobRequest::List) => "job.list", Self::Job(JobRequest::List);
    Self::Job(JobRequest::Show { .. }) => "job.show", Self::Job(JobRequest::Show { job: "j1".into() });
    Self::Job(JobRequest::Follow { .. }) => "job.follow", Self::Job(JobRequest::Follow { job: "j1".into() });
    Self::Job(JobRequest::Cancel { .. }) => "job.cancel", Self::Job(JobRequest::Cancel { job: "j1".into() });
    Self::Log(LogRequest::Recent { .. }) => "log.recent",
        Self::Log(LogRequest::Recent { filter: log_filter(), lines: 100 });
    Self::Log(LogRequest::Follow { .. }) => "log.follow",
        Self::Log(LogRequest::Follow { filter: LogFilter::default(), lines: 10 });
    Self::Config(ConfigRequest::Show) => "config.show", Self::Config(ConfigRequest::Show);
    Self::Config(ConfigRequest::Reload) => "config.reload", Self::Config(ConfigRequest::Reload);
} }

catalogue! { Reply {
    Self::Done => "done", Self::Done;
    Self::Status(_) => "status", Self::Status(Box::new(status()));
    Self::Nodes(_) => "nodes", Self::Nodes(vec![node()]);
    Self::Node(_) => "node", Self::Node(Box::new(node()));
    Self::Probe(_) => "probe", Self::Probe(Box::new(Probe {
        node: node(), finding: "Ollama 0.14.0, 2 models".into(), healthy: true,
    }));
    Self::Models(_) => "models", Self::Models(vec![model()]);
    Self::Model(_) => "model", Self::Model(Box::new(model()));
    Self::ModelRemoved(_) => "model_removed", Self::ModelRemoved(ModelRemoved {
        removed: vec!["gpu1".into()], failed: vec![("gpu2".into(), "not found".into())],
    });
    Self::Strategy(_) => "strategy", Self::Strategy(Strategy::LeastActive);
    Self::Jobs(_) => "jobs", Self::Jobs(vec![job()]);
    Self::Job(_) => "job", Self::Job(Box::new(job()));
    Self::Logs(_) => "logs", Self::Logs(LogPage {
        events: vec![log_event()], oldest: Some(1_700_000_000_000), sink: "journald".into(),
    });
    Self::Config(_) => "config", Self::Config(vec![Setting {
        key: "limits.body_bytes".into(), value: "64 MiB".into(), origin: "default".into(),
    }]);
    Self::Reloaded(_) => "reloaded", Self::Reloaded(Reloaded {
        applied: vec!["log.level".into()], needs_restart: vec!["listen".into()],
    });
} }

catalogue! { Event {
    Self::Node(_) => "node", Self::Node(Box::new(node()));
    Self::NodeRemoved(_) => "node_removed", Self::NodeRemoved("0190-id".into());
    Self::Job(_) => "job", Self::Job(Box::new(job()));
    Self::Log(_) => "log", Self::Log(log_event());
    Self::LogMissed(_) => "log_missed", Self::LogMissed(70_000);
} }

catalogue! { ClientFrame {
    Self::Call { .. } => "call", Self::Call { id: 7, request: Request::Daemon(DaemonRequest::Status) };
    Self::Cancel { .. } => "cancel", Self::Cancel { id: 251 };
    Self::Grant { .. } => "grant", Self::Grant { id: 7, events: 128 };
} }

catalogue! { ServerFrame {
    Self::Reply { .. } => "reply", Self::Reply { id: 7, result: Ok(Reply::Done) };
    Self::Event { .. } => "event", Self::Event { id: 7, event: Event::LogMissed(1) };
    Self::End { .. } => "end", Self::End { id: 7, result: Err(fault()) };
} }

fn fault() -> Fault {
    Fault::new(FaultKind::Cancelled, "cancelled").field("node").hint("try again")
}

fn new_node() -> NewNode {
    NewNode {
        name: "gpu1".into(),
        url: "https://10.0.0.7:11434/ollama".into(),
        kind: Some(NodeKind::Openai),
        credential: Credential::Basic { user: "u".into(), password: WireSecret::new("p".into()) },
        ca_pem: Some("-----BEGIN CERTIFICATE-----".into()),
        server_name: Some("gpu1.example".into()),
        max_parallel: 4,
        labels: labels(),
        force: true,
    }
}

fn node_change() -> NodeChange {
    NodeChange {
        name: Some("gpu2".into()),
        url: None,
        kind: Some(NodeKind::Ollama),
        credential: Some(Credential::Header { name: "x-token".into(), value: WireSecret::new("t".into()) }),
        ca_pem: Some(None),
        server_name: Some(Some("gpu2.example".into())),
        max_parallel: Some(0),
        labels: BTreeMap::from([("rack".into(), None), ("zone".into(), Some("b".into()))]),
        force: false,
    }
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("rack".into(), "r1".into())])
}

fn node() -> Node {
    Node {
        id: "0190-id".into(),
        name: "gpu1".into(),
        url: "http://10.0.0.7:11434".into(),
        kind: NodeKind::Ollama,
        version: Some("0.14.0".into()),
        pool: Pool::Standby,
        admin_state: AdminState::Disabled,
        models: vec!["llama3:8b".into(), "qwen3:4b".into()],
        loaded: vec!["llama3:8b".into()],
        latency_ms: Some(1.5),
        active_requests: 2,
        max_parallel: 4,
        last_error: Some("connection refused".into()),
        last_check: Some(1_700_000_000_000),
        credential: "bearer".into(),
        labels: labels(),
        server_name: None,
        custom_ca: true,
        revision: 3,
        simulated: false,
    }
}

fn model() -> Model {
    Model {
        name: "llama3:8b".into(),
        size: Some(4_900_000_000),
        digest: Some("sha256:abc".into()),
        family: Some("llama".into()),
        parameters: Some("8.0B".into()),
        quantization: Some("Q4_K_M".into()),
        modified_at: Some("2026-01-02T03:04:05Z".into()),
        cloud: false,
        nodes: vec![ModelOnNode {
            node: "gpu1".into(),
            loaded: true,
            size_vram: Some(5_000_000_000),
            expires_at: Some(1_700_000_300_000),
            context_length: Some(8192),
        }],
    }
}

fn job() -> Job {
    Job {
        id: "j1".into(),
        kind: JobKind::Pull,
        subject: "llama3:8b".into(),
        state: JobState::Failed,
        started: 1_700_000_000_000,
        ended: Some(1_700_000_060_000),
        targets: vec![JobTarget {
            node: "gpu1".into(),
            state: JobState::Running,
            status: "pulling abc".into(),
            completed: 10,
            total: 100,
            error: Some("disk full".into()),
        }],
        completed: 10,
        total: 100,
    }
}

fn log_filter() -> LogFilter {
    LogFilter {
        level: Some(Level::Warn),
        grep: Some("timeout".into()),
        node: Some("gpu1".into()),
        since: Some(1_700_000_000_000),
    }
}

fn log_event() -> LogEvent {
    LogEvent {
        seq: 42,
        time: 1_700_000_000_000,
        level: Level::Info,
        target: "access".into(),
        message: "answered".into(),
        fields: vec![("node".into(), "gpu1".into()), ("status".into(), "200".into())],
    }
}

fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        daemon_id: "0190-daemon".into(),
        pid: 4711,
        started: 1_700_000_000_000,
        mode: "dev".into(),
        access: "open".into(),
        draining: false,
        listen: vec!["127.0.0.1:11435".into()],
        data_dir: "/var/lib/aivonx".into(),
        log_sink: "stderr".into(),
        strategy: Strategy::LeastActive,
        nodes_active: 1,
        nodes_standby: 2,
        nodes_draining: 3,
        nodes_disabled: 4,
        models: 5,
        active_requests: 6,
        requests_total: 7_000_000_000,
        resident_bytes: 20 << 20,
        warnings: vec!["open access".into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row whose sample is of another variant would leave its own variant untested.
    #[test]
    fn every_row_has_its_own_sample() {
        fn check(names: Vec<&'static str>) {
            let count = names.len();
            let mut sorted = names;
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), count, "two samples of one variant");
        }
        check(Request::samples().iter().map(Request::name).collect());
        check(Reply::samples().iter().map(Reply::name).collect());
        check(Event::samples().iter().map(Event::name).collect());
        check(ClientFrame::samples().iter().map(ClientFrame::name).collect());
        check(ServerFrame::samples().iter().map(ServerFrame::name).collect());
    }
}
