//! Choosing a node and getting an answer out of it: attempts until the first byte, never after it.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use aivonx_fleet::{Counting, Lease, NoNode, Node, RoutingRules};
use aivonx_protocol::key::Priority;
use aivonx_wire::{
    api::{
        Dialect, Edits, Meter, Peek,
        route::{Forward, Output, Stream},
    },
    translate::{About, Translator},
};
use http::{HeaderValue, Method, StatusCode, header};

use super::{
    answer::{Answer, AnswerBody},
    body::{Collected, VerdictError},
    candidates::{Candidates, written::Many},
    cold::Cold,
    deadline::{CancelReason, InFlight, TICK, Waiting},
    endpoints::count_tokens::X_AIVONX_ESTIMATED,
    error_response::Refusal,
    exchange::Exchange,
    fields::Fields,
    headers,
    meaning::Meaning,
    misfit::Misfit,
    opened::{Opened, is_stream},
    privacy::Answers,
    queue,
    relayed::{NodeHalf, Relayed},
    responses::{self, Maker},
    shared::Settings,
    socket::{Handshake, Names, Opening},
    stream::Relay,
    translation::{self, Translated, Written},
    trial::{Answered, Asked, Trial},
    upstream::{Incoming, Outgoing, SendError},
    worker::{Watched, Worker},
};
use crate::policy::Plan;

/// Everything an attempt needs.
pub(super) struct Call<'a> {
    pub(super) route: Forward,
    pub(super) dialect: Dialect,
    pub(super) fields: &'a Fields<'a>,
    /// The protocol the request came by.
    pub(super) received: http::Version,
    pub(super) peek: &'a Peek,
    pub(super) body: Collected,
    /// What the gateway changes of it, but for governed values.
    pub(super) edits: Edits,
    /// What it changes in their place, where that is a lot.
    pub(super) many: Option<Many>,
    /// Most tokens an answer may have, if that is to be written into the body.
    pub(super) output: Option<u64>,
    /// What policy makes of it, if anything.
    pub(super) plan: Option<Plan>,
    /// What of the fleet the caller may use.
    pub(super) eligible: &'a RoutingRules,
    /// Whose its responses are.
    pub(super) owner: &'a str,
    /// Which go first of those that wait.
    pub(super) priority: Priority,
    /// Seconds of waiting for the fleet's own nodes after which third parties are asked.
    pub(super) overflow: f64,
    /// How the answer is searched, if it is.
    pub(super) answers: Option<Answers>,
    /// The websocket that is asked for, if it is one.
    pub(super) socket: Option<Box<Handshake<'a>>>,
}

impl Call<'_> {
    /// Whether the answer is a stream.
    pub(super) fn streams(&self) -> bool {
        self.route.stream_default.is_some_and(|default| self.peek.stream.unwrap_or(default))
    }
}

/// Path of the route whose answers are remembered.
pub(super) const RESPONSES: &str = "/v1/responses";

