//! Money: whole millionths of a US dollar inside, US dollars with up to six decimals for people.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Millionths in one US dollar.
pub const MICRO: u64 = 1_000_000;

/// An amount in millionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub u64);

/// US dollars, two decimals at least: `10.00`, `0.000125`.
impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:06}", self.0 % MICRO);
        let (cents, rest) = fraction.split_at(2);
        f.pad(&format!("{}.{cents}{}", self.0 / MICRO, rest.trim_end_matches('0')))
    }
}

/// A text that is no amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use US dollars with up to 6 decimals, such as 10 or 0.25")]
pub struct NoAmount;

impl FromStr for MicroUsd {
    type Err = NoAmount;

    fn from_str(text: &str) -> Result<Self, NoAmount> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
            return Err(NoAmount);
        }
        let whole: u64 = whole.parse().map_err(|_| NoAmount)?;
        let micro: u64 = format!("{fraction:0<6}").parse().map_err(|_| NoAmount)?;
        whole.checked_mul(MICRO).and_then(|amount| amount.checked_add(micro)).map(Self).ok_or(NoAmount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_and_written() {
        for (text, micro, shown) in [
            ("0", 0, "0.00"),
            ("10", 10 * MICRO, "10.00"),
            ("10.5", 10_500_000, "10.50"),
            ("0.000001", 1, "0.000001"),
            ("0.25", 250_000, "0.25"),
            ("1.230000", 1_230_000, "1.23"),
            ("18446744073709.551615", u64::MAX, "18446744073709.551615"),
        ] {
            let amount: MicroUsd = text.parse().unwrap();
            assert_eq!((amount.0, amount.to_string().as_str()), (micro, shown), "{text}");
            assert_eq!(shown.parse(), Ok(amount));
        }
        for text in
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0.0000001", "18446744073709.551616", "NaN", " 1"]
        {
            assert!(text.parse::<MicroUsd>().is_err(), "{text:?}");
        }
    }
}
