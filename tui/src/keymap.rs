//! What the keys do: one list, which dispatch, the hint bar and the help read.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::model::{Dialog, Model, Right, Screen};

/// Where a binding holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Whatever is shown.
    Always,
    /// On every screen.
    Everywhere,
    /// Where there is a list.
    List,
    /// On the nodes.
    Nodes,
    /// On the models.
    Models,
    /// On the jobs.
    Jobs,
    /// On organizations, users and keys.
    People,
    /// Among them, on organizations.
    Organizations,
    /// On users.
    Users,
    /// On keys.
    Keys,
    /// On the log.
    Logs,
    /// On the audit log.
    Audit,
    /// On lockouts, sessions and secrets.
    Security,
    /// Among them, on lockouts.
    Lockouts,
    /// On sessions.
    Sessions,
    /// On secrets.
    Secrets,
    /// In a form.
    Form,
    /// In a question.
    Confirm,
    /// In a question whose answer is typed.
    Typed,
    /// Where a secret is shown.
    Reveal,
    /// Where there is something to read.
    Text,
    /// In the line after `:`.
    Command,
    /// In the line after `/`.
    Filter,
}

impl Scope {
    /// What stands above its bindings in the help.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Always => "Whatever is shown",
            Self::Everywhere => "On every screen",
            Self::List => "In a list",
            Self::Nodes => "Nodes",
            Self::Models => "Models",
            Self::Jobs => "Jobs",
            Self::People => "Access",
            Self::Organizations => "Organizations",
            Self::Users => "Users",
            Self::Keys => "Keys",
            Self::Logs => "Log",
            Self::Audit => "Audit log",
            Self::Security => "Security",
            Self::Lockouts => "Lockouts",
            Self::Sessions => "Sessions",
            Self::Secrets => "Secrets",
            Self::Form => "In a form",
            Self::Confirm | Self::Typed => "In a question",
            Self::Reveal => "With a secret",
            Self::Text => "Reading",
            Self::Command => "After :",
            Self::Filter => "After /",
        }
    }
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Do {
    /// End.
    Quit,
    /// Draw everything anew.
    Redraw,
    /// Stop as a job of the shell.
    Suspend,
    /// Go to a screen.
    Go(Screen),
    /// Go to the screen after this one.
    NextScreen,
    /// Begin a command.
    Command,
    /// Begin a filter.
    Filter,
    /// Show what the keys do.
    Help,
    /// Go back: close what is open, give up what runs, take the filter away, leave the screen.
    Back,
    /// Look again.
    Refresh,
    /// Go up by a row.
    Up,
    /// Go down by a row.
    Down,
    /// Go up by a page.
    PageUp,
    /// Go down by a page.
    PageDown,
    /// Go to the first row.
    First,
    /// Go to the last row.
    Last,
    /// Go to the next row found.
    Next,
    /// Go to the row found before.
    Previous,
    /// Sort by the next column.
    Sort,
    /// Turn the order round.
    Reverse,
    /// Mark a row.
    Mark,
    /// Open the chosen row.
    Open,
    /// Copy its name.
    Yank,
    /// Add one.
    Add,
    /// Change the chosen one.
    Edit,
    /// Remove it.
    Remove,
    /// Let it take part.
    Enable,
    /// Let it finish what it has.
    Drain,
    /// Take it out.
    Disable,
    /// Look at it now.
    Check,
    /// Pull a model.
    Pull,
    /// Go to the column at the left.
    Left,
    /// Go to the column at the right.
    Right,
    /// Go to the next tab.
    NextTab,
    /// Go to the tab before.
    PreviousTab,
    /// Give it a new secret.
    Rotate,
    /// Take a password away.
    ResetPassword,
    /// Take a second factor away.
    ResetTotp,
    /// Show the sessions.
    Sessions,
    /// End all sessions.
    EndSessions,
    /// Keep the newest in sight, or not.
    Follow,
    /// Show more or less severe events.
    Level,
    /// Break long lines, or cut them.
    Wrap,
    /// Show one request alone.
    Request,
    /// Show older ones as well.
    More,
    /// Ask for others.
    Query,
    /// Verify the chain.
    Verify,
    /// Let somebody log in again.
    Unlock,
    /// Look whether all is in order.
    Validate,
    /// Close the dialog.
    Cancel,
    /// Go to the next field.
    NextField,
    /// Go to the field before.
    PreviousField,
    /// Go on to the next field, or send from the last.
    Enter,
    /// Send the form.
    Submit,
    /// Answer yes.
    Yes,
    /// Complete the word.
    Complete,
    /// Bring back the line typed before.
    Older,
    /// Bring back the line typed after.
    Newer,
    /// Take the line.
    Accept,
    /// Copy the secret.
    Copy,
}

