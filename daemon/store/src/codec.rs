//! The form of a stored value: version byte, checksum, bincode. The one file of the daemon that names bincode.
//!
//! The checksum covers the tree's name and the key as well, so that a value that turns up under another key
//! is found.

use serde::{Serialize, de::DeserializeOwned};

/// Largest payload of one record, bytes.
pub(super) const MAX_RECORD: usize = 1 << 20;

/// Version byte and CRC-32 (little-endian) before the payload.
const HEADER: usize = 5;

/// Why a stored value cannot be read, or a record not be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Shorter than its header.
    #[error("it is cut off")]
    Short,
    /// The checksum differs.
    #[error("its checksum does not match")]
    Checksum,
    /// A version this build does not know.
    #[error("it has version {found}, this build reads version {known}")]
    Version {
        /// Version found.
        found: u8,
        /// Version known.
        known: u8,
    },
    /// Bytes are left over.
    #[error("{0} bytes are left over")]
    Trailing(usize),
    /// Larger than [`MAX_RECORD`].
    #[error("it has {0} bytes, more than {MAX_RECORD}")]
    TooLarge(usize),
    /// bincode refused.
    #[error("{0}")]
    Bincode(String),
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_RECORD>()
}

fn checksum(tree: &str, key: &[u8], version: u8, payload: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(tree.as_bytes());
    crc.update(&[0]);
    crc.update(&(key.len() as u64).to_le_bytes());
    crc.update(key);
    crc.update(&[version]);
    crc.update(payload);
    crc.finalize().to_le_bytes()
}

/// The stored form of `value` under `key` of `tree`.
pub(super) fn encode<T: Serialize>(
    tree: &str,
    key: &[u8],
    version: u8,
    value: &T,
) -> Result<Vec<u8>, CodecError> {
    let payload =
        bincode::serde::encode_to_vec(value, config()).map_err(|e| CodecError::Bincode(e.to_string()))?;
    if payload.len() > MAX_RECORD {
        return Err(CodecError::TooLarge(payload.len()));
    }
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.push(version);
    bytes.extend_from_slice(&checksum(tree, key, version, &payload));
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

/// Checks the checksum alone and returns the version and the payload.
pub(super) fn check<'a>(tree: &str, key: &[u8], bytes: &'a [u8]) -> Result<(u8, &'a [u8]), CodecError> {
    let (header, payload) = bytes.split_at_checked(HEADER).ok_or(CodecError::Short)?;
    if payload.len() > MAX_RECORD {
        return Err(CodecError::TooLarge(payload.len()));
    }
    if header[1..] != checksum(tree, key, header[0], payload) {
        return Err(CodecError::Checksum);
    }
    Ok((header[0], payload))
}

/// The value stored as `bytes` under `key` of `tree`.
pub(super) fn decode<T: DeserializeOwned>(
    tree: &str,
    key: &[u8],
    version: u8,
    bytes: &[u8],
) -> Result<T, CodecError> {
    let (found, payload) = check(tree, key, bytes)?;
    if found != version {
        return Err(CodecError::Version { found, known: version });
    }
    let (value, used) = bincode::serde::decode_from_slice(payload, config())
        .map_err(|e| CodecError::Bincode(e.to_string()))?;
    match payload.len() - used {
        0 => Ok(value),
        left => Err(CodecError::Trailing(left)),
    }
}

/// Most memory that reading a payload takes, bytes.
const MAX_PAYLOAD: usize = 64 << 20;

/// `value` as the payload of a frame, or of what was derived from frames: a version byte and bincode. The checksum is
/// the frame's.
pub(super) fn to_payload<T: Serialize>(version: u8, value: &T) -> Result<Vec<u8>, CodecError> {
    let config = bincode::config::standard().with_limit::<MAX_PAYLOAD>();
    let mut bytes = vec![version];
    let encoded =
        bincode::serde::encode_to_vec(value, config).map_err(|e| CodecError::Bincode(e.to_string()))?;
    bytes.extend_from_slice(&encoded);
    Ok(bytes)
}

/// The value of such a payload.
pub(super) fn from_payload<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, CodecError> {
    let config = bincode::config::standard().with_limit::<MAX_PAYLOAD>();
    let (&found, payload) = bytes.split_first().ok_or(CodecError::Short)?;
    if found != version {
        return Err(CodecError::Version { found, known: version });
    }
    let (value, used) =
        bincode::serde::decode_from_slice(payload, config).map_err(|e| CodecError::Bincode(e.to_string()))?;
    match payload.len() - used {
        0 => Ok(value),
        left => Err(CodecError::Trailing(left)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Sample = (String, Option<Vec<u8>>, BTreeMap<String, u64>, (bool, i64));

    fn sample() -> impl Strategy<Value = Sample> {
        (
            any::<String>(),
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
            proptest::collection::btree_map(".{0,8}", any::<u64>(), 0..8),
            any::<(bool, i64)>(),
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in sample(), key in proptest::collection::vec(any::<u8>(), 0..40)) {
            let bytes = encode("t", &key, 1, &value).unwrap();
            prop_assert_eq!(decode::<Sample>("t", &key, 1, &bytes).unwrap(), value);
        }

        #[test]
        fn any_flipped_bit_is_found(value in sample(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = encode("t", b"k", 1, &value).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode::<Sample>("t", b"k", 1, &bytes).is_err());
        }

        #[test]
        fn any_cut_and_any_addition_is_found(value in sample(), cut in any::<prop::sample::Index>()) {
            let mut bytes = encode("t", b"k", 1, &value).unwrap();
            let cut = cut.index(bytes.len());
            prop_assert!(decode::<Sample>("t", b"k", 1, &bytes[..cut]).is_err());
            bytes.push(0);
            prop_assert!(decode::<Sample>("t", b"k", 1, &bytes).is_err());
        }

        #[test]
        fn garbage_neither_panics_nor_decodes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode::<Sample>("t", b"k", 1, &bytes).is_err());
        }
    }

    #[test]
    fn bytes_left_over_under_a_right_checksum_are_refused() {
        let mut payload = bincode::serde::encode_to_vec(7u32, config()).unwrap();
        payload.push(9);
        let mut bytes = vec![1];
        bytes.extend_from_slice(&checksum("t", b"k", 1, &payload));
        bytes.extend_from_slice(&payload);
        assert_eq!(decode::<u32>("t", b"k", 1, &bytes), Err(CodecError::Trailing(1)));
    }

    #[test]
    fn a_value_is_bound_to_its_tree_key_and_version() {
        let bytes = encode("t", b"k", 1, &7u32).unwrap();
        assert_eq!(decode::<u32>("u", b"k", 1, &bytes), Err(CodecError::Checksum));
        assert_eq!(decode::<u32>("t", b"l", 1, &bytes), Err(CodecError::Checksum));
        assert_eq!(decode::<u32>("t", b"k", 2, &bytes), Err(CodecError::Version { found: 1, known: 2 }));
    }

    #[test]
    fn a_length_that_promises_too_much_takes_no_memory() {
        // A string of 2^40 bytes, under a right checksum.
        let mut payload = vec![253];
        payload.extend_from_slice(&(1u64 << 40).to_le_bytes());
        let mut bytes = vec![1];
        bytes.extend_from_slice(&checksum("t", b"k", 1, &payload));
        bytes.extend_from_slice(&payload);
        assert!(matches!(decode::<String>("t", b"k", 1, &bytes), Err(CodecError::Bincode(_))));
    }
}
