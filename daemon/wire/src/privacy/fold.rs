//! Characters that are read as others: digits of every script, letters and signs of other widths and styles, dashes
//! and spaces of typesetters, and those without any width.

/// What a character is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    /// Itself.
    Same,
    /// This one.
    As(u8),
    /// Nothing: it has no width.
    Gone,
}

use Fold::{As, Gone, Same};

/// The zeros of the decimal digits (general category Nd, Unicode 16), each followed by its nine others; the styles of
/// mathematics, of which there are five in a row, apart.
const ZEROS: [u32; 71] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6,
    0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0,
    0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30,
    0x10d40, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0,
    0x116da, 0x11730, 0x118e0, 0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16130, 0x16a60,
    0x16ac0, 0x16b50, 0x16d70, 0x1ccf0, 0x1d7ce, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950, 0x1fbf0,
];

/// What `c`, which is not ASCII, is read as.
pub(super) fn fold(c: char) -> Fold {
    match u32::from(c) {
        // Latin, Greek, Cyrillic, Armenian, Hebrew; kana, ideographs, Hangul: nearly all there is, and letters.
        0xc0..=0x2ff
        | 0x370..=0x482
        | 0x48a..=0x5ff
        | 0x3041..=0x30fa
        | 0x31f0..=0x9fff
        | 0xac00..=0xd7ff => Same,
        // Controls, soft hyphen, fillers, joiners, marks of direction, variation selectors, tags, and what stands for
        // what could not be read.
        0x80..=0x84 | 0x86..=0x9f | 0xad | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f => {
            Gone
        }
        0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff => Gone,
        0xffa0 | 0xfff9..=0xfffb | 0xfffd | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff => Gone,
        // Marks on other characters, such as a stroke through them.
        0x300..=0x36f
        | 0x483..=0x489
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x20d0..=0x20ff
        | 0xfe20..=0xfe2f => Gone,
        0xa0 | 0x1680 | 0x2000..=0x200a | 0x202f | 0x205f | 0x3000 => As(b' '),
        0x85 | 0x2028 | 0x2029 => As(b'\n'),
        0x2010..=0x2015 | 0x2043 | 0x2212 | 0x2e3a | 0x2e3b | 0xfe31 | 0xfe32 | 0xfe58 | 0xfe63 => As(b'-'),
        0xb7 | 0x2022 | 0x2024 | 0x2027 | 0x2219 | 0x22c5 | 0x30fb | 0xfe52 | 0xff61 | 0xff65 => As(b'.'),
        0x2044 | 0x2215 | 0x29f8 => As(b'/'),
        0xfe6b => As(b'@'),
        0xfe62 => As(b'+'),
        0xb9 => As(b'1'),
        0xb2 | 0xb3 => As(b'0' + (u32::from(c) - 0xb0) as u8),
        code @ 0x2070..=0x2079 if code != 0x2071 => As(b'0' + (code - 0x2070) as u8),
        code @ 0x2080..=0x2089 => As(b'0' + (code - 0x2080) as u8),
        // Circled, in parentheses, with a full stop, and those of Zapf.
        0x24ea | 0x24ff => As(b'0'),
        code @ 0x2460..=0x2468 => As(b'1' + (code - 0x2460) as u8),
        code @ (0x2474..=0x247c | 0x2488..=0x2490) => As(b'1' + ((code - 0x2474) % 20) as u8),
        code @ (0x2776..=0x277e | 0x2780..=0x2788 | 0x278a..=0x2792) => {
            As(b'1' + ((code - 0x2776) % 10) as u8)
        }
        code @ 0x24f5..=0x24fd => As(b'1' + (code - 0x24f5) as u8),
        code @ 0x249c..=0x24b5 => As(b'a' + (code - 0x249c) as u8),
        code @ 0x24b6..=0x24cf => As(b'A' + (code - 0x24b6) as u8),
        code @ 0x24d0..=0x24e9 => As(b'a' + (code - 0x24d0) as u8),
        // The width of an ideograph.
        code @ 0xff01..=0xff5e => As((code - 0xfee0) as u8),
        // Letters of mathematics: 13 styles of 52, and digits.
        code @ 0x1d400..=0x1d6a3 => {
            let letter = ((code - 0x1d400) % 52) as u8;
            As(if letter < 26 { b'A' + letter } else { b'a' + letter - 26 })
        }
        code @ 0x1d7ce..=0x1d7ff => As(b'0' + ((code - 0x1d7ce) % 10) as u8),
        code => digit(code),
    }
}

/// Whether `c` is a letter or a mark that looks like a dash between digits.
pub(super) fn is_stroke(c: char) -> bool {
    matches!(
        u32::from(c),
        0x2d7
            | 0x5be
            | 0x1400
            | 0x1806
            | 0x2053
            | 0x207b
            | 0x208b
            | 0x223c
            | 0x23af
            | 0x2500
            | 0x2501
            | 0x2796
            | 0x2e17
            | 0x2e1a
            | 0x2e40
            | 0x2e5d
            | 0x301c
            | 0x3030
            | 0x30a0
            | 0x30fc
            | 0xff70
    )
}

fn digit(code: u32) -> Fold {
    let after = ZEROS.partition_point(|zero| *zero <= code);
    match after.checked_sub(1).map(|at| code - ZEROS[at]) {
        Some(value @ 0..=9) => As(b'0' + value as u8),
        _ => Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_read_as_what_they_look_like() {
        for (from, to) in [
            ("４１１１", "4111"),
            ("＠．－＋（／", "@.-+(/"),
            ("ｂｏｂ", "bob"),
            ("٤۴४৪๔၄៤", "4444444"),
            ("𝟒𝟜𝟦𝟰𝟺", "44444"),
            ("𝐬𝑘𝒔𝓴𝕤𝖐𝗌𝘬𝚜", "sksksksks"),
            ("④⑷⒋❹➃➍⓸₄⁴¹²³", "444444444123"),
            ("ⓑⒷ⒝", "bBb"),
            ("\u{200b}\u{ad}\u{feff}\u{fe0f}\u{336}\u{e0041}", ""),
            ("\u{a0}\u{2009}\u{3000}", "   "),
            ("‐‑–—−﹣", "------"),
            ("·•․", "..."),
            ("éß我かя한", "éß我かя한"),
        ] {
            let mut read = String::new();
            for c in from.chars() {
                match fold(c) {
                    Same => read.push(c),
                    As(byte) => read.push(char::from(byte)),
                    Gone => {}
                }
            }
            assert_eq!(read, to, "{from}");
        }
    }

    #[test]
    fn digits_are_those_of_unicode() {
        assert!(ZEROS.is_sorted());
        for c in ('\u{80}'..=char::MAX).filter(|c| c.is_numeric()) {
            if let As(byte @ b'0'..=b'9') = fold(c) {
                assert!(byte.is_ascii_digit(), "{c}");
            }
        }
        for zero in ZEROS {
            for value in 0..10 {
                assert_eq!(fold(char::from_u32(zero + value).unwrap()), As(b'0' + value as u8));
            }
        }
    }
}
