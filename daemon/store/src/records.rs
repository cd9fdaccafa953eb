//! The one repository: it keeps the records of every collection.
//!
//! A record is stored under its id. Its name, if it has one, is unique (in its organization, or in the fleet)
//! and has an index; so has its owner, where lists of one organization or user would otherwise read everyone's:
//! keys `o`, organization, NUL, id and `u`, user, NUL, id.

use std::marker::PhantomData;

use aivonx_domain::TenantScope;
use aivonx_protocol::{Fault, UnixMillis};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Collection, Store, StoreError,
    transaction::{Transaction, current, list, missing, named, within},
    tree::Tree,
};

/// Where the records of a collection are.
#[derive(Debug, Clone, Copy)]
pub struct Trees {
    /// id -> record
    pub(super) record: Tree,
    /// name -> id
    pub(super) name: Option<Tree>,
    /// owner, id -> nothing
    pub(super) owner: Option<Tree>,
}

/// What every record has, and the repository fills in.
#[derive(Debug)]
pub struct Head<'r> {
    /// UUID v7, never reused.
    pub id: &'r mut String,
    /// When it was added.
    pub created: &'r mut UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: &'r mut u64,
}

/// A record of one collection.
pub trait Record: Serialize + DeserializeOwned + Clone + PartialEq + Send + 'static {
    /// The collection.
    const COLLECTION: Collection;
    /// Where its records are.
    const TREES: Trees;

    /// Its id.
    fn id(&self) -> &str;
    /// Its creation time and revision.
    fn stamp(&self) -> (UnixMillis, u64);
    /// What the repository fills in.
    fn head(&mut self) -> Head<'_>;
    /// Its name, if its collection has names, and the organization in which that is unique (None: in the fleet).
    fn name(&self) -> Option<(Option<&str>, &str)> {
        None
    }
    /// The id of the organization it belongs to; none is the fleet's own.
    fn organization(&self) -> Option<&str> {
        None
    }
    /// The id of the user it belongs to.
    fn user(&self) -> Option<&str> {
        None
    }
    /// Whether it is one of those of which one must be left: an enabled superadmin.
    fn is_last_resort(&self) -> bool {
        false
    }
}

/// The functions of [`Record`] that are the same for every record with these fields.
macro_rules! record_head {
    () => {
        fn id(&self) -> &str {
            &self.id
        }

        fn stamp(&self) -> (aivonx_protocol::UnixMillis, u64) {
            (self.created, self.revision)
        }

        fn head(&mut self) -> $crate::records::Head<'_> {
            $crate::records::Head {
                id: &mut self.id,
                created: &mut self.created,
                revision: &mut self.revision,
            }
        }
    };
}
pub(super) use record_head;

/// Access to the records of one collection.
#[derive(Debug, Clone)]
pub struct Records<R> {
    store: Store,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Records<R> {
    pub(super) fn new(store: Store) -> Self {
        Self { store, record: PhantomData }
    }

    /// Every record within reach, by name, else by id.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, reach: &TenantScope) -> Result<Vec<R>, StoreError> {
        let reach = reach.clone();
        self.store.run(move |engine, _| list(engine, &reach)).await
    }

    /// One record by its id.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] if it is outside `reach`; or the store fails.
    pub async fn get(&self, reach: &TenantScope, id: &str) -> Result<Option<R>, StoreError> {
        let (reach, id) = (reach.clone(), id.to_owned());
        self.store
            .run(move |engine, _| {
                let found: Option<R> = engine.get(R::TREES.record, id.as_bytes())?;
                found.map(|record| within(&reach, record, &id)).transpose()
            })
            .await
    }

    /// One record by its name; `organization` is the id of that in which the name is unique, None for names
    /// unique in the fleet and for records of the fleet itself.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] if it is outside `reach`; or the store fails.
    pub async fn by_name(
        &self,
        reach: &TenantScope,
        organization: Option<&str>,
        name: &str,
    ) -> Result<Option<R>, StoreError> {
        let (reach, organization, name) = (reach.clone(), organization.map(str::to_owned), name.to_owned());
        self.store
            .run(move |engine, _| {
                let found: Option<R> = named(engine, organization.as_deref(), &name)?;
                found.map(|record| within(&reach, record, &name)).transpose()
            })
            .await
    }

