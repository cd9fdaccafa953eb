//! The made-up clients: each asks, reads, thinks, and asks again.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use aivonx_protocol::{client::Client as Control, node};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    client::{Ask, ask},
    people::Credential,
};
use crate::{link::Amount, words::Words};

/// How one of them asks.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    /// `/api/chat`
    Chat,
    /// `/api/generate`
    Generate,
    /// `/v1/chat/completions`
    Openai,
    /// `/v1/messages`
    Anthropic,
    /// `/v1/responses`
    Responses,
    /// `/api/embed`
    Embed,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
struct Client {
    key: &'static str,
    agent: &'static str,
    dialect: Dialect,
    models: &'static [&'static str],
    /// Milliseconds between an answer and the next question.
    thinks: (u64, u64),
    /// Share of questions whose answer is not read to its end.
    leaves: f64,
    /// Share of questions that cannot be answered: a model nobody has, or a prompt that is too long.
    errs: f64,
}

const CLIENTS: [Client; 8] = [
    Client {
        key: "alice-laptop",
        agent: "OpenAI/Python 2.8.0",
        dialect: Dialect::Openai,
        models: &["qwen3:8b", "llama3.2:3b"],
        thinks: (1500, 6000),
        leaves: 0.0,
        errs: 0.02,
    },
    Client {
        key: "bob-editor",
        agent: "ollama/0.14.2 (amd64 linux)",
        dialect: Dialect::Chat,
        models: &["llama3.2:3b", "phi4:14b", "qwen3:8b"],
        thinks: (2000, 7000),
        leaves: 0.15,
        errs: 0.0,
    },
    Client {
        key: "ci",
        agent: "python-httpx/0.28.1",
        dialect: Dialect::Responses,
        models: &["qwen3:8b", "gpt-oss:20b"],
        thinks: (4000, 12_000),
        leaves: 0.0,
        errs: 0.06,
    },
    Client {
        key: "carol-desk",
        agent: "Anthropic/Python 0.75.0",
        dialect: Dialect::Anthropic,
        models: &["gpt-oss:20b", "qwen3:8b"],
        thinks: (2500, 8000),
        leaves: 0.05,
        errs: 0.0,
    },
    Client {
        key: "dave-notebook",
        agent: "ollama-python/0.6.1",
        dialect: Dialect::Generate,
        models: &["llama3.2:3b", "gemma3:4b"],
        thinks: (1000, 5000),
        leaves: 0.0,
        errs: 0.03,
    },
    Client {
        key: "erin-papers",
        agent: "curl/8.14.1",
        dialect: Dialect::Openai,
        models: &["llama3.3:70b", "mistral-small:24b"],
        thinks: (4000, 15_000),
        leaves: 0.05,
        errs: 0.0,
    },
    Client {
        key: "indexer",
        agent: "indexer/3.1",
        dialect: Dialect::Embed,
        models: &["nomic-embed-text"],
        thinks: (700, 2200),
        leaves: 0.0,
        errs: 0.0,
    },
    Client {
        key: "support-bot",
        agent: "support-bot/1.4 (node)",
        dialect: Dialect::Openai,
        models: &["llama3.2:3b", "qwen3:8b"],
        thinks: (1200, 4500),
        leaves: 0.1,
        errs: 0.08,
    },
];

/// What the client with this key asks for.
pub(super) fn models(key: &str) -> &'static [&'static str] {
    CLIENTS.iter().find(|client| client.key == key).map_or(&[], |client| client.models)
}

/// Longest prompt that anyone may send, and more: characters.
const TOO_LONG: usize = 9000;

/// A crowd of made-up clients.
pub(super) struct Crowd {
    /// Where they ask.
    pub(super) gateway: SocketAddr,
    /// What they ask with.
    pub(super) credentials: Vec<Credential>,
    /// Where they look which nodes are not simulated, to spare those.
    pub(super) control: Control,
    /// How much they ask.
    pub(super) amount: Amount,
    /// Seed of their random choices: crowds with different seeds behave differently.
    pub(super) seed: u64,
}

