//! The one repository: every noun's records are kept by it.
//!
//! A record is stored under its id. Its name, if it has one, is unique (in its organization, or in the fleet)
//! and has an index; so has its owner, where lists of one organization or user would otherwise read everyone's:
//! keys `o`, organization, NUL, id and `u`, user, NUL, id.

use std::marker::PhantomData;

use aivonx_protocol::{Fault, UnixMillis};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Change, Noun, Reach, Store, StoreError, contents,
    engine::{Batch, Engine, now},
    ledger::prefixed,
    tree::Tree,
};

/// Where the records of a noun are.
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

/// A record of one noun.
pub trait Record: Serialize + DeserializeOwned + Clone + PartialEq + Send + 'static {
    /// The noun.
    const NOUN: Noun;
    /// Where its records are.
    const TREES: Trees;

    /// Its id.
    fn id(&self) -> &str;
    /// Its creation time and revision.
    fn stamp(&self) -> (UnixMillis, u64);
    /// What the repository fills in.
    fn head(&mut self) -> Head<'_>;
    /// Its name, if the noun has names, and the organization in which that is unique (None: in the fleet).
    fn name(&self) -> Option<(Option<&str>, &str)>;
    /// The id of the organization it belongs to.
    fn organization(&self) -> Option<&str>;
    /// The id of the user it belongs to.
    fn user(&self) -> Option<&str>;
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

        fn head(&mut self) -> $crate::store::records::Head<'_> {
            $crate::store::records::Head {
                id: &mut self.id,
                created: &mut self.created,
                revision: &mut self.revision,
            }
        }
    };
}
pub(super) use record_head;

/// Access to the records of one noun.
#[derive(Debug, Clone)]
pub struct Records<R> {
    store: Store,
    noun: PhantomData<fn() -> R>,
}

impl<R: Record> Records<R> {
    pub(super) fn new(store: Store) -> Self {
        Self { store, noun: PhantomData }
    }

