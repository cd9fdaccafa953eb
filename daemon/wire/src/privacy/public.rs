//! Strings that look as random as keys and are none: names in programs, sums, public keys, addresses of money, literals,
//! and prose in base64.

use std::ops::Range;

use super::classes::{self, ALNUM};
use crate::api::media;

/// Longest word without a vowel: `HTTPS`.
const ACRONYM: usize = 5;

/// Most consonants in a row: `lengths`.
const CONSONANTS: usize = 5;

/// Letters of base64 of a SHA-256 without its padding.
const SHA256: usize = 43;

/// Whether a part says of itself that it is public.
pub(super) fn is_published(text: &[u8], part: &Range<usize>) -> bool {
    is_digest(text, part) || is_public_key(&text[part.clone()])
}

/// Sums that are published to be compared, and say so.
fn is_digest(text: &[u8], part: &Range<usize>) -> bool {
    const NAMES: [&[u8]; 8] =
        [b"sha1-", b"sha256-", b"sha384-", b"sha512-", b"sha256:", b"SHA256:", b"sha512:", b"md5:"];
    let before = &text[..part.start];
    NAMES.iter().any(|name| text[part.clone()].starts_with(name) || before.ends_with(name))
        // Of the modules of Go.
        || (before.ends_with(b"h1:") && part.len() == SHA256 && text.get(part.end) == Some(&b'='))
}

/// Whether base64 begins as that of a public key of SSH (RFC 4253, 6.6) does: with the name of its algorithm.
fn is_public_key(base64: &[u8]) -> bool {
    // ssh-rsa and ssh-dss, ssh-ed25519, ecdsa-sha2-, sk-ecdsa-sha2- and sk-ssh-ed25519@.
    [
        b"AAAAB3NzaC1".as_slice(),
        b"AAAAC3NzaC1lZDI1NTE5",
        b"AAAAE2VjZHNhLXNoYTIt",
        b"AAAAInNrLWVjZHNhLXNoYTIt",
        b"AAAAGnNrLXNzaC1lZDI1NTE5",
    ]
    .iter()
    .any(|begin| base64.starts_with(begin))
}

/// Whether an atom is the address of a wallet: `0x` and 40 hexadecimal digits, or 26 to 35 of base 58 that begin with 1
/// or 3.
pub(super) fn is_wallet(atom: &[u8]) -> bool {
    let base58 = |byte: &u8| classes::is(*byte, ALNUM) && !matches!(byte, b'0' | b'O' | b'I' | b'l');
    match atom {
        [b'0', b'x', digits @ ..] => digits.len() == 40 && digits.iter().all(u8::is_ascii_hexdigit),
        [b'1' | b'3', ..] => (26..=35).contains(&atom.len()) && atom.iter().all(base58),
        _ => false,
    }
}

/// Whether an atom is a number of a program that says its type: `0x9e3779b97f4a7c15ULL`.
pub(super) fn is_literal(atom: &[u8]) -> bool {
    let Some(digits) = atom.strip_prefix(b"0x").or(atom.strip_prefix(b"0X")) else { return false };
    let length = digits.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let suffix = &digits[length..];
    length <= 16
        && (1..=3).contains(&suffix.len())
        && suffix.iter().all(|byte| matches!(byte.to_ascii_lowercase(), b'u' | b'l'))
}

/// Whether base64 is that of prose: words with spaces between.
pub(super) fn is_prose(base64: &[u8]) -> bool {
    let Some(decoded) = media::decode(base64) else { return false };
    let bytes = &decoded.bytes;
    let spaces = bytes.iter().filter(|byte| **byte == b' ').count();
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80).count();
    std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(|c: char| c.is_control() && c != '\n'))
        && spaces * 12 >= bytes.len()
        && (spaces + letters) * 20 >= bytes.len() * 17
}

/// Whether an atom is made of words, two at least, capitalized or joined by `_` and `-`, as names in programs are, with
/// numbers in two places at most: `getUserById2FromDatabaseV3`.
pub(super) fn is_identifier(atom: &[u8]) -> bool {
    let (mut words, mut letters, mut single, mut numbers) = (0, 0, 0, 0);
    let mut at = 0;
    while at < atom.len() {
        let rest = &atom[at..];
        let run = |is: fn(&u8) -> bool| rest.iter().take_while(|byte| is(byte)).count();
        let capitals = run(u8::is_ascii_uppercase);
        let small = rest[capitals..].iter().take_while(|byte| byte.is_ascii_lowercase()).count();
        let word = match (capitals, small) {
            (0, 0) => {
                let digits = run(u8::is_ascii_digit);
                numbers += usize::from(digits > 0);
                at += digits.max(1);
                continue;
            }
            (0 | 1, _) => capitals + small,
            (_, 0) => capitals,
            // The last capital is of the next word.
            _ => capitals - 1,
        };
        if !is_word(&rest[..word]) {
            return false;
        }
        single += usize::from(word == 1);
        letters += word;
        words += 1;
        at += word;
    }
    words >= 2 && single <= 1 && numbers <= 2 && letters >= 3 * words
}

/// Whether letters can be spoken, or are few enough not to have to.
pub(super) fn is_word(word: &[u8]) -> bool {
    let is_vowel = |byte: &u8| matches!(byte.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    let vowels = word.iter().filter(|byte| is_vowel(byte)).count();
    let consonants = word.split(|byte| is_vowel(byte)).map(<[u8]>::len).max().unwrap_or_default();
    let acronym = word.len() <= ACRONYM && word.iter().all(u8::is_ascii_uppercase);
    word.len() < 3 || acronym || (vowels * 5 >= word.len() && consonants <= CONSONANTS)
}
