//! What each request needs, and what each role has: the table that the daemon decides by, and that others show what
//! may be done with.

use crate::{
    Request,
    account::AccountRequest,
    audit::AuditRequest,
    config::ConfigRequest,
    daemon::DaemonRequest,
    job::JobRequest,
    key::KeyRequest,
    limit::LimitRequest,
    lockout::LockoutRequest,
    log::LogRequest,
    model::ModelRequest,
    node::NodeRequest,
    organization::OrganizationRequest,
    policy::PolicyRequest,
    price::PriceRequest,
    privacy::PrivacyRequest,
    running::RunningRequest,
    secrets::SecretsRequest,
    snapshot::SnapshotRequest,
    strategy::StrategyRequest,
    token::TokenRequest,
    usage::UsageRequest,
    user::{Role, UserRequest},
};

/// What a request needs. Roles are sets of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See that the daemon runs, and how it is.
    Status,
    /// Prove who one is.
    Login,
    /// Go on with what was proven, and see who one is.
    Identify,
    /// Make the first administrator, or rescue one: a matter of the peer's uid, no role has it.
    Setup,
    /// See the own tokens.
    AccountRead,
    /// Manage the own account and the own tokens.
    Account,
    /// See nodes and the strategy.
    FleetRead,
    /// Add, change, check and remove nodes.
    FleetWrite,
    /// Change the strategy, which is everybody's.
    StrategyWrite,
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
    /// See organizations.
    OrganizationRead,
    /// Change an organization.
    OrganizationWrite,
    /// Add and remove organizations.
    OrganizationManage,
    /// See users and their sessions.
    UserRead,
    /// Add, change and remove users; end their sessions.
    UserWrite,
    /// See keys.
    KeyRead,
    /// Make, change, rotate and revoke keys.
    KeyWrite,
    /// See failed logins.
    LockoutRead,
    /// Forget failed logins.
    LockoutWrite,
    /// Read the audit log.
    AuditRead,
    /// Take copies of the audit log away.
    AuditExport,
    /// Verify the whole chain, and have checkpoints made.
    AuditVerify,
    /// See which keys there are, and whether all is in order with them.
    SecretsRead,
    /// Replace keys.
    SecretsWrite,
    /// See limits.
    LimitRead,
    /// Set limits.
    LimitWrite,
    /// See prices.
    PriceRead,
    /// Set prices, which are everybody's.
    PriceWrite,
    /// See usage.
    UsageRead,
    /// See model policy.
    PolicyRead,
    /// Change model policy.
    PolicyWrite,
    /// See running requests.
    RunningRead,
    /// End running requests.
    RunningWrite,
    /// See what happens to personal data.
    PrivacyRead,
    /// Set it.
    PrivacyWrite,
    /// See the snapshots of the store.
    SnapshotRead,
    /// Take one, which may make room for itself.
    SnapshotWrite,
}

impl Permission {
    /// Whether a request that needs this changes something. A change that has begun is carried out even if
    /// the caller leaves: half of one would be worse.
    #[must_use]
    pub fn changes(self) -> bool {
        match self {
            // A login leaves a session, a failure or a lock behind.
            Self::Login
            | Self::Setup
            | Self::Account
            | Self::FleetWrite
            | Self::StrategyWrite
            | Self::ModelsWrite
            | Self::JobsWrite
            | Self::ConfigWrite
            | Self::OrganizationWrite
            | Self::OrganizationManage
            | Self::UserWrite
            | Self::KeyWrite
            | Self::LockoutWrite
            | Self::SecretsWrite
            | Self::LimitWrite
            | Self::PriceWrite
            | Self::PolicyWrite
            | Self::RunningWrite
            | Self::PrivacyWrite
            | Self::SnapshotWrite => true,
            Self::Status
            | Self::Identify
            | Self::AccountRead
            | Self::FleetRead
            | Self::ModelsRead
            | Self::JobsRead
            | Self::LogRead
            | Self::ConfigRead
            | Self::OrganizationRead
            | Self::UserRead
            | Self::KeyRead
            | Self::LockoutRead
            | Self::AuditRead
            | Self::AuditExport
            | Self::AuditVerify
            | Self::SecretsRead
            | Self::LimitRead
            | Self::PriceRead
            | Self::UsageRead
            | Self::PolicyRead
            | Self::RunningRead
            | Self::PrivacyRead
            | Self::SnapshotRead => false,
        }
    }

