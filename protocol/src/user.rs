//! Users, and the roles they have.

use serde::{Deserialize, Serialize};

pub use crate::role::{NoRole, Role};
use crate::{
    UnixMillis, WireSecret,
    audit::{Action, Noted},
    operation::operations,
    session::Session,
};

/// One user as administrators see it. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Stable id, never reused.
    pub id: String,
    /// Unique name, `[a-z0-9][a-z0-9._@-]{0,62}`.
    pub name: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// E-mail address, for people; nothing is ever sent there.
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Slug of its organization.
    pub organization: Option<String>,
    /// Whether it may do anything.
    pub enabled: bool,
    /// Whether two-factor authentication is set up.
    pub totp: bool,
    /// Backup codes not used yet.
    pub backup_codes: u32,
    /// Whether the password must be changed at the next login.
    pub must_change_password: bool,
    /// When it last logged in.
    pub last_login: Option<UnixMillis>,
    /// When it was added.
    pub created: UnixMillis,
    /// Revision of the record; a change must name it.
    pub revision: u64,
}

/// A user to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewUser {
    /// Unique name.
    pub name: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Slug or id of its organization.
    pub organization: Option<String>,
    /// Its first password; without one, `ResetPassword` gives a code for setting it.
    pub password: Option<WireSecret>,
}

impl NewUser {
    fn noted(&self) -> Noted {
        let Self { name, display_name, email, role, organization, password } = self;
        Noted::new(Action::Create, "user", name)
            .of_organization(organization.as_deref())
            .maybe("display_name", display_name)
            .maybe("email", email)
            .with("role", role)
            .with("can_log_in", password.is_some())
    }
}

/// What to change in a user; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserChange {
    /// New name.
    pub name: Option<String>,
    /// New name for people; `Some(None)` removes it.
    pub display_name: Option<Option<String>>,
    /// New e-mail address; `Some(None)` removes it.
    pub email: Option<Option<String>>,
    /// New role; ends its sessions.
    pub role: Option<Role>,
    /// New organization, by slug or id; `Some(None)` makes it fleet-wide. Ends its sessions.
    pub organization: Option<Option<String>>,
}

impl UserChange {
    fn noted(&self, user: &str) -> Noted {
        let Self { name, display_name, email, role, organization } = self;
        let rights = role.is_some() || organization.is_some();
        Noted::new(if rights { Action::PermissionChange } else { Action::Update }, "user", user)
            .maybe("name", name)
            .maybe("display_name", display_name)
            .maybe("email", email)
            .maybe("role", role)
            .maybe("organization", organization)
    }
}

/// A code that lets a user set a new password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetCode {
    /// The code, shown once, usable once.
    pub code: WireSecret,
    /// Until when.
    pub expires: UnixMillis,
}

operations! {
    /// Requests about users. One is named by its name or its id.
    Request::User(UserRequest);

    /// The users the caller may see, by name.
    "user.list" List {
        /// Only those of this organization, by slug or id.
        organization: Option<String>,
        /// Only those of this role.
        role: Option<Role>,
    } -> Vec<User> as Users, needs UserRead;

    /// One.
    "user.show" Show {
        /// Name or id.
        user: String,
    } -> User as User, needs UserRead;

    /// Add one.
    "user.add" Add(Box<NewUser>) -> User as User, needs UserWrite, noted |op| op.0.noted();

    /// Change fields.
    "user.set" Set {
        /// Name or id.
        user: String,
        /// Revision the caller saw; None changes any revision.
        revision: Option<u64>,
        /// The change.
        change: Box<UserChange>,
    } -> User as User, needs UserWrite, noted |op| op.change.noted(&op.user);

    /// Enable or disable; disabling ends its sessions, tokens and running requests.
    "user.set_enabled" SetEnabled {
        /// Name or id.
        user: String,
        /// Revision the caller saw; None changes any revision.
        revision: Option<u64>,
        /// The new state.
        enabled: bool,
    } -> User as User, needs UserWrite,
        noted |op| {
            Noted::new(if op.enabled { Action::Enable } else { Action::Disable }, "user", &op.user)
        };

    /// Remove one with its keys and sessions.
    "user.remove" Remove {
        /// Name or id.
        user: String,
        /// Revision the caller saw; None removes any revision.
        revision: Option<u64>,
    } -> () as Done, needs UserWrite, noted |op| Noted::new(Action::Delete, "user", &op.user);

    /// Take the password away and give a code for setting a new one; ends its sessions.
    "user.reset_password" ResetPassword {
        /// Name or id.
        user: String,
    } -> ResetCode as ResetCode, needs UserWrite,
        noted |op| Noted::new(Action::PasswordReset, "user", &op.user);

    /// Take two-factor authentication away; ends its sessions.
    "user.reset_totp" ResetTotp {
        /// Name or id.
        user: String,
    } -> User as User, needs UserWrite,
        noted |op| {
            Noted::new(Action::TotpChange, "user", &op.user).with("change", "reset by an administrator")
        };

    /// Its sessions and tokens.
    "user.sessions" Sessions {
        /// Name or id.
        user: String,
    } -> Vec<Session> as Sessions, needs UserRead;

    /// End its sessions and tokens, or one of them.
    "user.logout" Logout {
        /// Name or id.
        user: String,
        /// Id of the session; None ends all.
        session: Option<String>,
    } -> u32 as SessionsEnded, needs UserWrite,
        noted |op| {
            let sessions = op.session.as_deref().unwrap_or("all");
            Noted::new(Action::TokenRevoke, "user", &op.user).with("sessions", sessions)
        };
}
