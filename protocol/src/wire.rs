//! How values become bytes. The only file that names bincode.
//!
//! The encoding is bincode 2's standard configuration (little endian, variable-length integers, a variant is
//! its position). It has no field names and no lengths of structures, so a field is never added to a type
//! that has crossed the wire: a variant is appended instead. See `tests/fixtures` for the bytes that bind us.

use bincode::{config, enc::write::SizeWriter};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// The bytes of one frame. Cleared on drop, because a request may carry a credential.
pub type Payload = Zeroizing<Vec<u8>>;

/// Why bytes and values do not convert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The value is too large for a frame of its direction.
    #[error("the message takes {size} bytes; the most is {cap}")]
    TooLarge {
        /// Encoded size in bytes.
        size: usize,
        /// The most there may be.
        cap: usize,
    },
    /// The bytes are no value of the expected type.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// The bytes go on after the value.
    #[error("the message goes on for {0} bytes after its end")]
    Trailing(usize),
}

/// Encodes `value` behind `reserved` zero bytes (room for a length), refusing more than `cap` bytes of value.
///
/// # Errors
/// [`WireError::TooLarge`] beyond the cap; [`WireError::Malformed`] for a value bincode cannot express, which
/// none of this crate's types is.
pub fn encode<T: Serialize>(value: &T, reserved: usize, cap: usize) -> Result<Payload, WireError> {
    // Measured first: the buffer is made in one piece, so no partial copy of a credential is left behind.
    let mut measure = SizeWriter::default();
    let refused = |e: bincode::error::EncodeError| WireError::Malformed(e.to_string());
    bincode::serde::encode_into_writer(value, &mut measure, config::standard()).map_err(refused)?;
    let size = measure.bytes_written;
    if size > cap {
        return Err(WireError::TooLarge { size, cap });
    }
    let mut bytes = Zeroizing::new(vec![0; reserved + size]);
    bincode::serde::encode_into_slice(value, &mut bytes[reserved..], config::standard()).map_err(refused)?;
    Ok(bytes)
}

/// Decodes exactly one value from all of `bytes`; no text in it may claim more than `CAP` bytes.
///
/// # Errors
/// [`WireError::Malformed`] or [`WireError::Trailing`].
pub fn decode<T: DeserializeOwned, const CAP: usize>(bytes: &[u8]) -> Result<T, WireError> {
    let limited = config::standard().with_limit::<CAP>();
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, limited).map_err(|e| WireError::Malformed(e.to_string()))?;
    if used < bytes.len() {
        return Err(WireError::Trailing(bytes.len() - used));
    }
    Ok(value)
}

/// Position of the variant and request id of a frame whose rest cannot be read, so that a peer of another
/// version gets an answer about that one request instead of losing its connection.
///
/// Every variant of [`ClientFrame`](crate::ClientFrame) and [`ServerFrame`](crate::ServerFrame) begins with
/// its id, and must.
#[must_use]
pub fn frame_head(bytes: &[u8]) -> Option<(u32, u64)> {
    let limited = config::standard().with_limit::<32>();
    bincode::serde::decode_from_slice(bytes, limited).ok().map(|(head, _)| head)
}
