//! Whether what is assigned to a name of a secret is one.
//!
//! Six characters that are letters and digits, as passwords are, may be; words, types, references, templates, paths,
//! algorithms and bounds are not. How random it must look depends on how sure the name is.

use std::ops::Range;

use super::{
    classes::{self, ALNUM, WORD},
    key::{is_changeful, is_scattered},
    marker, public,
};
use crate::api::media;

/// Longest value that is looked at.
pub(super) const LONGEST: usize = 128;

/// Fewest characters of a password with a digit: shorter ones are not taken by most systems.
pub(super) const SHORTEST: usize = 6;

/// Fewest characters of all else.
const SHORT: usize = 8;

/// Fewest digits, or letters, of what is nothing but those, where its name does not speak of a password.
const LONG: usize = 16;

/// What a name says of what is assigned to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A password: whatever is no word of prose or of a program.
    Password,
    /// A secret or a key for an API: what is no name.
    Key,
    /// A token, which may be one of a language, too: what looks drawn.
    Token,
}

impl Kind {
    /// What a name says, which must end with the word for it: of `password_hint` and `token_count` it says nothing.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let end = name.iter().rposition(u8::is_ascii_alphabetic)? + 1;
        // Nearly all names end otherwise.
        let last = name[..end].last_chunk::<2>()?.map(|byte| byte.to_ascii_lowercase());
        if !ENDS.contains(&&last) {
            return None;
        }
        let mut letters = arrayvec::ArrayVec::<u8, 64>::new();
        for byte in name[..end].iter().filter(|byte| byte.is_ascii_alphanumeric()) {
            letters.try_push(byte.to_ascii_lowercase()).ok()?;
        }
        let is = |ends: &[&[u8]]| ends.iter().any(|end| letters.ends_with(end));
        let word = name[..end].rsplit(|byte| !byte.is_ascii_alphanumeric()).next()?;
        let short = |word: &[u8]| {
            [b"pass".as_slice(), b"pw", b"psw"].iter().any(|short| word.eq_ignore_ascii_case(short))
        };
        let whose = |whose: &&[u8]| memchr::memmem::find(&letters, whose).is_some();
        if is(&[b"password", b"passwords", b"passwd", b"passwort", b"passphrase", b"passcode", b"pwd"])
            || short(word)
            || word.ends_with(b"Pass")
        {
            Some(Self::Password)
        } else if is(&[b"secret", b"secrets", b"credential", b"credentials"])
            || (is(&[b"key"]) && KEYS.iter().any(whose))
        {
            Some(Self::Key)
        } else if is(&[b"token", b"auth", b"authorization"]) {
            Some(Self::Token)
        } else {
            None
        }
    }
}

/// The last two letters of names that say something.
const ENDS: [&[u8; 2]; 17] = [
    b"rd", b"ds", b"wd", b"rt", b"se", b"de", b"ss", b"pw", b"sw", b"et", b"ts", b"al", b"ls", b"ey", b"en",
    b"th", b"on",
];

/// Of which keys are secret. Those of tables, caches and maps are not.
const KEYS: [&[u8]; 9] =
    [b"api", b"access", b"secret", b"private", b"auth", b"encryption", b"signing", b"account", b"master"];

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// In quotes, or as a member of JSON: it is no expression of a program.
    Quoted,
    /// As it is.
    Bare,
    /// As it is, behind a mark with a blank before it, as in programs.
    Spaced,
}

/// How long the name of a scheme of authentication is that a value begins with, and the blank behind it (RFC 9110, 11.4).
pub(super) fn scheme(value: &[u8]) -> usize {
    [b"Basic ".as_slice(), b"Bearer ", b"Token ", b"ApiKey "]
        .iter()
        .find(|scheme| value.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)))
        .map_or(0, |scheme| scheme.len())
}

/// Where in a value, behind the scheme that it may begin with, a secret is.
pub(super) fn within(value: &[u8], kind: Kind, written: Written) -> Option<Range<usize>> {
    let from = scheme(value);
    let secret = value[from..].trim_ascii_end();
    let kind = if from > 0 { Kind::Key } else { kind };
    (is_secret(secret, kind, written) || is_basic(secret, kind)).then_some(from..from + secret.len())
}

