//! Everything the console knows: one value, changed by [`update`](crate::update) alone and drawn by
//! [`view`](crate::view), which change nothing else.

pub(crate) mod calls;
pub(crate) mod dialog;
pub(crate) mod form;
pub(crate) mod line;
pub(crate) mod list;
pub(crate) mod nodes;
pub(crate) mod overview;
pub(crate) mod rights;
pub(crate) mod secret_input;
#[cfg(test)]
pub(crate) mod testing;

use aivonx_protocol::{UnixMillis, account::Identity, daemon::Status, handshake::Login};
use jiff::tz::TimeZone;

pub(crate) use self::{
    calls::{Calls, Purpose, Topic},
    dialog::Dialog,
    line::LineInput,
    rights::Right,
};
use crate::{command::History, msg::Ticket, theme::Theme};

/// One of the screens. The number that leads to it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Screen {
    /// How everything does, and what to do next.
    Overview,
    /// The servers that run the models.
    Nodes,
}

impl Screen {
    /// Every screen in the order shown.
    pub(crate) const ALL: [Self; 2] = [Self::Overview, Self::Nodes];

    /// The key that leads to it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Overview => "1",
            Self::Nodes => "2",
        }
    }

    /// Its name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Nodes => "Nodes",
        }
    }

    /// What it is called after `:`; the first is the usual one.
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Overview => &["overview", "status"],
            Self::Nodes => &["nodes", "node"],
        }
    }

    /// One line about it.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Overview => "how the gateway does, and what to do next",
            Self::Nodes => "the servers that run the models",
        }
    }

    /// What one must be allowed to see there.
    pub(crate) fn right(self) -> Right {
        match self {
            Self::Overview => Right::Status,
            Self::Nodes => Right::NodesRead,
        }
    }
}

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is being made for the first time.
    Connecting,
    /// It stands.
    Up {
        /// Name and version of the daemon. Untrusted.
        daemon: String,
        /// What login it wants.
        login: Login,
        /// Path of the socket.
        socket: String,
    },
    /// It does not stand, and is tried again.
    Down {
        /// Why.
        why: String,
        /// Since when.
        since: UnixMillis,
        /// When it is tried again.
        retry: UnixMillis,
    },
}

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
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Model {
    /// How it was started.
    pub(crate) settings: Settings,
    /// The time.
    pub(crate) now: UnixMillis,
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
    /// The nodes.
    pub(crate) nodes: nodes::Nodes,
    /// The feed of nodes, while there is one.
    pub(crate) node_feed: Option<Ticket>,
}

impl Model {
    /// At the beginning: nothing known.
    pub(crate) fn new(settings: Settings, now: UnixMillis, zone: TimeZone, size: (u16, u16)) -> Self {
        Self {
            settings,
            now,
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
            nodes: nodes::Nodes::default(),
            node_feed: None,
        }
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
        rights::why_not(self, right)
    }

    /// The list that keys move in, if the screen has one.
    pub(crate) fn rows(&mut self) -> Option<&mut dyn list::Rows> {
        match self.screen {
            Screen::Overview => None,
            Screen::Nodes => Some(&mut self.nodes.list),
        }
    }

    /// The same to look at.
    pub(crate) fn rows_ref(&self) -> Option<&dyn list::Rows> {
        match self.screen {
            Screen::Overview => None,
            Screen::Nodes => Some(&self.nodes.list),
        }
    }
}
