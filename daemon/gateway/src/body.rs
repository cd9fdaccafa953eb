//! Collecting a request body: under the cap, the process's budget and the least rate, decoded if it is compressed.

use std::{pin::Pin, task::Poll};

use aivonx_config::AccessMode;
use aivonx_identity::Caller;
use aivonx_wire::api::{Route, form::Upload, route::Action};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use super::{
    aside::{aside, discard},
    budget::{Group, Held},
    deadline::{CancelReason, InFlight, Waiting},
    decode::{Encoding, decode},
    error_response::{BLOCKED, Refusal},
    exchange::Exchange,
    fields::{Field, Fields},
    gather::{Gather, Segments, join},
    limit,
    steady::Steady,
};

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request body is larger than the limit of {0} bytes")]
    TooLarge(u64),
    #[error("the gateway holds as many request bodies as it may; try again")]
    Budget,
    #[error("Content-Encoding '{0}' is not supported; send gzip, deflate, zstd or none")]
    Encoding(String),
    #[error("Transfer-Encoding is not 'chunked' alone, and nothing else is supported")]
    Coding,
    #[error("the request body is not valid {0}")]
    Corrupt(&'static str),
    #[error("the request body broke off: {0}")]
    Broken(hyper::Error),
    #[error(transparent)]
    CancelReason(#[from] VerdictError),
}

/// A verdict as an error.
#[derive(Debug, thiserror::Error)]
#[error("{}", verdict_text(*.0))]
pub(super) struct VerdictError(pub(super) CancelReason);

pub(super) fn verdict_text(verdict: CancelReason) -> &'static str {
    match verdict {
        CancelReason::TimedOut(Waiting::Body) => "the request body did not arrive in time",
        CancelReason::TimedOut(Waiting::Queue) => "no node had a place in time",
        CancelReason::TimedOut(Waiting::Work) => "the gateway did not get to ask a node in time",
        CancelReason::TimedOut(Waiting::Load) => {
            "the node did not load the model and begin to answer in time (timeouts.load)"
        }
        CancelReason::TimedOut(Waiting::Head) => {
            "the node did not begin to answer in time (timeouts.header_wait)"
        }
        CancelReason::TimedOut(Waiting::Whole) => {
            "the node did not give its whole answer in time (timeouts.whole)"
        }
        CancelReason::TimedOut(Waiting::Chunk) => "the node stopped sending in the middle of its answer",
        CancelReason::TimedOut(Waiting::Client) => "the client stopped reading the answer",
        CancelReason::TimedOut(Waiting::Socket) => {
            "neither side of the websocket said anything for too long (timeouts.idle)"
        }
        CancelReason::TimedOut(Waiting::Total) => "the answer took longer than the gateway allows",
        CancelReason::Stopping => "the gateway is shutting down",
        CancelReason::Revoked => "the credential was revoked",
        CancelReason::Disabled => "the key, its user or its organization was disabled",
        CancelReason::Blocked => BLOCKED,
        CancelReason::Drained => "the node is drained: nothing more runs there",
        CancelReason::Retired => "the node was removed from the gateway",
        CancelReason::Cancelled => "an administrator ended the request",
    }
}

/// A collected body.
pub(super) struct Collected {
    pub(super) segments: Segments,
    pub(super) bytes: u64,
    /// Gives the budget back when the body is no longer needed.
    pub(super) held: Held,
}

/// A body above this is given back aside: returning its pages takes milliseconds.
const HEAVY: u64 = 4 << 20;

impl Collected {
    /// The body, and nothing in its place.
    pub(super) fn take(&mut self) -> Self {
        let (segments, bytes) = (std::mem::take(&mut self.segments), std::mem::take(&mut self.bytes));
        Self { segments, bytes, held: self.held.take() }
    }

    /// The body in one piece; it lies in one from then on.
    ///
    /// # Errors
    /// [`BodyError::Budget`]: for a moment it is there twice.
    pub(super) fn whole(&mut self) -> Result<Bytes, BodyError> {
        if let [whole] = &self.segments[..] {
            return Ok(whole.clone());
        }
        let mut held = self.held.another();
        let size = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        if !held.grow(self.bytes) {
            return Err(BodyError::Budget);
        }
        let whole = join(&self.segments, size)?;
        self.segments = Segments::from_buf([whole.clone()]);
        self.held = held;
        Ok(whole)
    }

    /// Charges `bytes` more of memory that is held on its account.
    ///
    /// # Errors
    /// [`BodyError::Budget`].
    pub(super) fn charge(&mut self, bytes: u64) -> Result<(), BodyError> {
        if self.held.grow(bytes) { Ok(()) } else { Err(BodyError::Budget) }
    }

    /// For what takes the place of this body, or stands beside it.
    pub(super) fn beside(&self) -> Gather {
        Gather::new(self.held.another(), u64::MAX, usize::MAX)
    }
}

