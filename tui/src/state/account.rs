//! What the console knows of its own user's account, while something is done about it.

use aivonx_protocol::{UnixMillis, WireSecret, account::TotpOffer};

use super::secret_input::SecretInput;
use crate::{
    msg::Ticket,
    render::qr::{self, Modules},
};

/// One's own account.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The password as it was typed last, until what has to be done before anything else is done: so that it
    /// is asked for once.
    pub(crate) password: Option<WireSecret>,
    /// Whether a second factor is to be set up next.
    pub(crate) wants_factor: bool,
    /// The screen is locked.
    pub(crate) lock: Option<Lock>,
    /// Whose screen this is, so that somebody else finds nothing of it.
    pub(crate) user: Option<String>,
    /// Whether the daemon is the caller's own, or the caller is root: then they may make the first
    /// administrator.
    pub(crate) may_set_up: bool,
}

/// A screen that is locked.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Since when.
    pub(crate) since: UnixMillis,
    /// What was typed.
    pub(crate) password: SecretInput,
    /// The call that checks it.
    pub(crate) sent: Option<Ticket>,
    /// Why it was not taken.
    pub(crate) fault: Option<String>,
}

/// A second factor that was offered: to be confirmed with a code of it.
#[derive(Debug)]
pub(crate) struct Enrol {
    /// The secret, as text and as an address.
    pub(crate) offer: TotpOffer,
    /// The address as a picture; None if it is too long for one.
    pub(crate) picture: Option<Modules>,
    /// The code typed.
    pub(crate) code: SecretInput,
    /// The call that checks it.
    pub(crate) sent: Option<Ticket>,
    /// Why it was not taken.
    pub(crate) fault: Option<String>,
    /// Whether the secret was copied.
    pub(crate) copied: bool,
    /// Whether the picture is turned round: the terminal's background is not what it was taken for.
    pub(crate) inverted: bool,
}

impl Enrol {
    /// Of what the daemon offers.
    pub(crate) fn new(offer: TotpOffer) -> Self {
        let picture = Modules::of(&qr::short(offer.uri.expose()));
        Self {
            offer,
            picture,
            code: SecretInput::default(),
            sent: None,
            fault: None,
            copied: false,
            inverted: false,
        }
    }
}

/// What is asked of the daemon about one's own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountStep {
    /// Make the first administrator.
    SetUp,
    /// Change the password.
    Password,
    /// Set a new one with a code.
    Redeem,
    /// Offer a second factor.
    Offer,
    /// Turn it on.
    Confirm,
    /// Turn it off.
    Disable,
    /// New backup codes.
    Codes,
    /// Is it the same person? For a locked screen.
    Unlock,
    /// End the session and the console: of a locked screen.
    Leave,
}

impl AccountStep {
    /// What is said while it runs.
    pub(crate) fn doing(self) -> &'static str {
        match self {
            Self::SetUp => "Making the administrator",
            Self::Password => "Changing the password",
            Self::Redeem => "Setting the password",
            Self::Offer => "Asking for a second factor",
            Self::Confirm | Self::Unlock => "Checking",
            Self::Disable => "Turning the second factor off",
            Self::Codes => "Making backup codes",
            Self::Leave => "Logging out",
        }
    }
}
