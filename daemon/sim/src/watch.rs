//! What a fake node was sent, and waiting for it: for tests, which fail by panicking.

use std::time::Duration;

use crate::{
    FakeNode, NodeState,
    state::{End, Recorded},
};

/// How long any wait may take before the test is failed. Generous: machines under test are loaded.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for `future`, failing the test with `what` after [`DEADLINE`].
///
/// # Panics
/// After the deadline.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: did not happen within {} s", DEADLINE.as_secs()),
    }
}

impl FakeNode {
    /// What it was sent so far, without health checks.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.with(|s| s.recorded.iter().filter(|r| !r.is_health()).cloned().collect())
    }

    /// Everything it was sent, health checks too.
    #[must_use]
    pub fn everything(&self) -> Vec<Recorded> {
        self.with(|s| s.recorded.clone())
    }

    /// The only request it was sent beside health checks.
    #[must_use]
    pub fn only_request(&self) -> Recorded {
        let mut all = self.requests();
        assert_eq!(all.len(), 1, "one request expected, got {all:#?}");
        all.remove(0)
    }

    /// Waits until `condition` holds of its state.
    pub async fn until(&self, what: &str, mut condition: impl FnMut(&mut NodeState) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        within(what, async {
            loop {
                changed.borrow_and_update();
                if self.shared.look(&mut condition) {
                    return;
                }
                changed.changed().await.expect("the state outlives the wait");
            }
        })
        .await;
    }

    /// Waits until it was sent `count` requests that are not health checks.
    pub async fn until_requests(&self, count: usize) {
        let what = format!("{count} requests at {}", self.url());
        self.until(&what, |s| s.recorded.iter().filter(|r| !r.is_health()).count() >= count).await;
    }

    /// Waits until `count` requests ended because the client went away.
    pub async fn until_gone(&self, count: usize) {
        let what = format!("{count} departures at {}", self.url());
        self.until(&what, |s| s.recorded.iter().filter(|r| r.end == Some(End::ClientGone)).count() >= count)
            .await;
    }

    /// Waits until it was health-checked `count` times more.
    pub async fn until_checked(&self, count: usize) {
        let is_check = |r: &&Recorded| r.is_health() && r.end == Some(End::Complete);
        let before = self.with(|s| s.recorded.iter().filter(is_check).count());
        self.until("health checks", |s| s.recorded.iter().filter(is_check).count() >= before + count).await;
    }
}
