//! The form of every opaque secret the gateway hands out: a prefix that names its kind, 43 random characters, and 6
//! characters of checksum, so that a typing error is distinguished from a wrong secret without a lookup.
//!
//! ```text
//! aivx_  7Qp...43 characters of 0-9A-Za-z...  000000
//! ```
//!
//! 43 characters of 62 are 256.03 random bits. All are letters and digits: a double click selects the whole.

use std::fmt;

use aivonx_protocol::WireSecret;
use sha2::{Digest as _, Sha256};

use super::random::{NoRandom, random_text};

/// Characters of a secret, in the order of the checksum's digits.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: usize = 5;
const RANDOM: usize = 43;
const CHECKSUM: usize = 6;
/// Bytes of the whole secret.
pub const LENGTH: usize = PREFIX + RANDOM + CHECKSUM;
/// Bytes of the part that lists and logs may show: the prefix and 41 of the 256 bits.
pub const SHOWN: usize = 12;

/// What a secret is for. Each kind is refused where another is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An API key of a client.
    ApiKey,
    /// A session of the control socket.
    Session,
    /// A control token for scripts.
    Token,
    /// A refresh token of the account API.
    Refresh,
}

impl Kind {
    const ALL: [Self; 4] = [Self::ApiKey, Self::Session, Self::Token, Self::Refresh];

    /// What a secret of this kind begins with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "aivx_",
            Self::Session => "aivs_",
            Self::Token => "aivt_",
            Self::Refresh => "aivr_",
        }
    }
}

/// Why a text is no secret of the kind asked for. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It begins otherwise.
    #[error("it does not begin with '{0}'")]
    Prefix(&'static str),
    /// Too short or too long.
    #[error(
        "it has {0} characters instead of {LENGTH}: part of it is missing, or something else was copied with it"
    )]
    Length(usize),
    /// Something else than letters and digits after the prefix.
    #[error("character {0} is neither a letter nor a digit")]
    Character(usize),
    /// The checksum does not match: a typing error.
    #[error("its checksum is wrong: a character was changed")]
    Checksum,
}

/// A text of the right form. Whether it is a valid secret is decided by a lookup of its hash.
#[derive(Clone, Copy)]
pub struct Parsed<'a> {
    text: &'a str,
}

impl<'a> Parsed<'a> {
    /// The part that lists and logs may show.
    #[must_use]
    pub fn shown(&self) -> &'a str {
        &self.text[..SHOWN]
    }

    /// The whole secret.
    #[must_use]
    pub fn expose(&self) -> &'a str {
        self.text
    }

    /// SHA-256 of the secret: what is stored of sessions and tokens. 256 random bits need no salt.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }
}

impl fmt::Debug for Parsed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}...", self.shown())
    }
}

/// A new secret.
///
/// # Errors
/// Only if the system gives no random numbers.
pub fn generate(kind: Kind) -> Result<WireSecret, NoRandom> {
    let random = random_text::<RANDOM>(ALPHABET)?;
    let mut text = String::with_capacity(LENGTH);
    text.push_str(kind.prefix());
    text.push_str(&random);
    text.push_str(std::str::from_utf8(&checksum(&text)).unwrap_or_default());
    Ok(WireSecret::new(text))
}

/// Whether `text` begins like a secret of `kind`; cheap, and says nothing about the rest.
#[must_use]
pub fn looks_like(kind: Kind, text: &str) -> bool {
    text.starts_with(kind.prefix())
}

/// Reads a secret of `kind`.
///
/// # Errors
/// The first thing that is wrong with its form.
pub fn parse(kind: Kind, text: &str) -> Result<Parsed<'_>, Malformed> {
    if !looks_like(kind, text) {
        return Err(Malformed::Prefix(kind.prefix()));
    }
    // Characters outside ASCII are found before bytes are taken for characters.
    if let Some(at) = text[PREFIX..].chars().position(|c| !c.is_ascii_alphanumeric()) {
        return Err(Malformed::Character(PREFIX + at + 1));
    }
    if text.len() != LENGTH {
        return Err(Malformed::Length(text.len()));
    }
    let (body, sum) = text.split_at(LENGTH - CHECKSUM);
    // The checksum is no secret: anyone can compute it.
    if checksum(body) != sum.as_bytes() { Err(Malformed::Checksum) } else { Ok(Parsed { text }) }
}

