//! Every request, reply, event and frame once, for tests to go through; replies, events and frames with their names.

mod audit;
mod identity;
mod limits;
mod policy;
mod privacy;
mod pulse;
mod requests;
mod secrets;
mod snapshot;
mod usage;
mod values;

use self::{audit as trail, identity as who, values::*};
use crate::{
    ClientFrame, Event, Reply, ServerFrame,
    audit::AuditPage,
    block::{Block, BlockOf},
    cluster::{Member, MemberState},
    config::{Reloaded, Setting},
    daemon,
    incident::{Contained, ContainedKind, Finding, FindingKind},
    limit::Unpriced,
    log::LogPage,
    model::{Drift, ModelRemoved, Weights},
    node::{NodeKind, NodeTraits, NodeWake, Probe, Probed},
    organization::OrganizationRemoved,
    route::{RouteAccess, RouteGroup},
    running::Queued,
    strategy::{ModelStrategy, Strategy},
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

fn member() -> Member {
    Member {
        id: "0190-member".into(),
        name: "gw2".into(),
        address: "192.0.2.2:11435".into(),
        version: "0.1.0".into(),
        state: MemberState::Serving,
        seen: 1_700_000_000_000,
        revision: 70_000,
        lag: 1,
        here: false,
    }
}

fn block() -> Block {
    Block {
        of: BlockOf::Address,
        target: "192.0.2.7".into(),
        id: "192.0.2.7/32".into(),
        reason: "guesses keys".into(),
        until: Some(1_700_003_600_000),
        created: 1_700_000_000_000,
        revision: 1,
    }
}

catalogue! { Reply {
    Self::Done(()) => "done", Self::Done(());
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
    Self::LoggedIn(_) => "logged_in", Self::LoggedIn(Box::new(who::logged_in()));
    Self::Identity(_) => "identity", Self::Identity(Box::new(who::identity()));
    Self::TotpOffer(_) => "totp_offer", Self::TotpOffer(who::totp_offer());
    Self::BackupCodes(_) => "backup_codes", Self::BackupCodes(vec![who::secret("abcd-efgh")]);
    Self::Organizations(_) => "organizations", Self::Organizations(vec![who::organization()]);
    Self::Organization(_) => "organization", Self::Organization(Box::new(who::organization()));
    Self::OrganizationRemoved(_) => "organization_removed",
        Self::OrganizationRemoved(OrganizationRemoved { users: 2, keys: 3, nodes: 1 });
    Self::Users(_) => "users", Self::Users(vec![who::user()]);
    Self::User(_) => "user", Self::User(Box::new(who::user()));
    Self::ResetCode(_) => "reset_code", Self::ResetCode(who::reset_code());
    Self::Sessions(_) => "sessions", Self::Sessions(vec![who::session()]);
    Self::SessionsEnded(_) => "sessions_ended", Self::SessionsEnded(3);
    Self::Keys(_) => "keys", Self::Keys(vec![who::key()]);
    Self::Key(_) => "key", Self::Key(Box::new(who::key()));
    Self::NewKey(_) => "new_key", Self::NewKey(Box::new(who::new_secret_key()));
    Self::NewSession(_) => "new_session", Self::NewSession(Box::new(who::new_session()));
    Self::Lockouts(_) => "lockouts", Self::Lockouts(vec![who::lockout()]);
    Self::LockoutsCleared(_) => "lockouts_cleared", Self::LockoutsCleared(2);
    Self::AuditPage(_) => "audit_page",
        Self::AuditPage(AuditPage { entries: vec![trail::entry()], next: Some(6) });
    Self::AuditEntry(_) => "audit_entry", Self::AuditEntry(Box::new(trail::entry()));
    Self::AuditVerdict(_) => "audit_verdict", Self::AuditVerdict(Box::new(trail::verdict()));
    Self::AuditKeys(_) => "audit_keys", Self::AuditKeys(vec![trail::key()]);
    Self::AuditCheckpoint(_) => "audit_checkpoint", Self::AuditCheckpoint(Box::new(trail::checkpoint()));
    Self::Secrets(_) => "secrets", Self::Secrets(Box::new(secrets::status()));
    Self::Checks(_) => "checks", Self::Checks(vec![secrets::check()]);
    Self::Limits(_) => "limits", Self::Limits(Box::new(limits::limits()));
    Self::LimitProfiles(_) => "limit_profiles", Self::LimitProfiles(vec![limits::profile()]);
    Self::Prices(_) => "prices", Self::Prices(vec![limits::price()]);
    Self::Price(_) => "price", Self::Price(Box::new(limits::price()));
    Self::Usage(_) => "usage", Self::Usage(Box::new(usage::report()));
    Self::Policies(_) => "policies", Self::Policies(vec![policy::policy()]);
    Self::Policy(_) => "policy", Self::Policy(Box::new(policy::policy()));
    Self::Aliases(_) => "aliases", Self::Aliases(vec![policy::alias()]);
    Self::Alias(_) => "alias", Self::Alias(Box::new(policy::alias()));
    Self::Running(_) => "running", Self::Running(vec![running()]);
    Self::Privacy(_) => "privacy", Self::Privacy(Box::new(privacy::settings()));
    Self::PrivacyReport(_) => "privacy_report", Self::PrivacyReport(Box::new(privacy::report()));
    Self::Probed(_) => "probed", Self::Probed(Box::new(Probed {
        healthy: true,
        finding: "Ollama 0.14.0 with 1 model, 0 in memory; answered in 1.5 ms".into(),
        kind: Some(NodeKind::Ollama),
        version: Some("0.14.0".into()),
        models: vec!["llama3:8b".into()],
        loaded: Vec::new(),
        latency_ms: Some(1.5),
    }));
    Self::Pulse(_) => "pulse", Self::Pulse(Box::new(pulse::pulse()));
    Self::Unpriced(_) => "unpriced", Self::Unpriced(Unpriced { models: vec!["qwen3:8b".into()], all: false });
    Self::NodeNetworks(_) => "node_networks", Self::NodeNetworks(vec![who::node_networks()]);
    Self::Snapshots(_) => "snapshots", Self::Snapshots(vec![snapshot::snapshot(), snapshot::damaged()]);
    Self::SnapshotTaken(_) => "snapshot_taken", Self::SnapshotTaken(Box::new(snapshot::taken()));
    Self::NewestSnapshot(_) => "newest_snapshot", Self::NewestSnapshot(Some(snapshot::newest()));
    Self::Losses(_) => "losses", Self::Losses(vec!["usage ledger: record 4 is damaged".into()]);
    Self::Explained(_) => "explained", Self::Explained(Box::new(explained()));
    Self::Learned(_) => "learned", Self::Learned(Box::new(learned()));
    Self::Queued(_) => "queued", Self::Queued(vec![Queued {
        id: "0190-request".into(), position: 2, expected_ms: 70_000,
    }]);
    Self::Backups(_) => "backups", Self::Backups(vec![snapshot::backup(), snapshot::bad_backup()]);
    Self::BackupMade(_) => "backup_made", Self::BackupMade(Box::new(snapshot::backup()));
    Self::NewestBackup(_) => "newest_backup", Self::NewestBackup(Some(1_700_000_000_000));
    Self::KeyQueueing(_) => "key_queueing", Self::KeyQueueing(vec![who::key_queueing()]);
    Self::AliasShares(_) => "alias_shares", Self::AliasShares(Box::new(policy::shares()));
    Self::Placement(_) => "placement", Self::Placement(Box::new(placement()));
    Self::Placements(_) => "placements", Self::Placements(vec![placement()]);
    Self::NodeTraits(_) => "node_traits", Self::NodeTraits(vec![NodeTraits {
        node: "0190-id".into(), third_party: true, models_at_once: Some(3),
    }]);
    Self::Blocks(_) => "blocks", Self::Blocks(vec![block()]);
    Self::Block(_) => "block", Self::Block(Box::new(block()));
    Self::AnswerPrivacy(_) => "answer_privacy", Self::AnswerPrivacy(privacy::answers());
    Self::Patterns(_) => "patterns", Self::Patterns(vec![privacy::pattern()]);
    Self::Pattern(_) => "pattern", Self::Pattern(Box::new(privacy::pattern()));
    Self::HiddenUsage(_) => "hidden_usage", Self::HiddenUsage(vec!["0190-org".into()]);
    Self::Routes(_) => "routes", Self::Routes(vec![RouteAccess {
        listener: "127.0.0.1:11435".into(),
        group: RouteGroup::Inference,
        access: "infer".into(),
        routes: vec!["POST /api/chat".into()],
    }]);
    Self::ModelStrategies(_) => "model_strategies", Self::ModelStrategies(vec![ModelStrategy {
        model: "embed*".into(), strategy: Strategy::RoundRobin,
    }]);
    Self::KeyCertificates(_) => "key_certificates", Self::KeyCertificates(vec![crate::key::KeyCertificate {
        key: "0190-key".into(), name: Some("ci.example.org".into()),
    }]);
    Self::DisabledKeys(_) => "disabled_keys", Self::DisabledKeys(vec!["0190-key".into()]);
    Self::Contained(_) => "contained", Self::Contained(vec![Contained {
        kind: ContainedKind::User,
        name: "alice".into(),
        sessions: 2,
        revoked: 1,
        must_change: 1,
        undo: Some("aivonx user enable alice".into()),
    }]);
    Self::ModelAccess(_) => "model_access", Self::ModelAccess(vec![policy::access()]);
    Self::Findings(_) => "findings", Self::Findings(vec![Finding {
        kind: FindingKind::RefusedCredentials,
        subject: "192.0.2.7".into(),
        count: 300,
        usual: 2,
        first: Some(1_700_000_000_000),
        last: Some(1_700_000_060_000),
        finding: "300 keys or tokens from 192.0.2.7 were refused".into(),
        contain: Some("aivonx incident contain --address 192.0.2.7".into()),
    }]);
    Self::Drifts(_) => "drifts", Self::Drifts(vec![Drift {
        model: "llama3:8b".into(),
        nodes: vec![Weights { node: "gpu1".into(), digest: "7f3a".into(), weights: Some("sha256:00".into()) }],
    }]);
    Self::NodeWakes(_) => "node_wakes", Self::NodeWakes(vec![NodeWake {
        node: "0190-id".into(),
        mac: "aa:bb:cc:dd:ee:ff".into(),
        address: "255.255.255.255:9".into(),
        idle_seconds: 600,
    }]);
    Self::Members(_) => "members", Self::Members(vec![member()]);
    Self::Member(_) => "member", Self::Member(Box::new(member()));
} }

catalogue! { Event {
    Self::Node(_) => "node", Self::Node(Box::new(node()));
    Self::NodeRemoved(_) => "node_removed", Self::NodeRemoved("0190-id".into());
    Self::Job(_) => "job", Self::Job(Box::new(job()));
    Self::Log(_) => "log", Self::Log(log_event());
    Self::LogMissed(_) => "log_missed", Self::LogMissed(70_000);
    Self::Audit(_) => "audit", Self::Audit(Box::new(trail::entry()));
    Self::AuditBytes(_) => "audit_bytes", Self::AuditBytes(b"seq,time\n".to_vec());
    Self::AuditSigned(_) => "audit_signed", Self::AuditSigned(Box::new(trail::export()));
    Self::UsageRecords(_) => "usage_records", Self::UsageRecords(vec![usage::record()]);
    Self::UsageRequests(_) => "usage_requests", Self::UsageRequests(vec![usage::from()]);
    Self::UsageMissed(_) => "usage_missed", Self::UsageMissed(300);
    Self::AuditWalked { .. } => "audit_walked", Self::AuditWalked { seq: 300, last: 70_000 };
    Self::AuditVerdict(_) => "audit_verdict", Self::AuditVerdict(Box::new(trail::verdict()));
    Self::BackupBytes(_) => "backup_bytes", Self::BackupBytes(b"AIVONX-BACKUP\n".to_vec());
    Self::BackupMade(_) => "backup_made", Self::BackupMade(Box::new(snapshot::backup()));
} }

catalogue! { ClientFrame {
    Self::Call { .. } => "call", Self::Call { id: 7, request: daemon::GetStatus.into() };
    Self::Cancel { .. } => "cancel", Self::Cancel { id: 251 };
    Self::Grant { .. } => "grant", Self::Grant { id: 7, events: 128 };
} }

catalogue! { ServerFrame {
    Self::Reply { .. } => "reply", Self::Reply { id: 7, result: Ok(Reply::Done(())) };
    Self::Event { .. } => "event", Self::Event { id: 7, event: Event::LogMissed(1) };
    Self::End { .. } => "end", Self::End { id: 7, result: Err(fault()) };
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    /// Every operation has its sample, in the order of the wire.
    #[test]
    fn every_operation_has_a_sample() {
        let sampled: Vec<_> = Request::samples().iter().map(|it| (it.name(), it.needs())).collect();
        assert_eq!(sampled, Request::all().map(|it| (it.name, it.needs)).collect::<Vec<_>>());
    }

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
        check(Reply::samples().iter().map(Reply::name).collect());
        check(Event::samples().iter().map(Event::name).collect());
        check(ClientFrame::samples().iter().map(ClientFrame::name).collect());
        check(ServerFrame::samples().iter().map(ServerFrame::name).collect());
    }
}
