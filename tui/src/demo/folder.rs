//! The directory of a demo: private, gone with it, and removed by the next one if it was killed.
//!
//! A demo holds a lock on its directory, and its daemon one in it. The kernel lets go of both whichever way they
//! end, so a directory on which nobody has either is a dead one's.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    process::geteuid,
};

use crate::exit::Failure;

/// What the directory's name begins with.
const PREFIX: &str = "aivonx-demo-";
/// Hexadecimal digits behind that.
const DIGITS: usize = 8;

/// A directory for a demo alone; gone when dropped.
pub(super) struct Folder {
    path: PathBuf,
    /// Held while it is in use.
    _lock: Option<File>,
}

impl Folder {
    /// A new one, below `parent`.
    ///
    /// # Errors
    /// Nothing can be made there.
    pub(super) fn make(parent: &Path) -> Result<Self, Failure> {
        loop {
            let path = parent.join(format!("{PREFIX}{:0DIGITS$x}", rand::random::<u32>()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                // Somebody else's: never used.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => {
                    return Err(Failure::failed(format!("cannot make {}: {error}", path.display()))
                        .with_hint("Set TMPDIR to a directory that can be written."));
                }
            }
            // Another demo that begins now may have taken it for a dead one's, until it is locked.
            match hold(&path) {
                Ok(Some(lock)) if is_at(&lock, &path) => return Ok(Self { path, _lock: Some(lock) }),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Where directories cannot be locked, as over a network, nobody takes it for a dead one's either.
                Err(_) => return Ok(Self { path, _lock: None }),
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Everything the daemon keeps is below the private directory.
pub(super) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Removes what demos of this user left below `parent` that were killed. What cannot be looked at stays.
pub(super) fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_named) {
            let _ = remove_if_dead(&entry.path());
        }
    }
}

fn is_named(name: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == DIGITS && rest.chars().all(digit))
}

fn remove_if_dead(path: &Path) -> io::Result<()> {
    // Held until it is gone, so that nobody begins to use it meanwhile.
    let Some(lock) = hold(path)? else { return Ok(()) };
    let found = lock.metadata()?;
    if found.uid() != geteuid().as_raw() || found.mode() & 0o077 != 0 {
        return Ok(());
    }
    // A daemon ends a moment after its console.
    match open(&data(path).join("lock"), OFlags::empty()) {
        Ok(daemon) if !take(&daemon)? => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if is_at(&lock, path) { fs::remove_dir_all(path) } else { Ok(()) }
}

/// The lock on a directory; None if another has it.
fn hold(path: &Path) -> io::Result<Option<File>> {
    let folder = open(path, OFlags::DIRECTORY)?;
    Ok(take(&folder)?.then_some(folder))
}

/// Opens what is there itself, never what a link leads to, and waits for nobody at the other end of a pipe.
fn open(path: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | more;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn take(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether this open directory is the one at `path`.
fn is_at(folder: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (folder.metadata(), fs::symlink_metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// As a demo that was killed leaves it.
    fn dead(parent: &Path, name: &str) -> PathBuf {
        let path = parent.join(name);
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        fs::create_dir(data(&path)).unwrap();
        fs::write(data(&path).join("lock"), "1\n").unwrap();
        path
    }

    #[test]
    fn the_directory_is_private_and_goes() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::make(parent.path()).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
        fs::write(path.join("x"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
        assert!(Folder::make(&parent.path().join("absent")).is_err());
    }

    #[test]
    fn what_the_dead_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let left = dead(parent, "aivonx-demo-0123abcd");
        // A link in it is removed, and what it leads to is not.
        fs::create_dir(parent.join("own")).unwrap();
        fs::write(parent.join("own/file"), "x").unwrap();
        symlink(parent.join("own"), left.join("link")).unwrap();
        let empty = parent.join("aivonx-demo-00000000");
        DirBuilder::new().mode(0o700).create(&empty).unwrap();
        sweep(parent);
        assert!(!left.exists() && !empty.exists());
        assert!(parent.join("own/file").exists());
        sweep(&parent.join("absent"));
    }

    #[test]
    fn everything_else_stays() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let alive = Folder::make(parent).unwrap();
        // The console is gone, the daemon not yet.
        let ending = dead(parent, "aivonx-demo-0000000a");
        let daemon = File::open(data(&ending).join("lock")).unwrap();
        flock(&daemon, FlockOperation::NonBlockingLockExclusive).unwrap();
        let others =
            ["aivonx-demo-", "aivonx-demo-0123ABCD", "aivonx-demo-0123abcde", "aivonx-demo-keep.me!", "x"];
        let others = others.map(|name| dead(parent, name));
        let open = dead(parent, "aivonx-demo-0000000b");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let linked = parent.join("aivonx-demo-0000000c");
        symlink(&others[0], &linked).unwrap();
        let file = parent.join("aivonx-demo-0000000d");
        fs::write(&file, "x").unwrap();
        sweep(parent);
        for path in others.iter().chain([&ending, &open, &linked, &file]) {
            assert!(path.exists(), "{}", path.display());
        }
        assert!(alive.path().exists() && data(&others[0]).exists());
        drop(daemon);
        sweep(parent);
        assert!(!ending.exists(), "it has ended");
    }
}
