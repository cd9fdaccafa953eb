//! Who may do what, as the daemon decides it: here only to say so before it is tried. The daemon's own table
//! is what counts; a refusal of it is shown like any other.

use aivonx_protocol::{handshake::Login, user::Role};

use super::{Link, Model};

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
}

impl Right {
    /// The roles that have it, as in the daemon's table: `SOAGM` fleet-wide, in small letters bound to an
    /// organization.
    fn roles(self) -> &'static str {
        match self {
            Self::Status | Self::Own | Self::OwnAccount | Self::KeysOrOrganizationsRead => "SOAGMsoagm",
            Self::ModelsRead | Self::UsageRead | Self::PrivacyRead => "SOAMoagm",
            Self::NodesRead
            | Self::JobsRead
            | Self::LogsRead
            | Self::OrganizationsRead
            | Self::PricesRead
            | Self::PolicyRead => "SOAoag",
            Self::NodesWrite | Self::ModelsWrite | Self::JobsCancel => "SOo",
            Self::StrategyWrite => "SO",
            Self::OrganizationsAdd | Self::SecretsRotate | Self::PricesWrite | Self::ConfigReload => "S",
            Self::PolicyWrite => "SOog",
            Self::ConfigRead => "SOA",
            Self::UsersRead | Self::LockoutsRead => "SAag",
            Self::UsersWrite | Self::LockoutsClear | Self::LimitsWrite | Self::PrivacyWrite => "Sg",
            Self::KeysRead | Self::LimitsRead => "SAMagm",
            Self::PeopleWrite => "SMgm",
            Self::AuditRead | Self::AuditExport => "SAa",
            Self::RunningRead => "SOAMoagm",
            Self::RunningCancel => "SOMogm",
            Self::AuditVerify | Self::SecretsRead => "SA",
        }
    }

    /// Whether using it changes something.
    fn changes(self) -> bool {
        matches!(
            self,
            Self::NodesWrite
                | Self::ModelsWrite
                | Self::StrategyWrite
                | Self::JobsCancel
                | Self::PeopleWrite
                | Self::OrganizationsAdd
                | Self::UsersWrite
                | Self::LockoutsClear
                | Self::RunningCancel
                | Self::SecretsRotate
                | Self::Own
                | Self::LimitsWrite
                | Self::PricesWrite
                | Self::PolicyWrite
                | Self::PrivacyWrite
                | Self::OwnAccount
                | Self::ConfigReload
        )
    }
}

fn letter(role: Role, bound: bool) -> char {
    let letter = match role {
        Role::Superadmin => 'S',
        Role::Operator => 'O',
        Role::Auditor => 'A',
        Role::OrgAdmin => 'G',
        Role::Member => 'M',
    };
    if bound { letter.to_ascii_lowercase() } else { letter }
}

/// Why not, in a few words.
pub(super) fn why_not(model: &Model, right: Right) -> Option<String> {
    let Link::Up { login, .. } = &model.link else { return Some("not connected".into()) };
    if right.changes() && model.settings.read_only {
        return Some("started with --read-only".into());
    }
    if right == Right::Status {
        return None;
    }
    let Some(role) = model.identity.as_ref().and_then(|who| who.role.map(|role| (role, who))) else {
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
    if right.roles().contains(letter(role, who.organization.is_some())) {
        return None;
    }
    let may = Role::ALL.into_iter().find(|role| {
        *role != Role::Superadmin && right.roles().contains([letter(*role, false), letter(*role, true)])
    });
    Some(match may {
        Some(may) => format!("your role is {role}; this takes {may} or superadmin"),
        None => format!("your role is {role}; this takes superadmin"),
    })
}
