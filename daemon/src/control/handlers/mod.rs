//! Carry out permitted requests: one file per noun, each thin over the service that does the work.

mod account;
mod audit;
mod config;
mod daemon;
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

use aivonx_protocol::{Fault, Reply, Request, job::JobState};
use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::{
    Answer, Serve, Services,
    access::{Noun, Peer, Permitted, Standing},
};

impl Serve for Services {
    fn is_set_up(&self) -> bool {
        self.identity.is_set_up()
    }

    fn standing(&self, peer: &Peer, session: Option<[u8; 32]>) -> Standing {
        let Some(session) = session else { return Standing::Stranger };
        match self.identity.in_session(&session, &peer.source(), aivonx_domain::now()) {
            Ok((actor, owed)) => Standing::User(actor, owed),
            Err(ended) => Standing::Ended(ended.as_str()),
        }
    }

    fn stands(&self, peer: &Peer, session: &[u8; 32]) -> bool {
        self.identity.stands(session, &peer.source(), aivonx_domain::now())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.identity.changes()
    }

    fn refused(&self, actor: &Actor, name: &'static str) {
        self.identity.counters.denials.fetch_add(1, Ordering::Relaxed);
        self.identity.audit().note(record::denied(actor, name));
    }

    async fn handle(self: Arc<Self>, permitted: Permitted<Request>) -> Answer {
        let (name, actor) = (permitted.name(), permitted.actor().clone());
        let changes = permitted.permission().changes();
        let record = record::of(permitted.request()).map(|record| record.seen(&self.identity.hot().load()));
        let work = AssertUnwindSafe(self.dispatch(permitted)).catch_unwind();
        let answer = work.await;
        // What is answered must hold for the next request.
        if changes && matches!(answer, Ok(Answer::Reply(Ok(_)))) {
            self.identity.settle().await;
        }
        if let Some(record) = record {
            let outcome = match &answer {
                Ok(Answer::Reply(result)) => record::Ended::of(result.as_ref()),
                Ok(Answer::Stream(_)) => record::Ended::Ok(None),
                Err(_) => record::Ended::Broken,
            };
            record.clone().write(&self.identity, &actor, name, outcome).await;
            // One that had ended was not begun by this.
            if let Ok(Answer::Reply(Ok(Reply::Job(job)))) = &answer
                && job.state == JobState::Running
                && let Ok(job) = self.fleet.jobs().follow(&actor.reach(), &job.id)
            {
                let identity = self.identity.clone();
                tokio::spawn(record.follow(identity, actor, name.to_owned(), job));
            }
        }
        answer.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Services {
    async fn dispatch(&self, permitted: Permitted<Request>) -> Answer {
        match permitted.noun() {
            Noun::Daemon(permitted) => daemon::handle(self, permitted).await,
            Noun::Node(permitted) => node::handle(self, permitted).await,
            Noun::Model(permitted) => model::handle(self, permitted).await,
            Noun::Strategy(permitted) => strategy::handle(self, permitted).await,
            Noun::Job(permitted) => job::handle(self, permitted).await,
            Noun::Log(permitted) => log::handle(self, permitted).await,
            Noun::Config(permitted) => config::handle(self, permitted).await,
            Noun::Account(permitted) => account::handle(self, permitted).await,
            Noun::Organization(permitted) => organization::handle(self, permitted).await,
            Noun::User(permitted) => user::handle(self, permitted).await,
            Noun::Key(permitted) => key::handle(self, permitted).await,
            Noun::Token(permitted) => token::handle(self, permitted).await,
            Noun::Lockout(permitted) => lockout::handle(self, permitted).await,
            Noun::Audit(permitted) => audit::handle(self, permitted).await,
            Noun::Secrets(permitted) => secrets::handle(self, permitted).await,
            Noun::Limit(permitted) => limit::handle(self, permitted).await,
            Noun::Price(permitted) => price::handle(self, permitted).await,
            Noun::Usage(permitted) => usage::handle(self, permitted).await,
            Noun::Policy(permitted) => policy::handle(self, permitted).await,
            Noun::Running(permitted) => running::handle(self, permitted).await,
            Noun::Privacy(permitted) => privacy::handle(self, permitted).await,
            Noun::Snapshot(permitted) => snapshot::handle(self, permitted).await,
        }
    }
}

impl Services {
    /// What `actor` is told of a failed operation on the fleet. That something is another organization's is
    /// recorded, and told as if it did not exist.
    fn fault(&self, actor: &Actor, error: FleetError) -> Fault {
        if let Some((noun, id)) = error.foreign() {
            // The fleet's own words for what is missing say more.
            let _ = self.identity.refuse(actor, StoreError::Foreign { noun, id: id.to_owned() });
        }
        error.into()
    }
}
