//! Requests that are running. Errors: see [`Client::call`].

use super::{Client, ClientError, calls::ask};
use crate::{
    Reply, Request,
    running::{Running, RunningRequest},
};

/// Requests that are running.
impl Client {
    /// Those within the caller's reach, oldest first.
    pub async fn running_list(&self) -> Result<Vec<Running>, ClientError> {
        ask!(self, Request::Running(RunningRequest::List), Reply::Running(running) => running)
    }

    /// Ends one.
    pub async fn running_cancel(&self, id: &str) -> Result<(), ClientError> {
        let request = Request::Running(RunningRequest::Cancel { id: id.to_owned() });
        ask!(self, request, Reply::Done => ())
    }
}
