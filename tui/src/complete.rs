//! Shell completion: `aivonx complete -- WORD...` prints what the last word could become. The scripts in
//! `packaging/completions/` ask for it at every tab.
//!
//! Verbs and options come from the definition of the command line, names of nodes, models and the like from the
//! daemon. Errors there are silent and bound by a deadline: a daemon that is away, hangs or wants a login has no names
//! to offer.

use std::{
    ffi::{OsStr, OsString},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use aivonx_protocol::{
    client::{Client, ClientError},
    job,
    key::{self, Key},
    model, node, organization, token, user,
};
use clap::{Arg, Args, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};

use crate::{connect, exit::Failure, session};

/// Longest wait for the daemon, connecting included: people wait for the tab.
const WAIT: Duration = Duration::from_millis(700);

/// `complete`
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// The words so far without the program; the last one is completed
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Prints a line for each candidate of `command`'s line: what the word becomes, and behind a tab what that is.
///
/// # Errors
/// [`Failure::Output`].
pub fn run(args: CompleteArgs, command: Command) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for candidate in candidates(args.words, command) {
        let Some(value) = candidate.get_value().to_str().filter(|value| !value.contains(char::is_control))
        else {
            continue;
        };
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        match help.is_empty() {
            true => writeln!(out, "{value}")?,
            false => writeln!(out, "{value}\t{help}")?,
        }
    }
    Ok(())
}

fn candidates(words: Vec<OsString>, command: Command) -> Vec<CompletionCandidate> {
    let asked = Arc::new(Asked::of(&words));
    let mut line = vec![OsString::from("aivonx")];
    line.extend(words);
    if line.len() == 1 {
        line.push(OsString::new());
    }
    let last = line.len() - 1;
    let wants_option = line[last].as_encoded_bytes().starts_with(b"-");
    let mut command = with_names(command, &asked);
    let found = complete(&mut command, line, last, std::env::current_dir().ok().as_deref());
    let mut found = found.unwrap_or_default();
    // Options are for who begins one; among names they only stand in the way.
    let dashed = |text: &OsStr| text.as_encoded_bytes().starts_with(b"-");
    found.retain(|candidate| !candidate.is_hide_set() && (wants_option || !dashed(candidate.get_value())));
    found
}

/// What on the command line bears on the names.
#[derive(Debug, Default)]
struct Asked {
    socket: Option<PathBuf>,
    organization: Option<String>,
}

impl Asked {
    fn of(words: &[OsString]) -> Self {
        let value = |option: &str| {
            words.iter().enumerate().rev().find_map(|(at, word)| {
                let word = word.to_str()?;
                match word.strip_prefix(option)? {
                    "" => words.get(at + 1)?.to_str().map(str::to_owned),
                    rest => rest.strip_prefix('=').map(str::to_owned),
                }
            })
        };
        let given = |text: &String| !text.is_empty();
        let socket = value("--socket").or_else(|| std::env::var("AIVONX_SOCKET").ok());
        Self { socket: socket.filter(given).map(PathBuf::from), organization: value("--org").filter(given) }
    }
}

/// What has names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noun {
    Node,
    Model,
    User,
    Key,
    Organization,
    Job,
    Token,
}

impl Noun {
    /// What an argument names, by the name of its value.
    fn of(arg: &Arg) -> Option<Self> {
        let id = arg.get_id().as_str();
        let [value] = arg.get_value_names()? else { return None };
        Some(match value.as_str() {
            "NODE" => Self::Node,
            // A key to the node's labels, or a public key, has the same word.
            "KEY" if id == "key" => Self::Key,
            "MODEL" => Self::Model,
            // Of basic authentication: somebody at the node.
            "USER" if id != "basic_user" => Self::User,
            // A slug is one to be.
            "ORG" if id != "slug" => Self::Organization,
            "JOB" => Self::Job,
            "TOKEN" => Self::Token,
            _ => return None,
        })
    }
}

/// The command line, each argument that names something with a way to ask for the names.
fn with_names(command: Command, asked: &Arc<Asked>) -> Command {
    let command = command.mut_args(|arg| match Noun::of(&arg) {
        Some(noun) => {
            let asked = asked.clone();
            arg.add(ArgValueCandidates::new(move || names(noun, &asked)))
        }
        None => arg,
    });
    command.mut_subcommands(|inner| with_names(inner, asked))
}

/// The names that the daemon has, for as long as people wait.
fn names(noun: Noun, asked: &Arc<Asked>) -> Vec<CompletionCandidate> {
    let asked = asked.clone();
    // On a thread of its own: who called may be within a runtime.
    let work = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let found = runtime.block_on(async {
            tokio::time::timeout(WAIT, fetch(noun, &asked)).await.ok().and_then(Result::ok)
        });
        runtime.shutdown_background();
        found
    });
    let mut found = work.join().ok().flatten().unwrap_or_default();
    // A name is one word, and none is shown that could do something to a terminal.
    found.retain(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()));
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    let candidate = |(name, help): (String, String)| {
        let help: String = help.chars().filter(|c| !c.is_control()).collect();
        CompletionCandidate::new(name).help((!help.is_empty()).then(|| help.into()))
    };
    found.into_iter().map(candidate).collect()
}

