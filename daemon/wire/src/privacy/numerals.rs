//! Numbers of JSON: what they are worth, and those that together are something that none of them is alone.

use std::ops::Range;

use arrayvec::ArrayVec;

use super::classes::{self, ALNUM, WORD};

/// Digits of the longest number that is looked at: a card has 19.
const LONGEST: usize = 32;

/// Digits of the shortest number that is looked at in scientific notation: those of a social security number may end
/// with a zero.
const MANTISSA: usize = 8;

/// Numbers of an array that are looked at together.
pub(super) const TOGETHER: usize = 1024;

/// The digits before the point of a number in any spelling: `4.111e3`, `-4111.0` and `04111` are all 4111. None if it
/// is no number, less than one, or has more than 32 of them.
pub(super) fn whole(numeral: &[u8]) -> Option<ArrayVec<u8, LONGEST>> {
    let unsigned = numeral.strip_prefix(b"-").or(numeral.strip_prefix(b"+")).unwrap_or(numeral);
    let mut parts = unsigned.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mantissa = parts.next()?;
    let exponent: i64 = match parts.next() {
        Some(exponent) => std::str::from_utf8(exponent).ok()?.parse().ok()?,
        None => 0,
    };
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let (before, behind) = mantissa.split_at(point);
    let digits = || before.iter().chain(behind.iter().skip(1));
    if !digits().all(u8::is_ascii_digit) || before.is_empty() {
        return None;
    }
    let zeros = digits().take_while(|digit| **digit == b'0').count();
    let length = (before.len() as i64).saturating_sub(zeros as i64).saturating_add(exponent);
    let length = usize::try_from(length).ok().filter(|length| (1..=LONGEST).contains(length))?;
    Some(digits().skip(zeros).chain(std::iter::repeat(&b'0')).copied().take(length).collect())
}

/// The number in scientific notation whose `e` is at `at`, as in `4.111e15`: where it stands, and its digits before the
/// point. None if it has too few digits to be anything, or goes on.
pub(super) fn scientific(text: &[u8], at: usize) -> Option<(Range<usize>, ArrayVec<u8, LONGEST>)> {
    let near = text[..at].iter().rev().take(LONGEST + 2);
    let mut start = at - near.take_while(|byte| matches!(byte, b'0'..=b'9' | b'.')).count();
    start += usize::from(text[start] == b'.');
    let mantissa = text[start..at].iter().filter(|byte| **byte != b'.').count();
    if mantissa < MANTISSA || classes::before(text, start, ALNUM) {
        return None;
    }
    let power = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
    let digits = text.get(power..)?.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let end = power + digits;
    let goes_on = classes::at(text, end, WORD);
    if digits == 0 || goes_on {
        return None;
    }
    Some((start..end, whole(&text[start..end])?))
}

/// Numbers that follow each other in an array.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Where each stands, and its digits among all.
    numbers: Vec<(Range<usize>, Range<usize>)>,
    digits: Vec<u8>,
}

/// How numbers may stand for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Each is a group of digits.
    Groups,
    /// Each is an ASCII character.
    Characters,
    /// Each is some of the digits of one number.
    Digits,
}

impl Reading {
    pub(super) const ALL: [Self; 3] = [Self::Groups, Self::Characters, Self::Digits];
}

impl Row {
    /// Adds the number at `place`.
    pub(super) fn push(&mut self, place: Range<usize>, digits: &[u8]) {
        let from = self.digits.len();
        self.digits.extend_from_slice(digits);
        self.numbers.push((place, from..self.digits.len()));
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.digits.clear();
    }

    /// The text they are, read so; None if they are none.
    pub(super) fn text(&self, reading: Reading) -> Option<Vec<u8>> {
        let digits = self.numbers.iter().map(|(_, digits)| &self.digits[digits.clone()]);
        match reading {
            Reading::Groups => Some(digits.collect::<Vec<_>>().join(&b' ')),
            Reading::Characters if self.len() < 6 => None,
            Reading::Characters => digits.map(character).collect(),
            Reading::Digits => (13..=19).contains(&self.digits.len()).then(|| self.digits.clone()),
        }
    }

    /// Where the numbers stand that a range of that text is of.
    pub(super) fn places(&self, reading: Reading, found: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let numbers = self.numbers.iter().enumerate();
        let hit = numbers.filter(move |(n, (_, digits))| {
            let part = match reading {
                Reading::Groups => digits.start + n..digits.end + n,
                Reading::Characters => *n..n + 1,
                Reading::Digits => digits.clone(),
            };
            part.start < found.end && found.start < part.end
        });
        hit.map(|(_, (place, _))| place.clone())
    }
}

/// The printable character of ASCII, or the white space, that a number is the code of.
fn character(digits: &[u8]) -> Option<u8> {
    let code: u8 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    matches!(code, b' '..=b'~' | b'\t' | b'\n' | b'\r').then_some(code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::whole;

    #[test]
    fn numbers_have_digits_before_the_point_however_they_are_spelled() {
        for (numeral, digits) in [
            ("4111", Some("4111")),
            ("-4111.0", Some("4111")),
            ("4111e0", Some("4111")),
            ("4.111e3", Some("4111")),
            ("4.111E+3", Some("4111")),
            ("4111000e-3", Some("4111")),
            ("04111", Some("4111")),
            ("0.004111e6", Some("4111")),
            ("41.11", Some("41")),
            ("4.1e3", Some("4100")),
            ("0.4111", None),
            ("0", None),
            ("1e32", None),
            ("1e99999999999999999999", None),
            ("1e-9223372036854775808", None),
            ("4111-1111", None),
            ("1.2.3", None),
            ("-", None),
            ("e5", None),
            ("", None),
        ] {
            let read = whole(numeral.as_bytes());
            assert_eq!(read.as_deref(), digits.map(str::as_bytes), "{numeral}");
        }
    }

    proptest! {
        #[test]
        fn integers_are_their_digits(n in 1u64.., zeros in 0usize..9) {
            let numeral = format!("{n}{}e-{zeros}", "0".repeat(zeros));
            prop_assert_eq!(whole(numeral.as_bytes()).unwrap().to_vec(), n.to_string().into_bytes());
        }

        #[test]
        fn nothing_panics(numeral in "[0-9.eE+-]{0,40}") {
            let _ = whole(numeral.as_bytes());
        }
    }
}
