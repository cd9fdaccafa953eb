//! What can be set: a limit, and for each of whom it counts.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{LimitName, LimitUnit, UnknownLimit};
use crate::money::MicroUsd;

/// The highest cap that can be set: 10^15 requests, tokens or characters, or a milliard US dollars.
pub const CAP_MAX: u64 = 1_000_000_000_000_000;

/// What becomes of requests for models without a price.
const REFUSE: &str = "refuse";
const FREE: &str = "free";

/// For each of whom a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Each {
    /// What it is set on: an organization's total, or the user's or key's own.
    Itself,
    /// Each user below what it is set on, and each key that acts for nobody.
    User,
    /// Each key below what it is set on.
    Key,
}

/// A limit as it is set: `inference.day`, `user.inference.day`, `key.inference.day`.
///
/// On the fleet and on organizations a bare name is an organization's total where there are totals, and each
/// user's own where there are none ([`LimitName::has_total`]); `user.` and `key.` name those of each user and of
/// each key. What each key may ask in an hour is `key.hour`. On users and keys a bare name is their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct LimitSetting {
    /// The limit.
    pub name: LimitName,
    /// For each of whom.
    pub each: Each,
}

impl LimitSetting {
    /// What a bare name means on the fleet and on organizations.
    #[must_use]
    pub fn bare(name: LimitName) -> Self {
        let each = if name.has_total() || name.is_by_address() { Each::Itself } else { Each::User };
        Self { name, each }
    }

    /// The limit of each user.
    #[must_use]
    pub fn of_user(name: LimitName) -> Self {
        Self { name, each: Each::User }
    }

    /// The limit of each key.
    #[must_use]
    pub fn of_key(name: LimitName) -> Self {
        Self { name, each: Each::Key }
    }

    /// Whether it is written without `user.` and `key.`.
    #[must_use]
    pub fn is_bare(self) -> bool {
        self.each == Each::Itself || self == Self::bare(self.name)
    }

    /// Every setting that the fleet can have, in the order shown to people.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let bare = LimitName::ALL.into_iter().map(Self::bare);
        let users = LimitName::ALL.into_iter().filter(|name| name.has_total()).map(Self::of_user);
        let keys = LimitName::ALL.into_iter().filter(|name| Self::goes_for_keys(*name)).map(Self::of_key);
        bare.chain(users).chain(keys).collect()
    }

    /// Whether each key has a limit of it.
    #[must_use]
    pub fn goes_for_keys(name: LimitName) -> bool {
        !name.is_by_address() && !matches!(name, LimitName::TokenHour | LimitName::SpendUnpriced)
    }

    /// Reads a cap: a count, US dollars with up to six decimals for spend, or `unlimited` (None); for
    /// `spend.unpriced`, `refuse` (0) or `free` (None).
    ///
    /// # Errors
    /// What can be written instead.
    pub fn cap(self, text: &str) -> Result<Option<u64>, BadValue> {
        let bad = |fix| BadValue { setting: self, value: text.to_owned(), fix };
        if self.name == LimitName::SpendUnpriced {
            return match text {
                REFUSE => Ok(Some(0)),
                FREE => Ok(None),
                _ => Err(bad("use free or refuse")),
            };
        }
        if text == "unlimited" {
            return Ok(None);
        }
        let (cap, fix) = match self.name.unit() {
            LimitUnit::MicroUsd => {
                let fix = "use US dollars with up to 6 decimals, such as 10 or 0.25, or unlimited";
                (text.parse::<MicroUsd>().ok().map(|amount| amount.0), fix)
            }
            _ => {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                (text.parse().ok().filter(|_| digits), "use a whole number, or unlimited")
            }
        };
        match cap {
            Some(cap) if cap <= CAP_MAX => Ok(Some(cap)),
            Some(_) => Err(bad("use less, or unlimited")),
            None => Err(bad(fix)),
        }
    }

    /// Writes a cap as [`Self::cap`] reads it.
    #[must_use]
    pub fn cap_text(self, cap: Option<u64>) -> String {
        match (cap, self.name.unit()) {
            (cap, _) if self.name == LimitName::SpendUnpriced => {
                if cap.is_some() { REFUSE } else { FREE }.to_owned()
            }
            (None, _) => "unlimited".to_owned(),
            (Some(cap), LimitUnit::MicroUsd) => MicroUsd(cap).to_string(),
            (Some(cap), _) => cap.to_string(),
        }
    }
}

