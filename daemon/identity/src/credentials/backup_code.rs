//! Codes people type, each good once: backup codes in place of a second factor, and the code that lets a user
//! set a new password.
//!
//! `k7qm-2wxp-9d4r-hf3t`: 16 characters of 32, 80 random bits. That is enough to make trying them out against
//! a copy of the store hopeless even with a fast hash, so checking one costs nothing a flood could use.

use aivonx_protocol::WireSecret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::random::{NoRandom, random_text};

/// 32 characters without i, l, o and u: none is taken for another, and no words come about.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 16;
/// Longest text looked at: a code with separators, generously.
const LONGEST: usize = 64;
/// Backup codes a user gets.
pub const BACKUP_CODES: usize = 10;

/// What a code is good for: the same code has another hash for another purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// In place of a second factor.
    Backup,
    /// Setting a new password.
    Reset,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Reset => "reset",
        }
    }
}

/// A new code.
///
/// # Errors
/// Only if the system gives no random numbers.
pub fn generate() -> Result<WireSecret, NoRandom> {
    let random = random_text::<LENGTH>(ALPHABET)?;
    let mut code = String::with_capacity(LENGTH + LENGTH / 4);
    for (at, c) in random.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        code.push(c);
    }
    Ok(WireSecret::new(code))
}

/// A new set of backup codes.
///
/// # Errors
/// Only if the system gives no random numbers.
pub fn generate_backup() -> Result<Vec<WireSecret>, NoRandom> {
    (0..BACKUP_CODES).map(|_| generate()).collect()
}

/// What is stored of a code of the user with the id `user`, in hexadecimal digits. Separators, case and the letters
/// taken for digits (i, l and o) make no difference; what is no code has a hash that no code has.
#[must_use]
pub fn hash(purpose: Purpose, user: &str, code: &str) -> String {
    hex::encode(digest(purpose, user, code))
}

/// The place of `code` among `hashes`, if it is one of them. All are compared, in constant time.
#[must_use]
pub fn find(purpose: Purpose, user: &str, hashes: &[String], code: &str) -> Option<usize> {
    let digest = digest(purpose, user, code);
    let mut found = None;
    for (at, stored) in hashes.iter().enumerate() {
        let mut bytes = [0; 32];
        let readable = hex::decode_to_slice(stored, &mut bytes).is_ok();
        if bool::from(bytes.ct_eq(&digest)) && readable {
            found = Some(at);
        }
    }
    found.filter(|_| canonical(code).is_some())
}

/// Whether `text` has the form of a backup code, and not that of an authenticator's six digits.
#[must_use]
pub fn looks_like(text: &str) -> bool {
    canonical(text).is_some()
}

fn digest(purpose: Purpose, user: &str, code: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new(&[0; 64].into());
    for part in ["aivonx code v1", purpose.as_str(), user] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    if let Some(code) = canonical(code) {
        mac.update(code.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

/// The code without separators, in the alphabet's spelling.
fn canonical(code: &str) -> Option<Zeroizing<String>> {
    if code.len() > LONGEST {
        return None;
    }
    let mut text = Zeroizing::new(String::with_capacity(LONGEST));
    for c in code.chars().filter(|c| !matches!(c, '-' | ' ')) {
        let c = match c.to_ascii_lowercase() {
            'i' | 'l' => '1',
            'o' => '0',
            c => c,
        };
        if !c.is_ascii() || !ALPHABET.contains(&(c as u8)) {
            return None;
        }
        text.push(c);
    }
    (text.len() == LENGTH).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(codes: &[WireSecret]) -> Vec<String> {
        codes.iter().map(|code| hash(Purpose::Backup, "user-1", code.expose())).collect()
    }

    #[test]
    fn each_code_is_found_at_its_place_however_it_is_typed() {
        let codes = generate_backup().unwrap();
        let stored = hashes(&codes);
        assert_eq!(codes.len(), BACKUP_CODES);
        for (at, code) in codes.iter().enumerate() {
            let code = code.expose();
            assert_eq!(code.len(), 19);
            assert!(looks_like(code));
            let typed = [code.to_owned(), code.to_uppercase(), code.replace('-', ""), format!(" {code} ")];
            for typed in typed {
                assert_eq!(find(Purpose::Backup, "user-1", &stored, &typed), Some(at));
            }
            let read = code.replace('1', "l").replace('0', "O");
            assert_eq!(find(Purpose::Backup, "user-1", &stored, &read), Some(at));
        }
    }

    #[test]
    fn a_code_is_good_for_its_user_and_purpose_only() {
        let codes = generate_backup().unwrap();
        let stored = hashes(&codes);
        let code = codes[3].expose();
        assert_eq!(find(Purpose::Backup, "user-2", &stored, code), None);
        assert_eq!(find(Purpose::Reset, "user-1", &stored, code), None);
        assert_eq!(find(Purpose::Backup, "user-1", &[], code), None);
        assert_eq!(find(Purpose::Backup, "user-1", &stored, generate().unwrap().expose()), None);
    }

    #[test]
    fn what_is_no_code_matches_nothing_not_even_its_own_hash() {
        for odd in ["", "123456", "k7qm-2wxp-9d4r", "uuuu-uuuu-uuuu-uuuu", "ünï", &"0".repeat(65)] {
            assert!(!looks_like(odd), "{odd}");
            let stored = [hash(Purpose::Backup, "user-1", odd), "no hexadecimal".into(), String::new()];
            assert_eq!(find(Purpose::Backup, "user-1", &stored, odd), None, "{odd}");
        }
        assert!(!format!("{:?}", generate().unwrap()).contains('-'));
    }
}
