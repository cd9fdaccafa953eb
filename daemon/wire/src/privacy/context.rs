//! Words before a finding that say what it is: a number of nine digits alone is anything, after "SSN" it is one.

use std::ops::Range;

use super::{
    classes::{self, ALNUM, ALPHA, ATOM},
    marker,
};

/// The blank that ends before `end` of a text, as written: spaces of every width.
fn blank(text: &[u8]) -> usize {
    match text {
        [.., byte] if byte.is_ascii_whitespace() => 1,
        [.., 0xc2, 0xa0 | 0x85] => 2,
        [.., 0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf]
        | [.., 0xe2, 0x81, 0x9f]
        | [.., 0xe3, 0x80, 0x80] => 3,
        _ => 0,
    }
}

/// How far back a word may begin, in bytes.
const REACH: usize = 48;

/// How many words back are looked at.
const WORDS: usize = 4;

/// Most words between a name of a secret and the secret.
const LITTLE: usize = 3;

/// Most bytes between two secrets of which one name speaks.
const GAP: usize = 24;

/// Longest word directly before a number that is looked at.
const LABEL: usize = 20;

/// Whether the words before `at` speak of a telephone.
pub(super) fn of_phone(text: &[u8], at: usize) -> bool {
    words(text, at, |word| {
        matches!(
            word,
            b"tel"
                | b"cell"
                | b"cellphone"
                | b"fax"
                | b"sms"
                | b"ph"
                | b"call"
                | b"dial"
                | b"telefax"
                | b"contact"
                | b"reach"
        ) || [b"phone".as_slice(), b"mobile", b"telephon", b"telefon", b"whatsapp"]
            .iter()
            .any(|begin| word.starts_with(begin))
    })
}

/// Whether the words before `at` speak of a social security number.
pub(super) fn of_ssn(text: &[u8], at: usize) -> bool {
    words(text, at, |word| {
        matches!(word, b"ssns" | b"social" | b"socialsecuritynumber") || word.ends_with(b"ssn")
    })
}

/// Whether the words behind what ends at `end` say that it is a social security number: `... is my ssn`.
pub(super) fn is_called_ssn(text: &[u8], end: usize) -> bool {
    let near = &text[end..text.len().min(end + REACH)];
    let sentence = near.split(|byte| matches!(byte, b';' | b'!' | b'?' | b'\n')).next().unwrap_or_default();
    let mut words = sentence.split(|byte| !classes::is(*byte, ALPHA)).filter(|word| !word.is_empty());
    words.next().is_some_and(|verb| matches!(verb, b"is" | b"was" | b"as"))
        && words
            .take(WORDS)
            .any(|word| word.eq_ignore_ascii_case(b"ssn") || word.eq_ignore_ascii_case(b"social"))
}

/// Whether the words before `at` speak of a payment card.
pub(super) fn of_card(text: &[u8], at: usize) -> bool {
    words(text, at, |word| {
        matches!(word, b"visa" | b"mastercard" | b"amex" | b"maestro" | b"pan" | b"cc" | b"cards")
            || word.ends_with(b"card")
            || (word.starts_with(b"card") && (word.ends_with(b"number") || word.ends_with(b"no")))
    })
}

/// Whether the letters that end at `at`, or before underscores that do, say that a number follows: `ssn123-45-6789`.
pub(super) fn labels(text: &[u8], at: usize) -> bool {
    let mut end = at;
    while end > 0 && text[end - 1] == b'_' {
        end -= 1;
    }
    let mut start = end;
    while start > 0 && end - start < LABEL && classes::is(text[start - 1], ALPHA) {
        start -= 1;
    }
    if start == end || classes::before(text, start, ALNUM) {
        return false;
    }
    let mut word = [0; LABEL];
    let word = &mut word[..end - start];
    word.copy_from_slice(&text[start..end]);
    word.make_ascii_lowercase();
    matches!(&*word, b"id" | b"no" | b"nr" | b"num" | b"cc" | b"pan" | b"tel" | b"cell" | b"fax")
        || [b"ssn".as_slice(), b"card", b"visa", b"amex", b"phone", b"mobile", b"number", b"social"]
            .iter()
            .any(|end| word.ends_with(end))
}

/// Whether one of the last words of the same sentence, in lower case, is wanted.
fn words(text: &[u8], at: usize, wanted: impl Fn(&[u8]) -> bool) -> bool {
    let floor = at.saturating_sub(REACH);
    let mut end = at;
    let mut seen = 0;
    let mut word = [0; 20];
    while end > floor && seen < WORDS {
        let last = text[end - 1];
        if !classes::is(last, ALPHA) {
            // A marker is not a word, and neither is anything before it.
            if matches!(last, b';' | b'!' | b'?') || marker::ends_before(text, end) {
                return false;
            }
            end -= 1;
            continue;
        }
        let mut start = end;
        while start > floor && classes::is(text[start - 1], ALPHA) {
            start -= 1;
        }
        if let Some(word) = word.get_mut(..end - start) {
            word.copy_from_slice(&text[start..end]);
            word.make_ascii_lowercase();
            if wanted(word) {
                return true;
            }
        }
        end = start;
        seen += 1;
    }
    false
}

/// Whether what is at `at` is assigned to a name that means a secret: `api_key = "`, `Authorization: Bearer `.
pub(super) fn of_secret(text: &[u8], at: usize) -> bool {
    assigned(text, at, |word, assigns| {
        // Nothing assigns it, but a scheme is a word before a space.
        if assigns { is_secret_name(word) } else { matches!(word, b"bearer" | b"basic") }
    })
}

