//! Where keys hold, and what they do.

use crate::state::Screen;

/// Where a binding holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// On every screen and in every dialog.
    Always,
    /// On every screen.
    Everywhere,
    /// Where there is a list.
    List,
    /// On the overview.
    Overview,
    /// On the nodes.
    Nodes,
    /// On the models.
    Models,
    /// There, on those that are kept loaded.
    Kept,
    /// On strategies of their own.
    ModelStrategies,
    /// On for which organizations they are.
    Restrictions,
    /// On the tabs of the models.
    ModelTabs,
    /// On the jobs.
    Jobs,
    /// On organizations, users and keys.
    Access,
    /// Among them, on organizations.
    Organizations,
    /// On users.
    Users,
    /// On keys.
    Keys,
    /// On usage and limits.
    Usage,
    /// There, on the limits of one.
    Limits,
    /// There, on the patterns of one.
    Patterns,
    /// There, where a chart is.
    Chart,
    /// On prices.
    Prices,
    /// On model policies and aliases.
    Policies,
    /// On the log.
    Logs,
    /// On the audit log.
    Audit,
    /// On what runs now.
    Requests,
    /// On lockouts, sessions and secrets.
    Security,
    /// Among them, on lockouts.
    Lockouts,
    /// On sessions.
    Sessions,
    /// On secrets.
    Secrets,
    /// On snapshots.
    Snapshots,
    /// On blocks.
    Blocks,
    /// On what looks like an attack.
    Incidents,
    /// On the checks of the setup.
    Check,
    /// In the form of a node.
    NodeForm,
    /// In a form.
    Form,
    /// In a question.
    Confirm,
    /// In a question whose answer is typed.
    Typed,
    /// Where a secret is shown.
    Reveal,
    /// Where a second factor is set up.
    Enrol,
    /// On the locked screen.
    Lock,
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
            Self::Overview => "Overview",
            Self::Nodes => "Nodes",
            Self::Models => "Models",
            Self::Kept => "Kept",
            Self::ModelStrategies => "Strategies",
            Self::Restrictions => "Organizations",
            Self::ModelTabs => "Tabs",
            Self::Jobs => "Jobs",
            Self::Access => "Access",
            Self::Organizations => "Organizations",
            Self::Users => "Users",
            Self::Keys => "Keys",
            Self::Usage => "Usage",
            Self::Limits => "Limits",
            Self::Patterns => "Patterns",
            Self::Chart => "Chart",
            Self::Prices => "Prices",
            Self::Policies => "Model policy",
            Self::Logs => "Log",
            Self::Audit => "Audit log",
            Self::Requests => "Requests",
            Self::Security => "Security",
            Self::Lockouts => "Lockouts",
            Self::Sessions => "Sessions",
            Self::Secrets => "Secrets",
            Self::Snapshots => "Snapshots",
            Self::Blocks => "Blocks",
            Self::Incidents => "Incidents",
            Self::Check => "Check",
            Self::NodeForm => "In the form of a node",
            Self::Form => "In a form",
            Self::Confirm | Self::Typed => "In a question",
            Self::Reveal => "With a secret",
            Self::Enrol => "Setting up a second factor",
            Self::Lock => "Locked",
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
    /// Load a model into memory.
    Load,
    /// Take a model out of memory.
    Unload,
    /// Copy a model under another name.
    CopyModel,
    /// Send a model to its registry.
    Push,
    /// Keep a model loaded.
    Keep,
    /// Say how a node is woken.
    Wake,
    /// Wake it.
    WakeUp,
    /// Show how nodes are chosen, and choose how.
    Strategy,
    /// Ask the server in the form what it is.
    Probe,
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
    /// Go to a time.
    Time,
    /// Show one request alone.
    Request,
    /// Show the node that it runs on.
    ToNode,
    /// Show the key that it came with.
    ToKey,
    /// Show the organization that it is for.
    ToOrganization,
    /// Show older ones as well.
    More,
    /// Ask for others.
    Query,
    /// Verify the chain.
    Verify,
    /// Verify it against published checkpoints.
    VerifyAgainst,
    /// Write a copy.
    Export,
    /// Sign it as it is now.
    Checkpoint,
    /// Show the public keys.
    PublicKeys,
    /// Let somebody log in again.
    Unlock,
    /// Look whether all is in order.
    Validate,
    /// Show the limits of it.
    Limits,
    /// Show one's own limits, or the fleet's.
    OwnLimits,
    /// Sum up over another time.
    Period,
    /// Chart something else.
    Measure,
    /// Take back what was set.
    Unset,
    /// Choose a limit profile.
    Profile,
    /// Say what happens to personal data.
    Privacy,
    /// Try what would become of a text.
    PrivacyTest,
    /// Show patterns of one's own.
    Patterns,
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
    /// Turn a picture round.
    Invert,
    /// Copy the line that uses it.
    CopyLine,
    /// Do what comes next.
    NextStep,
    /// Lock the screen.
    Lock,
    /// Block whom it comes from.
    Block,
    /// Shut off whoever attacks.
    Contain,
    /// Make a report.
    Report,
    /// Choose since when is looked.
    Since,
    /// Try whether organizations are isolated.
    Isolation,
}
