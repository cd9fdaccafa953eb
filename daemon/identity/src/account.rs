//! What everyone does about the own account, over the control socket and over HTTP: password and second factor.

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_protocol::{Fault, FaultKind, WireSecret, account::TotpOffer, audit::Action};
use aivonx_store::{StoreError, StoredTotp, UserRecord};

use super::{
    AccountError, Actor, Identity, Source,
    backup_code::{self, Purpose},
    lockout::Place,
    login::{address, entry, unknown},
    password::Context,
    second_factor::{self, FactorError},
    totp::TotpSecret,
};

/// Who issues, in authenticators: the gateway's name beside the user's.
const ISSUER: &str = "aivonx";

impl Identity {
    /// Changes the caller's password. Ends its other sessions and all its tokens; the session it acts in goes
    /// on, with new access tokens ([`Self::access_token`]).
    ///
    /// # Errors
    /// [`AccountError::Credentials`] if `old` is wrong, [`AccountError::WeakPassword`],
    /// [`AccountError::SamePassword`]; as [`Self::authenticate`].
    pub async fn change_password(
        &self,
        actor: &Actor,
        old: &WireSecret,
        new: &WireSecret,
        via: &str,
    ) -> Result<(), AccountError> {
        let user = self.own_record(actor).await?;
        self.confirm_password(&user, old, &actor.source, via).await?;
        if old == new {
            return Err(AccountError::SamePassword);
        }
        let hash = self.new_password(&user, new, &actor.source).await?;
        let seen = user.password.clone();
        let set = move |record: &mut UserRecord| {
            // What was confirmed must still be so.
            if record.password != seen {
                return Err(refused());
            }
            set_password(record, hash);
            Ok(())
        };
        let changed = self.store.users().try_update(&TenantScope::All, &user.id, None, set).await;
        let user = unless_refused(changed, AccountError::Credentials)?;
        self.end_other_sessions(&user, actor.session.as_deref()).await?;
        self.record(entry(Action::PasswordChange, &user, &actor.source, via)).await?;
        self.settle().await?;
        Ok(())
    }

