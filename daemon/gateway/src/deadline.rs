//! Deadlines of the data path. One ticker per thread looks over everything that runs instead of one timer
//! per request: a timer costs a request some percent of its instructions, a look every quarter of a second
//! costs nothing that can be measured. A deadline is therefore late by up to one tick.

#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell, RefMut},
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use aivonx_domain::{access::Subject, now};
use aivonx_fleet::{Line, Node};
use aivonx_identity::{Caller, Snapshot};
use aivonx_protocol::node::AdminState;

use super::{
    relayed::NodeHalf,
    running::Begun,
    transport::{Cut, Transport},
};

/// Length of a tick.
pub(super) const TICK: Duration = Duration::from_millis(250);

pub(super) const TICKS_PER_SECOND: u32 = 1000 / TICK.as_millis() as u32;

/// `time` in ticks, rounded up; zero stays zero.
pub(super) fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX / 2)
}

/// The time as it was when a turn of a task first asked for it. A turn takes microseconds, and half a dozen places
/// note the time in it; reading the clock costs each of them as much as the rest of what it does.
#[derive(Debug, Default)]
pub(super) struct Turn(Cell<Option<Instant>>);

impl Turn {
    /// The next one who asks reads the clock.
    pub(super) fn begin(&self) {
        self.0.set(None);
    }

    /// The time.
    pub(super) fn instant(&self) -> Instant {
        self.0.get().unwrap_or_else(|| {
            let now = Instant::now();
            self.0.set(Some(now));
            now
        })
    }
}

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// For the next bytes of the request body.
    Body,
    /// For the gateway's own work before a node is asked.
    Work,
    /// For a place on a node.
    Queue,
    /// For a node to load the model and begin its answer.
    Load,
    /// For a node to begin its answer.
    Head,
    /// For an answer in one piece.
    Whole,
    /// For the next bytes of a node's answer.
    Chunk,
    /// For the client to take what the node sent; how long that may last is seen to where it is sent.
    Client,
    /// For either side of a websocket to say something.
    Socket,
    /// For the end of the answer.
    Total,
}

impl Waiting {
    /// Whether a node was asked and no byte of its answer has come.
    fn is_for_first_byte(self) -> bool {
        matches!(self, Self::Load | Self::Head | Self::Whole)
    }
}

/// Why something that runs has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelReason {
    /// A deadline passed.
    TimedOut(Waiting),
    /// The daemon stops.
    Stopping,
    /// The node was removed.
    Retired,
    /// The node is to have nothing to do, and what runs there would never end by itself.
    Drained,
    /// The key or user it runs under was withdrawn.
    Revoked,
    /// The key, or the user or organization that it or a token is of, was disabled.
    Disabled,
    /// Who asks, or where from, was blocked.
    Blocked,
    /// An administrator ended it.
    Cancelled,
}

impl CancelReason {
    /// Whether who asked may not have it any more.
    pub(super) fn is_withdrawn(self) -> bool {
        match self {
            Self::Revoked | Self::Disabled | Self::Blocked | Self::Cancelled => true,
            Self::TimedOut(_) | Self::Stopping | Self::Retired | Self::Drained => false,
        }
    }
}

/// One request under way, as the ticker sees it.
pub(super) struct InFlight {
    /// Where it stands in the ticker's list; kept by the list's owner.
    pub(super) place: Cell<usize>,
    pub(super) begun: Begun,
    model: RefCell<Option<Arc<str>>>,
    /// From the request's head to the first byte of the answer, and tokens passed on since.
    passed: Cell<(Option<Duration>, u64)>,
    deadline: Cell<u32>,
    waiting: Cell<Waiting>,
    total: Cell<u32>,
    verdict: Cell<Option<CancelReason>>,
    /// Ticks since the verdict.
    since_verdict: Cell<u32>,
    waker: RefCell<Option<Waker>>,
    node: RefCell<Option<Arc<Node>>>,
    /// What the answer holds of the node. It lies here, for the verdict to give it back: the answer itself may not be
    /// asked for more for as long as its client takes nothing.
    half: RefCell<Option<NodeHalf>>,
    /// The node was found down, or removed, before it answered.
    node_down: Cell<bool>,
    /// Where it stands while it waits for a place.
    line: RefCell<Option<Line>>,
    caller: RefCell<Caller>,
    /// Where its answer goes.
    pub(super) transport: Transport,
}

