//! The one table: what a node's answer, or the lack of one, means for the request and for the node.

use http::StatusCode;

use super::upstream::SendError;

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The node did its work; the client gets the answer.
    Served,
    /// The client gets the answer, which says neither good nor bad of the node.
    Passed,
    /// The node is well, but has no room now: another may have.
    Busy,
    /// The node takes nobody's requests: another may.
    Unreachable,
    /// The node failed over the request. Either may be at fault; another node tells.
    Broke,
    /// No engine was asked, and the node is not to blame: another may do it.
    Unasked,
}

impl Meaning {
    /// What the head of an answer means.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            // Ollama with a full queue, llama.cpp while it loads, vLLM and proxies at their limits.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Self::Busy,
            StatusCode::BAD_GATEWAY => Self::Broke,
            // The node is a gateway that leads back here, and another one may not.
            StatusCode::LOOP_DETECTED => Self::Unasked,
            // What the gateway sent as its credential is no work of the node.
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => Self::Passed,
            status if status.is_server_error() || status.is_redirection() => Self::Passed,
            _ => Self::Served,
        }
    }

    /// What it means that there is no answer.
    pub(super) fn of_error(error: &SendError) -> Self {
        match error {
            SendError::NoRoom => Self::Unasked,
            SendError::Dial(_) => Self::Unreachable,
            SendError::Closed { .. } | SendError::Died { .. } | SendError::Garbage(_) => Self::Broke,
        }
    }

    /// Whether another node may do better.
    pub(super) fn tries_another(self) -> bool {
        match self {
            Self::Served | Self::Passed => false,
            Self::Busy | Self::Unreachable | Self::Broke | Self::Unasked => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use http::StatusCode;

    use super::{Meaning, SendError};
    use aivonx_fleet::dial::DialError;

    #[test]
    fn every_status_has_its_meaning() {
        for (status, meaning) in [
            (200, Meaning::Served),
            (400, Meaning::Served),
            (404, Meaning::Served),
            (413, Meaning::Served),
            (302, Meaning::Passed),
            (401, Meaning::Passed),
            (500, Meaning::Passed),
            (504, Meaning::Passed),
            (508, Meaning::Unasked),
            (429, Meaning::Busy),
            (503, Meaning::Busy),
            (502, Meaning::Broke),
        ] {
            assert_eq!(Meaning::of_status(StatusCode::from_u16(status).unwrap()), meaning, "{status}");
        }
    }

    #[test]
    fn every_failure_has_its_meaning() {
        let os = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        let tcp = |error| SendError::Dial(DialError::Tcp(error));
        for (error, meaning) in [
            (tcp(os(rustix::io::Errno::CONNREFUSED)), Meaning::Unreachable),
            (tcp(io::Error::other("no such name")), Meaning::Unreachable),
            (SendError::Dial(DialError::Tls(reset())), Meaning::Unreachable),
            (SendError::Dial(DialError::TimedOut(Duration::from_secs(1))), Meaning::Unreachable),
            (SendError::NoRoom, Meaning::Unasked),
            (SendError::Closed { reused: false }, Meaning::Broke),
            (SendError::Died { reused: true, source: reset() }, Meaning::Broke),
            (SendError::Garbage("no status line"), Meaning::Broke),
        ] {
            assert_eq!(Meaning::of_error(&error), meaning, "{error}");
        }
    }

    #[test]
    fn only_an_answer_for_the_client_is_the_last_word() {
        use Meaning::{Broke, Busy, Passed, Served, Unasked, Unreachable};
        assert!([Served, Passed].into_iter().all(|meaning| !meaning.tries_another()));
        assert!([Busy, Unreachable, Broke, Unasked].into_iter().all(Meaning::tries_another));
    }
}
