//! Proving who one is with name, password and second factor: the one way in, for the control socket and HTTP.

use std::sync::atomic::Ordering;

use aivonx_domain::TenantScope;
use aivonx_domain::{address_key, now};
use aivonx_ledgers::audit::{Entry, Who};
use aivonx_protocol::{
    WireSecret,
    audit::{Action, Outcome},
};
use aivonx_store::UserRecord;

use super::{
    AccountError, Attempt, Identity, Refused, Source,
    lockout::{Place, peer_key},
    second_factor::{self, Factor},
};

/// Longest name looked up; no user has a longer one.
const NAME: usize = 63;

/// What a user has to do before anything but managing the own account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequiredActions {
    /// Change the password.
    pub password: bool,
    /// Set up two-factor authentication.
    pub enrol: bool,
}

impl RequiredActions {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// Somebody who has proven who they are.
#[derive(Debug)]
pub struct Authenticated {
    /// The user, as stored now.
    pub user: UserRecord,
    /// What it has to do first.
    pub owed: RequiredActions,
}

impl Identity {
    /// Checks name, password and second factor. Counts failures, records the login and rehashes the password where
    /// its hash is weaker than today's. `via` says how it was asked, for the audit log (`account.login`).
    ///
    /// An unknown name, a disabled user or organization, a user without a password and a wrong password take the
    /// same time and get the same error.
    ///
    /// # Errors
    /// [`AccountError::Credentials`], [`AccountError::OtpRequired`], [`AccountError::OneTimeCode`],
    /// [`AccountError::Locked`], [`AccountError::Busy`]; or something fails.
    pub async fn authenticate(
        &self,
        name: &str,
        password: &WireSecret,
        otp: Option<&WireSecret>,
        source: &Source,
        via: &str,
    ) -> Result<Authenticated, AccountError> {
        let name = name.to_lowercase();
        let attempt = self.attempt(&name, source, via).await?;
        let found = if name.len() <= NAME {
            self.store.users().by_name(&TenantScope::All, None, &name).await?
        } else {
            None
        };
        let enabled = match &found {
            Some(user) => user.enabled && self.organization_enabled(user).await?,
            None => false,
        };
        let hash = found.as_ref().filter(|_| enabled).and_then(|user| user.password.as_deref());
        let verdict = self.hashers.at(source).verify(hash, password.clone()).await?;
        let user = match found {
            Some(user) if enabled && verdict.ok => user,
            found => {
                self.failed(attempt, &name, found.as_ref(), source, via, "password").await;
                return Err(AccountError::Credentials);
            }
        };
        let mut factor = None;
        if user.totp.as_ref().is_some_and(|totp| totp.confirmed) {
            // The right password is no failure; how often it is shown without a code does not matter.
            let otp = otp.filter(|otp| !otp.expose().is_empty()).ok_or(AccountError::OtpRequired)?;
            factor = second_factor::prove(&self.store, &self.vault, &user, otp.expose(), now()).await?;
            if factor.is_none() {
                self.failed(attempt, &name, Some(&user), source, via, "one-time code").await;
                return Err(AccountError::OneTimeCode);
            }
        }
        attempt.succeeded().await;
        let user = self.logged_in(user, verdict.needs_rehash.then_some(password), source).await?;
        let entry = entry(Action::Login, &user, source, via);
        self.audit.write(entry).await.map_err(|e| AccountError::Other(e.into()))?;
        if let Some(Factor::BackupCode(left)) = factor {
            let entry = self::entry(Action::BackupCodeUsed, &user, source, via).detail("left", left);
            self.audit.write(entry).await.map_err(|e| AccountError::Other(e.into()))?;
        }
        let owed = self.owed(&user).await?;
        Ok(Authenticated { user, owed })
    }

    /// Checks the password of somebody who is logged in, again. Failures count like those of logins.
    ///
    /// # Errors
    /// As [`Self::authenticate`].
    pub(super) async fn confirm_password(
        &self,
        user: &UserRecord,
        password: &WireSecret,
        source: &Source,
        via: &str,
    ) -> Result<(), AccountError> {
        let attempt = self.attempt(&user.name, source, via).await?;
        let hash = user.password.as_deref().filter(|_| user.enabled);
        if self.hashers.at(source).verify(hash, password.clone()).await?.ok {
            attempt.succeeded().await;
            return Ok(());
        }
        self.failed(attempt, &user.name, Some(user), source, via, "password").await;
        Err(AccountError::Credentials)
    }

    /// As [`Self::confirm_password`], for a one-time or backup code.
    pub(super) async fn confirm_code(
        &self,
        user: &UserRecord,
        code: &WireSecret,
        source: &Source,
        via: &str,
    ) -> Result<(), AccountError> {
        let attempt = self.attempt(&user.name, source, via).await?;
        if second_factor::prove(&self.store, &self.vault, user, code.expose(), now()).await?.is_some() {
            attempt.succeeded().await;
            return Ok(());
        }
        self.failed(attempt, &user.name, Some(user), source, via, "one-time code").await;
        Err(AccountError::OneTimeCode)
    }

