//! Records for the tests of tables: healthy, failing and hostile ones.

mod audit;
mod identity;
mod limits;
mod policy;
mod pulse;
mod usage;

use std::collections::BTreeMap;

use aivonx_protocol::{
    config::Setting,
    daemon::Status,
    job::{Job, JobKind, JobState, JobTarget},
    limit,
    log::{Level, LogEvent},
    model::{Model, ModelOnNode},
    node::{AdminState, Node, NodeKind, Pool},
    running::{Phase, Running},
    strategy::Strategy,
};

use jiff::tz::TimeZone;

pub(crate) use self::{
    audit::{audit_entries, audit_export, audit_verdicts, checkpoint},
    identity::*,
    limits::*,
    policy::*,
    pulse::{hostile_pulse, pulse},
    usage::{usage_by, usage_records, usage_report, usage_steps},
};
use crate::render::View;

/// The time at which the samples are looked at: 2026-11-22 00:31:34 UTC.
pub(crate) const NOW: u64 = 1_795_307_494_000;
/// How the command line looks at these.
pub(crate) const VIEW: View<'_> = View { now: NOW, zone: &TimeZone::UTC, theme: None, disabled_keys: &[] };

/// Text that would take over a terminal.
pub(crate) const HOSTILE: &str = "evil\u{1b}[2J\u{202e}\u{9b}31m\nx";

pub(crate) fn nodes() -> Vec<Node> {
    let gpu1 = Node {
        id: "0195f2a0-0000-7000-8000-000000000001".into(),
        name: "gpu1".into(),
        url: "http://10.0.0.5:11434".into(),
        kind: NodeKind::Ollama,
        version: Some("0.13.2".into()),
        pool: Pool::Active,
        admin_state: AdminState::Enabled,
        models: vec!["llama3.3:70b".into(), "qwen3:8b".into()],
        loaded: vec!["qwen3:8b".into()],
        latency_ms: Some(1.84),
        active_requests: 3,
        max_parallel: 8,
        last_error: None,
        last_check: Some(NOW - 4000),
        credential: "none".into(),
        labels: BTreeMap::from([("rack".into(), "b2".into())]),
        server_name: None,
        custom_ca: false,
        revision: 3,
        simulated: false,
        organization: None,
        vram_bytes: Some(6_100_000_000),
        requests_per_second: 2.4,
        recent_errors: 0,
    };
    let cloud = Node {
        id: "0195f2a0-0000-7000-8000-000000000002".into(),
        name: "llm-frankfurt-2".into(),
        url: "https://llm-frankfurt-2.example.org:8443/team/models".into(),
        kind: NodeKind::Openai,
        version: None,
        admin_state: AdminState::Draining,
        latency_ms: Some(48.2),
        active_requests: 12,
        max_parallel: 0,
        credential: "bearer".into(),
        labels: BTreeMap::new(),
        server_name: Some("llm.internal".into()),
        custom_ca: true,
        vram_bytes: None,
        requests_per_second: 0.08,
        recent_errors: 3,
        ..gpu1.clone()
    };
    let down = Node {
        id: "0195f2a0-0000-7000-8000-000000000003".into(),
        name: "gpu2".into(),
        url: "http://10.0.0.6:11434".into(),
        version: None,
        pool: Pool::Standby,
        models: Vec::new(),
        loaded: Vec::new(),
        latency_ms: None,
        active_requests: 0,
        max_parallel: 0,
        last_error: Some("connection refused by 10.0.0.6:11434; is Ollama running there?".into()),
        last_check: None,
        vram_bytes: None,
        requests_per_second: 0.0,
        recent_errors: 12,
        ..gpu1.clone()
    };
    let hostile = Node {
        id: "0195f2a0-0000-7000-8000-000000000004".into(),
        name: HOSTILE.into(),
        url: format!("http://{HOSTILE}/"),
        version: Some(HOSTILE.into()),
        admin_state: AdminState::Disabled,
        models: vec![HOSTILE.into()],
        loaded: vec![HOSTILE.into()],
        last_error: Some(HOSTILE.into()),
        credential: format!("header {HOSTILE}"),
        labels: BTreeMap::from([(HOSTILE.into(), HOSTILE.into())]),
        simulated: true,
        ..gpu1.clone()
    };
    vec![gpu1, cloud, down, hostile]
}

