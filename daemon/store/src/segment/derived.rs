//! What was derived from a closed segment, in a file beside it. It may be missing, old or damaged at any time: then it
//! is not there, and is derived again.

use std::{fs, path::Path};

use super::{Segment, StoreError, open::segment_path};
use crate::files;

/// CRC-32 of the rest, then the segment's length (u64) and CRC-32, then what was derived. Little-endian.
const HEADER: usize = 16;

impl Segment {
    /// What [`Self::keep_derived`] kept of it under `extension`, if that is there and of what the segment holds now.
    pub(crate) fn derived(&self, extension: &str) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.path().with_extension(extension)).ok()?;
        let is_right = bytes.get(4..HEADER)? == self.stamp()?
            && bytes[..4] == crc32fast::hash(&bytes[4..]).to_le_bytes();
        is_right.then(|| bytes.split_off(HEADER))
    }

    /// Keeps what was derived from it; does nothing if the segment is not closed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn keep_derived(&self, extension: &str, derived: &[u8]) -> Result<(), StoreError> {
        let Some(stamp) = self.stamp() else { return Ok(()) };
        let rest = [&stamp[..], derived].concat();
        let bytes = [&crc32fast::hash(&rest).to_le_bytes()[..], &rest].concat();
        // Not synced: what a crash leaves fails its checksum.
        let path = self.path().with_extension(extension);
        let temp = files::added(&path, "new");
        fs::write(&temp, bytes).map_err(StoreError::io("write", &temp))?;
        fs::rename(&temp, &path).map_err(StoreError::io("replace", &path))
    }

    fn stamp(&self) -> Option<[u8; HEADER - 4]> {
        let crc = self.crc?;
        let mut stamp = [0; HEADER - 4];
        stamp[..8].copy_from_slice(&self.len.to_le_bytes());
        stamp[8..].copy_from_slice(&crc.to_le_bytes());
        Some(stamp)
    }
}

/// Removes the segment of `dir` that begins with frame `first`, and what was derived from it.
pub(super) fn remove(dir: &Path, first: u64) -> Result<(), StoreError> {
    let path = segment_path(dir, first);
    let Some(stem) = path.file_stem() else { return Ok(()) };
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.strip_prefix(stem.as_encoded_bytes()).is_some_and(|rest| rest.starts_with(b".")) {
            fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        }
    }
    Ok(())
}
