//! `aivonx privacy pattern ...`

use aivonx_protocol::privacy::{self, NewPattern, PatternAction};
use clap::{Args, Subcommand, ValueEnum};

use super::{Context, privacy_owner::PrivacyOwner};
use crate::{exit::Failure, nouns, render::text::safe};

/// What can be done with patterns of one's own.
#[derive(Debug, Subcommand)]
pub enum PatternVerb {
    /// Patterns that are looked for in prompts and answers
    #[command(visible_alias = "ls")]
    List(PrivacyOwner),
    /// Look for a regular expression or for words, in prompts and in answers, whatever the mode is
    Add(AddArgs),
    /// Look for it no more
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
}

/// `privacy pattern add`
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Name of the pattern: a-z, 0-9 and -
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Regular expression, each of whose repetitions is bounded, such as E-[0-9]{4,8}
    #[arg(long, value_name = "RE", required_unless_present = "words", conflicts_with = "words")]
    pub regex: Option<String>,
    /// Words or phrases, separated by commas: found as whole words, in any case
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub words: Vec<String>,
    /// What stands in place of a match; without it [REDACTED_NAME]
    #[arg(long, value_name = "TEXT")]
    pub marker: Option<String>,
    /// What happens to a match
    #[arg(long, value_enum, default_value = "redact")]
    pub action: Action,
    #[command(flatten)]
    whose: PrivacyOwner,
}

/// `privacy pattern remove`
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Name of the pattern
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    whose: PrivacyOwner,
}

/// [`PatternAction`], as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// It is counted
    Detect,
    /// The marker stands in its place
    Redact,
    /// The prompt is refused, the answer stopped
    Refuse,
}

impl From<Action> for PatternAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Detect => Self::Detect,
            Action::Redact => Self::Redact,
            Action::Refuse => Self::Refuse,
        }
    }
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: PatternVerb) -> Result<(), Failure> {
    let client = context.client().await?;
    match verb {
        PatternVerb::List(PrivacyOwner { organization }) => {
            let patterns = client.ask(privacy::Patterns { organization }).await?;
            context.out.show(&patterns, |out| {
                if patterns.is_empty() {
                    return out.line("There are no patterns.");
                }
                nouns::list(out, &patterns)
            })
        }
        PatternVerb::Add(AddArgs { name, regex, words, marker, action, whose }) => {
            let words = words.iter().map(|word| word.trim().to_owned()).collect();
            let pattern = NewPattern { name, regex, words, marker, action: action.into() };
            let organization = whose.organization;
            let added = client.ask(privacy::AddPattern { organization, pattern }).await?;
            context.out.show(&added, |out| {
                out.line(format_args!("Added {}: {}.", safe(&added.name), nouns::pattern::done(added.action)))
            })
        }
        PatternVerb::Remove(RemoveArgs { name, whose: PrivacyOwner { organization } }) => {
            client.ask(privacy::RemovePattern { organization, name: name.clone() }).await?;
            context.out.show(&(), |out| out.line(format_args!("Removed {}.", safe(&name))))
        }
    }
}
