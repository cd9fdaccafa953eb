//! Keys and tokens: well-known beginnings, JSON Web Tokens, long mixed strings, and what is assigned to a name
//! that means a secret.
//!
//! All lie in a run of at least [`SHORTEST`] characters; the search finds those and hands them in here, each once.

use std::ops::Range;

use aivonx_protocol::privacy::Category;

use super::{
    classes::{self, ALNUM, ATOM, RUN},
    context,
    find::{Found, Hint},
    marker, prefixes, public,
};

/// Shortest run in which a key is looked for.
const SHORTEST: usize = 16;

/// From this length on an atom with letters and digits is no mere name where something says that it is a secret.
const LONG: usize = 20;

/// Shortest part of a run that holds anything: the header of a token.
const LEAST: usize = 13;

/// Longest string without a well-known beginning that is taken for a key: what is longer is data.
const LONGEST: usize = 200;

/// Looks at the run that the byte at `inside` is in, if it is long enough. Nothing before `floor` is looked at.
/// Returns where the next one may begin.
pub(super) fn run(text: &[u8], inside: usize, floor: usize, hint: Hint, out: &mut Vec<Found>) -> usize {
    if !classes::is(text[inside], RUN) {
        return floor;
    }
    let mut start = inside;
    while start > floor && classes::is(text[start - 1], RUN) {
        start -= 1;
    }
    let end = classes::run(text, inside, RUN);
    if end - start < SHORTEST {
        return end;
    }
    let mut at = start;
    while at < end {
        let stop = equals(text, at, end);
        // A part ends at an `=`; those that pad base64 are followed by nothing and carry nothing.
        at = if stop - at < LEAST { end.min(stop + 1) } else { part(text, at..stop, hint, out) };
    }
    at.max(end)
}

/// The next `=` from `at` on, or `end`. Those that follow closely are found without the start of a vector search.
#[inline]
fn equals(text: &[u8], at: usize, end: usize) -> usize {
    let near = &text[at..end.min(at + 8)];
    match near.iter().position(|byte| *byte == b'=') {
        Some(n) => at + n,
        None => memchr::memchr(b'=', &text[at + near.len()..end]).map_or(end, |n| at + near.len() + n),
    }
}

/// A run without `=`. Returns its end, or that of a token which goes on behind it.
fn part(text: &[u8], part: Range<usize>, hint: Hint, out: &mut Vec<Found>) -> usize {
    let rest = |range: Range<usize>, out: &mut Vec<Found>| {
        if range.len() < 16 {
            return;
        }
        // What touches a marker was longer once, and judged then.
        let glued = marker::ends_before(text, part.start) || marker::begins_at(text, part.end);
        if !glued && !public::is_published(text, &part) {
            unnamed(text, range, hint, out);
        }
    };
    let inside = &text[..part.end];
    let mut at = part.start;
    let mut kept = part.start;
    // The end of the atom at hand.
    let mut atom = part.start;
    let mut known = prefixes::Known::default();
    while at < part.end {
        if classes::before(text, at, ALNUM) {
            // The next boundary lies behind what is no letter and no digit.
            at = classes::run(inside, at, ALNUM) + 1;
            if at >= part.end {
                break;
            }
        }
        if at >= atom {
            atom = classes::run(inside, at, ATOM);
        }
        let found = token(text, at, atom).or_else(|| prefixes::ends(text, at, atom, &mut known));
        let Some(stop) = found else {
            at += 1;
            continue;
        };
        if !marker::ends_before(text, at) {
            rest(kept..at, out);
            out.push(Found::new(at, stop, Category::Key));
        }
        at = stop;
        kept = stop;
    }
    if kept < part.end {
        rest(kept..part.end, out);
    }
    part.end.max(kept)
}

