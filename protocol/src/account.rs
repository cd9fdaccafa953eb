//! The caller's own account: set-up, login, password, two-factor authentication.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis, WireSecret, operation::operations, organization::LimitProfile, session::Session, user::Role,
};

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

operations! {
    /// Requests about the caller's own account. Login, Resume and Setup also say who the connection is from then
    /// on.
    Request::Account(AccountRequest);

    /// Make the first superadmin, or rescue one.
    "account.setup" Setup {
        /// Name of the superadmin.
        username: String,
        /// Its password.
        password: WireSecret,
        /// Do not ask it for two-factor authentication, although the configuration does.
        no_totp: bool,
        /// Limits of the organizations to come; None keeps what is there.
        profile: Option<LimitProfile>,
        /// Rescue an existing user: new password, second factor and lockouts cleared. For uid 0.
        recover: bool,
    } -> LoggedIn as LoggedIn, needs Setup;

    /// Begin a session. A missing or wrong second factor is `FaultKind::NotPermitted` with the field `otp`;
    /// then ask for it and try again.
    "account.login" Login {
        /// Name of the user.
        username: String,
        /// Its password.
        password: WireSecret,
        /// Code of the authenticator, or a backup code.
        otp: Option<WireSecret>,
    } -> LoggedIn as LoggedIn, needs Login;

    /// Go on with a session or use a control token.
    "account.resume" Resume {
        /// Its secret.
        secret: WireSecret,
    } -> Identity as Identity, needs Identify;

    /// End the session.
    "account.logout" Logout -> () as Done, needs Account;

    /// Who the connection is.
    "account.whoami" Whoami -> Identity as Identity, needs Identify;

    /// Change the password; ends the other sessions.
    "account.password" Password {
        /// The old one.
        old: WireSecret,
        /// The new one.
        new: WireSecret,
    } -> () as Done, needs Account;

    /// Offer a second factor.
    "account.totp_begin" TotpBegin {
        /// The password, again.
        password: WireSecret,
    } -> TotpOffer as TotpOffer, needs Account;

    /// Turn the offered second factor on.
    "account.totp_confirm" TotpConfirm {
        /// A code of it.
        code: WireSecret,
    } -> Vec<WireSecret> as BackupCodes, needs Account;

    /// Turn the second factor off, where the rules allow it.
    "account.totp_disable" TotpDisable {
        /// The password, again.
        password: WireSecret,
        /// A code of it, or a backup code.
        code: WireSecret,
    } -> () as Done, needs Account;

    /// Make new backup codes; the old ones are void.
    "account.backup_codes" BackupCodes {
        /// The password, again.
        password: WireSecret,
        /// A code of the second factor.
        code: WireSecret,
    } -> Vec<WireSecret> as BackupCodes, needs Account;

    /// Is it still the same person? For a console that was locked. A wrong password counts like one at a
    /// login.
    "account.verify" Verify {
        /// The password, again.
        password: WireSecret,
    } -> () as Done, needs Account;

    /// Set a new password with the code that an administrator gave; then log in with it. Ends every session
    /// of the user.
    "account.redeem" Redeem {
        /// Name of the user.
        username: String,
        /// The code.
        code: WireSecret,
        /// The new password.
        password: WireSecret,
    } -> () as Done, needs Login;
}
