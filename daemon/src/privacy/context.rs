//! Words before a finding that say what it is: a number of nine digits alone is anything, after "SSN" it is one.

use super::classes::{self, ALNUM, ALPHA, ATOM};

/// How far back a word may begin, in bytes.
const REACH: usize = 48;

/// How many words back are looked at.
const WORDS: usize = 4;

/// Whether the words before `at` speak of a telephone.
pub(super) fn of_phone(text: &[u8], at: usize) -> bool {
    words(text, at, |word| {
        matches!(
            word,
            b"tel" | b"cell" | b"cellphone" | b"fax" | b"sms" | b"ph" | b"call" | b"dial" | b"telefax"
        ) || [b"phone".as_slice(), b"mobile", b"telephon", b"telefon", b"whatsapp"]
            .iter()
            .any(|begin| word.starts_with(begin))
    })
}

/// Whether the words before `at` speak of a social security number.
pub(super) fn of_ssn(text: &[u8], at: usize) -> bool {
    words(text, at, |word| matches!(word, b"ssn" | b"social" | b"socialsecuritynumber"))
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
            if matches!(last, b']' | b';' | b'!' | b'?') {
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
    let floor = at.saturating_sub(REACH);
    let back = |mut end: usize, over: &[u8]| {
        while end > floor && over.contains(&text[end - 1]) {
            end -= 1;
        }
        end
    };
    let end = back(at, b" \"'`");
    let begin = back(end, b":=>");
    let name_end = if begin < end { back(begin, b" \"'`") } else { end };
    let mut name = name_end;
    while name > floor && classes::is(text[name - 1], ATOM) {
        name -= 1;
    }
    // The rest of a name that a marker has begun, and dashes before a word, are not of it.
    if name > 0 && text[name - 1] == b']' {
        return false;
    }
    while name < name_end && !classes::is(text[name], ALNUM) {
        name += 1;
    }
    let mut word = [0; REACH];
    let Some(word) = word.get_mut(..name_end - name) else { return false };
    word.copy_from_slice(&text[name..name_end]);
    word.make_ascii_lowercase();
    if begin == end {
        // Nothing assigns it, but a scheme is a word before a space.
        return name_end < at && matches!(&*word, b"bearer" | b"basic");
    }
    is_secret_name(word)
}

/// Whether the word before what is at `at` says that a secret follows, with or without `is`, a colon or brackets:
/// `Token 9944...`, `the key is (9944...)`.
pub(super) fn after_secret(text: &[u8], at: usize) -> bool {
    let floor = at.saturating_sub(REACH);
    let back = |mut end: usize| {
        while end > floor
            && matches!(
                text[end - 1],
                b' ' | b'\t'
                    | b'\r'
                    | b'\n'
                    | b'"'
                    | b'\''
                    | b'`'
                    | b':'
                    | b'='
                    | b'>'
                    | b'('
                    | b'<'
                    | b'['
                    | b'*'
                    | b'\\'
                    | b'|'
                    | b','
                    | b';'
                    | b'#'
            )
        {
            end -= 1;
        }
        let mut begin = end;
        while begin > floor && classes::is(text[begin - 1], ATOM) {
            begin -= 1;
        }
        begin..end
    };
    let mut word = back(at);
    if word.end == at {
        return false;
    }
    if [b"is".as_slice(), b"was", b"are"].iter().any(|verb| text[word.clone()].eq_ignore_ascii_case(verb)) {
        word = back(word.start);
    }
    // The rest of a name that a marker has begun.
    if word.start > 0 && text[word.start - 1] == b']' {
        return false;
    }
    let word = &text[word];
    let word = word.strip_suffix(b"s").or(word.strip_suffix(b"S")).unwrap_or(word);
    [b"token".as_slice(), b"key", b"bearer", b"secret"].iter().any(|name| {
        word.len().checked_sub(name.len()).is_some_and(|from| word[from..].eq_ignore_ascii_case(name))
    })
}

/// Whether a name, in lower case, is that of a secret.
pub(super) fn is_secret_name(name: &[u8]) -> bool {
    ["key", "token", "secret", "passw", "pwd", "auth", "credential", "bearer"]
        .iter()
        .any(|part| memchr::memmem::find(name, part.as_bytes()).is_some())
}
