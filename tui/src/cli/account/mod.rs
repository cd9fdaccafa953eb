//! The caller's own account: `aivonx setup`, `login`, `logout`, `whoami`, `passwd`, `totp ...`

pub mod login;
pub mod password;
pub mod setup;
pub mod totp;

use std::path::{Path, PathBuf};

use aivonx_protocol::{
    WireSecret,
    account::{self, Identity},
    session::SessionKind,
};
use jiff::tz::TimeZone;

use super::Context;
use crate::{
    exit::Failure,
    input,
    render::{
        Cell, Table, Tone,
        out::note,
        text::{self, plural},
    },
    session,
};

/// Backup codes left at which a login says so.
const FEW_CODES: u32 = 3;

/// Shows who the caller is.
///
/// # Errors
/// Why not.
pub async fn whoami(context: &mut Context) -> Result<(), Failure> {
    let connected = context.connect().await?;
    session::resume(&connected.client).await?;
    let identity = connected.client.ask(account::Whoami).await?;
    let zone = context.out.zone.clone();
    context.out.show(&identity, |out| {
        out.table(&details(&identity, &zone))?;
        if !identity.set_up {
            out.line("")?;
            out.line(format_args!(
                "There is no administrator yet. Make one: {}aivonx setup",
                session::sudo(&connected.path)
            ))?;
        }
        Ok(())
    })
}

/// `whoami` as a table.
fn details(identity: &Identity, zone: &TimeZone) -> Table {
    let mut table = Table::pairs();
    let nobody = match identity.role {
        Some(_) => format!("nobody by name: uid {}, which is the daemon's own", identity.uid),
        None => format!("nobody (uid {})", identity.uid),
    };
    table.pair("user", identity.user.clone().unwrap_or(nobody));
    table.pair("role", Cell::optional(identity.role.map(|role| role.as_str())));
    if identity.user.is_some() {
        table.pair("organization", identity.organization.as_deref().unwrap_or("none: the whole fleet"));
        table.pair("two-factor", factor(identity));
    }
    match &identity.session {
        Some(session) => {
            let what = match session.kind {
                SessionKind::Control => "login",
                SessionKind::Token => "token",
                SessionKind::Http => "login over HTTP",
            };
            let name = session.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            table.pair("session", format!("{what}{name}, until {}", text::time(session.expires, zone)));
        }
        None if identity.role.is_none() => table.pair("session", "none; begin one: aivonx login"),
        None => {}
    }
    for todo in todo(identity) {
        table.pair("to do", Cell::new(todo).tone(Tone::Warn));
    }
    table
}

fn factor(identity: &Identity) -> String {
    if identity.totp {
        format!("on, {} left", plural(identity.backup_codes.into(), "backup code"))
    } else {
        "off".to_owned()
    }
}

/// What has to be done before anything else is possible.
fn todo(identity: &Identity) -> Vec<&'static str> {
    let mut all = Vec::new();
    if identity.must_change_password {
        all.push("the password must be changed: aivonx passwd");
    }
    if identity.must_enrol {
        all.push("two-factor authentication must be set up: aivonx totp enable");
    }
    all
}

/// Says beside the output what a new session still lacks.
fn remind(identity: &Identity) {
    for todo in todo(identity) {
        note(format_args!("Before anything else, {todo}"));
    }
    if identity.totp && identity.backup_codes < FEW_CODES {
        note(format_args!(
            "Only {} left. New ones: aivonx totp codes",
            plural(identity.backup_codes.into(), "backup code")
        ));
    }
}

/// Reads the secrets that come from files, each with its option.
fn secrets<const N: usize>(
    options: [(&str, &Option<PathBuf>); N],
) -> Result<[Option<WireSecret>; N], Failure> {
    let piped = options.iter().filter(|(_, file)| file.as_deref() == Some(Path::new("-")));
    let names: Vec<&str> = piped.map(|(name, _)| *name).collect();
    if let [first, second, ..] = names[..] {
        return Err(Failure::usage(format!("{first} and {second} cannot both be read from standard input"))
            .with_hint("Give at least one of them as a file."));
    }
    let mut read = [const { None }; N];
    for (place, (option, file)) in options.into_iter().enumerate() {
        read[place] = file.as_ref().map(|file| input::secret(option, file)).transpose()?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn who_one_can_be() {
        let shown: Vec<String> = samples::identities()
            .iter()
            .map(|identity| details(identity, &TimeZone::UTC).render(Some(80), false))
            .collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    #[test]
    fn standard_input_holds_one_secret() {
        let (stdin, none) = (Some(PathBuf::from("-")), None);
        let failure = secrets([("--a-file", &stdin), ("--b-file", &none), ("--c-file", &stdin)]).unwrap_err();
        assert!(failure.to_string().starts_with("--a-file and --c-file cannot both"), "{failure}");
        assert_eq!(secrets([("--a-file", &none), ("--b-file", &none)]).unwrap(), [None, None]);
    }
}
