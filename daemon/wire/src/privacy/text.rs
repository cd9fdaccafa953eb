//! Strings of JSON as the nodes read them, and the way back: where in the raw bytes something found is.

use std::ops::Range;

/// An escape that no decoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// One escape: bytes it takes, and the character it is.
struct Unit {
    raw: usize,
    character: char,
}

/// The escape at the beginning of `raw`, which begins with a backslash. A lone surrogate is U+FFFD, as in Go's decoder.
#[inline]
fn escape(raw: &[u8]) -> Result<Unit, Malformed> {
    let simple = |character| Ok(Unit { raw: 2, character });
    match raw.get(1) {
        Some(b'n') => simple('\n'),
        Some(b't') => simple('\t'),
        Some(b'r') => simple('\r'),
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{c}'),
        Some(byte @ (b'"' | b'\\' | b'/')) => simple(char::from(*byte)),
        Some(b'u') => {
            let first = hex(&raw[2..]).ok_or(Malformed)?;
            if (0xd800..0xdc00).contains(&first)
                && let Some([b'\\', b'u', rest @ ..]) = raw.get(6..)
                && let Some(second @ 0xdc00..0xe000) = hex(rest)
                && let Some(character) =
                    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            {
                return Ok(Unit { raw: 12, character });
            }
            Ok(Unit { raw: 6, character: char::from_u32(first).unwrap_or('\u{fffd}') })
        }
        _ => Err(Malformed),
    }
}

fn hex(text: &[u8]) -> Option<u32> {
    text.first_chunk::<4>()?.iter().try_fold(0, |sum, byte| Some(sum << 4 | char::from(*byte).to_digit(16)?))
}

/// Resolves the escapes of `raw` into `out`.
pub(super) fn decode(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.reserve(raw.len());
    let mut at = 0;
    while let Some(found) = next(raw, at) {
        out.extend_from_slice(&raw[at..found]);
        let unit = escape(&raw[found..])?;
        if unit.character.is_ascii() {
            out.push(unit.character as u8);
        } else {
            out.extend_from_slice(unit.character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        at = found + unit.raw;
    }
    out.extend_from_slice(&raw[at..]);
    Ok(())
}

/// The next backslash from `at` on. Those that follow closely are found without the start of a vector search.
#[inline]
fn next(raw: &[u8], at: usize) -> Option<usize> {
    let near = &raw[at..raw.len().min(at + 8)];
    match near.iter().position(|byte| *byte == b'\\') {
        Some(n) => Some(at + n),
        None => memchr::memchr(b'\\', &raw[at + near.len()..]).map(|n| at + near.len() + n),
    }
}

/// Finds places of decoded text in the raw string it was decoded from; asked in rising order.
pub(super) struct Ruler<'a> {
    raw: &'a [u8],
    at_raw: usize,
    at_decoded: usize,
}

impl<'a> Ruler<'a> {
    /// A ruler for `raw`, which decodes.
    pub(super) fn new(raw: &'a [u8]) -> Self {
        Self { raw, at_raw: 0, at_decoded: 0 }
    }

    /// The raw bytes of a range of the decoded text, whole characters.
    pub(super) fn range(&mut self, decoded: Range<usize>) -> Range<usize> {
        let start = self.advance(decoded.start, false);
        start..self.advance(decoded.end, true)
    }

    /// The raw place of a decoded one; where that is inside a character, before it or (if `up`) behind it.
    fn advance(&mut self, decoded: usize, up: bool) -> usize {
        while self.at_decoded < decoded {
            let plain = next(self.raw, self.at_raw).unwrap_or(self.raw.len()) - self.at_raw;
            if plain > 0 {
                let step = plain.min(decoded - self.at_decoded);
                self.at_raw += step;
                self.at_decoded += step;
                continue;
            }
            // It has decoded before, so it does again.
            let Ok(unit) = escape(&self.raw[self.at_raw..]) else { return self.raw.len() };
            let length = unit.character.len_utf8();
            if self.at_decoded + length > decoded && !up {
                break;
            }
            self.at_raw += unit.raw;
            self.at_decoded += length;
        }
        self.at_raw
    }
}