    /// Whether `role` has this permission. `bound` is whether the role is bound to an organization: then it
    /// reaches only what is that organization's, which the repositories see to.
    #[must_use]
    pub fn is_of(self, role: Role, bound: bool) -> bool {
        use Role::{Auditor, Member, Operator, OrgAdmin, Superadmin};
        // Users are never stored so. If one were, nothing may follow from it.
        let odd = matches!((role, bound), (Superadmin, true) | (OrgAdmin, false));
        match self {
            Self::Status | Self::Login | Self::Identify | Self::AccountRead | Self::Account => true,
            Self::Setup => false,
            _ if odd => false,
            // Everyone at least their own, and what becomes of what they write.
            Self::ModelsRead | Self::UsageRead | Self::RunningRead | Self::PrivacyRead => true,
            Self::RunningWrite => role != Auditor,
            Self::FleetRead | Self::JobsRead => role != Member,
            Self::FleetWrite | Self::ModelsWrite | Self::JobsWrite => matches!(role, Superadmin | Operator),
            // These are the whole fleet's: no organization's operator decides for the others.
            Self::StrategyWrite => matches!(role, Superadmin | Operator) && !bound,
            Self::LogRead => role != Member,
            Self::ConfigRead | Self::SnapshotRead => {
                matches!(role, Superadmin | Operator | Auditor) && !bound
            }
            Self::ConfigWrite
            | Self::OrganizationManage
            | Self::SecretsWrite
            | Self::PriceWrite
            | Self::SnapshotWrite => role == Superadmin,
            // They name snapshots, nodes and keys of every organization.
            Self::SecretsRead => role == Superadmin || (role == Auditor && !bound),
            Self::OrganizationRead | Self::PriceRead => role != Member,
            Self::OrganizationWrite
            | Self::UserWrite
            | Self::LockoutWrite
            | Self::LimitWrite
            | Self::PrivacyWrite => {
                matches!(role, Superadmin | OrgAdmin)
            }
            Self::UserRead | Self::LockoutRead => matches!(role, Superadmin | Auditor | OrgAdmin),
            // A member sees those of its own.
            Self::KeyRead | Self::LimitRead => role != Operator,
            Self::PolicyRead => role != Member,
            // Of the fleet, or of the own organization: that is seen to where it is written.
            Self::PolicyWrite => matches!(role, Superadmin | Operator | OrgAdmin),
            Self::KeyWrite => matches!(role, Superadmin | OrgAdmin | Member),
            Self::AuditRead | Self::AuditExport => matches!(role, Superadmin | Auditor),
            // The chain is the whole fleet's.
            Self::AuditVerify => matches!(role, Superadmin | Auditor) && !bound,
        }
    }
}

