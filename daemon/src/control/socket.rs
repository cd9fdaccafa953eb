//! The control socket in the file system: made, replaced and removed.
//!
//! The socket is bound inside a private directory, given its mode and group there, and only then moved to its
//! place: at no moment can anyone connect who may not.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use aivonx_config::Control;
use rustix::{
    fs::{FlockOperation, flock},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};

/// Mode of a directory made for the socket.
const DIR_MODE: u32 = 0o750;
/// Mode of the socket: connecting needs the right to write.
const SOCKET_MODE: u32 = 0o660;
/// Longest path the kernel takes for a socket, in bytes.
const PATH_MAX: usize = 107;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path is longer than the kernel takes.
    #[error("control.socket: {} has {} bytes; a socket's path has at most {PATH_MAX}: choose a shorter one", .0.display(), .0.as_os_str().len())]
    TooLong(PathBuf),
    /// The path names no file in a directory.
    #[error("control.socket: {} names no file: give a path such as /run/aivonx/control.sock", .0.display())]
    NoName(PathBuf),
    /// Another daemon answers there.
    #[error("control.socket: another aivonxd answers on {}: stop it, or choose another path", .0.display())]
    InUse(PathBuf),
    /// Something that is not a socket is there.
    #[error("control.socket: {} exists and is not a socket: remove it, or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// Anyone could put another socket in its place.
    #[error("control.socket: everyone may write to {}: take that right away (chmod o-w), or choose another directory", .0.display())]
    OpenDirectory(PathBuf),
    /// A step failed.
    #[error("control.socket: cannot {step} {}: {source}", path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// The bound control socket. Removed from the file system when dropped, if it is still ours.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    /// What it was made by.
    control: Control,
    /// Device and inode, which distinguish our socket from a successor's.
    identity: (u64, u64),
}

impl Bound {
    /// Makes the socket. A stale one, on which nobody answers, is replaced. A group that does not exist or
    /// may not be given is logged and left out.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(control: &Control) -> Result<Self, BindError> {
        let path = &control.socket;
        if path.as_os_str().len() > PATH_MAX {
            return Err(BindError::TooLong(path.clone()));
        }
        let (Some(dir), Some(_)) = (path.parent(), path.file_name()) else {
            return Err(BindError::NoName(path.clone()));
        };
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let group = group_id(&control.group);
        make_dir(dir, group)?;
        // Held over look and move, so that of two daemons starting at once only one takes the place.
        let lock = File::open(dir).map_err(failed("open", dir))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| failed("lock", dir)(e.into()))?;
        look(path)?;
        let (listener, identity) = place(dir, path, group)?;
        Ok(Self { listener, control: control.clone(), identity })
    }

    /// Another in its place, if its file has been removed; logs that, and also if no other can be made.
    #[must_use]
    pub fn made_anew(&self) -> Option<Self> {
        let socket = self.control.socket.display();
        if self.is_in_place() {
            return None;
        }
        match Self::bind(&self.control) {
            Ok(anew) => {
                tracing::warn!(event = "control_made_anew", path = %socket, "the control socket had been removed and is made anew");
                Some(anew)
            }
            Err(error) => {
                tracing::error!(
                    event = "control_made_anew", path = %socket, %error,
                    "the control socket had been removed and cannot be made anew"
                );
                None
            }
        }
    }

    fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.control.socket).is_ok_and(|m| (m.dev(), m.ino()) == self.identity)
    }

    /// A second handle of the listening socket, for the runtime. The first stays here, and with it the file.
    ///
    /// # Errors
    /// If the process is out of descriptors.
    pub fn listener(&self) -> io::Result<UnixListener> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.is_in_place()
            && let Err(e) = fs::remove_file(&self.control.socket)
        {
            tracing::warn!(error = %e, "the control socket cannot be removed");
        }
    }
}

fn failed<'a>(step: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> BindError + 'a {
    move |source| BindError::Io { step, path: path.to_owned(), source }
}

/// Makes the directory if it is not there; one that is there keeps its mode, but must be safe.
fn make_dir(dir: &Path, group: Option<u32>) -> Result<(), BindError> {
    match fs::metadata(dir) {
        Ok(found) => {
            let (open, sticky) = (found.mode() & 0o002 != 0, found.mode() & 0o1000 != 0);
            if open && !sticky { Err(BindError::OpenDirectory(dir.to_owned())) } else { Ok(()) }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(failed("make", dir))?;
            fs::set_permissions(dir, Permissions::from_mode(DIR_MODE)).map_err(failed("chmod", dir))?;
            give(dir, group);
            Ok(())
        }
        Err(e) => Err(failed("look at", dir)(e)),
    }
}

/// Whether the place is free: nothing there, or a socket on which nobody answers.
fn look(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed("look at", path)(e)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    // Without blocking: a daemon that is stopped, with a full queue, is there all the same.
    let probe = || -> rustix::io::Result<()> {
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            None,
        )?;
        connect(&socket, &SocketAddrUnix::new(path)?)
    };
    match probe() {
        Ok(()) | Err(rustix::io::Errno::AGAIN) => Err(BindError::InUse(path.to_owned())),
        Err(rustix::io::Errno::CONNREFUSED) => {
            tracing::info!(path = %path.display(), "a stale control socket is replaced");
            Ok(())
        }
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(e) => Err(failed("connect to", path)(e.into())),
    }
}

