//! What names say of the values they stand for: those of members, and texts that are names themselves.

use std::ops::Range;

use smallvec::SmallVec;

use super::{
    find::Hint,
    marker,
    secret::{self, Kind},
    view,
};

/// What a name says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Says(u8);

impl Says {
    const PHONE: Self = Self(1);
    const SSN: Self = Self(2);
    const CARD: Self = Self(4);
    /// Of a secret.
    const SECRET: Self = Self(8);
    /// Of a secret that may be made of words.
    const PHRASE: Self = Self(16);
    /// Of a bound, a time or an identity, of which what stands around says nothing.
    const APART: Self = Self(32);
    /// The value is a name, of what stands beside it.
    const NAMING: Self = Self(64);

    const OF_VALUES: u8 = Self::APART.0 - 1;

    fn has(self, what: Self) -> bool {
        self.0 & what.0 != 0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Longest text that is taken for a name of what stands behind it.
const LONGEST: usize = 48;

/// Bytes of the longest escape of a character.
const ESCAPE: usize = 6;

/// What is said of a value in a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// By the name of the member that it is, or that its array is.
    pub(super) own: Says,
    /// By what stands around: the names of the objects it is in, and those beside it.
    near: Says,
    /// Where the text just before it stands, looked at only if it matters.
    before: (usize, usize),
}

impl Said {
    fn around(self, text: &[u8]) -> Says {
        if self.own.has(Says::APART) {
            Says::default()
        } else {
            self.near.and(says_short(&text[self.before.0..self.before.1]))
        }
    }

    /// What is said of what is in the object or array that it is said of.
    pub(super) fn inside(self, text: &[u8], object: bool) -> Self {
        let near = self.around(text);
        if object {
            Self { near: Says(near.and(self.own).0 & Says::OF_VALUES), ..Self::default() }
        } else {
            Self { own: Says(self.own.0 & Says::OF_VALUES), near, ..Self::default() }
        }
    }

    /// What is said of a value that is itself a text, of what is in it.
    pub(super) fn within(self, text: &[u8]) -> Self {
        Self { own: self.own, near: self.around(text), ..Self::default() }
    }

    /// After a value has gone by that is no text.
    pub(super) fn pass(&mut self) {
        self.before = (0, 0);
    }

    /// After the string at `raw` has gone by.
    pub(super) fn pass_text(&mut self, text: &[u8], raw: &Range<usize>) {
        self.before = if raw.len() <= ESCAPE * LONGEST { (raw.start, raw.end) } else { (0, 0) };
        if self.own.has(Says::NAMING) {
            self.near = Says(self.around(text).0 & Says::OF_VALUES);
        }
    }

    /// After an array has gone by of which this was said: the string that is its last names what is behind.
    pub(super) fn pass_array(&mut self, inner: Self) {
        self.before = inner.before;
    }

    /// What the member's `name`, or where it is that of a value the name beside it, says that is assigned to it.
    pub(super) fn assigned(self, text: &[u8], name: &[u8], value: &[u8]) -> Option<Kind> {
        let sized = (secret::SHORTEST..=secret::LONGEST).contains(&value.len());
        if !sized || (value.contains(&b' ') && secret::scheme(value) == 0) {
            return None;
        }
        if !name.eq_ignore_ascii_case(b"value") {
            let read = view::read(name);
            return Kind::of(read.as_deref().unwrap_or(name)).filter(|_| !marker::is_in(name));
        }
        let beside = Kind::of(&text[self.before.0..self.before.1]);
        beside.or_else(|| self.around(text).has(Says::PHRASE).then_some(Kind::Password))
    }

