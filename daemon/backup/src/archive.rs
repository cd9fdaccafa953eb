//! One backup file: written part by part, and read back.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aivonx_protocol::{
    audit::Signature,
    backup::{self, BadBackup, Header, SIGNATURE},
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use sha2::{Digest as _, Sha256};

use crate::{
    BackupError,
    seal::ContentKey,
    stream::{Decrypting, Encrypting},
};

/// The part that is the master key, in base64.
pub(crate) const MASTER_KEY: &str = "master.key";

/// A backup that is being written.
pub(crate) struct Writing {
    to: tar::Builder<GzEncoder<Encrypting<Hashing<BufWriter<File>>>>>,
}

impl Writing {
    /// Into a new file at `path`, readable by the owner alone.
    pub(crate) fn begin(path: &Path, header: &Header, key: &ContentKey) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let head = backup::head(header);
        let mut to = Hashing { to: BufWriter::new(file), hash: Sha256::new() };
        to.write_all(&head)?;
        let to = GzEncoder::new(Encrypting::new(key, &head, to), Compression::fast());
        Ok(Self { to: tar::Builder::new(to) })
    }

    pub(crate) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        self.to.append_data(&mut header, name, content)
    }

    /// Completes the file with the signature that `sign` makes of a message, durably.
    pub(crate) fn finish<E: From<io::Error>>(
        self,
        sign: impl FnOnce(&[u8]) -> Result<Signature, E>,
    ) -> Result<(), E> {
        let Hashing { mut to, hash } = self.to.into_inner()?.finish()?.finish()?;
        to.write_all(&sign(&backup::message(hash.finalize().into()))?.0)?;
        let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(file.sync_all()?)
    }
}

/// Takes the digest of what is written.
struct Hashing<W> {
    to: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A backup whose signature was checked.
pub(crate) struct Signed {
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    pub(crate) bytes: u64,
}

impl Signed {
    /// Reads the whole file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, BackupError> {
        let (mut from, bytes) = open(path)?;
        let header = backup::check(&mut from, bytes).map_err(BackupError::bad(path))?;
        Ok(Self { path: path.to_owned(), header, bytes })
    }

    /// Gives every part to `each`, by name and content.
    pub(crate) fn each(
        &self,
        key: &ContentKey,
        mut each: impl FnMut(&str, &mut dyn Read) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let damaged = |error: io::Error| BackupError::bad(&self.path)(BadBackup::Read(error));
        let (mut from, _) = open(&self.path)?;
        backup::read_head(&mut from).map_err(BackupError::bad(&self.path))?;
        let head = backup::head(&self.header);
        let content = self.bytes.saturating_sub(SIGNATURE + head.len() as u64);
        let mut archive = tar::Archive::new(GzDecoder::new(Decrypting::new(key, &head, from.take(content))));
        for entry in archive.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let name = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
            each(&name, &mut entry)?;
        }
        Ok(())
    }
}

/// The header of the file at `path`, and how many bytes that has.
pub(crate) fn header(path: &Path) -> Result<(Header, u64), BackupError> {
    let (mut from, bytes) = open(path)?;
    Ok((backup::read_head(&mut from).map_err(BackupError::bad(path))?, bytes))
}

fn open(path: &Path) -> Result<(BufReader<File>, u64), BackupError> {
    // A named pipe in its place must not be waited for.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
    let file = file.map_err(BackupError::io("open", path))?;
    let found = file.metadata().map_err(BackupError::io("look at", path))?;
    if !found.is_file() {
        return Err(BackupError::bad(path)(BadBackup::Foreign));
    }
    Ok((BufReader::new(file), found.len()))
}
