//! A node's answer on its way to the client: chunks go out as they come, a break ends with the dialect's error, and in
//! any case the node's place, the connection and the record are settled exactly once.

#[cfg(test)]
mod tests;

use std::{
    fmt::Display,
    io, mem,
    task::{Context, Poll, ready},
};

use aivonx_domain::{Findings, access::Outcome};
use aivonx_wire::{
    api::{Dialect, Meter, Pieces, meter::End},
    privacy::answer::{Screen, Stopped},
    translate::Translator,
};
use bytes::Bytes;
use http::response::Parts;
use http_body::{Frame, SizeHint};

use super::{
    answer::AnswerBody,
    body::{VerdictError, verdict_text},
    budget::Held,
    deadline::{CancelReason, Waiting},
    error_response::{Refusal, error_response},
    relayed::Relayed,
};

/// The request that is answered: its deadlines, its node and its record.
pub(super) trait Request {
    type Error: Display;

    /// The next chunk of the node's answer; None at its end, and after the node was left.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>>;
    /// Whether the last chunk was read.
    fn is_over(&self) -> bool;
    /// Our id of it.
    fn id(&self) -> &str;
    /// Why it has to end, if it has to.
    fn verdict(&self) -> Option<CancelReason>;
    /// Why its stream or connection was broken off, if the gateway did that.
    fn cut(&self) -> Option<CancelReason>;
    /// A chunk came from the node; about so many tokens went by.
    fn received(&mut self, tokens: u64);
    /// The node has nothing yet: its time runs, and a verdict wakes the task.
    fn wait_for_node(&self, cx: &Context<'_>);
    /// Bytes were handed over. The node's time does not run until the client has taken them.
    fn sent(&mut self, bytes: usize);
    /// Nothing more is read from the node, whose answer ended in order if it is `clean`, or failed because of `blame`.
    fn leave(&mut self, clean: bool, blame: Option<&'static str>);
    /// What the answer came to.
    fn count(&mut self, answer: &Meter);
    /// What was found in it.
    fn found(&mut self, findings: Findings);
    /// The request is over. Called once.
    fn settle(&mut self, ending: Ending);
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    /// None only of what is complete, or left by its client.
    pub(super) error: Option<&'static str>,
}

impl Ending {
    const COMPLETE: Self = Self { outcome: Outcome::Complete, error: None };
    const CLIENT_GONE: Self = Self { outcome: Outcome::ClientGone, error: None };
    /// The node ended it with an error of its own, which was passed on.
    const FAILED: Self = Self { outcome: Outcome::Broken, error: Some("the node reported an error") };
    const BROKEN: Self = Self { outcome: Outcome::Broken, error: Some("the node's answer broke off") };

    pub(super) fn by(verdict: CancelReason) -> Self {
        let outcome = match verdict {
            CancelReason::TimedOut(Waiting::Client) => Outcome::ClientStalled,
            CancelReason::TimedOut(_) => Outcome::TimedOut,
            CancelReason::Stopping
            | CancelReason::Retired
            | CancelReason::Drained
            | CancelReason::Revoked
            | CancelReason::Disabled
            | CancelReason::Blocked
            | CancelReason::Cancelled => Outcome::Ended,
        };
        Self { outcome, error: Some(verdict_text(verdict)) }
    }
}

/// How far a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The node's chunks are passed on as they come.
    Passing,
    /// Nothing more comes from the node. The client gets what is left in `out`, and the answer ends in order.
    Closing(Ending),
    /// Nothing more comes from the node. The client gets what is left in `out`, and the answer is broken off.
    Breaking(Ending),
    /// All that is left is to break the answer off.
    Broken(Ending),
    /// The request is settled.
    Settled,
}

pub(super) struct Relay<R: Request = Relayed> {
    pub(super) request: R,
    meter: Meter,
    /// What the node's answer goes through, where it is not in the client's dialect.
    translator: Option<Box<Translator>>,
    /// What looks for personal data in what the client gets.
    screen: Option<Box<Screen>>,
    /// What the answer takes of the budget, if it was kept.
    _held: Option<Held>,
    /// Why that ended the answer.
    stopped: Option<Stopped>,
    dialect: Dialect,
    /// The answer is one object, to which nothing can be appended.
    whole: bool,
    /// Its bytes, if the head that the client got has a length.
    length: Option<u64>,
    /// What the client gets next.
    out: Pieces,
    state: State,
}

impl<R: Request> Relay<R> {
    /// The node's answer is a stream of pieces, or one object of so many bytes, if they are known.
    pub(super) fn new(request: R, meter: Meter, dialect: Dialect, whole: bool, length: Option<u64>) -> Self {
        let length = length.filter(|_| whole);
        let (out, state) = (Pieces::default(), State::Passing);
        Self {
            request,
            meter,
            translator: None,
            screen: None,
            _held: None,
            stopped: None,
            dialect,
            whole,
            length,
            out,
            state,
        }
    }

