//! Why an operation on one's own account is refused. Each cause has a stable code for programs.

use aivonx_limits::duration;
use aivonx_protocol::{Fault, FaultKind};
use aivonx_store::{StoreError, secrets::SecretsError};

use super::{
    NoRandom,
    jwt::JwtError,
    password::{HashError, Rule},
    refresh::RefreshError,
    second_factor::FactorError,
};

/// Why an operation on one's own account is refused.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No such user, a wrong password, a disabled account, or a wrong second factor: the client cannot find out which.
    #[error("wrong user name, password or one-time code")]
    Credentials,
    /// The password is right; the second factor is missing.
    #[error("a one-time code is needed too: send it as \"otp\"")]
    OtpRequired,
    /// Too many failures; so many seconds are left.
    #[error("too many failed logins; try again in {}", duration(.0.saturating_mul(1000)))]
    Locked(u64),
    /// Too many others log in, or this user too often at once.
    #[error("too many logins at once; try again in a few seconds")]
    Busy,
    /// No access token.
    #[error("an access token is needed; POST /api/account/login gives one")]
    NoToken,
    /// The caller is nobody's account: the daemon's own user, or an API key.
    #[error("this caller has no account of its own")]
    NoAccount,
    /// It has expired.
    #[error("the access token has expired; POST /api/account/refresh gives another")]
    TokenExpired,
    /// It is wrong, or revoked.
    #[error("the access token is not valid; log in")]
    TokenInvalid,
    /// Malformed, unknown, ended, expired or spent.
    #[error("the refresh token is not valid; log in")]
    Refresh,
    /// Two-factor authentication must be set up first.
    #[error("two-factor authentication must be set up first, with POST /api/account/totp")]
    MustEnrol,
    /// The password must be changed first.
    #[error("the password must be changed first, with POST /api/account/password")]
    MustChangePassword,
    /// The new password breaks rules.
    #[error("the new password is refused: {}", .0.iter().map(Rule::to_string).collect::<Vec<_>>().join("; "))]
    WeakPassword(Vec<Rule>),
    /// The new password is the old one.
    #[error("the new password is the old one; choose another")]
    SamePassword,
    /// The reset code is wrong, spent or expired, or there is no such user.
    #[error("the code is wrong, used or expired; ask your administrator for another")]
    ResetCode,
    /// The one-time code is wrong or used.
    #[error("the one-time code is wrong or was used; wait for the next")]
    OneTimeCode,
    /// It is on already.
    #[error("two-factor authentication is set up already; disable it first to use another authenticator")]
    TotpOn,
    /// It is not on, or was not begun.
    #[error("two-factor authentication is not set up; begin with {{\"action\":\"begin\"}}")]
    TotpOff,
    /// The rules demand it.
    #[error("two-factor authentication is required here and cannot be disabled")]
    TotpRequired,
    /// The body is not what is expected.
    #[error("{0}")]
    Invalid(String),
    /// Anything else, with its fault.
    #[error("{}", .0.message)]
    Other(Fault),
}

impl AccountError {
    /// The code programs go by. Never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Credentials => "invalid_credentials",
            Self::OtpRequired => "otp_required",
            Self::Locked(_) => "locked",
            Self::Busy => "busy",
            Self::NoToken => "token_required",
            Self::NoAccount => "no_account",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::Refresh => "refresh_invalid",
            Self::MustEnrol => "totp_enrolment_required",
            Self::MustChangePassword => "password_change_required",
            Self::WeakPassword(_) => "password_refused",
            Self::SamePassword => "password_unchanged",
            Self::ResetCode => "reset_code_invalid",
            Self::OneTimeCode => "otp_invalid",
            Self::TotpOn => "totp_enabled",
            Self::TotpOff => "totp_disabled",
            Self::TotpRequired => "totp_required",
            Self::Invalid(_) => "invalid_request",
            Self::Other(fault) => match fault.kind {
                FaultKind::Invalid => "invalid_request",
                FaultKind::NotFound => "not_found",
                FaultKind::Conflict => "conflict",
                FaultKind::NotPermitted => "not_permitted",
                FaultKind::Unavailable | FaultKind::TimedOut => "unavailable",
                _ => "internal",
            },
        }
    }
}

/// For the control socket, whose clients go by the kind and the field.
impl From<AccountError> for Fault {
    fn from(error: AccountError) -> Self {
        use AccountError as E;
        let text = error.to_string();
        match error {
            E::Other(fault) => fault,
            E::OtpRequired => {
                Self::new(FaultKind::NotPermitted, "a one-time code is needed too").field("otp")
            }
            E::OneTimeCode => Self::new(FaultKind::NotPermitted, text).field("otp"),
            E::Credentials | E::Locked(_) | E::NoToken | E::TokenExpired | E::TokenInvalid | E::Refresh => {
                Self::new(FaultKind::NotPermitted, text)
            }
            E::NoAccount => Self::new(FaultKind::Invalid, text).hint("log in as a user: aivonx login"),
            E::MustEnrol => {
                Self::new(FaultKind::NotPermitted, "two-factor authentication must be set up first")
                    .hint("aivonx totp enable")
            }
            E::MustChangePassword => {
                Self::new(FaultKind::NotPermitted, "the password must be changed first").hint("aivonx passwd")
            }
            E::WeakPassword(_) | E::SamePassword => Self::new(FaultKind::Invalid, text).field("password"),
            E::ResetCode => Self::new(FaultKind::NotPermitted, text).field("code"),
            E::TotpOn => Self::new(FaultKind::Conflict, "two-factor authentication is set up already")
                .hint("to use another authenticator, aivonx totp disable first"),
            E::TotpOff => Self::new(FaultKind::Conflict, "two-factor authentication is not set up")
                .hint("aivonx totp enable"),
            E::TotpRequired => Self::new(FaultKind::NotPermitted, text),
            E::Invalid(_) => Self::new(FaultKind::Invalid, text),
            E::Busy => Self::new(FaultKind::Unavailable, text),
        }
    }
}

impl From<Fault> for AccountError {
    fn from(fault: Fault) -> Self {
        Self::Other(fault)
    }
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        Self::Other(error.into())
    }
}

impl From<JwtError> for AccountError {
    fn from(error: JwtError) -> Self {
        if error == JwtError::Expired { Self::TokenExpired } else { Self::TokenInvalid }
    }
}

impl From<RefreshError> for AccountError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Unknown | RefreshError::Reused(_) => Self::Refresh,
            RefreshError::Store(error) => error.into(),
            RefreshError::NoRandom(error) => error.into(),
        }
    }
}

impl From<FactorError> for AccountError {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::Store(error) => error.into(),
            other => internal(&other),
        }
    }
}

impl From<HashError> for AccountError {
    fn from(error: HashError) -> Self {
        if error == HashError::Busy { Self::Busy } else { internal(&error) }
    }
}

impl From<NoRandom> for AccountError {
    fn from(error: NoRandom) -> Self {
        internal(&error)
    }
}

impl From<SecretsError> for AccountError {
    fn from(error: SecretsError) -> Self {
        internal(&error)
    }
}

/// An internal failure: the cause goes to the log, the client only learns that there was one.
fn internal(error: &dyn std::error::Error) -> AccountError {
    tracing::error!(error = %error, "an operation on an account failed");
    AccountError::Other(Fault::new(FaultKind::Internal, "the gateway failed; its log has the cause"))
}
