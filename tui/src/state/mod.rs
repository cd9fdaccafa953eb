//! Everything the console knows: one value, changed by [`update`](crate::update) alone and drawn by
//! [`view`](crate::view), which change nothing else.

pub(crate) mod access;
pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod calls;
pub(crate) mod checks;
pub(crate) mod dialog;
pub(crate) mod form;
mod history;
pub(crate) mod jobs;
pub(crate) mod line;
mod link;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod models;
pub(crate) mod nodes;
pub(crate) mod overview;
pub(crate) mod requests;
pub(crate) mod rights;
mod screen;
pub(crate) mod secret_input;
pub(crate) mod security;
pub(crate) mod steps;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod usage;

use std::net::SocketAddr;

use aivonx_protocol::{UnixMillis, account::Identity, daemon::Status};
use jiff::tz::TimeZone;

pub(crate) use self::{
    calls::{Calls, Purpose, Topic},
    dialog::Dialog,
    history::History,
    line::LineInput,
    link::Link,
    rights::Right,
    screen::Screen,
};
use crate::{msg::Ticket, render::View, theme::Theme};

/// A sentence in the line above the hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The sentence.
    pub(crate) text: String,
    /// Whether it is bad news.
    pub(crate) bad: bool,
    /// Since when it stands there.
    pub(crate) since: UnixMillis,
}

/// How the console was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whether nothing may be changed.
    pub(crate) read_only: bool,
    /// How the terminal wants to be drawn on.
    pub(crate) theme: Theme,
    /// After how long without a key the screen is locked, milliseconds; None is never.
    pub(crate) lock_after_ms: Option<u64>,
    /// Where clients connect, if the gateway is there for a demo alone.
    pub(crate) demo: Option<SocketAddr>,
}