/// Gets an answer for `call` from the fleet.
pub(super) async fn forward(
    exchange: &mut Exchange,
    flight: Watched,
    call: Call<'_>,
) -> Result<Answer, Refusal> {
    let worker = exchange.worker.clone();
    let settings = exchange.settings.clone();
    let streaming = call.streams();
    exchange.due = !streaming && call.socket.is_none();
    let usage = call.route.ask_usage && streaming && !call.peek.asks_usage();
    let mut candidates = Candidates::new(&call, usage, exchange.counts_tokens());

    flight.allow_total(worker.now(), settings.total);
    let begun = worker.instant();
    let mut trial = Trial::default();
    let (mut fresh, mut looked) = (false, false);
    let place = {
        let snapshot = worker.shared.hot.load();
        match candidates.place(exchange, &snapshot, &trial.tried) {
            Ok(place) => place,
            Err(why) => return candidates.shown(&snapshot, &why).ok_or_else(|| why.into()),
        }
    };
    let mut lease = queue::wait(exchange, &flight, place).await?;
    candidates.claim(&mut lease);
    exchange.chosen();
    let sent = loop {
        let node = lease.node();
        let prepared = flight.watch(pin!(candidates.prepare(node, exchange.id()))).await;
        match prepared.map_err(VerdictError)? {
            Err(why @ Refusal::Untranslated(_)) => {
                lease.give_back();
                candidates.translate_no_more();
                let place = match candidates.place(exchange, &worker.shared.hot.load(), &trial.tried) {
                    // No node would take it as it is.
                    Err(NoNode::Unserved(_)) if trial.tried.is_empty() => return Err(why),
                    // One would, later.
                    Err(_) => break None,
                    Ok(place) => place,
                };
                lease = match queue::wait(exchange, &flight, place).await {
                    // What a node said is better than that there was no other.
                    Err(Refusal::Queue { .. }) if !trial.tried.is_empty() => break None,
                    next => next?,
                };
                candidates.claim(&mut lease);
                continue;
            }
            prepared => prepared?,
        }
        if candidates.lacks_counterpart(node) {
            match past(exchange, &flight, &mut candidates, &mut trial, lease).await? {
                Past::Next(next) => lease = next,
                Past::NoOther(last) => {
                    lease = last;
                    break None;
                }
            }
            continue;
        }
        exchange.record.node = Some(node.name.clone());
        exchange.record.served = candidates.served().cloned();
        exchange.tally = candidates.tally();
        flight.on_node(Some(node.clone()));
        if let Some(answer) = candidates.answer() {
            return Ok(translation::alone(candidates.translated(), answer));
        }
        let (path, framing) = candidates.asked_at();
        let stream = if streaming { framing } else { Stream::Never };
        let cold = candidates.cold(&worker, &settings, &lease);
        let target = call.socket.as_ref().map(|socket| socket.target(path, candidates.model()));
        let request = Outgoing {
            method: if target.is_some() { Method::GET } else { Method::POST },
            path: target.as_deref().unwrap_or(path),
            client: call.fields,
            received: call.received,
            request_id: &exchange.id,
            form: call.peek.is_form(),
            body: if target.is_some() { &[] } else { candidates.body() },
            heir: cold.as_ref().map(Cold::heir),
            socket: call.socket.as_deref(),
            connect_within: settings.connect,
        };
        let loaded = candidates.is_loaded(node);
        exchange.memory.held = loaded;
        let (waiting, limit) = first_byte(&settings, streaming || call.socket.is_some(), loaded);
        flight.allow(waiting, worker.now(), limit);
        if node.seen.dozes {
            rouse(&worker, &flight, node, TICK * settings.load).await?;
        }
        let more = || exchange.record.retries < settings.retries && begun.elapsed() < settings.retry_within;
        let elsewhere = || {
            let snapshot = worker.shared.hot.load();
            more().then(|| candidates.elsewhere(exchange, &snapshot, &trial.tried, node)).flatten()
        };
        let left = {
            // Pinned where it is made: it is too large to be moved about.
            let attempt = pin!(async {
                let incoming = worker.upstream.send(node, request, fresh).await?;
                let lives = || flight.allow(Waiting::Chunk, worker.now(), settings.idle);
                let opened = Opened::read(incoming, stream, lives).await?;
                Ok(match call.route {
                    Forward { socket: true, .. } => opened.for_socket(),
                    Forward { optional: true, .. } => opened.for_optional_route(),
                    _ => opened,
                })
            });
            until_first_byte(&flight, node, attempt, elsewhere).await
        };
        cold.iter().for_each(Cold::forget);
        match left {
            // The kept connection died before any byte: not the node's failure, and not an attempt.
            Ok(Err(e)) if e.stale() && !fresh => {
                fresh = true;
                continue;
            }
            // Nor is it to blame for what the client did not ask for.
            Ok(Ok(opened))
                if candidates.asks() && opened.is_rejection() && candidates.ask_no_more(&opened, node) =>
            {
                continue;
            }
            // It is asked in its own API, if no other node speaks the client's.
            Ok(Ok(opened)) if candidates.learns(&opened, node) => {
                lease.give_back();
                let place = candidates.place(exchange, &worker.shared.hot.load(), &trial.tried)?;
                lease = queue::wait(exchange, &flight, place).await?;
                candidates.claim(&mut lease);
                fresh = false;
                continue;
            }
            Ok(Ok(opened)) if candidates.learns_lack(&opened, node) => {
                match past(exchange, &flight, &mut candidates, &mut trial, lease).await? {
                    Past::Next(next) => lease = next,
                    Past::NoOther(last) => {
                        lease = last;
                        break None;
                    }
                }
                fresh = false;
                continue;
            }
            Ok(sent) => {
                let meaning = trial.takes(exchange, node, &sent);
                sent.iter().for_each(|opened| candidates.remembers(opened, node));
                if !meaning.tries_another() || !more() {
                    break Some(sent);
                }
                if meaning == Meaning::Unreachable {
                    candidates.cannot_reach(node);
                }
                if meaning == Meaning::Busy {
                    lease.refused();
                }
                // Nobody waits for a place that is not used any more.
                lease.give_back();
                let mut next = candidates.place(exchange, &worker.shared.hot.load(), &trial.tried);
                if next.is_err() && meaning == Meaning::Missing && !std::mem::replace(&mut looked, true) {
                    // The model may have moved to a node that is not known to have it.
                    look_again(&worker, &flight).await?;
                    next = candidates.place(exchange, &worker.shared.hot.load(), &trial.tried);
                }
                let next = match next {
                    Ok(next) => next,
                    Err(why) => {
                        if meaning == Meaning::Unreachable
                            && let Some(shown) = candidates.shown(&worker.shared.hot.load(), &why)
                        {
                            return Ok(shown);
                        }
                        break Some(sent);
                    }
                };
                let mut next = match queue::wait(exchange, &flight, next).await {
                    Ok(next) => next,
                    // What the node said is better than that there was no other.
                    Err(Refusal::Queue { .. }) => break Some(sent),
                    Err(refusal) => return Err(refusal),
                };
                candidates.claim(&mut next);
                let before = std::mem::replace(&mut lease, next);
                trial.keep(exchange, sent, before, asked(exchange, &candidates)).await;
            }
            Err(Left::Moved(elsewhere)) => {
                trial.tried.push(node.clone());
                exchange.predict(&elsewhere, exchange.lasted());
                lease = elsewhere;
                candidates.claim(&mut lease);
            }
            Err(Left::Ended(verdict)) => {
                exchange.gave_up(node, verdict);
                return Err(VerdictError(verdict).into());
            }
        }
        exchange.record.retries += 1;
        fresh = false;
    };
    let mut answered = trial.end(sent, lease, asked(exchange, &candidates))?;
    if call.route.optional && answered.opened.no_route {
        return Err(NoNode::lacks(&answered.lease.node().name).into());
    }
    let of_fleet = call.plan.as_ref().is_some_and(|plan| plan.of_fleet);
    if call.route.path == RESPONSES
        && let Some(id) = responses::id_in(&answered.opened.beginning)
    {
        let asked = call.peek.model(call.route.legacy_name).unwrap_or_default();
        let maker = Maker::new(&answered.lease.node().id, asked, of_fleet, candidates.model());
        worker.shared.responses.made(call.owner, id, maker);
    }
    if let Some(socket) = &call.socket
        && answered.opened.incoming.status == StatusCode::SWITCHING_PROTOCOLS
    {
        let names = Names { asked: socket.model.clone(), served: candidates.model().to_owned(), of_fleet };
        let held = call.body.held.another();
        return Opening::answer(exchange, flight, answered, (socket.caller, call.eligible), names, held);
    }
    let (strip, stream) = match &answered.asked.translated {
        Some(to) => (false, to.node.stream()),
        None => (candidates.asks(), call.route.stream),
    };
    drop(candidates);
    let held = answered.asked.translated.as_ref().map(|_| call.body.held.another());
    drop(call.body);
    let stream = if streaming { stream } else { Stream::Never };
    let written = match held {
        Some(held) => {
            Box::pin(translation::write_whole(exchange, &flight, &mut answered, stream, held)).await?
        }
        None => None,
    };
    let Call { dialect, route: Forward { output, .. }, answers, .. } = call;
    relay(exchange, flight, answered, Kind { dialect, stream, strip, output, answers, written })
}

