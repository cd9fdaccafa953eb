//! An exported copy of the audit log: two files, the copy and its signature, or none.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aivonx_protocol::audit::{Digest, ExportSignature, PublicKey};
use serde::Serialize;

/// What `audit export` prints as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The copy.
    pub file: PathBuf,
    /// Its signature.
    pub signature: PathBuf,
    /// Entries in it.
    pub entries: u64,
    /// The first of them; 0 if it is empty.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// Whether nothing between the two was left out.
    pub complete: bool,
    /// Bytes of the copy.
    pub bytes: u64,
    /// Digest of the copy.
    pub sha256: Digest,
    /// The public key that proves it.
    pub signer: PublicKey,
}

impl Exported {
    /// What was written, by its signature.
    #[must_use]
    pub fn new(file: PathBuf, signed: &ExportSignature) -> Self {
        Self {
            signature: beside(&file),
            file,
            entries: signed.entries,
            first: signed.first,
            last: signed.last,
            complete: signed.complete,
            bytes: signed.bytes,
            sha256: signed.sha256,
            signer: signed.signer,
        }
    }
}

/// The name of a copy's signature.
#[must_use]
pub fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// What is there already under the names of a copy and its signature.
#[must_use]
pub fn taken(file: &Path) -> Option<PathBuf> {
    // A link to nowhere is something, too.
    [file.to_owned(), beside(file)].into_iter().find(|path| path.symlink_metadata().is_ok())
}

/// A copy and its signature being written, readable by the caller alone. They have their names only once they
/// are whole; until then, and if it does not come to that, there is nothing.
#[derive(Debug)]
pub struct Writing {
    copy: Partial,
    /// Whether what has these names is replaced.
    replace: bool,
}

impl Writing {
    /// Begins it. What is under these names is left alone, unless it is to be replaced.
    ///
    /// # Errors
    /// What the system says, or that something is there.
    pub fn begin(file: &Path, replace: bool) -> io::Result<Self> {
        if let (false, Some(path)) = (replace, taken(file)) {
            return Err(there(&path));
        }
        Ok(Self { copy: Partial::begin(file)?, replace })
    }

    /// Writes on.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.copy.write(bytes)
    }

    /// All is there: writes the signature as well, and gives both their names.
    ///
    /// # Errors
    /// What the system says; also if something has come under one of the names in the meantime.
    pub fn end(self, signed: &ExportSignature) -> io::Result<()> {
        let mut proof = Partial::begin(&beside(&self.copy.path))?;
        proof.file.write_all(format!("{}\n", signed.line()).as_bytes())?;
        self.copy.end(self.replace)?;
        proof.end(self.replace)
    }
}

fn there(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there already", path.display()))
}

/// A file that has its name only once it is whole.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    partial: PathBuf,
    file: File,
}

impl Partial {
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        // What an earlier try has left is in the way; a link is not followed.
        let _ = fs::remove_file(&partial);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        Ok(Self { path: path.to_owned(), partial, file })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    pub(crate) fn end(self, replace: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if replace {
            fs::rename(&self.partial, &self.path)
        } else {
            // Not over a file that has come in the meantime.
            fs::hard_link(&self.partial, &self.path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => there(&self.path),
                _ => error,
            })
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Nothing can be done about one that stays.
        let _ = fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::samples;

    #[test]
    fn both_files_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("copy");
        let (_, signed) = samples::audit_export(3, true);
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        // One that is given up leaves nothing.
        let mut writing = Writing::begin(&file, false).unwrap();
        writing.write(b"some").unwrap();
        drop(writing);
        assert!(names().is_empty());
        let mut writing = Writing::begin(&file, false).unwrap();
        writing.write(b"one").unwrap();
        writing.end(&signed).unwrap();
        assert_eq!(names(), ["copy", "copy.sig"]);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, fs::read(&file).unwrap()), (0o600, b"one".to_vec()));
        // What is there is replaced only by who wants that.
        assert_eq!(Writing::begin(&file, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&file).unwrap();
        assert_eq!(taken(&file), Some(beside(&file)));
        let mut writing = Writing::begin(&file, true).unwrap();
        writing.write(b"two").unwrap();
        writing.end(&signed).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        // One that came in the meantime stays.
        let other = dir.path().join("other");
        let writing = Writing::begin(&other, false).unwrap();
        fs::write(&other, "mine").unwrap();
        assert!(writing.end(&signed).unwrap_err().to_string().contains("there already"));
        assert_eq!((fs::read(&other).unwrap(), names().len()), (b"mine".to_vec(), 3));
    }
}
