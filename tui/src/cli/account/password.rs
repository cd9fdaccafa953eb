//! `aivonx passwd`

use std::path::PathBuf;

use aivonx_protocol::{
    FaultKind, WireSecret,
    client::{Client, ClientError},
};
use clap::Args;

use super::{Context, secrets};
use crate::{exit::Failure, prompt::Prompt, render::text::safe};

/// `passwd`
#[derive(Debug, Args)]
pub struct PasswordArgs {
    /// File with the password as it is (- is standard input); asked for without
    #[arg(long, value_name = "FILE", requires = "new_password_file")]
    pub password_file: Option<PathBuf>,
    /// File with the new password (- is standard input); asked for without
    #[arg(long, value_name = "FILE", requires = "password_file")]
    pub new_password_file: Option<PathBuf>,
}

/// Changes the caller's password.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, args: PasswordArgs) -> Result<(), Failure> {
    let given = secrets([
        ("--password-file", &args.password_file),
        ("--new-password-file", &args.new_password_file),
    ])?;
    let instead = "Without one give --password-file FILE --new-password-file FILE.";
    let prompt = match &given {
        [Some(_), Some(_)] => None,
        _ => Some(Prompt::open(&context.out, instead)?),
    };
    let client = context.client().await?;
    let identity = client.whoami().await?;
    let Some(user) = identity.user.clone() else {
        return Err(Failure::NotPermitted {
            message: "you are not logged in as a user, so there is no password to change".into(),
            hint: Some("Log in first: aivonx login".into()),
        });
    };
    match (given, prompt) {
        ([Some(old), Some(new)], _) => client.password(old, new).await?,
        (_, Some(mut prompt)) => {
            let old = prompt.secret(&format!("Password of {user} as it is"))?;
            change(&mut prompt, &client, old).await?;
        }
        _ => {}
    }
    context.out.show(&identity, |out| {
        out.line(format_args!("The password of {} is changed; its other sessions have ended.", safe(&user)))
    })
}

/// Asks for a new password until one is taken, and returns it.
pub(super) async fn change(
    prompt: &mut Prompt,
    client: &Client,
    old: WireSecret,
) -> Result<WireSecret, Failure> {
    loop {
        let new = prompt.new_secret("New password")?;
        match client.password(old.clone(), new.clone()).await {
            Ok(()) => return Ok(new),
            Err(ClientError::Fault(fault)) if fault.kind == FaultKind::Invalid => {
                prompt.refuse(&fault.to_string())?;
            }
            Err(other) => return Err(other.into()),
        }
    }
}
