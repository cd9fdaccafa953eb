//! What stands between the groups of a number, and around it.

use super::{
    classes::{self, ALNUM, ALPHA, DIGIT, WORD},
    context, marker,
};

/// Longest fraction or exponent that is looked at.
const FRACTION: usize = 32;

/// Longest word that is glued to a number.
const WORD_BEHIND: usize = 16;

/// What is between two groups, or between a number and its surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// No digits are near.
    Free,
    /// A letter, or a marker, with nothing between.
    Glued,
    /// A space of any kind.
    Space,
    /// A hyphen of any kind.
    Dash,
    /// `.`
    Dot,
    /// `/`
    Slash,
    /// `_` between it and a letter or digit.
    Underscore,
    /// A parenthesis, with or without one of the others.
    Paren,
}

impl Join {
    /// Whether a number may begin or end there.
    pub(super) fn is_loose(self) -> bool {
        matches!(self, Self::Free | Self::Space | Self::Paren)
    }

    /// Whether it divides a number that is written in one from another.
    pub(super) fn divides(self) -> bool {
        matches!(self, Self::Dash | Self::Slash | Self::Underscore)
    }
}

/// Whether neither a path nor a version goes on around what is at `start..end`.
pub(super) fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).map(|last| text[last]);
    !matches!(before, Some(b'/' | b'.')) && text.get(end) != Some(&b'/')
}

/// Whether what is glued to digits at `end` is of the number itself: a fraction, an exponent, or what programs and
/// people put behind one, such as `L` or `USD`.
pub(super) fn ends_numeral(text: &[u8], end: usize) -> bool {
    let digits = |at: usize| {
        text[at.min(text.len())..].iter().take(FRACTION).take_while(|b| b.is_ascii_digit()).count()
    };
    let mut at = end;
    if text.get(at) == Some(&b'.') && digits(at + 1) > 0 {
        at += 1 + digits(at + 1);
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let power = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = if digits(power) > 0 { power + digits(power) } else { at };
    }
    at += suffix(&text[at..]);
    let goes_on = matches!(text.get(at), Some(b'.' | b'-' | b'/')) && classes::at(text, at + 1, DIGIT);
    at > end && !classes::at(text, at, WORD) && !goes_on
}

/// Whether letters alone are glued to digits at `end`: a word that was written without a blank, not the rest of a sum or an
/// identifier, which has digits among its letters.
pub(super) fn ends_at_word(text: &[u8], end: usize) -> bool {
    let letters = classes::run(&text[..text.len().min(end + WORD_BEHIND)], end, ALPHA);
    letters > end && !classes::at(text, letters, WORD)
}

/// How long the suffix of a number is that `text` begins with: the type of a program's literal, or a currency.
fn suffix(text: &[u8]) -> usize {
    let length = text.iter().take(5).take_while(|byte| classes::is(**byte, ALNUM)).count();
    let word = &text[..length];
    let mut lower = [0; 5];
    let lower = &mut lower[..length];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    let known =
        matches!(&*lower, b"l" | b"ll" | b"u" | b"ul" | b"ull" | b"lu" | b"llu" | b"n" | b"f" | b"d" | b"m")
            || matches!(&*lower, b"i64" | b"u64" | b"i128" | b"u128" | b"f64")
            || matches!(&*lower, b"usd" | b"eur" | b"gbp" | b"chf" | b"jpy");
    if known || (length == 3 && word.iter().all(u8::is_ascii_uppercase)) { length } else { 0 }
}

/// The length of the separator at `at`, and what it is.
fn separator(text: &[u8], at: usize) -> Option<(Join, usize)> {
    Some(match text.get(at)? {
        b' ' => (Join::Space, 1),
        b'-' => (Join::Dash, 1),
        b'.' => (Join::Dot, 1),
        b'/' => (Join::Slash, 1),
        0xc2 | 0xe2 | 0xe3 | 0xef => wide_separator(&text[at..])?,
        _ => return None,
    })
}

