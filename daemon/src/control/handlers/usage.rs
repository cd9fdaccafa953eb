//! Operations on usage. Names become ids here, and what is foreign is answered as if it did not exist; the ledger keeps
//! to the caller's reach by itself.

use aivonx_identity::Actor;
use aivonx_ledgers::{
    audit::Entry,
    usage::{Followed, Only},
};
use aivonx_protocol::{
    Event, Fault, FaultKind, Network,
    audit::Action,
    operation::Serve,
    usage::{self, UsageBy, UsageFilter, UsageFrom, UsagePer, UsageRank, UsageReport},
    user::Role,
};
use futures_util::{StreamExt as _, stream};

use crate::control::{By, Events, Services};

impl Serve<usage::Report> for Services {
    async fn serve(&self, by: By<usage::Report>, asked: usage::Report) -> Result<UsageReport, Fault> {
        report(self, by.actor(), asked.filter, asked.by, asked.per).await
    }
}

impl Serve<usage::ReportFrom> for Services {
    async fn serve(&self, by: By<usage::ReportFrom>, asked: usage::ReportFrom) -> Result<UsageReport, Fault> {
        let filter = from(asked.filter, Some(asked.network));
        report(self, by.actor(), filter, asked.by, asked.per).await
    }
}

impl Serve<usage::Top> for Services {
    async fn serve(&self, by: By<usage::Top>, asked: usage::Top) -> Result<UsageReport, Fault> {
        top(self, by.actor(), asked.filter, (asked.of, asked.rank, asked.limit)).await
    }
}

impl Serve<usage::TopFrom> for Services {
    async fn serve(&self, by: By<usage::TopFrom>, asked: usage::TopFrom) -> Result<UsageReport, Fault> {
        let filter = from(asked.filter, Some(asked.network));
        top(self, by.actor(), filter, (asked.of, asked.rank, asked.limit)).await
    }
}

impl Serve<usage::Watch> for Services {
    async fn serve(&self, by: By<usage::Watch>, asked: usage::Watch) -> Result<Events, Fault> {
        watch(self, by.actor(), asked.filter, Told::to(by.actor(), false)).await
    }
}

impl Serve<usage::WatchFrom> for Services {
    async fn serve(&self, by: By<usage::WatchFrom>, asked: usage::WatchFrom) -> Result<Events, Fault> {
        let filter = from(asked.filter, asked.network);
        watch(self, by.actor(), filter, Told::to(by.actor(), true)).await
    }
}

impl Serve<usage::Export> for Services {
    async fn serve(&self, by: By<usage::Export>, asked: usage::Export) -> Result<Events, Fault> {
        export(self, by.actor(), asked.filter, Told::to(by.actor(), false)).await
    }
}

impl Serve<usage::ExportFrom> for Services {
    async fn serve(&self, by: By<usage::ExportFrom>, asked: usage::ExportFrom) -> Result<Events, Fault> {
        let filter = from(asked.filter, asked.network);
        export(self, by.actor(), filter, Told::to(by.actor(), true)).await
    }
}

impl Serve<usage::Losses> for Services {
    async fn serve(&self, _: By<usage::Losses>, _: usage::Losses) -> Result<Vec<String>, Fault> {
        let lost = self.store.ledger_losses().into_iter().filter(|loss| loss.ledger.is_of_usage());
        Ok(lost.map(|loss| loss.to_string()).collect())
    }
}

async fn report(
    services: &Services,
    actor: &Actor,
    filter: UsageFilter,
    by: Option<UsageBy>,
    per: Option<UsagePer>,
) -> Result<UsageReport, Fault> {
    let only = only(services, actor, &filter).await?;
    nodes_are_shown(actor, by, &filter)?;
    let span = (filter.since, filter.until);
    Ok(services.usage.report(&actor.reach(), &only, span, by, per).await?)
}

async fn top(
    services: &Services,
    actor: &Actor,
    filter: UsageFilter,
    (of, rank, limit): (UsageBy, UsageRank, u32),
) -> Result<UsageReport, Fault> {
    let only = only(services, actor, &filter).await?;
    nodes_are_shown(actor, Some(of), &filter)?;
    let span = (filter.since, filter.until);
    Ok(services.usage.top(&actor.reach(), &only, span, of, rank, limit).await?)
}

