//! Every request, reply, event and frame once, with its name: what logs call them, and what tests go
//! through. A new variant does not compile until it has a row here.

mod audit;
mod identity;
mod limits;
mod policy;
mod privacy;
mod pulse;
mod secrets;
mod snapshot;
mod usage;
mod values;

use self::{audit as trail, identity as who, values::*};
use crate::{
    ClientFrame, Event, Reply, Request, ServerFrame, WireSecret,
    account::AccountRequest,
    audit::{AuditFilter, AuditPage, AuditRequest, ExportFormat},
    config::{ConfigRequest, Reloaded, Setting},
    daemon::DaemonRequest,
    job::JobRequest,
    key::KeyRequest,
    limit::{LimitName, LimitRequest, LimitSetting, LimitTarget, Unpriced},
    lockout::LockoutRequest,
    log::{LogFilter, LogPage, LogRequest},
    model::{ModelRemoved, ModelRequest},
    money::MicroUsd,
    node::{AdminState, NodeKind, NodeRequest, Probe, Probed},
    organization::{LimitProfile, OrganizationRemoved, OrganizationRequest, PrivacyMode},
    policy::PolicyRequest,
    price::PriceRequest,
    privacy::{Category, PrivacyRequest},
    running::RunningRequest,
    secrets::SecretsRequest,
    snapshot::SnapshotRequest,
    strategy::{Strategy, StrategyRequest},
    token::TokenRequest,
    usage::{UsageBy, UsagePer, UsageRank, UsageRequest},
    user::{Role, UserRequest},
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
    Self::Daemon(DaemonRequest::Pulse { .. }) => "daemon.pulse",
        Self::Daemon(DaemonRequest::Pulse { since: Some(1_700_000_000) });
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
    Self::Node(NodeRequest::Probe(_)) => "node.probe", Self::Node(NodeRequest::Probe(Box::new(new_node())));
    Self::Node(NodeRequest::ProbeChange { .. }) => "node.probe_change", Self::Node(NodeRequest::ProbeChange {
        node: "gpu1".into(), change: Box::new(node_change()),
    });
    Self::Model(ModelRequest::List) => "model.list", Self::Model(ModelRequest::List);
    Self::Model(ModelRequest::Show { .. }) => "model.show",
        Self::Model(ModelRequest::Show { model: "llama3:8b".into() });
    Self::Model(ModelRequest::Pull { .. }) => "model.pull", Self::Model(ModelRequest::Pull {
        model: "llama3:8b".into(), nodes: vec!["gpu1".into(), "gpu2".into()], insecure: true,
    });
    Self::Model(ModelRequest::Remove { .. }) => "model.remove",
        Self::Model(ModelRequest::Remove { model: "llama3:8b".into(), node: Some("gpu1".into()) });
    Self::Model(ModelRequest::Load { .. }) => "model.load", Self::Model(ModelRequest::Load {
        model: "llama3:8b".into(), node: Some("gpu1".into()), keep_alive: Some("30m".into()),
    });
    Self::Model(ModelRequest::Unload { .. }) => "model.unload",
        Self::Model(ModelRequest::Unload { model: "llama3:8b".into(), node: None });
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
    Self::Account(AccountRequest::Setup(_)) => "account.setup",
        Self::Account(AccountRequest::Setup(Box::new(who::setup())));
    Self::Account(AccountRequest::Login { .. }) => "account.login", Self::Account(AccountRequest::Login {
        username: "alice".into(), password: who::secret("p"), otp: Some(who::secret("123456")),
    });
    Self::Account(AccountRequest::Resume { .. }) => "account.resume",
        Self::Account(AccountRequest::Resume { secret: who::secret("s") });
    Self::Account(AccountRequest::Logout) => "account.logout", Self::Account(AccountRequest::Logout);
    Self::Account(AccountRequest::Whoami) => "account.whoami", Self::Account(AccountRequest::Whoami);
    Self::Account(AccountRequest::Password { .. }) => "account.password",
        Self::Account(AccountRequest::Password { old: who::secret("o"), new: who::secret("n") });
    Self::Account(AccountRequest::TotpBegin { .. }) => "account.totp_begin",
        Self::Account(AccountRequest::TotpBegin { password: who::secret("p") });
    Self::Account(AccountRequest::TotpConfirm { .. }) => "account.totp_confirm",
        Self::Account(AccountRequest::TotpConfirm { code: who::secret("123456") });
    Self::Account(AccountRequest::TotpDisable { .. }) => "account.totp_disable",
        Self::Account(AccountRequest::TotpDisable { password: who::secret("p"), code: who::secret("123456") });
    Self::Account(AccountRequest::BackupCodes { .. }) => "account.backup_codes",
        Self::Account(AccountRequest::BackupCodes { password: who::secret("p"), code: who::secret("123456") });
    Self::Account(AccountRequest::Verify { .. }) => "account.verify",
        Self::Account(AccountRequest::Verify { password: who::secret("p") });
    Self::Account(AccountRequest::Redeem { .. }) => "account.redeem",
        Self::Account(AccountRequest::Redeem {
            username: "alice".into(), code: who::secret("abcd-efgh"), password: who::secret("p"),
        });
    Self::Organization(OrganizationRequest::List) => "organization.list",
        Self::Organization(OrganizationRequest::List);
    Self::Organization(OrganizationRequest::Show { .. }) => "organization.show",
        Self::Organization(OrganizationRequest::Show { organization: "acme".into() });
    Self::Organization(OrganizationRequest::Add(_)) => "organization.add",
        Self::Organization(OrganizationRequest::Add(Box::new(who::new_organization())));
    Self::Organization(OrganizationRequest::Set { .. }) => "organization.set",
        Self::Organization(OrganizationRequest::Set {
            organization: "acme".into(), revision: Some(2), change: Box::new(who::organization_change()),
        });
    Self::Organization(OrganizationRequest::Remove { .. }) => "organization.remove",
        Self::Organization(OrganizationRequest::Remove {
            organization: "acme".into(), revision: None, with_contents: true,
        });
    Self::Organization(OrganizationRequest::Networks { .. }) => "organization.networks",
        Self::Organization(OrganizationRequest::Networks { organization: Some("acme".into()) });
    Self::Organization(OrganizationRequest::SetNetworks { .. }) => "organization.set_networks",
        Self::Organization(OrganizationRequest::SetNetworks {
            organization: "acme".into(), networks: vec!["10.0.0.0/8".into()],
        });
    Self::User(UserRequest::List { .. }) => "user.list",
        Self::User(UserRequest::List { organization: Some("acme".into()), role: Some(Role::Member) });
    Self::User(UserRequest::Show { .. }) => "user.show",
        Self::User(UserRequest::Show { user: "alice".into() });
    Self::User(UserRequest::Add(_)) => "user.add", Self::User(UserRequest::Add(Box::new(who::new_user())));
    Self::User(UserRequest::Set { .. }) => "user.set", Self::User(UserRequest::Set {
        user: "alice".into(), revision: Some(4), change: Box::new(who::user_change()),
    });
    Self::User(UserRequest::SetEnabled { .. }) => "user.set_enabled",
        Self::User(UserRequest::SetEnabled { user: "alice".into(), revision: None, enabled: false });
    Self::User(UserRequest::Remove { .. }) => "user.remove",
        Self::User(UserRequest::Remove { user: "alice".into(), revision: Some(4) });
    Self::User(UserRequest::ResetPassword { .. }) => "user.reset_password",
        Self::User(UserRequest::ResetPassword { user: "alice".into() });
    Self::User(UserRequest::ResetTotp { .. }) => "user.reset_totp",
        Self::User(UserRequest::ResetTotp { user: "alice".into() });
    Self::User(UserRequest::Sessions { .. }) => "user.sessions",
        Self::User(UserRequest::Sessions { user: "alice".into() });
    Self::User(UserRequest::Logout { .. }) => "user.logout",
        Self::User(UserRequest::Logout { user: "alice".into(), session: Some("0190-session".into()) });
    Self::Key(KeyRequest::List { .. }) => "key.list", Self::Key(KeyRequest::List {
        organization: Some("acme".into()), user: Some("alice".into()), all: true,
    });
    Self::Key(KeyRequest::Show { .. }) => "key.show",
        Self::Key(KeyRequest::Show { organization: Some("acme".into()), key: "ci".into() });
    Self::Key(KeyRequest::Create(_)) => "key.create", Self::Key(KeyRequest::Create(Box::new(who::new_key())));
    Self::Key(KeyRequest::Set { .. }) => "key.set", Self::Key(KeyRequest::Set {
        organization: None, key: "ci".into(), revision: Some(1), change: Box::new(who::key_change()),
    });
    Self::Key(KeyRequest::Rotate { .. }) => "key.rotate", Self::Key(KeyRequest::Rotate {
        organization: Some("acme".into()), key: "ci".into(), grace_ms: 86_400_000,
    });
    Self::Key(KeyRequest::Revoke { .. }) => "key.revoke",
        Self::Key(KeyRequest::Revoke { organization: Some("acme".into()), key: "ci".into() });
    Self::Token(TokenRequest::Create { .. }) => "token.create", Self::Token(TokenRequest::Create {
        name: "backup".into(), role: Some(Role::Auditor), lasts_ms: 86_400_000,
    });
    Self::Token(TokenRequest::List) => "token.list", Self::Token(TokenRequest::List);
    Self::Token(TokenRequest::Revoke { .. }) => "token.revoke",
        Self::Token(TokenRequest::Revoke { token: "backup".into() });
    Self::Lockout(LockoutRequest::List { .. }) => "lockout.list",
        Self::Lockout(LockoutRequest::List { all: true });
    Self::Lockout(LockoutRequest::Clear { .. }) => "lockout.clear",
        Self::Lockout(LockoutRequest::Clear { user: Some("alice".into()), address: Some("192.0.2.7".into()) });
    Self::Audit(AuditRequest::List { .. }) => "audit.list", Self::Audit(AuditRequest::List {
        filter: trail::filter(), cursor: Some(300), limit: 50, oldest_first: true,
    });
    Self::Audit(AuditRequest::Show { .. }) => "audit.show", Self::Audit(AuditRequest::Show { seq: 7 });
    Self::Audit(AuditRequest::Follow { .. }) => "audit.follow",
        Self::Audit(AuditRequest::Follow { filter: AuditFilter::default(), lines: 10 });
    Self::Audit(AuditRequest::Verify { .. }) => "audit.verify",
        Self::Audit(AuditRequest::Verify { anchors: vec![trail::checkpoint()] });
    Self::Audit(AuditRequest::Export { .. }) => "audit.export",
        Self::Audit(AuditRequest::Export { filter: AuditFilter::default(), format: ExportFormat::Csv });
    Self::Audit(AuditRequest::Keys) => "audit.keys", Self::Audit(AuditRequest::Keys);
    Self::Audit(AuditRequest::Checkpoint) => "audit.checkpoint", Self::Audit(AuditRequest::Checkpoint);
    Self::Audit(AuditRequest::Walk { .. }) => "audit.walk",
        Self::Audit(AuditRequest::Walk { anchors: vec![trail::checkpoint()] });
    Self::Audit(AuditRequest::ListFrom { .. }) => "audit.list_from", Self::Audit(AuditRequest::ListFrom {
        network: usage::network(), filter: trail::filter(), cursor: None, limit: 50, oldest_first: false,
    });
    Self::Audit(AuditRequest::FollowFrom { .. }) => "audit.follow_from", Self::Audit(AuditRequest::FollowFrom {
        network: usage::network(), filter: AuditFilter::default(), lines: 10,
    });
    Self::Audit(AuditRequest::ExportFrom { .. }) => "audit.export_from", Self::Audit(AuditRequest::ExportFrom {
        network: usage::network(), filter: AuditFilter::default(), format: ExportFormat::Jsonl,
    });
    Self::Secrets(SecretsRequest::Status) => "secrets.status", Self::Secrets(SecretsRequest::Status);
    Self::Secrets(SecretsRequest::Validate) => "secrets.validate", Self::Secrets(SecretsRequest::Validate);
    Self::Secrets(SecretsRequest::Rotate { .. }) => "secrets.rotate", Self::Secrets(SecretsRequest::Rotate {
        peppers: true, signing: false, deadline_ms: Some(86_400_000),
    });
    Self::Limit(LimitRequest::Show { .. }) => "limit.show",
        Self::Limit(LimitRequest::Show { target: limits::key() });
    Self::Limit(LimitRequest::Set { .. }) => "limit.set", Self::Limit(LimitRequest::Set {
        target: limits::organization(), revision: Some(4), values: limits::values(),
    });
    Self::Limit(LimitRequest::Unset { .. }) => "limit.unset", Self::Limit(LimitRequest::Unset {
        target: limits::user(), revision: None, names: vec![LimitSetting::of_key(LimitName::UserHour)],
    });
    Self::Limit(LimitRequest::Profiles) => "limit.profiles", Self::Limit(LimitRequest::Profiles);
    Self::Limit(LimitRequest::SetProfile { .. }) => "limit.set_profile", Self::Limit(LimitRequest::SetProfile {
        organization: Some("acme".into()), profile: LimitProfile::Team, reset: true,
    });
    Self::Limit(LimitRequest::Unpriced { .. }) => "limit.unpriced",
        Self::Limit(LimitRequest::Unpriced { target: LimitTarget::Own });
    Self::Price(PriceRequest::List) => "price.list", Self::Price(PriceRequest::List);
    Self::Price(PriceRequest::Set { .. }) => "price.set", Self::Price(PriceRequest::Set {
        model: "llama3*".into(), prompt: MicroUsd(150_000), output: MicroUsd(600_000),
    });
    Self::Price(PriceRequest::Remove { .. }) => "price.remove",
        Self::Price(PriceRequest::Remove { model: "llama3*".into() });
    Self::Usage(UsageRequest::Report { .. }) => "usage.report", Self::Usage(UsageRequest::Report {
        filter: usage::filter(), by: Some(UsageBy::Model), per: Some(UsagePer::Day),
    });
    Self::Usage(UsageRequest::Top { .. }) => "usage.top", Self::Usage(UsageRequest::Top {
        filter: usage::filter(), of: UsageBy::Key, rank: UsageRank::Remaining, limit: 20,
    });
    Self::Usage(UsageRequest::Watch { .. }) => "usage.watch",
        Self::Usage(UsageRequest::Watch { filter: usage::filter() });
    Self::Usage(UsageRequest::Export { .. }) => "usage.export",
        Self::Usage(UsageRequest::Export { filter: usage::filter() });
    Self::Usage(UsageRequest::ReportFrom { .. }) => "usage.report_from", Self::Usage(UsageRequest::ReportFrom {
        network: usage::network(), filter: usage::filter(), by: Some(UsageBy::Key), per: None,
    });
    Self::Usage(UsageRequest::TopFrom { .. }) => "usage.top_from", Self::Usage(UsageRequest::TopFrom {
        network: usage::network(), filter: usage::filter(), of: UsageBy::Key, rank: UsageRank::Spend, limit: 20,
    });
    Self::Usage(UsageRequest::WatchFrom { .. }) => "usage.watch_from",
        Self::Usage(UsageRequest::WatchFrom { network: None, filter: usage::filter() });
    Self::Usage(UsageRequest::ExportFrom { .. }) => "usage.export_from",
        Self::Usage(UsageRequest::ExportFrom { network: Some(usage::network()), filter: usage::filter() });
    Self::Policy(PolicyRequest::List { .. }) => "policy.list",
        Self::Policy(PolicyRequest::List { organization: Some("acme".into()) });
    Self::Policy(PolicyRequest::Set { .. }) => "policy.set", Self::Policy(PolicyRequest::Set {
        organization: Some("acme".into()), model: "llama3*".into(), revision: Some(1),
        change: Box::new(policy::change()),
    });
    Self::Policy(PolicyRequest::Remove { .. }) => "policy.remove", Self::Policy(PolicyRequest::Remove {
        organization: Some("acme".into()), model: "llama3*".into(),
    });
    Self::Policy(PolicyRequest::Aliases { .. }) => "policy.aliases",
        Self::Policy(PolicyRequest::Aliases { organization: None });
    Self::Policy(PolicyRequest::SetAlias { .. }) => "policy.set_alias", Self::Policy(PolicyRequest::SetAlias {
        organization: Some("acme".into()), alias: "gpt-4o".into(),
        models: vec!["llama3.3:70b".into(), "llama3.1:8b".into()], revision: None,
    });
    Self::Policy(PolicyRequest::RemoveAlias { .. }) => "policy.remove_alias",
        Self::Policy(PolicyRequest::RemoveAlias { organization: None, alias: "gpt-4o".into() });
    Self::Running(RunningRequest::List) => "running.list", Self::Running(RunningRequest::List);
    Self::Running(RunningRequest::Cancel { .. }) => "running.cancel",
        Self::Running(RunningRequest::Cancel { id: "0190-request".into() });
    Self::Privacy(PrivacyRequest::Show { .. }) => "privacy.show",
        Self::Privacy(PrivacyRequest::Show { organization: Some("acme".into()) });
    Self::Privacy(PrivacyRequest::Set { .. }) => "privacy.set", Self::Privacy(PrivacyRequest::Set {
        organization: None, mode: Some(PrivacyMode::Block), categories: Some(vec![Category::Card]),
    });
    Self::Privacy(PrivacyRequest::Test { .. }) => "privacy.test", Self::Privacy(PrivacyRequest::Test {
        organization: None, text: WireSecret::new("mail bob@example.com".into()),
    });
    Self::Snapshot(SnapshotRequest::List) => "snapshot.list", Self::Snapshot(SnapshotRequest::List);
    Self::Snapshot(SnapshotRequest::Create) => "snapshot.create", Self::Snapshot(SnapshotRequest::Create);
    Self::Snapshot(SnapshotRequest::Newest) => "snapshot.newest", Self::Snapshot(SnapshotRequest::Newest);
    Self::Usage(UsageRequest::Losses) => "usage.losses", Self::Usage(UsageRequest::Losses);
    Self::Audit(AuditRequest::Losses) => "audit.losses", Self::Audit(AuditRequest::Losses);
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
    Self::Snapshot(_) => "snapshot", Self::Snapshot(Box::new(snapshot::snapshot()));
    Self::NewestSnapshot(_) => "newest_snapshot", Self::NewestSnapshot(Some(snapshot::newest()));
    Self::SnapshotHeld(_) => "snapshot_held", Self::SnapshotHeld(Box::new(snapshot::snapshot()));
    Self::Losses(_) => "losses", Self::Losses(vec!["usage ledger: record 4 is damaged".into()]);
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
