//! The request that a relay answers, as the data plane has it: deadlines from the ticker, a place at a node, and
//! the record.

use std::{
    io,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use aivonx_domain::{Findings, access::Outcome};
use aivonx_fleet::{Counting, Lease};
use aivonx_telemetry::redact;
use aivonx_wire::api::{Meter, meter};
use bytes::Bytes;
use http::StatusCode;

use super::{
    deadline::{CancelReason, Waiting},
    exchange::Exchange,
    meaning::Blame,
    stream::{Ending, Request},
    upstream::NodeBody,
    work,
    worker::Watched,
};

/// What an answer holds of its node: the connection it comes over, which is closed if the answer is not over, and a
/// place among the requests at work there.
pub(super) struct NodeHalf {
    pub(super) body: NodeBody,
    pub(super) lease: Lease,
}

pub(super) struct Relayed {
    flight: Watched,
    /// From the time the head is complete until the request is settled.
    exchange: Option<Exchange>,
    /// Longest silence of the node, in ticks.
    idle: u32,
    /// Idle connections kept for a node.
    idle_per_node: usize,
}

impl Relayed {
    pub(super) fn new(flight: Watched, half: NodeHalf, idle: u32, idle_per_node: usize) -> Self {
        flight.answered_by(half);
        Self { flight, exchange: None, idle, idle_per_node }
    }

    /// Takes the exchange over; the answer ends it.
    pub(super) fn begin(&mut self, exchange: Exchange) {
        exchange.worker.shared.streams.fetch_add(1, Ordering::Relaxed);
        self.exchange = Some(exchange);
    }

    /// The client gets another status than the node gave.
    pub(super) fn status(&mut self, status: StatusCode) {
        if let Some(exchange) = &mut self.exchange {
            exchange.record.status = status.as_u16();
        }
    }
}

impl Request for Relayed {
    type Error = io::Error;

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        match &mut *self.flight.half() {
            Some(half) => {
                let polled = half.body.poll_chunk(cx);
                if matches!(polled, Poll::Ready(Some(Ok(_)))) {
                    half.lease.node().live.answers();
                }
                polled
            }
            None => Poll::Ready(None),
        }
    }

    fn is_over(&self) -> bool {
        self.flight.half().as_ref().is_none_or(|half| half.body.is_over())
    }

    fn id(&self) -> &str {
        self.exchange.as_ref().map_or("", Exchange::id)
    }

    fn verdict(&self) -> Option<CancelReason> {
        self.flight.verdict()
    }

    fn cut(&self) -> Option<CancelReason> {
        self.flight.why_cut()
    }

    fn received(&mut self, tokens: u64) {
        let Some(exchange) = &mut self.exchange else { return };
        self.flight.allow(Waiting::Chunk, exchange.worker.now(), self.idle);
        if exchange.first_byte()
            && let Some(half) = &*self.flight.half()
        {
            half.lease.begun();
            exchange.loaded(half.lease.node());
        }
        self.flight.pass(exchange.record.first_byte, tokens);
    }

    fn wait_for_node(&self, cx: &Context<'_>) {
        if self.flight.waiting() != Waiting::Chunk
            && let Some(exchange) = &self.exchange
        {
            self.flight.allow(Waiting::Chunk, exchange.worker.now(), self.idle);
        }
        self.flight.register(cx);
    }

    fn sent(&mut self, bytes: usize) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.record.bytes_out += bytes as u64;
        exchange.record.chunks += 1;
        self.flight.no_deadline(Waiting::Client);
    }

    fn leave(&mut self, clean: bool, blame: Option<&'static str>) {
        let (Some(mut half), Some(exchange)) = (self.flight.half().take(), &self.exchange) else { return };
        let (worker, node) = (&exchange.worker, half.lease.node());
        exchange.left(node);
        if clean {
            half.body.recycle(&worker.upstream, node, worker.now(), self.idle_per_node);
        }
        if let Some(why) = blame {
            exchange.failed(node, exchange.record.error.as_deref().unwrap_or(why).to_owned());
            Blame::Model.on(node, exchange.model());
        }
    }

    fn count(&mut self, answer: &Meter) {
        if let Some(exchange) = &mut self.exchange {
            exchange.usage(answer);
            if let Some(half) = &mut *self.flight.half() {
                if let Some(counting) = answer.counting() {
                    half.lease.node().live.counts(match counting {
                        meter::Counting::Usage => Counting::Usage,
                        meter::Counting::Timings => Counting::Unasked,
                    });
                }
                half.lease.answered(work::done(&exchange.record, answer));
            }
            if let Some(words) = answer.failure() {
                let mut error = format!("the node reported an error: {words}");
                redact::scrub(&mut error, 0);
                exchange.record.error = Some(error.into());
            }
        }
    }

    fn found(&mut self, findings: Findings) {
        if let Some(exchange) = &mut self.exchange {
            exchange.record.answer_findings = findings;
        }
    }

    fn settle(&mut self, ending: Ending) {
        let half = self.flight.half().take();
        let Some(mut exchange) = self.exchange.take() else { return };
        if let Some(half) = half {
            exchange.left(half.lease.node());
        }
        exchange.worker.shared.streams.fetch_sub(1, Ordering::Relaxed);
        if ending.outcome != Outcome::Complete {
            // A stream or connection that is broken off is dropped without a turn of its own.
            exchange.worker.begin_turn();
            let error = exchange.record.error.take();
            exchange.record.error = error.or_else(|| ending.error.map(Into::into));
        }
        exchange.end(ending.outcome);
    }
}
