//! What is assigned to a name of a secret: `password: ...`, `"api_key" = "..."`, `Authorization: Basic ...`, in a flag
//! or a sentence (`--password ...`, `the password is ...`), and the password in an address (RFC 3986, 3.2.1).
//!
//! Found by the marks that assign, not by what is assigned: that may be short and of any characters. Whether it is a
//! secret or a reference, a type, a template or a word is for [`secret`](super::secret) to say.

use std::ops::Range;

use aivonx_protocol::privacy::Category;

use super::{
    classes::{self, ALNUM, ATOM},
    find::Found,
    join::{Join, wide_separator},
    marker,
    secret::{self, Kind, Written},
};

/// Longest name that is looked at.
const NAME: usize = 48;

/// Most blanks, or marks around a name, that are passed over.
const BETWEEN: usize = 5;

/// Most bytes of blanks before a value.
const BLANK: usize = 20;

/// The secret behind the sign at `at`, if it is one that assigns.
#[inline]
pub(super) fn behind_sign(text: &[u8], at: usize) -> Option<Range<usize>> {
    match text[at..] {
        [b':', b'/', b'/', ..] => in_address(text, at),
        [b':' | b'=' | b'>', ..] => behind_mark(text, at),
        _ => None,
    }
}

/// Finds the passwords that sentences and flags give.
pub(super) fn in_sentences(text: &[u8], out: &mut Vec<Found>) {
    // `Password` as well as `password`.
    for at in memchr::memmem::find_iter(text, b"ass") {
        if !matches!(text.get(at + 3), Some(b'w' | b'p' | b'c')) {
            continue;
        }
        if let Some(found) = in_sentence(text, at) {
            out.push(Found::new(found.start, found.end, Category::Key));
        }
    }
}

/// The secret behind the mark at `at`.
fn behind_mark(text: &[u8], at: usize) -> Option<Range<usize>> {
    let is_mark = |byte: &u8| matches!(byte, b':' | b'=' | b'>');
    if at == 0 || is_mark(&text[at - 1]) {
        return None;
    }
    let name = name_before(text, at)?;
    // A tag is named by what touches its end, and `</password>` ends one.
    if text[at] == b'>' && text[at - 1] != b'-' && (name.end < at || text[..name.start].ends_with(b"/")) {
        return None;
    }
    let kind = Kind::of(&text[name.clone()]).or_else(|| named_beside(text, name))?;
    let marks = text[at..].iter().take(3).take_while(|byte| is_mark(byte)).count();
    value(text, at + marks, kind, text[at - 1] == b' ')
}

/// The name that ends before the mark at `at`, with what may close it between: `"name" =`, `d['name']:`, `**name**:`.
fn name_before(text: &[u8], at: usize) -> Option<Range<usize>> {
    let closes = |byte: &&u8| b" \t\"'`]*?)-".contains(byte);
    let end = at - text[..at].iter().rev().take(BETWEEN).take_while(closes).count();
    let mut start = word_before(text, end);
    // `api key`
    if text[start..end].eq_ignore_ascii_case(b"key") && text[..start].ends_with(b" ") {
        start = word_before(text, start - 1);
    }
    (start < end && !marker::ends_before(text, start)).then_some(start..end)
}

/// Where the name begins that ends at `end`.
fn word_before(text: &[u8], end: usize) -> usize {
    end - text[..end].iter().rev().take(NAME).take_while(|byte| classes::is(**byte, ATOM)).count()
}

/// Where a name is that of a value, what the name beside it is of: `name="password" value="..."`, in YAML and in
/// literals of programs as well.
fn named_beside(text: &[u8], name: Range<usize>) -> Option<Kind> {
    if !text[name.clone()].eq_ignore_ascii_case(b"value") {
        return None;
    }
    let between = |byte: &&u8| byte.is_ascii_whitespace() || b"\"',".contains(byte);
    let end = name.start - text[..name.start].iter().rev().take(24).take_while(between).count();
    let start = word_before(text, end);
    let before = text[..start].trim_ascii_end();
    let before = before.strip_suffix(b"\"").or(before.strip_suffix(b"'")).unwrap_or(before).trim_ascii_end();
    matches!(before, [.., b':' | b'=']).then(|| Kind::of(&text[start..end])).flatten()
}

