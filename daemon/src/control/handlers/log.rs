//! Reading the log.

use aivonx_domain::TenantScope;
use aivonx_identity::{Actor, Identity};
use aivonx_protocol::{
    Event, Fault, FaultKind,
    log::{self, LogFilter, LogPage},
    operation::Serve,
};
use aivonx_store::Collection;
use aivonx_telemetry::{FilterError, FollowItem, Hub, LogScope};
use futures_util::{StreamExt as _, stream};
use tokio::task::spawn_blocking;

use crate::control::{By, Events, Services};

impl Serve<log::Recent> for Services {
    async fn serve(&self, by: By<log::Recent>, asked: log::Recent) -> Result<LogPage, Fault> {
        let log::Recent { mut filter, lines } = asked;
        resolve(self, by.actor(), &mut filter)?;
        let whose = whose(&by.reach());
        search(&self.hub, filter, move |hub, filter| hub.recent(&whose, &filter, lines)).await
    }
}

impl Serve<log::Follow> for Services {
    async fn serve(&self, by: By<log::Follow>, asked: log::Follow) -> Result<Events, Fault> {
        let log::Follow { mut filter, lines } = asked;
        resolve(self, by.actor(), &mut filter)?;
        let whose = whose(&by.reach());
        let follow = search(&self.hub, filter, move |hub, filter| hub.follow(&whose, &filter, lines));
        let events = stream::unfold(follow.await?, async |mut follow| {
            let event = match follow.next().await {
                FollowItem::Event(event) => Event::Log(event),
                FollowItem::Missed(count) => Event::LogMissed(count),
            };
            Some((Ok(event), follow))
        });
        Ok(events.boxed())
    }
}

fn whose(reach: &TenantScope) -> LogScope {
    match reach {
        TenantScope::All => LogScope::Everyone,
        TenantScope::Organization(id) => LogScope::Organization(id.clone()),
        TenantScope::User { .. } => LogScope::Nobody,
    }
}

/// Puts the organization's id in the place of its slug.
fn resolve(services: &Services, actor: &Actor, filter: &mut LogFilter) -> Result<(), Fault> {
    let Some(asked) = &filter.organization else { return Ok(()) };
    let noun = Collection::Organization;
    let snapshot = services.identity.hot().load();
    let found = snapshot.organization_by_slug(asked).or_else(|| snapshot.organization(asked));
    let id = found.ok_or_else(|| Identity::missing(noun, asked))?.id.to_string();
    if !actor.reach().covers(Some(&id), None) {
        return Err(services.identity.foreign(actor, noun, asked));
    }
    filter.organization = Some(id);
    Ok(())
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
