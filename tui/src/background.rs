//! What this side does itself and that takes time: beside the event loop, given up when it is no longer wanted.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use tokio::{
    sync::mpsc::Sender,
    task::{AbortHandle, spawn_blocking},
};

use crate::{
    journal::{self, Part},
    msg::{Msg, Ticket},
};

/// A file as it was typed: from the home directory on behind `~/`, else from here on.
pub(crate) fn place(typed: &Path) -> PathBuf {
    let home = typed.strip_prefix("~").ok().zip(std::env::home_dir());
    let path = home.map_or_else(|| typed.to_owned(), |(rest, home)| home.join(rest));
    std::path::absolute(&path).unwrap_or(path)
}

/// What is being done.
#[derive(Debug)]
pub(crate) struct BackgroundTasks {
    happens: Sender<Msg>,
    open: HashMap<Ticket, AbortHandle>,
}

impl BackgroundTasks {
    /// No jobs yet; their results are sent to `happens`.
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

    /// Reads a file with published checkpoints.
    pub(crate) fn anchors(&mut self, ticket: Ticket, file: PathBuf) {
        let happens = self.happens.clone();
        self.begin(ticket, async move {
            let read = spawn_blocking(move || crate::audit_verify::anchors(&place(&file))).await;
            let result = match read {
                // What the option says first, a field need not.
                Ok(read) => read.map_err(|why| why.to_string().trim_start_matches("--anchor ").to_owned()),
                Err(error) => Err(error.to_string()),
            };
            let _ = happens.send(Msg::Anchors { ticket, result }).await;
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
