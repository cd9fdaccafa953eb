//! A node's answer on its way to the client: chunks go out as they come, a break ends with the dialect's
//! error, and whatever happens the node's place, the connection and the record are settled exactly once.

use std::{
    fmt::Display,
    io, mem,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{
    body::verdict_text,
    clock::{Verdict, Waiting},
    relayed::Relayed,
};
use crate::{
    api::{Dialect, Meter, Pieces, meter::End, usage::Usage},
    telemetry::access::Outcome,
};

/// The body of a node's answer.
pub(super) trait Source {
    type Error: Display;

    /// The next chunk; None at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>>;
    /// Whether the last chunk was read.
    fn is_over(&self) -> bool;
    /// All its bytes, if the node said so.
    fn length(&self) -> Option<u64>;
}

/// The request that is answered: its deadlines, its node and its record.
pub(super) trait Request {
    type Node: Source;

    /// Our id of it.
    fn id(&self) -> &str;
    /// Why it has to end, if it has to.
    fn verdict(&self) -> Option<Verdict>;
    /// Why its stream or connection was broken off, if the gateway did that.
    fn cut(&self) -> Option<Verdict>;
    /// A chunk came from the node; about so many tokens went by.
    fn received(&mut self, tokens: u64);
    /// The node has nothing yet: its time runs, and a verdict wakes the task.
    fn wait_for_node(&self, cx: &Context<'_>);
    /// Bytes were handed over. The node's time does not run until the client has taken them.
    fn sent(&mut self, bytes: usize);
    /// Nothing more is read from `node`, whose answer ended in order if it is `clean`, or failed because of `blame`.
    fn leave(&mut self, node: &mut Self::Node, clean: bool, blame: Option<&'static str>);
    /// What the answer took, as the node counted it, and about so many tokens that went by.
    fn count(&mut self, usage: Usage, tokens: u64);
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
    const BROKEN: Self = Self { outcome: Outcome::Broken, error: Some("the node's answer broke off") };

    fn by(verdict: Verdict) -> Self {
        let outcome = match verdict {
            Verdict::TimedOut(Waiting::Client) => Outcome::ClientStalled,
            Verdict::TimedOut(_) => Outcome::TimedOut,
            Verdict::Stopping | Verdict::Retired | Verdict::Revoked | Verdict::Cancelled => Outcome::Ended,
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
    node: R::Node,
    pub(super) request: R,
    meter: Meter,
    dialect: Dialect,
    /// The client was told the length, so nothing can be appended.
    sized: bool,
    /// What the client gets next.
    out: Pieces,
    state: State,
}

impl<R: Request> Relay<R> {
    pub(super) fn new(node: R::Node, request: R, meter: Meter, dialect: Dialect, sized: bool) -> Self {
        Self { node, request, meter, dialect, sized, out: Pieces::default(), state: State::Passing }
    }

    /// Whether the last piece was handed over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Closing(_) | State::Settled) && self.out.is_empty()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.node.length() {
            Some(length) if self.sized => SizeHint::with_exact(length),
            _ => SizeHint::default(),
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(bytes) = self.out.pop() {
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
        match self.node.poll_chunk(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.meter.pass(chunk, &mut self.out);
                self.request.received(self.meter.produced());
                if self.node.is_over() {
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

    /// The node's answer is over, in order or not, or it is `cancelled`.
    fn end(&mut self, clean: bool, cancelled: Option<Ending>) {
        let end = self.meter.finish(clean, &mut self.out);
        self.request.count(self.meter.usage(), self.meter.produced());
        let ending = match end {
            End::Complete => Ending::COMPLETE,
            End::Missing | End::Cut => cancelled.unwrap_or(Ending::BROKEN),
        };
        let blame = ending.error.filter(|_| ending.outcome == Outcome::Broken);
        self.request.leave(&mut self.node, clean, blame);
        self.state = match ending.error {
            None => State::Closing(ending),
            Some(_) if end == End::Cut || self.sized => State::Breaking(ending),
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
                    self.request.count(self.meter.usage(), self.meter.produced());
                }
                cut.or_else(|| self.request.verdict()).map_or(Ending::CLIENT_GONE, Ending::by)
            }
        };
        self.request.settle(ending);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::VecDeque, rc::Rc, task::Waker};

    use super::*;
    use crate::api::route::Stream;

    const LINE: &str = "{\"response\":\"x\",\"done\":false}\n";
    const LAST: &str = "{\"response\":\"\",\"done\":true}\n";

    /// What a node sends, in steps; after the last it is silent.
    struct Script(VecDeque<Step>);

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Send(&'static str),
        Silence,
        End,
        Fail,
    }

    impl Source for Script {
        type Error = &'static str;

        fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, &'static str>>> {
            match self.0.pop_front() {
                Some(Step::Send(text)) => Poll::Ready(Some(Ok(Bytes::from_static(text.as_bytes())))),
                Some(Step::Silence) | None => Poll::Pending,
                Some(Step::End) => Poll::Ready(None),
                Some(Step::Fail) => Poll::Ready(Some(Err("reset"))),
            }
        }

        fn is_over(&self) -> bool {
            matches!(self.0.front(), Some(Step::End))
        }

        fn length(&self) -> Option<u64> {
            Some(7)
        }
    }

    /// Everything a relay told its request.
    #[derive(Default)]
    struct Seen {
        verdict: Option<Verdict>,
        cut: Option<Verdict>,
        waiting: Option<Waiting>,
        sent: usize,
        blamed: Vec<&'static str>,
        left: Vec<bool>,
        settled: Vec<Ending>,
    }

    struct Fake(Rc<RefCell<Seen>>);

    impl Request for Fake {
        type Node = Script;

        fn id(&self) -> &'static str {
            "id"
        }

        fn verdict(&self) -> Option<Verdict> {
            self.0.borrow().verdict
        }

        fn cut(&self) -> Option<Verdict> {
            self.0.borrow().cut
        }

        fn received(&mut self, _: u64) {}

        fn wait_for_node(&self, _: &Context<'_>) {
            self.0.borrow_mut().waiting = Some(Waiting::Chunk);
        }

        fn sent(&mut self, bytes: usize) {
            let mut seen = self.0.borrow_mut();
            seen.sent += bytes;
            seen.waiting = Some(Waiting::Client);
        }

        fn leave(&mut self, _: &mut Script, clean: bool, blame: Option<&'static str>) {
            let mut seen = self.0.borrow_mut();
            seen.left.push(clean);
            seen.blamed.extend(blame);
        }

        fn count(&mut self, _: Usage, _: u64) {}

        fn settle(&mut self, ending: Ending) {
            self.0.borrow_mut().settled.push(ending);
        }
    }

    fn relay(steps: &[Step], sized: bool) -> (Relay<Fake>, Rc<RefCell<Seen>>) {
        let seen = Rc::<RefCell<Seen>>::default();
        let meter = if sized { Meter::whole() } else { Meter::stream(Stream::Ndjson, false) };
        let node = Script(steps.iter().copied().collect());
        (Relay::new(node, Fake(seen.clone()), meter, Dialect::Ollama, sized), seen)
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Polled {
        Frame(String),
        Pending,
        Broken,
        End,
    }

    fn poll(relay: &mut Relay<Fake>) -> Polled {
        match relay.poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(frame))) => {
                Polled::Frame(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
            }
            Poll::Ready(Some(Err(_))) => Polled::Broken,
            Poll::Ready(None) => Polled::End,
            Poll::Pending => Polled::Pending,
        }
    }

    fn outcomes(seen: &RefCell<Seen>) -> Vec<Outcome> {
        seen.borrow().settled.iter().map(|ending| ending.outcome).collect()
    }

    #[test]
    fn an_answer_passes_and_is_settled_once() {
        let (mut relay, seen) = relay(&[Step::Send(LINE), Step::Silence, Step::Send(LAST), Step::End], false);
        assert_eq!(poll(&mut relay), Polled::Frame(LINE.into()));
        assert_eq!(poll(&mut relay), Polled::Pending);
        assert_eq!(poll(&mut relay), Polled::Frame(LAST.into()));
        assert!(relay.is_over(), "so that the server asks for no more");
        assert_eq!(seen.borrow().left, [true]);
        drop(relay);
        assert_eq!(seen.borrow().settled, [Ending::COMPLETE]);
        assert_eq!(seen.borrow().sent, LINE.len() + LAST.len());
    }

    #[test]
    fn the_nodes_time_runs_only_while_it_is_waited_for() {
        let (mut relay, seen) = relay(&[Step::Send(LINE), Step::Silence], false);
        poll(&mut relay);
        assert_eq!(seen.borrow().waiting, Some(Waiting::Client));
        poll(&mut relay);
        assert_eq!(seen.borrow().waiting, Some(Waiting::Chunk));
    }

    #[test]
    fn a_cancelled_stream_ends_with_its_error() {
        let (mut relay, seen) = relay(&[Step::Send(LINE), Step::Send(LINE)], false);
        poll(&mut relay);
        seen.borrow_mut().verdict = Some(Verdict::Cancelled);
        let Polled::Frame(error) = poll(&mut relay) else { panic!("an error is appended") };
        assert!(error.contains("an administrator ended the request"), "{error}");
        assert_eq!(poll(&mut relay), Polled::End);
        assert_eq!(poll(&mut relay), Polled::End);
        drop(relay);
        assert_eq!(outcomes(&seen), [Outcome::Ended]);
        assert!(seen.borrow().blamed.is_empty());
    }

    #[test]
    fn what_has_a_length_is_broken_off_after_a_turn() {
        for (step, verdict, outcome) in [
            (Step::Silence, Some(Verdict::Cancelled), Outcome::Ended),
            (Step::Silence, Some(Verdict::TimedOut(Waiting::Chunk)), Outcome::TimedOut),
            (Step::Fail, None, Outcome::Broken),
        ] {
            let (mut relay, seen) = relay(&[Step::Send("{\"a\":"), step], true);
            assert_eq!(relay.size_hint().exact(), Some(7));
            poll(&mut relay);
            seen.borrow_mut().verdict = verdict;
            assert_eq!(poll(&mut relay), Polled::Pending, "hyper sends what it holds");
            assert!(!relay.is_over());
            assert_eq!(poll(&mut relay), Polled::Broken);
            drop(relay);
            assert_eq!(outcomes(&seen), [outcome]);
        }
    }

    #[test]
    fn only_a_node_that_fails_is_blamed() {
        let (mut relay, seen) = relay(&[Step::Send(LINE), Step::Fail], false);
        poll(&mut relay);
        let Polled::Frame(error) = poll(&mut relay) else { panic!("an error is appended") };
        assert!(error.contains("broke off"), "{error}");
        drop(relay);
        assert_eq!((outcomes(&seen), seen.borrow().blamed.len()), (vec![Outcome::Broken], 1));
    }

    #[test]
    fn a_client_that_does_not_take_what_was_handed_over_is_told_from_one_that_left() {
        let stalled = Verdict::TimedOut(Waiting::Client);
        let cases = [
            (None, None, Outcome::ClientGone),
            (Some(Verdict::Cancelled), None, Outcome::Ended),
            (Some(Verdict::Cancelled), Some(Verdict::Cancelled), Outcome::Ended),
            (Some(Verdict::TimedOut(Waiting::Total)), None, Outcome::TimedOut),
            (None, Some(stalled), Outcome::ClientStalled),
        ];
        for (verdict, cut, outcome) in cases {
            let (mut relay, seen) = relay(&[Step::Send(LINE), Step::Send(LINE)], false);
            poll(&mut relay);
            seen.borrow_mut().verdict = verdict;
            seen.borrow_mut().cut = cut;
            drop(relay);
            assert_eq!(outcomes(&seen), [outcome]);
            assert!(seen.borrow().blamed.is_empty(), "never the node");
        }
    }

    #[test]
    fn a_last_piece_that_nobody_took_does_not_make_an_answer_complete() {
        let (mut relay, seen) = relay(&[Step::Send(LAST), Step::End], false);
        assert_eq!(poll(&mut relay), Polled::Frame(LAST.into()));
        seen.borrow_mut().cut = Some(Verdict::TimedOut(Waiting::Client));
        drop(relay);
        assert_eq!(outcomes(&seen), [Outcome::ClientStalled]);
    }

    /// Every order of a few steps, with a verdict and the client's leaving at every point of it.
    #[test]
    fn whatever_happens_an_answer_is_settled_once() {
        let steps =
            [Step::Send(LINE), Step::Send("{\"resp"), Step::Send(LAST), Step::Silence, Step::End, Step::Fail];
        let orders = (0..steps.len().pow(3)).map(|n| [n / 36, n / 6 % 6, n % 6].map(|at| steps[at]));
        for (order, sized) in orders.flat_map(|order| [(order, false), (order, true)]) {
            for (verdict_at, polls) in (0..7).flat_map(|at| (0..9).map(move |polls| (at, polls))) {
                let (mut relay, seen) = relay(&order, sized);
                for at in 0..polls {
                    if at == verdict_at {
                        seen.borrow_mut().verdict = Some(Verdict::Revoked);
                    }
                    if matches!(poll(&mut relay), Polled::End | Polled::Broken) {
                        break;
                    }
                }
                drop(relay);
                let seen = seen.borrow();
                assert_eq!(seen.settled.len(), 1, "{order:?} {sized} {verdict_at} {polls}");
                assert!(seen.left.len() <= 1 && seen.blamed.len() <= seen.left.len());
            }
        }
    }
}
