//! Choosing a node and getting an answer out of it: attempts until the first byte, never after it.

use std::pin::pin;

use aivonx_fleet::{Eligible, Node, Place};
use aivonx_wire::api::{
    Dialect, Edits, Meter, Peek,
    route::{Forward, Output, Stream},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    answer::{Answer, AnswerBody},
    body::{Collected, VerdictError},
    candidates::{Candidates, Many},
    clock::Waiting,
    exchange::Exchange,
    fields::Fields,
    headers, queue,
    relayed::{NodeHalf, Relayed},
    rescue::Refusal,
    stream::Relay,
    trial::Trial,
    upstream::{Incoming, Outgoing},
    worker::Watched,
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
    pub(super) eligible: &'a Eligible,
}

impl Call<'_> {
    /// Whether the answer is a stream.
    pub(super) fn streams(&self) -> bool {
        self.route.stream_default.is_some_and(|default| self.peek.stream.unwrap_or(default))
    }
}

/// What is wrong with a node whose answer is proper HTTP and yet none for a client: it is set up wrongly, and another
/// attempt would change nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misfit {
    #[error("node {0} does not accept the gateway's credential; set it with 'aivonx node set {0}'")]
    Credential(String),
    /// Followed, it would take the prompt, and perhaps the credential, past everything that is checked here.
    #[error(
        "node {0} redirects ({1}), which is not followed; set the address it leads to: 'aivonx node set {0} --url'"
    )]
    Redirects(String, u16),
    #[error(
        "node {0} compresses its answers, though asked not to; switch that off on the node or in front of it"
    )]
    Compresses(String),
}

impl Misfit {
    fn check(node: &Node, answer: &Incoming) -> Result<(), Self> {
        let name = || node.name.to_string();
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(Self::Credential(name()))
            }
            status if status.is_redirection() => Err(Self::Redirects(name(), status.as_u16())),
            _ if answer.coded => Err(Self::Compresses(name())),
            _ => Ok(()),
        }
    }
}

/// Gets an answer for `call` from the fleet.
pub(super) async fn forward(
    exchange: &mut Exchange,
    flight: Watched,
    call: Call<'_>,
) -> Result<Answer, Refusal> {
    let worker = exchange.worker.clone();
    let settings = exchange.settings.clone();
    let streaming = call.streams();
    exchange.due = !streaming;
    let strip = call.route.ask_usage && streaming && !call.peek.asks_usage();
    let mut candidates = Candidates::new(&call, strip);

    flight.allow(Waiting::Head, worker.now(), settings.header_wait);
    flight.allow_total(worker.now(), settings.total);
    let mut trial = Trial::default();
    let mut fresh = false;
    let place = candidates.place(exchange, &worker.shared.hot.load(), &trial.tried)?;
    let mut lease = queue::wait(exchange, &flight, place).await?;
    flight.allow(Waiting::Head, worker.now(), settings.header_wait);
    exchange.chosen();
    let sent = loop {
        let node = lease.node();
        exchange.record.node = Some(node.name.clone());
        exchange.record.served = candidates.served().cloned();
        flight.on_node(Some(node.clone()));
        flight.watch(candidates.prepare(node.kind)).await.map_err(VerdictError)??;
        let request = Outgoing {
            path: call.route.path,
            client: call.fields,
            received: call.received,
            request_id: &exchange.id,
            body: candidates.body(),
            connect_within: settings.connect,
        };
        let more = exchange.record.retries < settings.retries;
        let sent = {
            let mut sending = pin!(worker.upstream.send(node, request, fresh));
            loop {
                if let Some(sent) = flight.watch_node(sending.as_mut()).await.map_err(VerdictError)? {
                    break Ok(sent);
                }
                // The node stopped answering anybody. Without another there is nothing better than to wait for it.
                let snapshot = worker.shared.hot.load();
                if more && let Some(lease) = candidates.elsewhere(exchange, &snapshot, &trial.tried, node) {
                    break Err(lease);
                }
            }
        };
        let next = match sent {
            // The kept connection died before any byte: not the node's failure, and not an attempt.
            Ok(Err(e)) if e.stale() && !fresh => {
                fresh = true;
                continue;
            }
            Ok(sent) => {
                let another = trial.takes(exchange, node, &sent) && more;
                let place = || candidates.place(exchange, &worker.shared.hot.load(), &trial.tried).ok();
                match another.then(place).flatten() {
                    Some(Place::Now(lease)) => lease,
                    _ => break sent,
                }
            }
            Err(elsewhere) => {
                trial.tried.push(node.clone());
                elsewhere
            }
        };
        lease = next;
        exchange.record.retries += 1;
        fresh = false;
    };
    let mut incoming = trial.end(exchange, lease.node(), sent)?;
    drop(candidates);
    drop(call.body);
    let stream = if streaming { call.route.stream } else { Stream::Never };
    let node_header = settings.node_header;
    Misfit::check(lease.node(), &incoming)?;
    flight.allow(Waiting::Chunk, worker.now(), settings.idle);
    if node_header {
        incoming.headers.insert(headers::X_AIVONX_NODE, lease.node().heading.clone());
    }
    let Incoming { status, headers, body, .. } = incoming;
    let length = body.length();
    let half = NodeHalf { body, lease };
    let request = Relayed::new(flight, half, settings.idle, settings.idle_per_node);
    let streams = is_stream(stream, status, &headers);
    let meter = if streams {
        Meter::stream(stream, strip)
    } else {
        Meter::whole(call.route.output != Output::Nothing)
    };
    // The dialect's error may have to be appended to a stream, so its length cannot be promised.
    let relay = Relay::new(request, meter, call.dialect, !streams, length);
    let mut answer = Answer::new(AnswerBody::Relay(Box::new(relay)));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    if !exchange.waited.is_zero()
        && let Ok(waited) = HeaderValue::from_str(&format!("waited={}", exchange.waited.as_millis()))
    {
        answer.headers_mut().insert(headers::X_AIVONX_QUEUE, waited);
    }
    // What a node sends says its own name for the model; the client is told where that is not what it asked for.
    if let Some(served) = &exchange.record.served
        && let Ok(served) = HeaderValue::from_str(served)
    {
        answer.headers_mut().insert(headers::X_AIVONX_MODEL, served);
    }
    Ok(answer)
}

/// Whether the answer is the `stream` that was asked for: a node sends one object instead when it only loads or
/// unloads a model, or refuses.
fn is_stream(stream: Stream, status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::OK
        && match stream {
            Stream::Never => false,
            Stream::Ndjson => is_type(headers, "application/x-ndjson"),
            _ => is_type(headers, "text/event-stream"),
        }
}

fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_the_streams_type_is_one() {
        let is = |stream, status, of: &'static str| {
            is_stream(
                stream,
                status,
                &HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(of))]),
            )
        };
        assert!(is(Stream::Ndjson, StatusCode::OK, "application/x-ndjson"));
        assert!(is(Stream::Done, StatusCode::OK, "Text/Event-Stream ; charset=utf-8"));
        assert!(!is(Stream::Ndjson, StatusCode::OK, "application/json"));
        assert!(!is(Stream::Done, StatusCode::OK, "application/x-ndjson"));
        assert!(!is(Stream::Ndjson, StatusCode::NOT_FOUND, "application/x-ndjson"));
        assert!(!is(Stream::Never, StatusCode::OK, "application/x-ndjson"));
        assert!(!is_stream(Stream::Done, StatusCode::OK, &HeaderMap::new()));
    }
}