pub(crate) fn models() -> Vec<Model> {
    let place = |node: &str, loaded: bool| ModelOnNode {
        node: node.into(),
        loaded,
        size_vram: loaded.then_some(6_100_000_000),
        expires_at: loaded.then_some(NOW + 290_000),
        context_length: loaded.then_some(40_960),
    };
    let qwen = Model {
        name: "qwen3:8b".into(),
        size: Some(5_225_388_164),
        digest: Some("sha256:500a1f067a9f".into()),
        family: Some("qwen3".into()),
        parameters: Some("8.2B".into()),
        quantization: Some("Q4_K_M".into()),
        modified_at: Some("2026-11-02T10:00:00Z".into()),
        cloud: false,
        nodes: vec![place("gpu1", true), place("gpu2", false), place("llm-frankfurt-2", false)],
    };
    let bare = Model {
        name: "hf.co/bartowski/Llama-3.3-70B-Instruct-GGUF:Q4_K_M".into(),
        size: None,
        digest: None,
        family: None,
        parameters: None,
        quantization: None,
        modified_at: None,
        cloud: true,
        nodes: vec![place("llm-frankfurt-2", false)],
    };
    let hostile = Model {
        name: HOSTILE.into(),
        family: Some(HOSTILE.into()),
        parameters: Some(HOSTILE.into()),
        quantization: Some(HOSTILE.into()),
        modified_at: Some(HOSTILE.into()),
        digest: Some(HOSTILE.into()),
        nodes: vec![place(HOSTILE, true)],
        ..qwen.clone()
    };
    vec![qwen, bare, hostile]
}

pub(crate) fn running() -> Vec<Running> {
    let answering = Running {
        id: "01932d5c-7a10-7c7e-8f0a-1b2c3d4e5f60".into(),
        client: "10.0.0.9".into(),
        organization: Some("acme".into()),
        user: Some("alice".into()),
        key: Some("ci".into()),
        route: "/v1/chat/completions".into(),
        model: Some("llama3:8b".into()),
        node: Some("gpu1".into()),
        phase: Phase::Answering,
        age_ms: 72_500,
        answering_ms: Some(10_000),
        tokens: 321,
    };
    let waiting = Running {
        id: "01932d5c-7a10-7c7e-8f0a-1b2c3d4e5f61".into(),
        client: "2001:db8::1".into(),
        organization: None,
        user: None,
        key: None,
        route: "/api/chat".into(),
        model: Some(HOSTILE.into()),
        node: Some(HOSTILE.into()),
        phase: Phase::Waiting,
        age_ms: 900,
        answering_ms: None,
        tokens: 0,
    };
    let receiving = Running {
        id: "01932d5c-7a10-7c7e-8f0a-1b2c3d4e5f62".into(),
        model: None,
        node: None,
        phase: Phase::Receiving,
        age_ms: 3,
        ..waiting.clone()
    };
    vec![answering, waiting, receiving]
}

pub(crate) fn jobs() -> Vec<Job> {
    let target = |node: &str, state, completed, error: Option<&str>| JobTarget {
        node: node.into(),
        state,
        status: "pulling 500a1f067a9f".into(),
        completed,
        total: 4_661_224_676,
        error: error.map(Into::into),
    };
    let running = Job {
        id: "j12".into(),
        kind: JobKind::Pull,
        subject: "qwen3:8b".into(),
        state: JobState::Running,
        started: NOW - 190_000,
        ended: None,
        targets: vec![
            target("gpu1", JobState::Running, 1_234_567_890, None),
            target("gpu2", JobState::Done, 4_661_224_676, None),
        ],
        completed: 1_234_567_890,
        total: 4_661_224_676,
    };
    let failed = Job {
        id: "j11".into(),
        subject: HOSTILE.into(),
        state: JobState::Failed,
        ended: Some(NOW - 3000),
        targets: vec![
            target(HOSTILE, JobState::Failed, 0, Some("pull model manifest: file does not exist\u{1b}[2J")),
            target("gpu2", JobState::Cancelled, 17, None),
        ],
        completed: 0,
        total: 0,
        ..running.clone()
    };
    vec![running, failed]
}

pub(crate) fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        daemon_id: "0195f2a0-0000-7000-8000-0000000000ff".into(),
        pid: 4711,
        started: NOW - 7_500_000,
        mode: "run".into(),
        access: "open".into(),
        set_up: true,
        draining: false,
        listen: vec!["127.0.0.1:11435".into(), "[::1]:11435".into()],
        data_dir: "/var/lib/aivonx".into(),
        log_sink: "journald".into(),
        strategy: Strategy::LeastActive,
        nodes_active: 2,
        nodes_standby: 1,
        nodes_draining: 0,
        nodes_disabled: 1,
        models: 14,
        active_requests: 15,
        requests_total: 1_234_567,
        resident_bytes: 27_400_000,
        warnings: vec!["Node gpu2 does not answer. See: aivonx node show gpu2".into()],
        day_offset_minutes: 0,
    }
}

pub(crate) fn settings() -> Vec<Setting> {
    let setting = |key: &str, value: &str, origin: &str| Setting {
        key: key.into(),
        value: value.into(),
        origin: origin.into(),
    };
    vec![
        setting("data_dir", "\"/var/lib/aivonx\"", "default"),
        setting(
            "listen",
            "[{ address = \"0.0.0.0:11435\", diagnostics = false }]",
            "/etc/aivonx/aivonxd.toml:4",
        ),
        setting("timeouts.header_wait", "\"10min\"", "default"),
        setting("log.level", &format!("\"{HOSTILE}\""), "command line"),
    ]
}

