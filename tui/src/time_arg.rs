//! Points and spans of time as people type them.

use std::time::Duration;

use aivonx_protocol::UnixMillis;
use jiff::{Timestamp, ToSpan as _, Zoned, civil};

/// What `--since` accepts.
pub const FORMS: &str = "10m, 2h, 3d, 14:30, today, yesterday, 2026-11-22, \"2026-11-22 14:30\" (local time) or \
                         2026-11-22T14:30:00Z";

/// The help of `--since`: the forms used most.
pub const SINCE: &str =
    "Not before: 10m, 2h, 14:30, today, yesterday, 2026-11-22, \"2026-11-22 14:30\", 2026-11-22T14:30:00Z";

/// The point in time `text` means, seen from `now`.
///
/// # Errors
/// A sentence that lists the accepted forms.
pub fn since(text: &str, now: &Zoned) -> Result<UnixMillis, String> {
    let text = text.trim();
    point(text, now)
        .and_then(|at| u64::try_from(at.as_millisecond()).ok())
        .ok_or_else(|| format!("not a time; accepted are {FORMS}"))
}

fn point(text: &str, now: &Zoned) -> Option<Timestamp> {
    let midnight = || now.start_of_day().ok();
    match text {
        "now" => return Some(now.timestamp()),
        "today" => return midnight().map(|at| at.timestamp()),
        // Not 24 hours back: a day may have 23 or 25.
        "yesterday" => {
            let at = now.checked_sub(1.day()).ok()?.start_of_day().ok()?;
            return Some(at.timestamp());
        }
        _ => {}
    }
    if let Some(back) = span(text) {
        return now.timestamp().checked_sub(back).ok();
    }
    if let Some(at) = clock(text, now) {
        return Some(at);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let local: civil::DateTime = text.parse().ok()?;
    Some(local.to_zoned(now.time_zone().clone()).ok()?.timestamp())
}

/// A time of day, `14:30` or `14:30:15`: the last one that is past.
fn clock(text: &str, now: &Zoned) -> Option<Timestamp> {
    let plain = |c: char| c.is_ascii_digit() || c == ':';
    if !text.contains(':') || !text.chars().all(plain) {
        return None;
    }
    let padded = if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() };
    let time: civil::Time = padded.parse().ok()?;
    let on = |day: civil::Date| day.to_datetime(time).to_zoned(now.time_zone().clone()).ok();
    let today = on(now.date())?;
    let at = if today > *now { on(now.date().yesterday().ok()?)? } else { today };
    Some(at.timestamp())
}

/// A span of time: numbers with `s`, `m`, `h`, `d` or `w`, largest first (`90s`, `1h30m`).
#[must_use]
pub fn span(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut rest = text;
    let mut before = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        if unit >= before {
            return None;
        }
        before = unit;
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (before != u64::MAX).then(|| Duration::from_secs(seconds))
}

/// [`span`] for clap.
///
/// # Errors
/// A sentence that lists the accepted forms.
pub fn span_argument(text: &str) -> Result<Duration, String> {
    span(text).ok_or_else(|| "not a span of time; accepted are 90s, 10m, 2h, 1h30m, 90d".to_owned())
}

/// A point in the future: a span from now, or a time as [`since`] reads it.
///
/// # Errors
/// A sentence that lists the accepted forms, or says that it is past.
pub fn until(text: &str, now: &Zoned) -> Result<UnixMillis, String> {
    let text = text.trim();
    let at = match span(text) {
        Some(ahead) => now.timestamp().checked_add(ahead).ok(),
        None => point(text, now),
    };
    let at = at.ok_or_else(|| {
        "not a time; accepted are 12h, 90d, 2027-01-31, \"2027-01-31 14:30\" (local time) or \
         2027-01-31T14:30:00Z"
            .to_owned()
    })?;
    match u64::try_from(at.as_millisecond()) {
        Ok(millis) if at > now.timestamp() => Ok(millis),
        _ => Err("that is past".to_owned()),
    }
}

/// [`until`] for clap, from now.
///
/// # Errors
/// As of [`until`].
pub fn until_argument(text: &str) -> Result<UnixMillis, String> {
    until(text, &Zoned::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-03-30T01:30:00[Europe/Berlin]".parse().unwrap()
    }

    fn at(text: &str) -> String {
        since(text, &now())
            .map(|ms| Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap().to_string())
            .unwrap_or_else(|why| why)
    }

    #[test]
    fn the_help_tells_what_is_accepted() {
        for told in [SINCE.strip_prefix("Not before: ").unwrap(), FORMS] {
            let told = told.replace(" (local time) or ", ", ");
            for form in told.split(", ") {
                assert!(since(form.trim_matches('"'), &now()).is_ok(), "{form}");
            }
        }
        assert!(SINCE.contains(" 14:30,"), "a time of day");
    }

    #[test]
    fn every_form() {
        for (text, shown) in [
            ("now", "2026-03-29T23:30:00Z"),
            ("10m", "2026-03-29T23:20:00Z"),
            ("2h", "2026-03-29T21:30:00Z"),
            ("1d12h", "2026-03-28T11:30:00Z"),
            ("today", "2026-03-29T22:00:00Z"),
            // The day before had 23 hours.
            ("yesterday", "2026-03-28T23:00:00Z"),
            ("2026-03-28", "2026-03-27T23:00:00Z"),
            ("2026-03-28 14:30", "2026-03-28T13:30:00Z"),
            ("2026-03-28 14:30:15", "2026-03-28T13:30:15Z"),
            ("2026-03-28T14:30:15", "2026-03-28T13:30:15Z"),
            ("2026-03-28T14:30:15Z", "2026-03-28T14:30:15Z"),
            ("2026-03-28T14:30:15.250+02:00", "2026-03-28T12:30:15.25Z"),
            ("01:15", "2026-03-29T23:15:00Z"),
            ("1:15:10", "2026-03-29T23:15:10Z"),
            // Not yet today: yesterday's.
            ("14:30", "2026-03-29T12:30:00Z"),
            (" 10m ", "2026-03-29T23:20:00Z"),
        ] {
            assert_eq!(at(text), shown, "{text}");
        }
    }

    #[test]
    fn anything_else_names_the_forms() {
        for text in [
            "",
            "10",
            "m",
            "10x",
            "m10",
            "10m2h",
            "10m10m",
            "-5m",
            "tomorrow",
            "25:00",
            "14:",
            ":30",
            "2026-13-01",
            "99999999999999999999s",
            "1900-01-01",
        ] {
            assert!(at(text).contains("accepted are"), "{text}: {}", at(text));
        }
    }

    #[test]
    fn what_is_to_come() {
        let until = |text: &str| {
            until(text, &now())
                .map(|ms| Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap().to_string())
                .unwrap_or_else(|why| why)
        };
        for (text, shown) in [
            ("90d", "2026-06-27T23:30:00Z"),
            ("12h", "2026-03-30T11:30:00Z"),
            ("2027-01-31", "2027-01-30T23:00:00Z"),
            ("2027-01-31T14:30:00Z", "2027-01-31T14:30:00Z"),
            ("0s", "that is past"),
            ("yesterday", "that is past"),
        ] {
            assert_eq!(until(text), shown, "{text}");
        }
        assert!(until("soon").contains("accepted are"));
    }

    #[test]
    fn spans() {
        assert_eq!(span("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(span("0s"), Some(Duration::ZERO));
        assert_eq!(span("模m"), None);
        assert_eq!(span("1模"), None);
    }
}
