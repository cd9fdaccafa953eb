//! A node's answer on its way to the client: chunks go out as they come, a break ends with the dialect's
//! error, and whatever happens the node's place, the connection and the record are settled exactly once.

use std::{
    io,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{
    body::verdict_text,
    clock::{Verdict, Waiting},
    exchange::Exchange,
    upstream::NodeBody,
    worker::Watched,
};
use crate::{
    api::{Dialect, Meter, Pieces, meter::End},
    fleet::Lease,
    telemetry::access::Outcome,
};

pub(super) struct Relay {
    node: NodeBody,
    meter: Meter,
    dialect: Dialect,
    flight: Watched,
    /// Taken when the answer is over.
    lease: Option<Lease>,
    /// Put in by the stack once the head is complete.
    pub(super) exchange: Option<Exchange>,
    out: Pieces,
    /// The length is fixed by `Content-Length`, so nothing can be appended.
    sized: bool,
    over: bool,
    /// Break the connection off once `out` is empty.
    cut: bool,
    /// The turn before that has been given.
    yielded: bool,
    idle: u32,
    idle_per_node: usize,
    counted: bool,
}

/// What a relay needs beside the node's body.
pub(super) struct Setup {
    pub(super) meter: Meter,
    pub(super) dialect: Dialect,
    pub(super) flight: Watched,
    pub(super) lease: Lease,
    pub(super) sized: bool,
    pub(super) idle: u32,
    pub(super) idle_per_node: usize,
}

impl Relay {
    pub(super) fn new(node: NodeBody, setup: Setup) -> Self {
        Self {
            node,
            meter: setup.meter,
            dialect: setup.dialect,
            flight: setup.flight,
            lease: Some(setup.lease),
            exchange: None,
            out: Pieces::default(),
            sized: setup.sized,
            over: false,
            cut: false,
            yielded: false,
            idle: setup.idle,
            idle_per_node: setup.idle_per_node,
            counted: false,
        }
    }

    /// Takes the exchange over; from here on the relay ends it.
    pub(super) fn begin(&mut self, exchange: Exchange) {
        exchange.worker.shared.streams.fetch_add(1, Ordering::Relaxed);
        self.counted = true;
        self.exchange = Some(exchange);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over && self.out.is_empty() && !self.cut
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
                return Poll::Ready(Some(Ok(self.count(bytes))));
            }
            if self.over {
                if self.cut && !std::mem::replace(&mut self.yielded, true) {
                    // One turn for hyper to send what it holds, the head perhaps: an error drops it.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                return Poll::Ready(std::mem::take(&mut self.cut).then(|| {
                    Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the node's answer broke off"))
                }));
            }
            if let Some(verdict) = self.flight.verdict() {
                self.end_by(verdict);
                continue;
            }
            match self.node.poll_chunk(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    if let Some(exchange) = &mut self.exchange {
                        self.flight.allow(Waiting::Chunk, exchange.worker.now(), self.idle);
                        exchange.first_byte();
                    }
                    self.meter.pass(chunk, &mut self.out);
                    if let Some(exchange) = &self.exchange {
                        self.flight.pass(exchange.record.first_byte, self.meter.produced());
                    }
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
                    self.flight.register(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    fn count(&mut self, bytes: Bytes) -> Frame<Bytes> {
        if let Some(exchange) = &mut self.exchange {
            exchange.record.bytes_out += bytes.len() as u64;
            exchange.record.chunks += 1;
            if self.over && self.out.is_empty() && !self.cut {
                self.settle();
            }
        }
        Frame::data(bytes)
    }

    fn end_by(&mut self, verdict: Verdict) {
        let outcome = match verdict {
            Verdict::TimedOut(_) => Outcome::TimedOut,
            Verdict::Stopping | Verdict::Retired | Verdict::Revoked | Verdict::Cancelled => Outcome::Ended,
        };
        self.end(false, Some((outcome, verdict_text(verdict))));
    }

    /// The node's answer is over, in order or not.
    fn end(&mut self, clean: bool, why: Option<(Outcome, &'static str)>) {
        self.over = true;
        let end = self.meter.finish(clean, &mut self.out);
        let Some(exchange) = &mut self.exchange else { return };
        exchange.usage(self.meter.usage(), self.meter.produced());
        if clean && let Some(lease) = &self.lease {
            let worker = &exchange.worker;
            self.node.recycle(&worker.upstream, lease.node(), worker.now(), self.idle_per_node);
        }
        let (outcome, message) = match (end, why) {
            (End::Complete, _) => (Outcome::Complete, ""),
            (_, Some(why)) => why,
            (_, None) => (Outcome::Broken, "the node's answer broke off"),
        };
        exchange.record.outcome = outcome;
        if end != End::Complete {
            exchange.record.error = Some(message.into());
            if let (Some(lease), Outcome::Broken) = (&self.lease, outcome) {
                exchange.worker.failed(lease.node(), message);
            }
            if end == End::Cut || self.sized {
                self.cut = true;
            } else {
                self.out.push(self.dialect.stream_error(message, exchange.id()));
            }
        }
        if self.out.is_empty() {
            self.settle();
        }
    }

    /// Gives the node's place back and tells the record.
    fn settle(&mut self) {
        self.lease = None;
        if std::mem::take(&mut self.counted)
            && let Some(exchange) = &self.exchange
        {
            exchange.worker.shared.streams.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(mut exchange) = self.exchange.take() {
            let outcome = exchange.record.outcome;
            exchange.end(outcome);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(exchange) = &mut self.exchange
            && !self.over
        {
            exchange.record.outcome = Outcome::ClientGone;
            exchange.usage(self.meter.usage(), self.meter.produced());
        }
        self.settle();
    }
}
