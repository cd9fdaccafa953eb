//! Who may do what: here only to say so before it is tried, by the table that the daemon decides by. A refusal
//! of it is shown like any other.

use aivonx_protocol::{Permission, account::Identity, handshake::Login, user::Role};

use super::link::Link;

/// Something one may or may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    /// See how the daemon does.
    Status,
    /// See nodes.
    NodesRead,
    /// Add, change, drain and remove nodes.
    NodesWrite,
    /// Choose how nodes are chosen.
    StrategyWrite,
    /// See models.
    ModelsRead,
    /// Pull and remove models.
    ModelsWrite,
    /// See jobs.
    JobsRead,
    /// Cancel jobs.
    JobsCancel,
    /// See the log.
    LogsRead,
    /// See one of organizations, users and keys.
    KeysOrOrganizationsRead,
    /// Change something among organizations, users and keys.
    PeopleWrite,
    /// See organizations.
    OrganizationsRead,
    /// Add and remove organizations.
    OrganizationsAdd,
    /// See users.
    UsersRead,
    /// Add, change and remove users.
    UsersWrite,
    /// See keys.
    KeysRead,
    /// See lockouts.
    LockoutsRead,
    /// Clear lockouts.
    LockoutsClear,
    /// See the audit log.
    AuditRead,
    /// Write copies of it.
    AuditExport,
    /// Verify the audit log.
    AuditVerify,
    /// See what runs now.
    RunningRead,
    /// End what runs.
    RunningCancel,
    /// See how secrets are kept.
    SecretsRead,
    /// Replace the keys that they are kept under.
    SecretsRotate,
    /// End sessions of one's own.
    Own,
    /// See usage.
    UsageRead,
    /// See limits.
    LimitsRead,
    /// Set limits.
    LimitsWrite,
    /// See prices.
    PricesRead,
    /// Set prices.
    PricesWrite,
    /// See model policies and aliases.
    PolicyRead,
    /// Set model policies and aliases.
    PolicyWrite,
    /// Say for which organizations models are, which takes one who is bound to none.
    RestrictionsWrite,
    /// See what happens to personal data in prompts.
    PrivacyRead,
    /// Say what shall happen to it.
    PrivacyWrite,
    /// Change something about one's own account, which takes a user.
    OwnAccount,
    /// See the daemon's configuration.
    ConfigRead,
    /// Have it read again.
    ConfigReload,
    /// See the snapshots of the store.
    SnapshotsRead,
    /// Take one.
    SnapshotsTake,
    /// See blocks.
    BlocksRead,
    /// Block and shut off.
    BlocksWrite,
}

impl Right {
    /// What the daemon asks for; one of them is enough.
    fn permissions(self) -> &'static [Permission] {
        match self {
            Self::Status => &[Permission::Status],
            Self::NodesRead => &[Permission::FleetRead],
            Self::NodesWrite => &[Permission::FleetWrite],
            Self::StrategyWrite => &[Permission::StrategyWrite],
            Self::ModelsRead => &[Permission::ModelsRead],
            Self::ModelsWrite => &[Permission::ModelsWrite],
            Self::JobsRead => &[Permission::JobsRead],
            Self::JobsCancel => &[Permission::JobsWrite],
            Self::LogsRead => &[Permission::LogRead],
            Self::KeysOrOrganizationsRead => &[Permission::KeyRead, Permission::OrganizationRead],
            Self::PeopleWrite => &[Permission::KeyWrite],
            Self::OrganizationsRead => &[Permission::OrganizationRead],
            Self::OrganizationsAdd => &[Permission::OrganizationManage],
            Self::UsersRead => &[Permission::UserRead],
            Self::UsersWrite => &[Permission::UserWrite],
            Self::KeysRead => &[Permission::KeyRead],
            Self::LockoutsRead => &[Permission::LockoutRead],
            Self::LockoutsClear => &[Permission::LockoutWrite],
            Self::AuditRead => &[Permission::AuditRead],
            Self::AuditExport => &[Permission::AuditExport],
            Self::AuditVerify => &[Permission::AuditVerify],
            Self::RunningRead => &[Permission::RunningRead],
            Self::RunningCancel => &[Permission::RunningWrite],
            Self::SecretsRead => &[Permission::SecretsRead],
            Self::SecretsRotate => &[Permission::SecretsWrite],
            Self::Own | Self::OwnAccount => &[Permission::Account],
            Self::UsageRead => &[Permission::UsageRead],
            Self::LimitsRead => &[Permission::LimitRead],
            Self::LimitsWrite => &[Permission::LimitWrite],
            Self::PricesRead => &[Permission::PriceRead],
            Self::PricesWrite => &[Permission::PriceWrite],
            Self::PolicyRead => &[Permission::PolicyRead],
            Self::PolicyWrite | Self::RestrictionsWrite => &[Permission::PolicyWrite],
            Self::PrivacyRead => &[Permission::PrivacyRead],
            Self::PrivacyWrite => &[Permission::PrivacyWrite],
            Self::ConfigRead => &[Permission::ConfigRead],
            Self::ConfigReload => &[Permission::ConfigWrite],
            Self::SnapshotsRead => &[Permission::SnapshotRead],
            Self::SnapshotsTake => &[Permission::SnapshotWrite],
            Self::BlocksRead => &[Permission::BlockRead],
            Self::BlocksWrite => &[Permission::BlockWrite],
        }
    }

    /// Whether using it changes something.
    fn changes(self) -> bool {
        self.permissions().iter().any(|permission| permission.changes())
    }

    /// Whether `role` has it; `bound` is whether it is bound to an organization.
    fn is_of(self, role: Role, bound: bool) -> bool {
        if bound && self == Self::RestrictionsWrite {
            return false;
        }
        self.permissions().iter().any(|permission| permission.is_of(role, bound))
    }
}

/// Why `right` cannot be used over `link` by `identity`, in a few words; None if it can.
pub(super) fn why_not(
    right: Right,
    link: &Link,
    identity: Option<&Identity>,
    read_only: bool,
) -> Option<String> {
    let Link::Up { login, .. } = link else { return Some("not connected".into()) };
    if right.changes() && read_only {
        return Some("started with --read-only".into());
    }
    if right == Right::Status {
        return None;
    }
    let Some(role) = identity.and_then(|who| who.role.map(|role| (role, who))) else {
        return Some(match login {
            Login::Setup => "there is no administrator yet".into(),
            Login::Needed | Login::NotNeeded => "not logged in; :login".into(),
        });
    };
    let (role, who) = role;
    if who.must_change_password {
        return (right != Right::OwnAccount)
            .then(|| "the password has to be changed first: :password".into());
    }
    if who.must_enrol {
        return (right != Right::OwnAccount).then(|| "a second factor has to be set up first: :2fa".into());
    }
    if right == Right::OwnAccount && who.user.is_none() {
        return Some("you are here by your uid, without a user".into());
    }
    if right.is_of(role, who.organization.is_some()) {
        return None;
    }
    if right.is_of(role, false) {
        return Some("you are bound to an organization; this takes somebody who is not".into());
    }
    let may = Role::ALL.into_iter().find(|role| {
        *role != Role::Superadmin && [false, true].into_iter().any(|bound| right.is_of(*role, bound))
    });
    Some(match may {
        Some(may) => format!("your role is {role}; this takes {may} or superadmin"),
        None => format!("your role is {role}; this takes superadmin"),
    })
}
