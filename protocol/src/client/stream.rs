//! A stream of events.

use tokio::sync::mpsc;

use super::{
    ClientError,
    connection::{InFlight, StreamItem},
};
use crate::{Event, request::STREAM_WINDOW};

/// Events of one request, in order. At most [`STREAM_WINDOW`] wait in here; the daemon holds back the rest
/// until they are taken. Dropping it cancels the request.
pub struct EventStream {
    events: mpsc::Receiver<StreamItem>,
    in_flight: InFlight,
    taken: u32,
    over: bool,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").field("over", &self.over).finish_non_exhaustive()
    }
}

impl EventStream {
    pub(super) fn new(events: mpsc::Receiver<StreamItem>, in_flight: InFlight) -> Self {
        Self { events, in_flight, taken: 0, over: false }
    }

    /// The next event; None when the stream has ended in order. After an error there is nothing more.
    /// A call that is dropped before it is done loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, ClientError>> {
        if self.over {
            return None;
        }
        let step = self.events.recv().await;
        match &step {
            Some(Ok(_)) => {
                self.taken += 1;
                if self.taken >= STREAM_WINDOW / 2 {
                    self.in_flight.grant(self.taken);
                    self.taken = 0;
                }
            }
            Some(Err(_)) | None => self.over = true,
        }
        step
    }
}
