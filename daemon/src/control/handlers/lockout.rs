//! Requests about failed logins.

use aivonx_protocol::{Fault, FaultKind, lockout::LockoutRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(_services: &Services, permitted: Permitted<LockoutRequest>) -> Answer {
    let _ = permitted.into_request();
    Answer::Reply(Err(Fault::new(FaultKind::Unsupported, "not served yet")))
}