impl Crowd {
    /// One future for each client, none of which ends.
    pub(super) fn clients(self) -> Vec<impl Future<Output = ()> + Send + 'static> {
        let times = match self.amount {
            Amount::Light => 1,
            Amount::Busy => 3,
        };
        let crowd = Arc::new(self);
        let all = (0..times).flat_map(|_| CLIENTS).zip(1_u64..);
        all.map(|(client, number)| {
            let crowd = crowd.clone();
            let random = StdRng::seed_from_u64(crowd.seed.wrapping_mul(31).wrapping_add(number));
            async move { crowd.be(client, random).await }
        })
        .collect()
    }

    async fn be(&self, client: Client, mut random: StdRng) {
        let Some(credential) = self.credentials.iter().find(|found| found.name == client.key) else { return };
        // Not all at the same moment, and all within the first second.
        sleep(Duration::from_millis(random.random_range(0..900))).await;
        loop {
            let question = client.question(&mut random);
            let model = question.body["model"].as_str().unwrap_or_default();
            let status = match self.spares(model).await {
                true => None,
                false => ask(self.gateway, Some(&credential.secret), question).await,
            };
            let (least, most) = client.thinks;
            let mut pause = Duration::from_millis(random.random_range(least..most));
            if self.amount == Amount::Busy {
                pause /= 2;
            }
            if !status.is_some_and(|status| (200..300).contains(&status)) {
                // Refused, or nobody there: people try again a little later.
                pause += Duration::from_millis(random.random_range(500..3000));
            }
            if status == Some(429) {
                pause += Duration::from_secs(10);
            }
            sleep(pause).await;
        }
    }

    /// Whether a node that is not simulated might have to work for this.
    async fn spares(&self, model: &str) -> bool {
        let has = |name: &String| name == model || name.strip_suffix(":latest") == Some(model);
        let nodes = self.control.ask(node::List).await;
        !nodes.is_ok_and(|nodes| nodes.iter().all(|node| node.simulated || !node.models.iter().any(has)))
    }
}

impl Client {
    fn question(&self, random: &mut StdRng) -> Ask {
        let errs = random.random_bool(self.errs);
        let too_long = errs && self.key == "support-bot";
        let model = match self.models.choose(random) {
            Some(model) if !errs || too_long => *model,
            _ => "llama4:maverick",
        };
        let mut prompt: String = Words::new(random.random()).take(random.random_range(12..140)).collect();
        if random.random_bool(0.04) {
            // What privacy settings are for.
            prompt += " Write to jane.doe@example.com about it.";
        }
        while too_long && prompt.len() < TOO_LONG {
            let more: String = Words::new(random.random()).take(400).collect();
            prompt += &more;
        }
        let messages = json!([{"role": "user", "content": prompt}]);
        let (path, body) = match self.dialect {
            Dialect::Chat => ("/api/chat", json!({"model": model, "messages": messages})),
            Dialect::Generate => ("/api/generate", json!({"model": model, "prompt": prompt})),
            Dialect::Openai => {
                ("/v1/chat/completions", json!({"model": model, "messages": messages, "stream": true}))
            }
            Dialect::Anthropic => (
                "/v1/messages",
                json!({"model": model, "messages": messages, "max_tokens": 200, "stream": true}),
            ),
            Dialect::Responses => ("/v1/responses", json!({"model": model, "input": prompt})),
            Dialect::Embed => ("/api/embed", json!({"model": model, "input": sentences(&prompt)})),
        };
        let leaves_after = random.random_bool(self.leaves).then(|| random.random_range(3..25));
        Ask { path, body, agent: self.agent, leaves_after }
    }
}

fn sentences(text: &str) -> Vec<Value> {
    text.split_inclusive('.').map(|sentence| Value::from(sentence.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_follow_from_the_seed() {
        let asked = |seed| {
            let mut random = StdRng::seed_from_u64(seed);
            CLIENTS.map(|client| client.question(&mut random).body.to_string())
        };
        assert_eq!(asked(1), asked(1));
        assert_ne!(asked(1), asked(2));
    }

    #[test]
    fn every_client_asks_for_what_some_machine_has() {
        use crate::MACHINES;
        // Three machines are what the demo has.
        let there = |model: &str| {
            let name = crate::Model::known(model).name;
            MACHINES[..3].iter().any(|machine| machine.models.contains(&&*name))
        };
        for client in CLIENTS {
            assert!(client.models.iter().all(|model| there(model)), "{client:?}");
        }
        assert!(!there("llama4:maverick"), "what is asked for in error");
    }
}
