//! Made-up traffic for `aivonxd dev --simulate N --traffic`: it comes through the gateway's own listener, from
//! organizations with users, keys and limits, so that everything there is to see has something alive to show.

mod client;
mod clients;
mod past;
mod people;
mod trouble;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use aivonx_fleet::Fleet;
use aivonx_store::UsageLog;
use clap::ValueEnum;
use tokio::task::JoinSet;

use self::clients::Crowd;
pub(crate) use self::people::fit;
use super::node::SimNode;

/// Values of `--traffic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Amount {
    /// A request or two a second
    Light,
    /// Several times as many
    Busy,
}

/// What the traffic needs to know.
pub(crate) struct Place {
    /// Where clients connect.
    pub(crate) gateway: SocketAddr,
    /// The control socket.
    pub(crate) socket: PathBuf,
    /// Where the past is written.
    pub(crate) ledger: UsageLog,
    /// The fleet.
    pub(crate) fleet: Arc<Fleet>,
    /// How much.
    pub(crate) amount: Amount,
    /// What it follows from.
    pub(crate) seed: u64,
}

/// Runs until dropped. `nodes` are those simulated, with the names they have in the fleet.
pub(super) async fn run(place: Place, nodes: Vec<(String, Arc<SimNode>)>) {
    let Place { gateway, socket, ledger, fleet, amount, seed } = place;
    let mut all = JoinSet::new();
    all.spawn(trouble::logins_fail(gateway, seed));
    if let Some((name, _)) = nodes.first() {
        all.spawn(trouble::models_come_and_go(socket.clone(), name.clone(), seed));
    }
    let names: Vec<String> = nodes.iter().map(|(name, _)| name.clone()).collect();
    all.spawn(trouble::nodes_fail(nodes.into_iter().map(|(_, node)| node).collect(), seed));
    match people::make(&socket).await {
        Ok(people) => {
            if people.new
                && let Err(error) =
                    past::write(&ledger, &people.credentials, &names, aivonx_domain::now(), seed).await
            {
                tracing::error!(event = "simulate", %error, "there is no usage of the days before");
            }
            if let Some((name, password)) = people.visitor {
                all.spawn(trouble::somebody_logs_in(gateway, name, password, seed));
            }
            let crowd = Crowd { gateway, credentials: people.credentials, fleet, amount, seed };
            for client in crowd.clients() {
                all.spawn(client);
            }
        }
        Err(error) => tracing::error!(event = "simulate", %error, "there is nobody to make traffic"),
    }
    while all.join_next().await.is_some() {}
}
