//! What is recorded of each request, in the words of the protocol and without its secrets.

use std::collections::BTreeMap;

use aivonx_protocol::{
    Request,
    account::AccountRequest,
    audit::{Action, AuditRequest},
    config::ConfigRequest,
    daemon::DaemonRequest,
    job::JobRequest,
    key::{KeyChange, KeyRequest, NewKey},
    limit::{LimitRequest, LimitTarget},
    lockout::LockoutRequest,
    log::LogRequest,
    model::ModelRequest,
    node::{AdminState, Credential, NewNode, NodeChange, NodeRequest},
    organization::{NewOrganization, OrganizationChange, OrganizationRequest},
    policy::{PolicyChange, PolicyRequest},
    price::PriceRequest,
    privacy::{Category, PrivacyRequest},
    running::RunningRequest,
    secrets::SecretsRequest,
    strategy::StrategyRequest,
    token::TokenRequest,
    usage::UsageRequest,
    user::{NewUser, UserChange, UserRequest},
};

use super::Record;

/// What is to be recorded of `request`. Exhaustive on purpose: a new request does not compile before it is
/// decided.
pub(in crate::control) fn of(request: &Request) -> Option<Record> {
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
        Request::Organization(request) => organization(request),
        Request::User(request) => user(request),
        Request::Key(request) => key(request),
        Request::Token(request) => token(request),
        Request::Lockout(LockoutRequest::List { .. }) => None,
        // Reading and proving the log is recorded where it is done: there it is known what was read.
        Request::Audit(
            AuditRequest::List { .. }
            | AuditRequest::Show { .. }
            | AuditRequest::Follow { .. }
            | AuditRequest::Verify { .. }
            | AuditRequest::Export { .. }
            | AuditRequest::Keys
            | AuditRequest::Checkpoint
            | AuditRequest::Walk { .. },
        ) => None,
        // Copies are recorded where they are made.
        Request::Usage(
            UsageRequest::Report { .. }
            | UsageRequest::Top { .. }
            | UsageRequest::Watch { .. }
            | UsageRequest::Export { .. },
        ) => None,
        Request::Running(RunningRequest::List) => None,
        Request::Running(RunningRequest::Cancel { id }) => {
            Some(Record::new(Action::RequestCancel, "request", id))
        }
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
        Request::Limit(request) => limit(request),
        Request::Price(request) => price(request),
        Request::Policy(request) => policy(request),
        Request::Privacy(request) => privacy(request),
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

fn organization(request: &OrganizationRequest) -> Option<Record> {
    match request {
        OrganizationRequest::List | OrganizationRequest::Show { .. } => None,
        OrganizationRequest::Add(new) => {
            let NewOrganization {
                slug,
                name,
                require_totp,
                models,
                nodes,
                cloud_models,
                privacy,
                limit_profile,
            } = &**new;
            Some(
                Record::new(Action::Create, "organization", slug)
                    .of_organization(Some(slug))
                    .maybe("name", name)
                    .with("require_totp", require_totp)
                    .with("models", models)
                    .with("nodes", nodes)
                    .with("cloud_models", cloud_models)
                    .maybe("privacy", privacy)
                    .maybe("limit_profile", limit_profile),
            )
        }
        OrganizationRequest::Set { organization, change, .. } => {
            Some(organization_change(organization, change).of_organization(Some(organization)))
        }
        OrganizationRequest::Remove { organization, with_contents, .. } => Some(
            Record::new(Action::Delete, "organization", organization)
                .of_organization(Some(organization))
                .with("with_contents", with_contents),
        ),
    }
}

fn organization_change(organization: &str, change: &OrganizationChange) -> Record {
    let OrganizationChange {
        slug,
        name,
        enabled,
        require_totp,
        models,
        nodes,
        cloud_models,
        privacy,
        limit_profile,
    } = change;
    let rights = models.is_some() || nodes.is_some() || cloud_models.is_some() || require_totp.is_some();
    let action = match enabled {
        Some(true) => Action::Enable,
        Some(false) => Action::Disable,
        None if rights => Action::PermissionChange,
        None => Action::Update,
    };
    Record::new(action, "organization", organization)
        .maybe("slug", slug)
        .maybe("name", name)
        .maybe("enabled", enabled)
        .maybe("require_totp", require_totp)
        .maybe("models", models)
        .maybe("nodes", nodes)
        .maybe("cloud_models", cloud_models)
        .maybe("privacy", privacy)
        .maybe("limit_profile", limit_profile)
}

fn user(request: &UserRequest) -> Option<Record> {
    match request {
        UserRequest::List { .. } | UserRequest::Show { .. } | UserRequest::Sessions { .. } => None,
        UserRequest::Add(new) => {
            let NewUser { name, display_name, email, role, organization, password } = &**new;
            Some(
                Record::new(Action::Create, "user", name)
                    .of_organization(organization.as_deref())
                    .maybe("display_name", display_name)
                    .maybe("email", email)
                    .with("role", role)
                    .with("can_log_in", password.is_some()),
            )
        }
        UserRequest::Set { user, change, .. } => {
            let UserChange { name, display_name, email, role, organization } = &**change;
            let rights = role.is_some() || organization.is_some();
            let action = if rights { Action::PermissionChange } else { Action::Update };
            Some(
                Record::new(action, "user", user)
                    .maybe("name", name)
                    .maybe("display_name", display_name)
                    .maybe("email", email)
                    .maybe("role", role)
                    .maybe("organization", organization),
            )
        }
        UserRequest::SetEnabled { user, enabled, .. } => {
            let action = if *enabled { Action::Enable } else { Action::Disable };
            Some(Record::new(action, "user", user))
        }
        UserRequest::Remove { user, .. } => Some(Record::new(Action::Delete, "user", user)),
        UserRequest::ResetPassword { user } => Some(Record::new(Action::PasswordReset, "user", user)),
        UserRequest::ResetTotp { user } => {
            Some(Record::new(Action::TotpChange, "user", user).with("change", "reset by an administrator"))
        }
        UserRequest::Logout { user, session } => {
            let session = session.as_deref().unwrap_or("all");
            Some(Record::new(Action::TokenRevoke, "user", user).with("sessions", session))
        }
    }
}

fn key(request: &KeyRequest) -> Option<Record> {
    match request {
        KeyRequest::List { .. } | KeyRequest::Show { .. } => None,
        KeyRequest::Create(new) => {
            let NewKey { name, organization, user, scopes, models, networks, expires } = &**new;
            Some(
                Record::new(Action::KeyCreate, "key", name)
                    .of_organization(organization.as_deref())
                    .maybe("user", user)
                    .with("scopes", scopes)
                    .with("models", models)
                    .with("networks", networks)
                    .with("expires", expires),
            )
        }
        KeyRequest::Set { organization, key, change, .. } => {
            let KeyChange { name, scopes, models, networks, expires } = &**change;
            Some(
                Record::new(Action::KeyUpdate, "key", key)
                    .of_organization(organization.as_deref())
                    .maybe("name", name)
                    .maybe("scopes", scopes)
                    .maybe("models", models)
                    .maybe("networks", networks)
                    .maybe("expires", expires),
            )
        }
        KeyRequest::Rotate { organization, key, grace_ms } => Some(
            Record::new(Action::KeyRotate, "key", key)
                .of_organization(organization.as_deref())
                .with("grace_ms", grace_ms),
        ),
        KeyRequest::Revoke { organization, key } => {
            Some(Record::new(Action::KeyRevoke, "key", key).of_organization(organization.as_deref()))
        }
    }
}

fn limit(request: &LimitRequest) -> Option<Record> {
    match request {
        LimitRequest::Show { .. } | LimitRequest::Profiles => None,
        LimitRequest::Set { target, values, .. } => {
            let set: BTreeMap<String, String> = values
                .iter()
                .map(|value| (value.name.to_string(), value.name.cap_text(value.limit)))
                .collect();
            Some(limits_of(target).with("set", set))
        }
        LimitRequest::Unset { target, names, .. } => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            Some(
                limits_of(target)
                    .with("unset", if names.is_empty() { vec!["all".to_owned()] } else { names }),
            )
        }
        LimitRequest::SetProfile { organization, profile, reset } => {
            let record = match organization {
                Some(organization) => Record::new(Action::Update, "organization", organization),
                None => Record::new(Action::Update, "limit", ""),
            };
            let record = record.of_organization(organization.as_deref());
            Some(record.with("limit_profile", profile).with("reset", reset))
        }
    }
}

