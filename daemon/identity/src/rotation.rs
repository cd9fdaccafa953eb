//! Replacing peppers and signing keys, and forgetting the old ones when their time has come.
//!
//! A new one is in use from the next snapshot on. An old pepper still finds the keys hashed with it, each of which
//! moves to the new one when it is used; at the deadline those that have not are revoked, and the pepper is
//! forgotten. An old signing key verifies until the last token that it signed has expired.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_ledgers::audit::Entry;
use aivonx_protocol::{UnixMillis, audit::Action};
use aivonx_store::{KeyRecord, SecretKind, SecretRecord, StoreError};
use tokio::sync::Notify;

use super::{
    Identity, IdentityError,
    access_token::ACCESS_SECONDS,
    key_material::{SEALED_IN, generate, kind_name},
};

/// How long API keys may take to move to a new pepper unless the administrator says otherwise.
pub const PEPPER_DEADLINE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long an old signing key verifies: longer than any access token lasts, clocks that differ included.
pub const SIGNING_GRACE: Duration = Duration::from_secs(2 * ACCESS_SECONDS);

/// How often it is looked whether something is due, at least. Clocks are set.
const LOOK: Duration = Duration::from_secs(600);

/// How long a rotation may take to say when the older ones are forgotten; after that it has crashed.
const UNDECIDED: Duration = Duration::from_secs(60);

/// Pause after looking failed.
const AGAIN: Duration = Duration::from_secs(10);

impl Identity {
    /// Makes a new pepper or signing key, which is in use when this returns. The older ones are forgotten in
    /// `grace`, unless that has been decided before.
    ///
    /// # Errors
    /// If the store fails, or the system gives no random numbers.
    pub async fn rotate(&self, kind: SecretKind, grace: Duration) -> Result<u32, IdentityError> {
        let records = self.of_kind(kind).await?;
        let number = records.last().map_or(0, |record| record.number) + 1;
        let id = format!("{}-{number}", kind_name(kind));
        let record = SecretRecord {
            sealed: self.vault.seal(SEALED_IN, &id, &generate(kind)?)?,
            id,
            kind,
            number,
            created: 0,
            retire_at: None,
            revision: 0,
        };
        // First the new one: without one in use nothing could be made or verified.
        self.store.secrets().insert(record).await?;
        self.retire_older(&records, now().saturating_add(millis(grace))).await?;
        self.settle().await?;
        tracing::info!(event = "secret_made", kind = kind_name(kind), number, "a new one is in use");
        Ok(number)
    }

    /// Says of every one of `records` without a time when it is forgotten.
    async fn retire_older(&self, records: &[SecretRecord], at: UnixMillis) -> Result<(), IdentityError> {
        for record in records.iter().filter(|record| record.retire_at.is_none()) {
            let set = move |record: &mut SecretRecord| record.retire_at = record.retire_at.or(Some(at));
            self.store.secrets().update(&TenantScope::All, &record.id, None, set).await?;
        }
        Ok(())
    }

    /// Those of one kind, oldest first.
    async fn of_kind(&self, kind: SecretKind) -> Result<Vec<SecretRecord>, IdentityError> {
        let mut records = self.store.secrets().list(&TenantScope::All).await?;
        records.retain(|record| record.kind == kind);
        records.sort_by_key(|record| record.number);
        Ok(records)
    }

