//! The audit log: who did what, in a chain that proves itself.

pub mod canonical;
mod chain;
mod entry;
mod hex_bytes;
mod signed;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use chain::{Break, Chain, Problem, Restart};
pub use entry::{AuditActor, AuditEntry, AuditFilter, AuditObject, AuditOrganization, AuditSource};
pub use hex_bytes::{Digest, HexBytes, NotHex, PublicKey, Signature};
pub(crate) use signed::is_signed;
pub use signed::{Checkpoint, CheckpointKind, ExportSignature, NoPublicKey};

use crate::{Network, UnixMillis, operation::operations};
pub use crate::{
    action::{Action, NoAction, Outcome},
    noted::Noted,
};

/// Most entries one [`List`] is answered with.
pub const PAGE_MAX: u32 = 1000;

/// Most checkpoints one [`Verify`] takes.
pub const ANCHORS_MAX: usize = 2000;

operations! {
    /// Requests about the audit log.
    Request::Audit(AuditRequest);

    /// Entries that pass the filter, newest first.
    "audit.list" List {
        /// The filter.
        filter: AuditFilter,
        /// Go on behind this entry, as the page before said.
        cursor: Option<u64>,
        /// How many at most; more than [`PAGE_MAX`] is the same as that.
        limit: u32,
        /// The oldest first instead.
        oldest_first: bool,
    } -> AuditPage as AuditPage, needs AuditRead;

    /// One entry.
    "audit.show" Show {
        /// Its position.
        seq: u64,
    } -> AuditEntry as AuditEntry, needs AuditRead;

    /// The newest `lines` entries that pass the filter as `Event::Audit`, oldest first, then every new one.
    /// None is left out, however slow the reader.
    "audit.follow" Follow {
        /// The filter.
        filter: AuditFilter,
        /// How many of the past to begin with; at most [`PAGE_MAX`].
        lines: u32,
    } => Event, needs AuditRead;

    /// Walks the whole chain.
    "audit.verify" Verify {
        /// Published checkpoints that the chain must agree with; at most [`ANCHORS_MAX`].
        anchors: Vec<Checkpoint>,
    } -> AuditVerdict as AuditVerdict, needs AuditVerify;

    /// All entries that pass the filter, oldest first, as `Event::AuditBytes`, then `Event::AuditSigned`.
    "audit.export" Export {
        /// The filter.
        filter: AuditFilter,
        /// Form of the file.
        format: ExportFormat,
    } => Event, needs AuditExport;

    /// The public keys.
    "audit.keys" Keys -> Vec<AuditKey> as AuditKeys, needs AuditRead;

    /// Makes a checkpoint now, for safe keeping.
    "audit.checkpoint" MakeCheckpoint -> Checkpoint as AuditCheckpoint, needs AuditVerify;

    /// The same as `Verify`, with `Event::AuditWalked` on the way and `Event::AuditVerdict` at the end.
    /// Dropping the stream ends the walk.
    "audit.walk" Walk {
        /// Published checkpoints that the chain must agree with; at most [`ANCHORS_MAX`].
        anchors: Vec<Checkpoint>,
    } => Event, needs AuditVerify;

    /// As `List`, of entries that came from a network.
    "audit.list_from" ListFrom {
        /// The network.
        network: Network,
        /// As in `List`.
        filter: AuditFilter,
        /// As in `List`.
        cursor: Option<u64>,
        /// As in `List`.
        limit: u32,
        /// As in `List`.
        oldest_first: bool,
    } -> AuditPage as AuditPage, needs AuditRead;

    /// As `Follow`, of entries that came from a network.
    "audit.follow_from" FollowFrom {
        /// The network.
        network: Network,
        /// As in `Follow`.
        filter: AuditFilter,
        /// As in `Follow`.
        lines: u32,
    } => Event, needs AuditRead;

    /// As `Export`, of entries that came from a network.
    "audit.export_from" ExportFrom {
        /// The network.
        network: Network,
        /// As in `Export`.
        filter: AuditFilter,
        /// As in `Export`.
        format: ExportFormat,
    } => Event, needs AuditExport;

    /// What the audit log has lost of late, and so is in no answer; in words.
    "audit.losses" Losses -> Vec<String> as Losses, needs AuditRead;
}

impl AuditRequest {
    /// The operation that carries the network of the filter across the wire.
    pub(crate) fn sent(self) -> Self {
        match self {
            Self::List(List { filter, cursor, limit, oldest_first }) => match filter.network {
                Some(network) => Self::ListFrom(ListFrom { network, filter, cursor, limit, oldest_first }),
                None => Self::List(List { filter, cursor, limit, oldest_first }),
            },
            Self::Follow(Follow { filter, lines }) => match filter.network {
                Some(network) => Self::FollowFrom(FollowFrom { network, filter, lines }),
                None => Self::Follow(Follow { filter, lines }),
            },
            Self::Export(Export { filter, format }) => match filter.network {
                Some(network) => Self::ExportFrom(ExportFrom { network, filter, format }),
                None => Self::Export(Export { filter, format }),
            },
            other => other,
        }
    }
}

/// Form of an exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// One JSON object a line, from which the chain can be verified.
    Jsonl,
    /// For spreadsheets.
    Csv,
}

impl ExportFormat {
    /// The word in options and in the signature.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// An answer to [`List`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The entries in the order asked for.
    pub entries: Vec<AuditEntry>,
    /// Position of the next page; None on the last page.
    pub next: Option<u64>,
}

/// A key that checkpoints and exports are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditKey {
    /// The public part.
    pub key: PublicKey,
    /// When it was made.
    pub created: UnixMillis,
    /// Whether it signs now; the others only verify what is old.
    pub current: bool,
}

/// What was found by walking the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerdict {
    /// Whether nothing was found wrong: no break, no unexplained restart, no contradicting anchor.
    pub intact: bool,
    /// Position of the first entry; 0 if the log is empty.
    pub first: u64,
    /// Position of the last entry; 0 if the log is empty.
    pub last: u64,
    /// Entries walked.
    pub entries: u64,
    /// Signed checkpoints on the way.
    pub checkpoints: u64,
    /// The last entry under a signed checkpoint. What comes behind it is chained, but could still be cut.
    pub signed_through: u64,
    /// When what was removed by age had been signed, if something was.
    pub retained_from: Option<UnixMillis>,
    /// The first thing that is wrong.
    pub found: Option<Break>,
    /// Where the chain begins anew.
    pub restarts: Vec<Restart>,
    /// Anchors that agree.
    pub anchors_agreed: u64,
    /// Anchors about entries since removed by age: nothing to compare.
    pub anchors_past: u64,
    /// Anchors that contradict the chain, or prove nothing.
    pub anchors_wrong: Vec<WrongAnchor>,
    /// How long it took.
    pub took_ms: u64,
}

/// A published checkpoint that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongAnchor {
    /// The entry it is about.
    pub seq: u64,
    /// When it was made.
    pub time: UnixMillis,
    /// Why it does not fit.
    pub why: AnchorProblem,
}

/// Why an anchor does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorProblem {
    /// The log ends before it: entries were cut off.
    Cut,
    /// The log says otherwise: entries up to it were rewritten.
    Differs,
    /// It is about a chain that is not here: the log was begun anew.
    OtherChain,
    /// Another daemon made it.
    OtherDaemon,
    /// Its signature is wrong.
    BadSignature,
    /// It is signed with a key that is not this daemon's.
    UnknownSigner,
}