/// Whether it is a user's name and password in base64 (RFC 7617).
fn is_basic(value: &[u8], kind: Kind) -> bool {
    kind != Kind::Password
        && value.len() >= SHORT
        && media::decode(value).is_some_and(|decoded| {
            let bytes = &decoded.bytes;
            bytes.contains(&b':') && bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
        })
}

/// Whether the password in an address is one: whatever its form, its place says so.
pub(super) fn is_password(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 5] = [b"password", b"passwd", b"pass", b"pwd", b"pw"];
    value.len() >= 2
        && !is_masked(value)
        && !is_template(value)
        && !value.iter().any(|byte| b"{}<>$[]()".contains(byte))
        && !WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn is_secret(value: &[u8], kind: Kind, written: Written) -> bool {
    let count = |is: fn(&u8) -> bool| value.iter().filter(|byte| is(byte)).count();
    let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
    if !(SHORTEST..=LONGEST).contains(&value.len())
        || value.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
        || is_template(value)
        || is_structured(value)
        || (written != Written::Quoted && is_expression(value))
    {
        return false;
    }
    let cased = value.iter().any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase);
    let drawn = match (letters, digits) {
        (0, _) => digits == value.len() && digits >= if kind == Kind::Password { SHORTEST } else { LONG },
        (_, 0) if letters == value.len() => letters >= LONG && !is_spoken(value),
        (_, 0) => value.len() >= SHORT && kind != Kind::Token && cased && is_odd(value),
        _ if kind == Kind::Password => is_password_of_letters(value, digits, written),
        _ if value.len() < SHORT || digits < 2 || is_name(value) || public::is_literal(value) => false,
        _ if kind == Kind::Key => digits >= 4 || is_scattered(value) || cased,
        _ => is_scattered(value) || (cased && is_odd(value)),
    };
    drawn && !is_masked(value)
}

/// Whether letters with digits are a password: in a program a name with a single digit is a variable.
fn is_password_of_letters(value: &[u8], digits: usize, written: Written) -> bool {
    if written == Written::Quoted {
        return true;
    }
    let tail = value.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = &value[..value.len() - tail];
    let is_variable = tail == digits && name.iter().all(|byte| classes::is(*byte, WORD));
    let repeats = tail < 3 && Kind::of(name).is_some();
    !(is_variable && (repeats || (tail < 2 && (written == Written::Spaced || public::is_identifier(value)))))
}

/// Whether words and numbers are a name of a program or of what it serves. Digits alone join no words.
fn is_name(value: &[u8]) -> bool {
    let joined = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-');
    value.iter().any(joined) && public::is_identifier(value)
}

/// Whether letters alone are a word, or a name of a program.
fn is_spoken(letters: &[u8]) -> bool {
    let one_case = letters.iter().all(u8::is_ascii_lowercase) || letters.iter().all(u8::is_ascii_uppercase);
    if one_case { public::is_word(letters) } else { public::is_identifier(letters) || !is_changeful(letters) }
}

/// Whether marks that neither prose nor names have stand between other characters.
fn is_odd(value: &[u8]) -> bool {
    let inner = value.get(1..value.len() - 1).unwrap_or_default();
    inner.iter().any(|byte| b"!@#$%^*~+?&".contains(byte))
}

/// Whether it only shows how many characters there are, or that there should be some.
fn is_masked(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 7] =
        [b"your", b"changeme", b"change_me", b"change-me", b"placeholder", b"replace", b"xxxx"];
    let mut kinds = arrayvec::ArrayVec::<u8, 2>::new();
    let few = value.iter().all(|byte| kinds.contains(byte) || kinds.try_push(*byte).is_ok());
    let says = |word: &&[u8]| value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    (few && !value.iter().all(u8::is_ascii_digit)) || WORDS.iter().any(says)
}

/// Whether something else is put in its place, by whatever reads it.
fn is_template(value: &[u8]) -> bool {
    let opens = |mark: &[u8]| memchr::memmem::find(value, mark).is_some();
    let name = |rest: &[u8]| {
        rest.first().is_some_and(u8::is_ascii_alphabetic)
            && rest.iter().all(|byte| classes::is(*byte, WORD) || *byte == b'.')
    };
    [b"${".as_slice(), b"{{", b"$(", b"#{", b"<%", b"://"].into_iter().any(opens)
        || has_entity(value)
        || marker::is_in(value)
        || match value {
            [b'<', .., b'>'] | [b'[', .., b']'] | [b'{', .., b'}'] | [b'%', .., b'%'] | [b'^', ..] => true,
            [b'$' | b'@' | b':' | b'&' | b'*' | b'!' | b'%', rest @ ..] => name(rest),
            _ => false,
        }
}

