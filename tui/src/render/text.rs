//! Numbers, times and foreign text in the form people read.

use std::fmt;

use aivonx_protocol::{
    UnixMillis, Untrusted,
    log::{LogEvent, TIME_FORMAT, push_line},
};
use jiff::{Timestamp, tz::TimeZone};
use unicode_width::UnicodeWidthStr as _;

/// What stands where there is nothing to show.
pub const NONE: &str = "-";

/// Text of several lines from the daemon: every line escaped, line breaks kept.
pub struct Lines<'a>(pub &'a str);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.0.trim_end_matches('\n').split('\n').enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", Untrusted::new(line).max(2000))?;
        }
        Ok(())
    }
}

/// Foreign text of one line, escaped.
#[must_use]
pub fn safe(text: &str) -> String {
    Untrusted::new(text).to_string()
}

/// Bytes in the decimal units the nodes' own tools use: `4.7 GB`.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = count as f64;
    let mut unit = 0;
    // 999.5 would round to a fourth digit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.95 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A whole number with a space between thousands.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number in at most six cells: `999`, `12.3k`, `98.8M`.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn short(number: u64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut value = number as f64;
    let mut unit = 0;
    // 999.95 would round to a fourth digit.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { number.to_string() } else { format!("{value:.1}{}", UNITS[unit]) }
}

/// Micro-USD as dollars in at most seven cells: `0.00`, `<0.01`, `81.25`, `1234.56`, `12.3k`.
#[must_use]
pub fn dollars(micro: u64) -> String {
    match micro {
        0 => "0.00".to_owned(),
        1..10_000 => "<0.01".to_owned(),
        10_000..9_999_995_000 => {
            let cents = (micro + 5000) / 10_000;
            format!("{}.{:02}", cents / 100, cents % 100)
        }
        _ => short(micro / 1_000_000),
    }
}

/// Micro-USD as dollars: two decimals, and more where there is more.
#[must_use]
pub fn usd(micro: u64) -> String {
    let fraction = format!("{:06}", micro % 1_000_000);
    let (cents, rest) = fraction.split_at(2);
    format!("{}.{cents}{}", micro / 1_000_000, rest.trim_end_matches('0'))
}

/// Milliseconds: `0.4 ms`, `12 ms`, `3.1 s`.
#[must_use]
pub fn latency(millis: f64) -> String {
    if !millis.is_finite() || millis < 0.0 {
        NONE.to_owned()
    } else if millis < 9.95 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.1} s", millis / 1000.0)
    }
}

/// So many a second: `0`, `0.05`, `1.5`, `120`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second <= 0.0 {
        "0".to_owned()
    } else if per_second < 0.995 {
        format!("{per_second:.2}")
    } else if per_second < 99.95 {
        format!("{per_second:.1}")
    } else {
        format!("{per_second:.0}")
    }
}

/// A span of time in its two largest units: `42s`, `3m 10s`, `2h 5m`, `12d 4h`.
#[must_use]
pub fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// How long ago `time` was; clocks that disagree give `0s ago`.
#[must_use]
pub fn ago(time: UnixMillis, now: UnixMillis) -> String {
    format!("{} ago", span(now.saturating_sub(time)))
}

/// A time of day with its date, to the second: `2026-11-22 00:31:34`.
#[must_use]
pub fn time(at: UnixMillis, zone: &TimeZone) -> String {
    i64::try_from(at).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()).map_or_else(
        || NONE.to_owned(),
        |stamp| stamp.to_zoned(zone.clone()).strftime(TIME_FORMAT).to_string(),
    )
}

/// An event of the log as people read it, on one line.
#[must_use]
pub fn log_line(event: &LogEvent, zone: &TimeZone) -> String {
    let mut line = time(event.time, zone);
    line.push(' ');
    let fields = event.fields.iter().map(|(name, value)| (&**name, &**value));
    push_line(event.level, &event.target, &event.message, fields, &mut line);
    line
}

