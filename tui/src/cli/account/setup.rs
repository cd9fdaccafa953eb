//! `aivonx setup`

use std::path::PathBuf;

use aivonx_protocol::{
    FaultKind, WireSecret,
    account::{self, LoggedIn, Setup},
    client::{Client, ClientError},
    handshake::Login,
    limit::{self, LimitTarget},
    organization::LimitProfile,
};
use clap::{Args, ValueEnum};

use super::{Context, remind, secrets, totp};
use crate::{
    connect::Connected,
    exit::Failure,
    nouns::limit::unpriced_advice,
    prompt::Prompt,
    render::{Out, out::note, text::safe},
    session,
};

/// `setup`
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Name of the administrator, to be asked nothing
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub username: Option<String>,
    /// File with its password (- is standard input)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Ask it for no second factor
    #[arg(long)]
    pub no_totp: bool,
    /// Limits to begin with: standard, team or unlimited
    #[arg(long, value_name = "PROFILE", value_enum, hide_possible_values = true)]
    pub profile: Option<Profile>,
    /// Give this user a new password, without second factor and lockouts
    #[arg(long, value_name = "USER", conflicts_with_all = ["username", "profile"])]
    pub recover: Option<String>,
}

/// [`LimitProfile`] as clap sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Daily caps for everyone.
    Standard,
    /// No daily request caps.
    Team,
    /// No limits.
    Unlimited,
}

impl From<Profile> for LimitProfile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Standard => Self::Standard,
            Profile::Team => Self::Team,
            Profile::Unlimited => Self::Unlimited,
        }
    }
}

/// The profiles in the order they are offered, each with a line about it.
const PROFILES: [(Profile, &str, &str); 3] = [
    (Profile::Standard, "standard", "100 requests a day per user, 10 USD a day; personal data removed"),
    (Profile::Team, "team", "no daily request caps; 10 USD a day; personal data noticed"),
    (Profile::Unlimited, "unlimited", "no limits; personal data not looked for"),
];

/// Makes the first administrator, or rescues one.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, args: SetupArgs) -> Result<(), Failure> {
    let [password] = secrets([("--password-file", &args.password_file)])?;
    let asks = password.is_none();
    let setup = Setup {
        username: args.recover.clone().or(args.username).unwrap_or_default(),
        password: password.unwrap_or_else(|| WireSecret::new(String::new())),
        no_totp: args.no_totp,
        profile: args.profile.map(Into::into),
        recover: args.recover.is_some(),
    };
    if asks {
        return ask(context, setup).await;
    }
    if setup.username.is_empty() {
        return Err(Failure::usage("--password-file needs --username or --recover"));
    }
    let client = context.connect().await?.client;
    let recovered = setup.recover;
    let session = client.ask(setup).await?;
    kept(&client, &session);
    let identity = &session.identity;
    let unpriced = if recovered { None } else { unpriced(&client).await };
    context.out.show(identity, |out| done(out, &session, recovered, unpriced))?;
    remind(identity);
    Ok(())
}

/// The conversation. What it asks for goes to the terminal, so that standard output has the result alone.
async fn ask(context: &mut Context, mut setup: Setup) -> Result<(), Failure> {
    let mut prompt = Prompt::open(
        &context.out,
        "Without one give --username NAME --password-file FILE (or --recover USER --password-file FILE).",
    )?;
    let connected = context.connect().await?;
    may(&connected, &setup).await?;
    let client = &connected.client;
    if setup.recover {
        prompt.say(&format!(
            "This gives {} a new password, and takes its second factor and lockouts away.\n\n",
            safe(&setup.username)
        ))?;
    } else {
        prompt.say("This makes the first administrator, who may do everything.\n\n")?;
        setup.username = match prompt.line("Name [admin]")?.as_str() {
            "" => "admin".to_owned(),
            name => name.to_owned(),
        };
        if setup.profile.is_none() {
            setup.profile = Some(profile(&mut prompt)?);
        }
    }
    prompt.say("\nA password: 12 characters or more, not digits alone, no name, not a common one.\n")?;
    let session = loop {
        setup.password = prompt.new_secret("Password")?;
        match client.ask(setup.clone()).await {
            Ok(session) => break session,
            Err(ClientError::Fault(fault)) if fault.kind == FaultKind::Invalid => {
                prompt.refuse(&fault.to_string())?;
                if fault.field.as_deref() == Some("username") && !setup.recover {
                    setup.username = prompt.line("Name")?;
                }
            }
            Err(other) => return Err(other.into()),
        }
    };
    kept(client, &session);
    let wanted = session.identity.must_enrol
        || (!setup.no_totp
            && prompt.yes("\nAsk for a code of an authenticator app at every login, too?", true)?);
    let identity = if wanted && totp::enrol(&mut prompt, client, setup.password.clone()).await? {
        client.ask(account::Whoami).await?
    } else {
        session.identity.clone()
    };
    let session = LoggedIn { identity, ..session };
    let unpriced = if setup.recover { None } else { unpriced(client).await };
    context.out.show(&session.identity, |out| {
        out.line("")?;
        done(out, &session, setup.recover, unpriced)
    })?;
    remind(&session.identity);
    Ok(())
}

