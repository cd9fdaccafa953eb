//! Time-based one-time codes (RFC 6238): SHA-1, six digits, 30 seconds, what every authenticator does.

use std::fmt::{self, Write as _};

use aivonx_protocol::{UnixMillis, WireSecret};
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroizing;

use super::random::{NoRandom, random};

/// Seconds a code is shown for.
pub const PERIOD: u64 = 30;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// Steps before and after the present one whose codes are taken too: clocks differ, people type slowly.
const SKEW: u64 = 1;
/// Bytes of a secret: SHA-1's own length, as RFC 4226 recommends.
const SECRET: usize = 20;
/// Authenticators cut or refuse longer labels.
const LABEL: usize = 128;

/// The secret shared with an authenticator. Prints as nothing, cleared when dropped.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; SECRET]>);

/// A stored TOTP secret that does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a TOTP secret: 32 characters A-Z and 2-7 are expected")]
pub struct NotASecret;

impl TotpSecret {
    /// A new secret.
    ///
    /// # Errors
    /// Only if the system gives no random numbers.
    pub fn generate() -> Result<Self, NoRandom> {
        random::<SECRET>().map(Self)
    }

    /// Reads what [`Self::base32`] wrote; case, spaces and hyphens make no difference.
    ///
    /// # Errors
    /// [`NotASecret`] for anything else.
    pub fn from_base32(text: &str) -> Result<Self, NotASecret> {
        let mut compact = Zeroizing::new(String::with_capacity(64));
        for c in text.chars().filter(|c| !matches!(c, ' ' | '-')).take(64) {
            compact.push(c.to_ascii_uppercase());
        }
        let bytes = BASE32_NOPAD.decode(compact.as_bytes()).map(Zeroizing::new).map_err(|_| NotASecret)?;
        let mut secret = Zeroizing::new([0; SECRET]);
        if bytes.len() != SECRET {
            return Err(NotASecret);
        }
        secret.copy_from_slice(&bytes);
        Ok(Self(secret))
    }

    /// The secret as it is stored (sealed) and typed into an authenticator that reads no QR codes.
    #[must_use]
    pub fn base32(&self) -> WireSecret {
        WireSecret::new(BASE32_NOPAD.encode(&self.0[..]))
    }

    /// The address in the QR code. `issuer` names the gateway, `user` the account.
    #[must_use]
    pub fn uri(&self, issuer: &str, user: &str) -> WireSecret {
        let issuer = percent(issuer);
        let user = percent(user);
        WireSecret::new(format!(
            "otpauth://totp/{issuer}:{user}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={PERIOD}",
            self.base32().expose()
        ))
    }

    /// The code of the step that `now` lies in.
    #[must_use]
    pub fn code(&self, now: UnixMillis) -> WireSecret {
        WireSecret::new(String::from_utf8_lossy(&self.digits(step(now))).into_owned())
    }

    /// Checks a code. The step it belongs to is to be stored and given as `last_step` the next time: a code is
    /// good once, and none is good after a later one was used.
    ///
    /// Takes the same time for each code, right or wrong.
    #[must_use]
    pub fn verify(&self, code: &str, now: UnixMillis, last_step: u64) -> Option<u64> {
        let mut typed = [0; DIGITS];
        let mut count = 0;
        for c in code.chars().filter(|c| *c != ' ') {
            if !c.is_ascii_digit() || count == DIGITS {
                return None;
            }
            typed[count] = c as u8;
            count += 1;
        }
        if count != DIGITS {
            return None;
        }
        let present = step(now);
        // Steps count from 1, so that 0 stands for none.
        let mut found = 0u64;
        for candidate in present.saturating_sub(SKEW)..=present + SKEW {
            let right = typed.ct_eq(&self.digits(candidate)) & Choice::from(u8::from(candidate > last_step));
            found.conditional_assign(&candidate, right);
        }
        (found != 0).then_some(found)
    }

