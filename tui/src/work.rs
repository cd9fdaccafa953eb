//! What this side does itself and that takes time: beside the event loop, given up when it is no longer wanted.

use std::collections::HashMap;

use tokio::{sync::mpsc::Sender, task::AbortHandle};

use crate::{
    journal::{self, Part},
    msg::{Msg, Ticket},
};

/// What is being done.
#[derive(Debug)]
pub(crate) struct Works {
    happens: Sender<Msg>,
    open: HashMap<Ticket, AbortHandle>,
}

impl Works {
    /// Nothing yet; what comes of it is told to `happens`.
    pub(crate) fn new(happens: Sender<Msg>) -> Self {
        Self { happens, open: HashMap::new() }
    }

    /// Reads a part of the journal.
    pub(crate) fn past(&mut self, ticket: Ticket, part: Part) {
        let happens = self.happens.clone();
        self.begin(ticket, async move {
            let result = journal::part(&part).await.map_err(|failure| failure.to_string());
            let _ = happens.send(Msg::Past { ticket, result }).await;
        });
    }

    fn begin(&mut self, ticket: Ticket, work: impl Future<Output = ()> + Send + 'static) {
        self.open.retain(|_, task| !task.is_finished());
        self.open.insert(ticket, tokio::spawn(work).abort_handle());
    }

    /// Gives one up. Whether there was one.
    pub(crate) fn end(&mut self, ticket: Ticket) -> bool {
        self.open.remove(&ticket).map(|task| task.abort()).is_some()
    }
}
