//! Work that would keep the streams of a data-plane thread waiting, done on another one.

use std::sync::LazyLock;

use tokio::sync::Semaphore;

/// What takes longer per byte than copying, such as parsing, is done aside for bodies above this: on the thread
/// itself it takes half a millisecond at the worst.
pub(super) const LARGE: u64 = 128 << 10;

/// Works at the same time: each holds a core, and one is left to the data-plane threads.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(cores.saturating_sub(1).max(1))
});

/// Does `work` where it keeps nobody waiting. It goes on if the future is dropped meanwhile. None if it panicked, or
/// if the daemon ends.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let permit = PLACES.acquire().await.ok()?;
    let work = move || {
        let done = work();
        drop(permit);
        done
    };
    tokio::task::spawn_blocking(work).await.ok()
}

/// Drops what takes long to drop where it keeps nobody waiting.
pub(super) fn discard<T: Send + 'static>(what: T) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || drop(what))),
        // Without a runtime there is nobody to wait.
        Err(_) => drop(what),
    }
}