/// What may be shown of any `text`: the beginning, if it begins like a secret.
#[must_use]
pub fn shown(text: &str) -> &str {
    let secret = Kind::ALL.into_iter().any(|kind| looks_like(kind, text));
    let end = (0..=SHOWN.min(text.len())).rev().find(|at| secret && text.is_char_boundary(*at));
    &text[..end.unwrap_or(text.len())]
}

/// CRC-32 of `body` in six digits to the base 62, the highest first.
fn checksum(body: &str) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_generated_is_read_as_its_kind_alone() {
        for kind in Kind::ALL {
            let secret = generate(kind).unwrap();
            let parsed = parse(kind, secret.expose()).unwrap();
            assert_eq!(parsed.shown().len(), SHOWN);
            assert!(parsed.shown().starts_with(kind.prefix()));
            assert_ne!(generate(kind).unwrap().expose(), secret.expose());
            for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
                let error = parse(other, secret.expose()).unwrap_err();
                assert_eq!(error, Malformed::Prefix(other.prefix()));
            }
        }
    }

    #[test]
    fn every_typing_error_of_one_character_is_found() {
        let secret = generate(Kind::ApiKey).unwrap();
        let text = secret.expose();
        for at in PREFIX..LENGTH {
            for replacement in ALPHABET {
                let mut changed = text.as_bytes().to_vec();
                if changed[at] == *replacement {
                    continue;
                }
                changed[at] = *replacement;
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(parse(Kind::ApiKey, &changed).unwrap_err(), Malformed::Checksum, "at {at}");
            }
        }
        for at in PREFIX..LENGTH - 1 {
            let mut swapped = text.as_bytes().to_vec();
            swapped.swap(at, at + 1);
            let swapped = String::from_utf8(swapped).unwrap();
            assert!(swapped == text || parse(Kind::ApiKey, &swapped).is_err(), "swapped at {at}");
        }
    }

    #[test]
    fn what_is_cut_or_has_something_added_is_named() {
        let secret = generate(Kind::ApiKey).unwrap();
        let text = secret.expose();
        assert_eq!(parse(Kind::ApiKey, &text[..40]).unwrap_err(), Malformed::Length(40));
        assert_eq!(parse(Kind::ApiKey, &format!("{text}\n")).unwrap_err(), Malformed::Character(LENGTH + 1));
        assert_eq!(parse(Kind::ApiKey, &format!("{text}0")).unwrap_err(), Malformed::Length(LENGTH + 1));
        assert_eq!(parse(Kind::ApiKey, "sk-123").unwrap_err(), Malformed::Prefix("aivx_"));
        assert_eq!(parse(Kind::ApiKey, "aivx_").unwrap_err(), Malformed::Length(5));
        assert_eq!(parse(Kind::ApiKey, "aivx_ü").unwrap_err(), Malformed::Character(6));
    }

    #[test]
    fn nothing_prints_a_secret() {
        let secret = generate(Kind::Refresh).unwrap();
        let parsed = parse(Kind::Refresh, secret.expose()).unwrap();
        assert!(!format!("{parsed:?} {secret:?}").contains(&secret.expose()[SHOWN..]));
        assert_eq!(shown(secret.expose()), &secret.expose()[..SHOWN]);
        assert_eq!(
            (shown("aivx_"), shown("aivx_ooooooü"), shown("laptop")),
            ("aivx_", "aivx_oooooo", "laptop")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".*", kind in 0usize..4) {
            let kind = Kind::ALL[kind];
            let _ = parse(kind, &text);
            let _ = parse(kind, &format!("{}{text}", kind.prefix()));
        }

        #[test]
        fn only_what_carries_its_checksum_is_read(body in "[0-9A-Za-z]{43}", sum in "[0-9A-Za-z]{6}") {
            let good = format!("aivx_{body}");
            let right = checksum(&good);
            let read = parse(Kind::ApiKey, &format!("{good}{sum}")).is_ok();
            prop_assert_eq!(read, right == sum.as_bytes());
            let whole = format!("{good}{}", std::str::from_utf8(&right).unwrap());
            prop_assert!(parse(Kind::ApiKey, &whole).is_ok());
        }
    }
}
