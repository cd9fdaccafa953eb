//! Logging in over HTTP: short access tokens, and the refresh families behind them.

use std::sync::Arc;

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_ledgers::audit::Entry;
use aivonx_protocol::{UnixMillis, WireSecret, audit::Action, audit::Outcome};
use aivonx_store::{SessionRecord, StoreError, UserRecord};

use super::{
    AccountError, Actor, Authenticated, Identity, RequiredActions, Source,
    jwt::{AUDIENCE, Claims, Extent},
    login::{address, entry, unknown},
    refresh::{self, RefreshError, Refreshed},
    snapshot::User,
};

/// How long an access token is good for, in seconds.
pub const ACCESS_SECONDS: u64 = 15 * 60;

/// What a login or a refresh gives.
#[derive(Debug)]
pub struct Tokens {
    /// The access token.
    pub access: WireSecret,
    /// The refresh token, good for one use.
    pub refresh: WireSecret,
    /// For how many seconds the access token is good.
    pub expires_in: u64,
    /// What has to be done first: until then the tokens open nothing else.
    pub owed: RequiredActions,
}

impl Identity {
    /// Begins a session over HTTP for somebody whom [`Self::authenticate`] knows.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn http_login(&self, proven: Authenticated, source: &Source) -> Result<Tokens, AccountError> {
        let Authenticated { user, owed } = proven;
        let agent = match source {
            Source::Http { user_agent, .. } => user_agent.as_deref(),
            _ => None,
        };
        let family = refresh::begin(&self.store, &user, Some(address(source)), agent, now()).await?;
        self.settle().await?;
        Ok(self.http_tokens(&user, family, owed))
    }

    /// The user of a refresh token that was not spent yet, and the id of its family.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn refresh_family(
        &self,
        token: &WireSecret,
    ) -> Result<Option<(Arc<User>, String)>, AccountError> {
        let Some(family) = refresh::find(&self.store, token.expose()).await? else { return Ok(None) };
        Ok(self.hot().load().user(&family.user).map(|user| (user.clone(), family.id)))
    }

    /// Spends a refresh token. One that was spent before ends its family, and is recorded.
    ///
    /// # Errors
    /// [`AccountError::Refresh`]; or the store fails.
    pub async fn http_refresh(
        &self,
        token: &WireSecret,
        source: &Source,
        via: &str,
    ) -> Result<Tokens, AccountError> {
        let family = match refresh::rotate(&self.store, token.expose(), now()).await {
            Ok(family) => family,
            Err(RefreshError::Reused(session)) => {
                let user = self.store.users().get(&TenantScope::All, &session.user).await?;
                let entry = match &user {
                    Some(user) => entry(Action::TokenReuse, user, source, via).outcome(Outcome::Denied),
                    None => unknown(Action::TokenReuse, "unknown", source, via),
                };
                self.record(entry.detail("session", &session.id)).await?;
                // Its access tokens end with it.
                self.settle().await?;
                return Err(AccountError::Refresh);
            }
            Err(error) => return Err(error.into()),
        };
        let user = self.store.users().get(&TenantScope::All, &family.session.user).await?;
        let user = user.filter(|user| user.enabled && user.epoch == family.session.epoch);
        let enabled = match &user {
            Some(user) => self.organization_enabled(user).await?,
            None => false,
        };
        let Some(user) = user.filter(|_| enabled) else {
            self.end(&family.session).await?;
            return Err(AccountError::Refresh);
        };
        let owed = self.owed(&user).await?;
        Ok(self.http_tokens(&user, family, owed))
    }

    /// Ends the session `actor` acts in; its access tokens are worth nothing from then on.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn http_logout(&self, actor: &Actor, via: &str) -> Result<(), AccountError> {
        let Some(id) = &actor.session else { return Err(AccountError::NoToken) };
        match self.store.sessions().remove(&TenantScope::All, id, None).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(e) => return Err(e.into()),
        }
        let user = self.own_record(actor).await?;
        self.record(entry(Action::Logout, &user, &actor.source, via)).await?;
        self.settle().await?;
        Ok(())
    }

    /// Ends the session a refresh token belongs to, for a client that has no access token any more.
    ///
    /// # Errors
    /// [`AccountError::Refresh`]; or the store fails.
    pub async fn http_logout_with(
        &self,
        token: &WireSecret,
        source: &Source,
        via: &str,
    ) -> Result<(), AccountError> {
        let family = refresh::find(&self.store, token.expose()).await?.ok_or(AccountError::Refresh)?;
        self.end(&family).await?;
        if let Some(user) = self.store.users().get(&TenantScope::All, &family.user).await? {
            self.record(entry(Action::Logout, &user, source, via)).await?;
        }
        Ok(())
    }

    /// An access token for a session that goes on, after something changed that its old ones do not know.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn access_token(&self, actor: &Actor) -> Result<(WireSecret, RequiredActions), AccountError> {
        let Some(session) = &actor.session else { return Err(AccountError::NoToken) };
        let user = self.own_record(actor).await?;
        let owed = self.owed(&user).await?;
        Ok((self.sign(&user, session, owed, now()), owed))
    }

    /// The caller's record, the slug of its organization, and what it owes.
    ///
    /// # Errors
    /// If the store fails, or the user is gone.
    pub async fn profile(
        &self,
        actor: &Actor,
    ) -> Result<(UserRecord, Option<String>, RequiredActions), AccountError> {
        let user = self.own_record(actor).await?;
        let organization = match &user.organization {
            Some(id) => self.store.organizations().get(&TenantScope::All, id).await?,
            None => None,
        };
        let owed = self.owed(&user).await?;
        Ok((user, organization.map(|organization| organization.slug), owed))
    }

    /// Passes a caller who has nothing to do first.
    ///
    /// # Errors
    /// [`AccountError::MustChangePassword`], [`AccountError::MustEnrol`]; or the store fails.
    pub async fn owes_nothing(&self, actor: &Actor) -> Result<(), AccountError> {
        let user = self.own_record(actor).await?;
        match self.owed(&user).await? {
            RequiredActions { password: true, .. } => Err(AccountError::MustChangePassword),
            RequiredActions { enrol: true, .. } => Err(AccountError::MustEnrol),
            _ => Ok(()),
        }
    }

    fn http_tokens(&self, user: &UserRecord, family: Refreshed, owed: RequiredActions) -> Tokens {
        Tokens {
            access: self.sign(user, &family.session.id, owed, now()),
            refresh: family.token,
            expires_in: ACCESS_SECONDS,
            owed,
        }
    }

    fn sign(&self, user: &UserRecord, session: &str, owed: RequiredActions, now: UnixMillis) -> WireSecret {
        let claims = Claims {
            iss: self.daemon_id().to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.id.clone(),
            org: user.organization.clone(),
            role: user.role,
            epoch: user.epoch,
            sid: session.to_owned(),
            ext: if owed.is_nothing() { Extent::Full } else { Extent::Enrol },
            iat: now / 1000,
            exp: now / 1000 + ACCESS_SECONDS,
            jti: uuid::Uuid::now_v7().to_string(),
        };
        self.hot().load().material.signer.sign(&claims)
    }

    async fn end(&self, session: &SessionRecord) -> Result<(), AccountError> {
        match self.store.sessions().remove(&TenantScope::All, &session.id, None).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(e) => return Err(e.into()),
        }
        self.settle().await?;
        Ok(())
    }

    /// The stored record of the acting user.
    pub(super) async fn own_record(&self, actor: &Actor) -> Result<UserRecord, AccountError> {
        let Some(id) = &actor.user else { return Err(AccountError::NoAccount) };
        let found = self.store.users().get(&TenantScope::All, id).await?;
        found.filter(|user| user.enabled).ok_or(AccountError::TokenInvalid)
    }

    pub(super) async fn record(&self, entry: Entry) -> Result<(), AccountError> {
        self.audit.write(entry).await.map(drop).map_err(|e| AccountError::Other(e.into()))
    }
}
