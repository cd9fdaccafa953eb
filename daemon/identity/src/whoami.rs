//! Who somebody is and in which session, as it is shown.

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    WireSecret,
    account::{Identity as Shown, LoggedIn},
    session::{Session, SessionKind},
};
use aivonx_store::{SessionRecord, StoreError, UserRecord};

use super::{
    AccountError, Actor, Identity, RequiredActions, Snapshot, Source,
    sessions::{includes, uid},
};

impl Identity {
    /// Who `actor` is, for itself. `known` is whether it is anyone at all.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn whoami(&self, actor: &Actor, known: bool) -> Result<Shown, AccountError> {
        let user = match &actor.user {
            Some(user) => if_readable(self.store.users().get(&TenantScope::All, user).await)?,
            None => None,
        };
        let owed = match &user {
            Some(user) => self.owed(user).await?,
            None => RequiredActions::default(),
        };
        let session = match &actor.session {
            Some(id) => if_readable(self.store.sessions().get(&TenantScope::All, id).await)?,
            None => None,
        };
        let hot = self.hot().full();
        let slug = |id: &String| hot.organization(id).map(|organization| organization.slug.to_string());
        Ok(Shown {
            user: actor.user.as_ref().map(|_| actor.name.clone()),
            role: known.then_some(actor.role),
            organization: actor.organization.as_ref().and_then(slug),
            session: session.map(|record| self.session_shown(&hot, record)),
            must_enrol: owed.enrol,
            must_change_password: owed.password,
            totp: user.as_ref().is_some_and(|user| user.totp.as_ref().is_some_and(|totp| totp.confirmed)),
            backup_codes: user.map_or(0, |user| u32::try_from(user.backup_codes.len()).unwrap_or(u32::MAX)),
            uid: uid(&actor.source).unwrap_or(u32::MAX),
            set_up: self.is_set_up(),
        })
    }

    /// What a login is answered with.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn logged_in_as(
        &self,
        user: &UserRecord,
        session: SessionRecord,
        secret: WireSecret,
        source: &Source,
    ) -> Result<LoggedIn, AccountError> {
        let actor = Actor { session: Some(session.id.clone()), ..Actor::of(user, source.clone()) };
        let identity = self.whoami(&actor, true).await?;
        Ok(LoggedIn { identity, secret, expires: session.expires, idle_ms: session.idle_ms })
    }

    /// A session as its owner and administrators see it.
    pub(super) fn session_shown(&self, hot: &Snapshot, record: SessionRecord) -> Session {
        let user = hot.user(&record.user);
        let role = match user {
            Some(user) if !includes(user.role, record.role) || record.kind != SessionKind::Token => user.role,
            _ => record.role,
        };
        Session {
            last_used: self.sessions.last_used(&record.id).unwrap_or(record.last_used),
            kind: record.kind,
            user: user.map_or_else(|| record.user.clone(), |user| user.name.to_string()),
            name: record.name,
            role,
            organization: record
                .organization
                .as_ref()
                .and_then(|id| hot.organization(id).map(|organization| organization.slug.to_string())),
            peer_uid: record.peer_uid,
            address: record.address,
            created: record.created,
            expires: record.expires,
            id: record.id,
        }
    }
}

/// None from a store that failed: who is logged in must be able to look at what is wrong.
fn if_readable<T>(read: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Failed | StoreError::Away(_) | StoreError::Database(_)) => Ok(None),
        read => read,
    }
}