    /// One record by its id or its name (`organization` as in [`Self::by_name`]).
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Foreign`] if it is outside `reach`; or the store fails.
    pub async fn find(
        &self,
        reach: &TenantScope,
        organization: Option<&str>,
        name_or_id: &str,
    ) -> Result<R, StoreError> {
        let (reach, organization, asked) =
            (reach.clone(), organization.map(str::to_owned), name_or_id.to_owned());
        self.store
            .run(move |engine, _| {
                let by_id: Option<R> = engine.get(R::TREES.record, asked.as_bytes())?;
                let found = match by_id {
                    Some(record) => Some(record),
                    None => named(engine, organization.as_deref(), &asked)?,
                };
                within(&reach, found.ok_or_else(|| missing::<R>(&asked))?, &asked)
            })
            .await
    }

    /// Adds a record; durable when it returns. The caller may choose the id (a new UUID v7: secrets are sealed
    /// to it); an empty one is filled in, as is a `created` of 0. The revision becomes 1.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::IdTaken`]; [`StoreError::NotFound`] or
    /// [`StoreError::Foreign`] if the organization or user it names is not there or not of that organization;
    /// or the store fails.
    pub async fn insert(&self, mut record: R) -> Result<R, StoreError> {
        self.write(move |batch| {
            batch.insert(&mut record)?;
            Ok(record)
        })
        .await
    }

    /// Changes a record; durable when it returns. `expected` is the revision the caller saw, None changes any
    /// revision. What `change` does to id, creation time and revision is undone; if it changes nothing else, nothing
    /// is stored and the revision stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Foreign`] (also if the change would move it out of reach),
    /// [`StoreError::Conflict`], [`StoreError::NameTaken`], [`StoreError::LastSuperadmin`]; or the store fails.
    pub async fn update(
        &self,
        reach: &TenantScope,
        id: &str,
        expected: Option<u64>,
        change: impl FnOnce(&mut R) + Send + 'static,
    ) -> Result<R, StoreError> {
        let change = |record: &mut R| {
            change(record);
            Ok(())
        };
        self.try_update(reach, id, expected, change).await
    }

    /// As [`Self::update`]; a fault of `change` stores nothing. For rules that must hold against what is there
    /// now.
    ///
    /// # Errors
    /// As [`Self::update`], and [`StoreError::Refused`] with the fault of `change`.
    pub async fn try_update(
        &self,
        reach: &TenantScope,
        id: &str,
        expected: Option<u64>,
        change: impl FnOnce(&mut R) -> Result<(), Fault> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (reach, id) = (reach.clone(), id.to_owned());
        self.write(move |batch| {
            let old: R = current(batch, &reach, &id, expected)?;
            let mut new = old.clone();
            change(&mut new).map_err(|fault| StoreError::Refused(Box::new(fault)))?;
            within(&reach, batch.replace(&old, new)?, &id)
        })
        .await
    }

    /// Adds, changes or removes the record `id`, as `change` makes of what is there; durable when it returns.
    /// For records that are counted up.
    ///
    /// # Errors
    /// As [`Self::insert`], [`Self::update`] and [`Self::remove`].
    pub async fn alter(
        &self,
        id: &str,
        change: impl FnOnce(Option<R>) -> Option<R> + Send + 'static,
    ) -> Result<Option<R>, StoreError> {
        self.try_alter(id, |old| Ok(change(old))).await
    }

    /// As [`Self::alter`]; a fault of `change` stores nothing.
    ///
    /// # Errors
    /// As [`Self::alter`], and [`StoreError::Refused`] with the fault of `change`.
    pub async fn try_alter(
        &self,
        id: &str,
        change: impl FnOnce(Option<R>) -> Result<Option<R>, Fault> + Send + 'static,
    ) -> Result<Option<R>, StoreError> {
        let id = id.to_owned();
        self.write(move |batch| {
            let old: Option<R> = batch.get(R::TREES.record, id.as_bytes())?;
            let new = change(old.clone()).map_err(|fault| StoreError::Refused(Box::new(fault)))?;
            match (old, new) {
                (Some(old), Some(new)) => batch.replace(&old, new).map(Some),
                (Some(old), None) => batch.erase(&old).map(|()| None),
                (None, Some(mut new)) => {
                    *new.head().id = id;
                    batch.insert(&mut new)?;
                    Ok(Some(new))
                }
                (None, None) => Ok(None),
            }
        })
        .await
    }

    /// Forgets a record; durable when it returns. `expected` as in [`Self::update`]. What belongs to a user
    /// (keys, sessions) goes with it. Returns what was removed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Foreign`], [`StoreError::Conflict`],
    /// [`StoreError::LastSuperadmin`], [`StoreError::NotEmpty`] for an organization; or the store fails.
    pub async fn remove(
        &self,
        reach: &TenantScope,
        id: &str,
        expected: Option<u64>,
    ) -> Result<R, StoreError> {
        let (reach, id) = (reach.clone(), id.to_owned());
        self.write(move |batch| {
            let old: R = current(batch, &reach, &id, expected)?;
            batch.erase(&old)?;
            Ok(old)
        })
        .await
    }

    /// Runs `change` as one transaction, then sends what changed to the feed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Transaction<'_, '_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.store
            .run(move |engine, feed| {
                let (value, told) = engine.write(|batch| {
                    let mut telling = Transaction { batch, told: Vec::new() };
                    let value = change(&mut telling)?;
                    Ok((value, telling.told))
                })?;
                told.into_iter().for_each(|change| feed.tell(change));
                Ok(value)
            })
            .await
    }
}
