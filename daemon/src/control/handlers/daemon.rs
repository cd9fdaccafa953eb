//! Requests about the daemon.

use aivonx_protocol::{Reply, daemon::DaemonRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) fn handle(services: &Services, permitted: Permitted<DaemonRequest>) -> Answer {
    match permitted.into_request() {
        DaemonRequest::Status => Answer::Reply(Ok(Reply::Status(Box::new((services.status)())))),
    }
}
