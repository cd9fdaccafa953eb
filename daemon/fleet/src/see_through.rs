//! Seeing a load through whose client left.

use std::{pin::pin, sync::Arc, time::Duration};

use aivonx_domain::model_name;
use serde_json::{Map, Value};

use super::{Fleet, dispatch::ticket::Load, memory};

/// Least time for which a connection is held that a load began for.
const LEAST: Duration = Duration::from_millis(500);

impl Fleet {
    /// Sees to it that a node goes on loading `model` for nobody: with a request of the gateway's own, which waits there
    /// for the same load, in at most `most` (zero is no limit). `with` are the options and the time to keep it of the
    /// request that began it; its connection is `held` until the node has answered, or should have. A node that cannot
    /// load so is not to blame.
    pub async fn see_through(
        &self,
        load: Load,
        model: &str,
        with: Map<String, Value>,
        most: Duration,
        held: impl Send,
    ) {
        let normal = model_name::normalize(model);
        let node = load.node().clone();
        let Some(_only) = self.loading.begin(&node.id, &normal) else { return };
        let mut held = Some(held);
        let loading = async {
            let mut asked = pin!(memory::load(&node.endpoint, self.checker.connect, model, &with));
            tokio::select! {
                done = &mut asked => done,
                // Longer than such loads take: perhaps it is none.
                () = tokio::time::sleep(load.left(LEAST)) => {
                    held.take();
                    asked.await
                }
            }
        };
        let most = if most.is_zero() { memory::LONGEST } else { most };
        let done = tokio::select! {
            done = tokio::time::timeout(most, loading) => matches!(done, Ok(Ok(()))),
            () = node.live.until_retired() => return,
        };
        drop(held);
        if done {
            load.done(&normal);
        } else {
            // Not for want of room, as far as anybody knows.
            self.checker.registry.dispatch.unloaded(&node.id, &normal);
        }
        tracing::debug!(event = "load_seen_through", node = %node.name, loaded = done, "a load whose client left is over");
        self.checker.check(&node.id).await;
    }
}

/// The loads that are seen through: one for each node and model.
#[derive(Debug, Default)]
pub(super) struct Loading(std::sync::Mutex<std::collections::HashSet<(Arc<str>, String)>>);

/// One of them, until it is dropped.
pub(super) struct Only<'a>(&'a Loading, (Arc<str>, String));

impl Loading {
    fn begin(&self, node: &Arc<str>, normal: &str) -> Option<Only<'_>> {
        let key = (node.clone(), normal.to_owned());
        self.lock().insert(key.clone()).then(|| Only(self, key))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::HashSet<(Arc<str>, String)>> {
        // Whole at any time.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Only<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
