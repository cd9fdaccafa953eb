//! What belongs to what: references that must hold, and what goes with a user or an organization.

use aivonx_domain::{TenantScope, now};
use aivonx_protocol::node::AdminState;

use super::{
    AliasRecord, AliasWeightsRecord, AnswersRecord, Collection, CopiesRecord, DisabledKeyRecord,
    KeyCertificateRecord, KeyQueueingRecord, KeyRecord, LimitRecord, LimitSubject, LimitValues, NodeRecord,
    NodeTraitsRecord, NodeWakeRecord, OrganizationRecord, PatternRecord, PlacementRecord, PolicyRecord,
    Record, Records, SessionRecord, StoreError, UserRecord, placement,
    settings::HIDDEN_USAGE,
    transaction::{Transaction, current},
    tree::Tree,
};

/// What went with a removed organization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// Users in it.
    pub users: u32,
    /// Keys of it.
    pub keys: u32,
    /// Sessions of its users.
    pub sessions: u32,
    /// Nodes that were assigned to it.
    pub nodes: u32,
}

impl Records<OrganizationRecord> {
    /// Removes an organization with its users, keys and sessions, in one transaction. Its nodes are nobody's
    /// then, and disabled: what served one tenant alone serves others only after somebody decides so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Foreign`], [`StoreError::Conflict`]; or the store fails.
    pub async fn remove_with_contents(
        &self,
        reach: &TenantScope,
        id: &str,
        expected: Option<u64>,
    ) -> Result<(OrganizationRecord, Contents), StoreError> {
        let (reach, id) = (reach.clone(), id.to_owned());
        self.write(move |batch| {
            let old: OrganizationRecord = current(batch, &reach, &id, expected)?;
            let own = TenantScope::Organization(id);
            let sessions: Vec<SessionRecord> = batch.list(&own)?;
            let keys: Vec<KeyRecord> = batch.list(&own)?;
            let users: Vec<UserRecord> = batch.list(&own)?;
            let nodes: Vec<NodeRecord> = batch.list(&own)?;
            let contents = Contents {
                users: count(&users),
                keys: count(&keys),
                sessions: count(&sessions),
                nodes: count(&nodes),
            };
            sessions.iter().try_for_each(|record| batch.erase(record))?;
            keys.iter().try_for_each(|record| batch.erase(record))?;
            users.iter().try_for_each(|record| batch.erase(record))?;
            for node in nodes {
                let mut free = node.clone();
                (free.organization, free.admin_state) = (None, AdminState::Disabled);
                batch.replace(&node, free)?;
            }
            batch.erase(&old)?;
            Ok((old, contents))
        })
        .await
    }
}

fn count<R>(records: &[R]) -> u32 {
    u32::try_from(records.len()).unwrap_or(u32::MAX)
}

/// The organization and the user that `record` names must be there, and a key's user of its organization.
pub(super) fn check_references<R: Record>(batch: &Transaction<'_, '_>, record: &R) -> Result<(), StoreError> {
    if R::COLLECTION != Collection::Organization
        && let Some(id) = record.organization()
        && batch.get::<OrganizationRecord>(Tree::Organization, id.as_bytes())?.is_none()
    {
        return Err(StoreError::NotFound { noun: Collection::Organization.as_str(), id: id.to_owned() });
    }
    if R::COLLECTION != Collection::User
        && let Some(id) = record.user()
    {
        let user: Option<UserRecord> = batch.get(Tree::User, id.as_bytes())?;
        let (noun, id) = (Collection::User.as_str(), id.to_owned());
        let user = user.ok_or_else(|| StoreError::NotFound { noun, id: id.clone() })?;
        if R::COLLECTION == Collection::Key && user.organization() != record.organization() {
            return Err(StoreError::Foreign { noun, id });
        }
    }
    Ok(())
}

