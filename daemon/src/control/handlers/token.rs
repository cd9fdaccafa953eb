//! Requests about the caller's control tokens.

use aivonx_protocol::{Fault, FaultKind, token::TokenRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(_services: &Services, permitted: Permitted<TokenRequest>) -> Answer {
    let _ = permitted.into_request();
    Answer::Reply(Err(Fault::new(FaultKind::Unsupported, "not served yet")))
}