    /// The user `name`, if that is a good reset code of theirs.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn reset_holder(
        &self,
        name: &str,
        code: &WireSecret,
    ) -> Result<Option<UserRecord>, AccountError> {
        let found = self.store.users().by_name(&TenantScope::All, None, &name.to_lowercase()).await?;
        Ok(found.filter(|user| user.enabled && is_reset(user, code)))
    }

    /// Sets a new password with the code an administrator gave. Ends every session. The second factor stays.
    ///
    /// # Errors
    /// [`AccountError::ResetCode`] for a wrong, spent or expired code and for an unknown user alike;
    /// [`AccountError::WeakPassword`], which leaves the code unspent.
    pub async fn redeem_reset(
        &self,
        name: &str,
        code: &WireSecret,
        new: &WireSecret,
        source: &Source,
        via: &str,
    ) -> Result<(), AccountError> {
        let name = name.to_lowercase();
        // Before the code: who has none learns nothing of whether it was right. 80 random bits need no lockout.
        let anyone = Context { user: name.clone(), ..Context::default() };
        self.hashers
            .at(source)
            .check_rules(new.clone(), anyone)
            .await?
            .map_err(AccountError::WeakPassword)?;
        let Some(user) = self.reset_holder(&name, code).await? else {
            self.audit.note(unknown(Action::PasswordReset, &name, source, via).detail("reason", "code"));
            return Err(AccountError::ResetCode);
        };
        let hash = self.new_password(&user, new, source).await?;
        let code = code.clone();
        let set = move |record: &mut UserRecord| {
            if !is_reset(record, &code) {
                return Err(refused());
            }
            set_password(record, hash);
            Ok(())
        };
        let changed = self.store.users().try_update(&TenantScope::All, &user.id, None, set).await;
        let user = unless_refused(changed, AccountError::ResetCode)?;
        self.end_other_sessions(&user, None).await?;
        // Who holds the code is no guesser: what they mistyped before is forgotten.
        let place = Place::new(&user.name, address(source));
        self.lockouts.clear(Some(place.user()), Some(place.address())).await?;
        self.record(entry(Action::PasswordReset, &user, source, via)).await?;
        self.settle().await?;
        Ok(())
    }

    /// Offers a second factor; it counts once [`Self::totp_confirm`] has seen a code of it.
    ///
    /// # Errors
    /// [`AccountError::TotpOn`]; as [`Self::authenticate`].
    pub async fn totp_begin(
        &self,
        actor: &Actor,
        password: &WireSecret,
        via: &str,
    ) -> Result<TotpOffer, AccountError> {
        let user = self.own_record(actor).await?;
        self.confirm_password(&user, password, &actor.source, via).await?;
        let shared = TotpSecret::generate()?;
        let secret = self.vault.seal(second_factor::TREE, &user.id, &shared.base32())?;
        let set = move |record: &mut UserRecord| {
            if has_totp(record) {
                return Err(refused());
            }
            record.totp = Some(StoredTotp { secret, confirmed: false, last_step: 0 });
            Ok(())
        };
        let changed = self.store.users().try_update(&TenantScope::All, &user.id, None, set).await;
        unless_refused(changed, AccountError::TotpOn)?;
        Ok(TotpOffer { secret: shared.base32(), uri: shared.uri(ISSUER, &user.name) })
    }

    /// Turns the offered second factor on, and ends the sessions that were begun without it but for this one. Returns
    /// the backup codes.
    ///
    /// # Errors
    /// [`AccountError::OneTimeCode`], [`AccountError::TotpOn`], [`AccountError::TotpOff`] if none was offered.
    pub async fn totp_confirm(
        &self,
        actor: &Actor,
        code: &WireSecret,
        via: &str,
    ) -> Result<Vec<WireSecret>, AccountError> {
        let user = self.own_record(actor).await?;
        if has_totp(&user) {
            return Err(AccountError::TotpOn);
        }
        let offered = user.totp.as_ref().ok_or(AccountError::TotpOff)?;
        let shared = second_factor::open(&self.vault, &user, &offered.secret)?;
        let step = shared.verify(code.expose(), now(), 0).ok_or(AccountError::OneTimeCode)?;
        let codes = backup_code::generate_backup()?;
        let hashes = hashes(&user, &codes);
        let vault = self.vault.clone();
        let confirm = move |record: &mut UserRecord| {
            let same = |totp: &StoredTotp, user: &UserRecord| -> Result<bool, FactorError> {
                let now = second_factor::open(&vault, user, &totp.secret)?;
                Ok(now.base32() == shared.base32())
            };
            // Another offer may have been made in the meantime.
            let known = match &record.totp {
                Some(totp) if !totp.confirmed => same(totp, record).unwrap_or(false),
                _ => false,
            };
            let Some(totp) = record.totp.as_mut().filter(|_| known) else { return Err(refused()) };
            (totp.confirmed, totp.last_step) = (true, step);
            record.backup_codes = hashes;
            record.epoch += 1;
            Ok(())
        };
        let changed = self.store.users().try_update(&TenantScope::All, &user.id, None, confirm).await;
        let user = unless_refused(changed, AccountError::OneTimeCode)?;
        self.end_other_sessions(&user, actor.session.as_deref()).await?;
        self.record(entry(Action::TotpChange, &user, &actor.source, via).detail("change", "on")).await?;
        self.settle().await?;
        Ok(codes)
    }

    /// Turns the second factor off, where nothing demands it.
    ///
    /// # Errors
    /// [`AccountError::TotpRequired`], [`AccountError::TotpOff`]; as [`Self::authenticate`].
    pub async fn totp_disable(
        &self,
        actor: &Actor,
        password: &WireSecret,
        code: &WireSecret,
        via: &str,
    ) -> Result<(), AccountError> {
        let user = self.own_record(actor).await?;
        if !has_totp(&user) {
            return Err(AccountError::TotpOff);
        }
        if self.totp_required(&user).await? {
            return Err(AccountError::TotpRequired);
        }
        self.confirm_password(&user, password, &actor.source, via).await?;
        self.confirm_code(&user, code, &actor.source, via).await?;
        let clear = |record: &mut UserRecord| {
            record.totp = None;
            record.backup_codes.clear();
        };
        let user = self.store.users().update(&TenantScope::All, &user.id, None, clear).await?;
        self.record(entry(Action::TotpChange, &user, &actor.source, via).detail("change", "off")).await?;
        self.settle().await?;
        Ok(())
    }

    /// Checks the caller's password again: is it still the same person?
    ///
    /// # Errors
    /// As [`Self::authenticate`].
    pub async fn verify_password(
        &self,
        actor: &Actor,
        password: &WireSecret,
        via: &str,
    ) -> Result<(), AccountError> {
        let user = self.own_record(actor).await?;
        self.confirm_password(&user, password, &actor.source, via).await
    }

    /// Makes new backup codes; the old ones are void.
    ///
    /// # Errors
    /// [`AccountError::TotpOff`]; as [`Self::authenticate`].
    pub async fn backup_codes(
        &self,
        actor: &Actor,
        password: &WireSecret,
        code: &WireSecret,
        via: &str,
    ) -> Result<Vec<WireSecret>, AccountError> {
        let user = self.own_record(actor).await?;
        if !has_totp(&user) {
            return Err(AccountError::TotpOff);
        }
        self.confirm_password(&user, password, &actor.source, via).await?;
        self.confirm_code(&user, code, &actor.source, via).await?;
        let codes = backup_code::generate_backup()?;
        let hashes = hashes(&user, &codes);
        let set = move |record: &mut UserRecord| {
            if !has_totp(record) {
                return Err(refused());
            }
            record.backup_codes = hashes;
            Ok(())
        };
        let changed = self.store.users().try_update(&TenantScope::All, &user.id, None, set).await;
        let user = unless_refused(changed, AccountError::TotpOff)?;
        self.record(entry(Action::TotpChange, &user, &actor.source, via).detail("change", "codes")).await?;
        Ok(codes)
    }

    /// Checks a new password of `user` against the rules, and hashes it.
    pub(super) async fn new_password(
        &self,
        user: &UserRecord,
        new: &WireSecret,
        source: &Source,
    ) -> Result<String, AccountError> {
        let hasher = self.hashers.at(source);
        let context = self.password_context(user).await?;
        hasher.check_rules(new.clone(), context).await?.map_err(AccountError::WeakPassword)?;
        if hasher.verify(user.password.as_deref(), new.clone()).await?.ok {
            return Err(AccountError::SamePassword);
        }
        Ok(hasher.hash(new.clone()).await?)
    }

    async fn password_context(&self, user: &UserRecord) -> Result<Context, AccountError> {
        let organization = match &user.organization {
            Some(id) => self.store.organizations().get(&TenantScope::All, id).await?,
            None => None,
        };
        Ok(Context {
            user: user.name.clone(),
            display_name: user.display_name.clone(),
            email: user.email.clone(),
            organization: organization.map(|o| vec![o.slug, o.name]).unwrap_or_default(),
        })
    }

    /// Ends the sessions of `user`, whose epoch has just risen, but for `kept`, which goes on in the new one.
    async fn end_other_sessions(&self, user: &UserRecord, kept: Option<&str>) -> Result<(), AccountError> {
        let own = TenantScope::User { organization: user.organization.clone(), user: user.id.clone() };
        let (sessions, epoch) = (self.store.sessions(), user.epoch);
        for session in sessions.list(&own).await? {
            let done = if Some(session.id.as_str()) == kept {
                sessions.update(&TenantScope::All, &session.id, None, move |s| s.epoch = epoch).await
            } else {
                sessions.remove(&TenantScope::All, &session.id, None).await
            };
            match done {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

/// Every session and token of before is void from then on.
fn set_password(record: &mut UserRecord, hash: String) {
    record.password = Some(hash);
    record.password_changed = now();
    record.must_change_password = false;
    record.reset = None;
    record.epoch += 1;
}

fn is_reset(user: &UserRecord, code: &WireSecret) -> bool {
    user.reset.as_ref().is_some_and(|reset| {
        let hashes = std::slice::from_ref(&reset.hash);
        now() < reset.expires && backup_code::find(Purpose::Reset, &user.id, hashes, code.expose()).is_some()
    })
}

fn has_totp(user: &UserRecord) -> bool {
    user.totp.as_ref().is_some_and(|totp| totp.confirmed)
}

fn hashes(user: &UserRecord, codes: &[WireSecret]) -> Vec<String> {
    codes.iter().map(|code| backup_code::hash(Purpose::Backup, &user.id, code.expose())).collect()
}

/// For a change that finds the record otherwise than it was; its text is never shown.
fn refused() -> Fault {
    Fault::new(FaultKind::Conflict, "the account has changed")
}

fn unless_refused(
    changed: Result<UserRecord, StoreError>,
    refused: AccountError,
) -> Result<UserRecord, AccountError> {
    changed.map_err(|error| match error {
        StoreError::Refused(_) => refused,
        other => other.into(),
    })
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
