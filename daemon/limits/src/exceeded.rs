//! The refusal by a limit that is used up.

use std::{fmt, sync::Arc};

use aivonx_protocol::{UnixMillis, limit::LimitName};

use super::Kind;

/// Whose limit it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The client's address.
    Address,
    /// An organization, user or key, by its id.
    Subject(Kind, Arc<str>),
}

/// A request is beyond a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Exceeded {
    /// The limit.
    pub limit: LimitName,
    /// How much there is of it; money in micro-USD.
    pub cap: u64,
    /// How much of it is used, by requests that still run too.
    pub used: u64,
    /// How much this request asked for.
    pub asked: u64,
    /// Milliseconds until its window ends; None if it has none.
    pub resets_in: Option<u64>,
    /// When it ends, or now if it has none.
    pub resets_at: UnixMillis,
    /// Whose limit it is.
    pub who: Who,
    /// Whether the limit may have room: what this gateway holds of it is used up, and the rest could not be had in time
    /// from the database that several gateways share it in.
    pub is_unsure: bool,
}

impl Exceeded {
    /// Whole seconds after which it makes sense to ask again, at least one.
    #[must_use]
    pub fn retry_after(&self) -> u64 {
        if self.is_unsure {
            return 1;
        }
        self.resets_in.unwrap_or(0).div_ceil(1000).max(1)
    }

    /// Hours until the window ends, rounded up to a ten-thousandth; None for a limit without a window.
    #[must_use]
    pub fn reset_in_hours(&self) -> Option<f64> {
        let parts = self.resets_in?.div_ceil(360);
        #[expect(clippy::cast_precision_loss, reason = "a month has some million of these parts")]
        Some(parts as f64 / 10_000.0)
    }

    /// `amount` of this limit as people read it, without a unit.
    #[must_use]
    pub fn amount(&self, amount: u64) -> String {
        if self.limit.is_spend() { usd(amount) } else { amount.to_string() }
    }

    /// What it comes to for those from whom usage is hidden: without an amount.
    #[must_use]
    pub fn without_amounts(&self) -> String {
        if self.is_unsure {
            return format!(
                "the limit {}{} cannot be had at the moment; ask again in a second",
                self.limit,
                self.whose()
            );
        }
        let reset =
            self.resets_in.map_or_else(String::new, |left| format!("; it resets in {}", duration(left)));
        format!("the limit {}{} is reached{reset}", self.limit, self.whose())
    }

    fn whose(&self) -> &'static str {
        match &self.who {
            Who::Address => "",
            Who::Subject(kind, _) => match kind {
                Kind::Organization => " of the organization",
                Kind::User => " of the user",
                Kind::Key => " of the key",
            },
        }
    }

    fn unit(&self) -> &'static str {
        match self.limit {
            LimitName::SpendDay | LimitName::SpendMonth => "USD",
            LimitName::TokensMinute | LimitName::TokensDay => "tokens",
            LimitName::PromptChars => "characters",
            _ => "requests",
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, unit) = (self.limit, self.unit());
        let [cap, used, asked] = [self.cap, self.used, self.asked].map(|amount| self.amount(amount));
        if limit == LimitName::PromptChars {
            return write!(f, "the prompt has {asked} {unit}, more than the {cap} of the limit {limit}");
        }
        if self.is_unsure {
            let whose = self.whose();
            return write!(
                f,
                "what this gateway holds of the limit {limit}{whose} is used up ({used} of {cap} {unit} are used by all that \
                 is known), and it cannot get more at the moment; ask again in a second"
            );
        }
        write!(f, "the limit {limit}{} is reached: {used} of {cap} {unit} ", self.whose())?;
        f.write_str(if limit == LimitName::Concurrent { "are running" } else { "are used" })?;
        if self.used < self.cap {
            write!(f, ", and this request may need {asked}")?;
        }
        match self.resets_in {
            Some(left) if self.asked <= self.cap => write!(f, "; it resets in {}", duration(left)),
            // Waiting would not help.
            Some(_) => f.write_str(", which is more than the limit; ask for less output"),
            None => Ok(()),
        }
    }
}

