//! What can go wrong with the fleet, each with what to do about it.

use aivonx_protocol::{Fault, FaultKind, Untrusted};
use aivonx_store::StoreError;

use super::{
    address::{NodeUrl, UrlError},
    dial_error::DialError,
    endpoint::CredentialError,
    tls::TlsError,
};

/// A refused or failed operation on the fleet. Converts to the [`Fault`] that administrators see.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// A field is wrong.
    #[error("{message}")]
    Field {
        /// The field as the command line spells it.
        field: &'static str,
        /// What is wrong, with the value.
        message: String,
        /// What to write instead.
        fix: String,
    },
    /// The URL is wrong.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The URL points where no node should be.
    #[error("url '{url}' is {what}")]
    Special {
        /// The URL.
        url: String,
        /// What is special about it.
        what: &'static str,
    },
    /// The URL leads back here.
    #[error("url '{url}' is this gateway itself")]
    Own {
        /// The URL.
        url: String,
    },
    /// Another node has the URL.
    #[error("url '{url}' is node {node} already")]
    Taken {
        /// The URL.
        url: String,
        /// The name of that node.
        node: String,
    },
    /// The URL points where the caller's organization may not have nodes. Does not reveal what is there.
    #[error("url '{url}' is not where your organization may have nodes")]
    Closed {
        /// The URL.
        url: String,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The credential cannot be sent.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A server is there, but none that the gateway can use.
    #[error("{url} answers, but not as a node: {why}")]
    NotANode {
        /// The URL.
        url: String,
        /// What it answered.
        why: String,
        /// Whether a credential would help.
        credential: bool,
    },
    /// No node has this name or id.
    #[error("there is no node '{}'", Untrusted::new(.wanted).max(100))]
    UnknownNode {
        /// As asked for.
        wanted: String,
        /// Names like it.
        nearest: Vec<String>,
        /// It exists, but out of the caller's scope. To be recorded, and never shown.
        foreign: bool,
    },
    /// No node has this model.
    #[error("no node has the model '{}'", Untrusted::new(.wanted).max(200))]
    UnknownModel {
        /// As asked for.
        wanted: String,
        /// Names like it.
        nearest: Vec<String>,
    },
    /// No job has this id.
    #[error("there is no job '{}'", Untrusted::new(.wanted).max(100))]
    UnknownJob {
        /// As asked for.
        wanted: String,
        /// It exists, but out of the caller's scope. To be recorded, and never shown.
        foreign: bool,
    },
    /// A job of this kind is at work, and there is one at a time.
    #[error("that is being done already, as job {0}")]
    JobRuns(String),
    /// Too many jobs on nodes are at work.
    #[error("{0} jobs are at work already")]
    TooMany(usize),
    /// What only those may do who are responsible for the whole fleet.
    #[error("{0} is for those who administer the whole fleet")]
    FleetWide(&'static str),
    /// The node cannot do this.
    #[error("node {node} {why}")]
    Unfit {
        /// Its name.
        node: String,
        /// Why it cannot.
        why: &'static str,
        /// What helps.
        fix: String,
    },
    /// There is nowhere to pull to.
    #[error("no Ollama node is active, so there is nowhere to put the model")]
    NowhereToPull,
    /// The caller is an organization's, and it has no nodes of its own.
    #[error(
        "your organization has no node of its own, and models are managed on those alone; \
         those who run the gateway can assign it one"
    )]
    NoOwnNodes,
    /// The caller is an organization's, and the node that it chose is not.
    #[error(
        "the node that X-Aivonx-Node names is not your organization's own, and models are managed on those alone"
    )]
    ChosenNotOwn,
    /// The model is in no node's memory.
    #[error("no node holds the model '{}' in memory", Untrusted::new(.0).max(200))]
    NotLoaded(String),
    /// No node that takes requests has the model.
    #[error("no active node has the model '{}'", Untrusted::new(.0).max(200))]
    NowhereToLoad(String),
    /// No node has all of what a model is to be made of.
    #[error("no active node has all of {}", Untrusted::new(.0).max(1000))]
    NotTogether(String),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
    /// A secret could not be sealed or opened.
    #[error("the credential cannot be encrypted or decrypted ({0}); set it again")]
    Secret(String),
    /// The store failed or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FleetError {
    /// What kind of thing was asked for, and how it was written, if it is there but belongs to another
    /// organization: the handler has to record that.
    #[must_use]
    pub fn foreign(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::UnknownNode { wanted, foreign: true, .. } => Some(("node", wanted)),
            Self::UnknownJob { wanted, foreign: true } => Some(("job", wanted)),
            Self::Store(StoreError::Foreign { noun, id }) => Some((noun, id)),
            _ => None,
        }
    }

    /// Why no connection to `url` may be made, if that is what `error` says.
    pub(super) fn of_dial(url: &NodeUrl, error: &DialError) -> Option<Self> {
        let url = url.text.clone();
        match error {
            DialError::Special(_, what) => Some(Self::Special { url, what }),
            DialError::Own(_) => Some(Self::Own { url }),
            DialError::Closed => Some(Self::Closed { url }),
            DialError::Tcp(_) | DialError::Tls(_) | DialError::TimedOut(_) => None,
        }
    }

    pub(super) fn gone(node: &str) -> Self {
        Self::UnknownNode { wanted: node.to_owned(), nearest: Vec::new(), foreign: false }
    }

    pub(super) fn field(field: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Field { field, message: message.into(), fix: fix.into() }
    }
}

