//! What can be recorded: a closed list.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal $kind:ident;)*) => {
        /// What an audit entry records. A closed list, appended to and never reordered: the position crosses the
        /// wire, the name is part of what is hashed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Action {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $name)]
                $variant,
            )*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word used in entries, queries and the journal.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether it also goes to the log, as an event of the same name.
            #[must_use]
            pub const fn is_security(self) -> bool {
                match self { $(Self::$variant => actions!(@ $kind),)* }
            }
        }
    };
    (@ security) => { true };
    (@ routine) => { false };
}

actions! {
    /// A person logged in.
    Login = "login" routine;
    /// A log-in was refused: unknown user, wrong password or code, locked out.
    LoginFailed = "login_failed" security;
    /// A session was ended by its owner.
    Logout = "logout" routine;
    /// Too many failures: a user is locked out from an address.
    Lockout = "lockout" security;
    /// An administrator lifted a lock-out.
    LockoutCleared = "lockout_cleared" security;
    /// The first administrator was made.
    Setup = "setup" security;
    /// Break-glass: root gave a user a new password.
    Recover = "recover" security;
    /// A user changed the own password.
    PasswordChange = "password_change" security;
    /// An administrator reset a user's password, or the user spent the reset code.
    PasswordReset = "password_reset" security;
    /// Two-factor authentication was switched on or off, reset, or got new backup codes.
    TotpChange = "totp_change" security;
    /// A backup code was spent.
    BackupCodeUsed = "backup_code_used" security;
    /// Something was made: an organization, a user, a node.
    Create = "create" routine;
    /// Something was changed.
    Update = "update" routine;
    /// Something was removed.
    Delete = "delete" routine;
    /// Something was switched on.
    Enable = "enable" routine;
    /// Something was switched off or drained.
    Disable = "disable" routine;
    /// A role or the rights of an organization changed.
    PermissionChange = "permission_change" security;
    /// An API key was made.
    KeyCreate = "key_create" security;
    /// An API key was changed.
    KeyUpdate = "key_update" routine;
    /// An API key got a new secret.
    KeyRotate = "key_rotate" security;
    /// An API key was revoked.
    KeyRevoke = "key_revoke" security;
    /// A control token was made.
    TokenCreate = "token_create" security;
    /// A control token or another's session was revoked.
    TokenRevoke = "token_revoke" security;
    /// A spent refresh token came again: its family is revoked.
    TokenReuse = "token_reuse" security;
    /// A request was refused for lack of rights.
    Denied = "denied" security;
    /// A request named something of another organization.
    CrossOrgDenied = "cross_org_denied" security;
    /// What one actor had inferred within a minute.
    InferenceSummary = "inference_summary" routine;
    /// A model was pulled.
    ModelPull = "model_pull" routine;
    /// A job was ended by hand.
    JobCancel = "job_cancel" routine;
    /// The configuration file was read again.
    ConfigReload = "config_reload" routine;
    /// Data keys, the pepper or signing keys were replaced.
    SecretsRotate = "secrets_rotate" security;
    /// Key material was checked.
    SecretsValidate = "secrets_validate" routine;
    /// Across organizations something was read that is recorded.
    Read = "read" routine;
    /// The audit log was read.
    AuditRead = "audit_read" routine;
    /// The audit log was verified.
    AuditVerify = "audit_verify" routine;
    /// The audit log was exported.
    Export = "export" security;
    /// Entries older than the retention were removed.
    AuditRetention = "audit_retention" security;
    /// Entries were lost or folded together because they came too fast.
    AuditOverflow = "audit_overflow" security;
    /// A chain of entries begins: the first, or anew after a loss.
    ChainStart = "chain_start" security;
    /// The store was restored from a snapshot.
    Restore = "restore" security;
    /// The daemon serves.
    Start = "start" routine;
    /// The daemon stops.
    Stop = "stop" routine;
    /// A running request was ended by hand.
    RequestCancel = "request_cancel" routine;
    /// A server was asked what it is, without being added.
    NodeProbe = "node_probe" routine;
    /// A model was loaded into a node's memory.
    ModelLoad = "model_load" routine;
    /// A model was taken out of a node's memory.
    ModelUnload = "model_unload" routine;
    /// The disk lost the newest entries of this log, of the usage ledger or of the counters of limits.
    ChainLost = "chain_lost" security;
    /// A model was copied under another name.
    ModelCopy = "model_copy" routine;
    /// A model was made out of others, or of files.
    ModelCreate = "model_create" routine;
    /// A model was sent to its registry.
    ModelPush = "model_push" routine;
    /// A file that models are made of was sent to a node.
    ModelUpload = "model_upload" routine;
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no action of the audit log; some are login_failed, create, key_revoke, export", crate::Untrusted::new(.0))]
pub struct NoAction(pub String);

impl std::str::FromStr for Action {
    type Err = NoAction;

    fn from_str(word: &str) -> Result<Self, NoAction> {
        Self::ALL.iter().copied().find(|a| a.as_str() == word).ok_or_else(|| NoAction(word.to_owned()))
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Carried out.
    Ok,
    /// Refused: not allowed, not known, locked out.
    Denied,
    /// Tried and failed.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Denied, Self::Failed];

    /// The word used in entries and queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_found_by_name_and_serialise_as_it() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse::<Action>().as_ref(), Ok(action));
            assert_eq!(serde_json::to_string(action).unwrap(), format!("\"{action}\""));
        }
        assert!("LOGIN".parse::<Action>().is_err());
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("\"{outcome}\""));
        }
    }
}