/// Asks nothing of someone who will be refused at the end.
async fn may(connected: &Connected, setup: &Setup) -> Result<(), Failure> {
    let sudo = session::sudo(&connected.path);
    if !sudo.is_empty() {
        return Err(Failure::NotPermitted {
            message: "only root and the daemon's own user may do this".into(),
            hint: Some(format!("Run it as root: {sudo}aivonx setup")),
        });
    }
    let set_up = match connected.client.daemon().login {
        Login::Setup => false,
        Login::Needed => true,
        Login::NotNeeded => connected.client.ask(account::Whoami).await?.set_up,
    };
    match (set_up, setup.recover) {
        (true, false) => Err(Failure::failed("the gateway has an administrator already").with_hint(
            "Log in: aivonx login. If nobody can, rescue one: aivonx setup --recover USER, as root.",
        )),
        (false, true) => Err(Failure::failed("there is no administrator to rescue yet")
            .with_hint("Make the first one: aivonx setup")),
        _ => Ok(()),
    }
}

fn profile(prompt: &mut Prompt) -> Result<LimitProfile, Failure> {
    prompt.say("\nLimits that organizations begin with (each can be changed):\n")?;
    for (number, (_, name, about)) in PROFILES.iter().enumerate() {
        prompt.say(&format!("  {}  {name:<9}  {about}\n", number + 1))?;
    }
    loop {
        let answer = prompt.line("Which [1]")?;
        let answer = if answer.is_empty() { "1" } else { &*answer };
        let mut numbered = PROFILES.iter().enumerate();
        match numbered.find(|(at, (_, name, _))| (at + 1).to_string() == answer || *name == answer) {
            Some((_, (profile, ..))) => return Ok((*profile).into()),
            None => prompt.say("Answer 1, 2 or 3.\n")?,
        }
    }
}

/// Keeps the session; without a place for it the set-up is done all the same.
fn kept(client: &Client, session: &LoggedIn) {
    if let Err(failure) = session::keep(client, session) {
        note(format_args!("aivonx: {failure}\nSo you are not logged in; later: aivonx login"));
    }
}

/// Advice on default limits that cannot hold without prices. None if the caller may not ask yet; `limit show` has it
/// later.
async fn unpriced(client: &Client) -> Option<String> {
    let limits = client.ask(limit::Show { target: LimitTarget::Own }).await.ok()?;
    unpriced_advice(&limits, &client.ask(limit::FindUnpriced { target: LimitTarget::Own }).await.ok()?)
}

fn done(out: &mut Out, session: &LoggedIn, recovered: bool, unpriced: Option<String>) -> Result<(), Failure> {
    let name = safe(session.identity.user.as_deref().unwrap_or_default());
    if recovered {
        return out.line(format_args!("{name} has its new password, and you are logged in as {name}."));
    }
    out.line(format_args!(
        "{name} is the first administrator, and you are logged in as {name}.\n\nNext:\n  \
         aivonx node add NAME URL          add a server that runs models\n  \
         aivonx org add ORG                add an organization: users and keys of its own\n  \
         aivonx user add NAME --org ORG    add a member of it\n  \
         aivonx key create NAME --org ORG  make a key for its clients"
    ))?;
    match unpriced {
        Some(text) => out.line(format_args!("\n{text}")),
        None => Ok(()),
    }
}
