//! What an operation may need, and what each role has: the table that the daemon decides by, and that others show
//! what may be done with.

use crate::user::Role;

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
    /// See who is blocked.
    BlockRead,
    /// Block and unblock.
    BlockWrite,
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
            | Self::SnapshotWrite
            | Self::BlockWrite => true,
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
            | Self::SnapshotRead
            | Self::BlockRead => false,
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
            Self::ConfigRead | Self::SnapshotRead | Self::BlockRead => {
                matches!(role, Superadmin | Operator | Auditor) && !bound
            }
            Self::ConfigWrite
            | Self::OrganizationManage
            | Self::SecretsWrite
            | Self::PriceWrite
            | Self::SnapshotWrite
            | Self::BlockWrite => role == Superadmin,
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