/// The end of the JSON Web Token that begins at `at`: `header.payload`, and more parts. `atom` is the end of its header.
fn token(text: &[u8], at: usize, atom: usize) -> Option<usize> {
    if atom - at < LEAST || !text[at..].starts_with(b"eyJ") {
        return None;
    }
    let mut end = atom;
    let payload = text.get(end + 1..end + 11)?;
    let whole = payload.iter().all(|byte| classes::is(*byte, ATOM));
    if text[end] != b'.' || !whole {
        return None;
    }
    while text.get(end) == Some(&b'.') && classes::at(text, end + 1, ATOM) {
        end = classes::run(text, end + 1, ATOM);
    }
    Some(end)
}

/// A part without anything well known in it.
fn unnamed(text: &[u8], part: Range<usize>, hint: Hint, out: &mut Vec<Found>) {
    let whole = &text[part.clone()];
    let assigned = || hint.secret || context::of_secret(text, part.start);
    let in_url = whole.contains(&b'/') && is_in_url(text, &part);
    // Base64 of the usual alphabet: judged whole, or its pieces would be too short. Beyond a key's length it is
    // data, and so are its pieces.
    if whole.len() >= 32
        && hint.mixed
        && !in_url
        && memchr::memchr2(b'+', b'/', whole).is_some()
        && is_mixed(&whole[..whole.len().min(2 * LONGEST)])
    {
        if whole.len() <= LONGEST {
            let padding = text[part.end..].iter().take(2).take_while(|b| **b == b'=').count();
            let end = part.end + padding;
            if assigned() || !public::is_prose(&text[part.start..end]) {
                out.push(Found::new(part.start, end, Category::Key));
            }
        }
        return;
    }
    if (32..=LONGEST).contains(&whole.len())
        && hint.mixed
        && whole[0] != b'/'
        && is_secretive(whole)
        && whole.iter().any(u8::is_ascii_uppercase)
        && ((assigned() && (is_changeful(whole) || hint.phrase || context::of_phrase(text, part.start)))
            || (!in_url && is_changeful(whole) && is_said(text, part.start, hint, out)))
    {
        out.push(Found::new(part.start, part.end, Category::Key));
        return;
    }
    let mut at = part.start;
    while at < part.end {
        let stop = classes::run(&text[..part.end], at, ATOM);
        if stop == at {
            at += 1;
            continue;
        }
        if (16..=LONGEST).contains(&(stop - at)) {
            if let Some(name) = glued_name(&text[at..stop]).filter(|_| hint.named) {
                out.push(Found::new(at + name, stop, Category::Key));
            } else if is_key(text, at..stop, hint, out) {
                out.push(Found::new(at, stop, Category::Key));
            }
        }
        at = stop;
    }
}

/// How long the name of a secret is that an atom begins with, if nothing but the digits of a sum follow: `Token9944b091...`
fn glued_name(atom: &[u8]) -> Option<usize> {
    const NAMES: [&[u8]; 4] = [b"token", b"bearer", b"key", b"secret"];
    let begins = |name: &&&[u8]| atom.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
    let name = NAMES.iter().find(begins)?.len();
    let rest = &atom[name..];
    (rest.len() >= 32 && is_drawn(rest) && rest.iter().all(u8::is_ascii_hexdigit)).then_some(name)
}

/// Whether an atom without anything well known in it is a key.
fn is_key(text: &[u8], place: Range<usize>, hint: Hint, out: &[Found]) -> bool {
    let atom = &text[place.clone()];
    let named = || hint.secret || context::of_secret(text, place.start);
    let phrase = || hint.phrase || context::of_phrase(text, place.start);
    let secretive = || is_secretive(atom) && (atom.len() >= LONG || is_drawn(atom) || is_scattered(atom));
    let spoken = || public::is_identifier(atom) || public::is_literal(atom);
    if hint.mixed && is_mixed(atom) && !spoken() {
        let padding = text[place.end..].iter().take(2).take_while(|b| **b == b'=').count();
        let base64 = &text[place.start..place.end + padding];
        return named()
            || is_said(text, place.start, hint, out)
            || !(public::is_wallet(atom) || public::is_prose(base64));
    }
    (hint.mixed && secretive() && named() && (!spoken() || phrase()))
        || (hint.named && is_drawn(atom) && is_said(text, place.start, hint, out) && !spoken())
}

