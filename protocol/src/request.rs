//! The frames, and the one enum of requests.

use serde::{Deserialize, Serialize};

use crate::{
    Fault, UnixMillis, WireSecret, account,
    audit::{AuditEntry, AuditKey, AuditPage, AuditVerdict, Checkpoint, ExportSignature},
    backup, block, cluster, config, daemon, incident,
    job::Job,
    key::{self, Key},
    limit,
    lockout::Lockout,
    log::{LogEvent, LogPage},
    model,
    node::{self, Node},
    operation::{Answer, Declared, Server, nouns},
    organization::{self, Organization},
    policy::{self, Alias, Policy},
    price, privacy, pulse, route,
    running::{Queued, Running},
    secrets,
    session::{NewSession, Session},
    snapshot,
    strategy::{self, Strategy},
    usage,
    user::{self, User},
};

nouns! {
    /// Everything the control socket can be asked, grouped by noun. Append only, never reorder: the position
    /// of a variant is its number on the wire.
    Request;

    /// The daemon itself.
    Daemon(daemon::DaemonRequest),
    /// Nodes.
    Node(node::NodeRequest),
    /// Models.
    Model(model::ModelRequest),
    /// The scheduling strategy.
    Strategy(strategy::StrategyRequest),
    /// Jobs.
    Job(job::JobRequest),
    /// The log.
    Log(log::LogRequest),
    /// The file configuration.
    Config(config::ConfigRequest),
    /// The caller's own account.
    Account(account::AccountRequest),
    /// Organizations.
    Organization(organization::OrganizationRequest),
    /// Users.
    User(user::UserRequest),
    /// API keys.
    Key(key::KeyRequest),
    /// The caller's control tokens.
    Token(token::TokenRequest),
    /// Lockouts.
    Lockout(lockout::LockoutRequest),
    /// The audit log.
    Audit(audit::AuditRequest),
    /// The keys that secrets are kept under.
    Secrets(secrets::SecretsRequest),
    /// Limits.
    Limit(limit::LimitRequest),
    /// Prices.
    Price(price::PriceRequest),
    /// Usage.
    Usage(usage::UsageRequest),
    /// Model policy and aliases.
    Policy(policy::PolicyRequest),
    /// Requests that are running.
    Running(running::RunningRequest),
    /// Personal data in prompts.
    Privacy(privacy::PrivacyRequest),
    /// Snapshots of the store.
    Snapshot(snapshot::SnapshotRequest),
    /// Backups.
    Backup(backup::BackupRequest),
    /// Blocks.
    Block(block::BlockRequest),
    /// Routes.
    Route(route::RouteRequest),
    /// How safely the gateway is set up.
    Check(check::CheckRequest),
    /// Incidents.
    Incident(incident::IncidentRequest),
    /// Members of a cluster.
    Cluster(cluster::ClusterRequest),
}

impl Request {
    /// As it crosses the wire: a filter by network goes beside the rest of the filter.
    #[must_use]
    pub fn sent(self) -> Self {
        match self {
            Self::Audit(request) => Self::Audit(request.sent()),
            Self::Usage(request) => Self::Usage(request.sent()),
            other => other,
        }
    }
}

