//! What is known of one connection, and when it is closed.

use std::{
    cell::{Cell, OnceCell, RefCell},
    net::IpAddr,
    rc::Rc,
    task::Waker,
};

use super::STREAMS;
use crate::{
    closed::Reason,
    shared::Settings,
    socket::Session,
    transport::{Cut, Patience, StreamState, Task},
};

/// One connection, as the ticker sees it.
pub(crate) struct ConnState {
    /// Where it comes from.
    pub(super) peer: IpAddr,
    pub(super) in_flight: Cell<u32>,
    /// All that was answered is written, and nothing was asked since.
    pub(super) quiet: Cell<bool>,
    /// Tick at which it last became idle.
    pub(super) since: Cell<u32>,
    /// Keys are still agreed on with TLS.
    pub(super) handshaking: Cell<bool>,
    /// Names of the client's certificate.
    pub(super) names: OnceCell<Box<[String]>>,
    /// A request head has arrived.
    pub(super) served: Cell<bool>,
    /// Tick at which a head began that has not come to its end; with HTTP/1.
    pub(super) begun: Cell<Option<u32>>,
    /// How many requests were answered, the present one among them.
    pub(super) asked: Cell<u32>,
    pub(super) draining: Cell<bool>,
    pub(super) lingers: Cell<bool>,
    /// What it sent last can be read as other requests than hyper reads (see [`framed`](super::framed)).
    pub(super) in_doubt: Cell<bool>,
    pub(super) waker: RefCell<Option<Waker>>,
    pub(crate) task: Task,
    /// Requests under way, with HTTP/2; each knows its place.
    pub(super) streams: RefCell<Vec<Rc<StreamState>>>,
    /// Tick since which the client takes no bytes although there are some for it.
    pub(super) blocked: Cell<Option<u32>>,
    /// Bytes that it took since it last went on after it had taken none; None if it never did.
    pub(super) resumed: Cell<Option<u32>>,
    /// What is spoken once HTTP is not any more.
    pub(super) socket: RefCell<Option<Box<Session>>>,
    /// A node's answer was among what it was sent: people read those, and may pause.
    pub(super) relayed: Cell<bool>,
}

impl ConnState {
    pub(crate) fn of(peer: IpAddr, now: u32) -> Rc<Self> {
        Rc::new(Self {
            peer,
            in_flight: Cell::new(0),
            quiet: Cell::new(true),
            since: Cell::new(now),
            handshaking: Cell::new(false),
            names: OnceCell::new(),
            served: Cell::new(false),
            begun: Cell::new(None),
            asked: Cell::new(0),
            draining: Cell::new(false),
            lingers: Cell::new(false),
            in_doubt: Cell::new(false),
            waker: RefCell::new(None),
            task: Task::default(),
            streams: RefCell::default(),
            blocked: Cell::new(None),
            resumed: Cell::new(None),
            socket: RefCell::new(None),
            relayed: Cell::new(false),
        })
    }

    /// Closes it if `test` holds of where it comes from: at once if nothing is under way, else after that.
    pub(crate) fn end_if(&self, test: impl FnOnce(IpAddr) -> bool) {
        if test(self.peer) {
            match self.in_flight.get() {
                0 => self.task.cut(Cut::Idle),
                _ => self.drain(),
            }
        }
    }

    /// Names of the certificate that the client has shown.
    pub(crate) fn names(&self) -> &[String] {
        self.names.get().map_or(&[], |names| names)
    }

    /// At its end, what the client still sends is taken.
    pub(crate) fn linger(&self) {
        self.lingers.set(true);
    }

    /// From now on its requests are refused.
    pub(crate) fn doubt(&self) {
        self.in_doubt.set(true);
    }

    pub(crate) fn is_in_doubt(&self) -> bool {
        self.in_doubt.get()
    }

    /// After the answer that is under way it is a websocket.
    pub(crate) fn switches_to(&self, session: Session) {
        *self.socket.borrow_mut() = Some(Box::new(session));
    }