fn nearest_hint(nearest: &[String], command: &str) -> String {
    if nearest.is_empty() {
        format!("see `{command}`")
    } else {
        let names: Vec<String> = nearest.iter().map(|n| Untrusted::new(n).max(200).to_string()).collect();
        format!("did you mean {}?", names.join(" or "))
    }
}

impl From<FleetError> for Fault {
    fn from(error: FleetError) -> Self {
        let invalid = |text: String, field: &str, fix: String| {
            Self::new(FaultKind::Invalid, text).field(field).hint(fix)
        };
        let text = error.to_string();
        match error {
            FleetError::Field { field, fix, .. } => invalid(text, field, fix),
            FleetError::Url(e) => invalid(text, "url", e.fix),
            FleetError::Special { .. } => {
                invalid(text, "url", "if a node really is there, add it with --force".into())
            }
            FleetError::Own { .. } => {
                invalid(text, "url", "give the address of the server behind the gateway".into())
            }
            FleetError::Taken { node, .. } => Self::new(FaultKind::Conflict, text).field("url").hint(format!(
                "change that one with `aivonx node set {node}`, or give another path if there is another server behind \
                 the same address"
            )),
            FleetError::Closed { .. } => invalid(
                text,
                "url",
                "a superadmin names its networks with `aivonx org set ORG --node-networks`; where the fleet has a node \
                 already, no other can be added"
                    .into(),
            ),
            FleetError::Tls(e) => invalid(text, e.field(), e.hint().into()),
            FleetError::Credential(_) => invalid(
                text,
                "credential",
                "give a bearer token, USER:PASSWORD or NAME:VALUE on one line".into(),
            ),
            FleetError::NotANode { credential: true, .. } => invalid(
                text,
                "credential",
                "give the node's credential, or say what it is with --kind ollama or --kind openai".into(),
            ),
            FleetError::NotANode { .. } => invalid(
                text,
                "url",
                "check the URL (the path prefix too), or say what it is with --kind ollama or --kind openai"
                    .into(),
            ),
            FleetError::UnknownNode { nearest, .. } => Self::new(FaultKind::NotFound, text)
                .field("node")
                .hint(nearest_hint(&nearest, "aivonx node list")),
            FleetError::UnknownModel { nearest, .. } => Self::new(FaultKind::NotFound, text)
                .field("model")
                .hint(nearest_hint(&nearest, "aivonx model list")),
            FleetError::UnknownJob { .. } => {
                Self::new(FaultKind::NotFound, text).field("job").hint("see `aivonx job list`")
            }
            FleetError::JobRuns(id) => {
                Self::new(FaultKind::Conflict, text).hint(format!("follow it: aivonx job show {id} --follow"))
            }
            FleetError::TooMany(_) => Self::new(FaultKind::Unavailable, text)
                .hint("wait for one to end, or end one with `aivonx job cancel`"),
            FleetError::FleetWide(_) => {
                Self::new(FaultKind::NotPermitted, text).hint("ask a superadmin or an operator of the fleet")
            }
            FleetError::Unfit { fix, .. } => Self::new(FaultKind::Invalid, text).field("node").hint(fix),
            FleetError::NoOwnNodes | FleetError::ChosenNotOwn => Self::new(FaultKind::NotPermitted, text),
            FleetError::NowhereToPull => {
                Self::new(FaultKind::Unavailable, text).hint("see `aivonx node list` for the reasons")
            }
            FleetError::NotLoaded(_) => {
                Self::new(FaultKind::NotFound, text).field("model").hint("see `aivonx model list`")
            }
            FleetError::NowhereToLoad(_) => Self::new(FaultKind::Unavailable, text)
                .field("model")
                .hint("see `aivonx node list` for the reasons, or name a node with --node"),
            FleetError::NotTogether(_) => Self::new(FaultKind::Conflict, text)
                .hint("upload the files first, one after the other, or pull the model that it is made from"),
            FleetError::Stopping => Self::new(FaultKind::Unavailable, text),
            FleetError::Secret(_) => Self::new(FaultKind::Internal, text).hint("see the daemon's log"),
            FleetError::Store(e) => e.into(),
        }
    }
}
