//! Made-up traffic for `aivonxd dev --simulate N --traffic`: it comes through the gateway's own listener, from
//! organizations with users, keys and limits, so that everything there is to see has something alive to show.

mod client;
mod clients;
mod past;
mod people;
mod trouble;

use std::sync::Arc;

use aivonx_protocol::client::{Client, ClientError};
use jiff::Timestamp;
use tokio::task::JoinSet;

use self::clients::Crowd;
use crate::{
    FakeNode,
    link::{Said, Traffic, say},
};

/// Runs until dropped. `nodes` stand in the order of their names.
pub(crate) async fn run(traffic: Traffic, nodes: Vec<Arc<FakeNode>>, seed: u64) {
    let mut all = JoinSet::new();
    all.spawn(trouble::logins_fail(traffic.gateway, seed));
    if let Some(name) = traffic.nodes.first() {
        all.spawn(trouble::models_come_and_go(traffic.socket.clone(), name.clone(), seed));
    }
    all.spawn(trouble::nodes_fail(nodes, seed));
    if let Err(error) = ask(&traffic, seed, &mut all).await {
        say(&Said::Failed(format!("there is nobody to make traffic: {error}")));
    }
    while all.join_next().await.is_some() {}
}

/// Makes users and keys, writes their past usage, and sends their requests.
async fn ask(traffic: &Traffic, seed: u64, all: &mut JoinSet<()>) -> Result<(), ClientError> {
    let people = people::make(&traffic.socket).await?;
    if people.new {
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        say(&Said::Past(past::used(&people.credentials, &traffic.nodes, now, seed)));
    }
    if let Some((name, password)) = people.visitor {
        all.spawn(trouble::somebody_logs_in(traffic.gateway, name, password, seed));
    }
    let crowd = Crowd {
        gateway: traffic.gateway,
        credentials: people.credentials,
        control: Client::connect(&traffic.socket, "simulated clients").await?,
        amount: traffic.amount,
        seed,
    };
    for client in crowd.clients() {
        all.spawn(client);
    }
    Ok(())
}
