//! Small helpers over files: private creation, atomic replacement, directory sync.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::StoreError;

/// Makes `dir` and its parents, readable by the owner alone.
pub(super) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(StoreError::io("create the directory", dir))
}

/// Makes the entries of `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(StoreError::io("sync the directory", dir))
}

/// Opens a new file, readable by the owner alone, in place of any of that name.
pub(super) fn create_private(path: &Path) -> Result<File, StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("replace", path)(e)),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::io("create", path))
}

/// Replaces `path` by `bytes`: after a crash it is wholly old or wholly new.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temp = added(path, "new");
    let mut file = create_private(&temp)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(StoreError::io("write", &temp))?;
    fs::rename(&temp, path).map_err(StoreError::io("replace", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// `path` with `.extension` added at the end.
pub(super) fn added(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}
