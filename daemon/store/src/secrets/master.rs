//! The master key and its file.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use aivonx_config::credentials;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    SecretsError,
    cipher::{Cipher, KEY, Key, digest, random},
};

/// The key that wraps the data keys. `Debug` shows where it came from and nothing else.
pub struct MasterKey {
    key: Key,
    path: PathBuf,
}

/// Larger files are not read further: the right one has 44 or 45 bytes.
const MAX_FILE: u64 = 1024;

impl MasterKey {
    /// Where the key is: as configured, else the credential that systemd loaded, else beside the store.
    #[must_use]
    pub fn file(configured: Option<&Path>, data_dir: &Path) -> PathBuf {
        let credential = || credentials::file(credentials::MASTER_KEY);
        configured.map(Path::to_owned).or_else(credential).unwrap_or_else(|| data_dir.join("master.key"))
    }

    /// Reads the key at `path`, or makes one there (0600, never over an existing file) if there is no file.
    ///
    /// # Errors
    /// If the file holds anything but 256 random bits in base64, if others can read or change it, if it
    /// belongs to somebody else, or the system refuses.
    pub fn load_or_generate(path: &Path) -> Result<Self, SecretsError> {
        match Self::load(path) {
            Err(SecretsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                match Self::generate(path) {
                    // Somebody was faster: theirs counts.
                    Err(SecretsError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                        Self::load(path)
                    }
                    other => other,
                }
            }
            other => other,
        }
    }

