//! How the requests of keys wait.

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Fault, FaultKind,
    key::{KeyQueueing, Priority},
};
use aivonx_store::{KeyQueueingRecord, KeyRecord};

use super::{Actor, Identity};

impl Identity {
    /// How the requests of a key wait; without one, those of every key within reach for which something was said.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach.
    pub async fn key_queueing(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        key: Option<&str>,
    ) -> Result<Vec<KeyQueueing>, Fault> {
        let records = self.store.key_queueing();
        if let Some(key) = key {
            let (key, _) = self.key_record(actor, organization, key).await?;
            let found = records.get(&TenantScope::All, &key.id).await?;
            return Ok(vec![view(found.unwrap_or_else(|| of_key(key.id)))]);
        }
        let keys = self.keys_within(actor, organization).await?;
        let mut all = records.list(&TenantScope::All).await?;
        all.retain(|record| keys.iter().any(|key| key.id == record.id));
        Ok(all.into_iter().map(view).collect())
    }

    /// The keys within reach, of `organization` if it is given.
    pub(super) async fn keys_within(
        &self,
        actor: &Actor,
        organization: Option<&str>,
    ) -> Result<Vec<KeyRecord>, Fault> {
        let reach = match organization {
            None => actor.reach(),
            Some(wanted) => match self.organization_of(actor, Some(wanted)).await? {
                Some(found) if actor.reach() == TenantScope::All => TenantScope::Organization(found.id),
                _ => actor.reach(),
            },
        };
        Ok(self.store.keys().list(&reach).await?)
    }

    /// Says how the requests of a key wait.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `NotPermitted` for a high priority, which is at the cost of every
    /// organization, if the actor does not run the fleet, and for a higher one than before if it is a member.
    pub async fn set_key_queueing(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        key: &str,
        priority: Option<Priority>,
        keep_waiting: Option<bool>,
    ) -> Result<Vec<KeyQueueing>, Fault> {
        let (key, _) = self.key_record(actor, organization, key).await?;
        if let Some(priority) = priority {
            let before = self.store.key_queueing().get(&TenantScope::All, &key.id).await?;
            check(actor, before.map(|before| before.priority).unwrap_or_default(), priority)?;
        }
        let id = key.id.clone();
        let change = move |old: Option<KeyQueueingRecord>| {
            let mut new = old.unwrap_or_else(|| of_key(id));
            new.priority = priority.unwrap_or(new.priority);
            new.keep_waiting = keep_waiting.unwrap_or(new.keep_waiting);
            let is_default = (new.priority, new.keep_waiting) == (Priority::default(), false);
            (!is_default).then_some(new)
        };
        let record = self.store.key_queueing().alter(&key.id, change).await?;
        self.settle().await?;
        Ok(vec![view(record.unwrap_or_else(|| of_key(key.id)))])
    }
}

fn check(actor: &Actor, before: Priority, asked: Priority) -> Result<(), Fault> {
    let (most, who) = match actor.reach() {
        TenantScope::All => return Ok(()),
        TenantScope::Organization(_) => (Priority::Normal, "those who run the fleet"),
        TenantScope::User { .. } => (before.min(Priority::Normal), "an administrator"),
    };
    if asked <= most || asked == before {
        return Ok(());
    }
    let message = format!("the priority {} is for {who} to give", asked.as_str());
    let hint = format!("ask for one, or use {}", most.as_str());
    Err(Fault::new(FaultKind::NotPermitted, message).field("priority").hint(hint))
}

fn of_key(id: String) -> KeyQueueingRecord {
    KeyQueueingRecord { id, ..KeyQueueingRecord::default() }
}

fn view(record: KeyQueueingRecord) -> KeyQueueing {
    let KeyQueueingRecord { id, priority, keep_waiting, .. } = record;
    KeyQueueing { key: id, priority, keep_waiting }
}

#[cfg(test)]
#[path = "key_queueing_tests.rs"]
mod tests;
