//! Changes over HTTP in the audit log: each is recorded as the request of the control socket that does the same.

use std::sync::Arc;

use aivonx_identity::{
    Actor, Caller, Identity, Source,
    record::{self, Ended, Record},
};
use aivonx_protocol::{Fault, Reply, Request, job::Job};
use aivonx_wire::api::route::Route;
use http::Method;
use tokio::sync::watch;

use crate::{
    conn::ConnContext,
    exchange::Exchange,
    fields::{Field, Fields},
};

/// Longest user agent looked at, characters.
const AGENT: usize = 512;

/// Where a request came from.
pub(crate) fn source(cx: &ConnContext, exchange: &Exchange, fields: &Fields<'_>) -> Source {
    let agent = fields.get(Field::UserAgent).and_then(|value| value.to_str().ok());
    Source::Http {
        address: cx.client,
        user_agent: agent.map(|agent| agent.chars().take(AGENT).collect()),
        request_id: exchange.id().to_owned(),
    }
}

/// How the audit log names what was asked.
pub(crate) fn via(method: &Method, route: &Route) -> String {
    format!("{method} {}", route.pattern)
}

/// A change that is about to be made.
pub(crate) struct Change {
    identity: Arc<Identity>,
    actor: Actor,
    via: String,
    record: Option<Record>,
}

impl Change {
    /// What `actor` asks as `via`, in the words of the control socket.
    pub(crate) fn new(
        identity: &Arc<Identity>,
        actor: Actor,
        via: String,
        request: impl Into<Request>,
    ) -> Self {
        let record = record::of(&request.into()).map(|record| record.seen(&identity.hot().load()));
        Self { identity: identity.clone(), actor, via, record }
    }

    /// It is asked by `caller`, who may be a key.
    pub(crate) fn by(mut self, caller: &Caller) -> Self {
        if let Caller::Key(key) = caller {
            self.record = self.record.map(|record| record.by_key(&key.id));
        }
        self
    }

    /// Writes down that it has begun, and that the job failed, if it does.
    ///
    /// # Errors
    /// As of [`Self::ended`].
    pub(crate) async fn begun(self, job: watch::Receiver<Job>) -> Result<(), Fault> {
        let follow = self.record.clone().map(|record| {
            record.follow(self.identity.clone(), Arc::new(self.actor.clone()), self.via.clone(), job)
        });
        let recorded = self.ended(Ok(None)).await;
        if let Some(follow) = follow {
            tokio::spawn(follow);
        }
        recorded
    }

    /// Writes down how it ended, with the object as it is now.
    ///
    /// # Errors
    /// If it went well and that is not recorded durably.
    pub(crate) async fn ended(self, ended: Result<Option<Reply>, &Fault>) -> Result<(), Fault> {
        let Some(record) = self.record else { return Ok(()) };
        let ended = match &ended {
            Ok(reply) => Ended::Ok(reply.as_ref()),
            Err(fault) => Ended::Fault(fault),
        };
        record.write(&self.identity, &self.actor, &self.via, ended).await
    }
}