/// A time as a node spells it, with any zone and fraction of a second, in the form of [`time`]. A text that does not
/// parse stays as it is, untrusted.
#[must_use]
pub fn stamp(text: &str, zone: &TimeZone) -> String {
    let found = text.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
    found.map_or_else(|| text.to_owned(), |at| time(at, zone))
}

/// Now, as times cross the wire.
#[must_use]
pub fn now() -> UnixMillis {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// `1 node`, `2 nodes`.
#[must_use]
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `text` broken at blanks to fit `width`, with `first` before the first line and `rest` before the others.
#[must_use]
pub fn wrap(text: &str, first: &str, rest: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX);
    let mut wrapped = first.to_owned();
    let mut used = first.width();
    let mut fresh = true;
    for word in text.split(' ') {
        if !fresh && used + 1 + word.width() > width {
            wrapped.push('\n');
            wrapped.push_str(rest);
            used = rest.width();
            fresh = true;
        }
        if !fresh {
            wrapped.push(' ');
            used += 1;
        }
        wrapped.push_str(word);
        used += word.width();
        fresh = false;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (number, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (4_661_224_676, "4.7 GB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(bytes(number), shown);
        }
    }

    #[test]
    fn counts() {
        assert_eq!([0, 12, 999, 1000, 1_234_567].map(count), ["0", "12", "999", "1 000", "1 234 567"]);
        assert_eq!(plural(1, "node"), "1 node");
        assert_eq!(plural(0, "node"), "0 nodes");
    }

    #[test]
    fn short_numbers() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0k"),
            (12_345, "12.3k"),
            (999_940, "999.9k"),
            (999_950, "1.0M"),
            (98_765_432, "98.8M"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(short(number), shown);
        }
        for (micro, shown) in [
            (0, "0.00"),
            (9_999, "<0.01"),
            (10_000, "0.01"),
            (81_254_300, "81.25"),
            (9_999_994_999, "9999.99"),
            (9_999_995_000, "10.0k"),
        ] {
            assert_eq!(dollars(micro), shown, "{micro}");
        }
    }

    #[test]
    fn money_keeps_what_it_has() {
        for (micro, shown) in [(0, "0.00"), (1, "0.000001"), (1_230_000, "1.23"), (12_345_678, "12.345678")] {
            assert_eq!(usd(micro), shown);
        }
    }

    #[test]
    fn spans() {
        for (millis, shown) in
            [(0, "0s"), (59_999, "59s"), (190_000, "3m 10s"), (7_500_000, "2h 5m"), (1_051_200_000, "12d 4h")]
        {
            assert_eq!(span(millis), shown);
        }
        assert_eq!(ago(5000, 1000), "0s ago");
    }

    #[test]
    fn latencies() {
        for (millis, shown) in
            [(0.42, "0.4 ms"), (12.4, "12 ms"), (999.6, "1.0 s"), (3100.0, "3.1 s"), (f64::NAN, "-")]
        {
            assert_eq!(latency(millis), shown);
        }
    }

    #[test]
    fn times() {
        assert_eq!(time(1_795_307_494_123, &TimeZone::UTC), "2026-11-22 00:31:34");
        assert_eq!(time(u64::MAX, &TimeZone::UTC), "-");
        assert_eq!(stamp("2026-11-11T13:46:27.884544373+01:00", &TimeZone::UTC), "2026-11-11 12:46:27");
        assert_eq!(stamp("yesterday", &TimeZone::UTC), "yesterday");
    }

    #[test]
    fn lines_keep_breaks_and_nothing_else() {
        assert_eq!(Lines("a\n  ^ here\u{7}\n").to_string(), "a\n  ^ here\\u{7}");
    }

    #[test]
    fn long_sentences_break_at_blanks() {
        assert_eq!(wrap("one two three", "! ", "  ", Some(9)), "! one two\n  three");
        assert_eq!(wrap("one two three", "! ", "  ", None), "! one two three");
        assert_eq!(wrap("extraordinarily long", "", "", Some(4)), "extraordinarily\nlong");
    }
}
