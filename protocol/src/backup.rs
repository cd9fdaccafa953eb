//! Backups: all that a gateway keeps, ledgers included, in one encrypted and signed file.
//!
//! A file is the magic, the length of the header (u32, little-endian), the [`Header`] as JSON, the encrypted content, and
//! a signature of all before it. The signature shows without any key whether the file is whole; whose it is, its
//! [`Header::signer`] says, which is a key that the gateway signs its audit log with.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    UnixMillis, WireSecret,
    audit::{Action, HexBytes, Noted, PublicKey, is_signed},
    operation::operations,
};

operations! {
    /// Requests about backups.
    Request::Backup(BackupRequest);

    /// The kept backups, newest first.
    "backup.list" List -> Vec<Backup> as Backups, needs SnapshotRead;

    /// Makes one now, sealed as `[backup]` says, and keeps it.
    "backup.create" Create -> Backup as BackupMade, needs SnapshotWrite,
        noted |_op| Noted::new(Action::Create, "backup", "");

    /// Makes one now and gives its bytes; nothing of it is kept.
    "backup.export" Export {
        /// What opens it.
        sealing: Sealing,
    } => Event, needs SnapshotWrite, noted |op| Noted::new(Action::Export, "backup", "").with("sealed", op.sealing.as_str());

    /// Reads and opens a kept one to its end.
    "backup.verify" Verify {
        /// Its file.
        file: String,
    } -> Backup as BackupMade, needs SnapshotRead;

    /// When the newest was made; None if there is none.
    "backup.newest" Newest -> Option<UnixMillis> as NewestBackup, needs Status;
}

/// How the text of a recipient's private key begins, so that nobody takes it for the public one.
pub const PRIVATE_KEY: &str = "aivonx-backup-private-key:";

/// What a backup is to be opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sealing {
    /// The gateway's master key. It is not in the backup.
    Master,
    /// A passphrase. The backup has the master key in it.
    Passphrase(WireSecret),
    /// The private half of this public key: 256 bits in base64. The backup has the master key in it.
    Recipient(String),
}

impl Sealing {
    /// What opens it, in words.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Master => "master key",
            Self::Passphrase(_) => "passphrase",
            Self::Recipient(_) => "recipient's key",
        }
    }
}

/// A backup as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Its file, in the directory `backups` of the data directory.
    pub file: String,
    /// Size of the file, bytes.
    pub bytes: u64,
    /// When it was made; None if it cannot be read.
    pub made: Option<UnixMillis>,
    /// Number of the last change it has.
    pub change: Option<u64>,
    /// What opens it: `master key`, `passphrase` or `recipient's key`.
    pub sealed: Option<String>,
    /// Whose signature it has.
    pub signer: Option<PublicKey>,
    /// Why it could not be restored; None if nothing is known against it.
    pub problem: Option<String>,
}

impl Backup {
    /// Of a file with this header.
    #[must_use]
    pub fn of(file: String, bytes: u64, header: &Header) -> Self {
        Self {
            file,
            bytes,
            made: Some(header.made),
            change: Some(header.change),
            sealed: Some(header.key.as_str().to_owned()),
            signer: Some(header.signer),
            problem: None,
        }
    }

    /// Of a file that cannot be used.
    #[must_use]
    pub fn bad(file: String, bytes: u64, problem: String) -> Self {
        Self { file, bytes, made: None, change: None, sealed: None, signer: None, problem: Some(problem) }
    }
}

/// What a backup says of itself, in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Form of the file, [`FORMAT`].
    pub format: u32,
    /// Id of the daemon.
    pub daemon: String,
    /// Version of the daemon.
    pub version: String,
    /// When it was made.
    pub made: UnixMillis,
    /// Number of the last change it has.
    pub change: u64,
    /// Schema of its records.
    pub schema: u32,
    /// The key of its content, as it is kept.
    pub key: SealedKey,
    /// The key that its signature is for.
    pub signer: PublicKey,
}

/// The form this version writes and reads.
pub const FORMAT: u32 = 1;

