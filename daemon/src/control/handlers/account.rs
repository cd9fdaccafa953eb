//! Requests about the caller's own account.

use aivonx_protocol::{Fault, FaultKind, account::AccountRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(_services: &Services, permitted: Permitted<AccountRequest>) -> Answer {
    let _ = permitted.into_request();
    Answer::Reply(Err(Fault::new(FaultKind::Unsupported, "not served yet")))
}