/// Ticks a client has to take what is left of an answer that was ended. After them it is broken off.
const END_GRACE: u32 = 8;

impl InFlight {
    pub(super) fn new(transport: Transport, begun: Begun) -> Rc<Self> {
        Rc::new(Self {
            place: Cell::new(0),
            begun,
            model: RefCell::new(None),
            passed: Cell::new((None, 0)),
            deadline: Cell::new(u32::MAX),
            waiting: Cell::new(Waiting::Body),
            total: Cell::new(u32::MAX),
            verdict: Cell::new(None),
            since_verdict: Cell::new(0),
            waker: RefCell::new(None),
            node: RefCell::new(None),
            half: RefCell::new(None),
            node_down: Cell::new(false),
            line: RefCell::new(None),
            caller: RefCell::new(Caller::Anonymous(None)),
            transport,
        })
    }

    /// From `now` on, `waiting` may take `limit` ticks.
    pub(super) fn allow(&self, waiting: Waiting, now: u32, limit: u32) {
        self.waiting.set(waiting);
        self.deadline.set(if limit == 0 { u32::MAX } else { now.saturating_add(limit).saturating_add(1) });
    }

    /// What goes on now has no deadline of its own.
    pub(super) fn no_deadline(&self, waiting: Waiting) {
        self.waiting.set(waiting);
        self.deadline.set(u32::MAX);
    }

    /// What is waited for.
    pub(super) fn waiting(&self) -> Waiting {
        self.waiting.get()
    }

    /// The whole answer may take `limit` ticks from `now` on; 0 is no limit.
    pub(super) fn allow_total(&self, now: u32, limit: u32) {
        self.total.set(if limit == 0 { u32::MAX } else { now.saturating_add(limit).saturating_add(1) });
    }

    /// Who it is for; withdrawing them ends the request.
    pub(super) fn on_behalf_of(&self, caller: Caller) {
        *self.caller.borrow_mut() = caller;
    }

    /// Whether `test` holds of who it is for.
    pub(super) fn is_of(&self, test: impl FnOnce(&Caller) -> bool) -> bool {
        test(&self.caller.borrow())
    }

    /// The node at work; its removal ends the request.
    pub(super) fn on_node(&self, node: Option<Arc<Node>>) {
        *self.node.borrow_mut() = node;
        self.node_down.set(false);
    }

    /// The node has begun to answer.
    pub(super) fn answered_by(&self, half: NodeHalf) {
        self.half.replace(Some(half));
    }

