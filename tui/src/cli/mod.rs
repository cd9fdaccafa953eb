//! The command line: one file per noun.

pub mod account;
pub mod alias;
pub mod audit;
pub mod backup;
pub mod block;
pub mod check;
pub mod cluster;
pub mod config;
pub mod connect;
pub mod demo;
pub mod explain;
pub mod follow;
pub mod incident;
pub mod job;
pub mod key;
pub mod limit;
pub mod lockout;
pub mod logs;
pub mod model;
pub mod node;
pub mod organization;
pub mod pattern;
pub mod place;
pub mod policy;
pub mod price;
pub mod privacy;
pub mod privacy_owner;
pub mod pulse;
pub mod route;
pub mod running;
pub mod secrets;
pub mod snapshot;
pub mod status;
pub mod strategy;
pub mod token;
pub mod usage;
pub mod user;

use std::{
    env,
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use aivonx_protocol::client::{Client, ClientError};
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::{
    complete::{self, CompleteArgs},
    connect::{self as socket, Connected},
    exit::{Exit, Failure},
    render::{Format, Out, out::note, text},
    runtime, session,
    state::Settings,
    theme::Theme,
};

/// Administers an aivonx gateway over its control socket.
#[derive(Debug, Parser)]
#[command(name = "aivonx", version, after_help = after_help())]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// Options of the console.
    #[command(flatten)]
    pub console: Console,
    /// What to do.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Options of every verb.
#[derive(Debug, Args)]
pub struct Global {
    /// Control socket [default: AIVONX_SOCKET, else /run/aivonx/control.sock, else the one of aivonxd dev]
    // Not read from the environment by clap, which then shows it in the usage of every mistake.
    #[arg(long, global = true, value_name = "PATH")]
    #[arg(help_heading = "Global options")]
    pub socket: Option<PathBuf>,
    /// Tables for people, or JSON with stable field names for scripts
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "table")]
    #[arg(hide_possible_values = true, help_heading = "Global options")]
    #[arg(help = "table for people, json (stable field names) for scripts")]
    pub output: Format,
    /// No colours (also: the environment variable NO_COLOR)
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_color: bool,
}

/// Options of the console.
#[derive(Debug, Clone, Copy, Args)]
pub struct Console {
    /// Look only: the console changes nothing
    #[arg(long, help_heading = "Console options")]
    pub read_only: bool,
    /// Draw with ASCII alone
    #[arg(long, help_heading = "Console options")]
    pub ascii: bool,
    /// Lock the screen after so long without a key; 0s is never
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = crate::time_arg::span_argument)]
    #[arg(help_heading = "Console options")]
    pub lock_after: std::time::Duration,
}