    /// The node's answer is not in the client's dialect.
    pub(super) fn translate(&mut self, translator: Option<Translator>) {
        self.translator = translator.map(Box::new);
    }

    /// What it is charged for lies in memory for as long as the answer.
    pub(super) fn hold(&mut self, held: Option<Held>) {
        self._held = held;
    }

    /// What the client gets is searched for personal data; its length may change.
    pub(super) fn screen(&mut self, screen: Screen) {
        self.screen = Some(Box::new(screen));
        self.length = None;
    }

    /// Whether nothing of it goes out before all of it was searched.
    pub(super) fn is_kept(&self) -> bool {
        self.whole && self.screen.as_ref().is_some_and(|screen| screen.keeps_all())
    }

    /// Reads such an answer to its end. Returns why the client gets nothing of it, if it does not.
    pub(super) fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<Option<Refusal>> {
        while self.state == State::Passing {
            ready!(self.poll_node(cx));
        }
        Poll::Ready(match (self.state, self.stopped, self.request.verdict()) {
            (State::Breaking(_), Some(stopped), _) => Some(Refusal::Answer(stopped)),
            (State::Breaking(_), None, Some(verdict)) => Some(VerdictError(verdict).into()),
            (State::Breaking(ending), None, None) => Some(Refusal::Broken(ending.error.unwrap_or_default())),
            _ => None,
        })
    }

    /// Nothing of it was sent: the client gets this error instead, whose head is returned. How the request ended stays.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Parts {
        let (answer, _) = error_response(refusal, self.dialect, self.request.id(), true);
        let (head, body) = answer.into_parts();
        if let (State::Breaking(ending), AnswerBody::Full(body)) = (self.state, body) {
            self.out = Pieces::default();
            self.out.push(body);
            self.state = State::Closing(ending);
        }
        head
    }

    /// Whether it is more than one object.
    pub(super) fn streams(&self) -> bool {
        !self.whole
    }