    /// Bytes came from the client. Where no request is under way they are the next one's, but for the ends of lines that
    /// may come before it (RFC 9112, 2.2).
    pub(crate) fn heard(&self, bytes: &[u8], now: u32) {
        let begins = self.in_flight.get() == 0 && self.begun.get().is_none();
        if begins && bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
            self.begun.set(Some(now));
        }
    }

    /// Counts a request of at most `most`, where 0 is no limit. Returns whether it is the last. With HTTP/2 more may be on
    /// their way by then, though no more than may run at once: a client that opens more ignores GOAWAY and is closed.
    pub(crate) fn is_last(&self, most: u32, http2: bool) -> bool {
        let asked = self.asked.get().saturating_add(1);
        self.asked.set(asked);
        if most == 0 || asked < most {
            return false;
        }
        if http2 {
            self.drain();
            if asked > most.saturating_add(STREAMS) {
                self.task.cut(Cut::Idle);
            }
        }
        true
    }

    /// Lets it finish what runs and take nothing more.
    pub(crate) fn drain(&self) {
        if !self.draining.replace(true)
            && let Some(waker) = self.waker.borrow_mut().take()
        {
            waker.wake();
        }
    }

    /// All that was to be written is written.
    pub(crate) fn flushed(&self) {
        self.quiet.set(self.in_flight.get() == 0);
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.get()
    }

    /// Bytes were offered to the client, which took so many, or none.
    pub(crate) fn wrote(&self, bytes: Option<usize>, now: u32) {
        let Some(bytes) = bytes else {
            return self.blocked.set(self.blocked.get().or(Some(now)));
        };
        let before = if self.blocked.take().is_some() { Some(0) } else { self.resumed.get() };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.resumed.set(before.map(|before| before.saturating_add(bytes)));
    }

    /// One look of the ticker: neither a connection without a request nor one whose client does not read may stay
    /// for ever. Returns why it is closed now.
    pub(crate) fn tick(&self, now: u32, settings: &Settings) -> Option<Reason> {
        let patience = Patience::new(settings);
        let was_cut = self.task.why_cut().is_some();
        let mut reason = None;
        if let Some(since) = self.blocked.get() {
            if patience.is_over(since, now, self.relayed.get(), self.resumed.get().unwrap_or(0)) {
                self.task.cut(Cut::Stalled);
                reason = Some(Reason::Stalled);
            }
        } else if self.in_flight.get() == 0 {
            let since = self.since.get();
            let (since, limit, late) = match (self.handshaking.get(), self.served.get(), self.begun.get()) {
                (true, ..) => (since, settings.handshake, Some(Reason::Handshake)),
                (false, false, _) => (since, settings.head, Some(Reason::Head)),
                (false, true, Some(begun)) => (begun, settings.head, Some(Reason::Head)),
                // It had its answer, and nothing more to ask.
                (false, true, None) => (since, settings.keep_alive, None),
            };
            let idle = now.saturating_sub(since);
            if idle > limit.max(1) {
                // The last of a node's answer may still wait in hyper for the window of its HTTP/2 stream.
                if late.is_none() && self.relayed.get() && idle <= settings.client_idle {
                    self.drain();
                } else {
                    self.task.cut(Cut::Idle);
                    reason = late;
                }
            }
        }
        // Aborted tasks do not run here, so nobody leaves the list meanwhile.
        self.streams.borrow().iter().for_each(|stream| stream.tick(now, patience));
        reason.filter(|_| !was_cut)
    }

    pub(super) fn begin(&self, stream: Option<&Rc<StreamState>>) {
        self.served.set(true);
        self.begun.set(None);
        self.quiet.set(false);
        self.in_flight.set(self.in_flight.get() + 1);
        if let Some(stream) = stream {
            let mut streams = self.streams.borrow_mut();
            stream.place.set(streams.len());
            streams.push(stream.clone());
        }
    }

    pub(super) fn end(&self, stream: Option<&Rc<StreamState>>, now: u32) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        // A client that let its answer lie has been idle all the while.
        if stream.is_none_or(|stream| stream.task.why_cut() != Some(Cut::Stalled)) {
            self.since.set(now);
        }
        if let Some(stream) = stream {
            let mut streams = self.streams.borrow_mut();
            let place = stream.place.get();
            streams.swap_remove(place);
            if let Some(moved) = streams.get(place) {
                moved.place.set(place);
            }
        }
    }
}