async fn watch(services: &Services, actor: &Actor, filter: UsageFilter, told: Told) -> Result<Events, Fault> {
    let only = only(services, actor, &filter).await?;
    let follow = services.usage.follow(actor.reach(), only);
    let steps = stream::unfold(follow, move |mut follow| async move {
        let event = match follow.next().await? {
            Followed::Missed(groups) => Event::UsageMissed(groups),
            Followed::Records(records) => told.event(records),
        };
        Some((Ok(event), follow))
    });
    Ok(steps.boxed())
}

async fn export(
    services: &Services,
    actor: &Actor,
    filter: UsageFilter,
    told: Told,
) -> Result<Events, Fault> {
    let only = only(services, actor, &filter).await?;
    // Recorded before the first of it leaves.
    services.identity.audit().write(exported(actor, &only, &filter)).await?;
    let export = services.usage.export(&actor.reach(), &only, filter.since, filter.until).await;
    let steps = stream::unfold(Some(export), move |export| async move {
        let mut export = export?;
        match export.next().await {
            Ok(None) => None,
            Ok(Some(records)) => Some((Ok(told.event(records)), Some(export))),
            Err(error) => Some((Err(Fault::from(error)), None)),
        }
    });
    Ok(steps.boxed())
}

/// The filter with the network that came beside it.
fn from(filter: UsageFilter, network: Option<Network>) -> UsageFilter {
    UsageFilter { network, ..filter }
}

/// What the caller may see of each request.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// To members, who do not see nodes.
    members: bool,
    /// With addresses, which former clients cannot read.
    addresses: bool,
}

impl Told {
    fn to(actor: &Actor, addresses: bool) -> Self {
        Self { members: actor.role == Role::Member, addresses }
    }

    fn event(self, mut requests: Vec<UsageFrom>) -> Event {
        if self.members {
            requests.iter_mut().for_each(|request| request.record.node = None);
        }
        if self.addresses {
            return Event::UsageRequests(requests);
        }
        Event::UsageRecords(requests.into_iter().map(|request| request.record).collect())
    }
}

/// That a copy is made, and of what.
fn exported(actor: &Actor, only: &Only, filter: &UsageFilter) -> Entry {
    let organization = only.organization.as_deref().or(actor.organization.as_deref());
    let mut entry = Entry::new(Action::Export)
        .actor(actor.who())
        .organization(organization)
        .object("usage", None, None)
        .via("usage.export");
    let number = |n: Option<u64>| n.map(|n| n.to_string());
    for (name, value) in [
        ("since", number(filter.since)),
        ("until", number(filter.until)),
        ("user", filter.user.clone()),
        ("key", filter.key.clone()),
        ("model", filter.model.clone()),
        ("node", filter.node.clone()),
        ("address", filter.network.map(|network| network.to_string())),
    ] {
        if let Some(value) = value {
            entry = entry.detail(name, value);
        }
    }
    entry
}

/// Members do not see nodes anywhere.
fn nodes_are_shown(actor: &Actor, by: Option<UsageBy>, filter: &UsageFilter) -> Result<(), Fault> {
    if actor.role == Role::Member && (by == Some(UsageBy::Node) || filter.node.is_some()) {
        return Err(Fault::new(FaultKind::NotPermitted, "members do not see which nodes there are"));
    }
    Ok(())
}

/// The filter by ids.
async fn only(services: &Services, actor: &Actor, filter: &UsageFilter) -> Result<Only, Fault> {
    let identity = &services.identity;
    nodes_are_shown(actor, None, filter)?;
    let organization = match &filter.organization {
        Some(wanted) => Some(identity.organization(actor, wanted).await?.id),
        None => None,
    };
    let user = match &filter.user {
        Some(wanted) => Some(identity.user(actor, wanted).await?.id),
        None => None,
    };
    let key = match &filter.key {
        Some(wanted) => Some(identity.key(actor, filter.organization.as_deref(), wanted).await?.id),
        None => None,
    };
    let (model, node) = (filter.model.clone(), filter.node.clone());
    Ok(Only { organization, user, key, model, node, network: filter.network })
}
