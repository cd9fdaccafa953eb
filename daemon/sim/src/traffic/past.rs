//! What the made-up clients used in the days before: a ledger that begins today has no month to show.

use aivonx_protocol::UnixMillis;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::people::{Credential, price};
use crate::link::Used;

/// Days before today.
const DAYS: u64 = 29;
const DAY_MS: u64 = 86_400_000;

/// All of it. `nodes` are those who answered.
pub(super) fn used(people: &[Credential], nodes: &[String], now: UnixMillis, seed: u64) -> Vec<Used> {
    let mut random = StdRng::seed_from_u64(seed ^ 0x9a57);
    let mut all = Vec::new();
    for ago in 1..=DAYS {
        let day = now / DAY_MS * DAY_MS - ago * DAY_MS;
        // Fewer on two days of seven, and a little more each week.
        let busy = if (day / DAY_MS + 4) % 7 >= 5 { 0.3 } else { 1.0 } * (1.3 - ago as f64 / 60.0);
        for Credential { name, party, .. } in people {
            for model in super::clients::models(name) {
                let requests = (random.random_range(60.0..240.0) * busy) as u32 + 1;
                let prompt = u64::from(requests) * random.random_range(60..160);
                let output = if model.contains("embed") {
                    0
                } else {
                    u64::from(requests) * random.random_range(50..110)
                };
                let failed = random.random_bool(0.15);
                let node = nodes.get(random.random_range(0..nodes.len().max(1)));
                let used = Used {
                    time: day + random.random_range(0..DAY_MS),
                    organization: party.organization.clone(),
                    user: party.user.clone(),
                    key: (party.key.clone(), (*name).to_owned()),
                    model: (*model).to_owned(),
                    node: node.cloned(),
                    // One entry stands for all of the day.
                    requests,
                    prompt,
                    output,
                    cost: price(model, prompt, output),
                    status: 200,
                };
                let failure = Used {
                    requests: requests / 40 + 1,
                    output: 0,
                    prompt: 0,
                    cost: 0,
                    status: 502,
                    ..used.clone()
                };
                all.push(used);
                all.extend(failed.then_some(failure));
            }
        }
    }
    all
}