/// Whether an entity of HTML is in it, which is read in its turn.
fn has_entity(value: &[u8]) -> bool {
    memchr::memchr_iter(b'&', value).any(|at| {
        let end = classes::run(value, at + 1, ALNUM);
        end > at + 1 && value.get(end) == Some(&b';')
    })
}

/// Whether it is something of a program that is not in quotes: a call, an index, a member.
fn is_expression(value: &[u8]) -> bool {
    let mut parts =
        value.split(|byte| matches!(byte, b'.' | b':' | b'?' | b'!' | b'>')).filter(|part| !part.is_empty());
    let is_name = |part: &[u8]| {
        !part[0].is_ascii_digit() && part.iter().all(|byte| classes::is(*byte, WORD)) && has_words(part)
    };
    value.iter().any(|byte| b"()[]{}".contains(byte))
        || (value.iter().any(|byte| matches!(byte, b'.' | b':')) && parts.all(is_name))
}

/// Whether the letters between digits and underscores are words.
fn has_words(part: &[u8]) -> bool {
    part.split(|byte| !byte.is_ascii_alphabetic()).all(public::is_word)
}

/// Whether it is a version, a time, a bound, a path, a rule or an algorithm, all of which have letters and digits.
fn is_structured(value: &[u8]) -> bool {
    let plain = |part: &[u8]| {
        part.iter().all(u8::is_ascii_digit)
            || part.iter().all(u8::is_ascii_lowercase)
            || part.iter().all(u8::is_ascii_uppercase)
    };
    let parts = || value.split(|byte| !classes::is(*byte, ALNUM)).filter(|part| !part.is_empty());
    let number = value.strip_prefix(b"v").unwrap_or(value);
    let begin = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let behind = &number[begin..];
    let is_version = begin > 0 && matches!(behind, [b'.' | b'-', b'0'..=b'9', ..]);
    let unit = behind.strip_prefix(b"-").unwrap_or(behind);
    let is_bound = (1..=4).contains(&begin)
        && UNITS.iter().any(|name| unit.strip_suffix(b"s").unwrap_or(unit).eq_ignore_ascii_case(name));
    let is_path =
        matches!(value, [b'/', ..] | [b'.', b'/' | b'.', ..] | [b'~', b'/', ..] | [_, b':', b'\\', ..])
            || (value.contains(&b'/') && !value.iter().any(u8::is_ascii_uppercase) && parts().all(has_words));
    let is_rule = value.iter().any(|byte| b"|,=:".contains(byte)) && parts().all(plain);
    let is_call = value.ends_with(b")") && parts().all(plain);
    let is_known = |part: &[u8]| {
        let (name, number) = part.split_at(part.iter().take_while(|byte| byte.is_ascii_alphabetic()).count());
        let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
        digits <= NUMBER
            && number[digits..].iter().all(u8::is_ascii_alphabetic)
            && ALGORITHMS.iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    let is_algorithm = parts().any(is_known) && parts().all(|part| is_known(part) || plain(part));
    is_version || is_bound || is_path || is_rule || is_call || is_algorithm
}

/// Longest number of an algorithm or an encoding, behind which a word may stand: `sha512`, `Base64String`.
const NUMBER: usize = 4;

/// What bounds are counted in.
const UNITS: [&[u8]; 12] = [
    b"bit",
    b"byte",
    b"char",
    b"character",
    b"digit",
    b"letter",
    b"day",
    b"hour",
    b"minute",
    b"second",
    b"min",
    b"year",
];

/// Algorithms, encodings and types, with their numbers or without.
const ALGORITHMS: [&[u8]; 19] = [
    b"sha", b"md", b"aes", b"rsa", b"hs", b"rs", b"es", b"utf", b"base", b"int", b"uint", b"float", b"argon",
    b"bcrypt", b"scrypt", b"pbkdf", b"hmac", b"oauth", b"varchar",
];