/// Whether what stands around or before says that what is at `at` is a secret, or it follows one in a list of them.
fn is_said(text: &[u8], at: usize, hint: Hint, out: &[Found]) -> bool {
    hint.named
        && (hint.beside
            || context::after_secret(text, at)
            || out.last().is_some_and(|last| {
                last.category == Category::Key && last.end < at && context::goes_on(text, last.end, at)
            }))
}

/// Whether a part is of the address of a page: behind its scheme, or the end of its host with a path behind.
fn is_in_url(text: &[u8], part: &Range<usize>) -> bool {
    let whole = &text[part.clone()];
    let domain = whole.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let behind_dot = text[..part.start].last() == Some(&b'.') && classes::before(text, part.start - 1, ALNUM);
    whole.starts_with(b"//") || (behind_dot && (2..=10).contains(&domain) && whole.get(domain) == Some(&b'/'))
}

/// Whether an atom has letters and digits: a name that says what it is makes it a key.
fn is_secretive(atom: &[u8]) -> bool {
    atom.iter().any(u8::is_ascii_digit) && atom.iter().any(u8::is_ascii_alphabetic)
}

/// Whether an atom looks drawn from digits and letters, not named: hexadecimal, with or without dashes, or without `-`
/// and `_` and so long or so changeful, with so many digits, that it is no name.
fn is_drawn(atom: &[u8]) -> bool {
    let digits = atom.iter().filter(|byte| byte.is_ascii_digit()).count();
    digits >= 3
        && atom.iter().any(u8::is_ascii_alphabetic)
        && (atom.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
            || (atom.iter().all(|byte| classes::is(*byte, ALNUM))
                && (atom.len() >= LONG || is_scattered(atom))))
}

/// Whether an atom changes between letters and digits more often than a name with numbers in it does.
pub(super) fn is_scattered(atom: &[u8]) -> bool {
    let digits = atom.iter().filter(|byte| classes::is(**byte, ALNUM)).map(u8::is_ascii_digit);
    digits.clone().zip(digits.skip(1)).filter(|(one, other)| one != other).count() >= 3
}

/// How a text changes between small letters, capitals and digits.
struct Mix {
    /// Small letters, capitals, digits, and the others, which count for nothing.
    counts: [u32; 4],
    changes: u32,
    /// Pairs of neighbours that could have changed.
    pairs: u32,
    /// Most of one kind in a row.
    longest: u32,
}

impl Mix {
    fn of(text: &[u8]) -> Self {
        let mut mix = Self { counts: [0; 4], changes: 0, pairs: 0, longest: 0 };
        let mut last = 3;
        let mut run = 0u32;
        for byte in text {
            let kind = KINDS[*byte as usize];
            mix.counts[kind as usize & 3] += 1;
            let same = u32::from(kind == last);
            let both = u32::from(kind != 3) & u32::from(last != 3);
            run = run * same + 1;
            mix.longest = mix.longest.max(run * u32::from(kind != 3));
            mix.pairs += both;
            mix.changes += both & (1 - same);
            last = kind;
        }
        mix
    }
}

/// Whether `text` changes between capitals, small letters and digits as often as chance does (62 % of the places)
/// and words do not (`getUserById2`: a third), and has all three.
fn is_mixed(text: &[u8]) -> bool {
    if text.len() < 24 {
        return false;
    }
    let Mix { counts, changes, pairs, longest } = Mix::of(text);
    counts[0] >= 3 && counts[1] >= 3 && counts[2] >= 2 && longest <= 8 && changes * 100 >= pairs * 42
}

/// Whether it changes more often than the names of a path do (a quarter), where something says that it is a secret.
pub(super) fn is_changeful(text: &[u8]) -> bool {
    let Mix { changes, pairs, .. } = Mix::of(text);
    changes * 100 >= pairs * 32
}

static KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut table = [3; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_lowercase() {
            table[byte] = 0;
        } else if (byte as u8).is_ascii_uppercase() {
            table[byte] = 1;
        } else if (byte as u8).is_ascii_digit() {
            table[byte] = 2;
        }
        byte += 1;
    }
    table
}