/// The secret that stands at `from`, behind a mark with a blank before it if it is `spaced`.
fn value(text: &[u8], mut from: usize, kind: Kind, spaced: bool) -> Option<Range<usize>> {
    from = blank(text, from);
    if text[from..].starts_with(b"**") {
        from = blank(text, from + 2);
    }
    let line = match text[from..] {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    // On a line of its own.
    from = if line > 0 { blank(text, from + line) } else { from };
    // A string of bytes, say.
    from += usize::from(matches!(text[from..], [b'b' | b'r' | b'u' | b'B' | b'R', b'"' | b'\'', ..]));
    let quote = match text[from..] {
        [quote @ (b'"' | b'\'' | b'`'), ..] => Some(quote),
        [0xe2, 0x80, 0x98..=0x9f, ..] => {
            from += 3;
            None
        }
        _ => None,
    };
    from += quote.map_or(0, |quote| text[from..].iter().take(3).take_while(|byte| **byte == quote).count());
    let scheme = secret::scheme(&text[from..]);
    let kind = if scheme > 0 { Kind::Key } else { kind };
    let range = quote.and_then(|quote| quoted(text, from, quote));
    let written = match range {
        Some(_) => Written::Quoted,
        None if spaced => Written::Spaced,
        None => Written::Bare,
    };
    let range = range.unwrap_or_else(|| bare(text, from + scheme));
    let alone = line == 0 || matches!(text.get(range.end), None | Some(b'\n' | b'\r'));
    let found = secret::within(&text[range.clone()], kind, written)?;
    alone.then(|| range.start + found.start..range.start + found.end)
}

/// Behind the blanks from `from` on, of any width.
fn blank(text: &[u8], mut from: usize) -> usize {
    let limit = text.len().min(from + BLANK);
    while from < limit {
        from += match (text[from], wide_separator(&text[from..])) {
            (b' ' | b'\t', _) => 1,
            (_, Some((Join::Space, length))) => length,
            _ => break,
        };
    }
    from
}

/// What is between the quotes of which the first ends at `from`, if the other is near.
fn quoted(text: &[u8], from: usize, quote: u8) -> Option<Range<usize>> {
    let near = &text[from..text.len().min(from + secret::LONGEST)];
    let length = near.iter().position(|byte| *byte == quote || *byte == b'\n')?;
    (near[length] == quote).then_some(from..from + length)
}

/// What stands at `from` up to the next blank, quote or tag, without the marks of the sentence or the list that it is in.
fn bare(text: &[u8], from: usize) -> Range<usize> {
    let near = &text[from..text.len().min(from + secret::LONGEST)];
    // What goes on assigning is no value: no further than there is looked, for every mark in a row begins one.
    let mut assigned = false;
    let ends = |at: usize| match near[at] {
        b':' | b'=' if classes::at(near, at + 1, ALNUM) => std::mem::replace(&mut assigned, true),
        b'"' | b'\'' | b'`' | b'<' | 0xc2 | 0xe0.. => true,
        byte => byte.is_ascii_whitespace(),
    };
    let mut value = &near[..(0..near.len()).position(ends).unwrap_or(near.len())];
    // Another name is assigned behind it, as in `Pwd=...;Database=...` and in the queries of addresses.
    if let Some(next) = (1..value.len()).find(|at| {
        let goes_on = |rest: &[u8]| {
            let name = classes::run(rest, 0, ATOM);
            rest.is_empty() || (name > 0 && matches!(rest.get(name), Some(b'=' | b':')))
        };
        matches!(value[*at], b',' | b';' | b'&' | b'|') && goes_on(&value[at + 1..])
    }) {
        value = &value[..next];
    }
    value = value.strip_suffix(b"**").unwrap_or(value);
    while let [rest @ .., b',' | b';' | b'.' | b':' | b')' | b']' | b'}' | b'\\'] = value {
        value = rest;
    }
    from..from + value.len()
}

/// The password of the address whose scheme ends at `at`.
fn in_address(text: &[u8], at: usize) -> Option<Range<usize>> {
    if !classes::before(text, at, ALNUM) {
        return None;
    }
    let from = at + 3;
    let near = &text[from..text.len().min(from + secret::LONGEST)];
    let ends = |byte: &u8| {
        byte.is_ascii_whitespace()
            || matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\')
    };
    let authority = &near[..near.iter().position(ends).unwrap_or(near.len())];
    let end = memchr::memrchr(b'@', authority)?;
    let start = memchr::memchr(b':', &authority[..end])? + 1;
    secret::is_password(&authority[start..end]).then_some(from + start..from + end)
}

/// The password that a flag or a sentence gives, where the word for it has `assw` at `at`: `--password ...`, `password
/// is ...`.
fn in_sentence(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = word_before(text, at);
    let end = classes::run(&text[..text.len().min(at + NAME + 1)], at, ATOM);
    let name = &text[start..end];
    let from = blank(text, end);
    let verb = [b"is ".as_slice(), b"was ", b"to "].into_iter().find(|verb| text[from..].starts_with(verb));
    let assigns = from > end && (verb.is_some() || name.starts_with(b"-"));
    if !assigns || name.len() > NAME || marker::ends_before(text, start) {
        return None;
    }
    // What follows a `to` is as likely a name.
    let spaced = verb == Some(b"to ");
    value(text, from + verb.map_or(0, <[u8]>::len), Kind::of(name)?, spaced)
}
