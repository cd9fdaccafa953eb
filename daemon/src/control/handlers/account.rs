//! Operations on the caller's own account.

use aivonx_identity::{AccountError, Actor, Authenticated};
use aivonx_protocol::{
    Fault, FaultKind, WireSecret,
    account::{self, Identity, LoggedIn, TotpOffer},
    operation::{Operation, Serve},
};
use aivonx_store::UserRecord;

use crate::control::{Backend as _, By, Services, access, connection::Connection};

impl Serve<account::Setup> for Services {
    async fn serve(&self, by: By<account::Setup>, asked: account::Setup) -> Result<LoggedIn, Fault> {
        let user = self.identity.set_up(asked, &by.peer().source(), account::Setup::NAME).await?;
        begin(self, by.connection(), &user).await
    }
}

impl Serve<account::Login> for Services {
    async fn serve(&self, by: By<account::Login>, asked: account::Login) -> Result<LoggedIn, Fault> {
        let account::Login { username, password, otp } = asked;
        let identity = &self.identity;
        if !identity.is_set_up() {
            let fault = Fault::new(FaultKind::NotPermitted, "there is no administrator yet");
            return Err(fault.hint("Make the first administrator: sudo aivonx setup"));
        }
        let (source, via) = (by.peer().source(), account::Login::NAME);
        let login = identity.authenticate(&username, &password, otp.as_ref(), &source, via);
        let Authenticated { user, .. } = login.await.map_err(told)?;
        if self.blocks.hot().user(&user.id, aivonx_domain::now()) {
            self.refused(&Actor::of(&user, source), via);
            return Err(access::blocked());
        }
        begin(self, by.connection(), &user).await
    }
}

impl Serve<account::Resume> for Services {
    async fn serve(&self, by: By<account::Resume>, asked: account::Resume) -> Result<Identity, Fault> {
        let (identity, source) = (&self.identity, by.peer().source());
        let session = identity.resume(&asked.secret, &source)?;
        let (actor, _) = identity.in_session(&session, &source, aivonx_domain::now())?;
        by.connection().reserve(&actor)?;
        by.connection().log_in(session);
        Ok(identity.whoami(&actor, true).await?)
    }
}

impl Serve<account::Logout> for Services {
    async fn serve(&self, by: By<account::Logout>, _: account::Logout) -> Result<(), Fault> {
        self.identity.log_out(by.actor(), account::Logout::NAME).await?;
        by.connection().log_out();
        Ok(())
    }
}

impl Serve<account::Whoami> for Services {
    async fn serve(&self, by: By<account::Whoami>, _: account::Whoami) -> Result<Identity, Fault> {
        Ok(self.identity.whoami(by.actor(), !by.is_stranger()).await?)
    }
}

impl Serve<account::Password> for Services {
    async fn serve(&self, by: By<account::Password>, asked: account::Password) -> Result<(), Fault> {
        let account::Password { old, new } = asked;
        self.identity.change_password(by.actor(), &old, &new, account::Password::NAME).await.map_err(told)
    }
}

impl Serve<account::TotpBegin> for Services {
    async fn serve(&self, by: By<account::TotpBegin>, asked: account::TotpBegin) -> Result<TotpOffer, Fault> {
        let (password, via) = (&asked.password, account::TotpBegin::NAME);
        self.identity.totp_begin(by.actor(), password, via).await.map_err(told)
    }
}

impl Serve<account::TotpConfirm> for Services {
    async fn serve(
        &self,
        by: By<account::TotpConfirm>,
        asked: account::TotpConfirm,
    ) -> Result<Vec<WireSecret>, Fault> {
        let (code, via) = (&asked.code, account::TotpConfirm::NAME);
        self.identity.totp_confirm(by.actor(), code, via).await.map_err(told)
    }
}

impl Serve<account::TotpDisable> for Services {
    async fn serve(&self, by: By<account::TotpDisable>, asked: account::TotpDisable) -> Result<(), Fault> {
        let account::TotpDisable { password, code } = asked;
        let via = account::TotpDisable::NAME;
        self.identity.totp_disable(by.actor(), &password, &code, via).await.map_err(told)
    }
}

impl Serve<account::BackupCodes> for Services {
    async fn serve(
        &self,
        by: By<account::BackupCodes>,
        asked: account::BackupCodes,
    ) -> Result<Vec<WireSecret>, Fault> {
        let account::BackupCodes { password, code } = asked;
        let via = account::BackupCodes::NAME;
        self.identity.backup_codes(by.actor(), &password, &code, via).await.map_err(told)
    }
}

impl Serve<account::Verify> for Services {
    async fn serve(&self, by: By<account::Verify>, asked: account::Verify) -> Result<(), Fault> {
        let (password, via) = (&asked.password, account::Verify::NAME);
        self.identity.verify_password(by.actor(), password, via).await.map_err(told)
    }
}

impl Serve<account::Redeem> for Services {
    async fn serve(&self, by: By<account::Redeem>, asked: account::Redeem) -> Result<(), Fault> {
        let account::Redeem { username, code, password } = asked;
        let (source, via) = (by.peer().source(), account::Redeem::NAME);
        self.identity.redeem_reset(&username, &code, &password, &source, via).await.map_err(told)
    }
}

/// Begins a session for `user`, which the connection goes on with.
async fn begin(services: &Services, connection: &Connection, user: &UserRecord) -> Result<LoggedIn, Fault> {
    let identity = &services.identity;
    let source = connection.peer().source();
    connection.reserve(&Actor::of(user, source.clone()))?;
    let (session, secret) = identity.begin_session(user, &source).await?;
    let hash = session.hash;
    let logged_in = identity.logged_in_as(user, session, secret, &source).await?;
    // The snapshot must have the session before the connection is judged by it.
    identity.settle().await?;
    connection.log_in(hash);
    Ok(logged_in)
}

/// What a person at a terminal can do about it.
fn told(error: AccountError) -> Fault {
    let hint = match &error {
        AccountError::Locked(_) => Some(
            "An administrator can lift the lock: aivonx lockout clear USER; root: sudo aivonx setup --recover USER",
        ),
        AccountError::OtpRequired => Some("Enter the code of your authenticator, or a backup code."),
        AccountError::OneTimeCode => Some(
            "Wait for the next code, or use a backup code; an administrator can help: aivonx user reset-totp USER",
        ),
        _ => None,
    };
    let fault = Fault::from(error);
    match hint {
        Some(hint) if fault.hint.is_none() => fault.hint(hint),
        _ => fault,
    }
}
