//! Certificates that clients show.

use std::{path::PathBuf, sync::Arc};

use aivonx_identity::certificate_name;
use rustls::{
    RootCertStore,
    crypto::ring,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, prelude::FromDer, prelude::X509Certificate};

use super::pair::{PairError, Problem, certificates};

/// Who may sign them, as the configuration says.
#[derive(Debug)]
pub(super) struct Clients {
    /// Where that stands in the configuration: `listen[0]`.
    pub(super) at: String,
    /// File of the authorities.
    pub(super) ca: PathBuf,
    /// Clients without one are refused.
    pub(super) required: bool,
}

/// The names of a certificate, as they may stand for a key: the DNS names, URIs and mail addresses among its alternative
/// names, or else the common name of its subject.
pub(super) fn names(der: &CertificateDer<'_>) -> Box<[String]> {
    // It was read when it was verified.
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Box::default() };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative = alternative.iter().flat_map(|names| &names.value.general_names);
    let text = alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => Some(*name),
        _ => None,
    });
    let mut names: Vec<_> = text.map(certificate_name).collect();
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().next();
        names.extend(common.and_then(|name| name.as_str().ok()).map(certificate_name));
    }
    names.into()
}

/// What checks them.
pub(super) struct Verifier {
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
}

impl Clients {
    /// Reads the authorities.
    pub(super) fn read(&self) -> Result<Verifier, PairError> {
        let error = |problem| PairError::new(&self.at, "client_ca", &self.ca, problem);
        let authorities = certificates(&self.ca).map_err(error)?;
        let unusable = |why: String| error(Problem::Certificate(why));
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|why| unusable(why.to_string()))?;
        }
        let provider = Arc::new(ring::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if self.required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|why| unusable(why.to_string()))?;
        Ok(Verifier { authorities, verifier })
    }
}