/// Whether what is at `at` is assigned to a name that means a secret which may be made of words.
pub(super) fn of_phrase(text: &[u8], at: usize) -> bool {
    const NAMES: [&str; 5] = ["passw", "passphrase", "pwd", "secret", "credential"];
    assigned(text, at, |word, assigns| {
        assigns && NAMES.iter().any(|part| memchr::memmem::find(word, part.as_bytes()).is_some())
    })
}

/// Whether the name, in lower case, that stands before what is at `at` is `wanted`, and whether it is assigned to that.
fn assigned(text: &[u8], at: usize, wanted: impl Fn(&[u8], bool) -> bool) -> bool {
    let floor = at.saturating_sub(REACH);
    // Over marks, and blanks of any width.
    let back = |mut end: usize, over: &[u8]| {
        while end > floor && !marker::ends_before(text, end) {
            end -= match text[end - 1] {
                mark if over.contains(&mark) => 1,
                _ => match blank(&text[floor..end]) {
                    0 => break,
                    length => length,
                },
            };
        }
        end
    };
    let end = back(at, b"\"'`");
    let assigns = |mark: &&u8| matches!(mark, b':' | b'=' | b'>');
    let begin = end - text[floor..end].iter().rev().take_while(assigns).count();
    let name_end = if begin < end { back(begin, b"\"'`]") } else { end };
    let mut name = name_end;
    while name > floor && classes::is(text[name - 1], ATOM) {
        name -= 1;
    }
    // The rest of a name that a marker has begun, and dashes before a word, are not of it.
    if marker::ends_before(text, name) {
        return false;
    }
    while name < name_end && !classes::is(text[name], ALNUM) {
        name += 1;
    }
    let mut word = [0; REACH];
    let Some(word) = word.get_mut(..name_end - name) else { return false };
    word.copy_from_slice(&text[name..name_end]);
    word.make_ascii_lowercase();
    if begin == end && name_end == at {
        return false;
    }
    wanted(word, begin < end)
}

/// Whether a word before what is at `at` says that a secret follows, with any marks and short words between: `Token
/// 9944...`, `the key is (9944...)`, `key no. 9944...`, `token -> 9944...`.
pub(super) fn after_secret(text: &[u8], at: usize) -> bool {
    const NAMES: [&[u8]; 8] =
        [b"token", b"key", b"bearer", b"secret", b"password", b"passwd", b"passphrase", b"credential"];
    let mut end = at;
    for _ in 0..=LITTLE {
        let Some(word) = word_before(text, end, at.saturating_sub(REACH)) else { return false };
        end = word.start;
        let mut word = &text[word];
        while let [before @ .., b'0'..=b'9' | b'_' | b'-'] = word {
            word = before;
        }
        let one = word.strip_suffix(b"s").or(word.strip_suffix(b"S")).unwrap_or(word);
        let ends = |name: &&[u8]| {
            one.len().checked_sub(name.len()).is_some_and(|from| one[from..].eq_ignore_ascii_case(name))
        };
        if NAMES.iter().any(ends) {
            return true;
        }
        if !is_little(word) {
            return false;
        }
    }
    false
}

/// The word before `end`, from `floor` on at the earliest, and before the marks that stand there, of which there is one
/// at least.
fn word_before(text: &[u8], mut end: usize, floor: usize) -> Option<Range<usize>> {
    let first = end;
    while end > floor {
        end -= match text[floor..end] {
            // The rest of a name that a marker has begun.
            [.., b']'] if marker::ends_before(text, end) => return None,
            // Sentences end.
            [.., b'!' | b'?'] => return None,
            [.., b'_'] => break,
            [.., byte] if byte.is_ascii_punctuation() => 1,
            // Dashes, arrows, and marks of the width of ideographs.
            [.., 0xe2, _, _] | [.., 0xef, 0xbc, _] | [.., 0xe3, 0x80, 0x80..=0x91] => 3,
            ref before => match blank(before) {
                0 => break,
                length => length,
            },
        };
    }
    let mut start = end;
    while start > floor && classes::is(text[start - 1], ATOM) {
        start -= 1;
    }
    (end < first && start < end).then_some(start..end)
}

/// Whether nothing but marks and words that say nothing stands between two secrets, of which the first ends at `from`.
pub(super) fn goes_on(text: &[u8], from: usize, to: usize) -> bool {
    if to.saturating_sub(from) > GAP {
        return false;
    }
    let between = text[from..to].split(|byte| !classes::is(*byte, ATOM)).filter(|word| !word.is_empty());
    between.filter(|word| word.iter().any(|byte| classes::is(*byte, ALNUM))).all(is_little)
}

/// Words that say nothing of what follows.
fn is_little(word: &[u8]) -> bool {
    const WORDS: [&[u8]; 47] = [
        b"is", b"was", b"are", b"be", b"no", b"nr", b"num", b"number", b"value", b"hex", b"string", b"here",
        b"as", b"for", b"the", b"this", b"my", b"your", b"our", b"new", b"old", b"api", b"auth", b"access",
        b"to", b"follows", b"one", b"and", b"or", b"set", b"you", b"need", b"now", b"equals", b"below",
        b"it", b"at", // Tags of HTML between a name and its value.
        b"b", b"i", b"em", b"strong", b"code", b"span", b"td", b"th", b"dt", b"dd",
    ];
    WORDS.iter().any(|little| word.eq_ignore_ascii_case(little))
}

/// Whether a name, in lower case, is that of a secret.
pub(super) fn is_secret_name(name: &[u8]) -> bool {
    ["key", "token", "secret", "passw", "pwd", "auth", "credential", "bearer"]
        .iter()
        .any(|part| memchr::memmem::find(name, part.as_bytes()).is_some())
}
