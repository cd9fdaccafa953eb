//! Hash tables that every request passes.
//!
//! Their keys come from nodes and administrators and are bounded; a client can look for what it likes but put
//! nothing in. So they need none of the protection against chosen keys that the standard hasher gives, and do
//! without its price, which is that of all the rest of a look-up several times over.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
/// Hashes keys that no client chooses to 64 well-mixed bits; seeded anew for each instance, so never stored or compared
/// between two.
pub use foldhash::quality::RandomState as NumberHasher;

/// A map for keys that no client can choose.
pub type Map<K, V> = HashMap<K, V, RandomState>;

/// A set of what no client can choose.
pub type Set<K> = HashSet<K, RandomState>;
