//! The request that a relay answers, as the data plane has it: deadlines from the ticker, a place at a node, and
//! the record.

use std::{
    io,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{
    clock::{Verdict, Waiting},
    exchange::Exchange,
    stream::{Ending, Request, Source},
    transport::Cut,
    upstream::NodeBody,
    worker::Watched,
};
use crate::{api::meter::Tally, fleet::Lease, telemetry::access::Outcome};

pub(super) struct Relayed {
    flight: Watched,
    /// Given back as soon as the node is done.
    lease: Option<Lease>,
    /// From the time the head is complete until the request is settled.
    exchange: Option<Exchange>,
    /// Longest silence of the node, in ticks.
    idle: u32,
    /// Idle connections kept for a node.
    idle_per_node: usize,
}

impl Relayed {
    pub(super) fn new(flight: Watched, lease: Lease, idle: u32, idle_per_node: usize) -> Self {
        Self { flight, lease: Some(lease), exchange: None, idle, idle_per_node }
    }

    /// Takes the exchange over; the answer ends it.
    pub(super) fn begin(&mut self, exchange: Exchange) {
        exchange.worker.shared.streams.fetch_add(1, Ordering::Relaxed);
        self.exchange = Some(exchange);
    }
}

impl Request for Relayed {
    type Node = NodeBody;

    fn id(&self) -> &str {
        self.exchange.as_ref().map_or("", Exchange::id)
    }

    fn verdict(&self) -> Option<Verdict> {
        self.flight.verdict()
    }

    fn cut(&self) -> Option<Verdict> {
        match self.flight.transport.why_cut()? {
            Cut::Stalled => Some(Verdict::TimedOut(Waiting::Client)),
            Cut::Cancelled => self.flight.verdict(),
            Cut::Idle => None,
        }
    }

    fn received(&mut self, tokens: u64) {
        let Some(exchange) = &mut self.exchange else { return };
        self.flight.allow(Waiting::Chunk, exchange.worker.now(), self.idle);
        exchange.first_byte();
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

    fn leave(&mut self, node: &mut NodeBody, clean: bool, blame: Option<&'static str>) {
        let (Some(lease), Some(exchange)) = (self.lease.take(), &self.exchange) else { return };
        let worker = &exchange.worker;
        if clean {
            node.recycle(&worker.upstream, lease.node(), worker.now(), self.idle_per_node);
        }
        if let Some(why) = blame {
            exchange.failed(lease.node(), why.to_owned());
        }
    }

    fn count(&mut self, answer: Tally) {
        if let Some(exchange) = &mut self.exchange {
            exchange.usage(answer);
        }
    }

    fn settle(&mut self, ending: Ending) {
        self.lease = None;
        let Some(mut exchange) = self.exchange.take() else { return };
        exchange.worker.shared.streams.fetch_sub(1, Ordering::Relaxed);
        if ending.outcome != Outcome::Complete {
            // A stream or connection that is broken off is dropped without a turn of its own.
            exchange.worker.begin_turn();
            exchange.record.error = ending.error.map(Into::into);
        }
        exchange.end(ending.outcome);
    }
}

impl Source for NodeBody {
    type Error = io::Error;

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        Self::poll_chunk(self, cx)
    }

    fn is_over(&self) -> bool {
        Self::is_over(self)
    }

    fn length(&self) -> Option<u64> {
        Self::length(self)
    }
}
