//! Who may do what, as the data path and the control socket read it: immutable, and replaced whenever a record changes.
//! What did not change goes on in the next one.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::Arc,
};

use aivonx_fleet::RoutingRules;
use aivonx_limits::Caps;
use aivonx_protocol::UnixMillis;
use aivonx_store::SessionRecord;
use aivonx_wire::privacy::Screening;

use super::{directory::Directory, key_material::Material};

pub use super::{
    directory::Records,
    entries::{Key, Live, Organization, Scopes, User},
};

/// Everything, as of one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    directory: Arc<Directory>,
    sessions: Arc<Sessions>,
    /// Peppers and signing keys.
    pub material: Arc<Material>,
}

/// The sessions and control tokens, expired or not.
#[derive(Debug, Clone, Default)]
struct Sessions {
    by_id: HashMap<Arc<str>, Arc<SessionRecord>>,
    by_hash: HashMap<[u8; 32], Arc<SessionRecord>>,
}

impl Sessions {
    fn put(&mut self, record: SessionRecord) {
        let record = Arc::new(record);
        self.remove(&record.id);
        self.by_hash.insert(record.hash, record.clone());
        self.by_id.insert(record.id.as_str().into(), record);
    }

    fn remove(&mut self, id: &str) {
        if let Some(gone) = self.by_id.remove(id) {
            self.by_hash.remove(&gone.hash);
        }
    }
}

impl FromIterator<SessionRecord> for Sessions {
    fn from_iter<I: IntoIterator<Item = SessionRecord>>(records: I) -> Self {
        let mut sessions = Self::default();
        records.into_iter().for_each(|record| sessions.put(record));
        sessions
    }
}

impl Snapshot {
    /// A snapshot of these records. Marks of `old` go on where nothing was withdrawn; the others end.
    #[must_use]
    pub fn build(mut records: Records, material: impl Into<Arc<Material>>, old: Option<&Self>) -> Self {
        let sessions = mem::take(&mut records.sessions).into_iter().collect();
        Self {
            sessions: Arc::new(sessions),
            directory: Arc::new(Directory::build(records, old.map(|old| &*old.directory))),
            material: material.into(),
        }
    }

    /// This one with these sessions and no others.
    #[must_use]
    pub(super) fn with_sessions(&self, sessions: Vec<SessionRecord>) -> Self {
        Self { sessions: Arc::new(sessions.into_iter().collect()), ..self.clone() }
    }

    /// This one with each of these sessions as it is now; None is gone.
    #[must_use]
    pub(super) fn with_changed_sessions(&self, changed: Vec<(&str, Option<SessionRecord>)>) -> Self {
        let mut sessions = (*self.sessions).clone();
        for (id, now) in changed {
            match now {
                Some(record) => sessions.put(record),
                None => sessions.remove(id),
            }
        }
        Self { sessions: Arc::new(sessions), ..self.clone() }
    }

    /// All sessions.
    #[cfg(test)]
    pub(super) fn sessions(&self) -> impl Iterator<Item = &Arc<SessionRecord>> {
        self.sessions.by_id.values()
    }

    /// Whether nothing but sessions and material was made anew.
    #[cfg(test)]
    pub(super) fn shares_directory(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.directory, &other.directory)
    }

    /// Ends the marks of everything that is in `self` and no longer in `new` as it was. To be called once `new`
    /// is in place.
    pub fn withdraw_for(&self, new: &Self) {
        self.directory.withdraw_for(&new.directory);
    }

    /// Caps of anonymous callers, and at the login.
    #[must_use]
    pub fn anonymous(&self) -> Caps {
        self.directory.anonymous
    }

    /// What is looked for in the prompts of those without an organization and the answers to them.
    #[must_use]
    pub fn screening(&self) -> &Screening {
        &self.directory.screening
    }

    /// Whether there is an administrator.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        self.directory.set_up
    }

    /// Whether streams of any key begin while they wait.
    #[must_use]
    pub fn keeps_waiting(&self) -> bool {
        self.directory.keep_waiting
    }

    /// What those may use who belong to no organization; None is every model of the nodes that are for everyone.
    #[must_use]
    pub fn anybody(&self) -> Option<&Arc<RoutingRules>> {
        self.directory.anybody.as_ref()
    }

    /// An organization by its id.
    #[must_use]
    pub fn organization(&self, id: &str) -> Option<&Arc<Organization>> {
        self.directory.organizations.get(id)
    }

    /// An organization by its slug.
    #[must_use]
    pub fn organization_by_slug(&self, slug: &str) -> Option<&Arc<Organization>> {
        self.directory.slugs.get(slug)
    }

    /// All organizations, by slug.
    #[must_use]
    pub fn organizations(&self) -> BTreeMap<&str, &Arc<Organization>> {
        self.directory.slugs.iter().map(|(slug, organization)| (&**slug, organization)).collect()
    }

    /// A user by its id.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<&Arc<User>> {
        self.directory.users.get(id)
    }

    /// A user by its name.
    #[must_use]
    pub fn user_by_name(&self, name: &str) -> Option<&Arc<User>> {
        self.directory.names.get(name)
    }

    /// All users.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.directory.users.values()
    }

    /// All keys that are not revoked.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.directory.keys.values()
    }

    /// A key by its id; none that is revoked.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&Arc<Key>> {
        self.directory.keys.get(id)
    }

    /// The key with this hash at `now`. Whether it is enabled and allowed here is not checked.
    #[must_use]
    pub fn key_by_hash(&self, hash: &[u8; 32], now: UnixMillis) -> Option<&Arc<Key>> {
        self.directory.hashes.get(hash).filter(|found| now < found.until).map(|found| &found.key)
    }

    /// Whether a key had this hash that was revoked or rotated since.
    #[must_use]
    pub fn was_key(&self, hash: &[u8; 32]) -> bool {
        self.directory.revoked.contains(hash) || self.directory.hashes.contains_key(hash)
    }

    /// The key for which a certificate with one of these names stands: the first that does.
    #[must_use]
    pub fn key_by_certificate(&self, names: &[String]) -> Option<&Arc<Key>> {
        names.iter().find_map(|name| self.directory.certificates.get(name.as_str()))
    }

    /// A session by its id, expired or not.
    #[must_use]
    pub fn session(&self, id: &str) -> Option<&Arc<SessionRecord>> {
        self.sessions.by_id.get(id)
    }

    /// A session by the hash of its secret, expired or not.
    #[must_use]
    pub fn session_by_hash(&self, hash: &[u8; 32]) -> Option<&Arc<SessionRecord>> {
        self.sessions.by_hash.get(hash)
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
