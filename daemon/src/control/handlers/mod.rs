//! Carry out permitted requests: one file per noun, each thin over the service that does the work.

mod account;
mod audit;
mod config;
mod daemon;
mod job;
mod key;
mod lockout;
mod log;
mod model;
mod node;
mod organization;
pub(crate) mod secrets;
mod strategy;
mod token;
mod user;

use std::sync::Arc;

use aivonx_protocol::{Fault, Request, user::Role};
use tokio::sync::watch;

use crate::{fleet::FleetError, store::Reach};

use super::{
    Answer, Serve, Services,
    access::{Noun, Peer, Permitted, Standing},
};
use crate::identity::Actor;

impl Serve for Services {
    fn is_set_up(&self) -> bool {
        self.identity.is_set_up()
    }

    fn standing(&self, _: &Peer, _: Option<[u8; 32]>) -> Standing {
        Standing::Stranger
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.identity.changes()
    }

    fn refused(&self, _: &Actor, _: &'static str) {}

    async fn handle(self: Arc<Self>, permitted: Permitted<Request>) -> Answer {
        match permitted.noun() {
            Noun::Daemon(permitted) => daemon::handle(&self, permitted),
            Noun::Node(permitted) => node::handle(&self, permitted).await,
            Noun::Model(permitted) => model::handle(&self, permitted).await,
            Noun::Strategy(permitted) => strategy::handle(&self, permitted).await,
            Noun::Job(permitted) => job::handle(&self, permitted).await,
            Noun::Log(permitted) => log::handle(&self, permitted).await,
            Noun::Config(permitted) => config::handle(&self, permitted).await,
            Noun::Account(permitted) => account::handle(&self, permitted).await,
            Noun::Organization(permitted) => organization::handle(&self, permitted).await,
            Noun::User(permitted) => user::handle(&self, permitted).await,
            Noun::Key(permitted) => key::handle(&self, permitted).await,
            Noun::Token(permitted) => token::handle(&self, permitted).await,
            Noun::Lockout(permitted) => lockout::handle(&self, permitted).await,
            Noun::Audit(permitted) => audit::handle(&self, permitted).await,
            Noun::Secrets(permitted) => secrets::handle(&self, permitted).await,
        }
    }
}

/// Whose records `actor` may touch.
fn reach(actor: &Actor) -> Reach {
    match (actor.role, &actor.organization) {
        (Role::Member, organization) => Reach::User {
            organization: organization.clone(),
            // Nobody is a member without being a user; one that were would reach nothing.
            user: actor.user.clone().unwrap_or_default(),
        },
        (_, Some(organization)) => Reach::Organization(organization.clone()),
        // Never stored so; nothing may follow from it.
        (Role::OrgAdmin, None) => Reach::Organization(String::new()),
        (Role::Superadmin | Role::Operator | Role::Auditor, None) => Reach::All,
    }
}

impl Services {
    /// What `actor` is told of a failed operation on the fleet. That something is another organization's is
    /// recorded, and told as if it did not exist.
    fn fault(&self, _actor: &Actor, error: FleetError) -> Fault {
        error.into()
    }
}
