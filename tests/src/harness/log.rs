//! Output of a running process.

use std::sync::{Arc, Mutex};

use regex::Regex;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::watch,
};

use crate::within;

/// What a process wrote, line by line as it came.
#[derive(Debug, Clone)]
pub struct Log {
    text: Arc<Mutex<String>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { text: Arc::default(), changed: Arc::new(watch::Sender::new(0)) }
    }

    pub(super) fn follow(&self, from: impl AsyncRead + Unpin + Send + 'static) {
        let log = self.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line).await, Ok(n) if n > 0) {
                log.text.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&line));
                log.changed.send_modify(|n| *n += 1);
                line.clear();
            }
        });
    }

    /// Everything so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.lock().expect("not poisoned").clone()
    }

    /// Waits for a match and returns its first group, or all of it.
    pub async fn until(&self, pattern: &str) -> String {
        let regex = Regex::new(pattern).expect("a regular expression");
        let mut changed = self.changed.subscribe();
        within(&format!("output matching {pattern:?}"), async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = regex.captures(&self.text()) {
                    return found.get(1).or(found.get(0)).map(|m| m.as_str().to_owned()).unwrap_or_default();
                }
                changed.changed().await.expect("the sender is ours");
            }
        })
        .await
    }
}