    /// Forgets what is due at `now`: revokes the keys that still need an old pepper, then the pepper; old signing
    /// keys. Also finishes what a crash has left undecided. Returns when something is due next.
    ///
    /// # Errors
    /// If the store fails. It can be repeated.
    pub(crate) async fn retire_due(&self, now: UnixMillis) -> Result<Option<UnixMillis>, IdentityError> {
        let mut next: Option<UnixMillis> = None;
        // The audit log looks after its own keys: their public halves verify for ever.
        for (kind, grace) in
            [(SecretKind::Pepper, PEPPER_DEADLINE), (SecretKind::TokenSigning, SIGNING_GRACE)]
        {
            let mut records = self.of_kind(kind).await?;
            let Some(newest) = records.pop() else { continue };
            let undecided = records.iter().any(|record| record.retire_at.is_none());
            let decided_by = newest.created.saturating_add(millis(UNDECIDED));
            if undecided && now < decided_by {
                // Its rotation is under way and is about to say it itself.
                next = Some(next.map_or(decided_by, |next| next.min(decided_by)));
            } else {
                self.retire_older(&records, newest.created.saturating_add(millis(grace))).await?;
            }
            for record in self.of_kind(kind).await?.iter().filter(|record| record.number < newest.number) {
                match record.retire_at {
                    Some(at) if at <= now => self.forget(record).await?,
                    Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                    None => {}
                }
            }
        }
        Ok(next)
    }

    async fn forget(&self, record: &SecretRecord) -> Result<(), IdentityError> {
        let mut revoked = 0;
        if record.kind == SecretKind::Pepper {
            for key in self.store.keys().list(&TenantScope::All).await? {
                revoked += u32::from(self.release(&key, record.number).await?);
            }
        }
        match self.store.secrets().remove(&TenantScope::All, &record.id, None).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let (kind, number) = (kind_name(record.kind), record.number);
        tracing::info!(event = "secret_retired", kind, number, revoked, "an old one is forgotten");
        Ok(())
    }

    /// Frees `key` of the pepper: revoked if its hash needs it, its secret before the last rotation ended if only
    /// that does. Says whether it was revoked.
    async fn release(&self, key: &KeyRecord, pepper: u32) -> Result<bool, IdentityError> {
        let needs = key.revoked.is_none() && key.pepper == pepper;
        let retiring = key.retiring.as_ref().is_some_and(|retiring| retiring.pepper == pepper);
        if !needs && !retiring {
            return Ok(false);
        }
        let at = now();
        let release = move |key: &mut KeyRecord| {
            // Looked at again: it may have been used since.
            if key.revoked.is_none() && key.pepper == pepper {
                key.revoked = Some(at);
            }
            if key.retiring.as_ref().is_some_and(|retiring| retiring.pepper == pepper) {
                key.retiring = None;
            }
        };
        let record = match self.store.keys().update(&TenantScope::All, &key.id, None, release).await {
            Ok(record) => record,
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if record.revoked != Some(at) {
            return Ok(false);
        }
        let entry = Entry::new(Action::KeyRevoke)
            .organization(record.organization.as_deref())
            .object("key", Some(&record.id), Some(&record.name))
            .via("secrets.rotate")
            .detail("reason", "its pepper was replaced, and it was not used before the deadline");
        if let Err(error) = self.audit.write(entry).await {
            tracing::error!(event = "audit_failed", %error, "a revocation is not in the audit log");
        }
        Ok(true)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Forgets old peppers and signing keys when they are due, as long as `identity` is there.
pub fn follow(identity: &Arc<Identity>) {
    tokio::spawn(run(Arc::downgrade(identity), identity.secrets_changed.clone()));
}

async fn run(identity: Weak<Identity>, secrets_changed: Arc<Notify>) {
    loop {
        let due = {
            let Some(identity) = identity.upgrade() else { return };
            // Of several members one forgets for all.
            let retired = match identity.store.has_duty("retirement").await {
                true => identity.retire_due(now()).await,
                false => Ok(None),
            };
            match retired {
                Ok(next) => next.map_or(LOOK, |at| Duration::from_millis(at.saturating_sub(now())).min(LOOK)),
                Err(IdentityError::Store(StoreError::Closed)) => return,
                Err(error) => {
                    tracing::error!(event = "secret_kept", %error, "what is due could not be forgotten");
                    AGAIN
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(due) => {}
            () = secrets_changed.notified() => {}
        }
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