/// One binding.
#[derive(Debug)]
pub(crate) struct Binding {
    /// Where it holds.
    pub(crate) scope: Scope,
    /// The keys, the one to show first.
    pub(crate) keys: &'static [&'static str],
    /// What they do.
    pub(crate) does: Do,
    /// A word or two for the hint bar; empty for what everybody knows.
    pub(crate) hint: &'static str,
    /// A line for the help.
    pub(crate) help: &'static str,
    /// What one must be allowed to do for it.
    pub(crate) right: Option<Right>,
}

const fn key(
    scope: Scope,
    keys: &'static [&'static str],
    does: Do,
    hint: &'static str,
    help: &'static str,
) -> Binding {
    Binding { scope, keys, does, hint, help, right: None }
}

impl Binding {
    const fn takes(mut self, right: Right) -> Self {
        self.right = Some(right);
        self
    }
}

/// Every binding. In the hint bar the first come first.
pub(crate) static BINDINGS: &[Binding] = &[
    key(Scope::Nodes, &["a"], Do::Add, "add", "add a node").takes(Right::NodesWrite),
    key(Scope::Nodes, &["e"], Do::Edit, "edit", "change the node").takes(Right::NodesWrite),
    key(Scope::Nodes, &["d"], Do::Drain, "drain", "let it finish what it has and take nothing new")
        .takes(Right::NodesWrite),
    key(Scope::Nodes, &["u"], Do::Enable, "enable", "let it take requests (again)").takes(Right::NodesWrite),
    key(Scope::Nodes, &["x"], Do::Disable, "disable", "take it out: no requests, no checks")
        .takes(Right::NodesWrite),
    key(Scope::Nodes, &["c"], Do::Check, "check", "check it now").takes(Right::NodesWrite),
    key(Scope::Nodes, &["p"], Do::Pull, "pull", "pull a model to it").takes(Right::ModelsWrite),
    key(Scope::Nodes, &["ctrl-d"], Do::Remove, "remove", "forget it").takes(Right::NodesWrite),
    key(Scope::Models, &["p"], Do::Pull, "pull", "pull it (again), or another").takes(Right::ModelsWrite),
    key(Scope::Models, &["ctrl-d"], Do::Remove, "remove", "delete it from one node, or from all")
        .takes(Right::ModelsWrite),
    key(Scope::Models, &["right", "l"], Do::Right, "one node", "the node at the right: keys act on it alone"),
    key(Scope::Models, &["left", "h"], Do::Left, "", "the node at the left"),
    key(Scope::Jobs, &["ctrl-d"], Do::Remove, "cancel", "cancel it").takes(Right::JobsCancel),
    key(Scope::People, &["tab", "right"], Do::NextTab, "next tab", "organizations, users, keys"),
    key(Scope::People, &["backtab", "left"], Do::PreviousTab, "", "the tab before"),
    key(Scope::Organizations, &["a"], Do::Add, "add", "add an organization").takes(Right::OrganizationsAdd),
    key(Scope::Organizations, &["e"], Do::Edit, "edit", "change it").takes(Right::UsersWrite),
    key(Scope::Organizations, &["u"], Do::Enable, "enable", "let its users and keys do something (again)")
        .takes(Right::UsersWrite),
    key(Scope::Organizations, &["x"], Do::Disable, "disable", "let its users and keys do nothing")
        .takes(Right::UsersWrite),
    key(Scope::Organizations, &["ctrl-d"], Do::Remove, "remove", "remove it with its users and keys")
        .takes(Right::OrganizationsAdd),
    key(Scope::Users, &["a"], Do::Add, "add", "add a user").takes(Right::UsersWrite),
    key(Scope::Users, &["e"], Do::Edit, "edit", "change the user").takes(Right::UsersWrite),
    key(
        Scope::Users,
        &["p"],
        Do::ResetPassword,
        "password",
        "take the password away; you get a code for a new one",
    )
    .takes(Right::UsersWrite),
    key(Scope::Users, &["v"], Do::Sessions, "sessions", "who is logged in as the user")
        .takes(Right::UsersRead),
    key(Scope::Users, &["t"], Do::ResetTotp, "2FA", "take the second factor away").takes(Right::UsersWrite),
    key(Scope::Users, &["o"], Do::EndSessions, "log out", "end all sessions and tokens of the user")
        .takes(Right::UsersWrite),
    key(Scope::Users, &["u"], Do::Enable, "enable", "let the user do something (again)")
        .takes(Right::UsersWrite),
    key(Scope::Users, &["x"], Do::Disable, "disable", "let the user do nothing").takes(Right::UsersWrite),
    key(Scope::Users, &["ctrl-d"], Do::Remove, "remove", "remove the user with keys and sessions")
        .takes(Right::UsersWrite),
    key(Scope::Keys, &["a"], Do::Add, "make", "make a key").takes(Right::PeopleWrite),
    key(Scope::Keys, &["e"], Do::Edit, "edit", "change it").takes(Right::PeopleWrite),
    key(Scope::Keys, &["R"], Do::Rotate, "rotate", "give it a new secret").takes(Right::PeopleWrite),
    key(Scope::Keys, &["ctrl-d"], Do::Remove, "revoke", "revoke it").takes(Right::PeopleWrite),
    key(Scope::Logs, &["f"], Do::Follow, "follow", "keep the newest in sight, or stay here"),
    key(Scope::Logs, &["l"], Do::Level, "level", "the next level: error, warn, info, debug, trace"),
    key(Scope::Logs, &["w"], Do::Wrap, "wrap", "break long lines, or cut them"),
    key(Scope::Logs, &["i"], Do::Request, "request", "show only the request that this event belongs to"),
    key(Scope::Audit, &["f"], Do::Query, "query", "ask for certain entries: since, who, what, on what"),
    key(Scope::Audit, &["m"], Do::More, "more", "older entries as well"),
    key(Scope::Audit, &["v"], Do::Verify, "verify", "walk the whole chain: was anything changed or cut out?")
        .takes(Right::AuditVerify),
    key(Scope::Security, &["tab", "right"], Do::NextTab, "next tab", "lockouts, sessions, secrets"),
    key(Scope::Security, &["backtab", "left"], Do::PreviousTab, "", "the tab before"),
    key(Scope::Lockouts, &["u"], Do::Unlock, "unlock", "let the user log in again from there")
        .takes(Right::LockoutsClear),
    key(Scope::Sessions, &["ctrl-d"], Do::Remove, "end", "end the session").takes(Right::Own),
    key(Scope::Secrets, &["v"], Do::Validate, "check", "look again whether all is in order")
        .takes(Right::SecretsRead),
    key(Scope::Secrets, &["R"], Do::Rotate, "rotate", "replace the data keys").takes(Right::SecretsRotate),
    key(Scope::List, &["enter"], Do::Open, "open", "show everything about the chosen line"),
    key(
        Scope::List,
        &["/"],
        Do::Filter,
        "filter",
        "show only lines with this: a word, a regular expression, field:value, !not",
    ),
    key(Scope::List, &["j", "down"], Do::Down, "", "down"),
    key(Scope::List, &["k", "up"], Do::Up, "", "up"),
    key(Scope::List, &["g", "home"], Do::First, "", "the first line"),
    key(Scope::List, &["G", "end"], Do::Last, "", "the last line"),
    key(Scope::List, &["ctrl-f", "pgdn"], Do::PageDown, "", "down by a page"),
    key(Scope::List, &["ctrl-b", "pgup"], Do::PageUp, "", "up by a page"),
    key(Scope::List, &["n"], Do::Next, "", "the next line that the last filter finds"),
    key(Scope::List, &["N"], Do::Previous, "", "the line before that it finds"),
    key(Scope::List, &["s"], Do::Sort, "sort", "sort by the next column"),
    key(Scope::List, &["S"], Do::Reverse, "", "turn the order round"),
    key(Scope::List, &["space"], Do::Mark, "mark", "mark the line, to do something with several"),
    key(Scope::List, &["y"], Do::Yank, "", "copy the name"),
    key(Scope::Everywhere, &["?"], Do::Help, "help", "what the keys do here"),
    key(Scope::Everywhere, &[":"], Do::Command, "command", "go somewhere or do something by its name"),
    key(Scope::Everywhere, &["1"], Do::Go(Screen::Overview), "", "overview"),
    key(Scope::Everywhere, &["2"], Do::Go(Screen::Nodes), "", "nodes"),
    key(Scope::Everywhere, &["3"], Do::Go(Screen::Models), "", "models"),
    key(Scope::Everywhere, &["4"], Do::Go(Screen::Jobs), "", "jobs"),
    key(Scope::Everywhere, &["5"], Do::Go(Screen::People), "", "organizations, users, keys"),
    key(Scope::Everywhere, &["7"], Do::Go(Screen::Logs), "", "the log"),
    key(Scope::Everywhere, &["8"], Do::Go(Screen::Audit), "", "the audit log"),
    key(Scope::Everywhere, &["0"], Do::Go(Screen::Security), "", "lockouts, sessions, secrets"),
    key(Scope::Everywhere, &["`"], Do::NextScreen, "", "the screen after this one"),
    key(Scope::Everywhere, &["r"], Do::Refresh, "", "look again; connect now, if there is no connection"),
    key(
        Scope::Everywhere,
        &["esc"],
        Do::Back,
        "",
        "back: close, give up what runs, show all lines again, leave the screen",
    ),
    key(Scope::Everywhere, &["q"], Do::Quit, "quit", "leave the console; what was begun goes on"),
    key(Scope::Form, &["enter"], Do::Enter, "next", "the next field; from the last one, send"),
    key(Scope::Form, &["tab", "down"], Do::NextField, "", "the next field"),
    key(Scope::Form, &["backtab", "up"], Do::PreviousField, "", "the field before"),
    key(Scope::Form, &["ctrl-s"], Do::Submit, "send", "send the form"),
    key(Scope::Form, &["esc"], Do::Cancel, "cancel", "give up what runs; close the form"),
    key(Scope::Confirm, &["y"], Do::Yes, "yes", "do it"),
    key(Scope::Confirm, &["n", "esc", "q"], Do::Cancel, "no", "leave it"),
    key(Scope::Typed, &["enter"], Do::Yes, "do it", "do it, once the name stands there"),
    key(Scope::Typed, &["esc"], Do::Cancel, "no", "leave it"),
    key(
        Scope::Reveal,
        &["c", "y"],
        Do::Copy,
        "copy",
        "put it into the clipboard, through the terminal (OSC 52)",
    ),
    key(Scope::Reveal, &["esc", "q"], Do::Cancel, "close", "close; it is not shown again"),
    key(Scope::Text, &["j", "down"], Do::Down, "", "down"),
    key(Scope::Text, &["k", "up"], Do::Up, "", "up"),
    key(Scope::Text, &["g", "home"], Do::First, "", "to the top"),
    key(Scope::Text, &["G", "end"], Do::Last, "", "to the end"),
    key(Scope::Text, &["space", "ctrl-f", "pgdn"], Do::PageDown, "", "down by a page"),
    key(Scope::Text, &["ctrl-b", "pgup"], Do::PageUp, "", "up by a page"),
    key(Scope::Text, &["esc", "q", "enter", "?"], Do::Cancel, "close", "close"),
    key(Scope::Command, &["enter"], Do::Accept, "go", "do it"),
    key(Scope::Command, &["tab"], Do::Complete, "complete", "complete the word; again for the next"),
    key(Scope::Command, &["up"], Do::Older, "", "what was typed before"),
    key(Scope::Command, &["down"], Do::Newer, "", "what was typed after"),
    key(Scope::Command, &["esc"], Do::Cancel, "cancel", "leave it"),
    key(Scope::Filter, &["enter"], Do::Accept, "keep", "keep the filter"),
    key(Scope::Filter, &["esc"], Do::Cancel, "cancel", "show all lines again"),
    key(Scope::Always, &["ctrl-c"], Do::Quit, "", "leave at once, whatever is open"),
    key(Scope::Always, &["ctrl-l"], Do::Redraw, "", "draw everything anew"),
    key(Scope::Always, &["ctrl-z"], Do::Suspend, "", "stop; fg in the shell goes on"),
];