/// Nouns, and the verbs that have none.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// See it all on a gateway with simulated nodes that is gone when you leave
    ///
    /// Starts `aivonxd dev --simulate 3 --traffic light`, from beside this program or from the PATH, in a private
    /// temporary directory, and opens the console on it. Leaving ends the gateway and removes the directory.
    /// Nothing else is touched: no installation, no session, no file of yours.
    Demo(demo::DemoArgs),
    /// How the gateway does, and what needs attention
    Status,
    /// What the gateway does right now: rates, the busiest, budgets nearly used up, alerts
    Pulse(pulse::PulseArgs),
    /// Nodes: the servers that run the models
    #[command(subcommand, visible_alias = "nodes")]
    Node(node::NodeVerb),
    /// Models on the nodes
    #[command(subcommand, visible_alias = "models")]
    Model(model::ModelVerb),
    /// How a node is chosen for a request
    #[command(subcommand)]
    Strategy(strategy::StrategyVerb),
    /// Which node a request for a model would go to now, and why
    Explain(explain::ExplainArgs),
    /// Long operations, such as pulling a model
    #[command(subcommand, visible_alias = "jobs")]
    Job(job::JobVerb),
    /// Requests that are running now
    #[command(subcommand)]
    Running(running::RunningVerb),
    /// The daemon's log, as it was and as it happens
    Logs(logs::LogsArgs),
    /// The daemon's configuration file, as it is in effect
    #[command(subcommand)]
    Config(config::ConfigVerb),
    /// The keys that secrets are encrypted with
    #[command(subcommand)]
    Secrets(secrets::SecretsVerb),
    /// Backups of all that the gateway keeps, which `aivonxd restore` puts back, also on another machine
    #[command(subcommand, visible_alias = "backups")]
    Backup(backup::BackupVerb),
    /// Snapshots of the store, from which `aivonxd recover` puts it back
    #[command(subcommand, visible_alias = "snapshots")]
    Snapshot(snapshot::SnapshotVerb),
    /// Organizations: tenants with users and keys
    #[command(subcommand, name = "org", visible_alias = "orgs")]
    Organization(organization::OrganizationVerb),
    /// Users: who may log in
    #[command(subcommand, visible_alias = "users")]
    User(user::UserVerb),
    /// API keys: what clients of the gateway send
    #[command(subcommand, visible_alias = "keys")]
    Key(key::KeyVerb),
    /// Limits: how much of the gateway one may use
    #[command(subcommand, visible_alias = "limits")]
    Limit(limit::LimitVerb),
    /// Prices: what tokens of a model cost
    #[command(subcommand, visible_alias = "prices")]
    Price(price::PriceVerb),
    /// Personal data and credentials in prompts: what happens to them
    #[command(subcommand)]
    Privacy(privacy::PrivacyVerb),
    /// Forward to a gateway, adding your key for clients that cannot
    Connect(connect::ConnectArgs),
    /// Control tokens: sessions of your own for scripts
    #[command(subcommand, visible_alias = "tokens")]
    Token(token::TokenVerb),
    /// The audit log: who did what, in a chain that proves itself
    #[command(subcommand)]
    Audit(audit::AuditVerb),
    /// Usage: requests, tokens and money, by whom and of what
    #[command(subcommand)]
    Usage(usage::UsageVerb),
    /// Logins that failed too often
    #[command(subcommand, visible_alias = "lockouts")]
    Lockout(lockout::LockoutVerb),
    /// Blocks: who may not use the gateway
    #[command(subcommand, visible_alias = "blocks")]
    Block(block::BlockVerb),
    /// The cluster: gateways whose settings are in one database
    #[command(subcommand)]
    Cluster(cluster::ClusterVerb),
    /// Routes: who may ask what, on which listener
    #[command(subcommand, visible_alias = "routes")]
    Route(route::RouteVerb),
    /// Look at everything that an attacker would look for: one line per check, with what to do
    ///
    /// Exits with 1 if a check failed.
    Check(check::CheckArgs),
    /// Handle an attack: shut off whoever does it
    #[command(subcommand)]
    Incident(incident::IncidentVerb),
    /// Make the first administrator, or rescue one
    Setup(account::setup::SetupArgs),
    /// Begin a session
    Login(account::login::LoginArgs),
    /// End the session
    Logout,
    /// Who you are to the gateway, and what you may do
    Whoami,
    /// Change your password
    Passwd(account::password::PasswordArgs),
    /// Your second factor: codes of an authenticator app
    #[command(subcommand)]
    Totp(account::totp::TotpVerb),
    /// The verbs and options in mdoc, for the manual page
    #[command(hide = true)]
    Manual,
    /// What a word of a command line could become, for the shells' completion
    #[command(hide = true)]
    Complete(CompleteArgs),
}

/// For verbs that cannot be undone.
#[derive(Debug, Clone, Copy, Args)]
pub struct Confirm {
    /// Do it without asking
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// What every verb works with.
pub struct Context {
    /// The socket asked for.
    pub socket: Option<PathBuf>,
    /// Where output goes.
    pub out: Out,
}

/// Prints what a ledger has lost, beside an answer from it. An error here does not make the answer itself fail.
fn tell_lost(lost: Result<Vec<String>, ClientError>) {
    for lost in lost.unwrap_or_default() {
        note(format_args!("aivonx: this is not all there was: {}", text::safe(&lost)));
    }
}

impl Context {
    /// A connection to the daemon, logged in where it wants that.
    ///
    /// # Errors
    /// As of [`Self::connect`]; [`Failure::NotPermitted`] if there is no session (any more).
    pub async fn client(&self) -> Result<Client, Failure> {
        let connected = self.connect().await?;
        session::require(&connected).await?;
        Ok(connected.client)
    }