/// A user who leaves for another organization takes no key along, and no session; a node is no longer one that the
/// operators of the organization placed.
pub(super) fn on_change<R: Record>(
    batch: &mut Transaction<'_, '_>,
    old: &R,
    new: &R,
) -> Result<(), StoreError> {
    if R::COLLECTION == Collection::Node && old.organization() != new.organization() {
        return placement::note(batch, old, false);
    }
    if R::COLLECTION == Collection::Key && old.name().is_some() && new.name().is_none() {
        // A revoked key keeps no name from its successor, neither its own nor that of a certificate.
        return erase_beside::<KeyCertificateRecord>(batch, old.id());
    }
    if R::COLLECTION != Collection::User || old.organization() == new.organization() {
        return Ok(());
    }
    for key in batch.list_of_user::<KeyRecord>(old.id())?.into_iter().filter(|key| key.revoked.is_none()) {
        let revoked = KeyRecord { revoked: Some(now()), ..key.clone() };
        batch.replace(&key, revoked)?;
    }
    if let Some(limits) = limits_of(batch, old.id())? {
        // What its organization's administrators had set is theirs no more.
        let subject = LimitSubject::User {
            id: old.id().to_owned(),
            organization: new.organization().map(str::to_owned),
        };
        let moved = LimitRecord { subject, own: LimitValues::new(), ..limits.clone() };
        batch.replace(&limits, moved)?;
    }
    batch.list_of_user::<SessionRecord>(old.id())?.iter().try_for_each(|session| batch.erase(session))
}

fn limits_of(batch: &Transaction<'_, '_>, id: &str) -> Result<Option<LimitRecord>, StoreError> {
    batch.get(Tree::Limit, id.as_bytes())
}

fn erase_limits(batch: &mut Transaction<'_, '_>, id: &str) -> Result<(), StoreError> {
    erase_beside::<LimitRecord>(batch, id)
}

/// Erases the record that is kept beside another, under the same id.
fn erase_beside<R: Record>(batch: &mut Transaction<'_, '_>, id: &str) -> Result<(), StoreError> {
    match batch.get::<R>(R::TREES.record, id.as_bytes())? {
        Some(record) => batch.erase(&record),
        None => Ok(()),
    }
}

/// An organization that is gone hides nothing.
fn show_usage(batch: &mut Transaction<'_, '_>, organization: &str) -> Result<(), StoreError> {
    let mut ids: Vec<String> = batch.get(Tree::Setting, HIDDEN_USAGE)?.unwrap_or_default();
    if !ids.iter().any(|id| id == organization) {
        return Ok(());
    }
    ids.retain(|id| id != organization);
    batch.batch.put(Tree::Setting, HIDDEN_USAGE, &ids)
}

/// What belongs to a user goes with it; an organization goes only empty.
pub(super) fn on_remove<R: Record>(batch: &mut Transaction<'_, '_>, old: &R) -> Result<(), StoreError> {
    match R::COLLECTION {
        Collection::Key => {
            erase_limits(batch, old.id())?;
            erase_beside::<KeyCertificateRecord>(batch, old.id())?;
            erase_beside::<KeyQueueingRecord>(batch, old.id())?;
            erase_beside::<DisabledKeyRecord>(batch, old.id())
        }
        Collection::Alias => erase_beside::<AliasWeightsRecord>(batch, old.id()),
        Collection::Node => {
            erase_beside::<NodeTraitsRecord>(batch, old.id())?;
            erase_beside::<NodeWakeRecord>(batch, old.id())?;
            placement::note(batch, old, false)
        }
        Collection::User => {
            erase_limits(batch, old.id())?;
            // Those of earlier organizations too.
            batch.list_of_user::<KeyRecord>(old.id())?.iter().try_for_each(|key| batch.erase(key))?;
            batch.list_of_user::<SessionRecord>(old.id())?.iter().try_for_each(|session| batch.erase(session))
        }
        Collection::Organization => {
            let own = TenantScope::Organization(old.id().to_owned());
            let users = count(&batch.list::<UserRecord>(&own)?);
            let keys = count(&batch.list::<KeyRecord>(&own)?);
            let nodes: Vec<NodeRecord> = batch.list(&own)?;
            let nodes = count(&nodes);
            if (users, keys, nodes) == (0, 0, 0) {
                // Its rules are nothing without it.
                batch.list::<PolicyRecord>(&own)?.iter().try_for_each(|record| batch.erase(record))?;
                batch.list::<AliasRecord>(&own)?.iter().try_for_each(|record| batch.erase(record))?;
                batch.list::<CopiesRecord>(&own)?.iter().try_for_each(|record| batch.erase(record))?;
                batch.list::<PlacementRecord>(&own)?.iter().try_for_each(|record| batch.erase(record))?;
                batch.list::<PatternRecord>(&own)?.iter().try_for_each(|record| batch.erase(record))?;
                erase_beside::<AnswersRecord>(batch, old.id())?;
                show_usage(batch, old.id())?;
                return erase_limits(batch, old.id());
            }
            let slug = old.name().map_or(old.id(), |(_, slug)| slug).to_owned();
            Err(StoreError::NotEmpty { slug, users, keys, nodes })
        }
        _ => Ok(()),
    }
}
