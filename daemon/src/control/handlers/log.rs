//! Requests about the log.

use aivonx_protocol::{
    Event, Fault, FaultKind, Reply,
    log::{LogFilter, LogRequest},
};
use futures_util::{StreamExt as _, stream};
use tokio::task::spawn_blocking;

use crate::{
    control::{Answer, Services, access::Permitted},
    telemetry::{FilterError, FollowItem, Hub},
};

pub(super) async fn handle(services: &Services, permitted: Permitted<LogRequest>) -> Answer {
    match permitted.into_request() {
        LogRequest::Recent { filter, lines } => {
            let page = search(&services.hub, filter, move |hub, filter| hub.recent(&filter, lines));
            Answer::Reply(page.await.map(Reply::Logs))
        }
        LogRequest::Follow { filter, lines } => {
            let follow = search(&services.hub, filter, move |hub, filter| hub.follow(&filter, lines));
            match follow.await {
                Ok(follow) => Answer::Stream(
                    stream::unfold(follow, async |mut follow| {
                        let event = match follow.next().await {
                            FollowItem::Event(event) => Event::Log(event),
                            FollowItem::Missed(count) => Event::LogMissed(count),
                        };
                        Some((Ok(event), follow))
                    })
                    .boxed(),
                ),
                Err(fault) => Answer::Reply(Err(fault)),
            }
        }
    }
}

/// Goes through the events in memory. An expression may take tens of milliseconds over all of them: not on a
/// thread on which others wait.
async fn search<T, F>(hub: &Hub, filter: LogFilter, work: F) -> Result<T, Fault>
where
    T: Send + 'static,
    F: FnOnce(Hub, LogFilter) -> Result<T, FilterError> + Send + 'static,
{
    let hub = hub.clone();
    let found = spawn_blocking(move || work(hub, filter)).await;
    match found {
        Ok(found) => found.map_err(Fault::from),
        Err(error) => Err(Fault::new(FaultKind::Internal, format!("reading the log failed: {error}"))),
    }
}
