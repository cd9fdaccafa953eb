//! A log file of bounded size: `aivonxd.log`, and `aivonxd.log.1` (newest) to `.N` behind it.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::OFlags;

/// After a rotation that failed, the file grows on for so long before another try.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// The file being written, and how it is rotated.
#[derive(Debug)]
pub(crate) struct RotatingFile {
    path: PathBuf,
    file: File,
    /// Device and inode of `file`, to notice that someone has moved it.
    identity: (u64, u64),
    size: u64,
    max: u64,
    keep: u32,
    /// Part of a line was written and could not be taken back.
    torn: bool,
    retry_at: Option<Instant>,
}

/// Lines that could not be written.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) lines: usize,
    pub(crate) error: io::Error,
}

impl RotatingFile {
    /// Opens or creates `path`, readable by its owner alone. It is rotated before it exceeds `max` bytes, and
    /// `keep` older files are kept.
    pub(crate) fn open(path: &Path, max: u64, keep: u32) -> io::Result<Self> {
        let (file, identity, size) = open(path)?;
        let torn = size > 0 && !ends_with_newline(&file, size);
        Ok(Self { path: path.into(), file, identity, size, max: max.max(1), keep, torn, retry_at: None })
    }

    /// Appends whole lines, rotating between them where the size demands it.
    pub(crate) fn write(&mut self, mut lines: &[u8]) -> Result<(), Failed> {
        self.reopen_if_moved();
        while !lines.is_empty() {
            let room = self.max.saturating_sub(self.size);
            let mut take = whole_lines(lines, room);
            if take == 0 {
                if self.size > 0 && self.rotate() {
                    continue;
                }
                // One line longer than a file, or a rotation that failed: better a large file than a lost line.
                take = memchr::memchr(b'\n', lines).map_or(lines.len(), |i| i + 1);
            }
            if let Err(error) = self.append(&lines[..take]) {
                return Err(Failed { lines: memchr::memchr_iter(b'\n', lines).count(), error });
            }
            lines = &lines[take..];
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.size += 1;
            self.torn = false;
        }
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.size += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A full disk may have taken half a line: take it back, so that the file stays whole lines.
                self.torn = self.file.set_len(self.size).is_err();
                Err(error)
            }
        }
    }

    /// Moves the files one number on and begins a new one. False: not possible now, the old one goes on.
    fn rotate(&mut self) -> bool {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        let done = self.shift().and_then(|()| open(&self.path));
        match done {
            Ok((file, identity, size)) => {
                (self.file, self.identity, self.size) = (file, identity, size);
                self.torn = false;
                self.retry_at = None;
                true
            }
            Err(_) => {
                // The open file may bear another name by now, but takes lines all the same.
                self.retry_at = Some(Instant::now() + RETRY_AFTER);
                false
            }
        }
    }

    fn shift(&self) -> io::Result<()> {
        if self.keep == 0 {
            return ignore_missing(fs::remove_file(&self.path));
        }
        for n in (1..self.keep).rev() {
            ignore_missing(fs::rename(self.numbered(n), self.numbered(n + 1)))?;
        }
        ignore_missing(fs::rename(&self.path, self.numbered(1)))
    }

    fn numbered(&self, n: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{n}"));
        name.into()
    }

    /// Follows what logrotate or an administrator did to the file.
    fn reopen_if_moved(&mut self) {
        let there = fs::symlink_metadata(&self.path).ok().map(|m| (m.dev(), m.ino()));
        if there == Some(self.identity) || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        match open(&self.path) {
            Ok((file, identity, size)) => {
                (self.file, self.identity, self.size, self.torn) = (file, identity, size, false);
                self.retry_at = None;
            }
            Err(_) => self.retry_at = Some(Instant::now() + RETRY_AFTER),
        }
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A symbolic link in the file's place is refused, and so is what is not a file: the daemon must not be made
/// to write elsewhere.
fn open(path: &Path) -> io::Result<(File, (u64, u64), u64)> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags.bits() as i32)
        .open(path)
        .map_err(|e| match e.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
                io::Error::other("it is a symbolic link: name the file itself")
            }
            _ => e,
        })?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok((file, (meta.dev(), meta.ino()), meta.len()))
}

/// Whether the last write before us was a whole line.
fn ends_with_newline(file: &File, size: u64) -> bool {
    let mut last = [0];
    file.read_exact_at(&mut last, size - 1).is_ok() && last == *b"\n"
}

/// Length of the longest run of whole lines within `room` bytes.
fn whole_lines(lines: &[u8], room: u64) -> usize {
    let within = lines.len().min(usize::try_from(room).unwrap_or(usize::MAX));
    memchr::memrchr(b'\n', &lines[..within]).map_or(0, |i| i + 1)
}
