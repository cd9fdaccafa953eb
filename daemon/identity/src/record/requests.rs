//! What is recorded of each request, in the words of the protocol and without its secrets.

mod accounts;
mod rules;

use aivonx_protocol::{
    Request,
    account::AccountRequest,
    audit::{Action, AuditRequest},
    config::ConfigRequest,
    daemon::DaemonRequest,
    job::JobRequest,
    lockout::LockoutRequest,
    log::LogRequest,
    model::ModelRequest,
    node::{AdminState, Credential, NewNode, NodeChange, NodeRequest},
    running::RunningRequest,
    secrets::SecretsRequest,
    snapshot::SnapshotRequest,
    strategy::StrategyRequest,
    usage::UsageRequest,
};

use super::Record;

/// What is to be recorded of `request`. Exhaustive on purpose: a new request does not compile before it is
/// decided.
pub fn of(request: &Request) -> Option<Record> {
    match request {
        Request::Daemon(DaemonRequest::Status | DaemonRequest::Pulse { .. }) => None,
        Request::Node(request) => node(request),
        Request::Model(request) => model(request),
        Request::Strategy(StrategyRequest::Show) => None,
        Request::Strategy(StrategyRequest::Set(strategy)) => {
            Some(Record::new(Action::Update, "strategy", "").with("strategy", strategy))
        }
        Request::Job(JobRequest::Cancel { job }) => Some(Record::new(Action::JobCancel, "job", job)),
        Request::Job(JobRequest::List | JobRequest::Show { .. } | JobRequest::Follow { .. }) => None,
        Request::Log(LogRequest::Recent { .. } | LogRequest::Follow { .. }) => None,
        Request::Config(ConfigRequest::Show) => None,
        Request::Config(ConfigRequest::Reload) => Some(Record::new(Action::ConfigReload, "config", "")),
        // By `identity`, see above.
        Request::Account(
            AccountRequest::Setup(_)
            | AccountRequest::Login { .. }
            | AccountRequest::Resume { .. }
            | AccountRequest::Logout
            | AccountRequest::Whoami
            | AccountRequest::Password { .. }
            | AccountRequest::TotpBegin { .. }
            | AccountRequest::TotpConfirm { .. }
            | AccountRequest::TotpDisable { .. }
            | AccountRequest::BackupCodes { .. }
            | AccountRequest::Verify { .. }
            | AccountRequest::Redeem { .. },
        ) => None,
        Request::Organization(request) => accounts::organization(request),
        Request::User(request) => accounts::user(request),
        Request::Key(request) => accounts::key(request),
        Request::Token(request) => accounts::token(request),
        Request::Lockout(LockoutRequest::List { .. }) => None,
        // Reading and proving the log is recorded where it is done: there it is known what was read.
        Request::Audit(
            AuditRequest::List { .. }
            | AuditRequest::Losses
            | AuditRequest::ListFrom { .. }
            | AuditRequest::Show { .. }
            | AuditRequest::Follow { .. }
            | AuditRequest::FollowFrom { .. }
            | AuditRequest::Verify { .. }
            | AuditRequest::Export { .. }
            | AuditRequest::ExportFrom { .. }
            | AuditRequest::Keys
            | AuditRequest::Checkpoint
            | AuditRequest::Walk { .. },
        ) => None,
        // Copies are recorded where they are made.
        Request::Usage(
            UsageRequest::Report { .. }
            | UsageRequest::Losses
            | UsageRequest::ReportFrom { .. }
            | UsageRequest::Top { .. }
            | UsageRequest::TopFrom { .. }
            | UsageRequest::Watch { .. }
            | UsageRequest::WatchFrom { .. }
            | UsageRequest::Export { .. }
            | UsageRequest::ExportFrom { .. },
        ) => None,
        Request::Running(RunningRequest::List) => None,
        Request::Running(RunningRequest::Cancel { id }) => {
            Some(Record::new(Action::RequestCancel, "request", id))
        }
        Request::Snapshot(SnapshotRequest::List | SnapshotRequest::Newest) => None,
        Request::Snapshot(SnapshotRequest::Create) => Some(Record::new(Action::Create, "snapshot", "")),
        Request::Secrets(SecretsRequest::Status) => None,
        Request::Secrets(SecretsRequest::Validate) => {
            Some(Record::new(Action::SecretsValidate, "secrets", ""))
        }
        Request::Secrets(SecretsRequest::Rotate { peppers, signing, deadline_ms }) => Some(
            Record::new(Action::SecretsRotate, "secrets", "")
                .with("hash_pepper_too", peppers)
                .with("signing_too", signing)
                .maybe("deadline_ms", deadline_ms),
        ),
        Request::Limit(request) => rules::limit(request),
        Request::Price(request) => rules::price(request),
        Request::Policy(request) => rules::policy(request),
        Request::Privacy(request) => rules::privacy(request),
        Request::Lockout(LockoutRequest::Clear { user, address }) => {
            let record = Record::new(Action::LockoutCleared, "lockout", user.as_deref().unwrap_or_default());
            Some(record.maybe("address", address))
        }
    }
}