/// What comes after a node that does not serve the API it is asked in.
enum Past {
    Next(Lease),
    /// What others said stands; the lease is given back.
    NoOther(Lease),
}

/// Goes on to a node other than that of `lease`, which does not serve the API that the request is translated to.
///
/// # Errors
/// None of the nodes does.
async fn past(
    exchange: &mut Exchange,
    flight: &Watched,
    candidates: &mut Candidates<'_>,
    trial: &mut Trial,
    mut lease: Lease,
) -> Result<Past, Refusal> {
    trial.tried.push(lease.node().clone());
    lease.give_back();
    let others_spoke = trial.has_something();
    let place = match candidates.place(exchange, &exchange.worker.shared.hot.load(), &trial.tried) {
        Ok(place) => place,
        Err(_) if others_spoke => return Ok(Past::NoOther(lease)),
        Err(_) => return Err(NoNode::lacks(&lease.node().name).into()),
    };
    match queue::wait(exchange, flight, place).await {
        Err(Refusal::Queue { .. }) if others_spoke => Ok(Past::NoOther(lease)),
        next => {
            let mut next = next?;
            candidates.claim(&mut next);
            Ok(Past::Next(next))
        }
    }
}

/// How the node of the last attempt was asked.
fn asked(exchange: &Exchange, candidates: &Candidates<'_>) -> Asked {
    let (served, tally) = (exchange.record.served.clone(), exchange.tally.clone());
    Asked { served, tally, translated: candidates.translated() }
}

