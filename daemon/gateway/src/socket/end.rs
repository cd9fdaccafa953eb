//! The one table: why a session ended -> what either side is told, and what the record says.

use aivonx_domain::access::Outcome;
use aivonx_wire::api::socket::SocketError;

use crate::{
    body::{BodyError, verdict_text},
    deadline::{CancelReason, Waiting},
    stream::Ending,
};

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Node,
}

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// Both sides said their last words.
    Closed,
    /// The connection of one side ended, or broke.
    Gone(Side),
    /// What one side sent cannot be passed on.
    Refused(Side, SocketError),
    /// The gateway ended it.
    Cancelled(CancelReason),
    /// A limit has no room for another answer: which, as its request would be told.
    Limited(String),
    /// What is sent is more than there is memory for.
    NoMemory,
}

/// A close: its code (RFC 6455, 7.4.1), and the reason.
pub(super) type Close = (u16, String);

/// The service stops, or leaves.
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;
const TRY_AGAIN: u16 = 1013;
/// What stands behind the gateway failed.
const BAD_GATEWAY: u16 = 1014;

const BROKE_OFF: &str = "the node broke the websocket off";

impl End {
    /// What the client is told; None if it has heard it, or cannot.
    pub(super) fn for_client(&self) -> Option<Close> {
        Some(match self {
            Self::Closed | Self::Gone(Side::Client) => return None,
            Self::Gone(Side::Node) => (BAD_GATEWAY, BROKE_OFF.to_owned()),
            Self::Refused(Side::Client, error) => (error.code(), error.to_string()),
            Self::Refused(Side::Node, error) => (BAD_GATEWAY, format!("what the node sent: {error}")),
            Self::Cancelled(reason) => {
                let code = if reason.is_withdrawn() { POLICY } else { GOING_AWAY };
                (code, verdict_text(*reason).to_owned())
            }
            Self::Limited(why) => (POLICY, why.clone()),
            Self::NoMemory => (TRY_AGAIN, BodyError::Budget.to_string()),
        })
    }

    /// What the node is told, which has to know that nobody listens any more.
    pub(super) fn for_node(&self) -> Option<Close> {
        match self {
            Self::Closed | Self::Gone(Side::Node) => None,
            Self::Refused(Side::Node, error) => Some((error.code(), error.to_string())),
            _ => Some((GOING_AWAY, "the client left".to_owned())),
        }
    }

    /// How it counts, and what the log says of it.
    pub(super) fn outcome(&self) -> (Outcome, Option<String>) {
        match self {
            Self::Closed => (Outcome::Complete, None),
            Self::Gone(Side::Client) => (Outcome::ClientGone, None),
            Self::Gone(Side::Node) => (Outcome::Broken, Some(BROKE_OFF.to_owned())),
            Self::Refused(Side::Client, error) => (Outcome::Refused, Some(error.to_string())),
            Self::Refused(Side::Node, error) => (Outcome::Broken, Some(error.to_string())),
            Self::Cancelled(reason) => {
                let Ending { outcome, error } = Ending::by(*reason);
                (outcome, error.map(str::to_owned))
            }
            Self::Limited(why) => (Outcome::Ended, Some(why.clone())),
            Self::NoMemory => (Outcome::Refused, Some(BodyError::Budget.to_string())),
        }
    }

    /// Whether the node is at fault.
    pub(super) fn blames_node(&self) -> bool {
        matches!(self, Self::Gone(Side::Node) | Self::Refused(Side::Node, _))
    }

    /// The same, once a side has ended the session: that the other does not answer that changes nothing.
    pub(super) fn after_end(self) -> Self {
        match self {
            Self::Gone(_) | Self::Cancelled(CancelReason::TimedOut(Waiting::Socket)) => Self::Closed,
            other => other,
        }
    }
}
