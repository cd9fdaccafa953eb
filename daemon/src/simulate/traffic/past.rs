//! What the made-up clients used in the days before: a ledger that begins today has no month to show.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
};

use aivonx_domain::Outcome;
use aivonx_protocol::UnixMillis;
use aivonx_store::{
    StoreError, UsageLog,
    usage::{Code, DAY_MS, Part, Parties, UsageEntry, UsageName},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

use super::people::{Credential, price};

/// Days before today.
const DAYS: u64 = 29;

/// Writes it down. `nodes` are those who answered.
pub(super) async fn write(
    log: &UsageLog,
    people: &[Credential],
    nodes: &[String],
    now: UnixMillis,
    seed: u64,
) -> Result<(), StoreError> {
    let mut random = StdRng::seed_from_u64(seed ^ 0x9a57);
    let mut names = HashMap::new();
    let mut code = |part, id: &str, name: &str| {
        let code = Code::of(part, id);
        names.insert(code, UsageName { part, id: id.to_owned(), name: name.to_owned() });
        code
    };
    let mut entries = Vec::new();
    for ago in 1..=DAYS {
        let day = now / DAY_MS * DAY_MS - ago * DAY_MS;
        // Fewer on two days of seven, and a little more each week.
        let busy = if (day / DAY_MS + 4) % 7 >= 5 { 0.3 } else { 1.0 } * (1.3 - ago as f64 / 60.0);
        for Credential { name, party, .. } in people {
            let (organization, slug) = &party.organization;
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
                entries.push(UsageEntry {
                    time: day + random.random_range(0..DAY_MS),
                    request: Uuid::now_v7(),
                    parties: Parties {
                        organization: code(Part::Organization, organization, slug),
                        user: party.user.as_ref().map_or(Code::NONE, |(id, name)| code(Part::User, id, name)),
                        key: code(Part::Key, &party.key, name),
                        model: code(Part::Model, model, model),
                        served: Code::NONE,
                        node: node.map_or(Code::NONE, |node| code(Part::Node, node, node)),
                        route: code(Part::Route, "/api/chat", "/api/chat"),
                    },
                    address: Some(Ipv4Addr::LOCALHOST.into()),
                    // One entry stands for all of the day.
                    times: requests,
                    prompt: Some(prompt),
                    output: Some(output),
                    estimated: false,
                    cost: price(model, prompt, output),
                    status: 200,
                    outcome: Outcome::Complete as u8,
                    limit: None,
                    findings: BTreeMap::new(),
                    queued_ms: Some(requests / 10),
                    total_ms: requests.saturating_mul(1800),
                });
                if failed {
                    let last = entries.last().cloned().into_iter();
                    entries.extend(last.map(|entry| UsageEntry {
                        times: requests / 40 + 1,
                        output: Some(0),
                        prompt: Some(0),
                        cost: 0,
                        status: 502,
                        ..entry
                    }));
                }
            }
        }
    }
    log.append(entries, names.into_iter().collect()).await
}
