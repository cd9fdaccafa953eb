//! What else happens in a fleet: a node that goes down and comes back, models that are pulled, a guest who
//! guesses at passwords.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use aivonx_protocol::{
    Event, WireSecret,
    client::Client,
    job::{self, JobState},
    model, node,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::time::sleep;

use super::client::{Ask, ask};
use crate::FakeNode;

fn between(random: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(random.random_range(least * 1000..most * 1000))
}

/// A node goes down and comes back, now and then. One alone stays up.
pub(super) async fn nodes_fail(nodes: Vec<Arc<FakeNode>>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed ^ 0xd0_00);
    if nodes.len() < 2 {
        return;
    }
    sleep(between(&mut random, 40, 60)).await;
    loop {
        let node = &nodes[random.random_range(0..nodes.len())];
        node.set_up(false);
        sleep(between(&mut random, 30, 50)).await;
        node.set_up(true);
        sleep(between(&mut random, 90, 150)).await;
    }
}

/// Somebody tries passwords: enough at the beginning to be locked out, and now and then again.
pub(super) async fn logins_fail(gateway: SocketAddr, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed ^ 0x106);
    let names = ["mallory", "backup", "oracle", "guest"];
    for round in 0_usize.. {
        let name = names[round % names.len()];
        for attempt in 0..6 {
            let guess = Ask {
                path: "/api/account/login",
                body: json!({"username": name, "password": format!("password{attempt}")}),
                agent: "Mozilla/5.0 (compatible)",
                leaves_after: None,
            };
            ask(gateway, None, guess).await;
            sleep(Duration::from_millis(random.random_range(100..400))).await;
        }
        sleep(between(&mut random, 120, 240)).await;
    }
}

/// A user logs in, now and then anew.
pub(super) async fn somebody_logs_in(
    gateway: SocketAddr,
    name: &'static str,
    password: WireSecret,
    seed: u64,
) {
    let mut random = StdRng::seed_from_u64(seed ^ 0xa11);
    loop {
        let login = Ask {
            path: "/api/account/login",
            body: json!({"username": name, "password": password.expose()}),
            agent: "account-portal/2.0",
            leaves_after: None,
        };
        ask(gateway, None, login).await;
        sleep(between(&mut random, 200, 400)).await;
    }
}

/// Models pulled to one of the nodes, one after another.
const PULLED: [&str; 3] = ["gemma3:27b", "deepseek-r1:14b", "qwen3:32b"];

/// Models are pulled, and removed again a while later. Ends with the daemon.
pub(super) async fn models_come_and_go(socket: PathBuf, node: String, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed ^ 0x9);
    let Ok(client) = Client::connect(&socket, "simulated operator").await else { return };
    for model in PULLED.iter().cycle() {
        // A real node may have its name by now.
        let is_simulated =
            async || client.ask(node::Show { node: node.clone() }).await.is_ok_and(|node| node.simulated);
        let job = match is_simulated().await {
            true => client
                .ask(model::Pull { model: (*model).to_owned(), nodes: vec![node.clone()], insecure: false })
                .await
                .ok(),
            false => None,
        };
        // One that somebody has removed meanwhile, or that is down: perhaps next time.
        let Some(job) = job else {
            sleep(between(&mut random, 30, 60)).await;
            continue;
        };
        if let Ok(mut events) = client.follow(job::Follow { job: job.id.clone() }).await {
            while let Some(Ok(event)) = events.next().await {
                if matches!(&event, Event::Job(job) if job.state != JobState::Running) {
                    break;
                }
            }
        }
        sleep(between(&mut random, 45, 90)).await;
        if is_simulated().await {
            let _ = client.ask(model::Remove { model: (*model).to_owned(), node: Some(node.clone()) }).await;
        }
    }
}