impl Request {
    /// The permission it needs. Exhaustive on purpose: a new request does not compile before it has one.
    #[must_use]
    pub fn needs(&self) -> Permission {
        match self {
            Request::Daemon(request) => match request {
                DaemonRequest::Status => Permission::Status,
                // Of a fleet, or the part of it that is an organization's.
                DaemonRequest::Pulse { .. } => Permission::FleetRead,
            },
            Request::Node(request) => match request {
                NodeRequest::List | NodeRequest::Show { .. } | NodeRequest::Watch => Permission::FleetRead,
                NodeRequest::Add(_)
                | NodeRequest::Set { .. }
                | NodeRequest::SetState { .. }
                | NodeRequest::Remove { .. }
                | NodeRequest::Check { .. }
                | NodeRequest::Probe(_)
                | NodeRequest::ProbeChange { .. } => Permission::FleetWrite,
            },
            Request::Model(request) => match request {
                ModelRequest::List | ModelRequest::Show { .. } => Permission::ModelsRead,
                ModelRequest::Pull { .. }
                | ModelRequest::Remove { .. }
                | ModelRequest::Load { .. }
                | ModelRequest::Unload { .. } => Permission::ModelsWrite,
            },
            Request::Strategy(request) => match request {
                StrategyRequest::Show => Permission::FleetRead,
                StrategyRequest::Set(_) => Permission::StrategyWrite,
            },
            Request::Job(request) => match request {
                JobRequest::List | JobRequest::Show { .. } | JobRequest::Follow { .. } => {
                    Permission::JobsRead
                }
                JobRequest::Cancel { .. } => Permission::JobsWrite,
            },
            Request::Log(request) => match request {
                LogRequest::Recent { .. } | LogRequest::Follow { .. } => Permission::LogRead,
            },
            Request::Config(request) => match request {
                ConfigRequest::Show => Permission::ConfigRead,
                ConfigRequest::Reload => Permission::ConfigWrite,
            },
            Request::Account(request) => match request {
                AccountRequest::Setup(_) => Permission::Setup,
                AccountRequest::Login { .. } | AccountRequest::Redeem { .. } => Permission::Login,
                AccountRequest::Resume { .. } | AccountRequest::Whoami => Permission::Identify,
                AccountRequest::Logout
                | AccountRequest::Password { .. }
                | AccountRequest::TotpBegin { .. }
                | AccountRequest::TotpConfirm { .. }
                | AccountRequest::TotpDisable { .. }
                | AccountRequest::BackupCodes { .. }
                | AccountRequest::Verify { .. } => Permission::Account,
            },
            Request::Organization(request) => match request {
                OrganizationRequest::List
                | OrganizationRequest::Show { .. }
                | OrganizationRequest::Networks { .. } => Permission::OrganizationRead,
                OrganizationRequest::Set { .. } => Permission::OrganizationWrite,
                OrganizationRequest::Add(_)
                | OrganizationRequest::Remove { .. }
                | OrganizationRequest::SetNetworks { .. } => Permission::OrganizationManage,
            },
            Request::User(request) => match request {
                UserRequest::List { .. } | UserRequest::Show { .. } | UserRequest::Sessions { .. } => {
                    Permission::UserRead
                }
                UserRequest::Add(_)
                | UserRequest::Set { .. }
                | UserRequest::SetEnabled { .. }
                | UserRequest::Remove { .. }
                | UserRequest::ResetPassword { .. }
                | UserRequest::ResetTotp { .. }
                | UserRequest::Logout { .. } => Permission::UserWrite,
            },
            Request::Key(request) => match request {
                KeyRequest::List { .. } | KeyRequest::Show { .. } => Permission::KeyRead,
                KeyRequest::Create(_)
                | KeyRequest::Set { .. }
                | KeyRequest::Rotate { .. }
                | KeyRequest::Revoke { .. } => Permission::KeyWrite,
            },
            Request::Token(request) => match request {
                TokenRequest::List => Permission::AccountRead,
                TokenRequest::Create { .. } | TokenRequest::Revoke { .. } => Permission::Account,
            },
            Request::Lockout(request) => match request {
                LockoutRequest::List { .. } => Permission::LockoutRead,
                LockoutRequest::Clear { .. } => Permission::LockoutWrite,
            },
            Request::Audit(request) => match request {
                AuditRequest::List { .. }
                | AuditRequest::ListFrom { .. }
                | AuditRequest::Show { .. }
                | AuditRequest::Follow { .. }
                | AuditRequest::FollowFrom { .. }
                | AuditRequest::Keys
                | AuditRequest::Losses => Permission::AuditRead,
                AuditRequest::Export { .. } | AuditRequest::ExportFrom { .. } => Permission::AuditExport,
                AuditRequest::Verify { .. } | AuditRequest::Checkpoint | AuditRequest::Walk { .. } => {
                    Permission::AuditVerify
                }
            },
            Request::Secrets(request) => match request {
                SecretsRequest::Status | SecretsRequest::Validate => Permission::SecretsRead,
                SecretsRequest::Rotate { .. } => Permission::SecretsWrite,
            },
            Request::Limit(request) => match request {
                LimitRequest::Show { .. } | LimitRequest::Profiles | LimitRequest::Unpriced { .. } => {
                    Permission::LimitRead
                }
                LimitRequest::Set { .. } | LimitRequest::Unset { .. } | LimitRequest::SetProfile { .. } => {
                    Permission::LimitWrite
                }
            },
            Request::Price(request) => match request {
                PriceRequest::List => Permission::PriceRead,
                PriceRequest::Set { .. } | PriceRequest::Remove { .. } => Permission::PriceWrite,
            },
            Request::Usage(request) => match request {
                UsageRequest::Report { .. }
                | UsageRequest::ReportFrom { .. }
                | UsageRequest::Top { .. }
                | UsageRequest::TopFrom { .. }
                | UsageRequest::Watch { .. }
                | UsageRequest::WatchFrom { .. }
                | UsageRequest::Export { .. }
                | UsageRequest::ExportFrom { .. }
                | UsageRequest::Losses => Permission::UsageRead,
            },
            Request::Policy(request) => match request {
                PolicyRequest::List { .. } | PolicyRequest::Aliases { .. } => Permission::PolicyRead,
                PolicyRequest::Set { .. }
                | PolicyRequest::Remove { .. }
                | PolicyRequest::SetAlias { .. }
                | PolicyRequest::RemoveAlias { .. } => Permission::PolicyWrite,
            },
            Request::Running(request) => match request {
                RunningRequest::List => Permission::RunningRead,
                RunningRequest::Cancel { .. } => Permission::RunningWrite,
            },
            Request::Privacy(request) => match request {
                PrivacyRequest::Show { .. } | PrivacyRequest::Test { .. } => Permission::PrivacyRead,
                PrivacyRequest::Set { .. } => Permission::PrivacyWrite,
            },
            Request::Snapshot(request) => match request {
                SnapshotRequest::List => Permission::SnapshotRead,
                SnapshotRequest::Create => Permission::SnapshotWrite,
                // A part of how the daemon is; whoever may not see more is told nothing.
                SnapshotRequest::Newest => Permission::Status,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each request needs, spelled out a second time: a change of the table is a decision.
    #[test]
    fn every_request_declares_its_permission() {
        for request in Request::samples() {
            let expected = match request.name() {
                "daemon.status" | "snapshot.newest" => Permission::Status,
                "daemon.pulse" | "node.list" | "node.show" | "node.watch" | "strategy.show" => {
                    Permission::FleetRead
                }
                "node.add" | "node.set" | "node.set_state" | "node.remove" | "node.check" | "node.probe"
                | "node.probe_change" => Permission::FleetWrite,
                "strategy.set" => Permission::StrategyWrite,
                "model.list" | "model.show" => Permission::ModelsRead,
                "model.pull" | "model.remove" | "model.load" | "model.unload" => Permission::ModelsWrite,
                "job.list" | "job.show" | "job.follow" => Permission::JobsRead,
                "job.cancel" => Permission::JobsWrite,
                "log.recent" | "log.follow" => Permission::LogRead,
                "config.show" => Permission::ConfigRead,
                "config.reload" => Permission::ConfigWrite,
                "account.setup" => Permission::Setup,
                "account.login" | "account.redeem" => Permission::Login,
                "account.resume" | "account.whoami" => Permission::Identify,
                "token.list" => Permission::AccountRead,
                "account.logout"
                | "account.password"
                | "account.totp_begin"
                | "account.totp_confirm"
                | "account.totp_disable"
                | "account.backup_codes"
                | "account.verify"
                | "token.create"
                | "token.revoke" => Permission::Account,
                "organization.list" | "organization.show" | "organization.networks" => {
                    Permission::OrganizationRead
                }
                "organization.set" => Permission::OrganizationWrite,
                "organization.add" | "organization.remove" | "organization.set_networks" => {
                    Permission::OrganizationManage
                }
                "user.list" | "user.show" | "user.sessions" => Permission::UserRead,
                "user.add"
                | "user.set"
                | "user.set_enabled"
                | "user.remove"
                | "user.reset_password"
                | "user.reset_totp"
                | "user.logout" => Permission::UserWrite,
                "key.list" | "key.show" => Permission::KeyRead,
                "key.create" | "key.set" | "key.rotate" | "key.revoke" => Permission::KeyWrite,
                "lockout.list" => Permission::LockoutRead,
                "lockout.clear" => Permission::LockoutWrite,
                "audit.list" | "audit.list_from" | "audit.show" | "audit.follow" | "audit.follow_from"
                | "audit.keys" | "audit.losses" => Permission::AuditRead,
                "audit.export" | "audit.export_from" => Permission::AuditExport,
                "audit.verify" | "audit.checkpoint" | "audit.walk" => Permission::AuditVerify,
                "secrets.status" | "secrets.validate" => Permission::SecretsRead,
                "secrets.rotate" => Permission::SecretsWrite,
                "limit.show" | "limit.profiles" | "limit.unpriced" => Permission::LimitRead,
                "limit.set" | "limit.unset" | "limit.set_profile" => Permission::LimitWrite,
                "price.list" => Permission::PriceRead,
                "price.set" | "price.remove" => Permission::PriceWrite,
                "usage.report" | "usage.top" | "usage.watch" | "usage.export" | "usage.report_from"
                | "usage.top_from" | "usage.watch_from" | "usage.export_from" | "usage.losses" => {
                    Permission::UsageRead
                }
                "policy.list" | "policy.aliases" => Permission::PolicyRead,
                "policy.set" | "policy.remove" | "policy.set_alias" | "policy.remove_alias" => {
                    Permission::PolicyWrite
                }
                "privacy.show" | "privacy.test" => Permission::PrivacyRead,
                "privacy.set" => Permission::PrivacyWrite,
                "snapshot.list" => Permission::SnapshotRead,
                "snapshot.create" => Permission::SnapshotWrite,
                "running.list" => Permission::RunningRead,
                "running.cancel" => Permission::RunningWrite,
                other => panic!("say here what {other} needs"),
            };
            assert_eq!(request.needs(), expected, "{}", request.name());
        }
    }
}
