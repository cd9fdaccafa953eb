//! Carry out permitted requests: one file per noun, each thin over the service that does the work.

mod config;
mod daemon;
mod job;
mod log;
mod model;
mod node;
mod strategy;

use std::sync::Arc;

use aivonx_protocol::Request;

use super::{
    Answer, Serve, Services,
    access::{Noun, Permitted},
};

impl Serve for Services {
    async fn handle(self: Arc<Self>, permitted: Permitted<Request>) -> Answer {
        match permitted.noun() {
            Noun::Daemon(permitted) => daemon::handle(&self, permitted),
            Noun::Node(permitted) => node::handle(&self, permitted).await,
            Noun::Model(permitted) => model::handle(&self, permitted).await,
            Noun::Strategy(permitted) => strategy::handle(&self, permitted).await,
            Noun::Job(permitted) => job::handle(&self, permitted).await,
            Noun::Log(permitted) => log::handle(&self, permitted).await,
            Noun::Config(permitted) => config::handle(&self, permitted).await,
        }
    }
}
