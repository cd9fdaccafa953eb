//! Changes of records that belong together, and what each change of one entails: its name, its owner, what it refers
//! to, what must stay, and what is sent to the feed.

use aivonx_domain::{TenantScope, now};
use serde::de::DeserializeOwned;

use super::{Change, Record, StoreError, batch::Batch, engine::Engine, references, tree::Tree};

/// A transaction over records. Collects the changes to send once it is durable.
pub(super) struct Transaction<'b, 'e> {
    pub(super) batch: &'b mut Batch<'e>,
    pub(super) told: Vec<Change>,
}

impl Transaction<'_, '_> {
    /// Reads one record.
    pub(super) fn get<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.batch.get(tree, key)
    }

    /// Every record within reach, but for those that this transaction added.
    pub(super) fn list<R: Record>(&self, reach: &TenantScope) -> Result<Vec<R>, StoreError> {
        let mut found = self.as_now(list::<R>(self.batch.engine(), reach)?)?;
        found.retain(|record| reach.covers(record.organization(), record.user()));
        Ok(found)
    }

    /// As [`Self::list`], the records of one user, in any organization.
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
            return Err(StoreError::IdTaken { noun: R::COLLECTION.as_str(), id: record.id().to_owned() });
        }
        references::check_references(self, record)?;
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
            references::check_references(self, &new)?;
            self.disown(old);
            self.own(&new)?;
        }
        references::on_change(self, old, &new)?;
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
        references::on_remove(self, record)?;
        self.batch.remove(R::TREES.record, record.id().as_bytes());
        self.free_name(record);
        self.disown(record);
        self.tell::<R>(record.id(), 0);
        Ok(())
    }

    fn keep_a_last_resort<R: Record>(&self, leaving: &R) -> Result<(), StoreError> {
        let others = self.list::<R>(&TenantScope::All)?;
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
            return Err(StoreError::NameTaken { noun: R::COLLECTION.as_str(), name: name.to_owned() });
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
        self.told.push(Change { collection: R::COLLECTION, id: id.to_owned(), revision });
    }
}

pub(super) fn missing<R: Record>(asked: &str) -> StoreError {
    StoreError::NotFound { noun: R::COLLECTION.as_str(), id: asked.to_owned() }
}

/// `record`, if it is within reach; else an error that names what was asked for.
pub(super) fn within<R: Record>(reach: &TenantScope, record: R, asked: &str) -> Result<R, StoreError> {
    if reach.covers(record.organization(), record.user()) {
        Ok(record)
    } else {
        Err(StoreError::Foreign { noun: R::COLLECTION.as_str(), id: asked.to_owned() })
    }
}

/// The record `id` as it is now, which the caller may change.
pub(super) fn current<R: Record>(
    batch: &Transaction<'_, '_>,
    reach: &TenantScope,
    id: &str,
    expected: Option<u64>,
) -> Result<R, StoreError> {
    let record: R = batch.get(R::TREES.record, id.as_bytes())?.ok_or_else(|| missing::<R>(id))?;
    let record = within(reach, record, id)?;
    let (_, found) = record.stamp();
    match expected {
        Some(expected) if expected != found => {
            Err(StoreError::Conflict { noun: R::COLLECTION.as_str(), id: id.to_owned(), expected, found })
        }
        _ => Ok(record),
    }
}

pub(super) fn named<R: Record>(
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

pub(super) fn list<R: Record>(engine: &Engine, reach: &TenantScope) -> Result<Vec<R>, StoreError> {
    let prefix = match reach {
        TenantScope::All => None,
        TenantScope::Organization(id) => Some(owner_key(b'o', id, "")),
        TenantScope::User { user, .. } => Some(owner_key(b'u', user, "")),
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
    for key in engine.keys(tree, prefix) {
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
