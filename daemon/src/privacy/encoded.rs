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

/// Groups of four letters that must be of ASCII in a row: what is found is longer.
const GROUPS: usize = 4;

/// Shortest row of printable characters that is searched: a social security number.
const READABLE: usize = 9;

/// Shortest base64 that is looked into.
pub(super) const SHORTEST: usize = 4 * GROUPS - 1;

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
        let run = classes::run(text, end, RUN);
        match memchr::memchr(b'=', &text[end..run]) {
            Some(length) => return inside - before..end + length,
            None => end = run,
        }
    }
    inside - before..end
}

/// Hands out what of `base64`, of either alphabet and without padding, reads as printable ASCII.
pub(super) fn each_readable(base64: &[u8], mut found: impl FnMut(&[u8])) {
    let mut rows = [0usize; 4];
    let mut decoder = Decoder::default();
    for (at, letter) in base64.iter().enumerate() {
        let row = &mut rows[at % 4];
        if HIGH[*letter as usize] {
            *row += 1;
            continue;
        }
        if *row >= GROUPS {
            readable(decoder.decode(base64, at - 4 * *row..at), &mut found);
        }
        *row = 0;
    }
    for (offset, row) in rows.into_iter().enumerate().filter(|(_, row)| *row >= GROUPS) {
        // Where the group behind the last would begin.
        let end = base64.len() + (offset + 4 - base64.len() % 4) % 4;
        readable(decoder.decode(base64, end - 4 * row..base64.len()), &mut found);
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

/// Letters that stand for the highest bits of a byte of ASCII, at the beginning of a group.
static HIGH: [bool; 256] = high();

const fn high() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_uppercase() || (byte >= b'a' as usize && byte <= b'f' as usize);
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

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
                for encoded in [STANDARD_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(text)] {
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
