//! Base64 in the middle of texts and of data: what of it reads as text is searched.
//!
//! Nothing says where it begins: letters before it may belong to it or not. So each of the four places within a group
//! is tried; what is text decodes to a row of bytes below 128 at one of them only, and words rarely do.

use std::ops::Range;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::classes::{self, RUN};

/// Groups of four letters that must be of ASCII in a row: what is found has as many at least.
const GROUPS: usize = 3;

/// Shortest row of printable characters that is searched: a social security number.
const READABLE: usize = 9;

/// Shortest base64 that is looked into.
pub(super) const SHORTEST: usize = 4 * GROUPS - 1;

/// Letters that are looked for padding at once.
const PIECE: usize = 256;

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The letters of base64, of either alphabet, around the one at `inside`, from `floor` on.
pub(super) fn around(text: &[u8], inside: usize, floor: usize) -> Range<usize> {
    let letter = |byte: &u8| classes::is(*byte, RUN) && *byte != b'=';
    let before = text[floor..inside].iter().rev().take_while(|byte| letter(byte)).count();
    let mut end = inside;
    while classes::at(text, end, RUN) {
        // Piece by piece: what is padded again and again would be run through to its end for each.
        let run = classes::run(&text[..text.len().min(end + PIECE)], end, RUN);
        match memchr::memchr(b'=', &text[end..run]) {
            Some(length) => return inside - before..end + length,
            None => end = run,
        }
    }
    inside - before..end
}

/// Hands out what of `base64`, of either alphabet, reads as printable ASCII.
pub(super) fn each_readable(base64: &[u8], mut found: impl FnMut(&[u8])) {
    let padding = base64.iter().rev().take_while(|letter| **letter == b'=').count();
    let base64 = &base64[..base64.len() - padding];
    let mut rows = [0usize; 4];
    let mut decoder = Decoder::default();
    let (mut first, mut second) = (0, 0);
    for (at, letter) in base64.iter().enumerate() {
        let third = ZEROS[*letter as usize];
        let row = &mut rows[(at + 2) % 4];
        if first & (second >> 1) & (third >> 2) != 0 {
            *row += 1;
        } else {
            if *row >= GROUPS {
                readable(decoder.decode(base64, at - 2 - 4 * *row..at - 2), &mut found);
            }
            *row = 0;
        }
        (first, second) = (second, third);
    }
    for (offset, row) in rows.into_iter().enumerate().filter(|(_, row)| *row >= GROUPS) {
        // Where the group behind the last would begin.
        let whole = base64.len() - 2;
        let end = whole + (offset + 4 - whole % 4) % 4;
        readable(decoder.decode(base64, end - 4 * row..base64.len().min(end)), &mut found);
    }
}

/// What is used again for each row.
#[derive(Default)]
struct Decoder {
    letters: Vec<u8>,
    bytes: Vec<u8>,
}

impl Decoder {
    /// Decodes the groups at `range`, the one before them and that behind.
    fn decode(&mut self, base64: &[u8], range: Range<usize>) -> &[u8] {
        let start = if range.start >= 4 { range.start - 4 } else { range.start };
        let letters = &base64[start..base64.len().min(range.end + 4)];
        // A single letter at the end is no byte.
        let letters = &letters[..letters.len() - usize::from(letters.len() % 4 == 1)];
        self.letters.clear();
        self.letters.extend(letters.iter().map(|letter| match letter {
            b'-' => b'+',
            b'_' => b'/',
            letter => *letter,
        }));
        self.bytes.clear();
        match ENGINE.decode_vec(&self.letters, &mut self.bytes) {
            Ok(()) => &self.bytes,
            Err(_) => &[],
        }
    }
}

/// Hands out the rows of printable ASCII in `bytes`, and of those that zeros are between, as in UTF-16 and UTF-32.
pub(super) fn readable(bytes: &[u8], mut found: impl FnMut(&[u8])) {
    let prints = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    let rows = bytes.split(|byte| !prints(byte) && *byte != 0).filter(|row| row.len() >= READABLE);
    for row in rows {
        if memchr::memchr(0, row).is_none() {
            found(row);
            continue;
        }
        let row: Vec<u8> = row.iter().copied().filter(|byte| *byte != 0).collect();
        if row.len() >= READABLE {
            found(&row);
        }
    }
}

/// Whether the highest bit of the first, the second and the third byte of a group is zero, by its first, second and
/// third letter.
static ZEROS: [u8; 256] = zeros();

const fn zeros() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = match byte as u8 {
            b'A'..=b'Z' => byte - b'A' as usize,
            b'a'..=b'z' => byte - b'a' as usize + 26,
            b'0'..=b'9' => byte - b'0' as usize + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => 0xff,
        };
        table[byte] = (value & 32 == 0) as u8 | ((value & 8 == 0) as u8) << 1 | ((value & 2 == 0) as u8) << 2;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    use super::*;

    fn all(base64: &str) -> Vec<String> {
        let mut all = Vec::new();
        each_readable(base64.as_bytes(), |row| all.push(String::from_utf8(row.to_vec()).unwrap()));
        all
    }

    #[test]
    fn text_is_read_wherever_its_base64_begins() {
        for text in
            ["ssn 123-45-6789", "my ssn is 123-45-6789", "my ssn is 123-45-6789 >>>???", "bob@example.com!!"]
        {
            for before in ["", "x", "x1", "/data", "zzzzz9"] {
                for encoded in
                    [STANDARD.encode(text), STANDARD_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(text)]
                {
                    let found = all(&format!("{before}{encoded}"));
                    assert!(found.iter().any(|row| row.contains(text)), "{before}{encoded}: {found:?}");
                }
            }
        }
        let wide: Vec<u8> = "ssn 123-45-6789".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(all(&STANDARD_NO_PAD.encode(wide)), ["ssn 123-45-6789"]);
        let among = [b"\xff\xfe\xfd\xfc\xfb".as_slice(), b"123-45-6789 ok", b"\x01\x80\x81\x82"].concat();
        assert_eq!(all(&STANDARD_NO_PAD.encode(among)), ["123-45-6789 ok"]);
    }

    #[test]
    fn words_are_not_read_as_base64() {
        for text in
            ["getUserByIdAndOrganization2", "src/components/UserProfile2/IndexPage", "internationalization"]
        {
            assert!(all(text).is_empty(), "{text}");
        }
    }
}
