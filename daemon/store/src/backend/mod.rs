//! The seam between what the store promises and what keeps its bytes.
//!
//! A backend keeps bytes by space and key and changes them in transactions. It knows nothing of records: their form and
//! checksums, the sums of trees, the schema, the numbers of changes and who may write stand above it, in
//! [`super::engine`], and are the same over every backend. Each backend passes [`suite`]. Everything here blocks.

#[cfg(test)]
pub(super) mod memory;
#[cfg(feature = "cluster")]
pub(super) mod postgres;
pub(super) mod sled;
#[cfg(test)]
mod suite;

use super::{
    StoreError,
    member::{Followed, Member},
};

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Pairs in the order of their keys.
pub(super) type Pairs<'b> = Box<dyn Iterator<Item = Result<Pair, StoreError>> + 'b>;

/// One change of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write<'w> {
    pub(super) space: &'w str,
    pub(super) key: &'w [u8],
    /// The new value; None removes the key, which need not be there.
    pub(super) value: Option<&'w [u8]>,
}

/// What keeps the bytes.
///
/// A space need not be made before it is used: one that nothing was written to is empty.
pub(super) trait Backend: Send + Sync {
    /// The value of a key.
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The pairs whose keys begin with `prefix`, read while they are taken: a transaction that is applied meanwhile may
    /// be seen in part.
    fn scan(&self, space: &str, prefix: &[u8]) -> Pairs<'_>;

    /// Applies `writes` in their order: all of them or none, also after a crash. What is applied is read at once, and
    /// durable only with the next [`Self::flush`].
    ///
    /// # Errors
    /// It is unknown then how much was applied: the caller must not go on with this backend.
    fn apply(&self, writes: &[Write<'_>]) -> Result<(), StoreError>;

    /// Makes everything durable that was applied before the call.
    ///
    /// # Errors
    /// It is unknown then what is durable, now and after any later call.
    fn flush(&self) -> Result<(), StoreError>;

    /// Removes everything in a space: that of an older schema. It need not be done in one piece.
    fn clear(&self, space: &str) -> Result<(), StoreError>;

    /// The names of the spaces that hold something, in any order.
    fn spaces(&self) -> Result<Vec<String>, StoreError>;

    /// Begins a transaction: until it is applied, or ended, no other process changes anything. Whether another has since the
    /// last one of this process.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] if this process may not write any more.
    fn begin(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Ends a transaction without a change.
    fn end(&self) {}

    /// What other processes changed since the last call. Keeps the turn of a transaction that runs.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] as of [`Self::begin`]; if what is stored went back to an earlier state.
    fn follow(&self) -> Result<Followed, StoreError> {
        Ok(Followed::Nothing)
    }

    /// Shows to others that this process is alive, and serves on `address`.
    fn sign(&self, _address: &str) -> Result<(), StoreError> {
        Ok(())
    }

    /// The id of this process among those that write; None where it is alone.
    fn member(&self) -> Option<&str> {
        None
    }

    /// All of them.
    fn members(&self) -> Result<Vec<Member>, StoreError> {
        Ok(Vec::new())
    }

    /// Takes the right to write from one; false if it had none.
    fn fence(&self, _id: &str) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// The token of what is done once, if that is for this process to do.
    fn duty(&self, _name: &'static str) -> Result<Option<u64>, StoreError> {
        Ok(Some(0))
    }
}
