//! Strings of JSON: passing over them, and resolving their escapes as the nodes do.

/// Resolves the escapes of a captured string. A lone surrogate becomes U+FFFD, as in Go's decoder; None if
/// an escape or the UTF-8 is malformed.
#[must_use]
pub fn unescape(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?;
    if !raw.contains(&b'\\') {
        return Some(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let mut high: Option<u32> = None;
    while let Some(c) = chars.next() {
        let unit = if c == '\\' { escape(&mut chars)? } else { u32::from(c) };
        if let Some(first) = high.take() {
            if (0xdc00..0xe000).contains(&unit) {
                out.push(char::from_u32(0x10000 + ((first - 0xd800) << 10) + (unit - 0xdc00))?);
                continue;
            }
            out.push('\u{fffd}');
        }
        match unit {
            0xd800..0xdc00 => high = Some(unit),
            unit => out.push(char::from_u32(unit).unwrap_or('\u{fffd}')),
        }
    }
    if high.is_some() {
        out.push('\u{fffd}');
    }
    Some(out)
}

fn escape(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    Some(match chars.next()? {
        'n' => 0x0a,
        't' => 0x09,
        'r' => 0x0d,
        'b' => 0x08,
        'f' => 0x0c,
        'u' => {
            let hex = chars.as_str().get(..4)?;
            if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            *chars = chars.as_str()[4..].chars();
            u32::from_str_radix(hex, 16).ok()?
        }
        c @ ('"' | '\\' | '/') => u32::from(c),
        _ => return None,
    })
}

/// Where [`skip`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// Behind the closing quote.
    Quote(usize),
    /// At the end of the segment; `escaped` if its last byte was a backslash that escapes the next one.
    Out { escaped: bool },
}

/// How long a run makes a vector search pay.
const LONG: usize = 32;

/// Passes over a string from `at` to behind its closing quote. Eight bytes at a time, until a run without quote and
/// backslash is long enough for a vector search to pay for its start.
#[inline(always)]
pub(crate) fn skip(segment: &[u8], at: usize) -> Skipped {
    // Most strings are short and end in a quote.
    let Some(mut rest) = segment.get(at..) else { return skip_far(segment, at, 0) };
    let mut clean = 0;
    while let Some((bytes, more)) = rest.split_first_chunk()
        && clean < LONG
    {
        let marks = marks(u64::from_le_bytes(*bytes));
        if marks != 0 {
            clean += (marks.trailing_zeros() / 8) as usize;
            if segment.get(at + clean) == Some(&b'"') {
                return Skipped::Quote(at + clean + 1);
            }
            break;
        }
        clean += 8;
        rest = more;
    }
    skip_far(segment, at + clean, clean)
}

/// The same for all strings; the last `clean` bytes were neither quote nor backslash.
#[inline(never)]
fn skip_far(segment: &[u8], mut at: usize, mut clean: usize) -> Skipped {
    loop {
        if clean >= LONG {
            match memchr::memchr2(b'"', b'\\', &segment[at..]) {
                Some(found) => at += found,
                None => return Skipped::Out { escaped: false },
            }
        } else if let Some(word) = word(segment, at) {
            let marks = marks(word);
            if marks == 0 {
                at += 8;
                clean += 8;
                continue;
            }
            at += (marks.trailing_zeros() / 8) as usize;
        } else {
            match segment.get(at) {
                None => return Skipped::Out { escaped: at > segment.len() },
                Some(b'"' | b'\\') => {}
                Some(_) => {
                    at += 1;
                    continue;
                }
            }
        }
        if segment[at] == b'"' {
            return Skipped::Quote(at + 1);
        }
        at += 2;
        clean = 0;
        if at > segment.len() {
            return Skipped::Out { escaped: true };
        }
    }
}

/// The eight bytes at `at`, the first lowest.
#[inline]
fn word(segment: &[u8], at: usize) -> Option<u64> {
    segment.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Has the highest bit of the first byte that is a quote or backslash set, and of none before it.
#[inline]
fn marks(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let quotes = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let slashes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (quotes | slashes) & !word & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Skipped, skip, unescape};

    #[test]
    fn escapes_resolve_as_in_go() {
        assert_eq!(unescape(br"\u006dodel").unwrap(), "model");
        assert_eq!(unescape(br"\ud83d\ude00").unwrap(), "\u{1f600}");
        assert_eq!(unescape(br"\ud83dx").unwrap(), "\u{fffd}x");
        assert_eq!(unescape(br"\ude00").unwrap(), "\u{fffd}");
        assert_eq!(unescape(br"\ud83d\ud83d\ude00").unwrap(), "\u{fffd}\u{1f600}");
        assert!(unescape(br"\x").is_none());
        assert!(unescape(br"\u12").is_none());
    }

    /// The same, byte by byte.
    fn plainly(segment: &[u8], mut at: usize) -> Skipped {
        while let Some(byte) = segment.get(at) {
            match byte {
                b'"' => return Skipped::Quote(at + 1),
                b'\\' if at + 1 == segment.len() => return Skipped::Out { escaped: true },
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        Skipped::Out { escaped: false }
    }

    proptest! {
        #[test]
        fn skipping_fast_is_skipping(
            text in prop::collection::vec(prop_oneof![8 => Just(b'a'), 1 => Just(b'\\'), 1 => any::<u8>()], 0..200),
            quote in 0usize..200,
            from in 0usize..20,
        ) {
            let mut text: Vec<u8> = text.into_iter().filter(|b| *b != b'"').collect();
            if quote < text.len() {
                text[quote] = b'"';
            }
            let from = from.min(text.len());
            prop_assert_eq!(skip(&text, from), plainly(&text, from));
        }
    }
}
