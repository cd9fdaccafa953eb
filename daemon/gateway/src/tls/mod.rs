//! TLS of a listener: its certificates, read again while it serves.

mod acme;
mod chain;
mod clients;
mod handshake;
mod pair;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aivonx_config::{ClientCerts, Listen};
use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use rustls::{
    ConfigBuilder, ServerConfig, WantsVerifier,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::CertificateDer;

pub use acme::{Acme, Obtained, Proof};
use clients::{Clients, Verifier};
pub(super) use handshake::{Agreed, handshake};
pub use pair::PairError;
use pair::{Files, Pair};

/// A certificate that ends so soon is warned about.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The protocols that are offered, the better one first (RFC 7301).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificates of one listener. What is on the disk takes the place of what is served once it proves usable.
pub struct Tls {
    files: Vec<Files>,
    /// Who signs the certificates of clients.
    clients: Option<Clients>,
    /// Who obtains certificates for it.
    acme: Option<Arc<Acme>>,
    served: ArcSwap<Served>,
    state: Mutex<State>,
}

/// A certificate that is served.
#[derive(Debug, Clone)]
pub struct ServedCertificate {
    /// Its listener and file.
    pub at: String,
    /// Until when it is good.
    pub until: Timestamp,
    /// What is wrong with the order of its chain.
    pub chain_problem: Option<String>,
}

struct Served {
    config: Arc<ServerConfig>,
    chains: Vec<Arc<CertifiedKey>>,
    /// Until when each is good.
    until: Vec<Timestamp>,
    /// Who signs the certificates of clients.
    authorities: Option<Vec<CertificateDer<'static>>>,
}

#[derive(Default)]
struct State {
    /// The files as they were last looked at.
    seen: Vec<Stamp>,
    /// The files as they were last read.
    read: Vec<Stamp>,
    /// Why what is on the disk is not served.
    trouble: Option<String>,
}

/// What differs when a file does: inode, size, and time of the last change.
type Stamp = Option<(u64, u64, i64, i64)>;

impl Tls {
    /// The certificates of the listener at this place in the configuration; None if it is plain.
    ///
    /// # Errors
    /// The first that cannot be used. One that has expired can, and one that is obtained may not be there yet.
    pub fn open(at: usize, listen: &Listen, acme: &Arc<Acme>) -> Result<Option<Self>, PairError> {
        let named = format!("listen[{at}]");
        let pairs = listen.tls_cert.iter().zip(&listen.tls_key);
        let pair = |(cert, key): (&PathBuf, &PathBuf)| Files {
            at: named.clone(),
            cert: cert.clone(),
            key: key.clone(),
            is_obtained: false,
        };
        let mut files: Vec<_> = pairs.map(pair).collect();
        let obtains = !listen.acme.is_empty();
        // Last: what is not there must have nothing behind it, for what is served has the same order.
        files.extend(obtains.then(|| Files::obtained(&named, &acme.file(&listen.acme))));
        if files.is_empty() {
            return Ok(None);
        }
        let clients = listen.client_ca.as_ref().map(|ca| Clients {
            at: format!("listen[{at}]"),
            ca: ca.clone(),
            required: listen.client_certs == ClientCerts::Required,
        });
        let read = stamps(&files, clients.as_ref());
        let verifier = clients.as_ref().map(Clients::read).transpose()?;
        let served = ArcSwap::from_pointee(Served::new(read_all(&files)?, verifier));
        Ok(Some(Self {
            files,
            clients,
            acme: obtains.then(|| acme.clone()),
            served,
            state: Mutex::new(State { seen: read.clone(), read, trouble: None }),
        }))
    }

    /// Those of each listener.
    ///
    /// # Errors
    /// As [`Tls::open`].
    pub fn open_all(listen: &[Listen], acme: &Arc<Acme>) -> Result<Vec<Option<Arc<Self>>>, PairError> {
        let open = |(at, listen)| Ok(Self::open(at, listen, acme)?.map(Arc::new));
        listen.iter().enumerate().map(open).collect()
    }

    /// How to speak with a client that begins so.
    fn config(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let proof = self.acme.as_ref().and_then(|acme| acme.config(hello));
        proof.unwrap_or_else(|| self.served.load().config.clone())
    }

    /// Until when the first of those that are served is good that ends.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.served.load().until.iter().min().copied()
    }

    /// Reads the files if they have changed. Whoever renews them writes one after the other, so that they are left alone
    /// until they stay the same from one look to the next.
    pub fn look(&self) {
        let now = stamps(&self.files, self.clients.as_ref());
        let mut state = self.state();
        let is_still = state.seen == now;
        state.seen.clone_from(&now);
        let changed = is_still && state.read != now;
        drop(state);
        if changed {
            // It is logged.
            let _ = self.reload();
        }
    }

    /// Reads the files now; whether others are served than before.
    ///
    /// # Errors
    /// One cannot be used, or is new and has expired: those before are served on.
    pub fn reload(&self) -> Result<bool, PairError> {
        let read = stamps(&self.files, self.clients.as_ref());
        let pairs = read_all(&self.files).and_then(|pairs| {
            let (now, served) = (Timestamp::now(), self.served.load());
            // One that is served already does not get worse, and must not keep the others from being renewed.
            let chains = served.chains.iter().zip(&self.files).zip(&pairs);
            let mut new = chains.filter(|((chain, _), pair)| chain.cert != pair.certified.cert);
            new.try_for_each(|((_, files), pair)| files.not_expired(pair, now))?;
            Ok((pairs, self.clients.as_ref().map(Clients::read).transpose()?))
        });
        let mut state = self.state();
        state.read = read;
        state.trouble = pairs.as_ref().err().map(ToString::to_string);
        drop(state);
        match pairs {
            Err(error) => {
                tracing::error!(
                    event = "certificate_refused",
                    %error,
                    "a certificate on the disk is not usable; the one before is served on"
                );
                Err(error)
            }
            Ok((pairs, verifier)) if self.serves(&pairs, verifier.as_ref()) => Ok(false),
            Ok((pairs, verifier)) => {
                let until = pairs.iter().map(|pair| pair.until).min().unwrap_or_default();
                self.served.store(Arc::new(Served::new(pairs, verifier)));
                tracing::info!(event = "certificate_loaded", listener = %self, until = %format_args!("{until:.0}"), "a new certificate is served");
                Ok(true)
            }
        }
    }

    fn serves(&self, pairs: &[Pair], verifier: Option<&Verifier>) -> bool {
        let served = self.served.load();
        served.authorities.as_ref() == verifier.map(|verifier| &verifier.authorities)
            && served.chains.len() == pairs.len()
            && served.chains.iter().zip(pairs).all(|(served, pair)| served.cert == pair.certified.cert)
    }

    /// What an administrator should know of them, in sentences.
    #[must_use]
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let trouble =
            self.state().trouble.as_ref().map(|why| {
                format!("a certificate on the disk is refused, and the one before is served: {why}")
            });
        let served = self.served.load();
        let ends = self.files.iter().zip(&served.until).filter(|(files, _)| !files.is_obtained);
        let ends = ends.filter_map(|(files, until)| {
            let (at, cert) = (&files.at, files.cert.display());
            if *until < now {
                Some(format!("the certificate of {at} has expired, at {until:.0}: renew {cert}"))
            } else {
                (until.duration_since(now) < SOON)
                    .then(|| format!("the certificate of {at} expires at {until:.0}: renew {cert}"))
            }
        });
        trouble.into_iter().chain(ends).collect()
    }

    /// Each certificate that is served.
    #[must_use]
    pub fn served(&self) -> Vec<ServedCertificate> {
        let served = self.served.load();
        let each = self.files.iter().zip(&served.until).zip(&served.chains);
        let one = |((files, until), chain): ((&Files, &Timestamp), &Arc<CertifiedKey>)| ServedCertificate {
            at: format!("{} ({})", files.at, files.cert.display()),
            until: *until,
            chain_problem: chain::problem(&chain.cert),
        };
        each.map(one).collect()
    }

    /// Why what is on the disk is not served, if it is not.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// Nothing that is done under the lock can panic half way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.files.first().map_or("", |files| &files.at))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

