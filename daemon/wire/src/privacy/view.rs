//! A text as it is read: escapes of any language that are written out in it resolved, and characters that look like
//! others taken for those. And the way back: where in the text something stands that was found so.

use std::ops::Range;

use super::{
    fold::{Fold, fold, is_stroke},
    join::wide_separator,
};

/// The text as it is read. None if that is as it is written but for the spaces and dashes of typesetters, which the
/// search knows itself: so it is of most texts, and those cost one pass.
pub(super) fn read(text: &[u8]) -> Option<Vec<u8>> {
    let mut at = 0;
    loop {
        let Unit { range, reads } = next(text, at)?;
        let known = wide_separator(&text[range.start..]).is_some();
        if !known || !matches!(reads, Reads::Char(' ' | '-')) {
            return Some(resolve(text));
        }
        at = range.end;
    }
}

fn resolve(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(Unit { range, reads }) = next(text, at) {
        out.extend_from_slice(&text[at..range.start]);
        if let Reads::Char(c) = reads {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        at = range.end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// Finds places of the text as read in the text as written; asked in rising order.
pub(super) struct Places<'a> {
    text: &'a [u8],
    /// As far as it has come, in both.
    at: usize,
    at_read: usize,
    /// What comes next that reads otherwise.
    next: Option<Unit>,
}

impl<'a> Places<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, at_read: 0, next: next(text, 0) }
    }

    /// What was written for a range, which is not empty, of what is read.
    pub(super) fn range(&mut self, read: Range<usize>) -> Range<usize> {
        let start = self.byte(read.start).start;
        start..self.byte(read.end - 1).end
    }

    /// What was written for one byte.
    fn byte(&mut self, read: usize) -> Range<usize> {
        while let Some(Unit { range, reads }) = &self.next {
            let before = range.start - self.at;
            let length = if let Reads::Char(c) = reads { c.len_utf8() } else { 0 };
            if read < self.at_read + before {
                break;
            }
            if read < self.at_read + before + length {
                return range.clone();
            }
            self.at_read += before + length;
            self.at = range.end;
            self.next = next(self.text, self.at);
        }
        let at = self.at + (read - self.at_read);
        at..at + 1
    }
}

/// A part of a text that reads otherwise than it is written.
#[derive(Debug)]
struct Unit {
    range: Range<usize>,
    reads: Reads,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Nothing,
    Char(char),
}

impl Reads {
    /// What a character is read as that was spelled otherwise.
    fn of(c: char) -> Self {
        match fold_any(c) {
            Fold::Same => Self::Char(c),
            Fold::As(byte) => Self::Char(char::from(byte)),
            Fold::Gone => Self::Nothing,
        }
    }
}

fn fold_any(c: char) -> Fold {
    match c {
        '\t' | '\n' | '\r' => Fold::Same,
        // Tabulators, ends of pages, and those that separate fields.
        '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1f}' => Fold::As(b' '),
        '\u{0}'..='\u{1f}' | '\u{7f}' => Fold::Gone,
        c if c.is_ascii() => Fold::Same,
        c => fold(c),
    }
}

/// The next such part from `at` on.
fn next(text: &[u8], mut at: usize) -> Option<Unit> {
    loop {
        at = special(text, at)?;
        let rest = &text[at..];
        let found = match rest[0] {
            b'\\' => escape(rest),
            b'%' => percent(rest),
            b'&' => entity(rest),
            b'\t' | b'\n' | b'\r' => None,
            byte @ (0..0x20 | 0x7f) => Some((1, Reads::of(char::from(byte)))),
            _ => {
                let Some((c, length)) = character(rest) else {
                    at += 1;
                    continue;
                };
                match fold(c) {
                    // The full stop of Chinese and Japanese stands in host names, too.
                    Fold::Same if c == '\u{3002}' && in_name(text, at) => Some((length, Reads::Char('.'))),
                    Fold::Same if is_stroke(c) && is_between_digits(text, at, at + length) => {
                        Some((length, Reads::Char('-')))
                    }
                    Fold::Same => {
                        at += length;
                        continue;
                    }
                    Fold::As(byte) => Some((length, Reads::Char(char::from(byte)))),
                    Fold::Gone => Some((length, Reads::Nothing)),
                }
            }
        };
        match found {
            Some((length, reads)) => return Some(Unit { range: at..at + length, reads }),
            // One by one, backslashes that escape nothing would be counted as often as they are many.
            None => at += backslashes(rest).max(1),
        }
    }
}