    /// What is held of the node that answers; None once it was left.
    pub(super) fn half(&self) -> RefMut<'_, Option<NodeHalf>> {
        self.half.borrow_mut()
    }

    /// It waits for a place on a node, or does not any more.
    pub(super) fn stands_in(&self, line: Option<Line>) {
        *self.line.borrow_mut() = line;
    }

    /// Where it stands while it waits for a place on a node.
    pub(super) fn line(&self) -> Option<Line> {
        self.line.borrow().clone()
    }

    /// The model it is for.
    pub(super) fn for_model(&self, model: Option<Arc<str>>) {
        *self.model.borrow_mut() = model;
    }

    /// So much of its answer was passed on.
    pub(super) fn pass(&self, first_byte: Option<Duration>, tokens: u64) {
        self.passed.set((first_byte, tokens));
    }

    /// When its answer began, counted from its head, and how many tokens were passed on.
    pub(super) fn passed(&self) -> (Option<Duration>, u64) {
        self.passed.get()
    }

    /// Whether its body is still coming in.
    pub(super) fn receives(&self) -> bool {
        self.waiting.get() == Waiting::Body
    }

    /// Who it is for, if a credential said so.
    pub(super) fn subject(&self) -> Option<Arc<Subject>> {
        self.caller.borrow().subject().cloned()
    }

    /// The model it is for.
    pub(super) fn model(&self) -> Option<Arc<str>> {
        self.model.borrow().clone()
    }

    /// The node at work.
    pub(super) fn node_name(&self) -> Option<Arc<str>> {
        self.node.borrow().as_ref().map(|node| node.name.clone())
    }

    pub(super) fn verdict(&self) -> Option<CancelReason> {
        self.verdict.get()
    }

    /// Why its stream or connection was broken off, if the gateway did that.
    pub(super) fn why_cut(&self) -> Option<CancelReason> {
        match self.transport.why_cut()? {
            Cut::Stalled => Some(CancelReason::TimedOut(Waiting::Client)),
            Cut::Cancelled => self.verdict(),
            Cut::Idle => None,
        }
    }

    /// Remembers whom to wake with a verdict.
    pub(super) fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &*waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
    }

    /// Runs `work` until it is done or a verdict falls.
    pub(super) async fn watch<F: Future>(&self, work: F) -> Result<F::Output, CancelReason> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            if let Some(verdict) = self.verdict.get() {
                return Poll::Ready(Err(verdict));
            }
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.register(cx);
            Poll::Pending
        })
        .await
    }

    /// Runs `work`, for which the node is waited for, until it is done or a verdict falls. None as often as the node is
    /// found to be down or removed meanwhile: `work` may be polled on.
    pub(super) async fn watch_node<F: Future>(
        &self,
        mut work: Pin<&mut F>,
    ) -> Result<Option<F::Output>, CancelReason> {
        self.watch(std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.node_down.take() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }))
        .await
    }

    /// One look of the ticker; `down` are the nodes that health checks took out of the pool. `is_disabled` is asked why a
    /// caller may not ask any more.
    pub(super) fn tick(
        &self,
        now: u32,
        ending: bool,
        down: &[Arc<Node>],
        is_disabled: impl FnOnce(&Caller) -> bool,
    ) {
        if self.verdict.get().is_some() {
            self.since_verdict.set(self.since_verdict.get() + 1);
            if self.since_verdict.get() == END_GRACE {
                self.transport.cut(Cut::Cancelled);
            }
            return;
        }
        let node = self.node.borrow();
        let retired = || node.as_ref().is_some_and(|n| n.live.retired());
        let is_down = || node.as_ref().is_some_and(|node| down.iter().any(|one| one.id == node.id));
        let verdict = if now >= self.deadline.get() {
            CancelReason::TimedOut(self.waiting.get())
        } else if now >= self.total.get() {
            CancelReason::TimedOut(Waiting::Total)
        } else if ending {
            CancelReason::Stopping
        } else if retired() && !self.waiting.get().is_for_first_byte() {
            CancelReason::Retired
        } else if self.caller.borrow().ended() {
            withdrawn(is_disabled(&self.caller.borrow()))
        } else {
            if self.waiting.get().is_for_first_byte() && (is_down() || retired()) {
                self.node_down.set(true);
                self.wake();
            }
            return;
        };
        drop(node);
        self.end(verdict);
    }

    /// One look at a websocket, which does not end by itself: not for a daemon that `drains`, nor for a node, nor when
    /// the key it runs under expires.
    pub(super) fn tick_socket(&self, drains: bool, nodes: &[Arc<Node>], identity: &Snapshot) {
        if self.waiting.get() != Waiting::Socket {
            return;
        }
        let is_drained = || {
            let node = self.node.borrow();
            let node = node.as_ref().and_then(|node| nodes.iter().find(|now| now.id == node.id));
            node.is_some_and(|node| node.admin_state != AdminState::Enabled)
        };
        if drains {
            self.end(CancelReason::Stopping);
        } else if is_drained() {
            self.end(CancelReason::Drained);
        } else if !self.caller.borrow().lasts(identity, self.begun.client, now()) {
            self.end(withdrawn(self.caller.borrow().is_disabled(identity)));
        }
    }

    /// Ends it, unless something else did before. The node is left at once, the client has time for the last words.
    pub(super) fn end(&self, verdict: CancelReason) {
        if self.verdict.get().is_none() {
            self.verdict.set(Some(verdict));
            self.half.take();
        }
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Why what runs for somebody ends who may not ask any more.
pub(super) fn withdrawn(is_disabled: bool) -> CancelReason {
    if is_disabled { CancelReason::Disabled } else { CancelReason::Revoked }
}