/// A value that no limit can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} cannot be '{}': {fix}", crate::Untrusted::new(.value).max(40))]
pub struct BadValue {
    /// What was to be set.
    pub setting: LimitSetting,
    /// The value.
    pub value: String,
    /// What can be written instead.
    pub fix: &'static str,
}

impl fmt::Display for LimitSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.each, self.name) {
            _ if self.is_bare() => return self.name.fmt(f),
            (Each::Key, LimitName::UserHour) => "key.hour".to_owned(),
            (Each::Key, name) => format!("key.{name}"),
            (_, name) => format!("user.{name}"),
        };
        f.pad(&text)
    }
}

impl FromStr for LimitSetting {
    type Err = UnknownLimit;

    fn from_str(text: &str) -> Result<Self, UnknownLimit> {
        let unknown = || UnknownLimit(text.to_owned());
        if let Ok(name) = text.parse() {
            return Ok(Self::bare(name));
        }
        let setting = match text.split_once('.') {
            Some(("key", "hour")) => Self::of_key(LimitName::UserHour),
            Some(("key", name)) => Self::of_key(name.parse().map_err(|_| unknown())?),
            Some(("user", name)) => Self::of_user(name.parse().map_err(|_| unknown())?),
            _ => return Err(unknown()),
        };
        let good = match setting.each {
            Each::Key => Self::goes_for_keys(setting.name) && setting.to_string() == text,
            _ => !setting.name.is_by_address(),
        };
        if good { Ok(setting) } else { Err(unknown()) }
    }
}

impl From<LimitSetting> for String {
    fn from(setting: LimitSetting) -> Self {
        setting.to_string()
    }
}

impl TryFrom<String> for LimitSetting {
    type Error = UnknownLimit;

    fn try_from(text: String) -> Result<Self, UnknownLimit> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_are_written() {
        for setting in LimitSetting::all() {
            assert_eq!(setting.to_string().parse(), Ok(setting));
        }
        for name in LimitName::ALL {
            assert_eq!(name.to_string().parse(), Ok(LimitSetting::bare(name)));
        }
        // Where the bare name is each user's, the prefix may be written.
        assert_eq!("user.burst.minute".parse(), Ok(LimitSetting::bare(LimitName::BurstMinute)));
        assert_eq!("key.hour".parse(), Ok(LimitSetting::of_key(LimitName::UserHour)));
        let total = LimitSetting { name: LimitName::InferenceDay, each: Each::Itself };
        assert_eq!("inference.day".parse(), Ok(total));
        for bad in [
            "",
            "inference",
            "user.login.hour",
            "key.login.hour",
            "key.token.hour",
            "key.spend.unpriced",
            "key.user.hour",
            "user.",
            "org.inference.day",
            "user.user.inference.day",
        ] {
            assert!(bad.parse::<LimitSetting>().is_err(), "{bad}");
        }
    }

    #[test]
    fn caps_are_read_as_they_are_written() {
        let (spend, count) =
            (LimitSetting::bare(LimitName::SpendDay), LimitSetting::bare(LimitName::InferenceDay));
        assert_eq!(spend.cap("10.25"), Ok(Some(10_250_000)));
        assert_eq!(count.cap("0"), Ok(Some(0)));
        assert_eq!(count.cap("unlimited"), Ok(None));
        let unpriced = LimitSetting::bare(LimitName::SpendUnpriced);
        assert_eq!((unpriced.cap("refuse"), unpriced.cap("free")), (Ok(Some(0)), Ok(None)));
        for bad in ["0", "unlimited", "Free", ""] {
            assert!(unpriced.cap(bad).unwrap_err().to_string().contains("free or refuse"), "{bad}");
        }
        let caps = [(spend, Some(1)), (count, Some(7)), (count, None), (spend, None)];
        for (setting, cap) in caps.into_iter().chain([(unpriced, Some(0)), (unpriced, None)]) {
            assert_eq!(setting.cap(&setting.cap_text(cap)), Ok(cap));
        }
        for bad in ["", "-1", "+1", "1.5", "x", "99999999999999999999", "1000000000000001"] {
            assert!(count.cap(bad).is_err(), "{bad}");
        }
        assert!(spend.cap("1000000000.01").is_err());
        let hostile = count.cap("\u{1b}[2J").unwrap_err().to_string();
        assert!(!hostile.contains('\u{1b}'), "{hostile}");
    }
}
