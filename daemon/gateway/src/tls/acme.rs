//! The listeners' part in obtaining certificates by ACME (RFC 8555): where those are kept, and what proves to the
//! authority that a name leads here.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::CertificateDer;

use super::{
    PairError, builder,
    pair::{Files, Pair},
};
use crate::answer::{self, Answer};

/// Protocol of a connection that looks for a proof (RFC 8737, 4).
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Where a proof is looked for over plain HTTP (RFC 8555, 8.3).
const PATH: &str = "/.well-known/acme-challenge/";

/// What proves that a name leads here.
#[derive(Debug, Clone)]
pub enum Proof {
    /// The text at the path that ends with a token.
    Http {
        /// The token.
        token: String,
        /// The text.
        text: String,
    },
    /// The certificate shown to who asks for `acme-tls/1`.
    Tls {
        /// The name asked for, lower case.
        name: String,
        /// The certificate.
        certificate: Arc<CertifiedKey>,
    },
}

/// What listeners and the one who obtains certificates share.
#[derive(Debug)]
pub struct Acme {
    dir: PathBuf,
    texts: ArcSwap<HashMap<String, Bytes>>,
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
}

/// Certificates that prove something, by name.
#[derive(Debug, Default)]
struct Shown(ArcSwap<HashMap<String, Arc<CertifiedKey>>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }
}

impl Acme {
    /// Keeps certificates in `dir`, which need not be there yet.
    #[must_use]
    pub fn new(dir: &Path) -> Arc<Self> {
        let shown = Arc::<Shown>::default();
        // The authority shows no certificate, whatever clients have to.
        let mut config = builder().with_no_client_auth().with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Arc::new(Self { dir: dir.to_owned(), texts: ArcSwap::default(), shown, config: Arc::new(config) })
    }

    /// The file of the certificate for these names, with its chain and its key. The first name stands for all.
    #[must_use]
    pub fn file(&self, names: &[String]) -> PathBuf {
        let first = names.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
        self.dir.join(format!("{first}.pem"))
    }

    /// Shows these proofs, in place of those before.
    pub fn prove(&self, proofs: &[Proof]) {
        let (mut texts, mut shown) = (HashMap::new(), HashMap::new());
        for proof in proofs.iter().cloned() {
            match proof {
                Proof::Http { token, text } => drop(texts.insert(token, Bytes::from(text))),
                Proof::Tls { name, certificate } => drop(shown.insert(name, certificate)),
            }
        }
        self.texts.store(Arc::new(texts));
        self.shown.0.store(Arc::new(shown));
    }

    /// The proof at this path, if there is one.
    pub(crate) fn answer(&self, path: &str) -> Option<Answer> {
        let text = self.texts.load().get(path.strip_prefix(PATH)?)?.clone();
        let kind = HeaderValue::from_static("application/octet-stream");
        Some(answer::typed(StatusCode::OK, kind, text))
    }

    /// How to speak with a client that looks for a proof.
    pub(super) fn config(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        protocols.any(|protocol| protocol == PROTOCOL).then(|| self.config.clone())
    }
}

/// A certificate that was obtained.
#[derive(Debug)]
pub struct Obtained {
    /// The certificate itself.
    pub certificate: CertificateDer<'static>,
    /// DNS names it is for, lower case.
    pub names: Vec<String>,
    /// Since when it is good.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl Obtained {
    /// Reads a chain with its key in one file.
    ///
    /// # Errors
    /// It cannot be served.
    pub fn read(file: &Path) -> Result<Self, PairError> {
        let Pair { certified, names, from, until } = Files::obtained("acme", file).read()?;
        // A pair has one certificate at least.
        Ok(Self { certificate: certified.cert[0].clone(), names, from, until })
    }
}
