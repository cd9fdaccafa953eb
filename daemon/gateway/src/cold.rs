//! A load outlives the client that caused it. Ollama gives a load up when the connection closes whose request it is for,
//! so clients with a short timeout that try again would never get their model. A client that leaves a node that is
//! loading leaves its connection behind, until a request of the gateway's own waits for the same load.

use std::{sync::Arc, time::Duration};

use aivonx_fleet::Load;
use aivonx_wire::api::Peek;
use bytes::Bytes;

use super::{deadline::TICK, shared::Shared, upstream::Heir};

/// A request on its way to a node that has to load the model for it.
pub(super) struct Cold {
    shared: Arc<Shared>,
    load: Load,
    model: Box<str>,
    /// As it was sent.
    body: Vec<Bytes>,
    /// Whether the node heeds the options in it.
    native: bool,
    /// How long the load may take.
    most: Duration,
    heir: Heir,
}

impl Cold {
    /// Of a request for `model` that is sent with `body`, which may wait so many ticks for the load.
    pub(super) fn new(
        shared: &Arc<Shared>,
        load: Load,
        model: &str,
        body: &[Bytes],
        native: bool,
        most: u32,
    ) -> Self {
        let (shared, model, body) = (shared.clone(), model.into(), body.to_vec());
        Self { shared, load, model, body, native, most: TICK * most, heir: Heir::default() }
    }

    /// Where the connection goes when the request is dropped.
    pub(super) fn heir(&self) -> &Heir {
        &self.heir
    }

    /// It was not its client that gave the request up.
    pub(super) fn forget(&self) {
        self.heir.take();
    }
}

impl Drop for Cold {
    fn drop(&mut self) {
        let Some(connection) = self.heir.take() else { return };
        self.load.outlives();
        let load = self.load.clone();
        let (fleet, model, most) = (self.shared.fleet.clone(), std::mem::take(&mut self.model), self.most);
        let (body, native) = (std::mem::take(&mut self.body), self.native);
        self.shared.control.spawn(async move {
            let with = Peek::read(&body).map(|peek| peek.loads(&body, native)).unwrap_or_default();
            drop(body);
            fleet.see_through(load, &model, with, most, connection).await;
        });
    }
}
