//! Machines that nodes are simulated on, and what work costs there. Speeds are plausible, not measured.

use std::time::Duration;

use rand::Rng;

use crate::model::Model;

/// Bytes that go from disk to memory in a second.
const LOADING: f64 = 6e9;
/// Longest time to load a model, seconds: nobody watches a simulation for minutes.
const LOADING_MAX: f64 = 4.0;

/// A machine.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Value of the node's label `gpu`.
    pub gpu: &'static str,
    /// Requests at once; the others wait.
    pub parallel: u32,
    /// Memory for models, bytes.
    pub(crate) vram: u64,
    /// Relative to a machine of speed 1.
    speed: f64,
    /// Ollama's version.
    pub(crate) version: &'static str,
    /// Models on disk, those it starts with in memory first.
    pub(crate) models: &'static [&'static str],
    /// How many it starts with in memory.
    pub(crate) loaded: usize,
}

const GB: u64 = 1_000_000_000;

/// The machines; a fifth node is like the first.
pub const MACHINES: [Machine; 4] = [
    Machine {
        gpu: "RTX 4090 24 GB",
        vram: 24 * GB,
        speed: 1.0,
        parallel: 4,
        version: "0.14.2",
        models: &["llama3.2:3b", "qwen3:8b", "nomic-embed-text:latest", "mistral-small:24b", "phi4:14b"],
        loaded: 3,
    },
    Machine {
        gpu: "A100 80 GB",
        vram: 80 * GB,
        speed: 1.7,
        parallel: 8,
        version: "0.14.2",
        models: &["llama3.3:70b", "qwen3:8b", "gpt-oss:20b", "nomic-embed-text:latest", "qwen2.5-coder:32b"],
        loaded: 2,
    },
    Machine {
        gpu: "RTX 3060 12 GB",
        vram: 12 * GB,
        speed: 0.4,
        parallel: 2,
        version: "0.14.0",
        models: &["llama3.2:3b", "gemma3:4b", "nomic-embed-text:latest", "qwen3:8b"],
        loaded: 2,
    },
    Machine {
        gpu: "L40S 48 GB",
        vram: 48 * GB,
        speed: 0.9,
        parallel: 6,
        version: "0.14.2",
        models: &["qwen2.5-coder:32b", "gpt-oss:20b", "llama3.1:8b", "nomic-embed-text:latest"],
        loaded: 1,
    },
];

impl Machine {
    /// Time from one token of the model to the next when so many requests are at work.
    pub(crate) fn pace(&self, model: &Model, at_work: usize) -> Duration {
        let alone = 190.0 * self.speed / model.billions.max(1.0).powf(0.75);
        let shared = alone / (1.0 + 0.12 * at_work.saturating_sub(1) as f64);
        Duration::from_secs_f64(1.0 / shared.clamp(4.0, 70.0))
    }

    /// Time to read a prompt of so many tokens.
    pub(crate) fn reading(&self, model: &Model, tokens: u64) -> Duration {
        let speed = 9000.0 * self.speed / model.billions.max(0.5);
        Duration::from_secs_f64((0.03 + tokens as f64 / speed).min(10.0))
    }

    /// Time to put a model into memory.
    pub(crate) fn loading(model: &Model, random: &mut impl Rng) -> Duration {
        let seconds = (model.size as f64 / LOADING + 0.15).min(LOADING_MAX);
        Duration::from_secs_f64(seconds * random.random_range(0.9..1.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_known_models_that_fit_it() {
        for machine in MACHINES {
            let models: Vec<Model> = machine.models.iter().map(|name| Model::known(name)).collect();
            for model in &models {
                assert!(model.is_in_library(), "{}", model.name);
                assert!(model.memory(8192) <= machine.vram, "{} on {}", model.name, machine.gpu);
            }
            let loaded: u64 = models[..machine.loaded].iter().map(|model| model.memory(8192)).sum();
            assert!(loaded <= machine.vram, "{}: {loaded}", machine.gpu);
            assert!(models.iter().any(Model::embeds) && models.iter().any(|model| !model.embeds()));
        }
    }
}
