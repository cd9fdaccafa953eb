//! A websocket from the time it is agreed on until its record is written.

use std::{
    future::poll_fn,
    sync::{Arc, Weak, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use aivonx_domain::{access::Outcome, now};
use aivonx_fleet::{Lease, RoutingRules};
use aivonx_identity::{Caller, Snapshot};
use aivonx_limits::{Ask, Output, Price, Used};
use aivonx_protocol::key::KeyScope;
use aivonx_wire::api::{
    meter::BYTES_PER_TOKEN,
    references::{self, Reference},
    socket::{Event, Part, Piece, SocketError, check_models, close},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::{
    end::{Close, End, Side},
    half::Half,
};
use crate::{
    answer::{Answer, AnswerBody},
    budget::Held,
    deadline::{TICKS_PER_SECOND, Waiting, withdrawn},
    error_response::Refusal,
    exchange::Exchange,
    headers, limit,
    meaning::Blame,
    named,
    opened::Opened,
    policy::Rules,
    privacy,
    trial::Answered,
    upstream::{Incoming, Switched},
    worker::Watched,
};

/// Ticks that a side has to answer the other's close frame.
const CLOSE_GRACE: u32 = 5 * TICKS_PER_SECOND;

/// How long one that is ended may take for the gateway's last words.
const FAREWELL: Duration = Duration::from_secs(2);

/// The model of a session.
pub(crate) struct Names {
    /// As the client names it.
    pub(crate) asked: String,
    /// As the node does.
    pub(crate) served: String,
    /// What was asked for is an alias of the fleet, not of an organization.
    pub(crate) of_fleet: bool,
}

/// What a session is made of, before its head goes out.
pub(crate) struct Opening {
    flight: Watched,
    lease: Lease,
    node: Switched,
    caller: Caller,
    eligible: RoutingRules,
    names: Names,
    held: Held,
}

impl Opening {
    /// The answer that begins a session with the node that agreed to one.
    pub(crate) fn answer(
        exchange: &mut Exchange,
        flight: Watched,
        answered: Answered,
        (caller, eligible): (&Caller, &RoutingRules),
        names: Names,
        held: Held,
    ) -> Result<Answer, Refusal> {
        let Answered { opened, lease, asked } = answered;
        let Opened { incoming, .. } = *opened;
        (exchange.record.served, exchange.tally) = (asked.served, asked.tally);
        flight.on_node(Some(lease.node().clone()));
        let Incoming { mut headers, body, .. } = incoming;
        headers::on_what_a_node_answers(&mut headers, exchange, lease.node());
        let node = body.switch().ok_or(Refusal::Internal("the connection to the node is not there"))?;
        let opening =
            Self { flight, lease, node, caller: caller.clone(), eligible: eligible.clone(), names, held };
        let mut answer = Answer::new(AnswerBody::Socket(Some(Box::new(opening))));
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *answer.headers_mut() = headers;
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        Ok(answer)
    }

    /// Takes the exchange over; the session ends it.
    pub(crate) fn begin(self, mut exchange: Exchange) -> Session {
        let Self { flight, lease, node, caller, eligible, names, held } = self;
        exchange.first_byte();
        exchange.due = false;
        exchange.worker.shared.streams.fetch_add(1, Ordering::Relaxed);
        lease.begun();
        let books = Books {
            flight,
            lease,
            caller,
            looked_at: Weak::new(),
            ruled_by: Weak::new(),
            eligible,
            names,
            exchange,
            answers: 0,
            pieces: 0,
            said: 0,
            asked: false,
            ended: None,
        };
        books.passed();
        Session { books, node, held }
    }
}

/// A websocket under way.
pub(crate) struct Session {
    books: Books,
    node: Switched,
    held: Held,
}

impl Session {
    /// Passes on what is said until the session ends. `ahead` is what the client sent with its head.
    pub(crate) async fn run(mut self, client: &mut (impl AsyncRead + AsyncWrite + Unpin), ahead: &[u8]) {
        let mut from_client = Half::new(Side::Client, ahead);
        let mut from_node = Half::new(Side::Node, &std::mem::take(&mut self.node.ahead));
        let end = poll_fn(|cx| self.poll(cx, client, &mut from_client, &mut from_node)).await;
        let has_ended = from_client.closed || from_node.closed;
        let end = if has_ended { end.after_end() } else { end };
        let Self { mut books, mut node, .. } = self;
        books.end(&end);
        // The place at the node is free, and the record written, before anybody is waited for.
        drop(books);
        let farewells = async {
            tokio::join!(
                farewell(client, from_node.rest(), end.for_client(), false),
                farewell(&mut node.stream, from_client.rest(), end.for_node(), true),
            )
        };
        // Who does not take them does without.
        let _ = tokio::time::timeout(FAREWELL, farewells).await;
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        from_client: &mut Half,
        from_node: &mut Half,
    ) -> Poll<End> {
        let Self { books, node, .. } = self;
        books.exchange.worker.begin_turn();
        if let Some(reason) = books.flight.verdict() {
            return Poll::Ready(End::Cancelled(reason));
        }
        books.flight.register(cx);
        let sent = from_client.poll(cx, client, &mut node.stream, |piece| books.sent(piece));
        let polled = match sent {
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => from_node.poll(cx, &mut node.stream, client, |piece| books.came(piece)),
        };
        if polled.is_ready() {
            return polled;
        }
        if from_client.is_over() && from_node.is_over() {
            return Poll::Ready(End::Closed);
        }
        if from_client.closed || from_node.closed {
            books.wait_for_end();
        }
        match self.hold(from_client.held() + from_node.held()) {
            true => Poll::Pending,
            false => Poll::Ready(End::NoMemory),
        }
    }

    /// Charges what is held to the budget; false if there is no room for it.
    fn hold(&mut self, bytes: u64) -> bool {
        let before = self.held.bytes();
        if bytes <= before {
            self.held.shrink(before - bytes);
            return true;
        }
        self.held.grow(bytes - before)
    }
}

/// Says the gateway's last words, behind what was under way.
async fn farewell(to: &mut (impl AsyncWrite + Unpin), rest: Bytes, words: Option<Close>, masked: bool) {
    if let Some((code, reason)) = words {
        // A side that is gone hears nothing.
        let _ = to.write_all(&rest).await;
        let _ = to.write_all(&close(code, &reason, masked)).await;
    }
    let _ = to.shutdown().await;
}

/// What a session counts and may.
struct Books {
    flight: Watched,
    lease: Lease,
    caller: Caller,
    /// The snapshot by which that is so.
    looked_at: Weak<Snapshot>,
    /// The model policy by which that is so, if there is one.
    ruled_by: Weak<Rules>,
    eligible: RoutingRules,
    names: Names,
    exchange: Exchange,
    /// Answers that are over.
    answers: u64,
    /// Pieces of the one that is under way.
    pieces: u64,
    /// Bytes that the client sent since the last, but for sound.
    said: u64,
    /// It asked for an answer since.
    asked: bool,
    /// How the session ended, once it has.
    ended: Option<(Outcome, Option<String>)>,
}

impl Books {
    /// Takes in what the client sent.
    fn sent(&mut self, piece: &Piece) -> Result<(), End> {
        self.exchange.record.bytes_in += piece.raw.len() as u64;
        self.passed();
        let Part::Message(message) = &piece.part else { return Ok(()) };
        self.look_again()?;
        let (names, eligible, now) = (&self.names, &self.eligible, self.caller.eligible());
        let allowed = |model: &str| {
            names.asked == model || names.served == model || (eligible.allows(model) && now.allows(model))
        };
        let refused = |error| End::Refused(Side::Client, error);
        let said = check_models(message, allowed).map_err(refused)?;
        if let Some(Reference::Fetched(what, wrong)) =
            references::first_fetched(message, named::judge(&self.exchange.settings))
        {
            return Err(refused(SocketError::Address { what, wrong }));
        }
        self.said += said.bytes as u64;
        self.asked |= said.asks;
        Ok(())
    }

    /// A session lasts longer than a request: what was so when it began may not be any more. That a credential has
    /// expired meanwhile, the ticker sees.
    fn look_again(&mut self) -> Result<(), End> {
        let Exchange { worker, record, .. } = &self.exchange;
        let snapshot = worker.shared.identity.hot().load();
        let rules = worker.shared.policy.load();
        let ruled_by = rules.as_ref().map_or_else(Weak::new, Arc::downgrade);
        if self.looked_at.as_ptr() == Arc::as_ptr(&snapshot) && self.ruled_by.ptr_eq(&ruled_by) {
            return Ok(());
        }
        let caller = self.caller.again(&snapshot, record.client, now());
        let Names { asked, served, of_fleet } = &self.names;
        let may = |caller: &Caller| {
            let rules = caller.eligible();
            rules.allows_as(asked, *of_fleet, served)
                && (caller.may(KeyScope::Infer) || !self.caller.may(KeyScope::Infer))
        };
        let ended = || End::Cancelled(withdrawn(self.caller.is_disabled(&snapshot)));
        let caller = caller.filter(may).ok_or_else(ended)?;
        let organization = caller.organization().map(|organization| &*organization.id);
        let bounds_output = rules.as_ref().is_some_and(|rules| rules.bounds_output(organization, served));
        privacy::refuse_unsearched(&self.exchange, &caller)
            .and_then(|()| limit::refuse_unbounded(&self.exchange, &caller, bounds_output))
            .map_err(|error| End::Limited(error.to_string()))?;
        self.flight.on_behalf_of(caller.clone());
        self.caller = caller;
        (self.looked_at, self.ruled_by) = (Arc::downgrade(&snapshot), ruled_by);
        Ok(())
    }

    /// Takes in what the node sent.
    fn came(&mut self, piece: &Piece) -> Result<(), End> {
        self.exchange.record.bytes_out += piece.raw.len() as u64;
        self.exchange.record.chunks += 1;
        self.lease.node().live.answers();
        if let Part::Message(message) = &piece.part {
            let event = Event::read(message);
            self.pieces += u64::from(event.is_piece);
            if event.is_last {
                self.answered(event)?;
            }
        }
        self.passed();
        Ok(())
    }

    /// An answer is over. It counts as a request of its own does, and the next has to be within the limits too.
    fn answered(&mut self, event: Event) -> Result<(), End> {
        let usage = event.usage.unwrap_or_default();
        // Where the node did not count, each piece is taken for a token.
        let (prompt, pieces) = self.estimated();
        self.exchange.record.estimated |= usage.output.is_none();
        let used = self.note(usage.prompt.unwrap_or(prompt), usage.output.unwrap_or(pieces));
        self.answers += 1;
        if let Err(end) = self.look_again() {
            self.settle(used);
            return Err(end);
        }
        // No more than one token is held for it: nobody knows when it begins.
        let output = Output::UpTo { each: Some(1), answers: 1, made: 1 };
        let ask = Ask { prompt: 0, output, price: self.price() };
        let over = self.exchange.reservation.take().map(|over| (over, used));
        let reserved = self.exchange.worker.shared.limits.follow(over, self.caller.levels(), &ask);
        match reserved {
            Ok(reserved) => self.exchange.reservation = Some(reserved),
            Err(exceeded) => {
                let refusal = limit::refuse(&mut self.exchange, &self.caller, exceeded);
                return Err(End::Limited(refusal.to_string()));
            }
        }
        Ok(())
    }

    /// Tokens of the prompt and output since the last answer, where the node did not count them.
    fn estimated(&mut self) -> (u64, u64) {
        self.asked = false;
        (std::mem::take(&mut self.said) / BYTES_PER_TOKEN, std::mem::take(&mut self.pieces))
    }

    /// Puts tokens into the record.
    fn note(&mut self, prompt: u64, output: u64) -> Used {
        let cost = self.price().cost(prompt, output);
        let record = &mut self.exchange.record;
        record.prompt_tokens = Some(record.prompt_tokens.unwrap_or(0).saturating_add(prompt));
        record.output_tokens = Some(record.output_tokens.unwrap_or(0).saturating_add(output));
        record.cost = record.cost.saturating_add(cost);
        Used { tokens: prompt.saturating_add(output), cost }
    }

    /// Puts what was used in the place of what was reserved for it.
    fn settle(&mut self, used: Used) {
        if let Some(reservation) = self.exchange.reservation.take() {
            reservation.settle(used, &self.exchange.worker.shared.limits.now());
        }
    }

    fn price(&self) -> Price {
        self.exchange.worker.shared.limits.prices().of(self.exchange.model())
    }

    /// Something was said: the time in which nothing may be begins anew.
    fn passed(&self) {
        let Exchange { worker, settings, record, .. } = &self.exchange;
        self.flight.pass(record.first_byte, record.output_tokens.unwrap_or(0) + self.pieces);
        self.flight.allow(Waiting::Socket, worker.now(), settings.idle);
    }

    /// One side has closed: the other has a moment for it.
    fn wait_for_end(&self) {
        let Exchange { worker, settings, .. } = &self.exchange;
        self.flight.allow(Waiting::Socket, worker.now(), settings.idle.min(CLOSE_GRACE));
    }

    fn end(&mut self, end: &End) {
        if end.blames_node() {
            let node = self.lease.node();
            let (_, error) = end.outcome();
            self.exchange.failed(node, error.unwrap_or_default());
            Blame::Model.on(node, self.exchange.model());
        }
        self.ended = Some(end.outcome());
    }
}

/// A session that is broken off ends here too.
impl Drop for Books {
    fn drop(&mut self) {
        self.exchange.worker.begin_turn();
        self.exchange.worker.shared.streams.fetch_sub(1, Ordering::Relaxed);
        let (outcome, error) = self.ended.take().unwrap_or_else(|| {
            let why = self.flight.why_cut().or_else(|| self.flight.verdict());
            why.map_or(End::Gone(Side::Client), End::Cancelled).outcome()
        });
        let begun = self.asked || self.pieces > 0;
        if self.answers > 0 && !begun {
            // It was taken for an answer that never began.
            self.exchange.reservation = None;
        }
        self.exchange.record.estimated |= begun;
        let (prompt, pieces) = self.estimated();
        let used = self.note(if begun { prompt } else { 0 }, pieces);
        self.settle(used);
        self.exchange.record.error = error.map(Into::into);
        self.exchange.end(outcome);
    }
}
