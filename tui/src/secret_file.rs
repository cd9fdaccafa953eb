//! A new file for a secret that is told only once. It is made before the secret is asked for, so that a secret
//! is never made that cannot be kept.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aivonx_protocol::WireSecret;

use crate::exit::Failure;

/// An empty file that only its owner can read. Dropped before anything is written, it is removed.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    file: Option<File>,
}

impl SecretFile {
    /// Makes it for `option`.
    ///
    /// # Errors
    /// It cannot be made, or is there already.
    pub fn create(option: &str, path: &Path) -> Result<Self, Failure> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file: Some(file) }),
            Err(error) => {
                let message = format!("{option} {}: cannot be made: {error}", path.display());
                Err(match error.kind() {
                    io::ErrorKind::PermissionDenied => Failure::NotPermitted { message, hint: None },
                    io::ErrorKind::AlreadyExists => Failure::failed(message)
                        .with_hint("What it holds may still be needed: name another file, or remove it."),
                    _ => Failure::failed(message),
                })
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the secret and a line break.
    ///
    /// # Errors
    /// The file system does not take it.
    pub fn write(mut self, secret: &WireSecret) -> Result<(), Failure> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.write_all(secret.expose().as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.sync_all())
            .map_err(|error| {
                Failure::failed(format!("{}: cannot be written: {error}", self.path.display()))
                    .with_hint("The secret is lost: make another one.")
            })
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_file_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        drop(SecretFile::create("--secret-file", &path).unwrap());
        assert!(!path.exists(), "nothing was made, nothing is left");
        SecretFile::create("--secret-file", &path).unwrap().write(&WireSecret::new("s".into())).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "s\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let failure = SecretFile::create("--secret-file", &path).unwrap_err();
        assert!(failure.to_string().contains("name another file"), "{failure}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "s\n");
    }
}
