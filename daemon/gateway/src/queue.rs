//! Waiting for a place on a node.

use std::{pin::pin, time::Duration};

use aivonx_fleet::{Lease, Place, Snapshot, Waiting};

use super::{
    deadline::{self, CancelReason},
    error_response::Refusal,
    exchange::Exchange,
    worker::Watched,
};

/// The lease of a request that was placed, once it can be sent.
///
/// # Errors
/// The queue is full, or the wait took too long: [`Refusal::Queue`].
pub(super) async fn wait(exchange: &mut Exchange, flight: &Watched, place: Place) -> Result<Lease, Refusal> {
    let chosen = exchange.lasted();
    let waiting = match place {
        Place::Now(lease) => {
            exchange.predict(&lease, chosen);
            return Ok(lease);
        }
        Place::Waits(waiting) => waiting,
    };
    let settings = exchange.settings.clone();
    if is_full(&exchange.worker.shared.hot.load(), &waiting, settings.queue) {
        return Err(refusal(&waiting));
    }
    let began = exchange.worker.instant();
    flight.allow(deadline::Waiting::Queue, exchange.worker.now(), settings.queue_wait);
    flight.stands_in(waiting.line());
    let mut waiting = pin!(waiting);
    let waited = flight.watch(waiting.as_mut()).await;
    flight.stands_in(None);
    exchange.worker.begin_turn();
    let took = exchange.worker.instant() - began;
    exchange.waited += took;
    match waited {
        Ok(lease) => {
            exchange.predict(&lease, chosen);
            Ok(lease)
        }
        Err(CancelReason::TimedOut(deadline::Waiting::Queue)) => Err(refusal(&waiting)),
        Err(verdict) => Err(super::body::VerdictError(verdict).into()),
    }
}

/// Whether one that waits is more than may wait: `most` in all, and half of them for one of several models, so that the
/// requests for one leave places to the others.
fn is_full(snapshot: &Snapshot, waiting: &Waiting, most: usize) -> bool {
    let all = snapshot.dispatch.waiting();
    let of_model = most.div_ceil(2);
    all > most || all > of_model && snapshot.has_several_models() && waiting.for_its_model() > of_model
}

fn refusal(waiting: &Waiting) -> Refusal {
    let (before, seconds) = waiting.standing();
    let wait = Duration::try_from_secs_f64(seconds.max(1.0)).unwrap_or(Duration::from_secs(1));
    Refusal::Queue { position: before + 1, wait }
}
