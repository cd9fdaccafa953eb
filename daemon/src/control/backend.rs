//! What a session needs of the services behind it.

use std::sync::Arc;

use aivonx_identity::Actor;
use aivonx_protocol::{Event, Fault, operation};
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use super::access::{Peer, Permitted, Standing};

/// Events, until they end or the request is cancelled. Polled only as far as the reader takes them.
pub(crate) type Events = BoxStream<'static, Result<Event, Fault>>;

/// What a request is answered with.
pub(crate) type Answer = operation::Answer<Events>;

/// Notifies of what somebody's standing depends on.
pub(crate) struct Changes(pub(crate) [watch::Receiver<u64>; 2]);

impl Changes {
    /// Waits for the next change; an error means that there is none any more.
    pub(crate) async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        let [one, other] = &mut self.0;
        tokio::select! {
            changed = one.changed() => changed,
            changed = other.changed() => changed,
        }
    }
}

/// What sessions are served by: [`Services`](super::Services), and stand-ins in the tests of the session.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Whether there is an administrator.
    fn is_set_up(&self) -> bool;

    /// Who `peer` is, given the hash of the secret of the session its connection uses. Counts as a use of it.
    fn standing(&self, peer: &Peer, session: Option<[u8; 32]>) -> Standing;

    /// Whether the session whose secret has this hash can still be used by `peer`. Is no use of it.
    fn stands(&self, peer: &Peer, session: &[u8; 32]) -> bool;

    /// Notified whenever the answers to these may have changed by something else than time.
    fn changes(&self) -> Changes;

    /// Somebody who has logged in asked for what is not theirs.
    fn refused(&self, actor: &Actor, name: &'static str);

    /// Carries out one request.
    fn handle(self: Arc<Self>, permitted: Permitted) -> impl Future<Output = Answer> + Send;
}