/// The answer to a request that was carried out. Append only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Carried out; there is nothing to return.
    Done(()),
    /// Status of the daemon.
    Status(Box<daemon::Status>),
    /// All nodes.
    Nodes(Vec<Node>),
    /// One node.
    Node(Box<Node>),
    /// A node and what probing it found.
    Probe(Box<node::Probe>),
    /// All models.
    Models(Vec<model::Model>),
    /// One model.
    Model(Box<model::Model>),
    /// Result of removing a model.
    ModelRemoved(model::ModelRemoved),
    /// The strategy.
    Strategy(Strategy),
    /// Jobs.
    Jobs(Vec<Job>),
    /// One job.
    Job(Box<Job>),
    /// Log events.
    Logs(LogPage),
    /// Effective configuration.
    Config(Vec<config::Setting>),
    /// Result of a reload.
    Reloaded(config::Reloaded),
    /// A session just begun by logging in.
    LoggedIn(Box<account::LoggedIn>),
    /// Who the caller is.
    Identity(Box<account::Identity>),
    /// A second factor to be confirmed.
    TotpOffer(account::TotpOffer),
    /// Backup codes, shown once.
    BackupCodes(Vec<WireSecret>),
    /// Organizations.
    Organizations(Vec<Organization>),
    /// One organization.
    Organization(Box<Organization>),
    /// What went with a removed organization.
    OrganizationRemoved(organization::OrganizationRemoved),
    /// Users.
    Users(Vec<User>),
    /// One user.
    User(Box<User>),
    /// A code for setting a new password.
    ResetCode(user::ResetCode),
    /// Sessions and tokens.
    Sessions(Vec<Session>),
    /// So many sessions and tokens were ended.
    SessionsEnded(u32),
    /// Keys.
    Keys(Vec<Key>),
    /// One key.
    Key(Box<Key>),
    /// A key with its secret.
    NewKey(Box<key::NewSecretKey>),
    /// A token with its secret.
    NewSession(Box<NewSession>),
    /// Failed logins.
    Lockouts(Vec<Lockout>),
    /// So many of them were forgotten.
    LockoutsCleared(u32),
    /// Entries of the audit log.
    AuditPage(AuditPage),
    /// One entry of the audit log.
    AuditEntry(Box<AuditEntry>),
    /// What verifying the audit log found.
    AuditVerdict(Box<AuditVerdict>),
    /// Public keys that the audit log is signed with.
    AuditKeys(Vec<AuditKey>),
    /// A checkpoint of the audit log.
    AuditCheckpoint(Box<Checkpoint>),
    /// The keys that secrets are kept under.
    Secrets(Box<secrets::SecretsStatus>),
    /// What was looked at, and how it came out.
    Checks(Vec<secrets::Check>),
    /// The limits of the fleet, an organization, a user or a key.
    Limits(Box<limit::Limits>),
    /// The limit profiles.
    LimitProfiles(Vec<limit::LimitProfileInfo>),
    /// Prices.
    Prices(Vec<price::Price>),
    /// One price.
    Price(Box<price::Price>),
    /// Sums of usage.
    Usage(Box<usage::UsageReport>),
    /// Model policies.
    Policies(Vec<Policy>),
    /// One model policy.
    Policy(Box<Policy>),
    /// Aliases of models.
    Aliases(Vec<Alias>),
    /// One alias.
    Alias(Box<Alias>),
    /// Requests that are running.
    Running(Vec<Running>),
    /// What happens to personal data in prompts.
    Privacy(Box<privacy::PrivacySettings>),
    /// What would become of a text.
    PrivacyReport(Box<privacy::PrivacyReport>),
    /// What asking a server what it is gave.
    Probed(Box<node::Probed>),
    /// How the gateway does right now.
    Pulse(Box<pulse::Pulse>),
    /// Models for which limits on money cannot hold.
    Unpriced(limit::Unpriced),
    /// Where the operators of organizations may place nodes.
    NodeNetworks(Vec<organization::NodeNetworks>),
    /// Snapshots of the store.
    Snapshots(Vec<snapshot::Snapshot>),
    /// The newest snapshot, and whether it was taken now.
    SnapshotTaken(Box<snapshot::Taken>),
    /// The newest snapshot; None if there is none yet, or if the caller may not see it.
    NewestSnapshot(Option<snapshot::NewestSnapshot>),
    /// What a ledger has lost, in words.
    Losses(Vec<String>),
    /// Which node a request would go to, and why.
    Explained(Box<strategy::Explained>),
    /// What was learned of a node.
    Learned(Box<strategy::Learned>),
    /// Requests that wait.
    Queued(Vec<Queued>),
    /// Kept backups.
    Backups(Vec<backup::Backup>),
    /// A backup that was made or verified.
    BackupMade(Box<backup::Backup>),
    /// When the newest backup was made; None if there is none, or if the caller may not see it.
    NewestBackup(Option<UnixMillis>),
    /// How the requests of keys wait.
    KeyQueueing(Vec<key::KeyQueueing>),
    /// What is served for an alias.
    AliasShares(Box<policy::AliasShares>),
    /// A model that is kept loaded.
    Placement(Box<model::Placement>),
    /// Models that are kept loaded.
    Placements(Vec<model::Placement>),
    /// What is said of nodes beside their records.
    NodeTraits(Vec<node::NodeTraits>),
    /// Blocks in force.
    Blocks(Vec<block::Block>),
    /// One block.
    Block(Box<block::Block>),
    /// Who may ask what.
    Routes(Vec<route::RouteAccess>),
    /// What happens to personal data in answers.
    AnswerPrivacy(privacy::AnswerPrivacy),
    /// Models with a strategy of their own.
    ModelStrategies(Vec<strategy::ModelStrategy>),
    /// The certificates that stand for keys.
    KeyCertificates(Vec<key::KeyCertificate>),
    /// Ids of disabled keys.
    DisabledKeys(Vec<String>),
    /// What was shut off.
    Contained(Vec<incident::Contained>),
    /// For whom models are.
    ModelAccess(Vec<policy::ModelAccess>),
    /// What looks like an attack.
    Findings(Vec<incident::Finding>),
    /// Names under which nodes have different weights.
    Drifts(Vec<model::Drift>),
    /// How nodes are woken.
    NodeWakes(Vec<node::NodeWake>),
    /// Patterns of an organization's own.
    Patterns(Vec<privacy::Pattern>),
    /// One pattern.
    Pattern(Box<privacy::Pattern>),
    /// Ids of the organizations that hide from their members what they use together.
    HiddenUsage(Vec<String>),
    /// Members of a cluster.
    Members(Vec<cluster::Member>),
    /// One of them.
    Member(Box<cluster::Member>),
}

