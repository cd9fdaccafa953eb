//! Values of the samples: the fleet and the daemon.

use std::collections::BTreeMap;

use crate::{
    Fault, FaultKind, WireSecret,
    daemon::Status,
    job::{Job, JobKind, JobState, JobTarget},
    log::{Level, LogEvent, LogFilter},
    model::{Model, ModelOnNode, Placement},
    node::{AdminState, Credential, NewNode, Node, NodeChange, NodeKind, Pool},
    running::{Phase, Running},
    strategy::{Considered, Cost, Explained, Learned, LearnedModel, Strategy},
};

pub(super) fn fault() -> Fault {
    Fault::new(FaultKind::Cancelled, "cancelled").field("node").hint("try again")
}

pub(super) fn new_node() -> NewNode {
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
        organization: Some("acme".into()),
    }
}

pub(super) fn node_change() -> NodeChange {
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
        organization: Some(None),
    }
}

pub(super) fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("rack".into(), "r1".into())])
}

pub(super) fn node() -> Node {
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
        organization: Some("acme".into()),
        vram_bytes: Some(5_000_000_000),
        requests_per_second: 0.5,
        recent_errors: 3,
    }
}

pub(super) fn model() -> Model {
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

pub(super) fn job() -> Job {
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

pub(super) fn running() -> Running {
    Running {
        id: "0190-request".into(),
        client: "10.0.0.9".into(),
        organization: Some("acme".into()),
        user: Some("alice".into()),
        key: Some("ci".into()),
        route: "/api/chat".into(),
        model: Some("llama3:8b".into()),
        node: Some("gpu1".into()),
        phase: Phase::Answering,
        age_ms: 12_500,
        answering_ms: Some(10_000),
        tokens: 321,
    }
}

pub(super) fn explained() -> Explained {
    let cost = Cost {
        total_ms: 1_210,
        wait_ms: 300,
        load_ms: 500,
        evict_ms: 250,
        others_ms: -90,
        prefill_ms: 250,
        cached_tokens: 500,
    };
    Explained {
        model: "llama3:8b".into(),
        strategy: Strategy::Cost,
        prompt_tokens: 1_500,
        why: "gpu1 is the only candidate.".into(),
        nodes: vec![
            Considered { node: "gpu1".into(), chosen: true, cost: Some(cost), reason: None },
            Considered { node: "gpu2".into(), chosen: false, cost: None, reason: Some("down".into()) },
        ],
    }
}

pub(super) fn learned() -> Learned {
    Learned {
        parallel: Some(4),
        parallel_stated: true,
        models_at_once: Some(3),
        models_at_most: true,
        cached_tokens: Some(120_000),
        one_by_one: Some(true),
        models: vec![LearnedModel {
            model: "llama3:8b".into(),
            load_ms: Some(8_000),
            prefill_per_second: Some(4_000.0),
            decode_per_second: Some(40.5),
        }],
    }
}

pub(super) fn log_filter() -> LogFilter {
    LogFilter {
        level: Some(Level::Warn),
        grep: Some("timeout".into()),
        node: Some("gpu1".into()),
        since: Some(1_700_000_000_000),
        organization: Some("acme".into()),
        after: Some(70_000),
    }
}

pub(super) fn log_event() -> LogEvent {
    LogEvent {
        seq: 42,
        time: 1_700_000_000_000,
        level: Level::Info,
        target: "access".into(),
        message: "answered".into(),
        fields: vec![("node".into(), "gpu1".into()), ("status".into(), "200".into())],
    }
}

pub(super) fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        daemon_id: "0190-daemon".into(),
        pid: 4711,
        started: 1_700_000_000_000,
        mode: "dev".into(),
        access: "open".into(),
        set_up: true,
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
        day_offset_minutes: 90,
    }
}

pub(super) fn placement() -> Placement {
    Placement {
        id: "0190-placement".into(),
        organization: Some("acme".into()),
        model: "llama3:8b".into(),
        copies: 2,
        on: Some("zone=b".into()),
        pin: true,
        pull: true,
        loaded: vec!["gpu1".into()],
        loading: vec!["gpu2".into()],
        lacks: Some("gpu3: out of memory".into()),
        created: 1_700_000_000_000,
        revision: 3,
    }
}
