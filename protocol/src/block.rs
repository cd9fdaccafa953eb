//! Blocks: who may not use the gateway, whatever else is said of them.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    operation::operations,
};

/// What a block is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockOf {
    /// An address or network.
    Address,
    /// A user, with its keys.
    User,
    /// A key.
    Key,
}

impl BlockOf {
    /// The word in lists.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::User => "user",
            Self::Key => "key",
        }
    }
}

/// A block. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What it is of.
    pub of: BlockOf,
    /// The network (CIDR) or address, or the name of the user or key when it was blocked; of an organization's key
    /// `SLUG/NAME`.
    pub target: String,
    /// Stable id of what is blocked: the user's or key's, or the network again.
    pub id: String,
    /// Why, in the words of whoever blocked it; may be empty.
    pub reason: String,
    /// Until when; None is until it is removed.
    pub until: Option<UnixMillis>,
    /// When it was made.
    pub created: UnixMillis,
    /// Revision of the record.
    pub revision: u64,
}

operations! {
    /// Requests about blocks.
    Request::Block(BlockRequest);

    /// Those in force.
    "block.list" List -> Vec<Block> as Blocks, needs BlockRead;

    /// Block an address, a network, a user or a key; one that is blocked gets the new reason and end.
    "block.add" Add {
        /// An address or network, the name or id of a user or key; `user:` or `key:` before it says which is meant.
        target: String,
        /// For how long, milliseconds; None is until it is removed.
        lasts_ms: Option<u64>,
        /// Why; may be empty.
        reason: String,
    } -> Block as Block, needs BlockWrite,
        noted |op| Noted::new(Action::Disable, "block", &op.target)
            .maybe("lasts_ms", &op.lasts_ms.map(|ms| ms.to_string()))
            .with("reason", op.reason.clone());

    /// Unblock.
    "block.remove" Remove {
        /// As it was blocked, or as the list shows it.
        target: String,
    } -> () as Done, needs BlockWrite, noted |op| Noted::new(Action::Enable, "block", &op.target);
}
