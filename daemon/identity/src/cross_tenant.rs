//! Errors about objects outside the caller's scope: the same as for objects that do not exist.

use std::sync::atomic::Ordering;

use aivonx_ledgers::audit::Entry;
use aivonx_protocol::{
    Fault,
    audit::{Action, Outcome},
};
use aivonx_store::{Collection, StoreError};

use super::{Actor, Identity, Source};

impl Identity {
    /// The fault that `actor` gets for a failed operation of the store. An object outside its scope is recorded and
    /// counted, and reported exactly as if it did not exist.
    pub fn refuse(&self, actor: &Actor, error: StoreError) -> Fault {
        if let StoreError::Foreign { noun, id } = &error {
            // What the daemon tries itself (aivonx check --isolation) is in the log, and no alarm.
            if !matches!(actor.source, Source::Daemon) {
                self.counters.cross_organization.fetch_add(1, Ordering::Relaxed);
            }
            let entry = Entry::new(Action::CrossOrgDenied)
                .actor(actor.who())
                .organization(actor.organization.as_deref())
                .object(noun, None, Some(id))
                .outcome(Outcome::Denied);
            self.audit.note(match actor.request_id() {
                Some(id) => entry.request_id(id),
                None => entry,
            });
        }
        error.into()
    }

    /// As [`Self::refuse`], for what was found to be foreign elsewhere. `asked` is what the caller wrote.
    pub fn foreign(&self, actor: &Actor, noun: Collection, asked: &str) -> Fault {
        self.refuse(actor, StoreError::Foreign { noun: noun.as_str(), id: asked.to_owned() })
    }

    /// The fault for an object that does not exist. `asked` is what the caller wrote.
    #[must_use]
    pub fn missing(noun: Collection, asked: &str) -> Fault {
        StoreError::NotFound { noun: noun.as_str(), id: asked.to_owned() }.into()
    }
}
