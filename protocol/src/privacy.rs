//! Personal data and credentials in prompts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is looked for in prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Social security numbers of the United States.
    Ssn,
    /// Numbers of payment cards with a right check digit (Luhn).
    Card,
    /// API keys, tokens, private keys.
    Key,
}

impl Category {
    /// Every category, in the order of the enum: `ALL[c as usize] == c`.
    pub const ALL: [Self; 5] = [Self::Email, Self::Phone, Self::Ssn, Self::Card, Self::Key];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Ssn => "ssn",
            Self::Card => "card",
            Self::Key => "key",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
