//! Where a session is kept between commands: one file per daemon, which nobody else can read.

use std::{
    env,
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use aivonx_protocol::WireSecret;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::exit::Failure;

/// Under the runtime or the state directory.
const FOLDER: &str = "aivonx/sessions";
/// Largest file read, in bytes.
const FILE_MAX: u64 = 16 << 10;

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Name of the user.
    pub user: String,
    /// What resumes the session.
    pub secret: WireSecret,
}

/// The places where the session with one daemon may be kept.
#[derive(Debug)]
pub struct SessionFiles {
    /// The first is written, all are read.
    paths: Vec<PathBuf>,
}

impl SessionFiles {
    /// Those for the daemon of this identity, under `$XDG_RUNTIME_DIR`, else the state directory.
    ///
    /// # Errors
    /// [`Failure::Failed`] if the identity is malformed: it becomes a file name.
    pub fn of(daemon_id: &str) -> Result<Self, Failure> {
        Self::among(daemon_id, |name| env::var_os(name))
    }

    fn among(daemon_id: &str, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Failure> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if daemon_id.is_empty() || daemon_id.len() > 64 || !daemon_id.chars().all(plain) {
            return Err(Failure::failed(format!(
                "the daemon calls itself \"{daemon_id}\", which is no identity"
            ))
            .with_hint("Install aivonx and aivonxd from the same version."));
        }
        // The XDG rules: a path that is not absolute counts as not set.
        let directory = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // A runtime directory of someone else (kept by sudo) would hold a session its owner cannot read.
        let runtime = directory("XDG_RUNTIME_DIR").filter(|path| is_ours(path));
        let state =
            directory("XDG_STATE_HOME").or_else(|| directory("HOME").map(|home| home.join(".local/state")));
        let place = |base: PathBuf| base.join(FOLDER).join(daemon_id);
        Ok(Self { paths: runtime.into_iter().chain(state).map(place).collect() })
    }

    /// The session, if one is kept.
    ///
    /// # Errors
    /// [`Failure::NotPermitted`] if a file is there that others can read or put there.
    pub fn read(&self) -> Result<Option<Kept>, Failure> {
        for path in &self.paths {
            match read(path) {
                Ok(kept) => return Ok(Some(kept)),
                Err(Unread::Absent) => {}
                Err(Unread::Unsafe(why)) => {
                    return Err(Failure::NotPermitted {
                        message: format!("the session file {} {why}", path.display()),
                        hint: Some(format!(
                            "It is not used. Remove it and log in again: rm {} && aivonx login",
                            path.display()
                        )),
                    });
                }
            }
        }
        Ok(None)
    }

    /// Keeps a session in place of the one before.
    ///
    /// # Errors
    /// [`Failure::Failed`] if there is no place for it.
    pub fn write(&self, kept: &Kept) -> Result<(), Failure> {
        let Some(path) = self.paths.first() else {
            return Err(Failure::failed("there is no place to keep the session in")
                .with_hint("Set XDG_RUNTIME_DIR, XDG_STATE_HOME or HOME to a directory of your own."));
        };
        write(path, kept).map_err(|error| {
            Failure::failed(format!("the session cannot be kept in {}: {error}", path.display())).with_hint(
                "Set XDG_RUNTIME_DIR or XDG_STATE_HOME to a directory of your own that can be written.",
            )
        })?;
        // An older one elsewhere would outlive this one's logout. Both places may be one.
        let inode = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        for other in self.paths[1..].iter().filter(|other| inode(other) != inode(path)) {
            let _ = fs::remove_file(other);
        }
        Ok(())
    }

    /// Forgets the session.
    pub fn remove(&self) {
        for path in &self.paths {
            let _ = fs::remove_file(path);
        }
    }
}

/// Why there is nothing to read.
enum Unread {
    Absent,
    /// What is wrong with it, as the end of a sentence.
    Unsafe(String),
}

fn read(path: &Path) -> Result<Kept, Unread> {
    let broken = |why: &str| Unread::Unsafe(why.to_owned());
    let folder = match path.parent().map(fs::symlink_metadata) {
        Some(Ok(folder)) => folder,
        _ => return Err(Unread::Absent),
    };
    let ours = rustix::process::geteuid().as_raw();
    // Not blocking: a pipe there must not hold the command up.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(Unread::Absent);
        }
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(broken("is a symbolic link"));
        }
        Err(error) => return Err(Unread::Unsafe(format!("cannot be read: {error}"))),
    };
    let found = file.metadata().map_err(|error| Unread::Unsafe(format!("cannot be read: {error}")))?;
    if !found.is_file() || found.nlink() != 1 {
        return Err(broken("is no plain file"));
    }
    if found.uid() != ours {
        return Err(Unread::Unsafe(format!("belongs to uid {}, not to you", found.uid())));
    }
    if found.mode() & 0o077 != 0 {
        return Err(Unread::Unsafe(format!("is open to others (mode {:04o})", found.mode() & 0o7777)));
    }
    if !folder.is_dir() || folder.uid() != ours || folder.mode() & 0o022 != 0 {
        return Err(broken("lies in a directory that others can change"));
    }
    let mut text = Zeroizing::new(String::with_capacity(FILE_MAX as usize + 1));
    file.take(FILE_MAX).read_to_string(&mut text).map_err(|_| broken("holds no session"))?;
    serde_json::from_str(&text).map_err(|_| broken("holds no session"))
}