    /// RFC 4226, 5.3.
    fn digits(&self, step: u64) -> [u8; DIGITS] {
        let mut block = Zeroizing::new([0; 64]);
        block[..SECRET].copy_from_slice(&self.0[..]);
        let mut mac = Hmac::<Sha1>::new((&*block).into());
        mac.update(&step.to_be_bytes());
        let sum: [u8; SECRET] = mac.finalize().into_bytes().into();
        let at = usize::from(sum[SECRET - 1] & 0xf);
        let mut number = u32::from_be_bytes([sum[at] & 0x7f, sum[at + 1], sum[at + 2], sum[at + 3]]);
        let mut digits = [b'0'; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        digits
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

fn step(now: UnixMillis) -> u64 {
    now / 1000 / PERIOD
}

/// A label in an address: everything but letters, digits and `-._~` in percent form, and no colon, which
/// separates the two parts of the label.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes().filter(|b| *b != b':').take(LABEL) {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing into a String never fails.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix B of RFC 6238, whose eight digits end in our six.
    const VECTORS: [(u64, &str); 6] = [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ];

    fn rfc() -> TotpSecret {
        TotpSecret(Zeroizing::new(*b"12345678901234567890"))
    }

    #[test]
    fn the_vectors_of_the_rfc_come_out() {
        for (seconds, code) in VECTORS {
            assert_eq!(rfc().code(seconds * 1000).expose(), &code[2..], "{seconds}");
            assert_eq!(rfc().verify(&code[2..], seconds * 1000, 0), Some(seconds / PERIOD));
        }
    }

    #[test]
    fn one_step_before_and_after_is_taken_and_no_more() {
        let secret = rfc();
        let now = 1_234_567_890_000;
        let at = step(now);
        for (offset, good) in [(-90i64, false), (-60, false), (-30, true), (0, true), (30, true), (60, false)]
        {
            let other = now.checked_add_signed(offset * 1000).unwrap();
            let expected = good.then(|| at.checked_add_signed(offset / 30).unwrap());
            assert_eq!(secret.verify(secret.code(other).expose(), now, 0), expected, "{offset} s");
        }
    }

    #[test]
    fn a_code_is_good_once_and_none_after_a_later_one() {
        let secret = rfc();
        let now = 1_234_567_890_000;
        let code = secret.code(now);
        let used = secret.verify(code.expose(), now, 0).unwrap();
        assert_eq!(secret.verify(code.expose(), now, used), None);
        assert_eq!(secret.verify(secret.code(now - 30_000).expose(), now, used), None);
        assert_eq!(secret.verify(secret.code(now + 30_000).expose(), now, used), Some(used + 1));
    }

    #[test]
    fn only_six_digits_are_a_code() {
        let (secret, now) = (rfc(), 1_234_567_890_000);
        assert_eq!(secret.code(now).expose(), "005924");
        assert!(secret.verify("005 924", now, 0).is_some());
        for odd in ["", "5924", "0005924", "05924", "005924a", "００５９２４", "+05924", &"0".repeat(1 << 16)]
        {
            assert_eq!(secret.verify(odd, now, 0), None);
        }
    }

    #[test]
    fn a_secret_survives_its_text_and_prints_as_nothing() {
        let secret = TotpSecret::generate().unwrap();
        let text = secret.base32();
        assert_eq!(text.expose().len(), 32);
        let again = TotpSecret::from_base32(&text.expose().to_lowercase()).unwrap();
        assert_eq!(*again.0, *secret.0);
        assert_eq!(format!("{secret:?} {text:?}"), "[secret] [secret]");
        for odd in ["", "GEZDGNBV", "1EZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", &"A".repeat(100)] {
            assert_eq!(TotpSecret::from_base32(odd).unwrap_err(), NotASecret, "{odd}");
        }
    }

    #[test]
    fn the_address_has_what_authenticators_read() {
        assert_eq!(
            rfc().uri("aivonx gw:1", "alice@example.org").expose(),
            "otpauth://totp/aivonx%20gw1:alice%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=aivonx%20gw1&algorithm=SHA1&digits=6&period=30"
        );
    }
}
