//! Which records hold secrets, and replacing the data key that those are sealed under.
//!
//! Two things make sure that no secret is forgotten. [`seals`] has a row for every tree. And writing a [`Sealed`] is
//! noticed in every record: one whose tree has no row here, or whose row misses a field, cannot be stored; nor can one
//! whose data key the store no longer has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    DataKeyRecord, DataKeys, NodeRecord, SecretKind, SecretRecord, StoreError, StoredCredential, UserRecord,
    batch::Batch, engine::Engine, tree::Tree,
};
use crate::secrets::Sealed;

/// A record that holds secrets. Its tree's name and its key, as text, are what they are sealed for.
trait Seals: Serialize + DeserializeOwned {
    /// Every secret in it, with its kind as people read it (plural).
    fn sealed(&mut self) -> Vec<(&'static str, &mut Sealed)>;
}

impl Seals for NodeRecord {
    fn sealed(&mut self) -> Vec<(&'static str, &mut Sealed)> {
        match &mut self.credential {
            StoredCredential::None => Vec::new(),
            StoredCredential::Bearer(secret)
            | StoredCredential::Basic { user: _, password: secret }
            | StoredCredential::Header { name: _, value: secret } => vec![("node credentials", secret)],
            StoredCredential::Certificate { chain: _, until: _, key, header } => {
                let header = header.as_mut().map(|(_, value)| value);
                [key].into_iter().chain(header).map(|secret| ("node credentials", secret)).collect()
            }
        }
    }
}

impl Seals for UserRecord {
    fn sealed(&mut self) -> Vec<(&'static str, &mut Sealed)> {
        self.totp.as_mut().map(|totp| ("two-factor secrets", &mut totp.secret)).into_iter().collect()
    }
}

impl Seals for SecretRecord {
    fn sealed(&mut self) -> Vec<(&'static str, &mut Sealed)> {
        let kind = match self.kind {
            SecretKind::Pepper => "peppers",
            SecretKind::TokenSigning => "token signing keys",
            SecretKind::AuditSigning => "audit signing keys",
        };
        vec![(kind, &mut self.sealed)]
    }
}

/// Exhaustive on purpose: a new tree does not compile before it says what is sealed in it.
fn seals(tree: Tree) -> Option<Access> {
    match tree {
        Tree::Node => Some(Access::to::<NodeRecord>()),
        Tree::User => Some(Access::to::<UserRecord>()),
        Tree::Secret => Some(Access::to::<SecretRecord>()),
        Tree::NodeName
        | Tree::Setting
        | Tree::DataKey
        | Tree::Organization
        | Tree::OrganizationName
        | Tree::UserName
        | Tree::UserOwner
        | Tree::Key
        | Tree::KeyName
        | Tree::KeyOwner
        | Tree::Session
        | Tree::SessionOwner
        | Tree::Lockout
        | Tree::Limit
        | Tree::Price
        | Tree::Policy
        | Tree::PolicyName
        | Tree::Alias
        | Tree::AliasName
        | Tree::Placement
        | Tree::KeyQueueing
        | Tree::AliasWeights
        | Tree::Copies
        | Tree::CopiesName
        | Tree::NodeTraits
        | Tree::Block
        | Tree::Answers
        | Tree::KeyCertificate
        | Tree::KeyCertificateName
        | Tree::DisabledKey
        | Tree::ModelAccess
        | Tree::NodeWake
        | Tree::Pattern
        | Tree::PatternName => None,
    }
}

/// What may not be stored: a secret that a rotation would not find, or that nothing could open.
pub(super) fn check(batch: &Batch<'_>, tree: Tree, needed: &BTreeSet<u32>) -> Result<(), StoreError> {
    if !needed.is_empty() && seals(tree).is_none() {
        return Err(StoreError::UnknownSecret { tree: tree.name() });
    }
    for id in needed {
        if batch.get::<DataKeyRecord>(Tree::DataKey, &id.to_be_bytes())?.is_none() {
            return Err(StoreError::StaleSeal { noun: tree.name() });
        }
    }
    Ok(())
}

/// How to get at the secrets of one type of record.
struct Access {
    look: LookIn,
    reseal: ResealIn,
}

/// Shows every secret of a tree.
type LookIn = fn(&Engine, Tree, &mut Look<'_>) -> Result<(), StoreError>;

/// Seals the secrets of one record anew that are not under the newest data key.
type ResealIn = fn(&mut Batch<'_>, Tree, &[u8], u32, &Reseal) -> Result<Resealed, StoreError>;

/// Sees one secret: the tree, the record's key, the secret's kind, the secret.
type Look<'a> = dyn FnMut(Tree, &[u8], &'static str, &Sealed) + 'a;

/// Makes a secret one under the newest data key, or says why it does not open: tree, record, secret.
pub(crate) type Reseal = Arc<dyn Fn(&'static str, &str, &Sealed) -> Result<Sealed, String> + Send + Sync>;

/// What came of one record.
#[derive(Default)]
struct Resealed {
    done: Vec<&'static str>,
    failed: Vec<Unopened>,
}

impl Access {
    fn to<R: Seals>() -> Self {
        Self { look: look::<R>, reseal: reseal::<R> }
    }
}

fn look<R: Seals>(engine: &Engine, tree: Tree, see: &mut Look<'_>) -> Result<(), StoreError> {
    for (key, mut record) in engine.all::<R>(tree)? {
        for (kind, sealed) in record.sealed() {
            see(tree, &key, kind, sealed);
        }
    }
    Ok(())
}

fn reseal<R: Seals>(
    batch: &mut Batch<'_>,
    tree: Tree,
    key: &[u8],
    newest: u32,
    with: &Reseal,
) -> Result<Resealed, StoreError> {
    let mut resealed = Resealed::default();
    // It may have been removed since it was found.
    let Some(mut record) = batch.get::<R>(tree, key)? else { return Ok(resealed) };
    let id = String::from_utf8_lossy(key).into_owned();
    for (kind, sealed) in record.sealed() {
        if sealed.key == newest {
            continue;
        }
        match with(tree.name(), &id, sealed) {
            Ok(fresh) => {
                *sealed = fresh;
                resealed.done.push(kind);
            }
            Err(why) => resealed.failed.push(Unopened { kind, record: id.clone(), why }),
        }
    }
    if !resealed.done.is_empty() {
        // Not through the repository: for everyone else the record is what it was, its revision too.
        let needed = batch.put_noting(tree, key, &record)?;
        if resealed.failed.is_empty() && needed.iter().any(|id| *id != newest) {
            return Err(StoreError::UnknownSecret { tree: tree.name() });
        }
    }
    Ok(resealed)
}

/// How many secrets of one kind are sealed under one data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// What they are, in plural: `node credentials`.
    pub kind: &'static str,
    /// Number of the data key.
    pub key: u32,
    /// How many.
    pub count: u64,
}

/// A secret and where it is.
#[derive(Debug)]
pub(crate) struct Held {
    /// What it is, in plural.
    pub(crate) kind: &'static str,
    /// Name of its tree.
    pub(crate) tree: &'static str,
    /// Id of its record.
    pub(crate) record: String,
    /// The secret.
    pub(crate) sealed: Sealed,
}

/// A secret that does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unopened {
    /// What it is, in plural.
    pub kind: &'static str,
    /// Id of its record.
    pub record: String,
    /// Why.
    pub why: String,
}

/// Where secrets are that are not sealed under the newest data key.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    places: Vec<(Tree, Vec<u8>)>,
}

