//! Limits: what a caller may use of the gateway, by name.

mod request;
mod setting;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use self::{
    request::{
        EffectiveLimit, FindUnpriced, LimitLevel, LimitProfileInfo, LimitRequest, LimitSource, LimitTarget,
        LimitValue, Limits, Profiles, Serves, Set, SetProfile, Show, Unpriced, Unset,
    },
    setting::{BadValue, CAP_MAX, Each, LimitSetting},
};

/// A limit. The names are those of the command line, of refusals and of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LimitName {
    /// Requests per hour and client address without a credential.
    #[serde(rename = "anonymous.hour")]
    AnonymousHour,
    /// Requests of any kind per hour and user or key.
    #[serde(rename = "user.hour")]
    UserHour,
    /// Logins per hour and client address.
    #[serde(rename = "login.hour")]
    LoginHour,
    /// Passwords set with a reset code per hour and client address.
    #[serde(rename = "reset.hour")]
    ResetHour,
    /// Token operations (refreshing) per hour and user; a refresh family counts once. With an unknown token, logouts
    /// too, by client address.
    #[serde(rename = "token.hour")]
    TokenHour,
    /// Inference requests per day.
    #[serde(rename = "inference.day")]
    InferenceDay,
    /// Inference requests per minute.
    #[serde(rename = "burst.minute")]
    BurstMinute,
    /// USD per day.
    #[serde(rename = "spend.day")]
    SpendDay,
    /// USD per month.
    #[serde(rename = "spend.month")]
    SpendMonth,
    /// Tokens, of prompt and output, per minute.
    #[serde(rename = "tokens.minute")]
    TokensMinute,
    /// Tokens, of prompt and output, per day.
    #[serde(rename = "tokens.day")]
    TokensDay,
    /// Inference requests running at the same time.
    #[serde(rename = "concurrent")]
    Concurrent,
    /// Characters of one prompt.
    #[serde(rename = "prompt.chars")]
    PromptChars,
    /// Requests for models without a price, where money is limited: none (`refuse`), or any number (`free`).
    #[serde(rename = "spend.unpriced")]
    SpendUnpriced,
    /// Credentials that were refused per hour and client address.
    #[serde(rename = "refused.hour")]
    RefusedHour,
}

impl LimitName {
    /// Every limit, in the order of the enum: `ALL[n as usize] == n`.
    pub const ALL: [Self; 15] = [
        Self::AnonymousHour,
        Self::UserHour,
        Self::LoginHour,
        Self::ResetHour,
        Self::TokenHour,
        Self::InferenceDay,
        Self::BurstMinute,
        Self::SpendDay,
        Self::SpendMonth,
        Self::TokensMinute,
        Self::TokensDay,
        Self::Concurrent,
        Self::PromptChars,
        Self::SpendUnpriced,
        Self::RefusedHour,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AnonymousHour => "anonymous.hour",
            Self::UserHour => "user.hour",
            Self::LoginHour => "login.hour",
            Self::ResetHour => "reset.hour",
            Self::TokenHour => "token.hour",
            Self::InferenceDay => "inference.day",
            Self::BurstMinute => "burst.minute",
            Self::SpendDay => "spend.day",
            Self::SpendMonth => "spend.month",
            Self::TokensMinute => "tokens.minute",
            Self::TokensDay => "tokens.day",
            Self::Concurrent => "concurrent",
            Self::PromptChars => "prompt.chars",
            Self::SpendUnpriced => "spend.unpriced",
            Self::RefusedHour => "refused.hour",
        }
    }

    /// Whether its value is an amount of money: micro-USD on the wire and in the store.
    #[must_use]
    pub fn is_spend(self) -> bool {
        matches!(self, Self::SpendDay | Self::SpendMonth)
    }

    /// What it counts.
    #[must_use]
    pub fn unit(self) -> LimitUnit {
        match self {
            Self::SpendDay | Self::SpendMonth => LimitUnit::MicroUsd,
            Self::TokensMinute | Self::TokensDay => LimitUnit::Tokens,
            Self::PromptChars => LimitUnit::Characters,
            Self::AnonymousHour
            | Self::UserHour
            | Self::LoginHour
            | Self::ResetHour
            | Self::TokenHour
            | Self::InferenceDay
            | Self::BurstMinute
            | Self::Concurrent
            | Self::SpendUnpriced
            | Self::RefusedHour => LimitUnit::Requests,
        }
    }

    /// Whether it counts by client address and not by user or key: then it is the fleet's alone.
    #[must_use]
    pub fn is_by_address(self) -> bool {
        matches!(self, Self::AnonymousHour | Self::LoginHour | Self::ResetHour | Self::RefusedHour)
    }

    /// Whether an organization has a total of it. The others are of each user alone.
    #[must_use]
    pub fn has_total(self) -> bool {
        matches!(
            self,
            Self::InferenceDay
                | Self::SpendDay
                | Self::SpendMonth
                | Self::TokensMinute
                | Self::TokensDay
                | Self::Concurrent
        )
    }
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitUnit {
    /// Requests.
    Requests,
    /// Tokens, of prompt and output.
    Tokens,
    /// Millionths of a US dollar.
    MicroUsd,
    /// Characters.
    Characters,
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No limit has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no limit is named '{0}'; aivonx-limits(7) has the names")]
pub struct UnknownLimit(pub String);

impl FromStr for LimitName {
    type Err = UnknownLimit;

    fn from_str(text: &str) -> Result<Self, UnknownLimit> {
        Self::ALL.into_iter().find(|name| name.name() == text).ok_or_else(|| UnknownLimit(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::LimitName;

    #[test]
    fn names_are_read_as_they_are_written_and_stand_in_order() {
        for (at, name) in LimitName::ALL.into_iter().enumerate() {
            assert_eq!(name as usize, at);
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert!("inference".parse::<LimitName>().is_err());
    }
}