/// One step of a stream. Append only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A node as it is now.
    Node(Box<Node>),
    /// A node was removed; its id.
    NodeRemoved(String),
    /// A job as it is now.
    Job(Box<Job>),
    /// A log event.
    Log(LogEvent),
    /// So many log events were dropped because the reader was slow.
    LogMissed(u64),
    /// An entry of the audit log.
    Audit(Box<AuditEntry>),
    /// The next bytes of an exported file.
    AuditBytes(Vec<u8>),
    /// The signature of an exported file, after its last bytes.
    AuditSigned(Box<ExportSignature>),
    /// Requests that ended.
    UsageRecords(Vec<usage::UsageRecord>),
    /// So many requests were left out because the reader was slow.
    UsageMissed(u64),
    /// The audit log was walked up to this entry.
    AuditWalked {
        /// The entry.
        seq: u64,
        /// The last one there is.
        last: u64,
    },
    /// What was found by walking the audit log.
    AuditVerdict(Box<AuditVerdict>),
    /// Requests that ended, with where they came from.
    UsageRequests(Vec<usage::UsageFrom>),
    /// The next bytes of a backup.
    BackupBytes(Vec<u8>),
    /// What the backup is whose bytes came before.
    BackupMade(Box<backup::Backup>),
}

/// Events a client takes of one stream before it has granted more: what a slow reader can make pile up on
/// either side. Part of the protocol's version 1.
pub const STREAM_WINDOW: u32 = 256;

/// Requests and streams one connection may have in flight.
pub const MAX_IN_FLIGHT: usize = 64;

/// What a client sends after the handshake. Append only; every variant begins with its id.
#[expect(clippy::large_enum_variant, reason = "a frame is made, sent and gone; nobody keeps many")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientFrame {
    /// Ask. `id` is chosen by the client, unique among its requests in flight.
    Call {
        /// Request id.
        id: u64,
        /// The request.
        request: Request,
    },
    /// Stop a request or an event stream; answered with `ServerFrame::End`, unless the answer is under way
    /// already. A change that has begun is carried out all the same.
    Cancel {
        /// Request id.
        id: u64,
    },
    /// The reader of a stream took `events` events: as many more may be sent. A stream begins with
    /// [`STREAM_WINDOW`]; at none left it waits, and no other stream or request with it.
    Grant {
        /// Request id.
        id: u64,
        /// Events taken since the last grant.
        events: u32,
    },
}

/// What the daemon sends after the handshake. Append only; every variant begins with its id. Each
/// `ClientFrame::Call` is answered with exactly one `Reply` or `End`, after which its id is free again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ServerFrame {
    /// The one answer to a plain request.
    Reply {
        /// Request id.
        id: u64,
        /// The answer.
        result: Result<Reply, Fault>,
    },
    /// One step of a stream.
    Event {
        /// Request id.
        id: u64,
        /// The step.
        event: Event,
    },
    /// The stream is over, or the request was cancelled.
    End {
        /// Request id.
        id: u64,
        /// Why, if not in order.
        result: Result<(), Fault>,
    },
}