impl Behind {
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Takes out the next few records, which are then one transaction.
    pub(crate) fn next(&mut self, count: usize) -> Option<Self> {
        let from = self.places.len().saturating_sub(count);
        let places = self.places.split_off(from);
        (!places.is_empty()).then_some(Self { places })
    }
}

/// What came of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// The kind of each secret that was sealed anew.
    pub(crate) done: Vec<&'static str>,
    /// Those that do not open; they stay as they are.
    pub(crate) failed: Vec<Unopened>,
}

impl DataKeys {
    /// What is sealed under which data key.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn uses(&self) -> Result<Vec<Use>, StoreError> {
        let counts = self.store.run(|engine, _| {
            let mut counts: BTreeMap<(&'static str, u32), u64> = BTreeMap::new();
            each(engine, &mut |_, _, kind, sealed| *counts.entry((kind, sealed.key)).or_default() += 1)?;
            Ok(counts)
        });
        let counts = counts.await?;
        Ok(counts.into_iter().map(|((kind, key), count)| Use { kind, key, count }).collect())
    }

    /// Every secret: to see whether they open.
    pub(crate) async fn sealed(&self) -> Result<Vec<Held>, StoreError> {
        self.store
            .run(|engine, _| {
                let mut all = Vec::new();
                each(engine, &mut |tree, key, kind, sealed| {
                    let record = String::from_utf8_lossy(key).into_owned();
                    all.push(Held { kind, tree: tree.name(), record, sealed: sealed.clone() });
                })?;
                Ok(all)
            })
            .await
    }

