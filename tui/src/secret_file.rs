//! A new file for a secret that is shown only once. It is made before the secret is asked for, so that a secret is
//! never made that cannot be kept.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use aivonx_protocol::WireSecret;

use crate::exit::Failure;

/// More than a secret takes: written at once, so that a full disk is found before there is a secret.
const RESERVED: [u8; 128] = [b' '; 128];

/// A file that only its owner can read. Dropped before the secret is in it, it is removed.
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
            Ok(mut file) => {
                let reserved = file.write_all(&RESERVED).and_then(|()| file.sync_all());
                let made = Self { path: path.to_owned(), file: Some(file) };
                match reserved {
                    Ok(()) => Ok(made),
                    Err(error) => Err(Failure::failed(format!("{option} {}: {error}", path.display()))),
                }
            }
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

    /// Writes the secret and a line break, and returns where.
    ///
    /// # Errors
    /// The file system does not take it; then the secret is lost, and the file removed.
    pub fn write(mut self, secret: &WireSecret) -> Result<PathBuf, Failure> {
        let written = self.file.as_ref().map_or(Ok(()), |file| {
            let text = secret.expose().as_bytes();
            file.write_all_at(text, 0)?;
            file.write_all_at(b"\n", text.len() as u64)?;
            file.set_len(text.len() as u64 + 1)?;
            file.sync_all()
        });
        if let Err(error) = written {
            return Err(Failure::failed(format!("{}: cannot be written: {error}", self.path.display())));
        }
        self.file = None;
        Ok(std::mem::take(&mut self.path))
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
        let file = SecretFile::create("--secret-file", &path).unwrap();
        assert_eq!(file.write(&WireSecret::new("s".into())).unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "s\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let failure = SecretFile::create("--secret-file", &path).unwrap_err();
        assert!(failure.to_string().contains("name another file"), "{failure}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "s\n");
    }
}