fn node(request: &NodeRequest) -> Option<Record> {
    match request {
        // A check changes what is known of a node, not what anyone decided.
        NodeRequest::List | NodeRequest::Show { .. } | NodeRequest::Watch | NodeRequest::Check { .. } => None,
        NodeRequest::Add(new) => Some(new_node(Action::Create, new)),
        NodeRequest::Set { node, change, .. } => Some(node_change(Action::Update, node, change)),
        // The gateway connects to where it is told, so who told it so is kept.
        NodeRequest::Probe(new) => Some(new_node(Action::NodeProbe, new)),
        NodeRequest::ProbeChange { node, change } => Some(node_change(Action::NodeProbe, node, change)),
        NodeRequest::SetState { node, state, .. } => {
            let action = if *state == AdminState::Enabled { Action::Enable } else { Action::Disable };
            Some(Record::new(action, "node", node).with("state", state))
        }
        NodeRequest::Remove { node, .. } => Some(Record::new(Action::Delete, "node", node)),
    }
}

fn new_node(action: Action, new: &NewNode) -> Record {
    let NewNode {
        name,
        url,
        kind,
        credential,
        ca_pem,
        server_name,
        max_parallel,
        labels,
        force,
        organization,
    } = new;
    Record::new(action, "node", name)
        .of_organization(organization.as_deref())
        .with("url", url)
        .maybe("kind", kind)
        .with("authentication", authentication(credential))
        .with("own_ca", ca_pem.is_some())
        .maybe("server_name", server_name)
        .with("max_parallel", max_parallel)
        .with("labels", labels)
        .with("force", force)
}

fn node_change(action: Action, node: &str, change: &NodeChange) -> Record {
    let NodeChange {
        name,
        url,
        kind,
        credential,
        ca_pem,
        server_name,
        max_parallel,
        labels,
        force,
        organization,
    } = change;
    let mut record = Record::new(action, "node", node)
        .of_organization(organization.as_ref().and_then(Option::as_deref))
        .maybe("name", name)
        .maybe("url", url)
        .maybe("kind", kind)
        .maybe("authentication", &credential.as_ref().map(authentication))
        .maybe("own_ca", &ca_pem.as_ref().map(Option::is_some))
        .maybe("server_name", server_name)
        .maybe("max_parallel", max_parallel)
        .maybe("organization", organization)
        .with("force", force);
    if !labels.is_empty() {
        record = record.with("labels", labels);
    }
    record
}

/// How a credential proves who we are, without what it proves it with.
fn authentication(credential: &Credential) -> &'static str {
    match credential {
        Credential::None => "none",
        Credential::Bearer(_) => "bearer",
        Credential::Basic { .. } => "basic",
        Credential::Header { .. } => "header",
    }
}

fn model(request: &ModelRequest) -> Option<Record> {
    match request {
        ModelRequest::List | ModelRequest::Show { .. } => None,
        ModelRequest::Pull { model, nodes, insecure } => Some(
            Record::new(Action::ModelPull, "model", model).with("nodes", nodes).with("insecure", insecure),
        ),
        ModelRequest::Remove { model, node } => {
            Some(Record::new(Action::Delete, "model", model).maybe("node", node))
        }
        ModelRequest::Load { model, node, keep_alive } => Some(
            Record::new(Action::ModelLoad, "model", model)
                .maybe("node", node)
                .maybe("keep_alive", keep_alive),
        ),
        ModelRequest::Unload { model, node } => {
            Some(Record::new(Action::ModelUnload, "model", model).maybe("node", node))
        }
    }
}