    /// Finds the secrets not sealed under data key `newest`, but those in `except`.
    pub(crate) async fn behind(&self, newest: u32, except: Vec<Unopened>) -> Result<Behind, StoreError> {
        self.store
            .run(move |engine, _| {
                let mut places = BTreeSet::new();
                each(engine, &mut |tree, key, kind, sealed| {
                    let known = |failed: &&Unopened| failed.kind == kind && failed.record.as_bytes() == key;
                    if sealed.key != newest && !except.iter().any(|failed| known(&failed)) {
                        places.insert((tree, key.to_vec()));
                    }
                })?;
                Ok(Behind { places: places.into_iter().collect() })
            })
            .await
    }

    /// Seals the secrets of the records in `places` with `with`, as one transaction. Each record is read again
    /// within it, so no change that came in between is lost; its revision stays, and nothing is sent to the feed.
    pub(crate) async fn reseal(&self, places: Behind, newest: u32, with: Reseal) -> Result<Step, StoreError> {
        self.store
            .run(move |engine, _| {
                engine.write(|batch| {
                    let mut step = Step::default();
                    for (tree, key) in &places.places {
                        let Some(access) = seals(*tree) else { continue };
                        let resealed = (access.reseal)(batch, *tree, key, newest, &with)?;
                        step.done.extend(resealed.done);
                        step.failed.extend(resealed.failed);
                    }
                    Ok(step)
                })
            })
            .await
    }

    /// Forgets the data keys older than `newest` that no secret needs; durable when it returns. Returns those
    /// it forgot. A secret that was sealed under one of them and is not stored yet cannot be stored any more
    /// ([`StoreError::StaleSeal`]) and has to be sealed again.
    pub(crate) async fn retire(&self, newest: u32) -> Result<Vec<u32>, StoreError> {
        self.store
            .run(move |engine, _| {
                engine.write(|batch| {
                    let mut needed = BTreeSet::from([newest]);
                    // Nothing is written meanwhile: this is the writer.
                    each(engine, &mut |_, _, _, sealed| {
                        needed.insert(sealed.key);
                    })?;
                    let mut retired = Vec::new();
                    for (key, record) in batch.all::<DataKeyRecord>(Tree::DataKey)? {
                        if record.id < newest && !needed.contains(&record.id) {
                            batch.remove(Tree::DataKey, &key);
                            retired.push(record.id);
                        }
                    }
                    Ok(retired)
                })
            })
            .await
    }
}

fn each(engine: &Engine, see: &mut Look<'_>) -> Result<(), StoreError> {
    for tree in Tree::ALL {
        if let Some(access) = seals(tree) {
            (access.look)(engine, tree, see)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::open;

    fn sealed(key: u32) -> Sealed {
        Sealed { key, nonce: [0; 12], ciphertext: vec![1] }
    }

    /// A secret in a record of a tree that says it has none fails at the first write.
    #[tokio::test]
    async fn a_secret_where_no_rotation_looks_cannot_be_stored() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let put = |tree, secret: Option<Sealed>| {
            store.run(move |engine, _| engine.write(|batch| batch.put(tree, b"k", &("text", secret.clone()))))
        };
        for tree in Tree::ALL.into_iter().filter(|tree| seals(*tree).is_none()) {
            let refused = put(tree, Some(sealed(1))).await;
            assert!(matches!(refused, Err(StoreError::UnknownSecret { .. })), "{}", tree.name());
        }
        put(Tree::Setting, None).await.unwrap();
        for tree in Tree::ALL.into_iter().filter(|tree| seals(*tree).is_some()) {
            let refused = put(tree, Some(sealed(7))).await;
            assert!(matches!(refused, Err(StoreError::StaleSeal { .. })), "{}: no such key", tree.name());
        }
    }
}
