//! E-mail addresses, found by their `@`.

use super::classes::{self, ALNUM, ALPHA, DOMAIN, LOCAL};

/// The address around the `@` at `at`: its bytes. Every byte is looked at for the `@` before it and the `@`
/// after it at most.
pub(super) fn around(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = local(text, at)?;
    let host = at + 1;
    let end = domain(text, host)?;
    if text.get(start..at) == Some(b"git") || is_scale(&text[host..end]) {
        // `git@github.com:org/repository`, `logo@2x.png`
        return None;
    }
    Some((start, end))
}

fn local(text: &[u8], at: usize) -> Option<usize> {
    let mut start = at;
    loop {
        if classes::before(text, start, LOCAL) {
            start -= 1;
        } else if let Some([0xc3..=0xc9, 0x80..=0xbf]) = text[..start].last_chunk() {
            // A Latin letter with a mark; other scripts are written without spaces around an address.
            start -= 2;
        } else {
            break;
        }
    }
    // Quotes, dots and the like before it stay outside.
    while start < at && text[start].is_ascii() && !classes::is(text[start], ALNUM) && text[start] != b'_' {
        start += 1;
    }
    (start < at).then_some(start)
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
    (letters - from >= 2 && !classes::at(text, letters, ALNUM)).then_some(letters)
}

fn is_scale(host: &[u8]) -> bool {
    matches!(host, [b'1'..=b'9', b'x', b'.', ..])
}
