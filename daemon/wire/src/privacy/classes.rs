//! What a byte may be part of.

/// Letters, digits, `_`.
pub(super) const WORD: u8 = 1;
/// Letters and digits.
pub(super) const ALNUM: u8 = 2;
/// Letters.
pub(super) const ALPHA: u8 = 4;
/// Of a key: letters, digits, `_`, `-`.
pub(super) const ATOM: u8 = 8;
/// Of a run in which keys are looked for: those, and `+`, `/`, `=`.
pub(super) const RUN: u8 = 16;
/// Of the part of an address before the `@`.
pub(super) const LOCAL: u8 = 32;
/// Of a host name; what is not ASCII included.
pub(super) const DOMAIN: u8 = 64;
/// Digits.
pub(super) const DIGIT: u8 = 128;

static CLASSES: [u8; 256] = table();

const fn table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() {
            class |= WORD | ALNUM | ATOM | RUN | LOCAL | DOMAIN;
        }
        if byte.is_ascii_alphabetic() {
            class |= ALPHA;
        }
        if byte.is_ascii_digit() {
            class |= DIGIT;
        }
        if matches!(byte, b'_') {
            class |= WORD | ATOM | RUN | LOCAL;
        }
        if matches!(byte, b'-') {
            class |= ATOM | RUN | LOCAL | DOMAIN;
        }
        if matches!(byte, b'+' | b'/' | b'=') {
            class |= RUN;
        }
        if matches!(byte, b'.' | b'%' | b'+' | b'\'') {
            class |= LOCAL;
        }
        if byte == b'.' || byte >= 0x80 {
            class |= DOMAIN;
        }
        table[b] = class;
        b += 1;
    }
    table
}

/// Whether `byte` is of any class in `class`.
#[inline(always)]
pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Whether the byte at `at` is there and of `class`.
#[inline(always)]
pub(super) fn at(text: &[u8], at: usize, class: u8) -> bool {
    text.get(at).is_some_and(|byte| is(*byte, class))
}

/// Whether the byte before `at` is there and of `class`.
#[inline(always)]
pub(super) fn before(text: &[u8], at: usize, class: u8) -> bool {
    at.checked_sub(1).is_some_and(|last| is(text[last], class))
}

/// Where the run of `class`, which is one class, that `from` is in ends.
#[inline]
pub(super) fn run(text: &[u8], from: usize, class: u8) -> usize {
    let near = &text[from..text.len().min(from + 4)];
    if let Some(length) = near.iter().position(|byte| !is(*byte, class)) {
        return from + length;
    }
    let mut at = from + near.len();
    // Eight at a time, as long as all are of it.
    while let Some(bytes) = text[at..].first_chunk::<8>()
        && bytes.iter().fold(class, |all, byte| all & CLASSES[*byte as usize]) != 0
    {
        at += 8;
    }
    text[at..].iter().position(|byte| !is(*byte, class)).map_or(text.len(), |length| at + length)
}
