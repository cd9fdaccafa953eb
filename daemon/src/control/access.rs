//! The proof that the table from request to [`Permission`] was consulted.
//!
//! A handler takes its request out of a [`Permitted`], and only [`check`] makes one: there is no way to a
//! handler around this file. [`rule`] says who has to log in at all.

mod rule;
#[cfg(test)]
mod tables;

use std::sync::Arc;

use aivonx_identity::Actor;
use aivonx_protocol::{
    Request, account::AccountRequest, audit::AuditRequest, config::ConfigRequest, daemon::DaemonRequest,
    job::JobRequest, key::KeyRequest, limit::LimitRequest, lockout::LockoutRequest, log::LogRequest,
    model::ModelRequest, node::NodeRequest, organization::OrganizationRequest, policy::PolicyRequest,
    price::PriceRequest, privacy::PrivacyRequest, running::RunningRequest, secrets::SecretsRequest,
    snapshot::SnapshotRequest, strategy::StrategyRequest, token::TokenRequest, usage::UsageRequest,
    user::UserRequest,
};

pub use aivonx_protocol::Permission;

pub use self::rule::{AccessRule, Mode, Peer, Standing};
pub(crate) use self::rule::{Ask, check};
use super::connection::Connection;

/// A request whose caller may make it. Only [`check`] makes one.
#[derive(Debug)]
pub struct Permitted<R> {
    request: R,
    connection: Arc<Connection>,
    actor: Arc<Actor>,
    /// Whether anyone has said who they are.
    known: bool,
}

impl<R> Permitted<R> {
    /// The request, to carry it out.
    pub fn into_request(self) -> R {
        self.request
    }

    /// The other end of the connection.
    pub fn peer(&self) -> &Peer {
        self.connection.peer()
    }

    /// The connection, which an answer may log in or out.
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Whether nobody has logged in: then the actor is a mere uid without rights.
    pub fn is_stranger(&self) -> bool {
        !self.known
    }

    /// Who asks, and how far they reach.
    pub fn actor(&self) -> &Arc<Actor> {
        &self.actor
    }

    fn with<T>(&self, request: T) -> Permitted<T> {
        Permitted {
            request,
            connection: self.connection.clone(),
            actor: self.actor.clone(),
            known: self.known,
        }
    }
}

/// A permitted request, by noun.
#[derive(Debug)]
pub enum Noun {
    /// The daemon.
    Daemon(Permitted<DaemonRequest>),
    /// Nodes.
    Node(Permitted<NodeRequest>),
    /// Models.
    Model(Permitted<ModelRequest>),
    /// The strategy.
    Strategy(Permitted<StrategyRequest>),
    /// Jobs.
    Job(Permitted<JobRequest>),
    /// The log.
    Log(Permitted<LogRequest>),
    /// The configuration.
    Config(Permitted<ConfigRequest>),
    /// The caller's account.
    Account(Permitted<AccountRequest>),
    /// Organizations.
    Organization(Permitted<OrganizationRequest>),
    /// Users.
    User(Permitted<UserRequest>),
    /// Keys.
    Key(Permitted<KeyRequest>),
    /// The caller's tokens.
    Token(Permitted<TokenRequest>),
    /// Lockouts.
    Lockout(Permitted<LockoutRequest>),
    /// The audit log.
    Audit(Permitted<AuditRequest>),
    /// Keys and sealed secrets.
    Secrets(Permitted<SecretsRequest>),
    /// Limits.
    Limit(Permitted<LimitRequest>),
    /// Prices.
    Price(Permitted<PriceRequest>),
    /// Usage.
    Usage(Permitted<UsageRequest>),
    /// Model policy.
    Policy(Permitted<PolicyRequest>),
    /// Running requests.
    Running(Permitted<RunningRequest>),
    /// Personal data in prompts.
    Privacy(Permitted<PrivacyRequest>),
    /// Snapshots of the store.
    Snapshot(Permitted<SnapshotRequest>),
}

impl Permitted<Request> {
    /// Its name, for the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.request.name()
    }

    /// The request, to see what is asked.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The permission it was checked for.
    #[must_use]
    pub fn permission(&self) -> Permission {
        self.request.needs()
    }

    /// The request of one noun, for that noun's handler.
    #[must_use]
    pub fn noun(self) -> Noun {
        let proof = self.with(());
        match self.request {
            Request::Daemon(request) => Noun::Daemon(proof.with(request)),
            Request::Node(request) => Noun::Node(proof.with(request)),
            Request::Model(request) => Noun::Model(proof.with(request)),
            Request::Strategy(request) => Noun::Strategy(proof.with(request)),
            Request::Job(request) => Noun::Job(proof.with(request)),
            Request::Log(request) => Noun::Log(proof.with(request)),
            Request::Config(request) => Noun::Config(proof.with(request)),
            Request::Account(request) => Noun::Account(proof.with(request)),
            Request::Organization(request) => Noun::Organization(proof.with(request)),
            Request::User(request) => Noun::User(proof.with(request)),
            Request::Key(request) => Noun::Key(proof.with(request)),
            Request::Token(request) => Noun::Token(proof.with(request)),
            Request::Lockout(request) => Noun::Lockout(proof.with(request)),
            Request::Audit(request) => Noun::Audit(proof.with(request)),
            Request::Secrets(request) => Noun::Secrets(proof.with(request)),
            Request::Limit(request) => Noun::Limit(proof.with(request)),
            Request::Price(request) => Noun::Price(proof.with(request)),
            Request::Usage(request) => Noun::Usage(proof.with(request)),
            Request::Policy(request) => Noun::Policy(proof.with(request)),
            Request::Running(request) => Noun::Running(proof.with(request)),
            Request::Privacy(request) => Noun::Privacy(proof.with(request)),
            Request::Snapshot(request) => Noun::Snapshot(proof.with(request)),
        }
    }
}
