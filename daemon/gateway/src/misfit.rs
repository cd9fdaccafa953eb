//! Nodes that are set up wrongly, by what they answer.

use aivonx_fleet::Node;
use http::StatusCode;

use super::upstream::Incoming;

/// What is wrong with a node whose answer is proper HTTP and yet none for a client: it is set up wrongly, and another
/// attempt would change nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misfit {
    #[error("node {0} does not accept the gateway's credential; set it with 'aivonx node set {0}'")]
    Credential(String),
    /// Followed, it would take the prompt, and perhaps the credential, past everything that is checked here.
    #[error(
        "node {0} redirects ({1}), which is not followed; set the address it leads to: 'aivonx node set {0} --url'"
    )]
    Redirects(String, u16),
    #[error(
        "node {0} compresses its answers, though asked not to; switch that off on the node or in front of it"
    )]
    Compresses(String),
}

impl Misfit {
    /// The same for clients that are not told which node it is.
    pub(super) fn without_name(&self) -> &'static str {
        match self {
            Self::Credential(_) => "a node does not accept the gateway's credential",
            Self::Redirects(..) => "a node redirects, which is not followed",
            Self::Compresses(_) => "a node compresses its answers, which was not asked for",
        }
    }

    pub(super) fn check(node: &Node, answer: &Incoming) -> Result<(), Self> {
        let name = || node.name.to_string();
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(Self::Credential(name()))
            }
            status if status.is_redirection() => Err(Self::Redirects(name(), status.as_u16())),
            _ if answer.coded => Err(Self::Compresses(name())),
            _ => Ok(()),
        }
    }
}