pub(crate) fn events() -> Vec<LogEvent> {
    let event = |seq, level, target: &str, message: &str, fields: &[(&str, &str)]| LogEvent {
        seq,
        time: NOW + seq,
        level,
        target: target.into(),
        message: message.into(),
        fields: fields.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
    };
    vec![
        event(1, Level::Info, "access", "POST /api/chat 200", &[("node", "gpu1"), ("model", "qwen3:8b")]),
        event(
            2,
            Level::Warn,
            "fleet::health",
            "node is in standby",
            &[("node", "gpu2"), ("why", "no route")],
        ),
        event(3, Level::Error, "store", HOSTILE, &[(HOSTILE, HOSTILE), ("empty", ""), ("quote", "a\"b")]),
        event(4, Level::Trace, "proxy", "x", &[]),
    ]
}

/// The answer to a request, made of the samples; None if no sample fits.
pub(crate) fn reply(request: &aivonx_protocol::Request) -> Option<aivonx_protocol::Reply> {
    use aivonx_protocol::{
        Reply, Request,
        limit::{LimitRequest, Unpriced},
        snapshot::NewestSnapshot,
        usage::{Report, UsageRequest},
    };
    Some(match request {
        Request::Usage(UsageRequest::Report(Report { by: Some(by), .. })) => {
            Reply::Usage(Box::new(usage_by(*by)))
        }
        Request::Usage(UsageRequest::Report(Report { per: Some(per), .. })) => {
            use crate::state::usage::Period;
            let periods = [Period::Hour, Period::Day, Period::Month];
            let period = periods.into_iter().find(|period| period.per() == *per)?;
            Reply::Usage(Box::new(usage_steps(*per, &period.steps(NOW, 0))))
        }
        Request::Limit(
            LimitRequest::Show(limit::Show { target })
            | LimitRequest::Set(limit::Set { target, .. })
            | LimitRequest::Unset(limit::Unset { target, .. }),
        ) => Reply::Limits(Box::new(limits_of(target))),
        _ => match request.name() {
            "daemon.status" => Reply::Status(Box::new(status())),
            "daemon.pulse" => Reply::Pulse(Box::new(pulse())),
            "account.totp_begin" => Reply::TotpOffer(offer()),
            "account.password" | "account.totp_disable" | "account.verify" | "account.redeem" => {
                Reply::Done(())
            }
            "config.show" => Reply::Config(settings()),
            "token.list" => Reply::Sessions(vec![sessions().remove(1)]),
            "account.whoami" => Reply::Identity(Box::new(identities().remove(0))),
            "node.list" => Reply::Nodes(nodes()),
            "strategy.show" => Reply::Strategy(Strategy::LeastActive),
            "model.list" => Reply::Models(models()),
            "model.drifts" => Reply::Drifts(Vec::new()),
            "job.list" => Reply::Jobs(jobs()),
            "organization.list" => Reply::Organizations(organizations()),
            "user.list" => Reply::Users(users()),
            "user.sessions" => Reply::Sessions(sessions()),
            "key.list" => Reply::Keys(keys()),
            "organization.hidden_usage" => Reply::HiddenUsage(Vec::new()),
            "key.disabled" => Reply::DisabledKeys(Vec::new()),
            "lockout.list" => Reply::Lockouts(lockouts()),
            "route.list" => Reply::Routes(routes()),
            "block.list" => Reply::Blocks(blocks()),
            "incident.detect" => Reply::Findings(findings()),
            "running.list" => Reply::Running(running()),
            "running.queued" => Reply::Queued(Vec::new()),
            "audit.list" | "audit.list_from" => Reply::AuditPage(aivonx_protocol::audit::AuditPage {
                entries: audit_entries(),
                next: Some(1),
            }),
            "limit.profiles" => Reply::LimitProfiles(limit_profiles()),
            "limit.unpriced" => Reply::Unpriced(Unpriced { models: Vec::new(), all: false }),
            "price.list" => Reply::Prices(prices()),
            "policy.list" => Reply::Policies(policies()),
            "policy.aliases" => Reply::Aliases(aliases()),
            "snapshot.list" => Reply::Snapshots(snapshots()),
            "snapshot.newest" => {
                Reply::NewestSnapshot(Some(NewestSnapshot { taken: NOW - 7_200_000, behind: 17 }))
            }
            "token.create"
            | "node.probe"
            | "node.probe_change"
            | "organization.networks"
            | "key.create"
            | "key.rotate"
            | "audit.keys"
            | "audit.checkpoint"
            | "privacy.show"
            | "privacy.test"
            | "privacy.answers"
            | "privacy.patterns"
            | "snapshot.create"
            | "secrets.status"
            | "secrets.validate"
            | "model.placements"
            | "strategy.models"
            | "policy.access"
            | "node.wakes"
            | "incident.contain"
            | "check.run"
            | "check.isolation"
            | "cluster.members"
            | "cluster.fence"
            | "account.totp_confirm"
            | "account.backup_codes" => {
                return request.sample_reply();
            }
            _ => return None,
        },
    })
}
