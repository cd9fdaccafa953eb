//! What stands before a screen and takes the keys until it is answered.

use aivonx_protocol::{
    Request, WireSecret,
    running::{Phase, Running},
};
use tui_input::Input;

use super::{account::Enrol, calls::Act, form::Form};
use crate::msg::{Export, Ticket};

/// One dialog.
#[derive(Debug)]
pub(crate) enum Dialog {
    /// Something to fill in.
    Form(Box<Form>),
    /// A question before something that is hard to undo.
    Confirm(Box<Confirm>),
    /// A secret that is shown this once.
    Reveal(Box<Reveal>),
    /// Something to read; how far down.
    Text(Box<Text>),
    /// What the keys do; how far down.
    Help(usize),
    /// A second factor to be set up.
    Enrol(Box<Enrol>),
}

/// A question before something that is hard to undo.
#[derive(Debug)]
pub(crate) struct Confirm {
    /// What is asked: `Remove node gpu1?`
    pub(crate) title: String,
    /// The consequence, a sentence each.
    pub(crate) lines: Vec<String>,
    /// The word on the button: `Remove`.
    pub(crate) verb: &'static str,
    /// What has to be typed for it, and what was.
    pub(crate) typed: Option<(String, Input)>,
    /// What is asked of the daemon then.
    pub(crate) requests: Vec<(Request, Act)>,
    /// In which order.
    pub(crate) order: Order,
    /// What runs now and would end.
    pub(crate) ends: Option<Ends>,
    /// What is written then, replacing what is there.
    pub(crate) export: Option<Export>,
}

/// How the requests of a question follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Order {
    /// All at once.
    #[default]
    Together,
    /// For the form below: the first, and the others if that is done. The form waits for the answer.
    Form,
    /// One after the other, whatever becomes of those before; at the end it is said which failed. The form below is
    /// closed.
    Each,
}

/// What runs now and would end.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Whose.
    pub(crate) whose: RequestsOf,
    /// The call that asks what runs.
    pub(crate) asked: Ticket,
    /// How many requests run, and how many of them are being answered; None is not known yet.
    pub(crate) count: Option<(u64, u64)>,
}

/// Whose requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestsOf {
    /// Of these keys: organization and name.
    Keys(Vec<(Option<String>, String)>),
    /// Of the users with these names.
    Users(Vec<String>),
    /// Of the organizations with these slugs.
    Organizations(Vec<String>),
}

impl RequestsOf {
    /// How many of these are among them, and how many of those are being answered.
    pub(crate) fn count(&self, running: &[Running]) -> (u64, u64) {
        let theirs = running.iter().filter(|one| match self {
            Self::Keys(keys) => keys.iter().any(|(organization, name)| {
                *organization == one.organization && one.key.as_ref() == Some(name)
            }),
            Self::Users(users) => one.user.as_ref().is_some_and(|user| users.contains(user)),
            Self::Organizations(all) => one.organization.as_ref().is_some_and(|slug| all.contains(slug)),
        });
        theirs.fold((0, 0), |(all, answering), one| {
            (all + 1, answering + u64::from(one.phase == Phase::Answering))
        })
    }
}

impl Confirm {
    /// Whether what has to be typed was.
    pub(crate) fn is_typed(&self) -> bool {
        self.typed.as_ref().is_none_or(|(wanted, input)| input.value().trim() == wanted)
    }
}

/// Where the secret goes in a command.
pub(crate) const SECRET: &str = "<SECRET>";

/// A secret that is shown this once.
#[derive(Debug)]
pub(crate) struct Reveal {
    /// What it is of.
    pub(crate) title: String,
    /// What to know about it, a sentence each.
    pub(crate) lines: Vec<String>,
    /// The secret; one of several lines is several of a kind.
    pub(crate) secret: WireSecret,
    /// A command that uses it, with [`SECRET`] where it goes.
    pub(crate) command: Option<String>,
    /// Whether it was copied.
    pub(crate) copied: bool,
}

impl Reveal {
    /// The command with the secret in it.
    pub(crate) fn command_line(&self) -> Option<WireSecret> {
        self.command.as_ref().map(|command| WireSecret::new(command.replace(SECRET, self.secret.expose())))
    }
}

/// Something to read.
#[derive(Debug)]
pub(crate) struct Text {
    /// What it is.
    pub(crate) title: String,
    /// The rows: a label, and a value of one or more lines. Not escaped.
    pub(crate) rows: Vec<(String, String)>,
    /// How far down.
    pub(crate) scroll: usize,
}
