//! Durations and sizes as the file writes them: one number, one unit.

use std::time::Duration;

/// Bytes in a KiB.
pub(super) const KIB: u64 = 1 << 10;
/// Bytes in a MiB.
pub(super) const MIB: u64 = 1 << 20;
/// Bytes in a GiB.
pub(super) const GIB: u64 = 1 << 30;

/// Largest first, as the printer tries them.
const SIZES: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)];
/// Milliseconds, largest first.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];

/// Units people write and what they likely mean by them.
const MEANT: [(&str, &str); 18] = [
    ("m", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("mins", "min"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("hour", "h"),
    ("hours", "h"),
    ("hr", "h"),
    ("day", "d"),
    ("days", "d"),
    ("kb", "KiB"),
    ("k", "KiB"),
    ("mb", "MiB"),
    ("gb", "GiB"),
    ("tb", "TiB"),
];

/// Why a text is no duration or size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UnitError {
    /// Not a number followed by a unit.
    Shape,
    /// A number without its unit.
    NoUnit(u64),
    /// A number with a unit that is not one; the text with the unit that was likely meant.
    Unit {
        /// As written.
        unit: String,
        /// What to write.
        meant: Option<String>,
    },
    /// More than can be counted.
    TooLarge,
}

/// `10s`, `5min`, `1h`, `250ms`, `2d` or `0`.
pub(super) fn parse_time(text: &str) -> Result<Duration, UnitError> {
    parse(text, &TIMES).map(Duration::from_millis)
}

/// `64MiB`, `1GiB`, `512B` or `0`, in bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, UnitError> {
    parse(text, &SIZES)
}

/// The shortest text that [`parse_time`] reads as `time`, whole milliseconds.
pub fn show_time(time: Duration) -> String {
    show(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), &TIMES)
}

/// The shortest text that [`parse_size`] reads as `bytes`.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = (&text[..digits], text[digits..].trim_start());
    if number.is_empty() || !unit.chars().all(char::is_alphabetic) {
        return Err(UnitError::Shape);
    }
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    if unit.is_empty() {
        return if number == 0 { Ok(0) } else { Err(UnitError::NoUnit(number)) };
    }
    match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => number.checked_mul(*factor).ok_or(UnitError::TooLarge),
        None => Err(UnitError::Unit { unit: unit.to_owned(), meant: meant(number, unit, units) }),
    }
}

/// What a wrong unit likely stands for: the same letters in another case, or a known habit.
fn meant(number: u64, unit: &str, units: &[(&str, u64)]) -> Option<String> {
    let lower = unit.to_lowercase();
    let habit = MEANT.iter().find(|(habit, _)| *habit == lower).map(|(_, name)| *name);
    units
        .iter()
        .map(|(name, _)| *name)
        .find(|name| name.eq_ignore_ascii_case(unit) || Some(*name) == habit)
        .map(|name| format!("{number}{name}"))
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor))
        .map_or_else(|| "0".to_owned(), |(name, factor)| format!("{}{name}", amount / factor))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(parse_time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_time("5 min"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_time("0"), Ok(Duration::ZERO));
        assert_eq!(parse_size("64MiB"), Ok(64 * MIB));
        assert_eq!(parse_size("12B"), Ok(12));
    }

    #[test]
    fn says_why_not() {
        assert_eq!(parse_time("10"), Err(UnitError::NoUnit(10)));
        assert_eq!(parse_time("-1s"), Err(UnitError::Shape));
        assert_eq!(parse_time("1.5h"), Err(UnitError::Shape));
        assert_eq!(parse_time(""), Err(UnitError::Shape));
        assert_eq!(parse_time("5m"), Err(UnitError::Unit { unit: "m".into(), meant: Some("5min".into()) }));
        assert_eq!(
            parse_size("64MB"),
            Err(UnitError::Unit { unit: "MB".into(), meant: Some("64MiB".into()) })
        );
        assert_eq!(parse_size("3s"), Err(UnitError::Unit { unit: "s".into(), meant: None }));
        assert_eq!(parse_size("99999999999TiB"), Err(UnitError::TooLarge));
        assert_eq!(parse_time("99999999999999999999s"), Err(UnitError::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(n in any::<u64>(), scale in 0u32..64) {
            let n = n >> scale;
            prop_assert_eq!(parse_size(&show_size(n)), Ok(n));
            let time = Duration::from_millis(n);
            prop_assert_eq!(parse_time(&show_time(time)), Ok(time));
        }

        #[test]
        fn shows_the_largest_whole_unit(n in 1u64..1024, unit in 0usize..4) {
            let (name, factor) = SIZES[unit];
            prop_assert_eq!(show_size(n * factor), format!("{n}{name}"));
        }

        #[test]
        fn never_panics(text in "\\PC{0,24}") {
            let _ = (parse_size(&text), parse_time(&text));
        }
    }
}
