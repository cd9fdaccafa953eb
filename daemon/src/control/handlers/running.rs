//! Operations on running requests.

use aivonx_gateway::running::Ending;
use aivonx_protocol::{
    Fault, FaultKind, Untrusted,
    operation::Serve,
    running::{self, Queued, Running},
};
use aivonx_store::StoreError;
use uuid::Uuid;

use crate::control::{By, Services};

/// Requests, as the audit log and errors name them.
const NOUN: &str = "request";

impl Serve<running::List> for Services {
    async fn serve(&self, by: By<running::List>, _: running::List) -> Result<Vec<Running>, Fault> {
        Ok(self.running.list(&by.reach()).await)
    }
}

impl Serve<running::Queue> for Services {
    async fn serve(&self, by: By<running::Queue>, _: running::Queue) -> Result<Vec<Queued>, Fault> {
        Ok(self.running.queued(&by.reach()).await)
    }
}

impl Serve<running::Cancel> for Services {
    async fn serve(&self, by: By<running::Cancel>, asked: running::Cancel) -> Result<(), Fault> {
        let ending = match Uuid::parse_str(&asked.id) {
            Ok(id) => self.running.end(id, &by.reach()).await,
            Err(_) => Ending::Unknown,
        };
        match ending {
            Ending::Ended => Ok(()),
            Ending::Foreign => {
                // Recorded; the answer is the same as for an unknown id.
                let foreign = StoreError::Foreign { noun: NOUN, id: asked.id.clone() };
                let _ = self.identity.refuse(by.actor(), foreign);
                Err(unknown(&asked.id))
            }
            Ending::Unknown => Err(unknown(&asked.id)),
        }
    }
}

fn unknown(id: &str) -> Fault {
    let text = format!("no request '{}' is running; it may have just ended", Untrusted::new(id).max(100));
    Fault::new(FaultKind::NotFound, text).field("id").hint("see `aivonx running list`")
}