/// Replaces the file in one step: a reader sees the old session or the new one, never half of it.
fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
    // Made with the mode it keeps, so that it is at no time open to others; those above it likewise.
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can change its directory"));
    }
    let text = Zeroizing::new(serde_json::to_string(kept)?);
    let (mut file, beside) = fresh(path)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A new empty file beside `path`.
fn fresh(path: &Path) -> io::Result<(File, PathBuf)> {
    let mut attempt = 0_u32;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.{attempt}", std::process::id()));
        let beside = PathBuf::from(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside) {
            Ok(file) => return Ok((file, beside)),
            // Left behind by a process of the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

fn is_ours(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn files(variables: &[(&str, &Path)]) -> SessionFiles {
        let variable = |name: &str| {
            variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.as_os_str().to_owned())
        };
        SessionFiles::among("0190-daemon", variable).unwrap()
    }

    fn kept(secret: &str) -> Kept {
        Kept { user: "root".into(), secret: WireSecret::new(secret.into()) }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_session_is_kept_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&[("XDG_RUNTIME_DIR", dir.path())]);
        assert_eq!(files.read().unwrap(), None);
        files.write(&kept("one")).unwrap();
        files.write(&kept("two")).unwrap();
        assert_eq!(files.read().unwrap(), Some(kept("two")));
        let path = dir.path().join("aivonx/sessions/0190-daemon");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let beside = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "nothing is left beside it");
        files.remove();
        assert_eq!(files.read().unwrap(), None);
    }

    #[test]
    fn what_others_could_read_or_plant_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&[("XDG_STATE_HOME", dir.path())]);
        files.write(&kept("one")).unwrap();
        let path = dir.path().join("aivonx/sessions/0190-daemon");
        let refused = |why: &str| {
            let failure = files.read().unwrap_err();
            assert_eq!(failure.exit(), crate::exit::Exit::NotPermitted);
            assert!(failure.to_string().contains(why), "{failure}");
        };
        for open in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            refused("is open to others");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let folder = path.parent().unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o770)).unwrap();
        refused("directory that others can change");
        assert!(files.write(&kept("two")).is_err());
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        refused("is a symbolic link");
        fs::remove_file(&path).unwrap();
        fs::hard_link(&elsewhere, &path).unwrap();
        refused("is no plain file");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused("is no plain file");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "{").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        refused("holds no session");
    }

    #[test]
    fn a_link_is_replaced_and_its_target_spared() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(&[("XDG_STATE_HOME", dir.path())]);
        files.write(&kept("one")).unwrap();
        let path = dir.path().join("aivonx/sessions/0190-daemon");
        let target = dir.path().join("target");
        fs::write(&target, "precious").unwrap();
        fs::remove_file(&path).unwrap();
        symlink(&target, &path).unwrap();
        files.write(&kept("two")).unwrap();
        assert_eq!(files.read().unwrap(), Some(kept("two")));
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }

    #[test]
    fn places_in_order() {
        let (runtime, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let both = files(&[("XDG_RUNTIME_DIR", runtime.path()), ("XDG_STATE_HOME", state.path())]);
        let late = files(&[("XDG_STATE_HOME", state.path())]);
        late.write(&kept("old")).unwrap();
        assert_eq!(both.read().unwrap(), Some(kept("old")), "found where it was kept without one");
        both.write(&kept("new")).unwrap();
        assert_eq!(both.read().unwrap(), Some(kept("new")));
        assert_eq!(late.read().unwrap(), None, "the older one is gone");
        let same = files(&[("XDG_RUNTIME_DIR", state.path()), ("XDG_STATE_HOME", &state.path().join("."))]);
        same.write(&kept("one")).unwrap();
        assert_eq!(same.read().unwrap(), Some(kept("one")), "where both places are one");
        let absent = Path::new("/nonexistent/runtime");
        let home = files(&[("XDG_RUNTIME_DIR", absent), ("HOME", Path::new("/h"))]);
        assert_eq!(home.paths, [PathBuf::from("/h/.local/state/aivonx/sessions/0190-daemon")]);
        assert!(files(&[]).write(&kept("x")).is_err());
    }

    #[test]
    fn an_identity_is_no_path() {
        for id in ["", "..", "a/b", "a\0", "é", &"a".repeat(65)] {
            assert!(SessionFiles::among(id, |_| None).is_err(), "{id:?}");
        }
    }
}
