//! User records.

use std::fmt;

use aivonx_protocol::{UnixMillis, user::Role};
use serde::{Deserialize, Serialize};

use crate::secrets::Sealed;

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// A user as kept in the store. `Debug` shows nothing that helps to log in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// UUID v7, never reused.
    pub id: String,
    /// Unique in the fleet, lower case, `[a-z0-9][a-z0-9._@-]{0,62}`.
    pub name: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// E-mail address, for people.
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Id of its organization; None is fleet-wide.
    pub organization: Option<String>,
    /// Whether it may do anything.
    pub enabled: bool,
    /// Hash of the password (PHC string); None: none is set, only a reset code lets in.
    pub password: Option<String>,
    /// When the password was last set; 0 is never.
    pub password_changed: UnixMillis,
    /// Whether the password must be changed at the next login.
    pub must_change_password: bool,
    /// Two-factor authentication.
    pub totp: Option<StoredTotp>,
    /// Two-factor authentication is not demanded of it by the configuration, only by its organization.
    pub totp_exempt: bool,
    /// Hashes of the backup codes not used yet, hex.
    pub backup_codes: Vec<String>,
    /// A code for setting a new password.
    pub reset: Option<StoredReset>,
    /// Raised to revoke every session and token.
    pub epoch: u64,
    /// When it last logged in.
    pub last_login: Option<UnixMillis>,
    /// When it was added.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

/// Two-factor authentication at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTotp {
    /// The shared secret, sealed to tree `user` and the user's id.
    pub secret: Sealed,
    /// A code was entered once; before, it is not asked for.
    pub confirmed: bool,
    /// The last time step whose code was used: no code is used twice.
    pub last_step: u64,
}

/// A single-use code for setting a new password, at rest.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReset {
    /// What [`aivonx_identity::code::hash`] made of it.
    pub hash: String,
    /// Until when it can be used.
    pub expires: UnixMillis,
}

impl UserRecord {
    /// An enabled user that has not been added yet, without a password or anything else.
    #[must_use]
    pub fn new(name: &str, role: Role, organization: Option<&str>) -> Self {
        Self {
            id: String::new(),
            name: name.to_owned(),
            display_name: None,
            email: None,
            role,
            organization: organization.map(str::to_owned),
            enabled: true,
            password: None,
            password_changed: 0,
            must_change_password: false,
            totp: None,
            totp_exempt: false,
            backup_codes: Vec::new(),
            reset: None,
            epoch: 1,
            last_login: None,
            created: 0,
            revision: 0,
        }
    }
}

impl Record for UserRecord {
    const COLLECTION: Collection = Collection::User;
    const TREES: Trees =
        Trees { record: Tree::User, name: Some(Tree::UserName), owner: Some(Tree::UserOwner) };

    record_head!();

    fn name(&self) -> Option<(Option<&str>, &str)> {
        Some((None, &self.name))
    }

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    fn user(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn is_last_resort(&self) -> bool {
        self.role == Role::Superadmin && self.enabled
    }
}

impl fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("organization", &self.organization)
            .field("enabled", &self.enabled)
            .field("epoch", &self.epoch)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredReset").field("expires", &self.expires).finish_non_exhaustive()
    }
}
