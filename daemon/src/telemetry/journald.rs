//! systemd's journal, with fields: `journalctl AIVONX_NODE=gpu1`.
//!
//! Speaks the journal's native protocol (one datagram an event; a sealed memfd for one that is too large)
//! from the pipe's thread. The layer of the tracing-journald crate would do so on the thread of the event,
//! where a journald that stands still blocks it, and would see the fields before they are redacted.

use std::{
    io::{self, ErrorKind, Write},
    os::{fd::AsFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use aivonx_protocol::log::Level;
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr},
};

use super::{
    format::escape,
    pipe::{Lost, Sink},
    record::Record,
};

/// Where journald listens.
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";
/// `SYSLOG_IDENTIFIER` of our events, for `journalctl -t aivonxd`.
pub const IDENTIFIER: &str = "aivonxd";
/// How often and how long apart a restarting journald is tried again before events are given up.
const TRIES: u32 = 20;
const TRY_EVERY: Duration = Duration::from_millis(100);
/// journald ignores longer names.
const NAME_MAX: usize = 64;

/// The connection to journald.
#[derive(Debug)]
pub(crate) struct Journald {
    socket: UnixDatagram,
    path: PathBuf,
    payload: Vec<u8>,
    value: String,
    lost: u64,
    why: String,
    /// The last attempts all failed: do not wait again until one succeeds.
    gone: bool,
}

impl Journald {
    /// Connects. Fails if no journald listens at `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // journald discards an empty datagram.
        socket.send_to(&[], path)?;
        Ok(Self {
            socket,
            path: path.into(),
            payload: Vec::new(),
            value: String::new(),
            lost: 0,
            why: String::new(),
            gone: false,
        })
    }

    fn compose(&mut self, record: &Record) {
        self.payload.clear();
        let priority = match record.level {
            Level::Error => "3",
            Level::Warn => "4",
            Level::Info => "6",
            Level::Debug | Level::Trace => "7",
        };
        self.put("PRIORITY", priority);
        self.put("SYSLOG_IDENTIFIER", IDENTIFIER);
        self.put("AIVONX_TARGET", record.target);
        let text = record.text();
        self.put("MESSAGE", text.message());
        for field in text.fields() {
            if let Some(name) = name(field.name) {
                self.put(&name, field.value);
            }
        }
    }

    /// Values are escaped too: `journalctl -o cat` prints them as they are.
    fn put(&mut self, name: &str, value: &str) {
        self.value.clear();
        escape(value, &mut self.value);
        // Escaped text has no newline, so that the short form will do.
        self.payload.extend_from_slice(name.as_bytes());
        self.payload.push(b'=');
        self.payload.extend_from_slice(self.value.as_bytes());
        self.payload.push(b'\n');
    }

    fn send(&mut self) -> io::Result<()> {
        let mut tries = 0;
        loop {
            match self.send_once() {
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

    fn send_once(&self) -> io::Result<()> {
        match self.socket.send_to(&self.payload, &self.path) {
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                self.send_memfd()
            }
            other => other.map(drop),
        }
    }

    /// A payload too large for a datagram travels as a sealed file.
    fn send_memfd(&self) -> io::Result<()> {
        let fd = memfd_create("aivonxd-journal", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = std::fs::File::from(fd);
        file.write_all(&self.payload)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
        let fds = [file.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let to = SocketAddrUnix::new(&*self.path)?;
        sendmsg_addr(&self.socket, &to, &[], &mut control, SendFlags::empty())?;
        Ok(())
    }
}

impl Sink for Journald {
    fn take(&mut self, record: &Record) {
        self.compose(record);
        if let Err(e) = self.send() {
            self.lost += 1;
            self.why = e.to_string();
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
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::WouldBlock)
}

/// The journal's name for one of our fields: `request_id` is `AIVONX_REQUEST_ID`.
fn name(field: &str) -> Option<String> {
    let mut name = String::from("AIVONX_");
    name.extend(field.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }));
    (name.len() <= NAME_MAX).then_some(name)
}
