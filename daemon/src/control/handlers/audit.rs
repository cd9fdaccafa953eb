//! Operations on the audit log. Reading it is recorded in it.

use std::sync::Arc;

use aivonx_identity::{Actor, Source};
use aivonx_ledgers::audit::{Audit, AuditError, Entry, Follow, Progress, Who};
use aivonx_protocol::{
    Event, Fault, FaultKind, Network,
    audit::{
        self, ANCHORS_MAX, Action, AuditEntry, AuditFilter, AuditKey, AuditPage, AuditVerdict, Checkpoint,
        ExportFormat,
    },
    operation::Serve,
};
use aivonx_store::Ledger;
use futures_util::{
    FutureExt as _, StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::sync::mpsc::channel;

use crate::control::{By, Events, Services};

impl Serve<audit::List> for Services {
    async fn serve(&self, by: By<audit::List>, asked: audit::List) -> Result<AuditPage, Fault> {
        let audit::List { filter, cursor, limit, oldest_first } = asked;
        list(self.identity.audit(), by.actor(), filter, cursor, limit, oldest_first).await
    }
}

impl Serve<audit::ListFrom> for Services {
    async fn serve(&self, by: By<audit::ListFrom>, asked: audit::ListFrom) -> Result<AuditPage, Fault> {
        let audit::ListFrom { network, filter, cursor, limit, oldest_first } = asked;
        let filter = from(filter, network);
        list(self.identity.audit(), by.actor(), filter, cursor, limit, oldest_first).await
    }
}

impl Serve<audit::Show> for Services {
    async fn serve(&self, by: By<audit::Show>, asked: audit::Show) -> Result<AuditEntry, Fault> {
        show(self.identity.audit(), by.actor(), asked.seq).await
    }
}

impl Serve<audit::Follow> for Services {
    async fn serve(&self, by: By<audit::Follow>, asked: audit::Follow) -> Result<Events, Fault> {
        follow(self.identity.audit(), by.actor(), asked.filter, asked.lines).await
    }
}

impl Serve<audit::FollowFrom> for Services {
    async fn serve(&self, by: By<audit::FollowFrom>, asked: audit::FollowFrom) -> Result<Events, Fault> {
        let filter = from(asked.filter, asked.network);
        follow(self.identity.audit(), by.actor(), filter, asked.lines).await
    }
}

impl Serve<audit::Verify> for Services {
    async fn serve(&self, by: By<audit::Verify>, asked: audit::Verify) -> Result<AuditVerdict, Fault> {
        verify(self.identity.audit(), by.actor(), &asked.anchors, None).await
    }
}

impl Serve<audit::Walk> for Services {
    async fn serve(&self, by: By<audit::Walk>, asked: audit::Walk) -> Result<Events, Fault> {
        Ok(walk(self.identity.audit().clone(), by.actor().clone(), asked.anchors))
    }
}

impl Serve<audit::Export> for Services {
    async fn serve(&self, by: By<audit::Export>, asked: audit::Export) -> Result<Events, Fault> {
        export(self.identity.audit(), by.actor(), asked.filter, asked.format).await
    }
}

impl Serve<audit::ExportFrom> for Services {
    async fn serve(&self, by: By<audit::ExportFrom>, asked: audit::ExportFrom) -> Result<Events, Fault> {
        let filter = from(asked.filter, asked.network);
        export(self.identity.audit(), by.actor(), filter, asked.format).await
    }
}

impl Serve<audit::Keys> for Services {
    async fn serve(&self, _: By<audit::Keys>, _: audit::Keys) -> Result<Vec<AuditKey>, Fault> {
        Ok(self.identity.audit().keys()?)
    }
}

impl Serve<audit::MakeCheckpoint> for Services {
    async fn serve(
        &self,
        _: By<audit::MakeCheckpoint>,
        _: audit::MakeCheckpoint,
    ) -> Result<Checkpoint, Fault> {
        Ok(self.identity.audit().checkpoint().await?)
    }
}

impl Serve<audit::Losses> for Services {
    async fn serve(&self, _: By<audit::Losses>, _: audit::Losses) -> Result<Vec<String>, Fault> {
        let lost = self.store.ledger_losses().into_iter().filter(|loss| loss.ledger == Ledger::Audit);
        Ok(lost.map(|loss| loss.to_string()).collect())
    }
}

/// The filter with the network that came beside it.
fn from(filter: AuditFilter, network: Network) -> AuditFilter {
    AuditFilter { network: Some(network), ..filter }
}

async fn list(
    audit: &Audit,
    actor: &Actor,
    filter: AuditFilter,
    cursor: Option<u64>,
    limit: u32,
    oldest_first: bool,
) -> Result<AuditPage, Fault> {
    // One reading, however many pages.
    if cursor.is_none() {
        read(audit, actor, "audit.list", &filter);
    }
    Ok(audit.list(&actor.reach(), filter, cursor, limit, oldest_first).await?)
}

async fn follow(audit: &Audit, actor: &Actor, filter: AuditFilter, lines: u32) -> Result<Events, Fault> {
    read(audit, actor, "audit.follow", &filter);
    let follow = audit.follow(actor.reach(), filter, lines).await?;
    Ok(stream::unfold(follow, step).boxed())
}

async fn export(
    audit: &Audit,
    actor: &Actor,
    filter: AuditFilter,
    format: ExportFormat,
) -> Result<Events, Fault> {
    let entry = entry(actor, Action::Export, "audit.export")
        .detail("format", format.as_str())
        .detail("filter", filter.words());
    let steps = audit.export(entry, actor.reach(), filter, format).await?;
    Ok(steps.map(|step| step.map_err(Fault::from)).boxed())
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

async fn show(audit: &Audit, actor: &Actor, seq: u64) -> Result<AuditEntry, Fault> {
    audit.note(entry(actor, Action::AuditRead, "audit.show").detail("seq", seq));
    audit.show(&actor.reach(), seq).await?.ok_or_else(|| {
        Fault::new(FaultKind::NotFound, format!("there is no audit entry {seq}"))
            .hint("see `aivonx audit list`")
    })
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

/// A walk that reports its progress, and ends when nobody listens.
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
