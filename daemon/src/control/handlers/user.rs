//! Requests about users.

use aivonx_protocol::{Fault, FaultKind, user::UserRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(_services: &Services, permitted: Permitted<UserRequest>) -> Answer {
    let _ = permitted.into_request();
    Answer::Reply(Err(Fault::new(FaultKind::Unsupported, "not served yet")))
}
