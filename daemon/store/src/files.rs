//! Small helpers over files: private creation, atomic replacement, directory sync, and opening what must be a regular
//! file. To open a named pipe in the place of one would block for ever.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    },
    path::{Path, PathBuf},
};

use super::StoreError;

/// Makes `dir` and its parents, readable by the owner alone.
pub(super) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(StoreError::io("create the directory", dir))?;
    step();
    Ok(())
}

/// Follows every change of a directory or file; here tests end the process, as a kill would.
#[cfg(not(test))]
fn step() {}

#[cfg(test)]
fn step() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static STEPS: AtomicUsize = AtomicUsize::new(0);
    let end = std::env::var(super::tests::END_AT).ok().and_then(|end| end.parse().ok());
    if end.is_some_and(|end: usize| STEPS.fetch_add(1, Ordering::Relaxed) == end) {
        std::process::abort();
    }
}

/// The first `len` bytes of a file, or as many as there are.
pub(super) fn load(file: &File, len: u64) -> io::Result<Vec<u8>> {
    let there = file.metadata()?.len().min(len);
    // No more than was once written.
    let mut bytes = vec![0; usize::try_from(there).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Moves `from` to `to`, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(StoreError::io("move", from))?;
    step();
    to.parent().map_or(Ok(()), sync_dir)
}

/// Removes `dir` and what is in it, if it is there.
pub(super) fn remove_dir(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        done => done.map_err(StoreError::io("remove", dir))?,
    }
    step();
    Ok(())
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    fs::remove_file(path).map_err(StoreError::io("remove", path))?;
    step();
    Ok(())
}

/// What stands at `path` in place of a regular file, in words. None if that is one, or if nothing is there.
pub(super) fn in_place_of_file(path: &Path) -> Option<&'static str> {
    let kind = match fs::metadata(path) {
        Ok(found) => found.file_type(),
        // There may be a link all the same.
        Err(e) if e.kind() == io::ErrorKind::NotFound => fs::symlink_metadata(path).ok()?.file_type(),
        // Opening it says why not.
        Err(_) => return None,
    };
    match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a directory"),
        kind if kind.is_symlink() => Some("a symbolic link to nothing"),
        kind if kind.is_fifo() => Some("a named pipe"),
        kind if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

/// As [`in_place_of_file`], of a directory.
pub(super) fn in_place_of_dir(path: &Path) -> Option<&'static str> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => None,
        Ok(found) if found.is_file() => Some("a file"),
        _ => in_place_of_file(path),
    }
}

/// Whether what was found at a path is the file or directory that is held open.
pub(super) fn is_same(held: &Metadata, found: io::Result<Metadata>) -> bool {
    found.is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino()))
}

/// Opens the regular file at `path` with `options`.
///
/// # Errors
/// Also, in words and with [`io::ErrorKind::InvalidInput`], if something else is there; never waits for it.
pub(super) fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let refused =
        |what| io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a regular file"));
    if let Some(what) = in_place_of_file(path) {
        return Err(refused(what));
    }
    let file = options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    // It may have been exchanged since the look.
    if file.metadata()?.is_file() { Ok(file) } else { Err(refused("something else now")) }
}

/// Makes the entries of `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(StoreError::io("sync the directory", dir))?;
    step();
    Ok(())
}

/// Opens a new file, readable by the owner alone, in place of any of that name.
pub(super) fn create_private(path: &Path) -> Result<File, StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("replace", path)(e)),
        _ => {}
    }
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = created.map_err(StoreError::io("create", path))?;
    step();
    Ok(file)
}

/// Replaces `path` by `bytes`: after a crash it is wholly old or wholly new.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temp = added(path, "new");
    let mut file = create_private(&temp)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(StoreError::io("write", &temp))?;
    step();
    rename(&temp, path)
}

/// Puts a copy of the file at `path` in its place, durably. Who has the file open goes on with the old one.
pub(super) fn replace_by_copy(path: &Path) -> Result<(), StoreError> {
    let temp = added(path, "new");
    let copied = fs::copy(path, &temp)
        .and_then(|_| File::open(&temp)?.sync_all())
        .map_err(StoreError::io("copy", path));
    if copied.is_err() {
        // It may be what a full disk wants back; the next attempt begins anew in any case.
        let _ = fs::remove_file(&temp);
    }
    copied?;
    step();
    rename(&temp, path)
}

/// `path` with `.extension` added at the end.
pub(super) fn added(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "").unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("/dev/null", at("device")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let open = |name: &str| open_regular(&at(name), OpenOptions::new().read(true));
        for name in ["file", "link"] {
            open(name).unwrap();
        }
        for (name, what) in [
            (".", "a directory"),
            ("dangling", "a symbolic link to nothing"),
            ("device", "a device"),
            ("pipe", "a named pipe"),
            ("socket", "a socket"),
        ] {
            let error = open(name).unwrap_err();
            assert_eq!(error.to_string(), format!("it is {what}, not a regular file"));
        }
        assert_eq!(open("absent").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
