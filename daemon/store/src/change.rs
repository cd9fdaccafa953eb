//! The feed of changes: the only way in which the rest of the daemon learns that something in the store changed.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use super::{settings, tree::Tree};

/// What kind of record changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Collection {
    /// A node.
    Node,
    /// The scheduling strategy; its id is empty.
    Strategy,
    /// An organization.
    Organization,
    /// A user.
    User,
    /// An API key.
    Key,
    /// A session or control token.
    Session,
    /// Failed logins.
    Lockout,
    /// A secret of the daemon's own.
    Secret,
    /// Limits set on something; with an empty id, the limit profile of the fleet.
    Limit,
    /// A price.
    Price,
    /// What happens to personal data of those without an organization; its id is empty.
    Privacy,
    /// A model policy.
    Policy,
    /// An alias of models.
    Alias,
    /// Where the operators of an organization may place nodes.
    Placement,
    /// How the requests of a key wait.
    KeyQueueing,
    /// How many keys the models of an alias are for.
    AliasWeights,
    /// A model that is kept loaded.
    Copies,
    /// What is said of a node beside its record.
    NodeTraits,
    /// A block.
    Block,
    /// What happens to personal data in answers.
    Answers,
    /// The certificate of a key.
    KeyCertificate,
    /// That a key is disabled.
    DisabledKey,
    /// For whom models are.
    ModelAccess,
    /// How a node is woken.
    NodeWake,
    /// A pattern that is looked for in prompts and answers.
    Pattern,
    /// A data key, under which secrets are sealed.
    DataKey,
}

impl Collection {
    /// How many there are.
    const COUNT: usize = Self::DataKey as usize + 1;

    /// Every one.
    const ALL: [Self; Self::COUNT] = [
        Self::Node,
        Self::Strategy,
        Self::Organization,
        Self::User,
        Self::Key,
        Self::Session,
        Self::Lockout,
        Self::Secret,
        Self::Limit,
        Self::Price,
        Self::Privacy,
        Self::Policy,
        Self::Alias,
        Self::Placement,
        Self::KeyQueueing,
        Self::AliasWeights,
        Self::Copies,
        Self::NodeTraits,
        Self::Block,
        Self::Answers,
        Self::KeyCertificate,
        Self::DisabledKey,
        Self::ModelAccess,
        Self::NodeWake,
        Self::Pattern,
        Self::DataKey,
    ];

    /// The word in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Strategy => "strategy",
            Self::Organization => "organization",
            Self::User => "user",
            Self::Key => "key",
            Self::Session => "session",
            Self::Lockout => "lockout",
            Self::Secret => "secret",
            Self::Limit => "limit",
            Self::Price => "price",
            Self::Privacy => "privacy",
            Self::Policy => "policy",
            Self::Alias => "alias",
            Self::Placement => "placement",
            Self::KeyQueueing => "key_queueing",
            Self::AliasWeights => "alias_weights",
            Self::Copies => "copies",
            Self::NodeTraits => "node_traits",
            Self::Block => "block",
            Self::Answers => "answers",
            Self::KeyCertificate => "key_certificate",
            Self::DisabledKey => "disabled_key",
            Self::ModelAccess => "model_access",
            Self::NodeWake => "node_wake",
            Self::Pattern => "pattern",
            Self::DataKey => "data_key",
        }
    }
}

/// One change, sent after it is durable. Two changes made at the same time may be sent in either order: read the
/// record, and do not rely on the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// What kind of record.
    pub collection: Collection,
    /// Which one; empty if it may be any of them.
    pub id: String,
    /// Its revision now; 0 if it was removed.
    pub revision: u64,
}

/// The sending side.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    sender: broadcast::Sender<Change>,
    /// Changes sent so far, by collection.
    told: Arc<Mutex<[u64; Collection::COUNT]>>,
}

/// Changes kept for a slow subscriber, which then gets the count of those it missed.
const KEPT: usize = 1024;

impl Feed {
    pub(super) fn new() -> Self {
        Self { sender: broadcast::channel(KEPT).0, told: Arc::default() }
    }

    pub(super) fn tell(&self, change: Change) {
        // Consistent at any time, so a panic elsewhere has left nothing half done. Held while it is sent: a change
        // that is counted can be received.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told[change.collection as usize] += 1;
        // Fails without a subscriber, which is fine.
        let _ = self.sender.send(change);
    }

    /// Something of the key of a tree changed.
    pub(super) fn tell_of(&self, space: &str, key: &[u8]) {
        let any = |collection| Change { collection, id: String::new(), revision: 0 };
        if space == Tree::Setting.name() {
            settings::collection(key).into_iter().for_each(|collection| self.tell(any(collection)));
        }
        // The trees of records have the names of their collections.
        let Some(collection) = Collection::ALL.into_iter().find(|known| known.as_str() == space) else {
            return;
        };
        let id = match collection {
            Collection::DataKey => String::new(),
            _ => String::from_utf8(key.to_vec()).unwrap_or_default(),
        };
        self.tell(Change { id, ..any(collection) });
    }

    /// Any record may have changed.
    pub(super) fn tell_all(&self) {
        for collection in Collection::ALL {
            self.tell(Change { collection, id: String::new(), revision: 0 });
        }
    }

    /// How many changes of these collections were sent so far.
    pub(super) fn told(&self, of: &[Collection]) -> u64 {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        of.iter().map(|collection| told[*collection as usize]).sum()
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.sender.subscribe()
    }
}