    /// What `user` has to do before anything but managing the own account.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn owed(&self, user: &UserRecord) -> Result<RequiredActions, AccountError> {
        let enrolled = user.totp.as_ref().is_some_and(|totp| totp.confirmed);
        let enrol = !enrolled && self.totp_required(user).await?;
        Ok(RequiredActions { password: user.must_change_password, enrol })
    }

    /// Whether `user` must have two-factor authentication.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn totp_required(&self, user: &UserRecord) -> Result<bool, AccountError> {
        if self.demands_two_factor() && !user.totp_exempt {
            return Ok(true);
        }
        let Some(id) = &user.organization else { return Ok(false) };
        let organization = self.store.organizations().get(&TenantScope::All, id).await?;
        Ok(organization.is_some_and(|organization| organization.require_totp))
    }

    pub(super) async fn organization_enabled(&self, user: &UserRecord) -> Result<bool, AccountError> {
        let Some(id) = &user.organization else { return Ok(true) };
        let organization = self.store.organizations().get(&TenantScope::All, id).await?;
        Ok(organization.is_some_and(|organization| organization.enabled))
    }

    /// Begins an attempt, and waits as long as it has to be delayed.
    async fn attempt(&self, name: &str, source: &Source, via: &str) -> Result<Attempt, AccountError> {
        let now = now();
        match self.lockouts.begin(Place::new(name, address(source)), now) {
            Ok(attempt) => {
                if !attempt.delay().is_zero() {
                    tokio::time::sleep(attempt.delay()).await;
                }
                Ok(attempt)
            }
            Err(Refused::Locked(until)) => {
                self.counters.login_failures.fetch_add(1, Ordering::Relaxed);
                self.audit.note(unknown(Action::LoginFailed, name, source, via).detail("reason", "locked"));
                Err(AccountError::Locked(until.saturating_sub(now).div_ceil(1000).max(1)))
            }
            Err(Refused::Crowded) => Err(AccountError::Busy),
        }
    }

    async fn failed(
        &self,
        attempt: Attempt,
        name: &str,
        user: Option<&UserRecord>,
        source: &Source,
        via: &str,
        reason: &str,
    ) {
        let locked = attempt.failed(now()).await;
        self.counters.login_failures.fetch_add(1, Ordering::Relaxed);
        let of = |action| match user {
            Some(user) => entry(action, user, source, via).outcome(Outcome::Denied),
            None => unknown(action, name, source, via),
        };
        self.audit.note(of(Action::LoginFailed).detail("reason", reason));
        if locked {
            self.counters.lockouts.fetch_add(1, Ordering::Relaxed);
            self.audit.note(of(Action::Lockout));
        }
    }

    /// Writes down a login, and the password under today's parameters where that is due.
    async fn logged_in(
        &self,
        user: UserRecord,
        rehash: Option<&WireSecret>,
        source: &Source,
    ) -> Result<UserRecord, AccountError> {
        let rehashed = match rehash {
            Some(password) => Some(self.hashers.at(source).hash(password.clone()).await?),
            None => None,
        };
        let (at, old) = (now(), user.password.clone());
        let users = self.store.users();
        let updated = users.update(&TenantScope::All, &user.id, None, move |record| {
            record.last_login = Some(at);
            // Unless it was changed in the meantime.
            if rehashed.is_some() && record.password == old {
                record.password = rehashed;
            }
        });
        Ok(updated.await?)
    }
}

/// What failures are counted by.
pub(super) fn address(source: &Source) -> String {
    match source {
        Source::Control { uid, .. } => peer_key(*uid),
        Source::Http { address, .. } => address_key(*address),
        Source::Daemon => "daemon".to_owned(),
    }
}

/// An entry of `user` about itself.
pub(super) fn entry(action: Action, user: &UserRecord, source: &Source, via: &str) -> Entry {
    attributed(action, Some(user.id.clone()), &user.name, source, via)
        .organization(user.organization.as_deref())
        .object("user", Some(&user.id), Some(&user.name))
}

/// An entry of somebody who claims to be `name`, about a refusal.
pub(super) fn unknown(action: Action, name: &str, source: &Source, via: &str) -> Entry {
    attributed(action, None, name, source, via).object("user", None, Some(name)).outcome(Outcome::Denied)
}

fn attributed(action: Action, id: Option<String>, name: &str, source: &Source, via: &str) -> Entry {
    let entry = Entry::new(action).via(via);
    match source {
        Source::Control { uid, gid, pid } => entry.actor(Who::control(id, name, *uid, *gid, *pid)),
        Source::Http { address, user_agent, request_id } => {
            entry.actor(Who::http(id, name, *address, user_agent.as_deref())).request_id(request_id)
        }
        Source::Daemon => entry,
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
