//! E-mail addresses, found by their `@`.

use std::ops::Range;

use super::{
    classes::{self, ALNUM, ALPHA, DOMAIN, LOCAL},
    context,
};

/// The address around the `@` at `at`: its bytes. Every byte is looked at for the `@` before it and the `@`
/// after it at most.
pub(super) fn around(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = local(text, at)?;
    let host = at + 1;
    let end = domain(text, host)?;
    if text.get(start..at) == Some(b"git") || is_scale(&text[host..end]) || is_place(text, host..end) {
        // `git@github.com:org/repository`, `logo@2x.png`, `root@host:/tmp`
        return None;
    }
    Some((start, end))
}

fn local(text: &[u8], at: usize) -> Option<usize> {
    let mut start = at;
    loop {
        if classes::before(text, start, LOCAL) {
            start -= 1;
        } else if let Some([0xc3..=0xdf, 0x80..=0xbf]) = text[..start].last_chunk() {
            // A letter of an alphabet: those are written with spaces around an address.
            start -= 2;
        } else {
            break;
        }
    }
    if start == at {
        return ideographs(text, at);
    }
    // Quotes, dots and the like before it stay outside.
    while start < at && text[start].is_ascii() && !classes::is(text[start], ALNUM) && text[start] != b'_' {
        start += 1;
    }
    (start < at).then_some(start)
}

/// Where a name begins that is written wholly without an alphabet and ends at `at`: nothing separates it from the words
/// before it.
fn ideographs(text: &[u8], at: usize) -> Option<usize> {
    let mut start = at;
    while let Some(letter @ [0xe0..=0xee, ..]) = text[..start].last_chunk::<3>()
        && at - start < 64
        && is_letter(letter)
    {
        start -= 3;
    }
    (start < at).then_some(start)
}

/// Whether three bytes of UTF-8 are a letter or a syllable: neither the punctuation of typesetters, symbols, nor that
/// of Chinese and Japanese.
fn is_letter(bytes: &[u8]) -> bool {
    match bytes {
        [0xe0 | 0xe1 | 0xe4..=0xed, ..] => true,
        [0xe3, second, third, ..] => (*second, *third) >= (0x81, 0x81),
        _ => false,
    }
}

/// The end of the host name at `from`: the last place where a name with a top-level domain ends.
fn domain(text: &[u8], from: usize) -> Option<usize> {
    if !classes::at(text, from, ALNUM) && text.get(from).is_none_or(u8::is_ascii) {
        return None;
    }
    let mut end = None;
    let mut label = from;
    let mut dotted = false;
    let mut at = from;
    loop {
        let stop = !classes::at(text, at, DOMAIN);
        if stop || text[at] == b'.' {
            if at == label {
                break;
            }
            if dotted {
                end = top_level(text, label, at).or(end);
            }
            dotted = true;
            label = at + 1;
        }
        if stop {
            break;
        }
        at += 1;
    }
    end
}

/// Where the top-level domain that the label begins with ends.
fn top_level(text: &[u8], from: usize, to: usize) -> Option<usize> {
    if text[from..to].starts_with(b"xn--") {
        return Some(to);
    }
    let letters = classes::run(&text[..to], from, ALPHA);
    if letters == from {
        return foreign(&text[..to], from);
    }
    // A number may follow at once where the letters say so, and is something of its own.
    let ends = !classes::at(text, letters, ALNUM) || context::labels(text, letters);
    (letters - from >= 2 && ends).then_some(letters)
}

/// Where the letters beyond ASCII that begin at `from` end, if there are two at least.
fn foreign(text: &[u8], from: usize) -> Option<usize> {
    let mut end = from;
    loop {
        end += match &text[end..] {
            [0xc3..=0xdf, 0x80..=0xbf, ..] => 2,
            bytes if bytes.len() >= 3 && is_letter(bytes) => 3,
            _ => break,
        };
    }
    (end >= from + 4).then_some(end)
}

/// Whether a host is one where files are, as scp and rsync write it: a path follows, or it has a name of a local network
/// and nothing but the colon follows.
fn is_place(text: &[u8], host: Range<usize>) -> bool {
    let behind = &text[host.end..];
    matches!(behind, [b':', b'/' | b'~', ..] | [b':', b'.', b'/' | b'.', ..])
        || (text[host].ends_with(b".local")
            && matches!(behind, [b':'] | [b':', b' ' | b'\n' | b'\t' | b'"' | b'\'' | b'`', ..]))
}

fn is_scale(host: &[u8]) -> bool {
    matches!(host, [b'1'..=b'9', b'x', b'.', ..])
}
