//! Control tokens: sessions for scripts, which expire and never exceed who made them.

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_protocol::{
    Fault, FaultKind,
    session::{NewSession, Session, SessionKind},
    user::Role,
};
use aivonx_store::{SessionRecord, UserRecord};

use super::{
    Actor, Identity,
    sessions::{hash, includes},
    token_format::{self, Kind},
};

/// Shortest life of a token, milliseconds.
const SHORTEST: u64 = 60_000;
/// Longest life of a token, milliseconds.
const LONGEST: u64 = 400 * 24 * 3_600_000;
/// Most tokens of one user.
const TOKENS: usize = 100;
/// Longest name, characters.
const NAME: usize = 63;

impl Identity {
    /// Makes a token of the caller's. It takes effect with the next [`Self::settle`].
    ///
    /// # Errors
    /// `Invalid` naming the field, `Conflict` if the name is taken, `NotPermitted` if the role is not the caller's
    /// to give or the caller acts by a token itself: what expires must not be able to prolong itself.
    pub async fn create_token(
        &self,
        actor: &Actor,
        name: &str,
        role: Option<Role>,
        lasts_ms: u64,
    ) -> Result<NewSession, Fault> {
        let user = self.token_owner(actor).await?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.chars().count() > NAME || !name.chars().all(plain) {
            let message = format!("use 1 to {NAME} letters, digits, '.', '_' and '-'");
            return Err(Fault::new(FaultKind::Invalid, message).field("name"));
        }
        if !(SHORTEST..=LONGEST).contains(&lasts_ms) {
            let message = "a token lasts from 1 minute to 400 days";
            return Err(Fault::new(FaultKind::Invalid, message).field("lasts"));
        }
        let tokens = self.own_tokens(&user).await?;
        if tokens.iter().any(|token| token.name.as_deref() == Some(name) && token.expires > now()) {
            let message = format!("you have a token \"{name}\" already");
            let hint = format!("Choose another name, or revoke it: aivonx token revoke {name}");
            return Err(Fault::new(FaultKind::Conflict, message).field("name").hint(hint));
        }
        if tokens.len() >= TOKENS {
            let message = format!("you have {TOKENS} tokens already");
            return Err(Fault::new(FaultKind::Conflict, message).hint("Revoke some: aivonx token list"));
        }
        if let Some(session) = &actor.session
            && let Some(session) = self.store.sessions().get(&TenantScope::All, session).await?
            && session.kind == SessionKind::Token
        {
            let message = "a token cannot make tokens";
            return Err(Fault::new(FaultKind::NotPermitted, message).hint("Log in: aivonx login"));
        }
        let role = role.unwrap_or(user.role);
        if !includes(user.role, role) {
            let message =
                format!("role: {}, who are {}, cannot give a token the role {role}", "you", user.role);
            return Err(Fault::new(FaultKind::NotPermitted, message).field("role"));
        }
        let failed = |error: super::NoRandom| Fault::new(FaultKind::Internal, error.to_string());
        let secret = token_format::generate(Kind::Token).map_err(failed)?;
        let now = now();
        let record = SessionRecord {
            name: Some(name.to_owned()),
            role,
            expires: now + lasts_ms,
            ..SessionRecord::new(SessionKind::Token, &user, hash(Kind::Token, &secret), now)
        };
        let record = self.store.sessions().insert(record).await?;
        Ok(NewSession { session: self.session_shown(&self.hot().full(), record), secret })
    }

    /// The caller's tokens, the newest last.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn control_tokens(&self, actor: &Actor) -> Result<Vec<Session>, Fault> {
        let user = self.token_owner(actor).await?;
        let hot = self.hot().full();
        let tokens = self.own_tokens(&user).await?;
        Ok(tokens.into_iter().map(|token| self.session_shown(&hot, token)).collect())
    }

    /// Ends a token of the caller's, by name or id.
    ///
    /// # Errors
    /// `NotFound`; or the store fails.
    pub async fn revoke_token(&self, actor: &Actor, wanted: &str) -> Result<(), Fault> {
        let user = self.token_owner(actor).await?;
        let named = |token: &&SessionRecord| token.id == wanted || token.name.as_deref() == Some(wanted);
        let tokens = self.own_tokens(&user).await?;
        // One that has expired may still bear the name.
        let Some(token) = tokens.iter().rev().find(named) else {
            let shown = aivonx_protocol::Untrusted::new(wanted);
            let message = format!("there is no token \"{shown}\" of yours");
            return Err(Fault::new(FaultKind::NotFound, message).hint("See them: aivonx token list"));
        };
        self.store.sessions().remove(&TenantScope::All, &token.id, None).await?;
        Ok(())
    }

    async fn own_tokens(&self, user: &UserRecord) -> Result<Vec<SessionRecord>, Fault> {
        let own = TenantScope::User { organization: user.organization.clone(), user: user.id.clone() };
        let mut tokens = self.store.sessions().list(&own).await?;
        tokens.retain(|session| session.kind == SessionKind::Token && session.epoch >= user.epoch);
        tokens.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(tokens)
    }

    async fn token_owner(&self, actor: &Actor) -> Result<UserRecord, Fault> {
        let found = match &actor.user {
            Some(id) => self.store.users().get(&TenantScope::All, id).await?,
            None => None,
        };
        found.ok_or_else(|| {
            let message = format!("{} is no user of the gateway, so it has no tokens", actor.name);
            Fault::new(FaultKind::Conflict, message).hint("Log in as a user: aivonx login")
        })
    }
}
