//! The members of a cluster: the gateways whose settings are in one database.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    operation::operations,
};

operations! {
    /// Requests about the members of a cluster.
    Request::Cluster(ClusterRequest);

    /// Every member; none where the settings are in the embedded store.
    "cluster.members" Members -> Vec<Member> as Members, needs ConfigRead;

    /// Takes from a member the right to change settings and to serve: it ends.
    "cluster.fence" Fence {
        /// Its name or id.
        member: String,
    } -> Member as Member, needs SecretsWrite, noted |op| Noted::new(Action::Disable, "member", &op.member);
}

/// How a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// It shows itself.
    Serving,
    /// It did not stop and was not seen for 15 seconds.
    Away,
    /// It has stopped.
    Stopped,
    /// Its right to change settings and to serve was taken from it.
    Fenced,
}

impl MemberState {
    /// The word in lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Away => "away",
            Self::Stopped => "stopped",
            Self::Fenced => "fenced",
        }
    }
}

/// A gateway of a cluster. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Stable id, that of its data directory.
    pub id: String,
    /// `cluster.member` of its configuration, or the name of its host.
    pub name: String,
    /// Its first listener; empty before it had one.
    pub address: String,
    /// Version of its aivonxd.
    pub version: String,
    /// How it is.
    pub state: MemberState,
    /// When it was last seen, by the database's clock.
    pub seen: UnixMillis,
    /// Revision of the settings that it served from then.
    pub revision: u64,
    /// Changes of settings since that revision, of the last ten minutes.
    pub lag: u64,
    /// Whether it is the gateway that was asked.
    pub here: bool,
}