    /// What to look for in a value: only short ones with digits are anything by their name.
    pub(super) fn hint(self, text: &[u8], value: &[u8]) -> Hint {
        let mut hint = Hint::default();
        if !(7..=256).contains(&value.len()) || !value.iter().any(u8::is_ascii_digit) {
            return hint;
        }
        let around = self.around(text);
        let all = self.own.and(around);
        hint.phone = all.has(Says::PHONE);
        hint.ssn = all.has(Says::SSN);
        hint.card = all.has(Says::CARD);
        hint.secret = self.own.has(Says::SECRET);
        hint.phrase = self.own.has(Says::PHRASE);
        hint.beside = around.has(Says::SECRET) && !value.iter().any(u8::is_ascii_whitespace);
        hint
    }
}

/// What a string says, as it stands in the body, if it is short enough to be a name.
fn says_short(raw: &[u8]) -> Says {
    if raw.len() <= LONGEST {
        return says(raw);
    }
    // Its escapes may make it so long.
    match view::read(raw).filter(|read| read.len() <= LONGEST) {
        Some(read) => says(&read),
        None => Says::default(),
    }
}

/// What a name says, in any case and with anything between its words.
pub(super) fn says(name: &[u8]) -> Says {
    if name.iter().all(u8::is_ascii_lowercase) {
        return said(name, |at| at == 0 || at == name.len());
    }
    // As it reads.
    let read = view::read(name);
    let name = read.as_deref().unwrap_or(name);
    // A marker in a name says what the name was.
    if marker::is_in(name) {
        return Says::default();
    }
    let mut letters = SmallVec::<[u8; 64]>::new();
    // Whether a word begins there.
    let mut begins = SmallVec::<[bool; 64]>::new();
    let mut last = b' ';
    for byte in name {
        if byte.is_ascii_alphanumeric() {
            letters.push(byte.to_ascii_lowercase());
            let turns = byte.is_ascii_uppercase() && !last.is_ascii_uppercase();
            begins.push(!last.is_ascii_alphabetic() || turns);
        }
        last = *byte;
    }
    said(&letters, |at| begins.get(at).is_none_or(|begins| *begins))
}

/// What the letters and digits of a name say; `begins` says where its words begin and end.
fn said(letters: &[u8], begins: impl Fn(usize) -> bool) -> Says {
    let mut says = whole(letters);
    for at in 0..letters.len() {
        let rest = &letters[at..];
        let is = |word: &[u8]| rest.starts_with(word);
        says = says.and(match rest[0] {
            b'p' if is(b"phone") => Says::PHONE,
            b'p' if is(b"passw") || is(b"passphrase") => Says::SECRET.and(Says::PHRASE),
            b'p' if is(b"pwd") => Says::SECRET.and(Says::PHRASE),
            b'm' if is(b"mobile") => Says::PHONE,
            b'f' if is(b"fax") => Says::PHONE,
            b't' if is(b"token") => Says::SECRET,
            b't' if is(b"telefon") => Says::PHONE,
            b't' if is(b"tel")
                && begins(at)
                && (begins(at + 3) || is(b"telno") || is(b"telnr") || is(b"telnum")) =>
            {
                Says::PHONE
            }
            b's' if is(b"ssn") && (begins(at) || rest.len() == 3) => Says::SSN,
            b's' if is(b"socialsec") => Says::SSN,
            b's' if is(b"secret") => Says::SECRET.and(Says::PHRASE),
            b'k' if is(b"key") => Says::SECRET,
            b'c' if is(b"card") => Says::CARD,
            b'c' if is(b"credential") => Says::SECRET.and(Says::PHRASE),
            b'a' if is(b"auth") => Says::SECRET,
            b'b' if is(b"bearer") => Says::SECRET,
            b't' if is(b"time") => Says::APART,
            b'd' if is(b"date") => Says::APART,
            _ => Says::default(),
        });
    }
    says
}

/// What a name says as a whole, by its letters.
fn whole(letters: &[u8]) -> Says {
    match letters {
        b"minimum" | b"maximum" | b"exclusiveminimum" | b"exclusivemaximum" | b"multipleof"
        | b"minlength" | b"maxlength" | b"id" | b"ts" | b"version" | b"createdat" | b"updatedat" => {
            Says::APART
        }
        b"name" | b"key" | b"header" | b"field" | b"label" | b"title" | b"type" | b"kind" | b"k"
        | b"property" | b"attribute" | b"parameter" | b"param" | b"variable" | b"var" | b"question" => {
            Says::NAMING
        }
        _ => Says::default(),
    }
}
