//! `aivonx totp ...`

use std::path::PathBuf;

use aivonx_protocol::{
    FaultKind, WireSecret,
    account::{self, TotpOffer},
    client::{Client, ClientError},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Context, secrets};
use crate::{
    exit::Failure,
    input,
    prompt::Prompt,
    render::{
        Out,
        qr::{self, Ground},
    },
};

const INSTEAD: &str = "Without one give --password-file FILE --otp-file FILE.";

/// What can be done with the second factor.
#[derive(Debug, Subcommand)]
pub enum TotpVerb {
    /// Set it up: shows a QR code and asks for a first code
    Enable(Proof),
    /// Turn it off, where the rules allow that
    Disable(Proof),
    /// Make new backup codes; the old ones are void
    Codes(Proof),
}

/// What proves that it is really you.
#[derive(Debug, Args)]
pub struct Proof {
    /// File with your password (- is standard input); asked for without
    #[arg(long, value_name = "FILE", requires = "otp_file")]
    pub password_file: Option<PathBuf>,
    /// File with a code (- is standard input); enable reads it after it has printed the secret
    #[arg(long, value_name = "FILE", requires = "password_file")]
    pub otp_file: Option<PathBuf>,
}

/// What `totp enable` prints first as JSON, if the code comes from a file.
#[derive(Debug, Serialize)]
pub struct Offer<'a> {
    /// The secret, base32.
    pub secret: &'a WireSecret,
    /// The same as an `otpauth://` address.
    pub uri: &'a WireSecret,
}

/// What `totp enable` and `totp codes` print as JSON.
#[derive(Debug, Serialize)]
pub struct Codes<'a> {
    /// Each is good once.
    pub backup_codes: &'a [WireSecret],
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: TotpVerb) -> Result<(), Failure> {
    match verb {
        TotpVerb::Enable(proof) => enable(context, proof).await,
        TotpVerb::Disable(proof) => {
            let (client, password, code) = proven(context, proof).await?;
            client.ask(account::TotpDisable { password, code }).await?;
            let identity = client.ask(account::Whoami).await?;
            context.out.show(&identity, |out| out.line("Two-factor authentication is off."))
        }
        TotpVerb::Codes(proof) => {
            context.out.check_seen()?;
            let (client, password, code) = proven(context, proof).await?;
            let codes = client.ask(account::BackupCodes { password, code }).await?;
            show_codes(&mut context.out, &codes)
        }
    }
}

async fn enable(context: &mut Context, proof: Proof) -> Result<(), Failure> {
    let [password] = secrets([("--password-file", &proof.password_file)])?;
    let (Some(password), Some(file)) = (password, proof.otp_file) else {
        let mut prompt = Prompt::open(&context.out, INSTEAD)?;
        let client = context.client().await?;
        let password = prompt.secret("Your password")?;
        if !enrol(&mut prompt, &client, password).await? {
            return Err(Failure::failed("given up; two-factor authentication is as it was"));
        }
        let identity = client.ask(account::Whoami).await?;
        return context.out.show(&identity, |out| out.line("Two-factor authentication is on."));
    };
    context.out.check_seen()?;
    let client = context.client().await?;
    let offer = client.ask(account::TotpBegin { password }).await?;
    // On one line, so that what reads it can answer at once.
    let shown = Offer { secret: &offer.secret, uri: &offer.uri };
    if context.out.is_json() {
        context.out.json_line(&shown)?;
    } else {
        context.out.line(shown.secret.expose())?;
    }
    context.out.raw("")?;
    let codes = client.ask(account::TotpConfirm { code: input::secret("--otp-file", &file)? }).await?;
    show_codes(&mut context.out, &codes)
}

async fn proven(context: &Context, proof: Proof) -> Result<(Client, WireSecret, WireSecret), Failure> {
    let given = secrets([("--password-file", &proof.password_file), ("--otp-file", &proof.otp_file)])?;
    if let [Some(password), Some(code)] = given {
        return Ok((context.client().await?, password, code));
    }
    let mut prompt = Prompt::open(&context.out, INSTEAD)?;
    let client = context.client().await?;
    let password = prompt.secret("Your password")?;
    let code = WireSecret::new(prompt.line("Code of the authenticator, or a backup code")?);
    Ok((client, password, code))
}

fn show_codes(out: &mut Out, codes: &[WireSecret]) -> Result<(), Failure> {
    write_codes(out, codes).map_err(|failure| {
        failure.lost("So nobody has the new backup codes.", "Others in their place: aivonx totp codes")
    })
}

fn write_codes(out: &mut Out, codes: &[WireSecret]) -> Result<(), Failure> {
    if out.is_json() {
        return out.json_line(&Codes { backup_codes: codes });
    }
    out.line("Backup codes, each good once in place of a code. They are not shown again:")?;
    for line in in_columns(codes) {
        out.line(line)?;
    }
    Ok(())
}