/// Micro-USD in USD, without needless zeros.
#[must_use]
pub fn usd(micros: u64) -> String {
    let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
    if part == 0 {
        return whole.to_string();
    }
    format!("{whole}.{part:06}").trim_end_matches('0').to_owned()
}

/// Milliseconds as people read them, rounded up.
#[must_use]
pub fn duration(millis: u64) -> String {
    let seconds = millis.div_ceil(1000).max(1);
    let minutes = seconds.div_ceil(60);
    match (seconds, minutes) {
        (s @ 0..=90, _) => format!("{s} s"),
        (_, m @ 0..=59) => format!("{m} min"),
        (_, m @ 0..=2880) => match (m / 60, m % 60) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
        (_, m) => format!("{} days", m.div_ceil(1440)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exceeded(limit: LimitName, cap: u64, used: u64, asked: u64, resets_in: Option<u64>) -> Exceeded {
        let who = Who::Subject(Kind::Organization, "o".into());
        Exceeded { limit, cap, used, asked, resets_in, resets_at: 0, who, is_unsure: false }
    }

    #[test]
    fn it_reads_as_people_speak() {
        let told = |e: Exceeded| e.to_string();
        assert_eq!(
            told(exceeded(LimitName::InferenceDay, 3, 3, 1, Some(5 * 3_600_000 + 1))),
            "the limit inference.day of the organization is reached: 3 of 3 requests are used; it resets in 5 h 1 min"
        );
        assert_eq!(
            told(exceeded(LimitName::SpendDay, 10_000_000, 9_990_000, 20_500, Some(30_000))),
            "the limit spend.day of the organization is reached: 9.99 of 10 USD are used, and this request may need 0.0205; it resets in 30 s"
        );
        assert_eq!(
            told(exceeded(LimitName::TokensMinute, 100, 0, 700, Some(60_000))),
            "the limit tokens.minute of the organization is reached: 0 of 100 tokens are used, and this request may need 700, which is more than the limit; ask for less output"
        );
        assert_eq!(
            told(exceeded(LimitName::Concurrent, 4, 4, 1, None)),
            "the limit concurrent of the organization is reached: 4 of 4 requests are running"
        );
        assert_eq!(
            told(exceeded(LimitName::PromptChars, 10, 0, 12, None)),
            "the prompt has 12 characters, more than the 10 of the limit prompt.chars"
        );
    }

    #[test]
    fn without_amounts_it_has_no_amount() {
        let hidden = exceeded(LimitName::SpendDay, 10_000_000, 9_990_000, 20_500_000, Some(30_000));
        assert_eq!(
            hidden.without_amounts(),
            "the limit spend.day of the organization is reached; it resets in 30 s"
        );
        let hidden = exceeded(LimitName::Concurrent, 4, 4, 1, None);
        assert_eq!(hidden.without_amounts(), "the limit concurrent of the organization is reached");
    }

    #[test]
    fn waiting_is_rounded_up_and_never_nothing() {
        let e = |left| exceeded(LimitName::BurstMinute, 1, 1, 1, left);
        assert_eq!(e(Some(1001)).retry_after(), 2);
        assert_eq!(e(Some(0)).retry_after(), 1);
        assert_eq!(e(None).retry_after(), 1);
        assert_eq!(e(Some(1_800_000)).reset_in_hours(), Some(0.5));
        assert_eq!(e(Some(1)).reset_in_hours(), Some(0.0001));
        assert_eq!(usd(1_500_000), "1.5");
        assert_eq!(usd(7), "0.000007");
        assert_eq!([3_540_000, 3_540_001, 3_720_000].map(duration), ["59 min", "1 h", "1 h 2 min"]);
        assert_eq!(duration(3 * 86_400_000 - 1), "3 days");
    }
}
