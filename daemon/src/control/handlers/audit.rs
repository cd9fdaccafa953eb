//! Requests about the audit log. Reading it is recorded in it.

use std::sync::Arc;

use aivonx_domain::Reach;
use aivonx_identity::{Actor, Source};
use aivonx_ledgers::audit::{Audit, AuditError, Entry, Follow, Progress, Who};
use aivonx_protocol::{
    Event, Fault, FaultKind, Reply,
    audit::{ANCHORS_MAX, Action, AuditFilter, AuditRequest, AuditVerdict, Checkpoint, ExportFormat},
};
use aivonx_store::Ledger;
use futures_util::{
    FutureExt as _, StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::sync::mpsc::channel;

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<AuditRequest>) -> Answer {
    let (audit, actor) = (&services.identity.audit, permitted.actor().clone());
    let reach = actor.reach();
    let from = |filter, network| AuditFilter { network: Some(network), ..filter };
    Answer::Reply(match permitted.into_request() {
        AuditRequest::List { filter, cursor, limit, oldest_first } => {
            list(audit, &actor, filter, cursor, limit, oldest_first).await
        }
        AuditRequest::ListFrom { network, filter, cursor, limit, oldest_first } => {
            list(audit, &actor, from(filter, network), cursor, limit, oldest_first).await
        }
        AuditRequest::Show { seq } => show(audit, &actor, &reach, seq).await,
        AuditRequest::Follow { filter, lines } => return follow(audit, &actor, filter, lines).await,
        AuditRequest::FollowFrom { network, filter, lines } => {
            return follow(audit, &actor, from(filter, network), lines).await;
        }
        AuditRequest::Verify { anchors } => {
            let verdict = verify(audit, &actor, &anchors, None).await;
            verdict.map(|verdict| Reply::AuditVerdict(Box::new(verdict)))
        }
        AuditRequest::Walk { anchors } => return Answer::Stream(walk(audit.clone(), actor, anchors)),
        AuditRequest::Export { filter, format } => return export(audit, &actor, filter, format).await,
        AuditRequest::ExportFrom { network, filter, format } => {
            return export(audit, &actor, from(filter, network), format).await;
        }
        AuditRequest::Losses => {
            let lost = services.store.ledger_losses().into_iter().filter(|loss| loss.ledger == Ledger::Audit);
            Ok(Reply::Losses(lost.map(|loss| loss.to_string()).collect()))
        }
        AuditRequest::Keys => audit.keys().map(Reply::AuditKeys).map_err(Fault::from),
        AuditRequest::Checkpoint => match audit.checkpoint().await {
            Ok(checkpoint) => Ok(Reply::AuditCheckpoint(Box::new(checkpoint))),
            Err(error) => Err(error.into()),
        },
    })
}

async fn list(
    audit: &Audit,
    actor: &Actor,
    filter: AuditFilter,
    cursor: Option<u64>,
    limit: u32,
    oldest_first: bool,
) -> Result<Reply, Fault> {
    // One reading, however many pages.
    if cursor.is_none() {
        read(audit, actor, "audit.list", &filter);
    }
    Ok(Reply::AuditPage(audit.list(&actor.reach(), filter, cursor, limit, oldest_first).await?))
}

async fn follow(audit: &Audit, actor: &Actor, filter: AuditFilter, lines: u32) -> Answer {
    read(audit, actor, "audit.follow", &filter);
    match audit.follow(actor.reach(), filter, lines).await {
        Ok(follow) => Answer::Stream(stream::unfold(follow, step).boxed()),
        Err(error) => Answer::Reply(Err(error.into())),
    }
}

async fn export(audit: &Audit, actor: &Actor, filter: AuditFilter, format: ExportFormat) -> Answer {
    let entry = entry(actor, Action::Export, "audit.export")
        .detail("format", format.as_str())
        .detail("filter", filter.words());
    match audit.export(entry, actor.reach(), filter, format).await {
        Ok(steps) => Answer::Stream(steps.map(|step| step.map_err(Fault::from)).boxed()),
        Err(error) => Answer::Reply(Err(error.into())),
    }
}

/// An entry about the log itself, which belongs to whom the reader belongs.
fn entry(actor: &Actor, action: Action, via: &str) -> Entry {
    let organization = actor.organization.as_deref();
    Entry::new(action).actor(who(actor)).organization(organization).object("audit", None, None).via(via)
}

fn who(actor: &Actor) -> Who {
    let (id, name) = (actor.user.clone(), actor.name.clone());
    match &actor.source {
        Source::Control { uid, gid, pid } => Who::control(id, name, *uid, *gid, *pid),
        Source::Http { address, user_agent, .. } => Who::http(id, name, *address, user_agent.as_deref()),
        Source::Daemon => Who { id, name, ..Who::daemon() },
    }
}

fn read(audit: &Audit, actor: &Actor, via: &str, filter: &AuditFilter) {
    audit.note(entry(actor, Action::AuditRead, via).detail("filter", filter.words()));
}

async fn show(audit: &Audit, actor: &Actor, reach: &Reach, seq: u64) -> Result<Reply, Fault> {
    audit.note(entry(actor, Action::AuditRead, "audit.show").detail("seq", seq));
    match audit.show(reach, seq).await? {
        Some(entry) => Ok(Reply::AuditEntry(Box::new(entry))),
        None => Err(Fault::new(FaultKind::NotFound, format!("there is no audit entry {seq}"))
            .hint("see `aivonx audit list`")),
    }
}

async fn verify(
    audit: &Audit,
    actor: &Actor,
    anchors: &[Checkpoint],
    told: Option<Progress>,
) -> Result<AuditVerdict, Fault> {
    if anchors.len() > ANCHORS_MAX {
        let message =
            format!("{} checkpoints are too many for one request: at most {ANCHORS_MAX}", anchors.len());
        return Err(Fault::new(FaultKind::Invalid, message).field("anchor"));
    }
    let verdict = audit.verify(anchors, told).await?;
    let mut record = entry(actor, Action::AuditVerify, "audit.verify")
        .detail("intact", verdict.intact)
        .detail("through", verdict.last);
    if let Some(found) = &verdict.found {
        record = record.detail("found", found);
    }
    audit.write(record).await?;
    Ok(verdict)
}

/// A walk that tells how far it is, and ends when nobody listens.
fn walk(
    audit: Audit,
    actor: Arc<Actor>,
    anchors: Vec<Checkpoint>,
) -> BoxStream<'static, Result<Event, Fault>> {
    let (told, steps) = channel(1);
    let work = async move { verify(&audit, &actor, &anchors, Some(told)).await }.boxed();
    let begin = Some((work, steps));
    stream::unfold(begin, async |state| {
        let (mut work, mut steps) = state?;
        tokio::select! {
            biased;
            Some((seq, last)) = steps.recv() => Some((Ok(Event::AuditWalked { seq, last }), Some((work, steps)))),
            verdict = &mut work => Some((verdict.map(|found| Event::AuditVerdict(Box::new(found))), None)),
        }
    })
    .boxed()
}

async fn step(mut follow: Follow) -> Option<(Result<Event, Fault>, Follow)> {
    let step = follow.next().await?;
    Some((step.map(|entry| Event::Audit(Box::new(entry))).map_err(|e: AuditError| e.into()), follow))
}