/// The list at hand, borrowed one way or the other.
macro_rules! list_of {
    ($model:ident, $($way:tt)+) => {
        match $model.screen {
            Screen::Overview => $($way)+ $model.overview.concerns,
            Screen::Nodes => $($way)+ $model.nodes.list,
            Screen::Models => match $model.models.tab {
                models::Tab::Models => $($way)+ $model.models.list,
                models::Tab::Kept => $($way)+ $model.models.kept,
                models::Tab::Strategies => $($way)+ $model.models.strategies,
                models::Tab::Restrictions => $($way)+ $model.models.restrictions,
            },
            Screen::Jobs => $($way)+ $model.jobs.list,
            Screen::Access => match $model.access.tab {
                access::Tab::Organizations => $($way)+ $model.access.organizations,
                access::Tab::Users => $($way)+ $model.access.users,
                access::Tab::Keys => $($way)+ $model.access.keys,
            },
            Screen::Usage if $model.is_patterns() => $($way)+ $model.usage.patterns,
            Screen::Usage if $model.is_limits() => $($way)+ $model.usage.limits,
            Screen::Usage => match $model.usage.tab {
                usage::Tab::Organizations => $($way)+ $model.usage.organizations,
                usage::Tab::Users => $($way)+ $model.usage.users,
                usage::Tab::Keys => $($way)+ $model.usage.keys,
                usage::Tab::Models => $($way)+ $model.usage.models,
                usage::Tab::Nodes => $($way)+ $model.usage.nodes,
                usage::Tab::Prices => $($way)+ $model.usage.prices,
                usage::Tab::Policies => $($way)+ $model.usage.policies,
                usage::Tab::Aliases => $($way)+ $model.usage.aliases,
            },
            Screen::Logs => $($way)+ $model.logs,
            Screen::Audit => $($way)+ $model.audit.list,
            Screen::Requests => $($way)+ $model.requests.list,
            Screen::Security => match $model.security.tab {
                security::Tab::Lockouts => $($way)+ $model.security.lockouts,
                security::Tab::Sessions => $($way)+ $model.security.sessions,
                security::Tab::Secrets => $($way)+ $model.security.checks,
                security::Tab::Snapshots => $($way)+ $model.security.snapshots,
                security::Tab::Blocks => $($way)+ $model.security.blocks,
                security::Tab::Incidents => $($way)+ $model.security.findings,
                security::Tab::Check => $($way)+ $model.security.setup,
            },
        }
    };
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Model {
    /// How it was started.
    pub(crate) settings: Settings,
    /// The time.
    pub(crate) now: UnixMillis,
    /// When a key was last pressed.
    pub(crate) last_key: UnixMillis,
    /// Times are shown as of here.
    pub(crate) zone: TimeZone,
    /// Columns and rows.
    pub(crate) size: (u16, u16),
    /// How the connection stands.
    pub(crate) link: Link,
    /// Who the connection is for; None is nobody yet.
    pub(crate) identity: Option<Identity>,
    /// The screen shown.
    pub(crate) screen: Screen,
    /// Screens come from, for going back.
    pub(crate) trail: Vec<Screen>,
    /// What stands before the screen, the last on top.
    pub(crate) dialogs: Vec<Dialog>,
    /// What is being typed after `:` or `/`.
    pub(crate) line: Option<LineInput>,
    /// What was typed after `:`.
    pub(crate) history: History,
    /// What was last said.
    pub(crate) notice: Option<Notice>,
    /// What was asked and is not answered yet.
    pub(crate) calls: Calls,
    /// The daemon, as last heard.
    pub(crate) status: Option<Status>,
    /// The overview.
    pub(crate) overview: overview::Overview,
    /// Whether the chosen line is shown in full.
    pub(crate) detail: bool,
    /// How far down in that.
    pub(crate) detail_scroll: usize,
    /// The nodes.
    pub(crate) nodes: nodes::Nodes,
    /// The models.
    pub(crate) models: models::Models,
    /// The jobs.
    pub(crate) jobs: jobs::Jobs,
    /// Organizations, users and keys.
    pub(crate) access: access::Access,
    /// Usage and limits.
    pub(crate) usage: usage::Usage,
    /// The log.
    pub(crate) logs: logs::Logs,
    /// The audit log.
    pub(crate) audit: audit::AuditLog,
    /// What runs now.
    pub(crate) requests: requests::Requests,
    /// Lockouts, sessions, secrets.
    pub(crate) security: security::Security,
    /// One's own account.
    pub(crate) account: account::Account,
    /// The feed of nodes, while there is one.
    pub(crate) node_feed: Option<Ticket>,
}

impl Model {
    /// At the beginning: nothing known.
    pub(crate) fn new(settings: Settings, now: UnixMillis, zone: TimeZone, size: (u16, u16)) -> Self {
        Self {
            settings,
            now,
            last_key: now,
            zone,
            size,
            link: Link::Connecting,
            identity: None,
            screen: Screen::Overview,
            trail: Vec::new(),
            dialogs: Vec::new(),
            line: None,
            history: History::default(),
            notice: None,
            calls: Calls::default(),
            status: None,
            overview: overview::Overview::default(),
            detail: false,
            detail_scroll: 0,
            nodes: nodes::Nodes::default(),
            models: models::Models::default(),
            jobs: jobs::Jobs::default(),
            access: access::Access::default(),
            usage: usage::Usage::default(),
            logs: logs::Logs::default(),
            audit: audit::AuditLog::default(),
            requests: requests::Requests::default(),
            security: security::Security::default(),
            account: account::Account::default(),
            node_feed: None,
        }
    }

    /// How nouns are looked at here.
    pub(crate) fn view(&self) -> View<'_> {
        let theme = Some(self.settings.theme);
        View { now: self.now, zone: &self.zone, theme, disabled_keys: &self.access.disabled_keys }
    }

    /// How many minutes after midnight UTC the days of usage begin.
    pub(crate) fn day_offset(&self) -> u32 {
        self.status.as_ref().map_or(0, |status| status.day_offset_minutes)
    }

    /// Whether the connection stands.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// Says something in the line above the hints.
    pub(crate) fn tell(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), bad: false, since: self.now });
    }

    /// The same with bad news.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), bad: true, since: self.now });
    }

    /// Why `right` cannot be used now, if so.
    pub(crate) fn why_not(&self, right: Right) -> Option<String> {
        rights::why_not(right, &self.link, self.identity.as_ref(), self.settings.read_only)
    }

    /// Whether the limits of somebody are open on the screen of usage.
    pub(crate) fn is_limits(&self) -> bool {
        self.is_one_used() && !self.usage.shows_patterns
    }

    /// Whether the patterns of an organization are open there.
    pub(crate) fn is_patterns(&self) -> bool {
        self.is_one_used() && self.usage.shows_patterns
    }

    fn is_one_used(&self) -> bool {
        self.screen == Screen::Usage && self.detail && self.usage.open.is_some()
    }

    /// The list that keys move in, if the screen has one.
    pub(crate) fn rows(&mut self) -> Option<&mut dyn list::Rows> {
        Some(list_of!(self, &mut))
    }

    /// The same to look at.
    pub(crate) fn rows_ref(&self) -> Option<&dyn list::Rows> {
        Some(list_of!(self, &))
    }

    /// Forgets what was seen: it was somebody else's to see.
    pub(crate) fn forget(&mut self) {
        self.detail = false;
        self.overview = overview::Overview::default();
        self.nodes = nodes::Nodes::default();
        self.models = models::Models::default();
        self.jobs = jobs::Jobs::default();
        self.access = access::Access::default();
        self.usage = usage::Usage::default();
        self.logs = logs::Logs::default();
        self.audit = audit::AuditLog::default();
        self.requests = requests::Requests::default();
        self.security = security::Security::default();
    }
}