/// Names, and a word about each.
async fn fetch(noun: Noun, asked: &Asked) -> Result<Vec<(String, String)>, Failure> {
    let client = client(asked.socket.as_deref()).await?;
    Ok(list(&client, noun, asked.organization.clone()).await?)
}

async fn client(socket: Option<&Path>) -> Result<Client, Failure> {
    let connected = connect::connect(socket).await?;
    session::require(&connected).await?;
    Ok(connected.client)
}

async fn list(
    client: &Client,
    noun: Noun,
    organization: Option<String>,
) -> Result<Vec<(String, String)>, ClientError> {
    let of = |organization: Option<String>| organization.unwrap_or_else(|| "fleet".to_owned());
    Ok(match noun {
        Noun::Node => client.ask(node::List).await?.into_iter().map(|node| (node.name, node.url)).collect(),
        Noun::Model => {
            let models = client.ask(model::List).await?.into_iter();
            models.map(|model| (model.name, model.parameters.unwrap_or_default())).collect()
        }
        Noun::User => {
            let users = client.ask(user::List { organization, role: None }).await?.into_iter();
            users.map(|user| (user.name, of(user.organization))).collect()
        }
        Noun::Key => {
            let keys = client.ask(key::List { organization, user: None, all: false }).await?;
            let of_that_name = |name: &str| keys.iter().filter(|key| key.name == name).count();
            let named = |key: &Key| match &key.organization {
                _ if of_that_name(&key.name) == 1 => key.name.clone(),
                Some(organization) => format!("{organization}/{}", key.name),
                None => key.prefix.clone(),
            };
            keys.iter().map(|key| (named(key), of(key.organization.clone()))).collect()
        }
        Noun::Organization => {
            client.ask(organization::List).await?.into_iter().map(|org| (org.slug, org.name)).collect()
        }
        Noun::Job => client.ask(job::List).await?.into_iter().map(|job| (job.id, job.subject)).collect(),
        Noun::Token => {
            let tokens = client.ask(token::List).await?.into_iter();
            tokens.filter_map(|token| Some((token.name?, token.user))).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn completed(line: &str) -> Vec<String> {
        let words = line.split(' ').map(OsString::from).collect();
        candidates(words, Cli::command())
            .iter()
            .map(|found| found.get_value().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn verbs_options_and_values() {
        assert!(completed("no").contains(&"node".to_owned()));
        assert_eq!(completed("node dr"), ["drain"]);
        assert_eq!(completed("node drain --wa"), ["--wait"]);
        assert_eq!(completed("strategy set le"), ["least_active"]);
        assert!(completed("node ").iter().all(|verb| verb != "help"), "{:?}", completed("node "));
        for hidden in ["manual", "complete"] {
            assert!(!completed("").contains(&hidden.to_owned()));
        }
    }

    #[test]
    fn nobody_there_is_nothing_to_offer() {
        let started = std::time::Instant::now();
        assert_eq!(completed("--socket /nonexistent node show "), Vec::<String>::new());
        assert!(started.elapsed() < WAIT);
    }

    /// A socket that takes connections and says nothing.
    #[test]
    fn a_daemon_that_stands_still_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(completed(&format!("--socket {} node show ", path.display())), Vec::<String>::new());
    }

    /// Every argument that names something asks for names, and no other.
    #[test]
    fn what_names_something_is_known() {
        fn walk(command: &Command, words: &str, found: &mut Vec<(String, Noun)>) {
            for arg in command.get_arguments() {
                if let Some(noun) = Noun::of(arg) {
                    found.push((format!("{words} {}", arg.get_id()), noun));
                }
            }
            for inner in command.get_subcommands() {
                walk(inner, &format!("{words} {}", inner.get_name()), found);
            }
        }
        let mut found = Vec::new();
        walk(&Cli::command(), "", &mut found);
        let known = |words: &str| found.iter().find(|(at, _)| at == words).map(|(_, noun)| *noun);
        for (words, noun) in [
            (" node show node", Some(Noun::Node)),
            (" model remove model", Some(Noun::Model)),
            (" user show user", Some(Noun::User)),
            (" key show key", Some(Noun::Key)),
            (" org show organization", Some(Noun::Organization)),
            (" job show job", Some(Noun::Job)),
            (" token revoke token", Some(Noun::Token)),
            (" org set slug", None),
            (" node set unlabel", None),
            (" audit verify public_key", None),
            (" node add basic_user", None),
        ] {
            assert_eq!(known(words), noun, "{words} in {found:?}");
        }
    }

    #[test]
    fn what_the_line_says_counts() {
        let asked = |line: &str| Asked::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(asked("--socket /a key show --org=acme x").socket, Some(PathBuf::from("/a")));
        assert_eq!(asked("key show --org=acme x").organization.as_deref(), Some("acme"));
        assert_eq!(asked("key show --org acme x").organization.as_deref(), Some("acme"));
    }
}