/// What the client is to get.
pub(super) struct Kind {
    pub(super) dialect: Dialect,
    pub(super) stream: Stream,
    /// Take out the usage that it did not ask for.
    pub(super) strip: bool,
    pub(super) output: Output,
    /// How it is searched, if it is.
    pub(super) answers: Option<Answers>,
    /// What it was translated to already, if it was.
    pub(super) written: Option<Written>,
}

/// Passes a node's answer on.
pub(super) fn relay(
    exchange: &mut Exchange,
    flight: Watched,
    answered: Answered,
    kind: Kind,
) -> Result<Answer, Refusal> {
    let Answered { opened, lease, asked } = answered;
    let Opened { mut incoming, meaning, .. } = *opened;
    let Asked { served, tally, translated } = asked;
    let settings = &exchange.settings;
    exchange.record.node = Some(lease.node().name.clone());
    (exchange.record.served, exchange.tally) = (served, tally);
    flight.on_node(Some(lease.node().clone()));
    Misfit::check(lease.node(), &incoming)?;
    flight.allow(Waiting::Chunk, exchange.worker.now(), settings.idle);
    headers::on_what_a_node_answers(&mut incoming.headers, exchange, lease.node());
    let Incoming { status, headers, body, .. } = incoming;
    let length = body.length().filter(|_| translated.is_none());
    let refused = lease.node().live.counting() == Counting::Refused;
    let half = NodeHalf { body, lease };
    let request = Relayed::new(flight, half, settings.idle, settings.idle_per_node);
    let streams = is_stream(kind.stream, status, &headers);
    // What is known only once a stream is over stands in its numbers alone.
    let estimated = match &kind.written {
        Some(written) => written.estimated,
        None => streams && translated.is_some() && refused,
    };
    // An error in the place of output would look like an empty answer.
    let is_error = translated.is_some() && !streams && meaning.tries_another();
    let status = if is_error && status.is_success() { StatusCode::BAD_GATEWAY } else { status };
    let meter = if streams {
        Meter::stream(kind.stream, kind.strip)
    } else {
        Meter::whole(kind.output != Output::Nothing)
    };
    // The dialect's error may have to be appended to a stream, so its length cannot be promised.
    let mut relay = Box::new(Relay::new(request, meter, kind.dialect, !streams, length));
    let heading = translated.as_ref().map(Translated::heading);
    let (written, held) = kind.written.map(|Written { translator, held, .. }| (translator, held)).unzip();
    let translator = written.or_else(|| {
        let to = translated?;
        let model = exchange.record.served.as_deref().or(exchange.record.model.as_deref());
        let about = translation::about(exchange.id(), model);
        let prompt = exchange.prompt_estimate();
        let about = About { begun: Some(exchange.begun().at), prompt, ..about };
        Some(to.translator(about, status, streams))
    });
    relay.hold(held);
    let content_type = translator.as_ref().map(Translator::content_type);
    relay.translate(translator);
    if let Some(answers) = &kind.answers {
        let said = content_type.as_ref().or_else(|| headers.get(header::CONTENT_TYPE));
        if let Some(screen) = answers.screen(streams, said) {
            relay.screen(screen);
        }
    }
    let mut answer = Answer::new(AnswerBody::Relay(relay));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    if let Some((heading, content_type)) = heading.zip(content_type) {
        answer.headers_mut().insert(header::CONTENT_TYPE, content_type);
        answer.headers_mut().insert(headers::X_AIVONX_TRANSLATED, heading);
    }
    if estimated {
        answer.headers_mut().insert(X_AIVONX_ESTIMATED, HeaderValue::from_static("tokens"));
    }
    Ok(answer)
}