    /// A connection for what everyone may ask, logged in if there is a session.
    ///
    /// # Errors
    /// As of [`Self::connect`].
    pub async fn visitor(&self) -> Result<Client, Failure> {
        let connected = self.connect().await?;
        if let Err(failure) = session::resume(&connected.client).await {
            note(format_args!("aivonx: {failure}"));
        }
        Ok(connected.client)
    }

    /// A connection to the daemon from nobody in particular.
    ///
    /// # Errors
    /// [`Failure::Unreachable`], [`Failure::NotPermitted`], or what the daemon said in the handshake.
    pub async fn connect(&self) -> Result<Connected, Failure> {
        // An empty variable is as good as none.
        let path = self.socket.as_deref().filter(|path| !path.as_os_str().is_empty());
        socket::connect(path).await
    }
}

/// Carries out the command line.
///
/// # Errors
/// Why not.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let at_terminal =
        cli.global.output == Format::Table && io::stdin().is_terminal() && io::stdout().is_terminal();
    let no_color = cli.global.no_color;
    let socket = cli.global.socket.or_else(|| env::var_os("AIVONX_SOCKET").map(PathBuf::from));
    let mut context = Context { socket, out: Out::stdout(cli.global.output, no_color) };
    let context = &mut context;
    match cli.verb {
        None if at_terminal => console(context, cli.console, no_color).await,
        None => status::overview(context).await,
        Some(Verb::Demo(args)) => demo::run(args, cli.console, no_color).await,
        Some(Verb::Status) => status::status(context).await,
        Some(Verb::Pulse(args)) => pulse::run(context, args).await,
        Some(Verb::Node(verb)) => node::run(context, verb).await,
        Some(Verb::Model(verb)) => model::run(context, verb).await,
        Some(Verb::Strategy(verb)) => strategy::run(context, verb).await,
        Some(Verb::Explain(args)) => explain::run(context, args).await,
        Some(Verb::Job(verb)) => job::run(context, verb).await,
        Some(Verb::Running(verb)) => running::run(context, verb).await,
        Some(Verb::Logs(args)) => logs::run(context, args).await,
        Some(Verb::Config(verb)) => config::run(context, verb).await,
        Some(Verb::Secrets(verb)) => secrets::run(context, verb).await,
        Some(Verb::Backup(verb)) => backup::run(context, verb).await,
        Some(Verb::Snapshot(verb)) => snapshot::run(context, verb).await,
        Some(Verb::Organization(verb)) => organization::run(context, verb).await,
        Some(Verb::User(verb)) => user::run(context, verb).await,
        Some(Verb::Key(verb)) => key::run(context, verb).await,
        Some(Verb::Limit(verb)) => limit::run(context, verb).await,
        Some(Verb::Price(verb)) => price::run(context, verb).await,
        Some(Verb::Privacy(verb)) => privacy::run(context, verb).await,
        Some(Verb::Token(verb)) => token::run(context, verb).await,
        Some(Verb::Audit(verb)) => audit::run(context, verb).await,
        Some(Verb::Usage(verb)) => usage::run(context, verb).await,
        Some(Verb::Lockout(verb)) => lockout::run(context, verb).await,
        Some(Verb::Block(verb)) => block::run(context, verb).await,
        Some(Verb::Cluster(verb)) => cluster::run(context, verb).await,
        Some(Verb::Route(verb)) => route::run(context, verb).await,
        Some(Verb::Check(args)) => check::run(context, args).await,
        Some(Verb::Incident(verb)) => incident::run(context, verb).await,
        Some(Verb::Setup(args)) => account::setup::run(context, args).await,
        Some(Verb::Login(args)) => account::login::run(context, args).await,
        Some(Verb::Logout) => account::login::logout(context).await,
        Some(Verb::Whoami) => account::whoami(context).await,
        Some(Verb::Passwd(args)) => account::password::run(context, args).await,
        Some(Verb::Connect(args)) => connect::run(context, args).await,
        Some(Verb::Totp(verb)) => account::totp::run(context, verb).await,
        Some(Verb::Complete(args)) => complete::run(args, Cli::command()),
        Some(Verb::Manual) => context.out.raw(crate::manual::sections(&Cli::command())),
    }
}

