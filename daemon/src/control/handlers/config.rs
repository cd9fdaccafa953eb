//! Operations on the file configuration.

use aivonx_protocol::{
    Fault, FaultKind,
    config::{self, Reloaded, Setting},
    operation::Serve,
};
use tokio::task::spawn_blocking;

use crate::control::{By, Services};

impl Serve<config::Show> for Services {
    async fn serve(&self, _: By<config::Show>, _: config::Show) -> Result<Vec<Setting>, Fault> {
        Ok(self.config.show())
    }
}

impl Serve<config::Reload> for Services {
    async fn serve(&self, _: By<config::Reload>, _: config::Reload) -> Result<Reloaded, Fault> {
        let (config, certificates) = (self.config.clone(), self.certificates.clone());
        // Certificates only with the file: a reload that fails changes nothing.
        let reload = move || config.reload().map(|reloaded| (reloaded, certificates.reload()));
        match spawn_blocking(reload).await {
            Ok(Ok((mut reloaded, Ok(new)))) => {
                reloaded.applied.extend(new);
                Ok(reloaded)
            }
            Ok(Ok((_, Err(error)))) => Err(Fault::new(FaultKind::Invalid, error.to_string())
                .hint("The certificate before is served on. What else changed in the file is in effect.")),
            Ok(Err(mistakes)) => Err(Fault::new(FaultKind::Invalid, mistakes.to_string())
                .hint("Nothing was changed: correct the file and reload again.")),
            Err(e) => Err(Fault::new(FaultKind::Internal, format!("reloading failed: {e}"))),
        }
    }
}