/// Why a node was left before the first byte of its answer.
enum Left {
    /// It stopped answering anybody, and another takes its place.
    Moved(Lease),
    /// The request has to end.
    Ended(CancelReason),
}

/// Makes an attempt on `node`. It moves `elsewhere` once the node is down or removed before the first byte.
async fn until_first_byte(
    flight: &InFlight,
    node: &Node,
    mut attempt: Pin<&mut impl Future<Output = Result<Box<Opened>, SendError>>>,
    elsewhere: impl Fn() -> Option<Lease>,
) -> Result<Result<Box<Opened>, SendError>, Left> {
    loop {
        if let Some(sent) = flight.watch_node(attempt.as_mut()).await.map_err(Left::Ended)? {
            return Ok(sent);
        }
        if let Some(lease) = elsewhere() {
            return Err(Left::Moved(lease));
        }
        if node.live.retired() {
            return Err(Left::Ended(CancelReason::Retired));
        }
        // Without another there is nothing better than to wait for it.
    }
}

/// What is waited for until the first byte of an answer, and how many ticks at most.
fn first_byte(settings: &Settings, streaming: bool, loaded: bool) -> (Waiting, u32) {
    match (streaming, loaded) {
        (false, _) => (Waiting::Whole, settings.whole),
        (true, false) => (Waiting::Load, settings.load),
        (true, true) => (Waiting::Head, settings.header_wait),
    }
}

/// Has the engine of a node wake that sleeps. It goes on when the client leaves.
async fn rouse(
    worker: &Worker,
    flight: &InFlight,
    node: &Arc<Node>,
    most: Duration,
) -> Result<(), VerdictError> {
    let (fleet, node) = (worker.shared.fleet.clone(), node.clone());
    let waking = worker.shared.control.spawn(async move { fleet.rouse(&node, most).await });
    // Where it failed, the node's own answer says why.
    flight.watch(waking).await.map(drop).map_err(VerdictError)
}

/// Has the nodes say what models they have now.
pub(super) async fn look_again(worker: &Worker, flight: &InFlight) -> Result<(), VerdictError> {
    let fleet = worker.shared.fleet.clone();
    let look = worker.shared.control.spawn(async move { fleet.look_again().await });
    // A look that failed has seen nothing.
    flight.watch(look).await.map(drop).map_err(VerdictError)
}
