//! systemd's journal, with fields: `journalctl AIVONX_NODE=gpu1`.
//!
//! tracing-journald writes, but on the queue's thread and from redacted records: under the registry, as it is
//! meant to be used, it would hold up the thread of the event whenever journald stands still, and would see
//! the fields before they are redacted. How it gets them is described in `reissue.rs`.
//!
//! # Losses
//! tracing-journald does not say when it cannot send, so the socket is tried before each event. Events while no
//! journald listens are waited with and, if it stays away, counted as lost; a journald that is slow only makes
//! the queue before us fill up, which is counted there. Not known: an event lost because journald ended
//! between the trial and the sending, because the kernel had no buffer, or, for one too large for a datagram,
//! because no sealed memory file could be made for it; nor what journald itself drops by its rate limit
//! (it says so in the journal).

use std::{
    io::{self, ErrorKind},
    os::unix::net::UnixDatagram,
    thread,
    time::Duration,
};

use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{
    Registry,
    layer::{Layered, SubscriberExt},
};

use super::{
    messages::IDENTIFIER,
    queue::{Lost, Sink},
    reissue::reissue,
    view::View,
};

/// Where journald listens; tracing-journald knows no other place.
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";
/// How often and how long apart a restarting journald is tried again before events are given up.
const TRIES: u32 = 20;
const TRY_EVERY: Duration = Duration::from_millis(100);

/// The connection to journald.
pub(crate) struct Journald {
    /// Nobody's default: it gets what we give it.
    journal: Layered<tracing_journald::Layer, Registry>,
    trial: UnixDatagram,
    lost: u64,
    why: String,
    /// The last event was given up: do not wait again until one succeeds.
    gone: bool,
}

impl Journald {
    /// Connects. Fails if no journald listens at [`SOCKET`].
    pub(crate) fn open() -> io::Result<Self> {
        let priorities = PriorityMappings {
            info: Priority::Informational,
            debug: Priority::Debug,
            ..PriorityMappings::new()
        };
        let layer = tracing_journald::layer()?
            // Ours have it already: MESSAGE_ID must not.
            .with_field_prefix(None)
            .with_syslog_identifier(IDENTIFIER.to_owned())
            .with_priority_mappings(priorities);
        Ok(Self {
            journal: tracing_subscriber::registry().with(layer),
            trial: UnixDatagram::unbound()?,
            lost: 0,
            why: String::new(),
            gone: false,
        })
    }

    /// Makes sure that someone listens, waiting for a journald that is being restarted.
    fn reach(&mut self) -> io::Result<()> {
        let mut tries = 0;
        loop {
            // Finds the listener and sends it nothing, so that journald does not wake for it.
            match self.trial.connect(SOCKET) {
                Ok(()) => {
                    self.gone = false;
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if self.gone || !passing(&e) => return Err(e),
                Err(e) if tries == TRIES => {
                    self.gone = true;
                    return Err(e);
                }
                Err(_) => {
                    tries += 1;
                    thread::sleep(TRY_EVERY);
                }
            }
        }
    }
}

impl Sink for Journald {
    fn take(&mut self, record: View<'_>) {
        match self.reach() {
            Ok(()) => reissue(record, &self.journal),
            Err(e) => {
                self.lost += 1;
                self.why = e.to_string();
            }
        }
    }

    fn flush(&mut self) -> Result<(), Lost> {
        if self.lost == 0 {
            return Ok(());
        }
        Err(Lost { events: std::mem::take(&mut self.lost), why: std::mem::take(&mut self.why) })
    }
}

/// Whether an error looks like a journald that is being restarted.
fn passing(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}
