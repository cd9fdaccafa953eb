//! Who a command is for: a control token from the environment, else the session that `aivonx login` kept.

mod file;

use std::{
    env,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use aivonx_protocol::{
    FaultKind, WireSecret,
    account::{self, Identity, LoggedIn},
    client::{Client, ClientError},
    handshake::Login,
};

pub use self::file::{Kept, SessionFiles};
use crate::{connect::Connected, exit::Failure, input};

/// A control token.
pub const TOKEN: &str = "AIVONX_TOKEN";
/// A file with one; [`TOKEN`] comes before it.
pub const TOKEN_FILE: &str = "AIVONX_TOKEN_FILE";

/// Says who the caller is, if there is anything to say it with.
///
/// # Errors
/// The session has ended (its file is removed), the token is refused or cannot be read, or the session's file
/// is not safe to use.
pub async fn resume(client: &Client) -> Result<Option<Identity>, Failure> {
    if let Some((secret, origin)) = token()? {
        let refused = |error| match error {
            ClientError::Fault(fault) if fault.kind == FaultKind::NotPermitted => Failure::NotPermitted {
                message: format!("the control token in {origin} is not accepted: {}", fault.message),
                hint: Some("It may have expired or been revoked. Make one: aivonx token create NAME".into()),
            },
            other => other.into(),
        };
        return client.ask(account::Resume { secret }).await.map(Some).map_err(refused);
    }
    let files = SessionFiles::of(&client.daemon().id)?;
    let Some(kept) = files.read()? else { return Ok(None) };
    match client.ask(account::Resume { secret: kept.secret }).await {
        Ok(identity) => Ok(Some(identity)),
        Err(ClientError::Fault(fault)) if fault.kind == FaultKind::NotPermitted => {
            files.remove();
            Err(Failure::NotPermitted {
                message: format!("your session as {} has ended; run `aivonx login`", kept.user),
                hint: None,
            })
        }
        Err(other) => Err(other.into()),
    }
}

/// [`resume`], and a refusal if the daemon wants a login and no session is stored.
///
/// # Errors
/// As of [`resume`]; [`Failure::NotPermitted`] without a login or an administrator.
pub async fn require(connected: &Connected) -> Result<Option<Identity>, Failure> {
    match (resume(&connected.client).await?, connected.client.daemon().login) {
        (None, Login::Setup) => Err(no_administrator(&connected.path)),
        (None, Login::Needed) => Err(Failure::NotPermitted {
            message: "you are not logged in; run `aivonx login`".into(),
            hint: Some(format!("Scripts use a control token: aivonx token create NAME, then {TOKEN}.")),
        }),
        (identity, _) => Ok(identity),
    }
}

/// There is no administrator, and who can make one.
#[must_use]
pub fn no_administrator(socket: &Path) -> Failure {
    Failure::NotPermitted {
        message: format!("the gateway has no administrator yet; run `{}aivonx setup`", sudo(socket)),
        hint: None,
    }
}

/// `sudo ` where the daemon behind `socket` is not the caller's own.
#[must_use]
pub fn sudo(socket: &Path) -> &'static str {
    let caller = rustix::process::geteuid();
    let own = std::fs::metadata(socket).is_ok_and(|found| found.uid() == caller.as_raw());
    if own || caller.is_root() { "" } else { "sudo " }
}

/// Keeps a session that has just begun.
///
/// # Errors
/// There is no place for it.
pub fn keep(client: &Client, session: &LoggedIn) -> Result<(), Failure> {
    let user = session.identity.user.clone().unwrap_or_default();
    SessionFiles::of(&client.daemon().id)?.write(&Kept { user, secret: session.secret.clone() })
}

/// The control token, and what it comes from. An empty variable is as good as none.
fn token() -> Result<Option<(WireSecret, &'static str)>, Failure> {
    if let Some(text) = env::var_os(TOKEN).filter(|text| !text.is_empty()) {
        let text = text.into_string().map_err(|_| Failure::failed(format!("{TOKEN}: is no text")))?;
        return Ok(Some((WireSecret::new(text), TOKEN)));
    }
    let file = env::var_os(TOKEN_FILE).filter(|path| !path.is_empty()).map(PathBuf::from);
    file.map(|file| Ok((input::secret(TOKEN_FILE, &file)?, TOKEN_FILE))).transpose()
}

/// Whether a control token decides who the caller is.
#[must_use]
pub fn has_token() -> bool {
    [TOKEN, TOKEN_FILE].iter().any(|name| env::var_os(name).is_some_and(|text| !text.is_empty()))
}
