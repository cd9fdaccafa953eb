//! Requests about the file configuration.

use aivonx_protocol::{Fault, FaultKind, Reply, config::ConfigRequest};
use tokio::task::spawn_blocking;

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<ConfigRequest>) -> Answer {
    Answer::Reply(match permitted.into_request() {
        ConfigRequest::Show => Ok(Reply::Config(services.config.show())),
        ConfigRequest::Reload => {
            let config = services.config.clone();
            match spawn_blocking(move || config.reload()).await {
                Ok(Ok(reloaded)) => Ok(Reply::Reloaded(reloaded)),
                Ok(Err(mistakes)) => Err(Fault::new(FaultKind::Invalid, mistakes.to_string())
                    .hint("Nothing was changed: correct the file and reload again.")),
                Err(e) => Err(Fault::new(FaultKind::Internal, format!("reloading failed: {e}"))),
            }
        }
    })
}