/// Spaces, hyphens and dashes of typesetters; what has no width stands for a hyphen, too.
pub(super) fn wide_separator(text: &[u8]) -> Option<(Join, usize)> {
    Some(match text {
        [0xc2, 0xa0, ..] => (Join::Space, 2),
        [0xc2, 0xad, ..] => (Join::Dash, 2),
        [0xe2, 0x80, 0x80..=0x8a | 0xaf, ..] | [0xe2, 0x81, 0x9f, ..] | [0xe3, 0x80, 0x80, ..] => {
            (Join::Space, 3)
        }
        [0xe2, 0x80, 0x8b..=0x95, ..]
        | [0xe2, 0x81, 0xa0..=0xa4, ..]
        | [0xe2, 0x88, 0x92, ..]
        | [0xef, 0xb9, 0x98 | 0xa3, ..]
        | [0xef, 0xbb, 0xbf, ..]
        | [0xef, 0xbc, 0x8d, ..] => (Join::Dash, 3),
        _ => return None,
    })
}

/// What is between the digit before `at` and the next one, and where that is.
#[inline]
pub(super) fn join(text: &[u8], at: usize) -> Option<(Join, usize)> {
    // What it nearly always is: one character, or nothing.
    let plain = match text.get(at)? {
        b' ' => Join::Space,
        b'-' => Join::Dash,
        b'.' => Join::Dot,
        b'/' => Join::Slash,
        b')' | b'(' | 0x80.. => return wide_join(text, at),
        _ => return None,
    };
    if classes::at(text, at + 1, DIGIT) { Some((plain, at + 1)) } else { wide_join(text, at) }
}

/// The same where it is more than one byte, or none.
fn wide_join(text: &[u8], at: usize) -> Option<(Join, usize)> {
    let (join, next) = gap(text, at);
    (next > at && classes::at(text, next, DIGIT)).then_some((join, next))
}

/// What separates at `at`, and its end.
fn gap(text: &[u8], at: usize) -> (Join, usize) {
    let mut next = at + usize::from(text.get(at) == Some(&b')'));
    let mut join = Join::Free;
    if let Some((kind, length)) = separator(text, next) {
        join = kind;
        next += length;
        // `4111 - 1111`
        if kind == Join::Space
            && let Some((inner @ (Join::Dash | Join::Dot | Join::Slash), middle)) = separator(text, next)
            && let Some((Join::Space, last)) = separator(text, next + middle)
        {
            join = inner;
            next += middle + last;
        }
    }
    let open = text.get(next) == Some(&b'(') && classes::at(text, next + 1, DIGIT);
    next += usize::from(open);
    if open || text.get(at) == Some(&b')') {
        join = Join::Paren;
    }
    (join, next)
}

/// What is behind the last group of a cluster.
pub(super) fn right(text: &[u8], end: usize) -> Join {
    if classes::at(text, end, ALNUM) || marker::begins_at(text, end) {
        return Join::Glued;
    }
    if text.get(end) == Some(&b'_') && (classes::at(text, end + 1, ALNUM) || marker::begins_at(text, end + 1))
    {
        return Join::Underscore;
    }
    let (join, next) = gap(text, end);
    if marker::begins_at(text, next) { join } else { Join::Free }
}

/// What is before the first group of a cluster, whose sign is at `start`.
pub(super) fn left(text: &[u8], start: usize) -> Join {
    if context::labels(text, start) {
        return Join::Free;
    }
    if classes::before(text, start, ALNUM) || marker::ends_before(text, start) {
        return Join::Glued;
    }
    if let [before @ .., b'_'] = &text[..start]
        && (classes::before(before, start - 1, ALNUM) || marker::ends_before(before, start - 1))
    {
        return Join::Underscore;
    }
    // Only the wide ones end with what is not ASCII.
    let lengths = if start.checked_sub(1).is_some_and(|last| text[last].is_ascii()) { 1..=1 } else { 2..=3 };
    for length in lengths {
        if let Some(at) = start.checked_sub(length)
            && let Some((join, found)) = separator(text, at)
            && found == length
        {
            let near = classes::before(text, at, DIGIT) || marker::ends_before(text, at);
            return if near { join } else { Join::Free };
        }
    }
    Join::Free
}