/// Sets a second factor up at the terminal; false if the user gave up.
pub(super) async fn enrol(
    prompt: &mut Prompt,
    client: &Client,
    password: WireSecret,
) -> Result<bool, Failure> {
    let offer = client.ask(account::TotpBegin { password }).await?;
    let mut ground = prompt.ground;
    let mut pictured = show_offer(prompt, &offer, ground)?;
    loop {
        let question = if pictured && ground != Ground::Set {
            "The code it shows now (i inverts the picture, Enter alone gives up)"
        } else {
            "The code it shows now (Enter alone gives up)"
        };
        let code = prompt.line(question)?;
        if code.is_empty() {
            return Ok(false);
        }
        if code == "i" {
            ground = ground.inverted();
            pictured = show_offer(prompt, &offer, ground)?;
            continue;
        }
        match client.ask(account::TotpConfirm { code: WireSecret::new(code) }).await {
            Ok(codes) => {
                prompt.say(
                    "\nRight. These backup codes are each good once in place of a code, if the app is lost.\n\
                     They are not shown again: write them down now.\n\n",
                )?;
                for line in in_columns(&codes) {
                    prompt.say(&format!("{line}\n"))?;
                }
                prompt.line("\nEnter when you have them")?;
                return Ok(true);
            }
            Err(ClientError::Fault(fault))
                if matches!(fault.kind, FaultKind::Invalid | FaultKind::NotPermitted) =>
            {
                prompt.refuse(&fault.message)?;
            }
            Err(other) => return Err(other.into()),
        }
    }
}

/// Shows it; whether with a picture.
fn show_offer(prompt: &mut Prompt, offer: &TotpOffer, ground: Ground) -> Result<bool, Failure> {
    let (text, pictured) = offered(offer, prompt.size, prompt.unicode, ground);
    prompt.say(&text)?;
    Ok(pictured)
}

/// What to do with the offer, and whether that has a picture. The question for a code goes below it, so that
/// picture and question fit the terminal together.
fn offered(
    offer: &TotpOffer,
    (columns, rows): (usize, usize),
    unicode: bool,
    ground: Ground,
) -> (String, bool) {
    let uri = qr::short(offer.uri.expose());
    let drawn = unicode.then(|| qr::lines(&uri, columns, rows.saturating_sub(1), ground)).flatten();
    let secret = grouped(offer.secret.expose());
    if let Some(lines) = drawn {
        // Without colours it is as dark or light as the terminal, which seldom says what it is.
        let scan = match ground {
            Ground::Set => "Scan this with an authenticator app, or",
            Ground::Dark => "Scan this, drawn for a dark background, with an authenticator app\nor",
            Ground::Light => "Scan this, drawn for a light background, with an authenticator app\nor",
        };
        let text = format!("\n{scan} type this secret into it:\n  {secret}\n{}\n", lines.join("\n"));
        return (text, true);
    }
    let needs = match qr::size(&uri) {
        Some(_) if !unicode => "A picture to scan takes a terminal with a UTF-8 locale.\n".to_owned(),
        Some((columns, rows)) => {
            format!("A picture to scan takes a terminal of {columns} columns and {} rows.\n", rows + 1)
        }
        None => String::new(),
    };
    let text = format!(
        "\nAdd an account to an authenticator app with this secret (by time, 6 digits):\n  {secret}\n\
         or give it this address:\n  {uri}\n{needs}"
    );
    (text, false)
}

/// In fours, as people copy it.
fn grouped(secret: &str) -> String {
    let chars: Vec<char> = secret.chars().collect();
    chars.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

fn in_columns(codes: &[WireSecret]) -> Vec<String> {
    codes
        .chunks(2)
        .map(|pair| format!("  {}", pair.iter().map(WireSecret::expose).collect::<Vec<_>>().join("    ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> TotpOffer {
        TotpOffer {
            secret: WireSecret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into()),
            uri: WireSecret::new(
                "otpauth://totp/aivonx:root?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=aivonx\
                 &algorithm=SHA1&digits=6&period=30"
                    .into(),
            ),
        }
    }

    #[test]
    fn an_offer_at_a_small_terminal() {
        let (shown, pictured) = offered(&offer(), (80, 24), true, Ground::Dark);
        assert!(shown.lines().count() < 24, "with the question below it: {shown}");
        assert!(pictured && shown.contains('█') && shown.contains("a dark background"), "{shown}");
        let (set, _) = offered(&offer(), (80, 24), true, Ground::Set);
        assert!(set.contains("\u{1b}[97;40m") && !set.contains("background"), "{set}");
    }

    #[test]
    fn an_offer_where_no_code_can_be_drawn() {
        let (plain, pictured) = offered(&offer(), (80, 24), false, Ground::Dark);
        assert!(!pictured);
        let (small, _) = offered(&offer(), (80, 12), true, Ground::Dark);
        insta::assert_snapshot!(plain + &small);
    }
}
