//! Random bytes from the operating system.

use rand::TryRngCore as _;
use zeroize::Zeroizing;

/// The operating system gives no random numbers; nothing secret can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random numbers: {0}")]
pub struct NoRandom(String);

/// `N` bytes from the operating system, cleared when dropped.
pub(super) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, NoRandom> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::rngs::OsRng.try_fill_bytes(&mut bytes[..]).map_err(|e| NoRandom(e.to_string()))?;
    Ok(bytes)
}

/// `N` characters of `alphabet`, each as likely as any other. The alphabet has 2 to 256 characters, all ASCII.
pub(super) fn random_text<const N: usize>(alphabet: &[u8]) -> Result<Zeroizing<String>, NoRandom> {
    // Bytes at or above the largest multiple of the alphabet's length would favour its beginning.
    let fair = 256 - 256 % alphabet.len();
    // Never reallocated: what a growing string leaves behind is not cleared.
    let mut text = Zeroizing::new(String::with_capacity(N));
    while text.len() < N {
        for byte in random::<64>()?.iter() {
            if usize::from(*byte) < fair && text.len() < N {
                text.push(char::from(alphabet[usize::from(*byte) % alphabet.len()]));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{random, random_text};

    #[test]
    fn every_character_of_the_alphabet_comes_and_no_other() {
        let text = random_text::<4096>(b"abc").unwrap();
        assert_eq!(text.len(), 4096);
        for c in ['a', 'b', 'c'] {
            let count = text.chars().filter(|x| *x == c).count();
            assert!((1100..1650).contains(&count), "{c}: {count}");
        }
        assert!(text.chars().all(|c| "abc".contains(c)));
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(*random::<32>().unwrap(), *random::<32>().unwrap());
    }
}