/// Where the keys go now, the first that knows a key decides.
pub(crate) fn scopes(model: &Model) -> Vec<Scope> {
    let own = if let Some(line) = &model.line {
        match line.kind {
            crate::model::line::LineKind::Command => vec![Scope::Command],
            crate::model::line::LineKind::Filter => vec![Scope::Filter],
        }
    } else if let Some(dialog) = model.dialogs.last() {
        vec![match dialog {
            Dialog::Form(_) => Scope::Form,
            Dialog::Confirm(confirm) if confirm.typed.is_some() => Scope::Typed,
            Dialog::Confirm(_) => Scope::Confirm,
            Dialog::Reveal(_) => Scope::Reveal,
            Dialog::Text(_) | Dialog::Help(_) => Scope::Text,
        }]
    } else {
        screen(model).to_vec()
    };
    own.into_iter().chain([Scope::Always]).collect()
}

/// Where the keys of the screen go.
pub(crate) fn screen(model: &Model) -> &'static [Scope] {
    use crate::model::{people, security};
    const fn tab(own: Scope, common: Scope) -> [Scope; 4] {
        [own, common, Scope::List, Scope::Everywhere]
    }
    match model.screen {
        Screen::Overview => &[Scope::Everywhere],
        Screen::Nodes => &[Scope::Nodes, Scope::List, Scope::Everywhere],
        Screen::Models => &[Scope::Models, Scope::List, Scope::Everywhere],
        Screen::Jobs => &[Scope::Jobs, Scope::List, Scope::Everywhere],
        Screen::People => match model.people.tab {
            people::Tab::Organizations => const { &tab(Scope::Organizations, Scope::People) },
            people::Tab::Users => const { &tab(Scope::Users, Scope::People) },
            people::Tab::Keys => const { &tab(Scope::Keys, Scope::People) },
        },
        Screen::Logs => &[Scope::Logs, Scope::List, Scope::Everywhere],
        Screen::Audit => &[Scope::Audit, Scope::List, Scope::Everywhere],
        Screen::Security => match model.security.tab {
            security::Tab::Lockouts => const { &tab(Scope::Lockouts, Scope::Security) },
            security::Tab::Sessions => const { &tab(Scope::Sessions, Scope::Security) },
            security::Tab::Secrets => const { &tab(Scope::Secrets, Scope::Security) },
        },
    }
}

