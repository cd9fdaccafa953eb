//! Carry out permitted operations: one file per noun, each thin over the service that does the work.

mod account;
mod audit;
mod backup;
mod block;
mod check;
mod cluster;
mod config;
mod daemon;
mod incident;
mod job;
mod key;
mod limit;
mod lockout;
mod log;
mod model;
mod node;
mod organization;
mod policy;
mod price;
mod privacy;
mod pulse;
mod route;
mod running;
pub(crate) mod secrets;
mod snapshot;
mod strategy;
mod token;
mod usage;
mod user;

use aivonx_fleet::FleetError;
use aivonx_identity::Actor;
use aivonx_identity::record;
use aivonx_store::StoreError;

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, atomic::Ordering},
};

use aivonx_protocol::{Fault, Reply, Request, operation::Server};
use futures_util::FutureExt as _;

use super::{
    Answer, Backend, Changes, Events, Services,
    access::{By, Peer, Permitted, Standing},
};

impl Server for Services {
    type Proof = By<Request>;
    type By<O> = By<O>;
    type Events = Events;

    fn by<O>(proof: By<Request>) -> By<O> {
        proof.of()
    }
}

impl Services {
    /// Whether the user of the session whose secret has this hash is blocked.
    fn is_blocked(&self, session: &[u8; 32]) -> bool {
        let blocked = self.blocks.hot();
        let user = || self.identity.user_of_session(session);
        !blocked.is_empty() && user().is_some_and(|user| blocked.user(&user, aivonx_domain::now()))
    }
}

impl Backend for Services {
    fn is_set_up(&self) -> bool {
        self.identity.is_set_up()
    }

    fn standing(&self, peer: &Peer, session: Option<[u8; 32]>) -> Standing {
        let Some(session) = session else { return Standing::Stranger };
        match self.identity.in_session(&session, &peer.source(), aivonx_domain::now()) {
            Ok((actor, _)) if self.is_blocked(&session) => Standing::Blocked(actor),
            Ok((actor, owed)) => Standing::User(actor, owed),
            Err(ended) => Standing::Ended(ended.as_str()),
        }
    }

    fn stands(&self, peer: &Peer, session: &[u8; 32]) -> bool {
        !self.is_blocked(session) && self.identity.stands(session, &peer.source(), aivonx_domain::now())
    }

    fn changes(&self) -> Changes {
        Changes([self.identity.changes(), self.blocks.changes()])
    }

    fn refused(&self, actor: &Actor, name: &'static str) {
        self.identity.counters.denials.fetch_add(1, Ordering::Relaxed);
        self.identity.audit().note(record::denied(actor, name));
    }

    async fn handle(self: Arc<Self>, permitted: Permitted) -> Answer {
        let (name, actor) = (permitted.request().name(), permitted.by().actor().clone());
        let changes = permitted.request().needs().changes();
        // A job that is cancelled was begun by another request; one that was begun may have failed by now.
        let begins = !matches!(permitted.request(), Request::Job(_));
        let record = record::of(permitted.request()).map(|record| record.seen(&self.identity.hot().load()));
        let mut answer = AssertUnwindSafe(permitted.serve(&*self)).catch_unwind().await;
        // What is answered must hold for the next request.
        if changes
            && matches!(answer, Ok(Answer::Reply(Ok(_))))
            && let Err(error) = self.settle().await
        {
            answer = Ok(Answer::Reply(Err(error.into())));
        }
        if let Some(record) = record {
            let outcome = match &answer {
                Ok(Answer::Reply(result)) => record::Ended::of(result.as_ref()),
                Ok(Answer::Stream(_)) => record::Ended::Ok(None),
                Err(_) => record::Ended::Broken,
            };
            let recorded = record.clone().write(&self.identity, &actor, name, outcome).await;
            if begins
                && let Ok(Answer::Reply(Ok(Reply::Job(job)))) = &answer
                && let Ok(job) = self.fleet.jobs().follow(&actor.reach(), &job.id)
            {
                let identity = self.identity.clone();
                tokio::spawn(record.follow(identity, actor, name.to_owned(), job));
            }
            if let (Err(fault), Ok(Answer::Reply(_))) = (recorded, &answer) {
                answer = Ok(Answer::Reply(Err(fault)));
            }
        }
        answer.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Services {
    /// Returns once every change that was made before holds for requests and nodes.
    async fn settle(&self) -> Result<(), StoreError> {
        self.identity.settle().await?;
        self.fleet.settle().await
    }

    /// The caller's fault for a failed operation on the fleet. An object of another organization is recorded in the
    /// audit log, and reported as if it did not exist.
    fn fault<O>(&self, by: &By<O>) -> impl FnOnce(FleetError) -> Fault {
        move |error| {
            if let Some((noun, id)) = error.foreign() {
                // The fleet's own words for what is missing say more.
                let _ = self.identity.refuse(by.actor(), StoreError::Foreign { noun, id: id.to_owned() });
            }
            error.into()
        }
    }
}
