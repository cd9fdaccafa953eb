//! The bindings themselves.

use super::{Binding, Do, Scope};
use crate::state::{Right, Screen};

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
    key(
        Scope::Overview,
        &["enter"],
        Do::NextStep,
        "open",
        "do the next step; go where the chosen line leads, to what it is about",
    ),
    key(Scope::Overview, &["j", "down"], Do::Down, "alerts", "the next line that needs attention"),
    key(Scope::Overview, &["k", "up"], Do::Up, "", "the line before"),
    key(Scope::Overview, &["g", "home"], Do::First, "", "the first of these lines"),
    key(Scope::Overview, &["G", "end"], Do::Last, "", "the last of these lines"),
    key(Scope::Overview, &["y"], Do::Yank, "", "copy the name"),
    key(Scope::Nodes, &["a"], Do::Add, "add", "add a node").takes(Right::NodesWrite),
    key(Scope::Nodes, &["e"], Do::Edit, "edit", "change the node").takes(Right::NodesWrite),
    key(Scope::Nodes, &["d"], Do::Drain, "drain", "let it finish what it has and take nothing new")
        .takes(Right::NodesWrite),
    key(Scope::Nodes, &["u"], Do::Enable, "enable", "let it take requests (again)").takes(Right::NodesWrite),
    key(Scope::Nodes, &["x"], Do::Disable, "disable", "take it out: no requests, no checks")
        .takes(Right::NodesWrite),
    key(Scope::Nodes, &["c"], Do::Check, "check", "check it now").takes(Right::NodesWrite),
    key(Scope::Nodes, &["p"], Do::Pull, "pull", "pull a model to it").takes(Right::ModelsWrite),
    key(Scope::Nodes, &["t"], Do::Strategy, "strategy", "how a node is chosen for a request")
        .takes(Right::NodesRead),
    key(
        Scope::Nodes,
        &["w"],
        Do::Wake,
        "wake",
        "let it sleep while nobody asks it, and wake it (wake-on-LAN)",
    )
    .takes(Right::NodesWrite),
    key(Scope::Nodes, &["W"], Do::WakeUp, "", "wake it now, though no request waits for it")
        .takes(Right::NodesWrite),
    key(Scope::Nodes, &["ctrl-d"], Do::Remove, "remove", "forget it").takes(Right::NodesWrite),
    key(Scope::Models, &["p"], Do::Pull, "pull", "pull it (again), or another").takes(Right::ModelsWrite),
    key(Scope::Models, &["L"], Do::Load, "load", "load it into memory, on one node or where it is")
        .takes(Right::ModelsWrite),
    key(Scope::Models, &["U"], Do::Unload, "unload", "take it out of memory").takes(Right::ModelsWrite),
    key(Scope::Models, &["K"], Do::Keep, "keep", "keep it loaded on some nodes").takes(Right::ModelsWrite),
    key(Scope::Models, &["c"], Do::CopyModel, "", "copy it under another name").takes(Right::ModelsWrite),
    key(Scope::Models, &["a"], Do::Add, "", "make a model out of it").takes(Right::ModelsWrite),
    key(Scope::Models, &["P"], Do::Push, "", "send it to its registry").takes(Right::ModelsWrite),
    key(Scope::Models, &["ctrl-d"], Do::Remove, "remove", "delete it from one node, or from all")
        .takes(Right::ModelsWrite),
    key(Scope::Models, &["right", "l"], Do::Right, "one node", "the node at the right: keys act on it alone"),
    key(Scope::Models, &["left", "h"], Do::Left, "", "the node at the left"),
    key(Scope::Kept, &["a"], Do::Add, "add", "keep a model loaded").takes(Right::ModelsWrite),
    key(Scope::Kept, &["e"], Do::Edit, "edit", "change it").takes(Right::ModelsWrite),
    key(Scope::Kept, &["ctrl-d"], Do::Remove, "remove", "keep it loaded no longer").takes(Right::ModelsWrite),
    key(Scope::ModelStrategies, &["a"], Do::Add, "add", "give models a strategy of their own")
        .takes(Right::StrategyWrite),
    key(Scope::ModelStrategies, &["e"], Do::Edit, "edit", "change it").takes(Right::StrategyWrite),
    key(Scope::ModelStrategies, &["ctrl-d"], Do::Remove, "remove", "let them have the fleet's again")
        .takes(Right::StrategyWrite),
    key(Scope::Restrictions, &["a"], Do::Add, "add", "have models for some organizations alone")
        .takes(Right::RestrictionsWrite),
    key(Scope::Restrictions, &["e"], Do::Edit, "edit", "change it").takes(Right::RestrictionsWrite),
    key(Scope::Restrictions, &["ctrl-d"], Do::Remove, "remove", "let every organization use them again")
        .takes(Right::RestrictionsWrite),
    key(
        Scope::ModelTabs,
        &["tab"],
        Do::NextTab,
        "next tab",
        "models; those kept loaded, with strategies of their own, not for every organization",
    ),
    key(Scope::ModelTabs, &["backtab"], Do::PreviousTab, "", "the tab before"),
    key(Scope::Jobs, &["ctrl-d"], Do::Remove, "cancel", "cancel it").takes(Right::JobsCancel),
    key(Scope::Access, &["tab", "right"], Do::NextTab, "next tab", "organizations, users, keys"),
    key(Scope::Access, &["backtab", "left"], Do::PreviousTab, "", "the tab before"),
    key(Scope::Access, &["l"], Do::Limits, "limits", "its limits and usage").takes(Right::LimitsRead),
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
    key(
        Scope::Users,
        &["t"],
        Do::ResetTotp,
        "2FA",
        "take the second factor away; your own: set it up, turn it off",
    )
    .takes(Right::UsersWrite),
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
    key(Scope::Keys, &["u"], Do::Enable, "enable", "let it in (again)").takes(Right::PeopleWrite),
    key(Scope::Keys, &["x"], Do::Disable, "disable", "keep it out until it is enabled again")
        .takes(Right::PeopleWrite),
    key(Scope::Keys, &["ctrl-d"], Do::Remove, "revoke", "revoke it").takes(Right::PeopleWrite),
    key(Scope::Limits, &["e"], Do::Edit, "set", "set the limit, or others: NAME=VALUE")
        .takes(Right::LimitsWrite),
    key(Scope::Limits, &["u"], Do::Unset, "unset", "take back what was set: it is inherited again")
        .takes(Right::LimitsWrite),
    key(Scope::Limits, &["f"], Do::Profile, "profile", "choose the values that it begins with")
        .takes(Right::LimitsWrite),
    key(
        Scope::Limits,
        &["v"],
        Do::Privacy,
        "privacy",
        "what happens to personal data in its prompts and answers",
    )
    .takes(Right::PrivacyWrite),
    key(Scope::Limits, &["w"], Do::Patterns, "patterns", "its own patterns: regular expressions and words")
        .takes(Right::PrivacyRead),
    key(Scope::Limits, &["t"], Do::PrivacyTest, "try", "try what would become of a text there")
        .takes(Right::PrivacyRead),
    key(Scope::Patterns, &["a"], Do::Add, "add", "look for a regular expression or for words")
        .takes(Right::PrivacyWrite),
    key(Scope::Patterns, &["ctrl-d"], Do::Remove, "remove", "look for it no more").takes(Right::PrivacyWrite),
    key(Scope::Chart, &["c"], Do::Measure, "chart", "chart requests, tokens, USD"),
    key(Scope::Limits, &["ctrl-d"], Do::Remove, "", "take back everything that was set on it")
        .takes(Right::LimitsWrite),
    key(Scope::Prices, &["a"], Do::Add, "set", "set the price of models").takes(Right::PricesWrite),
    key(Scope::Prices, &["e"], Do::Edit, "edit", "change the price").takes(Right::PricesWrite),
    key(Scope::Prices, &["ctrl-d"], Do::Remove, "remove", "forget the price").takes(Right::PricesWrite),
    key(Scope::Policies, &["a"], Do::Add, "add", "add one").takes(Right::PolicyWrite),
    key(Scope::Policies, &["e"], Do::Edit, "edit", "change it").takes(Right::PolicyWrite),
    key(Scope::Policies, &["ctrl-d"], Do::Remove, "remove", "forget it").takes(Right::PolicyWrite),
    key(
        Scope::Usage,
        &["tab", "right"],
        Do::NextTab,
        "next tab",
        "usage by organizations, users, keys, models, nodes; prices, policies, aliases",
    ),
    key(Scope::Usage, &["backtab", "left"], Do::PreviousTab, "", "the tab before"),
    key(Scope::Usage, &["p"], Do::Period, "period", "this hour, today, this month (UTC)"),
    key(Scope::Usage, &["o"], Do::OwnLimits, "fleet's", "the limits of the fleet, or your own")
        .takes(Right::LimitsRead),
    key(Scope::Logs, &["f"], Do::Follow, "follow", "keep the newest in sight, or stay here"),
    key(Scope::Logs, &["l"], Do::Level, "level", "the next level: error, warn, info, debug, trace"),
    key(Scope::Logs, &["w"], Do::Wrap, "", "break long lines, or cut them"),
    key(Scope::Logs, &["i"], Do::Request, "request", "show only the request that this event belongs to"),
    key(Scope::Logs, &["m"], Do::More, "older", "older ones as well: the journal, with your own rights"),
    key(Scope::Logs, &["t"], Do::Time, "", "go to a time: 14:30, 2h, today, \"2026-11-22 14:30\""),
    key(Scope::Audit, &["f"], Do::Query, "query", "ask for certain entries: since, who, what, on what"),
    key(Scope::Audit, &["m"], Do::More, "more", "older entries as well"),
    key(Scope::Audit, &["x"], Do::Export, "export", "write a signed copy into a file")
        .takes(Right::AuditExport),
    key(Scope::Audit, &["v"], Do::Verify, "verify", "walk the whole chain: was anything changed or cut out?")
        .takes(Right::AuditVerify),
    key(Scope::Audit, &["V"], Do::VerifyAgainst, "", "the same, and compare it with published checkpoints")
        .takes(Right::AuditVerify),
    key(
        Scope::Audit,
        &["c"],
        Do::Checkpoint,
        "",
        "sign the log as it is now; you get a line to keep elsewhere",
    )
    .takes(Right::AuditVerify),
    key(Scope::Audit, &["p"], Do::PublicKeys, "", "the public keys that prove copies and checkpoints"),
    key(Scope::Audit, &["t"], Do::Follow, "", "show new entries as they are written, or not any more"),
    key(Scope::Requests, &["ctrl-d"], Do::Remove, "cancel", "end it; its client is told")
        .takes(Right::RunningCancel),
    key(Scope::Requests, &["i"], Do::Request, "log", "what was logged about it").takes(Right::LogsRead),
    key(Scope::Requests, &["o"], Do::ToNode, "node", "the node that works on it").takes(Right::NodesRead),
    key(Scope::Requests, &["b"], Do::Block, "block", "block its client's address").takes(Right::BlocksWrite),
    key(Scope::Requests, &["K"], Do::ToKey, "", "the key that it came with").takes(Right::KeysRead),
    key(Scope::Requests, &["O"], Do::ToOrganization, "", "the organization that it is for")
        .takes(Right::OrganizationsRead),
    key(
        Scope::Security,
        &["tab", "right"],
        Do::NextTab,
        "next tab",
        "lockouts, sessions, secrets, snapshots, blocks, incidents, check",
    ),
    key(Scope::Security, &["backtab", "left"], Do::PreviousTab, "", "the tab before"),
    key(Scope::Lockouts, &["u"], Do::Unlock, "unlock", "let the user log in again from there")
        .takes(Right::LockoutsClear),
    key(Scope::Sessions, &["a"], Do::Add, "token", "make a control token: a session of your own for scripts")
        .takes(Right::OwnAccount),
    key(Scope::Sessions, &["ctrl-d"], Do::Remove, "end", "end the session").takes(Right::Own),
    key(Scope::Secrets, &["v"], Do::Validate, "check", "look again whether all is in order")
        .takes(Right::SecretsRead),
    key(Scope::Secrets, &["R"], Do::Rotate, "rotate", "replace the data keys").takes(Right::SecretsRotate),
    key(Scope::Snapshots, &["a"], Do::Add, "take one", "take a snapshot of the store now")
        .takes(Right::SnapshotsTake),
    key(Scope::Blocks, &["a"], Do::Add, "block", "block an address, a network, a user or a key")
        .takes(Right::BlocksWrite),
    key(Scope::Blocks, &["ctrl-d"], Do::Remove, "unblock", "unblock").takes(Right::BlocksWrite),
    key(
        Scope::Incidents,
        &["c"],
        Do::Contain,
        "contain",
        "shut off the chosen one, or others: keys, users, organizations, addresses",
    )
    .takes(Right::BlocksWrite),
    key(Scope::Incidents, &["d"], Do::Since, "since", "detect since another time, not in the last 24 hours")
        .takes(Right::AuditVerify),
    key(
        Scope::Incidents,
        &["x"],
        Do::Report,
        "report",
        "what happened and what was done, to read or to a file",
    )
    .takes(Right::AuditVerify),
    key(
        Scope::Incidents,
        &["t"],
        Do::ResetTotp,
        "2FA",
        "take second factors away: of an organization, or of all",
    )
    .takes(Right::UsersWrite),
    key(
        Scope::Incidents,
        &["R"],
        Do::Rotate,
        "rotate",
        "replace the data keys, the pepper and the signing key",
    )
    .takes(Right::SecretsRotate),
    key(
        Scope::Check,
        &["i"],
        Do::Isolation,
        "isolation",
        "try with two organizations of its own whether one reaches what is the other's",
    )
    .takes(Right::OrganizationsAdd),
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
    key(Scope::Everywhere, &["5"], Do::Go(Screen::Access), "", "organizations, users, keys"),
    key(Scope::Everywhere, &["6"], Do::Go(Screen::Usage), "", "usage and limits"),
    key(Scope::Everywhere, &["7"], Do::Go(Screen::Logs), "", "the log"),
    key(Scope::Everywhere, &["8"], Do::Go(Screen::Audit), "", "the audit log"),
    key(Scope::Everywhere, &["9"], Do::Go(Screen::Requests), "", "what runs now"),
    key(
        Scope::Everywhere,
        &["0"],
        Do::Go(Screen::Security),
        "",
        "lockouts, sessions, secrets, blocks, incidents",
    ),
    key(Scope::Everywhere, &["`"], Do::NextScreen, "", "the screen after this one"),
    key(Scope::Everywhere, &["r"], Do::Refresh, "", "look again; connect now, if there is no connection"),
    key(Scope::Everywhere, &["ctrl-k"], Do::Lock, "", "lock the screen; your password opens it"),
    key(
        Scope::Everywhere,
        &["esc"],
        Do::Back,
        "",
        "back: close, give up what runs, show all lines again, leave the screen",
    ),
    key(Scope::Everywhere, &["q"], Do::Quit, "quit", "leave the console; what was begun goes on"),
    key(
        Scope::NodeForm,
        &["ctrl-t"],
        Do::Probe,
        "test",
        "ask the server what it is, without adding or changing it",
    ),
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
    key(Scope::Reveal, &["l"], Do::CopyLine, "", "copy the line that uses it"),
    key(Scope::Reveal, &["esc", "q"], Do::Cancel, "close", "close; it is not shown again"),
    key(Scope::Enrol, &["enter"], Do::Submit, "go on", "check the code"),
    key(
        Scope::Enrol,
        &["c"],
        Do::Copy,
        "copy",
        "put the secret into the clipboard, through the terminal (OSC 52)",
    ),
    key(
        Scope::Enrol,
        &["i"],
        Do::Invert,
        "",
        "turn the picture round, where without colours no camera reads it",
    ),
    key(Scope::Enrol, &["esc"], Do::Cancel, "not now", "give up what runs; leave it"),
    key(Scope::Lock, &["enter"], Do::Submit, "open", "check the password"),
    key(Scope::Lock, &["esc"], Do::Cancel, "", "clear what was typed; give up what runs"),
    key(Scope::Lock, &["ctrl-c"], Do::Quit, "leave", "log out and leave; twice: leave at once"),
    key(Scope::Lock, &["ctrl-l"], Do::Redraw, "", "draw everything anew"),
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
