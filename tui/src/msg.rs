//! What happens to the console, and what it wants done. Between the two stands [`update`](crate::update): all
//! that is waited for is in here, none of it in there.

use std::path::PathBuf;

use aivonx_protocol::{
    Event, Fault, Reply, Request, UnixMillis, WireSecret,
    account::{Identity, LoggedIn},
    audit::{self, Checkpoint},
    handshake::Login,
};
use crossterm::event::KeyEvent;

use crate::{
    audit_copy::Exported,
    journal::{Part, Past},
    state::form::FormFile,
};

/// Number of a call or a feed, unique while the console runs.
pub(crate) type Ticket = u64;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has so many columns and rows.
    Resize(u16, u16),
    /// A second passed; it is now that late.
    Tick(UnixMillis),
    /// The connection stands.
    Up(Box<Up>),
    /// There is no connection.
    Down(Down),
    /// A call was answered. Feeds have no answer.
    Answer {
        /// Which call.
        ticket: Ticket,
        /// The answer.
        result: Result<Reply, Fault>,
    },
    /// Steps of a feed, in order.
    Events {
        /// Which feed.
        ticket: Ticket,
        /// The steps.
        events: Vec<Event>,
    },
    /// A feed is over.
    Ended {
        /// Which feed.
        ticket: Ticket,
        /// Why, if not in order.
        result: Result<(), Fault>,
    },
    /// A part of the journal was read, or could not be.
    Past {
        /// Which reading.
        ticket: Ticket,
        /// What was found, or why nothing was.
        result: Result<Past, String>,
    },
    /// A file with published checkpoints was read, or could not be.
    Anchors {
        /// Which reading.
        ticket: Ticket,
        /// The checkpoints, or what is wrong.
        result: Result<Vec<Checkpoint>, String>,
    },
    /// So many bytes of an export were written.
    Exporting {
        /// Which export.
        ticket: Ticket,
        /// Bytes.
        written: u64,
    },
    /// An export was written, or was not.
    Exported {
        /// Which export.
        ticket: Ticket,
        /// What was written, or why nothing was.
        result: Result<Exported, NoExport>,
    },
    /// A report was made, or why it was not.
    Reported {
        /// Number it was asked for with.
        ticket: Ticket,
        /// Its title and sections, or where it was written.
        result: Result<Reported, String>,
    },
    /// A filter has not looked at everything yet, and nothing else is to be done.
    Search,
    /// A file was read, or why it was not.
    File {
        /// Number it was asked for with.
        ticket: Ticket,
        /// What is in it.
        result: Result<WireSecret, String>,
    },
    /// Something done on this side did not work out as wished, or did.
    Told {
        /// A sentence.
        text: String,
        /// Whether it is bad news.
        bad: bool,
    },
}

/// A copy of the audit log to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Export {
    /// Which entries, in which form.
    pub(crate) request: audit::Export,
    /// Where to; the signature goes beside it.
    pub(crate) file: PathBuf,
    /// Whether what is there is replaced.
    pub(crate) replace: bool,
}

/// A report of an incident.
#[derive(Debug)]
pub(crate) enum Reported {
    /// To be read: the title, and the sections with their lines.
    Shown(String, Vec<(&'static str, Vec<String>)>),
    /// In this file.
    Written(PathBuf),
}

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum NoExport {
    /// Something has this name, and was not to be replaced.
    There {
        /// The name: of the copy or of its signature.
        path: PathBuf,
        /// What was to be written.
        export: Box<Export>,
    },
    /// A sentence.
    Failed(String),
}

/// A connection that stands.
#[derive(Debug, Clone)]
pub(crate) struct Up {
    /// Name and version of the daemon. Untrusted.
    pub(crate) daemon: String,
    /// What login it wants.
    pub(crate) login: Login,
    /// Who the connection is for; None is nobody yet.
    pub(crate) identity: Option<Identity>,
    /// Path of the socket.
    pub(crate) socket: String,
    /// Whether the caller is root or the daemon's own user, who may make the first administrator.
    pub(crate) may_set_up: bool,
    /// Why a kept session could not be used, if so.
    pub(crate) refused: Option<String>,
}

/// There is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Down {
    /// Why, in a sentence; may have several lines.
    pub(crate) why: String,
    /// After how long it is tried again, milliseconds.
    pub(crate) retry_ms: u64,
}

/// Something to be done by the runtime.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Ask the daemon.
    Call {
        /// Number the answer comes with.
        ticket: Ticket,
        /// The request.
        request: Request,
    },
    /// Ask the daemon for a stream of events.
    Follow {
        /// Number the events come with.
        ticket: Ticket,
        /// The request.
        request: Request,
    },
    /// Read a part of the journal, with the rights of the user who runs the console.
    Past {
        /// Number it comes with.
        ticket: Ticket,
        /// The part.
        part: Part,
    },
    /// Read a file with published checkpoints.
    Anchors {
        /// Number they come with.
        ticket: Ticket,
        /// The file.
        file: PathBuf,
    },
    /// Ask the daemon for a copy of the audit log and write it.
    Export {
        /// Number its result comes with.
        ticket: Ticket,
        /// What, and where to.
        export: Export,
    },
    /// Gather a report of an incident.
    Report {
        /// Number it comes with.
        ticket: Ticket,
        /// From when on.
        since: UnixMillis,
        /// Where it is written; None is to be shown.
        file: Option<PathBuf>,
    },
    /// Come back with [`Msg::Search`] when there is nothing else to do.
    Search,
    /// Give up a call or a feed; nothing comes for it any more.
    Drop(Ticket),
    /// Read a file on this machine.
    ReadFile {
        /// Number the answer comes with.
        ticket: Ticket,
        /// What of.
        what: FormFile,
        /// The file.
        path: String,
    },
    /// Connect now instead of when the wait is over.
    Connect,
    /// Keep this session for the next start, as `aivonx login` does.
    Keep(Box<LoggedIn>),
    /// Forget the kept session.
    Forget,
    /// Put text into the clipboard of the terminal (OSC 52).
    Copy(WireSecret),
    /// Draw everything anew.
    Redraw,
    /// Stop as a job of the shell.
    Suspend,
    /// End.
    Quit,
}
