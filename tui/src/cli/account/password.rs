//! `aivonx passwd`

use std::path::PathBuf;

use aivonx_protocol::{
    FaultKind, WireSecret, account,
    client::{Client, ClientError},
};
use clap::Args;

use super::{Context, secrets};
use crate::{exit::Failure, prompt::Prompt, render::text::safe};

/// `passwd`
#[derive(Debug, Args)]
pub struct PasswordArgs {
    /// Set the password of USER with the code that an administrator gave, without logging in
    #[arg(long, value_name = "USER", conflicts_with = "password_file")]
    pub redeem: Option<String>,
    /// File with that code (- is standard input); asked for without
    #[arg(long, value_name = "FILE", requires_all = ["redeem", "new_password_file"])]
    pub code_file: Option<PathBuf>,
    /// File with the password as it is (- is standard input); asked for without
    #[arg(long, value_name = "FILE", requires = "new_password_file")]
    pub password_file: Option<PathBuf>,
    /// File with the new password (- is standard input); asked for without
    #[arg(long, value_name = "FILE")]
    pub new_password_file: Option<PathBuf>,
}

/// Changes the caller's password, or sets a user's with a code for it.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, args: PasswordArgs) -> Result<(), Failure> {
    let [code, old, new] = secrets([
        ("--code-file", &args.code_file),
        ("--password-file", &args.password_file),
        ("--new-password-file", &args.new_password_file),
    ])?;
    if let Some(user) = args.redeem {
        return redeem(context, user, code, new).await;
    }
    let given = old.zip(new);
    if given.is_none() && args.new_password_file.is_some() {
        return Err(Failure::usage(
            "--new-password-file needs --password-file, or --redeem USER --code-file",
        ));
    }
    let instead = "Without one give --password-file FILE --new-password-file FILE.";
    let prompt = given.is_none().then(|| Prompt::open(&context.out, instead)).transpose()?;
    let client = context.client().await?;
    let identity = client.ask(account::Whoami).await?;
    let Some(user) = identity.user.clone() else {
        return Err(Failure::NotPermitted {
            message: "you are not logged in as a user, so there is no password to change".into(),
            hint: Some(
                "Log in first: aivonx login. With a code that an administrator gave: aivonx passwd --redeem USER"
                    .into(),
            ),
        });
    };
    match (given, prompt) {
        (Some((old, new)), _) => client.ask(account::Password { old, new }).await?,
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

/// Sets a password with a code, without a login.
async fn redeem(
    context: &mut Context,
    user: String,
    code: Option<WireSecret>,
    new: Option<WireSecret>,
) -> Result<(), Failure> {
    let client = match code.zip(new) {
        Some((code, new)) => {
            let client = context.connect().await?.client;
            client.ask(account::Redeem { username: user.clone(), code, password: new }).await?;
            client
        }
        None => {
            let instead = "Without one give --code-file FILE --new-password-file FILE.";
            let mut prompt = Prompt::open(&context.out, instead)?;
            let client = context.connect().await?.client;
            let code = prompt.secret(&format!("Code for {}", safe(&user)))?;
            loop {
                let new = prompt.new_secret("New password")?;
                match client
                    .ask(account::Redeem { username: user.clone(), code: code.clone(), password: new })
                    .await
                {
                    Ok(()) => break client,
                    Err(ClientError::Fault(fault)) if fault.field.as_deref() == Some("password") => {
                        prompt.refuse(&fault.to_string())?;
                    }
                    Err(other) => return Err(other.into()),
                }
            }
        }
    };
    let identity = client.ask(account::Whoami).await?;
    context.out.show(&identity, |out| {
        out.line(format_args!("{} has a new password. Log in with it: aivonx login", safe(&user)))
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
        match client.ask(account::Password { old: old.clone(), new: new.clone() }).await {
            Ok(()) => return Ok(new),
            Err(ClientError::Fault(fault)) if fault.kind == FaultKind::Invalid => {
                prompt.refuse(&fault.to_string())?;
            }
            Err(other) => return Err(other.into()),
        }
    }
}
