//! Room on the disk that is kept ahead of what is written.

use std::io;

use super::{Log, StoreError, format::Closed, open::segment_path, write::Active};

/// Bytes of it: what is being done when the disk becomes full can still be written down. Filled up when half is used.
const RESERVE: u64 = 512 << 10;

impl Log {
    /// Cuts off what stands behind the content, and with it what is reserved there.
    pub(super) fn cut(&self, active: &mut Active) -> io::Result<()> {
        active.reserved = active.content.len;
        self.disk.cut(&active.file, active.content.len)?;
        active.has_rest = false;
        Ok(())
    }

    /// Has room for `len` more bytes, and fills up the reserve. That fails only if there is no room for those.
    pub(super) fn reserve(&self, active: &mut Active, len: u64) -> io::Result<()> {
        let end = active.content.len + len;
        self.fill_up(active, len).or_else(|error| if end <= active.reserved { Ok(()) } else { Err(error) })
    }

    /// Fills up the reserve, of which `len` bytes are about to be used, if half of it is gone.
    pub(super) fn fill_up(&self, active: &mut Active, len: u64) -> io::Result<()> {
        let end = active.content.len + len;
        if active.reserved < end + RESERVE / 2 {
            self.disk.reserve(&active.file, active.content.len, len + RESERVE)?;
            active.reserved = end + RESERVE;
        }
        Ok(())
    }

    /// A new segment behind one that is full, with its reserve.
    pub(super) fn follow(&self, full: &Closed, first: u64, frames: &[u8]) -> Result<Active, StoreError> {
        let mut fresh = self.begin(Some(full), first, frames)?;
        self.fill_up(&mut fresh, 0).map_err(|error| {
            // As in `begin`.
            let _ = std::fs::remove_file(segment_path(&self.dir, first));
            self.failed("reserve room for", first)(error)
        })?;
        Ok(fresh)
    }
}