    /// Reads the key at `path`.
    ///
    /// # Errors
    /// As [`Self::load_or_generate`], and if there is no file.
    pub fn load(path: &Path) -> Result<Self, SecretsError> {
        let bad = |what| SecretsError::BadKey { path: path.to_owned(), what };
        // A socket cannot even be opened.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(bad("it is not a regular file"));
        }
        // A named pipe in its place must not hold up the start.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(nonblocking)
            .open(path)
            .map_err(failed("open", path))?;
        let meta = file.metadata().map_err(failed("look at", path))?;
        if !meta.is_file() {
            return Err(bad("it is not a regular file"));
        }
        let mode = meta.mode() & 0o7777;
        if mode & credentials::others(path) != 0 {
            return Err(SecretsError::Exposed { path: path.to_owned(), mode });
        }
        let uid = rustix::process::geteuid().as_raw();
        if meta.uid() != uid && meta.uid() != 0 {
            return Err(SecretsError::Owner { path: path.to_owned(), owner: meta.uid(), uid });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize + 1));
        file.take(MAX_FILE + 1).read_to_end(&mut text).map_err(failed("read", path))?;
        let key = parse(&text).map_err(bad)?;
        Ok(Self { key, path: path.to_owned() })
    }

    fn generate(path: &Path) -> Result<Self, SecretsError> {
        let key = random::<KEY>()?;
        let mut text = Zeroizing::new(STANDARD.encode(&key[..]));
        text.push('\n');
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed("make the directory of", path))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed("create", path))?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        let written = written.and_then(|()| File::open(dir)?.sync_all());
        if let Err(e) = written {
            // Nothing was sealed under it yet, and half a key would be refused at the next start.
            let _ = fs::remove_file(path);
            return Err(failed("write", path)(e));
        }
        tracing::info!(file = %path.display(), "generated the master key; keep a copy of it apart from the store's backups");
        Ok(Self { key, path: path.to_owned() })
    }

    /// The key's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A key that came in another way than by a file, in base64; `path` is where it belongs.
    ///
    /// # Errors
    /// If that is anything but 256 random bits.
    pub fn from_text(text: &[u8], path: &Path) -> Result<Self, SecretsError> {
        let key = parse(text).map_err(|what| SecretsError::BadKey { path: path.to_owned(), what })?;
        Ok(Self { key, path: path.to_owned() })
    }

    /// The key as its file has it. Named so that every use is found by searching for it.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(&self.key[..]))
    }

    /// Seals `secret` under a new random nonce, bound to `context`, which nothing else uses.
    ///
    /// # Errors
    /// Only if the system gives no random numbers.
    pub fn seal(&self, context: &[u8], secret: &[u8]) -> Result<([u8; 12], Vec<u8>), SecretsError> {
        self.cipher().seal(context, secret)
    }

    /// Opens what [`Self::seal`] made; None if anything differs.
    #[must_use]
    pub fn open(&self, context: &[u8], nonce: [u8; 12], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.cipher().open(context, nonce, sealed)
    }

    /// Which key this is, without revealing anything about it: distinguishes a wrong key from a damaged record.
    #[must_use]
    pub fn tag(&self) -> [u8; 8] {
        let mut hash = Sha256::new();
        hash.update(b"aivonx master key tag v1\0");
        hash.update(&self.key[..]);
        let mut tag = [0; 8];
        tag.copy_from_slice(&hash.finalize()[..8]);
        tag
    }

    /// For checking whether another key is the same.
    pub(super) fn digest(&self) -> [u8; 32] {
        digest(&self.key[..])
    }

    pub(super) fn cipher(&self) -> Cipher {
        Cipher::new(&self.key)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("path", &self.path).finish_non_exhaustive()
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SecretsError + use<> {
    let path = path.to_owned();
    move |source| SecretsError::Io { action, path, source }
}

fn parse(text: &[u8]) -> Result<Key, &'static str> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() != 44 {
        return Err("it does not have 44 characters");
    }
    let decoded = Zeroizing::new(STANDARD.decode(text).map_err(|_| "it is not base64")?);
    let mut key = Key::default();
    if decoded.len() != KEY {
        return Err("it is not 256 bits");
    }
    key.copy_from_slice(&decoded);
    // Neither happens to random bits: fewer than 16 different bytes among 32 has odds of 2^-40 or less, and 32
    // printable bytes of 2^-45.
    let mut seen = [false; 256];
    key.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    if seen.iter().filter(|seen| **seen).count() < 16 {
        return Err("its bits are not random (the same few bytes again and again)");
    }
    if key.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("its bits are not random (they are text)");
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn write(path: &Path, content: &str, mode: u32) {
        let _ = fs::remove_file(path);
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn is_generated_once_private_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/master.key");
        let first = MasterKey::load_or_generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = MasterKey::load_or_generate(&path).unwrap();
        assert_eq!((&again.key, again.tag()), (&first.key, first.tag()));
        let shown = format!("{first:?}");
        let text = fs::read_to_string(&path).unwrap();
        assert!(!shown.contains(text.trim()) && shown.contains("master.key"), "{shown}");
        assert!(MasterKey::generate(&path).is_err(), "never over an existing file");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn anything_but_256_random_bits_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let good = STANDARD.encode(*random::<32>().unwrap());
        let cases = [
            ("", "empty"),
            ("\n", "empty"),
            ("password", "44 characters"),
            (&good[..43], "44 characters"),
            (&format!("{good}\n\n"), "44 characters"),
            (&format!(" {good}"), "44 characters"),
            (&STANDARD.encode([0u8; 32]), "not random"),
            (&STANDARD.encode(b"correct horse battery staple 123"), "text"),
            (&STANDARD.encode([7u8; 31]), "256 bits"),
            (&"*".repeat(44), "not base64"),
            (&"x".repeat(5000), "44 characters"),
        ];
        for (content, why) in cases {
            write(&path, content, 0o600);
            let error = MasterKey::load_or_generate(&path).unwrap_err().to_string();
            assert!(
                error.contains(why) && error.contains("master.key") && error.contains("openssl"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        for form in [good.clone(), format!("{good}\n")] {
            write(&path, &form, 0o400);
            MasterKey::load(&path).unwrap();
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let good = STANDARD.encode(*random::<32>().unwrap());
        for mode in [0o640, 0o604, 0o620, 0o644, 0o602] {
            write(&path, &good, mode);
            let error = MasterKey::load_or_generate(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 0600") && !error.contains(&good), "{error}");
        }
        assert!(matches!(MasterKey::load(dir.path()), Err(SecretsError::BadKey { .. })));
    }
}
