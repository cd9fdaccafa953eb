//! The proof that the caller of a request was found to be permitted it.
//!
//! A handler of an operation takes a [`By`] of that operation. Only [`check`] makes a request [`Permitted`], and only
//! a permitted request gives one away, to the handler of the operation that it is: there is no way to a handler around
//! this file. [`rule`] says who has to log in at all.

mod rule;
#[cfg(test)]
mod tables;

use std::{fmt, marker::PhantomData, sync::Arc};

use aivonx_domain::TenantScope;
use aivonx_identity::Actor;
use aivonx_protocol::{
    Request,
    operation::{Answer, Server},
};

pub use aivonx_protocol::Permission;

pub use self::rule::{AccessRule, Mode, Standing};
pub(crate) use self::rule::{Ask, blocked, check};
use super::connection::Connection;
pub use super::peer::Peer;

/// Who asks for the operation `O`, which they may.
pub struct By<O> {
    connection: Arc<Connection>,
    actor: Arc<Actor>,
    /// Whether anyone has said who they are.
    known: bool,
    operation: PhantomData<fn() -> O>,
}

impl<O> fmt::Debug for By<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("By").field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl<O> By<O> {
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

    /// Who asks.
    pub fn actor(&self) -> &Arc<Actor> {
        &self.actor
    }

    /// How far they reach.
    pub fn reach(&self) -> TenantScope {
        self.actor.reach()
    }
}

impl By<Request> {
    /// The proof for the operation that the request is. Nobody holds one of a whole request but [`Permitted`] and the
    /// dispatch it is given to.
    pub(crate) fn of<O>(self) -> By<O> {
        let Self { connection, actor, known, operation: _ } = self;
        By { connection, actor, known, operation: PhantomData }
    }
}

/// A request whose caller may make it. Only [`check`] makes one.
#[derive(Debug)]
pub struct Permitted {
    request: Request,
    by: By<Request>,
}

impl Permitted {
    /// The request, to see what is asked.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Who asks.
    #[must_use]
    pub fn by(&self) -> &By<Request> {
        &self.by
    }

    /// Has the handler of its operation carry it out.
    pub(crate) async fn serve<S>(self, server: &S) -> Answer<S::Events>
    where
        S: Server<Proof = By<Request>> + aivonx_protocol::request::Serves,
    {
        self.request.serve(server, self.by).await
    }
}
