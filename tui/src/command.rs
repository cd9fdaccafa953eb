//! What `:` takes: where to go, or something to do. Tab completes, the arrows bring back what was typed.

use clap::CommandFactory as _;

use crate::{
    cli::Cli,
    keymap::Do,
    state::{Screen, access, models, security, usage},
};

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Go somewhere, showing only what passes the filter, if there is one.
    Go(Place, Option<String>),
    /// A verb of the shell's about what is shown there, which a key does here.
    Verb(Place, Verb),
    /// One of the words that stand alone.
    Word(Word),
    /// Go to this time in the log.
    Time(String),
}

/// A verb as the shell knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verb {
    /// The noun as the shell calls it.
    pub(crate) noun: String,
    /// The verb, by its name there.
    pub(crate) name: String,
    /// What it is about.
    pub(crate) rest: String,
}

impl Verb {
    /// The verb that `typed` begins with, where `word` is a noun of the shell's.
    fn read(word: &str, typed: &str) -> Option<Self> {
        let (first, rest) = typed.split_once(char::is_whitespace).unwrap_or((typed, ""));
        let cli = Cli::command();
        let noun = cli.find_subcommand(word).or_else(|| cli.find_subcommand(word.strip_suffix('s')?))?;
        let name = noun.find_subcommand(first)?.get_name().to_owned();
        Some(Self { noun: noun.get_name().to_owned(), name, rest: rest.trim().to_owned() })
    }

    /// What the key that does it does.
    pub(crate) fn does(&self) -> Option<Do> {
        Some(match &*self.name {
            "add" | "create" => Do::Add,
            "remove" | "revoke" | "delete" | "clear" => Do::Remove,
            "set" | "edit" => Do::Edit,
            "list" | "show" => Do::Open,
            "contain" => Do::Contain,
            "detect" => Do::Since,
            "report" => Do::Report,
            "rotate" => Do::Rotate,
            "reset-2fa" | "reset-totp" => Do::ResetTotp,
            _ => return None,
        })
    }
}

/// Somewhere to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A screen, as it was left.
    Screen(Screen),
    /// Organizations, users or keys.
    Access(access::Tab),
    /// A tab of the screen of security.
    Security(security::Tab),
    /// A tab beside the models.
    Models(models::Tab),
    /// Prices, policies or aliases.
    Usage(usage::Tab),
}

/// Tabs of screens that can be named, each with one line about it.
const TABS: &[(&[&str], Place, &str)] = &[
    (&["orgs", "org", "organizations"], Place::Access(access::Tab::Organizations), "the tenants"),
    (&["users", "user"], Place::Access(access::Tab::Users), "who may log in"),
    (&["keys", "key"], Place::Access(access::Tab::Keys), "what clients send"),
    (&["prices", "price"], Place::Usage(usage::Tab::Prices), "what tokens of models cost"),
    (&["policies", "policy"], Place::Usage(usage::Tab::Policies), "what requests for models are bound to"),
    (&["aliases", "alias"], Place::Usage(usage::Tab::Aliases), "other names for models"),
    (&["kept", "placements"], Place::Models(models::Tab::Kept), "models that are kept loaded"),
    (&["strategies"], Place::Models(models::Tab::Strategies), "models with a strategy of their own"),
    (&["restrictions"], Place::Models(models::Tab::Restrictions), "for which organizations models are"),
    (&["lockouts", "lockout"], Place::Security(security::Tab::Lockouts), "logins that failed too often"),
    (&["sessions", "session", "tokens"], Place::Security(security::Tab::Sessions), "who is logged in"),
    (&["secrets"], Place::Security(security::Tab::Secrets), "the keys that secrets are encrypted with"),
    (
        &["snapshots", "snapshot"],
        Place::Security(security::Tab::Snapshots),
        "copies of the store that can be put back",
    ),
    (&["blocks", "block"], Place::Security(security::Tab::Blocks), "who may not use the gateway"),
    (&["incidents", "incident"], Place::Security(security::Tab::Incidents), "what looks like an attack"),
    (&["check"], Place::Security(security::Tab::Check), "whether the gateway is set up safely"),
];

/// Words that stand alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Show the help.
    Help,
    /// End.
    Quit,
    /// Begin a session.
    Login,
    /// End the session.
    Logout,
    /// Make the first administrator.
    SetUp,
    /// Change one's own password.
    Password,
    /// Set one's password with a code.
    Redeem,
    /// One's own second factor.
    Factor,
    /// Lock the screen.
    Lock,
    /// Make a control token.
    Token,
    /// Show the daemon's configuration.
    Config,
    /// Have it read again.
    Reload,
    /// Show how nodes are chosen, and choose how.
    Strategy,
}

