//! Passwords made of words, which only their place tells from prose: `password: correct horse battery staple`.
//!
//! Words that are drawn are nouns and the like. A sentence about a password has the small words of the language in it, or
//! those of logins and forms, and then it is one.

use super::marker;

/// Fewest words of a password that has nothing else.
const FEWEST: usize = 4;

/// Most words.
const MOST: usize = 12;

/// Shortest and longest word that is drawn.
const WORD: std::ops::RangeInclusive<usize> = 3..=12;

/// How long the password of words is that `text` begins with, up to the end of its sentence or line; None if it is prose.
pub(super) fn spoken(text: &[u8]) -> Option<usize> {
    let ends = |byte: &u8| !byte.is_ascii_alphabetic() && !matches!(byte, b' ' | b'-' | b'_');
    let end = text.iter().position(ends).unwrap_or(text.len());
    // What goes on with a mark of its own is a name or a list.
    let over = matches!(
        text.get(end),
        None | Some(b'.' | b',' | b';' | b'!' | b'?' | b'\n' | b'\r' | b'"' | b'\'' | b'`' | b')' | b'<')
    );
    let phrase = text[..end].trim_ascii_end();
    let joined = !phrase.contains(&b' ');
    let mut words = 0;
    for word in phrase.split(|byte| !byte.is_ascii_alphabetic()) {
        let plain = word.iter().skip(1).all(u8::is_ascii_lowercase);
        if !WORD.contains(&word.len()) || !plain || is_prose(word) {
            return None;
        }
        words += 1;
    }
    let mixed = phrase.contains(&b' ') && phrase.iter().any(|byte| matches!(byte, b'-' | b'_'));
    ((FEWEST..=MOST).contains(&words) && over && !mixed && (!joined || phrase.len() >= 16))
        .then_some(phrase.len())
}

/// Whether a password of words that begins so may go on.
pub(super) fn is_open(text: &[u8]) -> bool {
    if let [quote @ (b'"' | b'\'' | b'`'), rest @ ..] = text {
        return !rest.iter().any(|byte| byte == quote || *byte == b'\n');
    }
    let goes_on = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b' ' | b'-' | b'_');
    let words = || text.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    let last = usize::from(text.last().is_some_and(u8::is_ascii_alphabetic));
    let whole = words().count() - last.min(words().count());
    text.iter().all(goes_on) && whole <= MOST && !words().take(whole).any(is_prose)
}

/// Whether what stands in quotes is a password with blanks: drawn words, or others with digits or marks among them.
pub(super) fn quoted(value: &[u8]) -> bool {
    if !value.trim_ascii().contains(&b' ') || value.iter().any(u8::is_ascii_control) || marker::is_in(value) {
        return false;
    }
    let words: Vec<&[u8]> = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
    let bare = |word: &&[u8]| is_prose(word.trim_ascii_end().strip_suffix(b".").unwrap_or(word));
    let drawn = value.iter().any(|byte| byte.is_ascii_digit() || b"!@#$%^&*~+".contains(byte));
    let letters = value.iter().any(u8::is_ascii_alphabetic);
    let stands_for_one =
        value.iter().any(|byte| b"{}<>$".contains(byte)) && value.iter().any(|byte| b"}>".contains(byte));
    (2..=MOST).contains(&words.len())
        && value.len() >= 8
        && letters
        && !stands_for_one
        && !words.iter().any(bare)
        && (drawn || spoken(value).is_some())
}

/// Whether a word is one of prose, or of what is said about passwords.
fn is_prose(word: &[u8]) -> bool {
    let mut lower = [0; 16];
    let Some(lower) = lower.get_mut(..word.len()) else { return true };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    let lower = &*lower;
    PROSE.contains(&lower) || SAID.iter().any(|stem| lower.starts_with(stem))
}

/// Small words.
const PROSE: &[&[u8]] = &[
    b"a", b"an", b"the", b"this", b"that", b"these", b"those", b"and", b"or", b"but", b"nor", b"not", b"no",
    b"is", b"are", b"was", b"were", b"be", b"been", b"being", b"am", b"has", b"have", b"had", b"do", b"does",
    b"did", b"can", b"could", b"may", b"might", b"must", b"shall", b"should", b"will", b"would", b"of",
    b"in", b"on", b"at", b"by", b"to", b"for", b"from", b"with", b"without", b"within", b"into", b"onto",
    b"over", b"under", b"before", b"after", b"between", b"during", b"until", b"since", b"about", b"against",
    b"as", b"if", b"then", b"than", b"when", b"where", b"while", b"because", b"so", b"very", b"too", b"also",
    b"only", b"just", b"still", b"yet", b"again", b"once", b"here", b"there", b"now", b"never", b"always",
    b"often", b"you", b"your", b"yours", b"my", b"our", b"his", b"her", b"its", b"their", b"he", b"she",
    b"it", b"we", b"they", b"them", b"who", b"which", b"what", b"how", b"why", b"all", b"any", b"each",
    b"every", b"some", b"none", b"both", b"more", b"most", b"at", b"per", b"via",
];

/// How words begin that are said about passwords, in forms, manuals and logs.
const SAID: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"passphrase",
    b"secret",
    b"user",
    b"login",
    b"log",
    b"sign",
    b"account",
    b"admin",
    b"enter",
    b"type",
    b"typing",
    b"typed",
    b"paste",
    b"provide",
    b"choose",
    b"set",
    b"reset",
    b"chang",
    b"updat",
    b"confirm",
    b"repeat",
    b"forg",
    b"requir",
    b"need",
    b"option",
    b"invalid",
    b"valid",
    b"incorrect",
    b"wrong",
    b"weak",
    b"strong",
    b"expire",
    b"expir",
    b"missing",
    b"empty",
    b"blank",
    b"null",
    b"hash",
    b"encrypt",
    b"stor",
    b"sav",
    b"kept",
    b"keep",
    b"protect",
    b"shar",
    b"sent",
    b"send",
    b"generat",
    b"creat",
    b"default",
    b"field",
    b"string",
    b"text",
    b"length",
    b"character",
    b"letter",
    b"digit",
    b"number",
    b"symbol",
    b"minimum",
    b"maximum",
    b"please",
    b"auth",
    b"using",
];

#[cfg(test)]
mod tests {
    use super::{quoted, spoken};

    #[test]
    fn drawn_words_are_told_from_prose() {
        for (text, length) in [
            ("correct horse battery staple", Some(28)),
            ("correct-horse-battery-staple. More", Some(28)),
            ("Correct Horse Battery Staple\n", Some(28)),
            ("walnut copper thunder lantern violin, and", Some(36)),
            ("please enter your password", None),
            ("stored in the vault of the team", None),
            ("required to unlock the key", None),
            ("correct horse battery", None),
            ("hashed strings stored safely", None),
            ("one two: three four", None),
        ] {
            assert_eq!(spoken(text.as_bytes()), length, "{text}");
        }
        for (text, is) in [
            ("correct horse battery staple", true),
            ("Tr0ub4dor & 3 horses", true),
            ("summer rain 2024", true),
            ("must have 8 characters", false),
            ("Enter Password", false),
            ("at least 8 letters", false),
            ("{{ vault_password 1 }}", false),
            ("hello world", false),
        ] {
            assert_eq!(quoted(text.as_bytes()), is, "{text}");
        }
    }
}
