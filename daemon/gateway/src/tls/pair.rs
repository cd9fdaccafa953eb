//! A certificate chain and its private key, read from their files.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rustls::{crypto::ring::sign::any_supported_type, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::{extensions::GeneralName, prelude::FromDer, prelude::X509Certificate};
use zeroize::Zeroizing;

/// Largest file that is read, bytes: a chain is a few KiB.
const LARGEST: u64 = 1 << 20;

/// Permissions that a key must not give: none to others, and its group only reads (`ssl-cert` of Debian).
const TOO_OPEN: u32 = 0o027;

/// A file of a pair cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key} names {}, and {problem}", .path.display())]
pub struct PairError {
    key: String,
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("the file cannot be read: {0}; it must be there, and readable for the daemon's user")]
    Unreadable(io::Error),
    #[error("the file is larger than {LARGEST} bytes; name a file in PEM")]
    TooLarge,
    #[error(
        "the file holds no certificate; name one in PEM (-----BEGIN CERTIFICATE-----), the server's own first"
    )]
    NoCertificate,
    #[error(
        "the file holds no private key; name one in PEM (-----BEGIN PRIVATE KEY-----), without a passphrase"
    )]
    NoKey,
    #[error("others may read or change the key (mode {mode:04o}); run: {fix}")]
    Open { mode: u32, fix: String },
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    #[error("the key cannot be used: {0}; RSA, ECDSA (P-256, P-384) and Ed25519 keys can")]
    Key(rustls::Error),
    #[error("it is not the key of the certificate in {}; name the two that belong together", .0.display())]
    Mismatch(PathBuf),
    #[error("the certificate has expired, at {0:.0}; put a new one in its place")]
    Expired(Timestamp),
}

/// A pair of files as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    /// Where the pair stands in the configuration: `listen[0]`.
    pub(super) at: String,
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
    /// Obtained by ACME: it may not be there yet, and who obtains it says what is wrong with it.
    pub(super) is_obtained: bool,
}

/// A certificate chain with its private key, which belong together.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    /// DNS names it is for, lower case; `*.` at the beginning stands for one label.
    pub(super) names: Vec<String>,
    /// Since when it is good.
    pub(super) from: Timestamp,
    /// Until when.
    pub(super) until: Timestamp,
}

impl PairError {
    pub(super) fn new(at: &str, key: &str, path: &Path, problem: Problem) -> Self {
        Self { key: format!("{at}.{key}"), path: path.to_owned(), problem }
    }
}

impl Files {
    /// Those of a certificate that is kept with its key in one file.
    pub(super) fn obtained(at: &str, file: &Path) -> Self {
        Self { at: at.to_owned(), cert: file.to_owned(), key: file.to_owned(), is_obtained: true }
    }

    fn cert_error(&self, problem: Problem) -> PairError {
        PairError::new(&self.at, "tls_cert", &self.cert, problem)
    }

    fn key_error(&self, problem: Problem) -> PairError {
        PairError::new(&self.at, "tls_key", &self.key, problem)
    }

    /// Refuses a pair that has expired.
    pub(super) fn not_expired(&self, pair: &Pair, now: Timestamp) -> Result<(), PairError> {
        if pair.until < now { Err(self.cert_error(Problem::Expired(pair.until))) } else { Ok(()) }
    }

    /// Reads the pair and checks that its parts belong together.
    pub(super) fn read(&self) -> Result<Pair, PairError> {
        let chain = certificates(&self.cert).map_err(|problem| self.cert_error(problem))?;
        // There is one at least.
        let own = &chain[0];
        let (names, from, until) = meaning(own).map_err(|why| self.cert_error(Problem::Certificate(why)))?;

        let key = contents(&self.key).map_err(|problem| self.key_error(problem))?;
        let found = fs::metadata(&self.key).map_err(|e| self.key_error(Problem::Unreadable(e)))?;
        if found.mode() & TOO_OPEN != 0 {
            let (mode, fix) = (found.mode() & 0o7777, closing(&self.key, &found));
            return Err(self.key_error(Problem::Open { mode, fix }));
        }
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| self.key_error(Problem::NoKey))?;
        let key = any_supported_type(&key).map_err(|error| self.key_error(Problem::Key(error)))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => Ok(Pair { certified: Arc::new(certified), names, from, until }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(self.key_error(Problem::Mismatch(self.cert.clone())))
            }
            Err(error) => Err(self.cert_error(Problem::Certificate(error.to_string()))),
        }
    }
}

/// How a key is closed to others. The daemon of the package is not root, and reads what is root's by its group.
fn closing(key: &Path, found: &fs::Metadata) -> String {
    let key = key.display();
    match found.uid() {
        0 => format!("chown root:aivonx {key}; chmod 640 {key}"),
        _ => format!("chmod 600 {key}"),
    }
}

/// The certificates in a file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let text = contents(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = read.map_err(|error| Problem::Certificate(error.to_string()))?;
    if all.is_empty() { Err(Problem::NoCertificate) } else { Ok(all) }
}

fn contents(path: &Path) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let size = fs::metadata(path).map_err(Problem::Unreadable)?.len();
    if size > LARGEST {
        return Err(Problem::TooLarge);
    }
    fs::read(path).map(Zeroizing::new).map_err(Problem::Unreadable)
}

/// For which names a certificate is, since when and until when.
fn meaning(der: &CertificateDer<'_>) -> Result<(Vec<String>, Timestamp, Timestamp), String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let names = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let validity = certificate.validity();
    let from = Timestamp::from_second(validity.not_before.timestamp()).unwrap_or(Timestamp::MIN);
    let until = Timestamp::from_second(validity.not_after.timestamp()).unwrap_or(Timestamp::MAX);
    Ok((names.collect(), from, until))
}
