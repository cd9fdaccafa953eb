//! Requests about usage. Names become ids here, and what is foreign is told as if it did not exist; the ledger
//! keeps to the caller's reach by itself.

use aivonx_protocol::{
    Event, Fault, FaultKind, Reply,
    audit::Action,
    usage::{UsageBy, UsageFilter, UsageRequest},
    user::Role,
};
use futures_util::{StreamExt as _, stream};

use crate::{
    audit::Entry,
    control::{Answer, Services, access::Permitted},
    identity::Actor,
    usage::{Followed, Only},
};

pub(super) async fn handle(services: &Services, permitted: Permitted<UsageRequest>) -> Answer {
    let actor = permitted.actor().clone();
    match permitted.into_request() {
        UsageRequest::Report { filter, by, per } => Answer::Reply(
            async {
                let only = only(services, &actor, &filter).await?;
                nodes_are_shown(&actor, by, &filter)?;
                let span = (filter.since, filter.until);
                let report = services.usage.report(&actor.reach(), &only, span, by, per).await?;
                Ok(Reply::Usage(Box::new(report)))
            }
            .await,
        ),
        UsageRequest::Top { filter, of, rank, limit } => Answer::Reply(
            async {
                let only = only(services, &actor, &filter).await?;
                nodes_are_shown(&actor, Some(of), &filter)?;
                let span = (filter.since, filter.until);
                let top = services.usage.top(&actor.reach(), &only, span, of, rank, limit).await?;
                Ok(Reply::Usage(Box::new(top)))
            }
            .await,
        ),
        UsageRequest::Watch { filter } => {
            let only = match only(services, &actor, &filter).await {
                Ok(only) => only,
                Err(fault) => return Answer::Reply(Err(fault)),
            };
            let follow = services.usage.follow(actor.reach(), only);
            let member = actor.role == Role::Member;
            let steps = stream::unfold(follow, move |mut follow| async move {
                let event = match follow.next().await? {
                    Followed::Missed(groups) => Event::UsageMissed(groups),
                    Followed::Records(mut records) => {
                        records.iter_mut().filter(|_| member).for_each(|record| record.node = None);
                        Event::UsageRecords(records)
                    }
                };
                Some((Ok(event), follow))
            });
            Answer::Stream(steps.boxed())
        }
        UsageRequest::Export { filter } => {
            let only = match only(services, &actor, &filter).await {
                Ok(only) => only,
                Err(fault) => return Answer::Reply(Err(fault)),
            };
            // Recorded before the first of it leaves.
            if let Err(error) = services.identity.audit().write(exported(&actor, &only, &filter)).await {
                return Answer::Reply(Err(error.into()));
            }
            let export = services.usage.export(&actor.reach(), &only, filter.since, filter.until).await;
            let member = actor.role == Role::Member;
            let steps = stream::unfold(Some(export), move |export| async move {
                let mut export = export?;
                match export.next().await {
                    Ok(None) => None,
                    Ok(Some(mut records)) => {
                        records.iter_mut().filter(|_| member).for_each(|record| record.node = None);
                        Some((Ok(Event::UsageRecords(records)), Some(export)))
                    }
                    Err(error) => Some((Err(Fault::from(error)), None)),
                }
            });
            Answer::Stream(steps.boxed())
        }
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
    Ok(Only { organization, user, key, model: filter.model.clone(), node: filter.node.clone() })
}
