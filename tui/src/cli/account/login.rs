//! `aivonx login` and `aivonx logout`

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use aivonx_protocol::{
    Fault, FaultKind, WireSecret,
    account::{self, LoggedIn},
    client::{Client, ClientError},
    handshake::Login,
};
use clap::Args;
use serde::Serialize;

use super::{Context, password, remind, secrets, totp};
use crate::{
    exit::Failure,
    prompt::Prompt,
    render::{
        out::note,
        text::{safe, span},
    },
    session::{self, SessionFiles},
};

/// Wrong codes after which a login gives up: each counts against the lockout.
const CODES: usize = 3;

/// `login`
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Who; asked for without
    #[arg(long, short = 'u', value_name = "NAME")]
    pub username: Option<String>,
    /// File with the password (- is standard input); asked for without
    #[arg(long, value_name = "FILE", requires = "username")]
    pub password_file: Option<PathBuf>,
    /// File with a code of the second factor (- is standard input)
    #[arg(long, value_name = "FILE")]
    pub otp_file: Option<PathBuf>,
}

/// What `logout` prints as JSON.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LoggedOut {
    /// Whether a session was ended.
    pub logged_out: bool,
}

/// Begins a session and keeps it.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, args: LoginArgs) -> Result<(), Failure> {
    let [given, otp] = secrets([("--password-file", &args.password_file), ("--otp-file", &args.otp_file)])?;
    // A script is asked nothing, not even the second factor.
    let mut prompt = if given.is_none() || io::stdin().is_terminal() {
        Some(Prompt::open(&context.out, "Without one give --username NAME --password-file FILE.")?)
    } else {
        None
    };
    let connected = context.connect().await?;
    if connected.client.daemon().login == Login::Setup {
        return Err(session::no_administrator(&connected.path));
    }
    // The daemon does not wait for somebody who looks for a password.
    drop(connected);
    let (username, password) = match (args.username, given, &mut prompt) {
        (Some(username), Some(password), _) => (username, password),
        (username, _, Some(prompt)) => {
            let username = username.map_or_else(|| prompt.line("Name"), Ok)?;
            (username, prompt.secret("Password")?)
        }
        (_, _, None) => return Err(Failure::usage("--password-file needs --username")),
    };
    let client = &context.connect().await?.client;
    let mut session = begin(client, &username, &password, otp, prompt.as_mut()).await?;
    if let Err(failure) = session::keep(client, &session) {
        // Nobody could use it.
        let _ = client.ask(account::Logout).await;
        return Err(failure);
    }
    if let Some(prompt) = &mut prompt {
        session.identity = settle(client, session.identity.clone(), password, prompt).await?;
    }
    if session::has_token() {
        note(format_args!(
            "{} or {} is set and comes before this session.",
            session::TOKEN,
            session::TOKEN_FILE
        ));
    }
    context.out.show(&session.identity, |out| {
        let name = safe(session.identity.user.as_deref().unwrap_or(&username));
        let role = session.identity.role.map(|role| format!(", {role}")).unwrap_or_default();
        let whole = session.expires.saturating_sub(crate::render::text::now());
        // Rounded to the minute: it has just begun.
        let minutes = |millis: u64| span((millis + 30_000) / 60_000 * 60_000);
        out.line(format_args!(
            "Logged in as {name}{role}, for {}, or until unused for {}.",
            minutes(whole),
            minutes(session.idle_ms)
        ))
    })?;
    remind(&session.identity);
    Ok(())
}

/// Logs in, asking for the second factor if it is wanted.
async fn begin(
    client: &Client,
    username: &str,
    password: &WireSecret,
    mut otp: Option<WireSecret>,
    mut prompt: Option<&mut Prompt>,
) -> Result<LoggedIn, Failure> {
    let from_file = otp.is_some();
    let mut left = CODES;
    loop {
        let fault = match client
            .ask(account::Login {
                username: username.to_owned(),
                password: password.clone(),
                otp: otp.clone(),
            })
            .await
        {
            Ok(session) => return Ok(session),
            Err(ClientError::Fault(fault)) => fault,
            Err(other) => return Err(other.into()),
        };
        let wants = fault.kind == FaultKind::NotPermitted && fault.field.as_deref() == Some("otp");
        match &mut prompt {
            Some(prompt) if wants && !from_file && left > 0 => {
                if otp.is_some() {
                    prompt.refuse(&fault.message)?;
                }
                left -= 1;
                otp = Some(WireSecret::new(prompt.line("Code of the authenticator, or a backup code")?));
            }
            _ if wants && !from_file && otp.is_none() => {
                return Err(Failure::NotPermitted {
                    message: fault.message,
                    hint: Some("Give a code of it: --otp-file FILE, or log in at a terminal.".into()),
                });
            }
            // What was typed at the terminal is no option.
            Some(_) if !from_file => {
                return Err(Failure::Fault { fault: advised(Fault { field: None, ..fault }), option: None });
            }
            _ => return Err(Failure::Fault { fault: advised(fault), option: None }),
        }
    }
}

/// With what helps those who cannot get in.
fn advised(fault: Fault) -> Fault {
    if fault.kind != FaultKind::NotPermitted || fault.hint.is_some() {
        return fault;
    }
    fault.hint(
        "An administrator can help: aivonx lockout clear NAME, aivonx user reset-password NAME, or as root: \
         aivonx setup --recover NAME",
    )
}

/// Does what has to be done before anything else.
async fn settle(
    client: &Client,
    mut identity: aivonx_protocol::account::Identity,
    mut password: WireSecret,
    prompt: &mut Prompt,
) -> Result<aivonx_protocol::account::Identity, Failure> {
    let (change, enrol) = (identity.must_change_password, identity.must_enrol);
    if change {
        prompt.say("The password has to be changed.\n")?;
        password = password::change(prompt, client, password).await?;
    }
    if enrol {
        prompt.say("Two-factor authentication is required here.\n")?;
        totp::enrol(prompt, client, password).await?;
    }
    if change || enrol {
        identity = client.ask(account::Whoami).await?;
    }
    Ok(identity)
}

/// Ends the session that was kept. A control token is left alone.
///
/// # Errors
/// Why not.
pub async fn logout(context: &mut Context) -> Result<(), Failure> {
    let client = context.connect().await?.client;
    let files = SessionFiles::of(&client.daemon().id)?;
    let (logged_out, said) = match files.read()? {
        None => (false, "You are not logged in."),
        Some(kept) => match client.ask(account::Resume { secret: kept.secret }).await {
            Ok(_) => {
                client.ask(account::Logout).await?;
                files.remove();
                (true, "Logged out.")
            }
            Err(ClientError::Fault(fault)) if fault.kind == FaultKind::NotPermitted => {
                files.remove();
                (false, "Your session had ended already.")
            }
            Err(other) => return Err(other.into()),
        },
    };
    context.out.show(&LoggedOut { logged_out }, |out| out.line(said))
}
