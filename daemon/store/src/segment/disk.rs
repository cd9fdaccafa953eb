//! What a log asks of the disk, so that a test can have it fail.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::{fs::FallocateFlags, io::Errno};

/// The calls that write.
pub(crate) trait Disk: Send + Sync {
    /// Makes a file in place of any of that name, readable by the owner alone.
    fn create(&self, path: &Path) -> io::Result<File> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
    }

    /// Writes all of `bytes` at `at`.
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    /// Takes room on the disk for `len` bytes of a file from `from` on, which are not part of it until they are written.
    /// A file system that cannot do that takes what is written as long as there is room: then this does nothing.
    fn reserve(&self, file: &File, from: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, from, len) {
            Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::IO)) => Err(error.into()),
            // File systems say in many ways that they cannot.
            _ => Ok(()),
        }
    }

    /// Cuts a file, and gives back what is reserved behind.
    fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    /// Makes what was written to a file durable.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Makes the entries of a directory durable.
    fn sync_dir(&self, dir: &File) -> io::Result<()> {
        dir.sync_all()
    }
}

/// The disk as it is.
pub(crate) struct System;

impl Disk for System {}
