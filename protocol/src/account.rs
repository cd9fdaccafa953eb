//! The caller's own account: set-up, login, password, two-factor authentication.

use serde::{Deserialize, Serialize};

use crate::{UnixMillis, WireSecret, organization::LimitProfile, session::Session, user::Role};

/// The first administrator, or one to be rescued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Name of the superadmin.
    pub username: String,
    /// Its password.
    pub password: WireSecret,
    /// Do not ask it for two-factor authentication, although the configuration does.
    pub no_totp: bool,
    /// Limits of the organizations to come; None keeps what is there.
    pub profile: Option<LimitProfile>,
    /// Rescue an existing user: new password, second factor and lockouts cleared. For uid 0.
    pub recover: bool,
}

/// Who the caller is. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name of the user; None is the daemon's own uid in `dev`, or nobody yet.
    pub user: Option<String>,
    /// What it may do; None is nothing before logging in.
    pub role: Option<Role>,
    /// Slug of the organization it is bound to.
    pub organization: Option<String>,
    /// The session in use.
    pub session: Option<Session>,
    /// Two-factor authentication must be set up before anything else.
    pub must_enrol: bool,
    /// The password must be changed before anything else.
    pub must_change_password: bool,
    /// Whether two-factor authentication is set up.
    pub totp: bool,
    /// Backup codes not used yet.
    pub backup_codes: u32,
    /// The peer's uid.
    pub uid: u32,
    /// Whether there is an administrator at all; if not, `aivonx setup` makes one.
    pub set_up: bool,
}

/// A session just begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedIn {
    /// Who.
    pub identity: Identity,
    /// What resumes the session on another connection.
    pub secret: WireSecret,
    /// When it ends at the latest.
    pub expires: UnixMillis,
    /// After how long without use it ends, milliseconds.
    pub idle_ms: u64,
}

/// A second factor to be confirmed with a first code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotpOffer {
    /// The secret, base32, to type.
    pub secret: WireSecret,
    /// The same as an `otpauth://` URI, to draw as a QR code.
    pub uri: WireSecret,
}

/// Requests about the caller's own account. Login, Resume and Setup also say who the connection is from then
/// on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountRequest {
    /// Make the first superadmin, or rescue one. Answered with `Reply::LoggedIn`.
    Setup(Box<Setup>),
    /// Begin a session. A missing or wrong second factor is `FaultKind::NotPermitted` with the field `otp`; then
    /// ask for it and try again. Answered with `Reply::LoggedIn`.
    Login {
        /// Name of the user.
        username: String,
        /// Its password.
        password: WireSecret,
        /// Code of the authenticator, or a backup code.
        otp: Option<WireSecret>,
    },
    /// Go on with a session or use a control token. Answered with `Reply::Identity`.
    Resume {
        /// Its secret.
        secret: WireSecret,
    },
    /// End the session. Answered with `Reply::Done`.
    Logout,
    /// Who the connection is. Answered with `Reply::Identity`.
    Whoami,
    /// Change the password; ends the other sessions. Answered with `Reply::Done`.
    Password {
        /// The old one.
        old: WireSecret,
        /// The new one.
        new: WireSecret,
    },
    /// Offer a second factor. Answered with `Reply::TotpOffer`.
    TotpBegin {
        /// The password, again.
        password: WireSecret,
    },
    /// Turn the offered second factor on. Answered with `Reply::BackupCodes`.
    TotpConfirm {
        /// A code of it.
        code: WireSecret,
    },
    /// Turn the second factor off, where the rules allow it. Answered with `Reply::Done`.
    TotpDisable {
        /// The password, again.
        password: WireSecret,
        /// A code of it, or a backup code.
        code: WireSecret,
    },
    /// Make new backup codes; the old ones are void. Answered with `Reply::BackupCodes`.
    BackupCodes {
        /// The password, again.
        password: WireSecret,
        /// A code of the second factor.
        code: WireSecret,
    },
    /// Is it still the same person? For a console that was locked. A wrong password counts like one at a login.
    /// Answered with `Reply::Done`.
    Verify {
        /// The password, again.
        password: WireSecret,
    },
    /// Set a new password with the code that an administrator gave; then log in with it. Ends every session of the
    /// user. Answered with `Reply::Done`.
    Redeem {
        /// Name of the user.
        username: String,
        /// The code.
        code: WireSecret,
        /// The new password.
        password: WireSecret,
    },
}