impl From<Gather> for Collected {
    fn from(gathered: Gather) -> Self {
        let (segments, bytes, held) = gathered.finish();
        Self { segments, bytes, held }
    }
}

impl Drop for Collected {
    fn drop(&mut self) {
        if self.bytes > HEAVY {
            discard((std::mem::take(&mut self.segments), self.held.take()));
        }
    }
}

/// Whose request a body belongs to.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) caller: &'a Caller,
    pub(super) route: &'static Route,
}

impl Sender<'_> {
    /// With whom its body shares a part of the budget.
    fn group(self, exchange: &Exchange) -> Group {
        match self.caller.organization() {
            Some(organization) => Group::Of(organization.level.account.bodies().clone()),
            None if !matches!(self.caller, Caller::Anonymous(_)) => Group::Own,
            // Nobody has to be a stranger, so that all of them would hold each other up.
            None if exchange.access == AccessMode::Open => Group::Address(exchange.record.client),
            None => Group::Of(exchange.worker.shared.budget.anonymous().clone()),
        }
    }
}

/// Takes the whole body.
pub(super) async fn collect(
    exchange: &mut Exchange,
    flight: &InFlight,
    fields: &Fields<'_>,
    sender: Sender<'_>,
    incoming: &mut Incoming,
) -> Result<Collected, Refusal> {
    let upload = match sender.route.action {
        Action::Forward(forward) => forward.form,
        _ => None,
    };
    let most = upload.map_or(u64::MAX, Upload::most);
    let cap = exchange.settings.body_bytes.min(most);
    collect_within(exchange, flight, fields, sender, incoming, cap).await
}

/// Takes the whole body, of at most `cap` bytes.
pub(super) async fn collect_within(
    exchange: &mut Exchange,
    flight: &InFlight,
    fields: &Fields<'_>,
    sender: Sender<'_>,
    incoming: &mut Incoming,
    cap: u64,
) -> Result<Collected, Refusal> {
    let (worker, settings) = (exchange.worker.clone(), exchange.settings.clone());
    let encoding = Encoding::of(fields)?;
    if fields.all(Field::TransferEncoding).any(|v| !v.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(BodyError::Coding.into());
    }
    if incoming.size_hint().lower() > cap {
        return Err(BodyError::TooLarge(cap).into());
    }
    let held = Held::none(&worker.shared.budget, sender.group(exchange), settings.body_bytes);
    let mut gather = Gather::new(held, cap, settings.head_bytes);
    let mut steady = Steady::new(worker.now(), settings.body_idle, settings.body_rate);
    while !incoming.is_end_stream() {
        flight.allow(Waiting::Body, worker.now(), settings.body_idle);
        let mut frame = incoming.frame();
        let frame = match flight.watch(at_hand(&mut frame)).await.map_err(VerdictError)? {
            Some(frame) => frame,
            None => {
                // It takes time, and what takes time counts from now on.
                limit::enter(exchange, sender).await?;
                flight.watch(frame).await.map_err(VerdictError)?
            }
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        let (length, last) = (data.len(), incoming.is_end_stream());
        gather.add(data, last)?;
        if !last && !steady.goes_on(worker.now(), length) {
            return Err(VerdictError(CancelReason::TimedOut(Waiting::Body)).into());
        }
    }
    let collected = Collected::from(gather);
    let Some(encoding) = encoding else { return Ok(collected) };
    // It takes as long as it takes.
    flight.allow(Waiting::Work, worker.now(), settings.header_wait);
    let decoded =
        flight.watch(aside(move || decode(collected, encoding, cap))).await.map_err(VerdictError)?;
    Ok(decoded.unwrap_or(Err(BodyError::Corrupt("data")))?)
}

/// Longest rest of a body that is read only so that the connection may be used again.
const REST: u64 = 64 << 10;

/// Whether nothing of a body is left that would stand before the next request. A short rest that has come already is
/// read for that.
pub(super) async fn is_read(headers: &HeaderMap, incoming: &mut Incoming) -> bool {
    let mut left = REST;
    while !incoming.is_end_stream() {
        // A client that waits for `100 Continue` sends no body: the answer comes instead.
        if incoming.size_hint().lower() > left || headers.contains_key(header::EXPECT) {
            return false;
        }
        match at_hand(&mut incoming.frame()).await {
            Some(Some(Ok(frame))) => {
                let read = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(less) = left.checked_sub(read) else { return false };
                left = less;
            }
            Some(None) => return true,
            Some(Some(Err(_))) | None => return false,
        }
    }
    true
}

/// What `work` comes to, if that is at hand: at the second look, for at the first the connection only learns that it
/// is wanted.
async fn at_hand<F: Future + Unpin>(work: &mut F) -> Option<F::Output> {
    let mut looked = false;
    std::future::poll_fn(|cx| match Pin::new(&mut *work).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if looked => Poll::Ready(None),
        Poll::Pending => {
            looked = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}