/// Whether Latin letters or digits of either width stand on both sides of the character of three bytes at `at`.
fn in_name(text: &[u8], at: usize) -> bool {
    let wide = |bytes: &[u8]| matches!(bytes, [0xef, 0xbc | 0xbd, _]);
    let before = &text[..at];
    let behind = &text[at + 3..];
    (before.last().is_some_and(u8::is_ascii_alphanumeric)
        || before.last_chunk::<3>().is_some_and(|c| wide(c)))
        && (behind.first().is_some_and(u8::is_ascii_alphanumeric)
            || behind.first_chunk::<3>().is_some_and(|c| wide(c)))
}

/// Whether digits of either width stand on both sides of `start..end`, a space between or not.
fn is_between_digits(text: &[u8], start: usize, end: usize) -> bool {
    let before = text[..start].strip_suffix(b" ").unwrap_or(&text[..start]);
    let behind = text[end..].strip_prefix(b" ").unwrap_or(&text[end..]);
    matches!(before, [.., b'0'..=b'9'] | [.., 0xef, 0xbc, 0x90..=0x99])
        && matches!(behind, [b'0'..=b'9', ..] | [0xef, 0xbc, 0x90..=0x99, ..])
}

/// The next byte from `at` on that may begin one: not ASCII, a control, `\`, `%` or `&`.
fn special(text: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let is = |word: u64, byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    while let Some(bytes) = text[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*bytes);
        let signs = is(word, b'\\')
            | is(word, b'%')
            | is(word, b'&')
            | is(word, 0x7f)
            | word.wrapping_sub(ONES * 0x20);
        // The first is right; a borrow may make later ones wrong.
        let marks = ((signs & !word) | word) & HIGH;
        if marks != 0 {
            return Some(at + (marks.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = text[at..].iter().position(|byte| matches!(byte, ..0x20 | b'\\' | b'%' | b'&' | 0x7f..))?;
    Some(at + rest)
}

/// The character of UTF-8, beyond ASCII, at the beginning of `text`.
fn character(text: &[u8]) -> Option<(char, usize)> {
    let low =
        |at: usize| text.get(at).filter(|byte| **byte & 0xc0 == 0x80).map(|byte| u32::from(byte & 0x3f));
    let lead = u32::from(text[0]);
    let (code, length) = match lead {
        0xc2..=0xdf => ((lead & 0x1f) << 6 | low(1)?, 2),
        0xe0..=0xef => ((lead & 0xf) << 12 | low(1)? << 6 | low(2)?, 3),
        0xf0..=0xf4 => ((lead & 7) << 18 | low(1)? << 12 | low(2)? << 6 | low(3)?, 4),
        _ => return None,
    };
    Some((char::from_u32(code)?, length))
}

/// A backslash, or several where strings lie in strings, and what it escapes in JSON, in programs and in Markdown.
fn escape(text: &[u8]) -> Option<(usize, Reads)> {
    let slashes = backslashes(text);
    let letter = *text.get(slashes)?;
    let rest = &text[slashes + 1..];
    let (length, c) = match letter {
        b'n' => (0, '\n'),
        b'r' => (0, '\r'),
        b't' => (0, '\t'),
        b'b' | b'f' | b'v' => (0, ' '),
        b'u' if rest.first() == Some(&b'{') => {
            let digits = rest[1..].iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
            let closed = rest.get(1 + digits) == Some(&b'}');
            (digits + 2, char::from_u32(hex(&rest[1..], digits)?).filter(|_| closed)?)
        }
        b'u' => unit16(rest, |rest| {
            let slashes = backslashes(rest);
            (slashes > 0 && rest.get(slashes) == Some(&b'u')).then_some(slashes + 1)
        })?,
        b'U' => (8, char::from_u32(hex(rest, 8)?)?),
        b'x' => (2, char::from_u32(hex(rest, 2)?)?),
        // Itself, which may begin another.
        letter if letter.is_ascii_punctuation() => return Some((slashes, Reads::Nothing)),
        _ => return None,
    };
    Some((slashes + 1 + length, Reads::of(c)))
}

fn backslashes(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b'\\').count()
}

/// A character of four hexadecimal digits, or of twice four for which `again` returns how far apart they are.
fn unit16(text: &[u8], again: impl Fn(&[u8]) -> Option<usize>) -> Option<(usize, char)> {
    let first = hex(text, 4)?;
    if (0xd800..0xdc00).contains(&first)
        && let Some(between) = again(&text[4..])
        && let Some(second @ 0xdc00..0xe000) = hex(&text[4 + between..], 4)
        && let Some(c) = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    {
        return Some((8 + between, c));
    }
    Some((4, char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)))
}

/// A byte of a URL (RFC 3986, 2.1), also where its `%` is encoded itself, with those that are of one character with it.
fn percent(text: &[u8]) -> Option<(usize, Reads)> {
    if text.get(1) == Some(&b'u') {
        let (length, c) = unit16(&text[2..], |rest| rest.starts_with(b"%u").then_some(2))?;
        return Some((2 + length, Reads::of(c)));
    }
    let (mut length, first) = octet(text)?;
    if first < 0x80 {
        return Some((length, Reads::of(char::from(first))));
    }
    let mut bytes = [first, 0, 0, 0];
    for n in 1..4 {
        let Some((more, byte)) = octet(&text[length..]).filter(|(_, byte)| byte & 0xc0 == 0x80) else {
            break;
        };
        bytes[n] = byte;
        length += more;
        if let Some((c, _)) = character(&bytes[..=n]) {
            return Some((length, Reads::of(c)));
        }
    }
    None
}

fn octet(text: &[u8]) -> Option<(usize, u8)> {
    let mut at = 1;
    if text.first() != Some(&b'%') {
        return None;
    }
    while text[at..].starts_with(b"25") && hex(&text[at + 2..], 2).is_some() {
        at += 2;
    }
    Some((at + 2, hex(&text[at..], 2)? as u8))
}

/// Longest name of a character of HTML, with its marks.
const ENTITY: usize = 17;

/// A character of HTML by its number (`&#64;`, `&#x40;`), or its name, such as `&commat;`.
fn entity(text: &[u8]) -> Option<(usize, Reads)> {
    let Some(rest) = text.strip_prefix(b"&#") else {
        let name = &text[1..text.len().min(ENTITY)];
        let name = &name[..name.iter().position(|byte| *byte == b';')?];
        let c = match name {
            b"commat" => '@',
            b"period" => '.',
            b"sol" => '/',
            b"lowbar" => '_',
            b"plus" => '+',
            b"lpar" => '(',
            b"rpar" => ')',
            b"dash" | b"hyphen" | b"ndash" | b"mdash" | b"horbar" | b"minus" => '-',
            b"nbsp" | b"ensp" | b"emsp" | b"thinsp" | b"hairsp" | b"numsp" | b"puncsp" => ' ',
            b"Tab" => '\t',
            b"NewLine" => '\n',
            b"shy" | b"zwj" | b"zwnj" | b"ZeroWidthSpace" | b"NoBreak" => '\u{ad}',
            _ => return None,
        };
        return Some((name.len() + 2, Reads::of(c)));
    };
    let (skip, radix) = if matches!(rest.first(), Some(b'x' | b'X')) { (1, 16) } else { (0, 10) };
    let digits = &rest[skip..];
    let end = digits.iter().take(9).position(|byte| *byte == b';')?;
    let code = u32::from_str_radix(std::str::from_utf8(&digits[..end]).ok()?, radix).ok()?;
    Some((2 + skip + end + 1, Reads::of(char::from_u32(code)?)))
}

/// The value of exactly so many hexadecimal digits, if there are any.
fn hex(text: &[u8], digits: usize) -> Option<u32> {
    let digits = text.get(..digits).filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0, |value, byte| Some(value << 4 | char::from(*byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_texts_take_no_longer_than_others() {
        for part in ["\\", "%", "%25", "%25ff", "&#", "\\ud83d\\\\", "\\u{", "\u{200b}", "％"] {
            let text = part.repeat((1 << 20) / part.len()) + "d";
            let read = resolve(text.as_bytes());
            let mut places = Places::new(text.as_bytes());
            assert_eq!(places.range(read.len() - 1..read.len()).end, text.len());
        }
    }

    fn reads(text: &str) -> String {
        read(text.as_bytes()).map_or(text.to_owned(), |read| String::from_utf8(read).unwrap())
    }

    #[test]
    fn texts_are_read_as_they_are_meant() {
        for (text, want) in [
            ("nothing of it\n\t", "nothing of it\n\t"),
            (r"bob\u0040example.com", "bob@example.com"),
            (r"bob\\u0040example\\\u002ecom", "bob@example.com"),
            (r"bob\x40example.com", "bob@example.com"),
            (r"bob\u{40}\U00000040", "bob@@"),
            (r"\ud83d\ude00\uff14\\ud835\\udfd2\u200b\ud83d", "\u{1f600}44"),
            (r"a\nb\\tc\/\_\-\.\d\%40", "a\nb\tc/_-.\\d@"),
            ("bob%40example.com", "bob@example.com"),
            ("a\u{b}b\u{c}c\u{1f}d\u{85}e\u{fffd}f", "a b c d\nef"),
            ("1ー2〜3\u{5be}4 ⁓ 5−6⁃7⸺8 サーバー 10〜20", "1-2-3-4 - 5-6-7-8 サーバー 10-20"),
            (
                "1&dash;2&minus;3&nbsp;4&zwj;5&sol;6&dash &x; &toolongforanyname;",
                "1-2-3 45/6&dash &x; &toolongforanyname;",
            ),
            ("bob%2540example%2Ecom 50% 50%25", "bob@example.com 50% 50%"),
            ("%EF%BC%94%ef%bc%94%D0%B8%u0040%ff%", "44и@%ff%"),
            ("&#64;&#x40;&commat;&amp;&#;&", "@@@&amp;&#;&"),
            ("４１１１\u{200b}1\u{0}1\u{7f}", "411111"),
            ("1990–1995 and \u{a0}", "1990–1995 and \u{a0}"),
            ("ｘ1990–1995", "x1990-1995"),
            ("bob@example。com。我。x", "bob@example.com。我。x"),
        ] {
            assert_eq!(reads(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn places_are_where_it_was_written(
            parts in prop::collection::vec(prop::sample::select(vec![
                "a", "bc", "é", "我", "４", "\u{200b}", r"\u0040", r"\\n", "%40", "%", "\\", "&#64;", "\u{0}", "\n", "\u{a0}",
            ]), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 2),
        ) {
            let text = parts.concat();
            let Some(read) = read(text.as_bytes()) else { return Ok(()) };
            let read = String::from_utf8(read).unwrap();
            let bounds: Vec<_> = read.char_indices().map(|(at, _)| at).chain([read.len()]).collect();
            let mut ends: Vec<_> = cuts.iter().map(|cut| bounds[cut.index(bounds.len())]).collect();
            ends.sort_unstable();
            prop_assume!(ends[0] < ends[1]);
            let mut places = Places::new(text.as_bytes());
            let range = places.range(ends[0]..ends[1]);
            prop_assert_eq!(resolve(&text.as_bytes()[range]), &read.as_bytes()[ends[0]..ends[1]]);
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(
            prop::sample::select(b"\\u%&#x;{}25d8cn40\xc3\xa4\xef\xbc\x94\xe2\x80\x8b\xf0\x9d\x9f\x92\x00a".to_vec()), 0..60)) {
            if let Some(read) = read(&bytes) {
                let mut places = Places::new(&bytes);
                let mut before = 0;
                for at in 0..read.len() {
                    let range = places.range(at..at + 1);
                    prop_assert!(range.start >= before && range.start < range.end && range.end <= bytes.len());
                    before = range.start;
                }
            }
        }
    }
}