/// The record of a change of limits is about what they are set on.
fn limits_of(target: &LimitTarget) -> Record {
    let record = |kind, object: &str| Record::new(Action::Update, kind, object);
    match target {
        LimitTarget::Own => record("limit", ""),
        LimitTarget::Organization { organization } => {
            record("organization", organization).of_organization(Some(organization))
        }
        LimitTarget::User { user } => record("user", user),
        LimitTarget::Key { organization, key } => record("key", key).of_organization(organization.as_deref()),
    }
}

fn price(request: &PriceRequest) -> Option<Record> {
    match request {
        PriceRequest::List => None,
        PriceRequest::Set { model, prompt, output } => Some(
            Record::new(Action::Update, "price", model)
                .with("prompt_usd", prompt.to_string())
                .with("output_usd", output.to_string()),
        ),
        PriceRequest::Remove { model } => Some(Record::new(Action::Delete, "price", model)),
    }
}

fn policy(request: &PolicyRequest) -> Option<Record> {
    match request {
        PolicyRequest::List { .. } | PolicyRequest::Aliases { .. } => None,
        PolicyRequest::Set { organization, model, change, .. } => {
            let PolicyChange { keep_alive, num_ctx, output_max } = &**change;
            Some(
                Record::new(Action::Update, "policy", model)
                    .of_organization(organization.as_deref())
                    .maybe("keep_alive", keep_alive)
                    .maybe("num_ctx", num_ctx)
                    .maybe("output_max", output_max),
            )
        }
        PolicyRequest::Remove { organization, model } => {
            Some(Record::new(Action::Delete, "policy", model).of_organization(organization.as_deref()))
        }
        PolicyRequest::SetAlias { organization, alias, models, .. } => Some(
            Record::new(Action::Update, "alias", alias)
                .of_organization(organization.as_deref())
                .with("models", models),
        ),
        PolicyRequest::RemoveAlias { organization, alias } => {
            Some(Record::new(Action::Delete, "alias", alias).of_organization(organization.as_deref()))
        }
    }
}

fn privacy(request: &PrivacyRequest) -> Option<Record> {
    match request {
        // The text of a test is nobody's business.
        PrivacyRequest::Show { .. } | PrivacyRequest::Test { .. } => None,
        PrivacyRequest::Set { organization, mode, categories } => {
            let record = match organization {
                Some(organization) => Record::new(Action::Update, "organization", organization),
                None => Record::new(Action::Update, "privacy", ""),
            };
            let names = |categories: &Vec<Category>| {
                if categories.is_empty() {
                    vec!["all"]
                } else {
                    categories.iter().map(|c| c.name()).collect()
                }
            };
            let record = record.of_organization(organization.as_deref()).maybe("privacy", mode);
            Some(record.maybe("privacy_categories", &categories.as_ref().map(names)))
        }
    }
}

fn token(request: &TokenRequest) -> Option<Record> {
    match request {
        TokenRequest::List => None,
        TokenRequest::Create { name, role, lasts_ms } => Some(
            Record::new(Action::TokenCreate, "token", name).maybe("role", role).with("lasts_ms", lasts_ms),
        ),
        TokenRequest::Revoke { token } => Some(Record::new(Action::TokenRevoke, "token", token)),
    }
}