fn read_all(files: &[Files]) -> Result<Vec<Pair>, PairError> {
    let read = |files: &Files| match files.read() {
        // Another is obtained in its place.
        Err(error) if files.is_obtained => {
            tracing::debug!(%error, "a certificate was not obtained yet");
            None
        }
        read => Some(read),
    };
    files.iter().filter_map(read).collect()
}

/// The beginning of every set-up.
fn builder() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for both versions")
}

fn stamps(files: &[Files], clients: Option<&Clients>) -> Vec<Stamp> {
    let stamp = |path: &Path| {
        fs::metadata(path).ok().map(|found| (found.ino(), found.size(), found.ctime(), found.ctime_nsec()))
    };
    let pairs = files.iter().flat_map(|files| [stamp(&files.cert), stamp(&files.key)]);
    pairs.chain(clients.map(|clients| stamp(&clients.ca))).collect()
}

impl Served {
    fn new(pairs: Vec<Pair>, verifier: Option<Verifier>) -> Self {
        let chains = pairs.iter().map(|pair| pair.certified.clone()).collect();
        let until = pairs.iter().map(|pair| pair.until).collect();
        let (builder, authorities) = match verifier {
            Some(Verifier { authorities, verifier }) => {
                (builder().with_client_cert_verifier(verifier), Some(authorities))
            }
            None => (builder().with_no_client_auth(), None),
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName::new(pairs)));
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        Self { config: Arc::new(config), chains, until, authorities }
    }
}

/// Chooses by the name that the client asks for; the first certificate stands for all other names.
#[derive(Debug)]
struct ByName {
    first: Option<Arc<CertifiedKey>>,
    names: HashMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    fn new(pairs: Vec<Pair>) -> Self {
        let first = pairs.first().map(|pair| pair.certified.clone());
        let mut names = HashMap::new();
        for pair in pairs {
            for name in pair.names {
                names.entry(name).or_insert_with(|| pair.certified.clone());
            }
        }
        Self { first, names }
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let under = || self.names.get(&format!("*.{}", name.split_once('.')?.1));
        self.names.get(&name).or_else(under)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().and_then(|name| self.find(name)).or(self.first.as_ref()).cloned()
    }
}
