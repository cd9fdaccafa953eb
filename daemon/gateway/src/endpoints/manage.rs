//! Changes of models over HTTP: jobs and changes of the fleet, done on the control plane.

use std::task::Poll;

use aivonx_domain::model_name::{names_cloud, normalize};
use aivonx_fleet::{NoNode, REDIRECTS, RoutingRules};
use aivonx_identity::{Caller, Source};
use aivonx_wire::api::{Peek, Route};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use memchr::memmem;

use super::{
    change::{self, Change},
    wish::{JobWish, Wish},
};
use crate::{
    answer::{self, Answer, AnswerBody, Lines},
    body::{Collected, VerdictError},
    error_response::{Refusal, fault_status},
    exchange::Exchange,
    policy::Plan,
    worker::Watched,
};
use aivonx_protocol::{Fault, FaultKind, Reply, Untrusted};

/// Answers a change of models whose body has been read.
pub(crate) async fn answer(
    exchange: &Exchange,
    flight: Watched,
    asked: Asked<'_>,
    mut body: Collected,
    peek: &Peek,
    caller: &Caller,
) -> Result<Answer, Refusal> {
    let shared = &exchange.worker.shared;
    let wish = Wish::read(asked.route.action, peek, &body.whole()?)?;
    drop(body);
    let via = change::via(asked.method, asked.route);
    let chosen = asked.eligible.chosen().and_then(|id| {
        shared.hot.load().nodes.iter().find(|node| node.id == *id).map(|node| node.name.to_string())
    });
    let change = Change::new(&shared.identity, caller.acting(asked.source), via, wish.request(chosen));
    let change = change.by(caller);
    if let Err(refusal) = check(exchange, caller, &wish) {
        let fault = Fault::new(FaultKind::NotPermitted, refusal.to_string());
        // Carried to its end even if the client leaves.
        shared.control.spawn(async move { drop(change.ended(Err(&fault)).await) });
        return Err(refusal);
    }
    let (eligible, before) = (asked.eligible.clone(), asked.before);
    match wish {
        Wish::Delete { model } => delete(exchange, change, eligible, before, model).await,
        Wish::Job(wish) => {
            let work = Work { eligible, wish, before };
            begin(exchange, flight, change, work, peek.stream.unwrap_or(true)).await
        }
    }
}

/// What is done, on which nodes, and by which gateways it was asked.
struct Work {
    eligible: RoutingRules,
    wish: JobWish,
    before: Vec<HeaderValue>,
}

/// What is asked, and from where.
pub(crate) struct Asked<'r> {
    pub(crate) method: &'r Method,
    pub(crate) route: &'static Route,
    pub(crate) source: Source,
    /// Its values of `Via`.
    pub(crate) before: Vec<HeaderValue>,
    /// What of the fleet it is about.
    pub(crate) eligible: &'r RoutingRules,
}

/// Models that may not be used may not be pulled, made, copied or deleted either; nor is one made that a node would
/// hand on to a third party, nor one of the files of a model that may not be used: what others uploaded may be that.
fn check(exchange: &Exchange, caller: &Caller, wish: &Wish) -> Result<(), Refusal> {
    let eligible = caller.eligible();
    let snapshot = exchange.worker.shared.hot.load();
    for model in wish.names() {
        refuse_alias(exchange, caller, model)?;
        if !eligible.allows(model) {
            return Err(NoNode::UnknownModel { model: model.to_owned(), nearest: Vec::new() }.into());
        }
        let handed_on =
            || wish.spreads() && snapshot.known(model, eligible).is_some_and(|entry| !entry.cloud.is_empty());
        if !eligible.cloud() && (names_cloud(model) || wish.is_remote() || handed_on()) {
            return Err(NoNode::Cloud(model.to_owned()).into());
        }
    }
    let fleet = &exchange.worker.shared.fleet;
    if !eligible.allows_all()
        && let Some(digest) = wish.files().find(|digest| !fleet.has_uploaded(eligible, digest))
    {
        let message = format!(
            "the file {digest} was not uploaded by your organization lately: send it to /api/blobs/{digest} first"
        );
        return Err(Refusal::Manage { status: StatusCode::NOT_FOUND, message });
    }
    Ok(())
}

