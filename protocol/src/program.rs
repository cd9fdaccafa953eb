//! Finding one program of aivonx from another: they are installed beside each other.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The first executable file `name` in `folders`, else in those of `path` (the value of `PATH`).
#[must_use]
pub fn find(name: &str, folders: impl IntoIterator<Item = PathBuf>, path: Option<&OsStr>) -> Option<PathBuf> {
    let on_path = path.map(|path| env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
    // An empty or relative entry would depend on the current directory.
    let on_path = on_path.into_iter().filter(|folder| folder.is_absolute());
    folders.into_iter().chain(on_path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
