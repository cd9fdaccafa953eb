use std::{cell::RefCell, collections::VecDeque, rc::Rc, task::Waker};

use aivonx_wire::api::route::Stream;

use super::*;

const LINE: &str = "{\"response\":\"x\",\"done\":false}\n";
/// More than any of these lines has.
const MOST: usize = 64;
const LAST: &str = "{\"response\":\"\",\"done\":true}\n";

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(&'static str),
    Silence,
    End,
    Fail,
}

/// Everything a relay reported to its request.
#[derive(Default)]
struct Seen {
    verdict: Option<CancelReason>,
    cut: Option<CancelReason>,
    waiting: Option<Waiting>,
    sent: usize,
    blamed: Vec<&'static str>,
    left: Vec<bool>,
    settled: Vec<Ending>,
    found: u64,
}

struct Fake {
    seen: Rc<RefCell<Seen>>,
    /// What the node sends; after the last it is silent.
    steps: VecDeque<Step>,
}

impl Request for Fake {
    type Error = &'static str;

    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, &'static str>>> {
        match self.steps.pop_front() {
            Some(Step::Send(text)) => Poll::Ready(Some(Ok(Bytes::from_static(text.as_bytes())))),
            Some(Step::Silence) | None => Poll::Pending,
            Some(Step::End) => Poll::Ready(None),
            Some(Step::Fail) => Poll::Ready(Some(Err("reset"))),
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.steps.front(), Some(Step::End))
    }

    fn id(&self) -> &'static str {
        "id"
    }

    fn verdict(&self) -> Option<CancelReason> {
        self.seen.borrow().verdict
    }

    fn cut(&self) -> Option<CancelReason> {
        self.seen.borrow().cut
    }

    fn received(&mut self, _: u64) {}

    fn wait_for_node(&self, _: &Context<'_>) {
        self.seen.borrow_mut().waiting = Some(Waiting::Chunk);
    }

    fn sent(&mut self, bytes: usize) {
        let mut seen = self.seen.borrow_mut();
        seen.sent += bytes;
        seen.waiting = Some(Waiting::Client);
    }

    fn leave(&mut self, clean: bool, blame: Option<&'static str>) {
        let mut seen = self.seen.borrow_mut();
        seen.left.push(clean);
        seen.blamed.extend(blame);
    }

    fn count(&mut self, _: &Meter) {}

    fn found(&mut self, findings: Findings) {
        self.seen.borrow_mut().found = findings.total();
    }

    fn settle(&mut self, ending: Ending) {
        self.seen.borrow_mut().settled.push(ending);
    }
}

fn relay(steps: &[Step], whole: bool) -> (Relay<Fake>, Rc<RefCell<Seen>>) {
    let seen = Rc::<RefCell<Seen>>::default();
    let meter = if whole { Meter::whole(true) } else { Meter::stream(Stream::Ndjson, false) };
    let request = Fake { seen: seen.clone(), steps: steps.iter().copied().collect() };
    (Relay::new(request, meter, Dialect::Ollama, whole, Some(7)), seen)
}

#[derive(Debug, PartialEq, Eq)]
enum Polled {
    Frame(String),
    Pending,
    Broken,
    End,
}

fn poll(relay: &mut Relay<Fake>) -> Polled {
    match relay.poll_frame(&mut Context::from_waker(Waker::noop()), MOST) {
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
    seen.borrow_mut().verdict = Some(CancelReason::Cancelled);
    let Polled::Frame(error) = poll(&mut relay) else { panic!("an error is appended") };
    assert!(error.contains("an administrator ended the request"), "{error}");
    assert_eq!(poll(&mut relay), Polled::End);
    assert_eq!(poll(&mut relay), Polled::End);
    drop(relay);
    assert_eq!(outcomes(&seen), [Outcome::Ended]);
    assert!(seen.borrow().blamed.is_empty());
}

#[test]
fn the_error_that_ends_a_stream_is_a_line_or_an_event_of_its_own() {
    let line = "{\"response\":\"x\",\"done\":false}";
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}";
    for (kind, dialect, text, ends, between) in [
        (Stream::Ndjson, Dialect::Ollama, line, "", "\n"),
        (Stream::Ndjson, Dialect::Ollama, line, "\n", ""),
        (Stream::Done, Dialect::Openai, event, "", "\n\n"),
        (Stream::Done, Dialect::Openai, event, "\n", "\n"),
        (Stream::Done, Dialect::Openai, event, "\r\n", "\n"),
        (Stream::Done, Dialect::Openai, event, "\n\n", ""),
        (Stream::Done, Dialect::Openai, event, "\r\n\r\n", ""),
    ] {
        let steps = [Step::Send(text), Step::Send(ends), Step::End];
        let request = Fake { seen: Rc::default(), steps: steps.into() };
        let mut relay = Relay::new(request, Meter::stream(kind, false), dialect, false, None);
        let mut out = String::new();
        while let Polled::Frame(frame) = poll(&mut relay) {
            out.push_str(&frame);
        }
        let error = dialect.stream_error("the node's answer broke off", "id");
        let error = std::str::from_utf8(&error).unwrap();
        assert_eq!(out, format!("{text}{ends}{between}{error}"));
    }
}

