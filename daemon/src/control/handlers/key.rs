//! Requests about API keys.

use aivonx_protocol::{Fault, FaultKind, key::KeyRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(_services: &Services, permitted: Permitted<KeyRequest>) -> Answer {
    let _ = permitted.into_request();
    Answer::Reply(Err(Fault::new(FaultKind::Unsupported, "not served yet")))
}
