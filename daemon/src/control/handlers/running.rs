//! Requests about running requests.

use aivonx_gateway::running::Ending;
use aivonx_protocol::{Fault, FaultKind, Reply, Untrusted, running::RunningRequest};
use aivonx_store::StoreError;
use uuid::Uuid;

use crate::control::{Answer, Services, access::Permitted};

/// Requests, as the audit log and errors name them.
const NOUN: &str = "request";

pub(super) async fn handle(services: &Services, permitted: Permitted<RunningRequest>) -> Answer {
    let actor = permitted.actor().clone();
    let reach = actor.reach();
    Answer::Reply(match permitted.into_request() {
        RunningRequest::List => Ok(Reply::Running(services.running.list(&reach).await)),
        RunningRequest::Cancel { id } => {
            let ending = match Uuid::parse_str(&id) {
                Ok(id) => services.running.end(id, &reach).await,
                Err(_) => Ending::Unknown,
            };
            match ending {
                Ending::Ended => Ok(Reply::Done),
                Ending::Foreign => {
                    // Recorded; what is told is the same.
                    let foreign = StoreError::Foreign { noun: NOUN, id: id.clone() };
                    let _ = services.identity.refuse(&actor, foreign);
                    Err(unknown(&id))
                }
                Ending::Unknown => Err(unknown(&id)),
            }
        }
    })
}

fn unknown(id: &str) -> Fault {
    let text = format!("no request '{}' is running; it may have just ended", Untrusted::new(id).max(100));
    Fault::new(FaultKind::NotFound, text).field("id").hint("see `aivonx running list`")
}