    /// Whether the last piece was handed over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Closing(_) | State::Settled) && self.out.is_empty()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    /// The next frame, of at most `most` bytes.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(bytes) = self.out.pop(most) {
                self.request.sent(bytes.len());
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match self.state {
                State::Passing => ready!(self.poll_node(cx)),
                State::Closing(ending) => self.settle(ending),
                State::Breaking(ending) => {
                    // One turn for hyper to send what it holds, the head perhaps: an error drops it.
                    self.state = State::Broken(ending);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Broken(ending) => {
                    self.settle(ending);
                    let error = io::Error::new(io::ErrorKind::ConnectionAborted, "the answer is broken off");
                    return Poll::Ready(Some(Err(error)));
                }
                State::Settled => return Poll::Ready(None),
            }
        }
    }

    /// Puts what the node sends next into `out`; its answer may end with it.
    fn poll_node(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(verdict) = self.request.verdict() {
            self.end(false, Some(Ending::by(verdict)));
            return Poll::Ready(());
        }
        match self.request.poll_chunk(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.through(|meter, out| meter.pass(chunk, out));
                self.request.received(self.meter.produced());
                if let Some(stopped) = self.stopped {
                    self.stop(stopped);
                } else if self.request.is_over() {
                    self.end(true, None);
                }
            }
            Poll::Ready(None) => self.end(true, None),
            Poll::Ready(Some(Err(e))) => {
                tracing::debug!(error = %e, "a node's answer broke off");
                self.end(false, None);
            }
            Poll::Pending => {
                self.request.wait_for_node(cx);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Puts what the meter lets pass into `out`, in the client's dialect, screened.
    fn through<T>(&mut self, pass: impl FnOnce(&mut Meter, &mut Pieces) -> T) -> T {
        if self.translator.is_none() && self.screen.is_none() {
            return pass(&mut self.meter, &mut self.out);
        }
        let mut came = Pieces::default();
        let passed = pass(&mut self.meter, &mut came);
        if let Some(translator) = &mut self.translator {
            let mut written = Pieces::default();
            let out = if self.screen.is_some() { &mut written } else { &mut self.out };
            while let Some(piece) = came.pop(usize::MAX) {
                translator.pass(&piece, out);
            }
            came = written;
        }
        self.screened(came);
        passed
    }

    /// Puts what is in the client's dialect into `out`, without what is to be kept from the client.
    fn screened(&mut self, mut written: Pieces) {
        while let Some(piece) = written.pop(usize::MAX) {
            match &mut self.screen {
                _ if self.stopped.is_some() => return,
                Some(screen) => self.stopped = screen.pass(piece, &mut self.out).err(),
                None => self.out.push(piece),
            }
        }
    }

    /// The answer ends because of what is in it, for which the node is not to blame.
    fn stop(&mut self, why: Stopped) {
        let ending = Ending { outcome: Outcome::Ended, error: Some(why.reason()) };
        self.request.count(&self.meter);
        self.report_findings();
        self.request.leave(false, None);
        self.state = if self.whole {
            State::Breaking(ending)
        } else {
            self.out.push(self.dialect.stream_error(why.reason(), self.request.id()));
            State::Closing(ending)
        };
    }

    fn report_findings(&mut self) {
        if let Some(screen) = &self.screen {
            self.request.found(screen.findings());
        }
    }

    /// The node's answer is over, in order or not, or it is `cancelled`.
    fn end(&mut self, clean: bool, cancelled: Option<Ending>) {
        let end = self.through(|meter, out| meter.finish(clean, out));
        let mut last = Pieces::default();
        let translated = match &mut self.translator {
            Some(translator) if end == End::Complete => translator.finish(&mut last),
            _ => Ok(()),
        };
        self.screened(last);
        // Of an answer that breaks off, what waits may be the beginning of a finding.
        if let Some(screen) = &mut self.screen
            && end == End::Complete
            && self.stopped.is_none()
        {
            self.stopped = screen.finish(&mut self.out).err();
        }
        if let Some(stopped) = self.stopped {
            return self.stop(stopped);
        }
        self.request.count(&self.meter);
        self.report_findings();
        if let Err(error) = translated {
            let ending = Ending { outcome: Outcome::Broken, error: Some(error) };
            self.request.leave(clean, ending.error);
            // A stream said so itself.
            self.state = if self.whole { State::Breaking(ending) } else { State::Closing(ending) };
            return;
        }
        let ending = match end {
            End::Complete if self.meter.failure().is_some() => Ending::FAILED,
            End::Complete => Ending::COMPLETE,
            End::Missing | End::Cut => cancelled.unwrap_or(Ending::BROKEN),
        };
        // Also where it ended in order: Ollama ends a stream so whose runner died.
        let blame = ending.error.filter(|_| ending.outcome == Outcome::Broken);
        self.request.leave(clean, blame);
        self.state = match ending.error {
            _ if end == End::Complete => State::Closing(ending),
            None => State::Closing(ending),
            Some(_) if end == End::Cut || self.whole => State::Breaking(ending),
            Some(error) => {
                self.out.push(self.dialect.stream_error(error, self.request.id()));
                State::Closing(ending)
            }
        };
    }

    fn settle(&mut self, ending: Ending) {
        self.state = State::Settled;
        self.request.settle(ending);
    }
}

/// An answer is dropped when its last piece was taken, and when its client left or was let go.
impl<R: Request> Drop for Relay<R> {
    fn drop(&mut self) {
        let state = mem::replace(&mut self.state, State::Settled);
        let cut = self.request.cut();
        let ending = match state {
            State::Settled => return,
            State::Closing(ending) if self.out.is_empty() && cut.is_none() => ending,
            State::Closing(ending) | State::Breaking(ending) | State::Broken(ending)
                if ending != Ending::COMPLETE =>
            {
                ending
            }
            State::Passing | State::Closing(_) | State::Breaking(_) | State::Broken(_) => {
                if state == State::Passing {
                    self.request.count(&self.meter);
                    self.report_findings();
                }
                cut.or_else(|| self.request.verdict()).map_or(Ending::CLIENT_GONE, Ending::by)
            }
        };
        self.request.settle(ending);
    }
}
