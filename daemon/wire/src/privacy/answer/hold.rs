//! How much of a text that goes on has to wait: what may yet become a finding, or part of one.
//!
//! Every finding is one of these, so nothing else is held: a run without blanks, groups of digits with marks between,
//! a block between lines of dashes, or what is assigned to a name of a secret.

use aivonx_protocol::privacy::Category;

use super::super::{
    Wanted,
    apart::apart,
    iban, pem, secret,
    view::{self, Places},
};

/// Longest run that is held because it may become a finding.
pub(super) const LONGEST: usize = 4 << 10;

/// So much follows a number before it is judged: marks between its groups, words that say what it was.
const BEHIND: usize = 48;

/// Longest number, with all that may stand between its digits.
const NUMBER: usize = 320;

/// What is glued to the first group of a number.
const BEFORE: usize = 24;

/// Most bytes of a script without blanks that are part of a finding before an `@`.
const IDEOGRAPHS: usize = 60;

/// Longest stretch without blanks that is held because of what it may be a value of, where nothing in it assigns.
const STRETCH: usize = 64;

/// How much of `text` is settled, whatever follows: the rest may become a finding.
pub(super) fn settled(text: &[u8], wanted: Wanted) -> usize {
    let written = as_written(text, wanted);
    match view::read(text) {
        None => written,
        Some(read) => {
            let settled = as_written(&read, wanted);
            let settled = if settled < read.len() {
                Places::new(text).range(settled..settled + 1).start
            } else {
                text.len()
            };
            written.min(settled)
        }
    }
}

fn as_written(text: &[u8], wanted: Wanted) -> usize {
    let settled = run(text).min(stretch(text)).min(number(text)).min(block(text));
    let settled = if wanted.has(Category::Iban) {
        settled.min(iban::open(text).unwrap_or(text.len()))
    } else {
        settled
    };
    (0..=settled).rev().find(|at| is_boundary(text, *at)).unwrap_or(0)
}

/// Whether a character begins at `at`, or the text ends there.
pub(super) fn is_boundary(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|byte| !matches!(byte, 0x80..0xc0))
}

/// Where the run begins that the text ends with: addresses of mail, keys, base64.
fn run(text: &[u8]) -> usize {
    let mut wide = 0;
    let length = text.iter().rev().take_while(|byte| {
        wide += usize::from(**byte >= 0xe0) * 3;
        wide <= IDEOGRAPHS && glues(**byte)
    });
    text.len() - length.count()
}

/// Whether a byte may stand within a run. What is not ASCII may.
fn glues(byte: u8) -> bool {
    byte >= 0x80
        || byte.is_ascii_alphanumeric()
        || matches!(byte, b'#'..=b'\'' | b'+' | b'-'..=b'/' | b':' | b';' | b'=' | b'@' | b'\\' | b'_' | b'~')
}

/// Where the stretch without blanks begins that the text ends with: a password may have any characters.
fn stretch(text: &[u8]) -> usize {
    let near = &text[text.len().saturating_sub(secret::LONGEST)..];
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0xc2 | 0xe0..);
    let stretch = &near[near.iter().rposition(ends).map_or(0, |at| at + 1)..];
    let assigns = stretch.iter().any(|byte| matches!(byte, b':' | b'=' | b'>'));
    text.len() - if assigns { stretch.len() } else { stretch.len().min(STRETCH) }
}

/// Where the first of the numbers begins that the text ends with, or nearly.
fn number(text: &[u8]) -> usize {
    let near = &text[text.len().saturating_sub(BEHIND)..];
    // The first of several: what stands behind it says of each of them what it was.
    let Some(first) = near.iter().position(u8::is_ascii_digit) else { return text.len() };
    let mut start = text.len() - near.len() + first;
    let floor = start.saturating_sub(NUMBER);
    loop {
        while start > floor && text[start - 1].is_ascii_digit() {
            start -= 1;
        }
        let before = text[floor..start].iter().rposition(u8::is_ascii_digit).map(|at| floor + at);
        match before {
            Some(before) if apart(text, before + 1) == Some(start) => start = before,
            _ => break,
        }
    }
    let glued = text[..start].iter().rev().take(BEFORE).take_while(|byte| glues(**byte) || **byte == b'(');
    start - glued.count()
}

/// Where the first of the PEM blocks begins that have not ended.
fn block(text: &[u8]) -> usize {
    let ended = memchr::memmem::rfind(text, b"-----END ").map_or(0, |end| {
        let label = end + 9;
        memchr::memmem::find(&text[label..], b"-----").map_or(0, |dashes| label + dashes + 5)
    });
    let begins = memchr::memmem::find_iter(&text[ended..], b"-----BEGIN ").map(|begin| ended + begin);
    // Prose is not held for ever: nothing of a key is in it.
    let is_prose = |begin: &usize| text.len() - begin > LONGEST && !pem::is_block(&text[*begin..]);
    let mut open = begins.filter(|begin| !is_prose(begin)).filter_map(|begin| pem::open(text, begin));
    open.next().unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::settled as settled_of;
    use crate::privacy::Wanted;

    fn settled(text: &[u8]) -> usize {
        settled_of(text, Wanted::ALL)
    }

    #[test]
    fn prose_waits_for_the_end_of_its_last_word_alone() {
        for (text, rest) in [
            ("The quick brown fox ", ""),
            ("The quick brown fox", "fox"),
            ("mail bob@exam", "bob@exam"),
            ("call (555) 123-", "(555) 123-"),
            ("In 2024, the", "2024, the"),
            ("In 2024, the gateway was written by a handful of people in a room. ", ""),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII\nabc", "-----BEGIN RSA PRIVATE KEY-----\nMII\nabc"),
            (
                "-----BEGIN PRIVATE KEY----- begins a key, and what is in it comes behind that line, up to the one that ends it. ",
                "",
            ),
            ("-----BEGIN PRIVATE KEY----- begins a key. ", "-----BEGIN PRIVATE KEY----- begins a key. "),
            ("-----BEGIN as they say, of what nobody would take for the beginning of any key at all. ", ""),
            (
                "-----BEGIN PRIVATE KEY-----It is in no key, and ends before it has gone on for as long-----END PRIVATE KE",
                "-----BEGIN PRIVATE KEY-----It is in no key, and ends before it has gone on for as long-----END PRIVATE KE",
            ),
            ("postgres://app:s3(ret", "postgres://app:s3(ret"),
            ("bob\\u0040exam", "bob\\u0040exam"),
        ] {
            assert_eq!(&text[settled(text.as_bytes())..], rest, "{text}");
        }
    }

    #[test]
    fn scripts_without_blanks_wait_no_longer_than_others() {
        let text = "联系".repeat(200);
        assert!(text.len() - settled(text.as_bytes()) <= 64);
    }
}