#[test]
fn what_has_a_length_is_broken_off_after_a_turn() {
    for (step, verdict, outcome) in [
        (Step::Silence, Some(CancelReason::Cancelled), Outcome::Ended),
        (Step::Silence, Some(CancelReason::TimedOut(Waiting::Chunk)), Outcome::TimedOut),
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
    let (mut relay, seen) = self::relay(&[Step::Send(LINE), Step::End], false);
    while poll(&mut relay) != Polled::End {}
    drop(relay);
    assert_eq!((outcomes(&seen), seen.borrow().blamed.len()), (vec![Outcome::Broken], 1), "its runner died");
}

#[test]
fn a_nodes_own_error_is_passed_on_as_it_is_and_held_against_it() {
    let error = "{\"error\":\"unexpected EOF\"}\n";
    let (mut relay, seen) = relay(&[Step::Send(LINE), Step::Send(error), Step::End], false);
    assert_eq!(poll(&mut relay), Polled::Frame(LINE.into()));
    assert_eq!(poll(&mut relay), Polled::Frame(error.into()));
    assert_eq!(poll(&mut relay), Polled::End, "no second error after it");
    drop(relay);
    assert_eq!((outcomes(&seen), seen.borrow().blamed.len()), (vec![Outcome::Broken], 1));
}

#[test]
fn a_client_that_does_not_take_what_was_handed_over_is_told_from_one_that_left() {
    let stalled = CancelReason::TimedOut(Waiting::Client);
    let cases = [
        (None, None, Outcome::ClientGone),
        (Some(CancelReason::Cancelled), None, Outcome::Ended),
        (Some(CancelReason::Cancelled), Some(CancelReason::Cancelled), Outcome::Ended),
        (Some(CancelReason::TimedOut(Waiting::Total)), None, Outcome::TimedOut),
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
    seen.borrow_mut().cut = Some(CancelReason::TimedOut(Waiting::Client));
    drop(relay);
    assert_eq!(outcomes(&seen), [Outcome::ClientStalled]);
}

/// Every order of a few steps, with a verdict and the client's leaving at every point of it.
#[test]
fn whatever_happens_an_answer_is_settled_once() {
    let steps =
        [Step::Send(LINE), Step::Send("{\"resp"), Step::Send(LAST), Step::Silence, Step::End, Step::Fail];
    let orders = (0..steps.len().pow(3)).map(|n| [n / 36, n / 6 % 6, n % 6].map(|at| steps[at]));
    for (order, whole) in orders.flat_map(|order| [(order, false), (order, true)]) {
        for (verdict_at, polls) in (0..7).flat_map(|at| (0..9).map(move |polls| (at, polls))) {
            let (mut relay, seen) = relay(&order, whole);
            for at in 0..polls {
                if at == verdict_at {
                    seen.borrow_mut().verdict = Some(CancelReason::Revoked);
                }
                if matches!(poll(&mut relay), Polled::End | Polled::Broken) {
                    break;
                }
            }
            drop(relay);
            let seen = seen.borrow();
            assert_eq!(seen.settled.len(), 1, "{order:?} {whole} {verdict_at} {polls}");
            assert!(seen.left.len() <= 1 && seen.blamed.len() <= seen.left.len());
        }
    }
}

#[test]
fn nothing_of_a_kept_answer_goes_out_before_its_end() {
    use aivonx_protocol::privacy::AnswerMode;
    use aivonx_wire::privacy::Privacy;

    const OBJECT: &str = "{\"response\":\"x\"}";
    let kept = |steps: &[Step]| {
        let (mut relay, seen) = relay(steps, true);
        assert!(!relay.is_kept());
        let privacy = Privacy { answers: AnswerMode::Redact, ..Privacy::OFF };
        relay.screen(Screen::new(&privacy.into(), None));
        assert!(relay.is_kept());
        (relay, seen)
    };
    let whole = |relay: &mut Relay<Fake>| relay.poll_whole(&mut Context::from_waker(Waker::noop()));

    let (mut relay, _) = kept(&[Step::Send(OBJECT), Step::Silence, Step::End]);
    assert!(whole(&mut relay).is_pending());
    assert!(matches!(whole(&mut relay), Poll::Ready(None)));
    assert_eq!(poll(&mut relay), Polled::Frame(OBJECT.into()));

    for (verdict, status) in [(None, 502), (Some(CancelReason::Cancelled), 403)] {
        let (mut relay, seen) = kept(&[Step::Send("{"), Step::Fail]);
        seen.borrow_mut().verdict = verdict;
        let Poll::Ready(Some(refusal)) = whole(&mut relay) else { panic!("{verdict:?}") };
        assert_eq!(relay.refuse(&refusal).status, status);
        let mut error = String::new();
        while let Polled::Frame(piece) = poll(&mut relay) {
            error += &piece;
        }
        assert!(error.starts_with("{\"error\"") && error.ends_with('}'), "{error}");
        assert!(seen.borrow().settled[0].error.is_some());
    }
}
