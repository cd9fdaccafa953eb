//! The one error a control request can be answered with.

use serde::{Deserialize, Serialize};

/// Why a request was not carried out. Decides the exit code of `aivonx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FaultKind {
    /// A field of the request is wrong; `field` names it.
    Invalid,
    /// The object named does not exist (or may not be seen by the caller).
    NotFound,
    /// The record changed since the caller read it, or the name is taken.
    Conflict,
    /// The caller may not do this.
    NotPermitted,
    /// The daemon or a node cannot do it now; trying later may help.
    Unavailable,
    /// A deadline passed.
    TimedOut,
    /// The caller cancelled.
    Cancelled,
    /// The daemon failed; its log has the cause.
    Internal,
    /// The peer asked for something this version does not know.
    Unsupported,
}

/// A refused or failed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}{}", .hint.as_deref().map(|h| format!("\n{h}")).unwrap_or_default())]
pub struct Fault {
    /// The class of the failure.
    pub kind: FaultKind,
    /// One sentence: what is wrong, with the field and the value.
    pub message: String,
    /// The field at fault, as the command line spells it (`url`, `max-parallel`).
    pub field: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault of `kind` with a one-sentence `message`.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), field: None, hint: None }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
