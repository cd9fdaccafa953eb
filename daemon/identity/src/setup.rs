//! The first superadmin, and the way back in for the owner of the machine.

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_ledgers::audit::{Entry, Who};
use aivonx_limits::profile;
use aivonx_protocol::{Fault, FaultKind, Untrusted, WireSecret, account::Setup, audit::Action, user::Role};
use aivonx_store::UserRecord;

use super::{AccountError, Identity, Source, login::address, password::Context};

impl Identity {
    /// Makes the first superadmin, or (`recover`) rescues a user: a new password, enabled, without second factor
    /// and lockouts. Whether the caller may was decided before. Takes effect with the next [`Self::settle`].
    ///
    /// # Errors
    /// `Conflict` if there is an administrator (or, to rescue one, none); `Invalid` with what the name or the
    /// password breaks; `NotFound` if there is nobody to rescue.
    pub async fn set_up(&self, setup: Setup, source: &Source, via: &str) -> Result<UserRecord, AccountError> {
        // One at a time: two at once would both see no administrator.
        let _alone = self.setting_up.lock().await;
        let administrators = self.administrators().await?;
        if setup.recover {
            return self.recover(setup, &administrators, source, via).await;
        }
        if !administrators.is_empty() {
            let fault = Fault::new(FaultKind::Conflict, "the gateway is set up already");
            let hint = "Log in: aivonx login; if nobody can: sudo aivonx setup --recover USER";
            return Err(fault.hint(hint).into());
        }
        let Setup { username, password, no_totp, profile, recover: _ } = setup;
        check_name(&username)?;
        let record = UserRecord {
            password: Some(self.allowed(&username, password, source).await?),
            password_changed: now(),
            totp_exempt: no_totp,
            ..UserRecord::new(&username, Role::Superadmin, None)
        };
        let user = self.store.users().insert(record).await?;
        if let Some(profile) = profile {
            self.store.settings().set_limit_profile(profile).await?;
        }
        let entry = entry(Action::Setup, &user, source, via).detail("without_second_factor", no_totp);
        self.written(match profile {
            Some(profile) => entry.detail("limit_profile", profile::name(profile)),
            None => entry,
        })
        .await?;
        Ok(user)
    }

    async fn recover(
        &self,
        setup: Setup,
        administrators: &[String],
        source: &Source,
        via: &str,
    ) -> Result<UserRecord, AccountError> {
        let Setup { username, password, no_totp, profile, recover: _ } = setup;
        if administrators.is_empty() {
            let fault = Fault::new(FaultKind::Conflict, "there is no administrator to rescue");
            return Err(fault.hint("Make the first one: sudo aivonx setup").into());
        }
        let name = username.to_lowercase();
        let Some(found) = self.store.users().by_name(&TenantScope::All, None, &name).await? else {
            let message = format!("there is no user \"{}\"", Untrusted::new(&name));
            let hint = format!("Superadmins are: {}", administrators.join(", "));
            return Err(Fault::new(FaultKind::NotFound, message).field("recover").hint(hint).into());
        };
        let hash = self.allowed(&name, password, source).await?;
        let users = self.store.users();
        let rescued = users.update(&TenantScope::All, &found.id, None, move |user| {
            user.password = Some(hash);
            user.password_changed = now();
            user.must_change_password = false;
            user.enabled = true;
            user.totp = None;
            user.totp_exempt = no_totp;
            user.backup_codes.clear();
            user.reset = None;
            // Ends all sessions and tokens of the user.
            user.epoch += 1;
        });
        let user = rescued.await?;
        self.lockouts.clear(Some(&name), None).await?;
        if let Some(profile) = profile {
            self.store.settings().set_limit_profile(profile).await?;
        }
        self.written(
            entry(Action::Recover, &user, source, via)
                .detail("was_enabled", found.enabled)
                .detail("without_second_factor", no_totp),
        )
        .await?;
        Ok(user)
    }

    /// The hash of a password that keeps the rules.
    async fn allowed(
        &self,
        name: &str,
        password: WireSecret,
        source: &Source,
    ) -> Result<String, AccountError> {
        let hasher = self.hashers.at(source);
        let context = Context { user: name.to_owned(), ..Context::default() };
        hasher.check_rules(password.clone(), context).await?.map_err(AccountError::WeakPassword)?;
        Ok(hasher.hash(password).await?)
    }

    /// Names of the superadmins.
    async fn administrators(&self) -> Result<Vec<String>, AccountError> {
        let users = self.store.users().list(&TenantScope::All).await?;
        Ok(users.into_iter().filter(|u| u.role == Role::Superadmin).map(|user| user.name).collect())
    }

    async fn written(&self, entry: Entry) -> Result<(), AccountError> {
        self.audit.write(entry).await.map(drop).map_err(|error| AccountError::Other(error.into()))
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let other = |c: char| first(c) || "._@-".contains(c);
    if name.len() <= 63 && name.starts_with(first) && name.chars().all(other) {
        return Ok(());
    }
    let message = format!(
        "username \"{}\" is none: use at most 63 of a-z, 0-9, '.', '_', '@' and '-', the first a letter or digit",
        Untrusted::new(name).max(80)
    );
    Err(Fault::new(FaultKind::Invalid, message).field("username"))
}

/// An audit entry about `user`, by the owner of the machine.
fn entry(action: Action, user: &UserRecord, source: &Source, via: &str) -> Entry {
    let who = match source {
        Source::Control { uid, gid, pid } => Who::control(None, address(source), *uid, *gid, *pid),
        Source::Http { address, user_agent, .. } => {
            Who::http(None, address.to_string(), *address, user_agent.as_deref())
        }
        Source::Daemon => Who::daemon(),
    };
    Entry::new(action)
        .actor(who)
        .organization(user.organization.as_deref())
        .object("user", Some(&user.id), Some(&user.name))
        .via(via)
}
