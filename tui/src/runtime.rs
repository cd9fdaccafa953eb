//! The event loop: takes what happens, lets the model follow, does what it wants done, draws. It waits for
//! something to happen and for nothing else: no call is awaited here, so that every key counts at once.

use std::{
    future::ready,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use crossterm::event::{Event as TerminalEvent, EventStream};
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::{Sender, channel, error::TrySendError},
    time::{MissedTickBehavior, interval, sleep_until},
};

use crate::{
    background::BackgroundTasks,
    exit::Failure,
    msg::{Effect, Msg},
    net::{self, Order},
    render::text::now,
    state::{Model, Settings},
    terminal::{self, Screen},
    update::update,
    view,
};

/// Least time between two frames: what comes faster is drawn together.
const FRAME: Duration = Duration::from_millis(33);
/// Messages taken before keys are looked at again.
const TURN: usize = 64;

/// Runs the console until it is left.
///
/// # Errors
/// The terminal cannot be taken, or is gone.
pub(crate) async fn run(socket: Option<PathBuf>, settings: Settings) -> Result<(), Failure> {
    // Before the terminal is taken, so that none comes between.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let screen = Screen::take().map_err(|error| {
        Failure::failed(format!("the terminal cannot be taken: {error}"))
            .with_hint("Without a terminal use the commands: aivonx --help")
    })?;
    let (tell, mut happens) = channel(net::QUEUE);
    let orders = net::start(socket, settings.demo.is_none(), tell.clone());
    let model = Model::new(settings, now(), TimeZone::system(), terminal::size());
    let works = BackgroundTasks::new(tell);
    let waiting = Vec::new();
    let mut console =
        Console { screen, model, orders, works, waiting, dirty: true, search: false, quit: false };
    let mut keys = EventStream::new();
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut drawn: Option<Instant> = None;
    while !console.quit {
        let due = drawn.map_or_else(Instant::now, |at| at + FRAME);
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = hang_up.recv() => break,
            _ = interrupt.recv() => break,
            () = sleep_until(due.into()), if console.dirty => {
                console.draw()?;
                drawn = Some(Instant::now());
            }
            event = keys.next() => match event {
                Some(Ok(event)) => {
                    console.terminal(event)?;
                    // A key is seen at once.
                    drawn = None;
                }
                // Its terminal is gone.
                Some(Err(_)) | None => break,
            },
            Some(msg) = happens.recv() => {
                console.happened(msg)?;
                for _ in 0..TURN {
                    let Ok(msg) = happens.try_recv() else { break };
                    console.happened(msg)?;
                }
            }
            _ = second.tick() => console.happened(Msg::Tick(now()))?,
            // Last, so that keys and frames come between.
            () = ready(()), if console.search => {
                console.search = false;
                console.happened(Msg::Search)?;
                tokio::task::yield_now().await;
            }
        }
        console.send();
    }
    Ok(())
}

struct Console {
    screen: Screen,
    model: Model,
    orders: Sender<Order>,
    /// Orders that found no room; they go first.
    waiting: Vec<Order>,
    works: BackgroundTasks,
    dirty: bool,
    /// Whether a filter is to look on.
    search: bool,
    quit: bool,
}

impl Console {
    fn draw(&mut self) -> io::Result<()> {
        self.dirty = false;
        self.screen.draw(|frame| view::draw(frame, &self.model))
    }

    fn terminal(&mut self, event: TerminalEvent) -> io::Result<()> {
        match event {
            TerminalEvent::Key(key) => self.happened(Msg::Key(key)),
            TerminalEvent::Paste(text) => self.happened(Msg::Paste(text)),
            TerminalEvent::Resize(..) => {
                let (columns, rows) = self.screen.renew()?;
                self.happened(Msg::Resize(columns, rows))
            }
            TerminalEvent::FocusGained | TerminalEvent::FocusLost | TerminalEvent::Mouse(_) => Ok(()),
        }
    }

    fn happened(&mut self, msg: Msg) -> io::Result<()> {
        self.dirty = true;
        for effect in update(&mut self.model, msg) {
            match effect {
                Effect::Call { ticket, request } => self.waiting.push(Order::Call(ticket, request)),
                Effect::Follow { ticket, request } => self.waiting.push(Order::Follow(ticket, request)),
                Effect::Drop(ticket) => {
                    if !self.works.end(ticket) {
                        self.waiting.push(Order::Drop(ticket));
                    }
                }
                Effect::Past { ticket, part } => self.works.past(ticket, part),
                Effect::Anchors { ticket, file } => self.works.anchors(ticket, file),
                Effect::Export { ticket, export } => self.waiting.push(Order::Export(ticket, export)),
                Effect::Report { ticket, since, file } => {
                    self.waiting.push(Order::Report(ticket, since, file));
                }
                Effect::Search => self.search = true,
                Effect::ReadFile { ticket, what, path } => {
                    self.waiting.push(Order::Read(ticket, what, path));
                }
                Effect::Connect => self.waiting.push(Order::Connect),
                Effect::Keep(session) => self.waiting.push(Order::Keep(session)),
                Effect::Forget => self.waiting.push(Order::Forget),
                Effect::Copy(text) => Screen::copy(text.expose())?,
                Effect::Redraw => {
                    self.screen.renew()?;
                }
                Effect::Suspend => {
                    let (columns, rows) = self.screen.suspend()?;
                    self.model.size = (columns, rows);
                }
                Effect::Quit => self.quit = true,
            }
        }
        Ok(())
    }

    /// Hands orders on as far as there is room; the rest goes next time round.
    fn send(&mut self) {
        let mut orders = std::mem::take(&mut self.waiting).into_iter();
        for order in orders.by_ref() {
            if let Err(TrySendError::Full(order)) = self.orders.try_send(order) {
                self.waiting.push(order);
                break;
            }
        }
        self.waiting.extend(orders);
    }
}
