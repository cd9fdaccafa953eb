//! Tasks that nobody waits for any longer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::{JoinError, JoinHandle};

/// A task that ends with its handle.
#[derive(Debug)]
pub struct AbortOnDrop<T>(pub JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_task_ends_with_its_handle() {
        let (held, dropped) = oneshot::channel::<()>();
        let task = AbortOnDrop(tokio::spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        }));
        drop(task);
        assert!(dropped.await.is_err());
        assert_eq!(AbortOnDrop(tokio::spawn(async { 7 })).await.unwrap(), 7);
    }
}