/// Every word with what it does and one line about it.
const WORDS: &[(&[&str], Word, &str)] = &[
    (&["help"], Word::Help, "what the keys do here"),
    (&["quit", "q", "q!", "exit"], Word::Quit, "leave the console"),
    (&["login"], Word::Login, "log in, or as somebody else"),
    (&["logout"], Word::Logout, "end the session"),
    (&["lock"], Word::Lock, "lock the screen; your password opens it"),
    (&["password", "passwd"], Word::Password, "change your password"),
    (&["code"], Word::Redeem, "set your password with the code of an administrator"),
    (&["2fa", "totp"], Word::Factor, "your second factor: set it up, turn it off, new backup codes"),
    (&["token"], Word::Token, "make a control token, for scripts"),
    (&["setup"], Word::SetUp, "make the first administrator"),
    (&["config"], Word::Config, "the daemon's configuration, as it is in effect"),
    (&["strategy"], Word::Strategy, "how a node is chosen for a request"),
    (&["reload"], Word::Reload, "have the configuration file read again"),
];

/// The word before a time, and one line about it.
const TIME: (&str, &str) = ("time", "go to a time in the log: 14:30, 2h, \"2026-11-22 14:30\"");

/// Reads a command line.
///
/// # Errors
/// A sentence that says what there is instead.
pub(crate) fn parse(line: &str) -> Result<Option<Command>, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if word.is_empty() {
        return Ok(None);
    }
    if word == TIME.0 {
        let rest = rest.trim();
        if rest.is_empty() {
            return Err(format!("which time? {}", crate::time_arg::FORMS));
        }
        return Ok(Some(Command::Time(rest.to_owned())));
    }
    let screen = Screen::ALL.into_iter().find(|screen| screen.words().contains(&word)).map(Place::Screen);
    let tab = || TABS.iter().find(|(words, ..)| words.contains(&word)).map(|(_, place, _)| *place);
    if let Some(place) = screen.or_else(tab) {
        let rest = rest.trim();
        if let Some(verb) = Verb::read(word, rest) {
            return Ok(Some(Command::Verb(place, verb)));
        }
        return Ok(Some(Command::Go(place, (!rest.is_empty()).then(|| rest.to_owned()))));
    }
    if let Some((_, word, _)) = WORDS.iter().find(|(words, ..)| words.contains(&word)) {
        return Ok(Some(Command::Word(*word)));
    }
    let near = all().find(|(known, _)| known.starts_with(word)).map(|(known, _)| known);
    Err(match near {
        Some(near) => format!("there is no command \"{word}\"; did you mean :{near}?"),
        None => format!("there is no command \"{word}\"; tab shows what there is"),
    })
}

/// The commands that begin like `typed`, each with one line about it.
pub(crate) fn completions(typed: &str) -> Vec<(&'static str, &'static str)> {
    let typed = typed.trim_start();
    all().filter(|(word, _)| word.starts_with(typed)).collect()
}

/// The first word of every command with one line about it: screens, then the rest.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let screens =
        Screen::ALL.into_iter().filter_map(|screen| Some((*screen.words().first()?, screen.about())));
    let words = WORDS.iter().filter_map(|(words, _, about)| Some((*words.first()?, *about)));
    let tabs = TABS.iter().filter_map(|(words, _, about)| Some((*words.first()?, *about)));
    screens.chain(tabs).chain([TIME]).chain(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_screens() {
        assert_eq!(parse(" nodes "), Ok(Some(Command::Go(Place::Screen(Screen::Nodes), None))));
        assert_eq!(
            parse("node gpu 1"),
            Ok(Some(Command::Go(Place::Screen(Screen::Nodes), Some("gpu 1".into()))))
        );
        assert_eq!(parse("q"), Ok(Some(Command::Word(Word::Quit))));
        assert_eq!(parse("time 14:30"), Ok(Some(Command::Time("14:30".into()))));
        assert!(parse("time ").unwrap_err().contains("2h"));
        assert_eq!(parse("  "), Ok(None));
        assert!(parse("nod").unwrap_err().contains(":nodes"));
        assert!(parse("xyzzy").unwrap_err().contains("tab"));
    }

    #[test]
    fn verbs_of_the_shell_are_no_filters() {
        let verb = |line| match parse(line) {
            Ok(Some(Command::Verb(_, verb))) => Some((verb.noun, verb.name, verb.rest)),
            _ => None,
        };
        let found = |noun: &str, name: &str, rest: &str| Some((noun.into(), name.into(), rest.into()));
        assert_eq!(verb("block remove 192.0.2.7"), found("block", "remove", "192.0.2.7"));
        assert_eq!(verb("blocks rm user:bob"), found("block", "remove", "user:bob"));
        assert_eq!(verb("node drain gpu1"), found("node", "drain", "gpu1"));
        assert_eq!(verb("node gpu1"), None);
        assert_eq!(verb("keys"), None);
    }

    #[test]
    fn every_word_means_one_thing() {
        let mut seen = std::collections::BTreeSet::new();
        let screens = Screen::ALL.into_iter().flat_map(|screen| screen.words().iter().copied());
        let tabs = TABS.iter().flat_map(|(words, ..)| words.iter().copied());
        for word in screens.chain(tabs).chain(WORDS.iter().flat_map(|(words, ..)| words.iter().copied())) {
            assert!(seen.insert(word), "{word} means two things");
            assert!(parse(word).unwrap().is_some(), "{word}");
        }
        assert!(all().all(|(_, about)| !about.is_empty()));
        assert!(completions("no").iter().any(|(word, _)| *word == "nodes"));
        assert_eq!(completions("").len(), all().count());
    }
}
