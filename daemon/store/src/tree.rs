//! The trees, and the sums by which lost or changed records are found.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

macro_rules! trees {
    ($($(#[$doc:meta])+ $tree:ident = $name:literal,)+) => {
        /// Every tree.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Tree {
            $($(#[$doc])+ $tree,)+
        }

        impl Tree {
            pub(super) const ALL: [Self; [$($name),+].len()] = [$(Self::$tree),+];

            /// The name in the engine, in checksums and in snapshots: never changed.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$tree => $name,)+
                }
            }
        }
    };
}

// To add a tree, append it here.
trees! {
    /// id -> `NodeRecord`
    Node = "node",
    /// name -> id of the node
    NodeName = "node_name",
    /// name of the setting -> its value
    Setting = "setting",
    /// number (big-endian) -> wrapped data key
    DataKey = "data_key",
    /// id -> `OrganizationRecord`
    Organization = "organization",
    /// slug -> id of the organization
    OrganizationName = "organization_name",
    /// id -> `UserRecord`
    User = "user",
    /// name -> id of the user
    UserName = "user_name",
    /// owner, id -> nothing: see [`super::records`]
    UserOwner = "user_owner",
    /// id -> `KeyRecord`
    Key = "key",
    /// organization, name -> id of the key
    KeyName = "key_name",
    /// owner, id -> nothing
    KeyOwner = "key_owner",
    /// id -> `SessionRecord`
    Session = "session",
    /// owner, id -> nothing
    SessionOwner = "session_owner",
    /// id -> `LockoutRecord`
    Lockout = "lockout",
    /// id -> `SecretRecord`
    Secret = "secret",
    /// id of what is limited -> `LimitRecord`
    Limit = "limit",
    /// pattern -> `PriceRecord`
    Price = "price",
    /// id -> `PolicyRecord`
    Policy = "policy",
    /// organization, pattern -> id of the policy
    PolicyName = "policy_name",
    /// id -> `AliasRecord`
    Alias = "alias",
    /// organization, alias -> id of the alias
    AliasName = "alias_name",
    /// id of an organization -> `PlacementRecord`
    Placement = "placement",
    /// id of a key -> `KeyQueueingRecord`
    KeyQueueing = "key_queueing",
    /// id of an alias -> `AliasWeightsRecord`
    AliasWeights = "alias_weights",
    /// id -> `CopiesRecord`
    Copies = "copies",
    /// organization, model -> id of the copies
    CopiesName = "copies_name",
    /// id of a node -> `NodeTraitsRecord`
    NodeTraits = "node_traits",
    /// id -> `BlockRecord`
    Block = "block",
    /// id of an organization, or `fleet` -> `AnswersRecord`
    Answers = "answers",
    /// id of a key -> `KeyCertificateRecord`
    KeyCertificate = "key_certificate",
    /// name of a certificate -> id of the key
    KeyCertificateName = "key_certificate_name",
    /// id of a key -> `DisabledKeyRecord`
    DisabledKey = "disabled_key",
    /// pattern -> `ModelAccessRecord`
    ModelAccess = "model_access",
    /// id of a node -> `NodeWakeRecord`
    NodeWake = "node_wake",
    /// id -> `PatternRecord`
    Pattern = "pattern",
    /// organization, name -> id of the pattern
    PatternName = "pattern_name",
}

impl Tree {
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tree| tree.name() == name)
    }

    /// What an administrator calls its records; None for what only helps to find others.
    pub(super) const fn plural(self) -> Option<&'static str> {
        Some(match self {
            Self::Node => "nodes",
            Self::Organization => "organizations",
            Self::User => "users",
            Self::Key => "keys",
            Self::Session => "sessions",
            Self::Lockout => "lockouts",
            Self::Limit => "limits",
            Self::Price => "prices",
            Self::Policy => "policies",
            Self::Alias => "aliases",
            Self::Placement => "placements",
            Self::KeyQueueing => "priorities of keys",
            Self::AliasWeights => "weights of aliases",
            Self::Copies => "models kept loaded",
            Self::NodeTraits => "traits of nodes",
            Self::Block => "blocks",
            Self::Answers => "privacy of answers",
            Self::KeyCertificate => "certificates of keys",
            Self::DisabledKey => "disabled keys",
            Self::ModelAccess => "organizations of models",
            Self::NodeWake => "nodes that are woken",
            Self::Pattern => "patterns",
            Self::Secret => "signing keys and peppers",
            Self::DataKey => "data keys",
            Self::Setting => "settings",
            _ => return None,
        })
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// Version of the records in this tree. Raised only together with a migration step that rewrites them.
    pub(super) const fn version(self) -> u8 {
        let _ = self;
        1
    }
}

/// Count and digest of a tree: the digest is the exclusive or of SHA-256 over every key and stored value, so
/// that it does not depend on order and one change costs two hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum {
    pub(super) count: u64,
    digest: [u8; 32],
}

impl Sum {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count += 1;
        self.mix(key, value);
    }

    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) {
        self.count = self.count.wrapping_sub(1);
        self.mix(key, value);
    }

    fn mix(&mut self, key: &[u8], value: &[u8]) {
        let mut hash = Sha256::new();
        hash.update((key.len() as u64).to_le_bytes());
        hash.update(key);
        hash.update(value);
        for (byte, other) in self.digest.iter_mut().zip(hash.finalize()) {
            *byte ^= other;
        }
    }
}

/// The sums of all trees, by [`Tree::index`].
pub(super) type Sums = [Sum; Tree::ALL.len()];

/// Those of a store without records.
pub(super) fn no_sums() -> Sums {
    [Sum::default(); Tree::ALL.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_found_by_name_and_index() {
        for (at, tree) in Tree::ALL.into_iter().enumerate() {
            assert_eq!(tree.index(), at);
            assert_eq!(Tree::named(tree.name()), Some(tree));
        }
    }

    #[test]
    fn a_sum_does_not_depend_on_order_and_forgets_what_is_taken() {
        let (mut a, mut b) = (Sum::default(), Sum::default());
        a.add(b"1", b"x");
        a.add(b"2", b"y");
        b.add(b"2", b"y");
        b.add(b"1", b"x");
        assert_eq!(a, b);
        b.take(b"2", b"y");
        a.take(b"2", b"y");
        assert_eq!(a, b);
        a.take(b"1", b"x");
        assert_eq!(a, Sum::default());
        // Key and value cannot run into each other.
        let (mut c, mut d) = (Sum::default(), Sum::default());
        c.add(b"ab", b"c");
        d.add(b"a", b"bc");
        assert_ne!(c, d);
    }
}