/// Opens the console.
async fn console(context: &Context, options: Console, no_color: bool) -> Result<(), Failure> {
    let theme = Theme::detect(no_color, options.ascii, |name| env::var(name).ok());
    let socket = context.socket.clone().filter(|path| !path.as_os_str().is_empty());
    let lock_after = u64::try_from(options.lock_after.as_millis()).unwrap_or(u64::MAX);
    let lock_after_ms = Some(lock_after).filter(|millis| *millis > 0);
    let settings = Settings { read_only: options.read_only, theme, lock_after_ms, demo: None };
    runtime::run(socket, settings).await
}

/// How the verb in `words` (the command line without the program) spells a field that the daemon named.
#[must_use]
pub fn option_name(words: &[String], field: &str) -> String {
    let field = field.replace('_', "-");
    let mut command = Cli::command();
    for word in words {
        if let Some(inner) = command.find_subcommand(word) {
            command = inner.clone();
        }
    }
    // A secret is a field of the daemon's, but a file on the command line; of two, the new one is what can be wrong.
    let spellings = [field.clone(), format!("new-{field}-file"), format!("{field}-file")];
    let found = spellings.iter().find_map(|spelling| {
        command.get_arguments().find(|arg| {
            let id = arg.get_id().as_str().replace('_', "-");
            // Of several, one was wrong.
            arg.get_long() == Some(&**spelling) || id == *spelling || id.strip_suffix('s') == Some(spelling)
        })
    });
    match found {
        Some(arg) => match arg.get_long() {
            Some(long) => format!("--{long}"),
            None => field.to_uppercase(),
        },
        None => field,
    }
}

fn after_help() -> String {
    let codes: Vec<String> = Exit::TABLE.iter().map(|(_, code, words)| format!("{code} {words}")).collect();
    format!(
        "Without a command it opens the console; where there is no terminal, it shows the status and what to type next.\n\nExit codes: {}\n\nExamples:\n  aivonx node add gpu1 http://10.0.0.5:11434\n  aivonx node drain gpu1 --wait\n  \
         aivonx model pull qwen3:8b --node gpu1\n  aivonx logs -f --level warn\n  aivonx key create ci --org acme --expires 90d\n  aivonx node list --output \
         json\n\nScripts log in with a control token in AIVONX_TOKEN, or in the file AIVONX_TOKEN_FILE names.",
        codes.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        let help = Cli::command().render_help().to_string();
        for (_, code, words) in Exit::TABLE {
            assert!(help.contains(&format!("{code} {words}")), "{help}");
        }
    }

    #[test]
    fn fields_are_named_as_typed() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (line, field, shown) in [
            ("node add gpu1 x://", "url", "URL"),
            ("node add gpu1 x://", "name", "NAME"),
            ("--output json node set gpu1", "url", "--url"),
            ("node set gpu1", "max_parallel", "--max-parallel"),
            ("node set gpu1", "max-parallel", "--max-parallel"),
            ("logs", "grep", "--grep"),
            ("setup", "password", "--password-file"),
            ("passwd", "password", "--new-password-file"),
            ("login", "otp", "--otp-file"),
            ("org set acme", "limit_profile", "--profile"),
            ("key create ci", "organization", "--org"),
            ("running cancel x y", "id", "ID"),
            ("node add gpu1 x", "something", "something"),
        ] {
            assert_eq!(option_name(&words(line), field), shown, "{line}: {field}");
        }
    }

    #[test]
    fn globals_go_anywhere() {
        for line in ["aivonx --output json node list", "aivonx node list --output json"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.global.output, Format::Json);
        }
        assert!(Cli::try_parse_from(["aivonx"]).unwrap().verb.is_none());
    }
}
