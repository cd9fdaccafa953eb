//! Requests about the caller's own account.

use aivonx_identity::{AccountError, Actor, Authenticated};
use aivonx_protocol::{Fault, FaultKind, Reply, WireSecret, account::AccountRequest};
use aivonx_store::UserRecord;

use crate::control::{Answer, Services, access::Permitted};

/// As the audit log names how it was asked.
const VIA_SETUP: &str = "account.setup";
const VIA_LOGIN: &str = "account.login";

pub(super) async fn handle(services: &Services, permitted: Permitted<AccountRequest>) -> Answer {
    Answer::Reply(answer(services, permitted).await)
}

async fn answer(services: &Services, permitted: Permitted<AccountRequest>) -> Result<Reply, Fault> {
    let identity = &services.identity;
    let (actor, source) = (permitted.actor().clone(), permitted.peer().source());
    let (connection, known) = (permitted.connection().clone(), !permitted.is_stranger());
    match permitted.into_request() {
        AccountRequest::Setup(setup) => {
            let user = identity.set_up(*setup, &source, VIA_SETUP).await?;
            begin(services, &connection, &user).await
        }
        AccountRequest::Login { username, password, otp } => {
            if !identity.is_set_up() {
                let fault = Fault::new(FaultKind::NotPermitted, "there is no administrator yet");
                return Err(fault.hint("Make the first administrator: sudo aivonx setup"));
            }
            let login = identity.authenticate(&username, &password, otp.as_ref(), &source, VIA_LOGIN);
            let Authenticated { user, .. } = login.await.map_err(told)?;
            begin(services, &connection, &user).await
        }
        AccountRequest::Resume { secret } => {
            let session = identity.resume(&secret, &source)?;
            let (actor, _) = identity.in_session(&session, &source, aivonx_domain::now())?;
            connection.reserve(&actor)?;
            connection.log_in(session);
            Ok(Reply::Identity(Box::new(identity.whoami(&actor, true).await?)))
        }
        AccountRequest::Logout => {
            identity.log_out(&actor, "account.logout").await?;
            connection.log_out();
            Ok(Reply::Done)
        }
        AccountRequest::Whoami => Ok(Reply::Identity(Box::new(identity.whoami(&actor, known).await?))),
        AccountRequest::Password { old, new } => {
            identity.change_password(&actor, &old, &new, "account.password").await.map_err(told)?;
            Ok(Reply::Done)
        }
        AccountRequest::TotpBegin { password } => {
            let offer = identity.totp_begin(&actor, &password, "account.totp_begin").await;
            Ok(Reply::TotpOffer(offer.map_err(told)?))
        }
        AccountRequest::TotpConfirm { code } => {
            codes(identity.totp_confirm(&actor, &code, "account.totp_confirm").await)
        }
        AccountRequest::TotpDisable { password, code } => {
            let done = identity.totp_disable(&actor, &password, &code, "account.totp_disable").await;
            done.map_err(told)?;
            Ok(Reply::Done)
        }
        AccountRequest::BackupCodes { password, code } => {
            codes(identity.backup_codes(&actor, &password, &code, "account.backup_codes").await)
        }
        AccountRequest::Redeem { username, code, password } => {
            identity
                .redeem_reset(&username, &code, &password, &source, "account.redeem")
                .await
                .map_err(told)?;
            Ok(Reply::Done)
        }
        AccountRequest::Verify { password } => {
            identity.verify_password(&actor, &password, "account.verify").await.map_err(told)?;
            Ok(Reply::Done)
        }
    }
}

/// Begins a session for `user`, which the connection goes on with.
async fn begin(
    services: &Services,
    connection: &crate::control::connection::Connection,
    user: &UserRecord,
) -> Result<Reply, Fault> {
    let identity = &services.identity;
    let source = connection.peer().source();
    connection.reserve(&Actor::of(user, source.clone()))?;
    let (session, secret) = identity.begin_session(user, &source).await?;
    let hash = session.hash;
    let logged_in = identity.logged_in_as(user, session, secret, &source).await?;
    // The snapshot must have the session before the connection is judged by it.
    identity.settle().await;
    connection.log_in(hash);
    Ok(Reply::LoggedIn(Box::new(logged_in)))
}

fn codes(made: Result<Vec<WireSecret>, AccountError>) -> Result<Reply, Fault> {
    made.map(Reply::BackupCodes).map_err(told)
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