/// A name that only an alias has is no model that could be pulled or deleted: what it stands for is, under its own
/// name, and would be a surprise. Where a model has the name as well, that one is meant.
fn refuse_alias(exchange: &Exchange, caller: &Caller, model: &str) -> Result<(), Refusal> {
    let shared = &exchange.worker.shared;
    let eligible = caller.eligible();
    let plan = shared.policy.load().as_deref().and_then(|rules| {
        let organization = caller.organization().map(|organization| &*organization.id);
        rules.plan(organization, model, eligible)
    });
    let Some(Plan { alias: Some(alias), candidates, .. }) = plan else { return Ok(()) };
    let names: Vec<&str> = candidates.iter().map(|candidate| &*candidate.model).collect();
    let itself = names.iter().any(|name| normalize(name) == normalize(model));
    if names.is_empty() || itself || shared.hot.load().known(model, eligible).is_some() {
        return Ok(());
    }
    let alias = Untrusted::new(&alias).max(100).to_string();
    let message =
        format!("'{alias}' is an alias of {}, not a model: name the model itself", names.join(", "));
    Err(Refusal::Manage { status: StatusCode::BAD_REQUEST, message })
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let status = fault_status(fault.kind);
        Self::Manage { status, message: fault.message }
    }
}

pub(crate) const STOPPED: Refusal = Refusal::Internal("the control plane has stopped");

/// Begins a job; it goes on when the client leaves.
async fn begin(
    exchange: &Exchange,
    flight: Watched,
    change: Change,
    work: Work,
    stream: bool,
) -> Result<Answer, Refusal> {
    let fleet = exchange.worker.shared.fleet.clone();
    let (tells, see_nodes) = (work.wish.tells(), exchange.settings.node_header);
    let begun = exchange.worker.shared.control.spawn(async move {
        let Work { eligible, wish, before } = work;
        let jobs = fleet.jobs();
        let job = wish.begin(&fleet, before, &eligible).await;
        let job = job.and_then(|job| Ok((jobs.follow(&eligible, &job.id)?, job))).map_err(Fault::from);
        match job {
            Ok((steps, job)) => {
                change.begun(steps).await?;
                jobs.lines(&eligible, &job.id, see_nodes).await.map_err(Fault::from)
            }
            Err(fault) => change.ended(Err(&fault)).await.and(Err(fault)),
        }
    });
    let mut lines = begun.await.map_err(|_| STOPPED)??;
    if stream && tells {
        let mut answer = Answer::new(AnswerBody::Lines(Lines::new(lines, flight)));
        let ndjson = HeaderValue::from_static("application/x-ndjson");
        answer.headers_mut().insert(http::header::CONTENT_TYPE, ndjson);
        return Ok(answer);
    }
    let mut last = Bytes::new();
    while let Some(line) = unless_revoked(&flight, lines.recv()).await? {
        last = line;
    }
    let failed = last.starts_with(b"{\"error\"");
    let redirects = memmem::find(&last, REDIRECTS.as_bytes()).is_some();
    Ok(match (failed, tells) {
        (true, _) if redirects => answer::json(StatusCode::BAD_GATEWAY, last),
        (true, _) => answer::json(StatusCode::INTERNAL_SERVER_ERROR, last),
        (false, true) => answer::json(StatusCode::OK, last),
        (false, false) => answer::typed(StatusCode::OK, HeaderValue::from_static("text/plain"), Bytes::new()),
    })
}

/// What `work` comes to, unless the credential is withdrawn meanwhile. At shutdown the job has the last word.
async fn unless_revoked<T>(flight: &Watched, work: impl Future<Output = T>) -> Result<T, VerdictError> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        if let Some(verdict) = flight.verdict().filter(|verdict| verdict.is_withdrawn()) {
            return Poll::Ready(Err(VerdictError(verdict)));
        }
        flight.register(cx);
        work.as_mut().poll(cx).map(Ok)
    })
    .await
}

/// Deletes from every node that has the model and is the client's own.
async fn delete(
    exchange: &Exchange,
    change: Change,
    eligible: RoutingRules,
    before: Vec<HeaderValue>,
    model: String,
) -> Result<Answer, Refusal> {
    let fleet = exchange.worker.shared.fleet.clone();
    let removed = exchange.worker.shared.control.spawn(async move {
        let removed = fleet.remove_after(before, &eligible, &model, None).await.map_err(Fault::from);
        let ended = removed.as_ref().map(|removed| Some(Reply::ModelRemoved(removed.clone())));
        change.ended(ended).await.and(removed)
    });
    let removed = removed.await.map_err(|_| STOPPED)??;
    if removed.failed.is_empty() {
        return Ok(answer::typed(StatusCode::OK, HeaderValue::from_static("text/plain"), Bytes::new()));
    }
    let names = exchange.settings.node_header;
    let reason = |(node, why): &(String, String)| if names { format!("{node}: {why}") } else { why.clone() };
    let reasons: Vec<String> = removed.failed.iter().map(reason).collect();
    Err(Refusal::Manage {
        status: StatusCode::BAD_GATEWAY,
        message: format!("not deleted on {}", reasons.join("; ")),
    })
}