/// The key that the content is encrypted under, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SealedKey {
    /// By the master key (AES-256-GCM).
    Master {
        /// Which master key.
        tag: HexBytes<8>,
        /// The nonce.
        nonce: HexBytes<12>,
        /// The key and its tag.
        sealed: HexBytes<48>,
    },
    /// By a key made of a passphrase (Argon2id, then AES-256-GCM).
    Passphrase {
        /// The salt.
        salt: HexBytes<16>,
        /// Memory of Argon2id, KiB.
        memory: u32,
        /// Passes of Argon2id.
        passes: u32,
        /// The nonce.
        nonce: HexBytes<12>,
        /// The key and its tag.
        sealed: HexBytes<48>,
    },
    /// For the holder of a private key (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM).
    Recipient {
        /// The public key.
        public: HexBytes<32>,
        /// The encapsulated key.
        encapsulated: HexBytes<32>,
        /// The key and its tag.
        sealed: HexBytes<48>,
    },
}

impl SealedKey {
    /// What opens it, in words.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Master { .. } => "master key",
            Self::Passphrase { .. } => "passphrase",
            Self::Recipient { .. } => "recipient's key",
        }
    }
}

/// What every file begins with.
pub const MAGIC: &[u8] = b"AIVONX-BACKUP\n";
/// Length of the signature at its end.
pub const SIGNATURE: u64 = 64;
/// Longest header that is read.
const HEADER_MAX: u32 = 16 * 1024;

/// Why a file is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BadBackup {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("it is not a backup of aivonx")]
    Foreign,
    /// It is a backup in a form that is not known here.
    #[error("it has format {0}, this version reads format {FORMAT}; use the version that wrote it")]
    Format(u32),
    /// Its beginning makes no sense.
    #[error("its header is damaged")]
    Header,
    /// It is not what was signed.
    #[error("its signature does not match: it is cut off or was changed")]
    Changed,
}

/// The beginning of a file.
#[must_use]
pub fn head(header: &Header) -> Vec<u8> {
    // A header has numbers and short texts.
    let json = serde_json::to_vec(header).unwrap_or_default();
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX).to_le_bytes();
    [MAGIC, &length, &json].concat()
}

/// Reads the beginning of a file; the content follows.
///
/// # Errors
/// See [`BadBackup`].
pub fn read_head(from: &mut impl Read) -> Result<Header, BadBackup> {
    let mut magic = [0; MAGIC.len()];
    let short = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BadBackup::Foreign,
        _ => BadBackup::Read(error),
    };
    from.read_exact(&mut magic).map_err(short)?;
    if magic != MAGIC {
        return Err(BadBackup::Foreign);
    }
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(short)?;
    let length = u32::from_le_bytes(length);
    if length > HEADER_MAX {
        return Err(BadBackup::Header);
    }
    let mut json = vec![0; length as usize];
    from.read_exact(&mut json).map_err(short)?;
    #[derive(Deserialize)]
    struct Form {
        format: u32,
    }
    let form: Form = serde_json::from_slice(&json).map_err(|_| BadBackup::Header)?;
    if form.format != FORMAT {
        return Err(BadBackup::Format(form.format));
    }
    serde_json::from_slice(&json).map_err(|_| BadBackup::Header)
}

/// What is signed: the SHA-256 of everything before the signature, after words that say what it is of.
#[must_use]
pub fn message(digest: [u8; 32]) -> Vec<u8> {
    [b"aivonx backup v1\n".as_slice(), &digest].concat()
}

/// Reads a whole file of `bytes` bytes and checks its signature. Whether the signer is the gateway is for the caller to
/// know.
///
/// # Errors
/// See [`BadBackup`].
pub fn check(from: &mut impl Read, bytes: u64) -> Result<Header, BadBackup> {
    let content = bytes.checked_sub(SIGNATURE).ok_or(BadBackup::Foreign)?;
    let mut hashed = Hashed { from: from.by_ref().take(content), hash: Sha256::new() };
    let header = read_head(&mut hashed)?;
    io::copy(&mut hashed, &mut io::sink())?;
    let digest = hashed.hash.finalize().into();
    let mut signature = [0; SIGNATURE as usize];
    from.read_exact(&mut signature).map_err(|_| BadBackup::Changed)?;
    match is_signed(&header.signer, &message(digest), &HexBytes(signature)) {
        true => Ok(header),
        false => Err(BadBackup::Changed),
    }
}

struct Hashed<R> {
    from: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.hash.update(&into[..read]);
        Ok(read)
    }
}
