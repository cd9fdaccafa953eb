//! Limits as they were set.

use std::collections::BTreeMap;

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Fault, UnixMillis,
    limit::{LimitLevel, LimitSetting},
};
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record, Records, StoreError,
    records::{Trees, record_head},
    tree::Tree,
};

/// Id of the record of the fleet; the others have the id of what they are about.
pub const FLEET: &str = "fleet";

/// Caps by what they limit; None is unlimited.
pub type LimitValues = BTreeMap<LimitSetting, Option<u64>>;

/// What limits are set on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitSubject {
    /// The installation.
    Fleet,
    /// An organization.
    Organization {
        /// Its id.
        id: String,
    },
    /// A user.
    User {
        /// Its id.
        id: String,
        /// Id of its organization.
        organization: Option<String>,
    },
    /// A key.
    Key {
        /// Its id.
        id: String,
        /// Id of its organization.
        organization: Option<String>,
        /// Id of the user it acts for.
        user: Option<String>,
    },
}

impl LimitSubject {
    /// The id of the record about it.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Fleet => FLEET,
            Self::Organization { id } | Self::User { id, .. } | Self::Key { id, .. } => id,
        }
    }

    /// What kind of thing it is.
    #[must_use]
    pub fn level(&self) -> LimitLevel {
        match self {
            Self::Fleet => LimitLevel::Fleet,
            Self::Organization { .. } => LimitLevel::Organization,
            Self::User { .. } => LimitLevel::User,
            Self::Key { .. } => LimitLevel::Key,
        }
    }

    /// The id of its organization.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        match self {
            Self::Fleet => None,
            Self::Organization { id } => Some(id),
            Self::User { organization, .. } | Self::Key { organization, .. } => organization.as_deref(),
        }
    }

    /// The id of the user it is, or acts for.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Fleet | Self::Organization { .. } => None,
            Self::User { id, .. } => Some(id),
            Self::Key { user, .. } => user.as_deref(),
        }
    }
}

/// What was set on one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitRecord {
    /// The id of what it is about, or [`FLEET`].
    pub id: String,
    /// What it is about.
    pub subject: LimitSubject,
    /// Set by a superadmin.
    pub granted: LimitValues,
    /// Set by an administrator of the organization: never more than what was granted.
    pub own: LimitValues,
    /// When something was first set.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl LimitRecord {
    /// Nothing set.
    #[must_use]
    pub fn new(subject: LimitSubject) -> Self {
        Self {
            id: subject.id().to_owned(),
            subject,
            granted: LimitValues::new(),
            own: LimitValues::new(),
            created: 0,
            revision: 0,
        }
    }
}

impl Record for LimitRecord {
    const COLLECTION: Collection = Collection::Limit;
    const TREES: Trees = Trees { record: Tree::Limit, name: None, owner: None };

    record_head!();

    fn organization(&self) -> Option<&str> {
        self.subject.organization()
    }

    fn user(&self) -> Option<&str> {
        self.subject.user()
    }
}

impl Records<LimitRecord> {
    /// Changes what is set on `subject`, something or nothing; durable when it returns. `expected` is the
    /// revision the caller saw (0: nothing was set), None changes any revision. A fault of `change` stores nothing.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] if the subject is outside `reach`, [`StoreError::NotFound`] if it is gone,
    /// [`StoreError::Conflict`], [`StoreError::Refused`] with the fault of `change`; or the store fails.
    pub async fn revise(
        &self,
        reach: &TenantScope,
        subject: LimitSubject,
        expected: Option<u64>,
        change: impl FnOnce(&mut LimitRecord) -> Result<(), Fault> + Send + 'static,
    ) -> Result<LimitRecord, StoreError> {
        let noun = LimitRecord::COLLECTION.as_str();
        if !reach.covers(subject.organization(), subject.user()) {
            return Err(StoreError::Foreign { noun, id: subject.id().to_owned() });
        }
        self.write(move |batch| {
            let old: Option<LimitRecord> = batch.get(Tree::Limit, subject.id().as_bytes())?;
            let found = old.as_ref().map_or(0, |old| old.revision);
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                return Err(StoreError::Conflict { noun, id: subject.id().to_owned(), expected, found });
            }
            let mut new = old.clone().unwrap_or_else(|| LimitRecord::new(subject));
            change(&mut new).map_err(|fault| StoreError::Refused(Box::new(fault)))?;
            match old {
                Some(old) => batch.replace(&old, new),
                None if new.granted.is_empty() && new.own.is_empty() => Ok(new),
                None => {
                    batch.insert(&mut new)?;
                    Ok(new)
                }
            }
        })
        .await
    }
}