    /// Every record within reach, by name, else by id.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, reach: &Reach) -> Result<Vec<R>, StoreError> {
        let reach = reach.clone();
        self.store.run(move |engine, _| list(engine, &reach)).await
    }

    /// One record by its id.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] if it is outside `reach`; or the store fails.
    pub async fn get(&self, reach: &Reach, id: &str) -> Result<Option<R>, StoreError> {
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
        reach: &Reach,
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
        reach: &Reach,
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

    /// Changes a record; durable when it returns. `expected` is the revision the caller saw, None changes
    /// whatever is there. What `change` does to id, creation time and revision is undone; if it changes
    /// nothing else, nothing is stored and the revision stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Foreign`] (also if the change would move it out of reach),
    /// [`StoreError::Conflict`], [`StoreError::NameTaken`], [`StoreError::LastSuperadmin`]; or the store fails.
    pub async fn update(
        &self,
        reach: &Reach,
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
        reach: &Reach,
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
        let id = id.to_owned();
        self.write(move |batch| {
            let old: Option<R> = batch.get(R::TREES.record, id.as_bytes())?;
            match (old.clone(), change(old)) {
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
    pub async fn remove(&self, reach: &Reach, id: &str, expected: Option<u64>) -> Result<R, StoreError> {
        let (reach, id) = (reach.clone(), id.to_owned());
        self.write(move |batch| {
            let old: R = current(batch, &reach, &id, expected)?;
            batch.erase(&old)?;
            Ok(old)
        })
        .await
    }

    /// Runs `change` as one transaction, then tells what changed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Telling<'_, '_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.store
            .run(move |engine, feed| {
                let (value, told) = engine.write(|batch| {
                    let mut telling = Telling { batch, told: Vec::new() };
                    let value = change(&mut telling)?;
                    Ok((value, telling.told))
                })?;
                told.into_iter().for_each(|change| feed.tell(change));
                Ok(value)
            })
            .await
    }
}

/// A transaction over records. Remembers what to tell once it is durable.
pub(super) struct Telling<'b, 'e> {
    batch: &'b mut Batch<'e>,
    told: Vec<Change>,
}

impl Telling<'_, '_> {
    /// Reads one record.
    pub(super) fn get<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.batch.get(tree, key)
    }

    /// Every record within reach, but for those that this transaction added.
    pub(super) fn list<R: Record>(&self, reach: &Reach) -> Result<Vec<R>, StoreError> {
        let mut found = self.as_now(list::<R>(self.batch.engine(), reach)?)?;
        found.retain(|record| reach.covers(record.organization(), record.user()));
        Ok(found)
    }

    /// As [`Self::list`], the records of one user, whatever their organization.
    pub(super) fn list_of_user<R: Record>(&self, user: &str) -> Result<Vec<R>, StoreError> {
        let Some(tree) = R::TREES.owner else { return Ok(Vec::new()) };
        self.as_now(owned(self.batch.engine(), tree, &owner_key(b'u', user, ""))?)
    }

    /// What this transaction has made of `before` so far.
    fn as_now<R: Record>(&self, before: Vec<R>) -> Result<Vec<R>, StoreError> {
        let now = |record: R| self.batch.get(R::TREES.record, record.id().as_bytes()).transpose();
        before.into_iter().filter_map(now).collect()
    }

    /// Adds a record, see [`Records::insert`].
    pub(super) fn insert<R: Record>(&mut self, record: &mut R) -> Result<(), StoreError> {
        let head = record.head();
        if head.id.is_empty() {
            *head.id = uuid::Uuid::now_v7().to_string();
        }
        if *head.created == 0 {
            *head.created = now();
        }
        *head.revision = 1;
        let key = record.id().as_bytes();
        if self.batch.get::<R>(R::TREES.record, key)?.is_some() {
            return Err(StoreError::IdTaken { noun: R::NOUN.as_str(), id: record.id().to_owned() });
        }
        contents::check_references(self, record)?;
        self.take_name(record)?;
        self.own(record)?;
        self.batch.put(R::TREES.record, key, record)?;
        self.tell::<R>(record.id(), 1);
        Ok(())
    }

    /// Puts `new` in the place of `old`, see [`Records::update`].
    pub(super) fn replace<R: Record>(&mut self, old: &R, mut new: R) -> Result<R, StoreError> {
        let (created, revision) = old.stamp();
        let head = new.head();
        old.id().clone_into(head.id);
        (*head.created, *head.revision) = (created, revision);
        if new == *old {
            return Ok(new);
        }
        *new.head().revision += 1;
        if old.is_last_resort() && !new.is_last_resort() {
            self.keep_a_last_resort(old)?;
        }
        if (old.organization(), old.user()) != (new.organization(), new.user()) {
            contents::check_references(self, &new)?;
            self.disown(old);
            self.own(&new)?;
        }
        contents::on_change(self, old, &new)?;
        if name_key(old) != name_key(&new) {
            self.free_name(old);
            self.take_name(&new)?;
        }
        self.batch.put(R::TREES.record, new.id().as_bytes(), &new)?;
        self.tell::<R>(new.id(), revision + 1);
        Ok(new)
    }

    /// Forgets a record and what belongs to it, see [`Records::remove`].
    pub(super) fn erase<R: Record>(&mut self, record: &R) -> Result<(), StoreError> {
        if record.is_last_resort() {
            self.keep_a_last_resort(record)?;
        }
        contents::on_remove(self, record)?;
        self.batch.remove(R::TREES.record, record.id().as_bytes());
        self.free_name(record);
        self.disown(record);
        self.tell::<R>(record.id(), 0);
        Ok(())
    }

    fn keep_a_last_resort<R: Record>(&self, leaving: &R) -> Result<(), StoreError> {
        let others = self.list::<R>(&Reach::All)?;
        if others.iter().any(|other| other.is_last_resort() && other.id() != leaving.id()) {
            return Ok(());
        }
        let name = leaving.name().map_or(leaving.id(), |(_, name)| name).to_owned();
        Err(StoreError::LastSuperadmin { name })
    }

    fn take_name<R: Record>(&mut self, record: &R) -> Result<(), StoreError> {
        let (Some(tree), Some((organization, name))) = (R::TREES.name, record.name()) else { return Ok(()) };
        let key = key_of_name(organization, name);
        if self.batch.get::<String>(tree, &key)?.is_some() {
            return Err(StoreError::NameTaken { noun: R::NOUN.as_str(), name: name.to_owned() });
        }
        self.batch.put(tree, &key, &record.id())
    }

    fn free_name<R: Record>(&mut self, record: &R) {
        if let (Some(tree), Some(key)) = (R::TREES.name, name_key(record)) {
            self.batch.remove(tree, &key);
        }
    }

    fn own<R: Record>(&mut self, record: &R) -> Result<(), StoreError> {
        let Some(tree) = R::TREES.owner else { return Ok(()) };
        owner_keys(record).try_for_each(|key| self.batch.put(tree, &key, &()))
    }

    fn disown<R: Record>(&mut self, record: &R) {
        if let Some(tree) = R::TREES.owner {
            owner_keys(record).for_each(|key| self.batch.remove(tree, &key));
        }
    }

    fn tell<R: Record>(&mut self, id: &str, revision: u64) {
        self.told.push(Change { noun: R::NOUN, id: id.to_owned(), revision });
    }
}

fn missing<R: Record>(asked: &str) -> StoreError {
    StoreError::NotFound { noun: R::NOUN.as_str(), id: asked.to_owned() }
}

/// `record`, if it is within reach; else an error that names what was asked for.
fn within<R: Record>(reach: &Reach, record: R, asked: &str) -> Result<R, StoreError> {
    if reach.covers(record.organization(), record.user()) {
        Ok(record)
    } else {
        Err(StoreError::Foreign { noun: R::NOUN.as_str(), id: asked.to_owned() })
    }
}

/// The record `id` as it is now, which the caller may change.
pub(super) fn current<R: Record>(
    batch: &Telling<'_, '_>,
    reach: &Reach,
    id: &str,
    expected: Option<u64>,
) -> Result<R, StoreError> {
    let record: R = batch.get(R::TREES.record, id.as_bytes())?.ok_or_else(|| missing::<R>(id))?;
    let record = within(reach, record, id)?;
    let (_, found) = record.stamp();
    match expected {
        Some(expected) if expected != found => {
            Err(StoreError::Conflict { noun: R::NOUN.as_str(), id: id.to_owned(), expected, found })
        }
        _ => Ok(record),
    }
}

fn named<R: Record>(
    engine: &Engine,
    organization: Option<&str>,
    name: &str,
) -> Result<Option<R>, StoreError> {
    let Some(tree) = R::TREES.name else { return Ok(None) };
    match engine.get::<String>(tree, &key_of_name(organization, name))? {
        Some(id) => engine.get(R::TREES.record, id.as_bytes()),
        None => Ok(None),
    }
}

fn list<R: Record>(engine: &Engine, reach: &Reach) -> Result<Vec<R>, StoreError> {
    let prefix = match reach {
        Reach::All => None,
        Reach::Organization(id) => Some(owner_key(b'o', id, "")),
        Reach::User { user, .. } => Some(owner_key(b'u', user, "")),
    };
    let mut found: Vec<R> = match (prefix, R::TREES.owner) {
        (Some(prefix), Some(tree)) => owned(engine, tree, &prefix)?,
        _ => engine.all(R::TREES.record)?.into_iter().map(|(_, record)| record).collect(),
    };
    found.retain(|record| reach.covers(record.organization(), record.user()));
    found.sort_by(|a, b| a.name().map(|n| n.1).cmp(&b.name().map(|n| n.1)).then_with(|| a.id().cmp(b.id())));
    Ok(found)
}

fn owned<R: Record>(engine: &Engine, tree: Tree, prefix: &[u8]) -> Result<Vec<R>, StoreError> {
    let mut found = Vec::new();
    for key in engine.keys(tree, prefixed(prefix)) {
        // One that was removed since its key was read is passed over.
        found.extend(engine.get(R::TREES.record, key?.get(prefix.len()..).unwrap_or_default())?);
    }
    Ok(found)
}

/// Neither ids nor names have a NUL in them.
fn key_of_name(organization: Option<&str>, name: &str) -> Vec<u8> {
    match organization {
        Some(organization) => [organization.as_bytes(), b"\0", name.as_bytes()].concat(),
        None => name.as_bytes().to_vec(),
    }
}

fn name_key<R: Record>(record: &R) -> Option<Vec<u8>> {
    record.name().map(|(organization, name)| key_of_name(organization, name))
}

fn owner_key(kind: u8, owner: &str, id: &str) -> Vec<u8> {
    [&[kind], owner.as_bytes(), b"\0", id.as_bytes()].concat()
}

fn owner_keys<R: Record>(record: &R) -> impl Iterator<Item = Vec<u8>> {
    let organization = record.organization().map(|owner| owner_key(b'o', owner, record.id()));
    let user = record.user().map(|owner| owner_key(b'u', owner, record.id()));
    organization.into_iter().chain(user)
}