/// The binding of a key, as things stand.
pub(crate) fn find(model: &Model, event: &KeyEvent) -> Option<&'static Binding> {
    let name = name(event)?;
    scopes(model).into_iter().find_map(|scope| {
        BINDINGS.iter().find(|binding| binding.scope == scope && binding.keys.contains(&&*name))
    })
}

/// The bindings that hold now, scope by scope.
pub(crate) fn holding(scopes: &[Scope]) -> Vec<&'static Binding> {
    scopes.iter().flat_map(|scope| BINDINGS.iter().filter(move |binding| binding.scope == *scope)).collect()
}

/// A key as the list spells it.
pub(crate) fn name(event: &KeyEvent) -> Option<String> {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    if event.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::META) {
        return None;
    }
    let base = match event.code {
        KeyCode::Char(' ') => "space".to_owned(),
        KeyCode::Char(c) if control => c.to_lowercase().to_string(),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::Enter => "enter".to_owned(),
        KeyCode::Esc => "esc".to_owned(),
        KeyCode::Tab => "tab".to_owned(),
        KeyCode::BackTab => "backtab".to_owned(),
        KeyCode::Up => "up".to_owned(),
        KeyCode::Down => "down".to_owned(),
        KeyCode::Left => "left".to_owned(),
        KeyCode::Right => "right".to_owned(),
        KeyCode::Home => "home".to_owned(),
        KeyCode::End => "end".to_owned(),
        KeyCode::PageUp => "pgup".to_owned(),
        KeyCode::PageDown => "pgdn".to_owned(),
        KeyCode::Delete => "del".to_owned(),
        _ => return None,
    };
    Some(if control { format!("ctrl-{base}") } else { base })
}