/// Binds in a private directory beside the place and moves the socket there.
fn place(dir: &Path, path: &Path, group: Option<u32>) -> Result<(UnixListener, (u64, u64)), BindError> {
    let private = dir.join(format!(".{:08x}", rand::random::<u32>()));
    DirBuilder::new().mode(0o700).create(&private).map_err(failed("make", &private))?;
    let made = (|| {
        let early = private.join("s");
        let listener = UnixListener::bind(&early).map_err(failed("bind", &early))?;
        fs::set_permissions(&early, Permissions::from_mode(SOCKET_MODE)).map_err(failed("chmod", &early))?;
        give(&early, group);
        let found = fs::symlink_metadata(&early).map_err(failed("look at", &early))?;
        fs::rename(&early, path).map_err(failed("move the socket to", path))?;
        Ok((listener, (found.dev(), found.ino())))
    })();
    // Left behind only if the steps above failed half-way; empty then or not, it is ours.
    if let Err(e) = fs::remove_dir_all(&private) {
        tracing::warn!(error = %e, path = %private.display(), "a directory cannot be removed");
    }
    made
}

/// Gives `path` to the group. Not being allowed to is no reason not to start: root and our own user remain.
fn give(path: &Path, group: Option<u32>) {
    if let Some(gid) = group
        // Most often the daemon's own. The unit does not let it change owners at all, unless it has to.
        && fs::symlink_metadata(path).map(|found| found.gid()).ok() != Some(gid)
        && let Err(e) = chown(path, None, Some(gid))
    {
        tracing::warn!(path = %path.display(), gid, error = %e, "the control socket keeps its group");
    }
}

/// The id of a group of this machine; None for the empty name, and with a warning for an unknown one.
fn group_id(name: &str) -> Option<u32> {
    if name.is_empty() {
        return None;
    }
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let found = find_group(&groups, name);
    if found.is_none() {
        tracing::warn!(
            group = name,
            "control.group: there is no such group; only root and the daemon's user may connect"
        );
    }
    found
}

/// Looks `name` up in the text of `/etc/group`; a number stands for itself.
fn find_group(groups: &str, name: &str) -> Option<u32> {
    let line = groups.lines().map(|line| line.split(':')).find_map(|mut parts| {
        if parts.next() == Some(name) { parts.nth(1).and_then(|gid| gid.parse().ok()) } else { None }
    });
    line.or_else(|| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn at(path: &Path) -> Control {
        Control { socket: path.to_owned(), group: String::new(), ..Control::default() }
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn the_socket_and_its_directory_are_private_and_go_with_the_daemon() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("run/control.sock");
        let bound = Bound::bind(&at(&path)).unwrap();
        assert_eq!(mode(&path), 0o660);
        assert_eq!(mode(path.parent().unwrap()), 0o750);
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        let bound = Bound::bind(&at(&path)).unwrap();
        assert!(matches!(Bound::bind(&at(&path)), Err(BindError::InUse(_))));
        UnixStream::connect(&path).unwrap();
        drop(bound);
    }

    #[test]
    fn a_live_daemon_that_does_not_accept_is_found_too() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("control.sock");
        let _stopped = UnixListener::bind(&path).unwrap();
        // Fill its queue, the length of which depends on the system.
        let mut waiting = Vec::new();
        let address = SocketAddrUnix::new(&path).unwrap();
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            if connect(&socket, &address).is_err() {
                break;
            }
            waiting.push(socket);
        }
        assert!(matches!(Bound::bind(&at(&path)), Err(BindError::InUse(_))));
    }

    #[test]
    fn a_file_in_the_way_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("control.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Bound::bind(&at(&path)), Err(BindError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_successors_socket_is_not_removed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("control.sock");
        let first = Bound::bind(&at(&path)).unwrap();
        fs::remove_file(&path).unwrap();
        let second = Bound::bind(&at(&path)).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_was_removed_is_made_anew_and_only_then() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("run/control.sock");
        let first = Bound::bind(&at(&path)).unwrap();
        assert!(first.made_anew().is_none());
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        let second = first.made_anew().unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(second.made_anew().is_none());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn unsafe_and_impossible_places_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let open = temp.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Bound::bind(&at(&open.join("s"))), Err(BindError::OpenDirectory(_))));
        fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
        Bound::bind(&at(&open.join("s"))).unwrap();
        let long = temp.path().join("x".repeat(120));
        assert!(matches!(Bound::bind(&at(&long)), Err(BindError::TooLong(_))));
    }

    #[test]
    fn groups_are_found_by_name_and_number() {
        let groups = "root:x:0:\naivonx:x:991:alice,bob\n";
        assert_eq!(find_group(groups, "aivonx"), Some(991));
        assert_eq!(find_group(groups, "1234"), Some(1234));
        assert_eq!(find_group(groups, "nobody"), None);
    }
}
