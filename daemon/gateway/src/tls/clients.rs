//! Certificates that clients show.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::ring,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::CertificateDer;

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
