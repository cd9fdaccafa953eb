//! What simulated nodes are made of: cards, and the models one finds on such machines. Sizes are those of the
//! public Ollama library, rounded; speeds are plausible, not measured.

use sha2::{Digest as _, Sha256};

/// A machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hardware {
    /// What the label `gpu` says.
    pub(super) gpu: &'static str,
    /// Memory for models, bytes.
    pub(super) vram: u64,
    /// Against a machine of speed 1.
    pub(super) speed: f64,
    /// Requests at once.
    pub(super) parallel: u32,
    /// Ollama's version.
    pub(super) version: &'static str,
    /// Models it has, those it starts with in memory first.
    pub(super) models: &'static [&'static str],
    /// How many it starts with in memory.
    pub(super) loaded: usize,
}

const GB: u64 = 1_000_000_000;

/// The machines; one more than there are is like the first.
pub(super) const MACHINES: [Hardware; 4] = [
    Hardware {
        gpu: "RTX 4090 24 GB",
        vram: 24 * GB,
        speed: 1.0,
        parallel: 4,
        version: "0.14.2",
        models: &["llama3.2:3b", "qwen3:8b", "nomic-embed-text:latest", "mistral-small:24b", "phi4:14b"],
        loaded: 3,
    },
    Hardware {
        gpu: "A100 80 GB",
        vram: 80 * GB,
        speed: 1.7,
        parallel: 8,
        version: "0.14.2",
        models: &["llama3.3:70b", "qwen3:8b", "gpt-oss:20b", "nomic-embed-text:latest", "qwen2.5-coder:32b"],
        loaded: 2,
    },
    Hardware {
        gpu: "RTX 3060 12 GB",
        vram: 12 * GB,
        speed: 0.4,
        parallel: 2,
        version: "0.14.0",
        models: &["llama3.2:3b", "gemma3:4b", "nomic-embed-text:latest", "qwen3:8b"],
        loaded: 2,
    },
    Hardware {
        gpu: "L40S 48 GB",
        vram: 48 * GB,
        speed: 0.9,
        parallel: 6,
        version: "0.14.2",
        models: &["qwen2.5-coder:32b", "gpt-oss:20b", "llama3.1:8b", "nomic-embed-text:latest"],
        loaded: 1,
    },
];

/// A model, as its files are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights {
    /// Name with its tag.
    pub(super) name: String,
    /// Family.
    pub(super) family: String,
    /// Parameters, thousands of millions.
    pub(super) billions: f64,
    /// Quantization.
    pub(super) quantization: String,
    /// Bytes on disk.
    pub(super) size: u64,
    /// Context it was trained for, tokens.
    pub(super) context: u64,
    /// Whether it makes embeddings instead of text.
    pub(super) embeds: bool,
    /// Content digest, hexadecimal.
    pub(super) digest: String,
}

type Known = (&'static str, &'static str, f64, &'static str, u64, u64);

const LIBRARY: [Known; 15] = [
    ("llama3.2:3b", "llama", 3.2, "Q4_K_M", 2_019_393_189, 131_072),
    ("llama3.1:8b", "llama", 8.0, "Q4_K_M", 4_920_753_328, 131_072),
    ("llama3.3:70b", "llama", 70.6, "Q4_K_M", 42_520_413_916, 131_072),
    ("qwen3:8b", "qwen3", 8.2, "Q4_K_M", 5_225_388_164, 40_960),
    ("qwen3:32b", "qwen3", 32.8, "Q4_K_M", 20_201_253_588, 40_960),
    ("qwen2.5-coder:32b", "qwen2", 32.8, "Q4_K_M", 19_851_349_856, 32_768),
    ("gemma3:4b", "gemma3", 4.3, "Q4_K_M", 3_338_801_804, 131_072),
    ("gemma3:27b", "gemma3", 27.4, "Q4_K_M", 17_396_936_941, 131_072),
    ("mistral-small:24b", "llama", 23.6, "Q4_K_M", 14_333_921_552, 32_768),
    ("phi4:14b", "phi3", 14.7, "Q4_K_M", 9_053_116_391, 16_384),
    ("gpt-oss:20b", "gptoss", 20.9, "MXFP4", 13_793_441_244, 131_072),
    ("deepseek-r1:14b", "qwen2", 14.8, "Q4_K_M", 8_988_112_040, 131_072),
    ("nomic-embed-text:latest", "nomic-bert", 0.137, "F16", 274_302_450, 2048),
    ("mxbai-embed-large:latest", "bert", 0.334, "F16", 669_615_493, 512),
    ("all-minilm:latest", "bert", 0.023, "F16", 45_960_996, 256),
];

impl Weights {
    /// The model of this name; one that is not known is made up from its name. `latest` is added as a tag.
    pub(super) fn of(name: &str) -> Self {
        let tail = name.rsplit('/').next().unwrap_or(name);
        let name = if tail.contains(':') { name.to_owned() } else { format!("{name}:latest") };
        let digest = digest(&name);
        let known = LIBRARY.iter().find(|known| known.0.eq_ignore_ascii_case(&name));
        let (family, billions, quantization, size, context) = match known {
            Some((_, family, billions, quantization, size, context)) => {
                (*family, *billions, *quantization, *size, *context)
            }
            None => {
                let billions = billions(&name).unwrap_or(7.6);
                // A little more than half a byte for each parameter.
                let size = (billions * 0.62e9) as u64 + u64::from(digest.as_bytes()[0]) * 100_003;
                ("llama", billions, "Q4_K_M", size, 32_768)
            }
        };
        Self {
            embeds: family.contains("bert") || name.contains("embed"),
            family: family.to_owned(),
            billions,
            quantization: quantization.to_owned(),
            size,
            context,
            digest,
            name,
        }
    }

    /// Parameters as Ollama writes them: `8.2B`, `137M`.
    pub(super) fn parameters(&self) -> String {
        if self.billions < 1.0 {
            format!("{:.0}M", self.billions * 1000.0)
        } else {
            format!("{:.1}B", self.billions)
        }
    }

    /// Bytes of memory with a context of `context` tokens.
    pub(super) fn memory(&self, context: u64) -> u64 {
        let cache = (self.billions.sqrt() * 45_000.0 * context as f64) as u64;
        self.size + self.size / 20 + cache
    }
}

/// The size that a tag tells: `qwen3:8b`, `x:1.5b-instruct`.
fn billions(name: &str) -> Option<f64> {
    let tag = name.rsplit(':').next()?;
    let number = tag.split('-').find_map(|part| part.strip_suffix(['b', 'B']))?;
    number.parse().ok().filter(|billions| (0.01..=1000.0).contains(billions))
}

/// A digest that follows from the text, in hexadecimal.
pub(super) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_known_models_that_fit_it() {
        for machine in MACHINES {
            let models: Vec<Weights> = machine.models.iter().map(|name| Weights::of(name)).collect();
            for model in &models {
                assert!(LIBRARY.iter().any(|known| known.0 == model.name), "{}", model.name);
                assert!(model.memory(8192) <= machine.vram, "{} on {}", model.name, machine.gpu);
            }
            let loaded: u64 = models[..machine.loaded].iter().map(|model| model.memory(8192)).sum();
            assert!(loaded <= machine.vram, "{}: {loaded}", machine.gpu);
            assert!(models.iter().any(|model| model.embeds) && models.iter().any(|model| !model.embeds));
        }
    }

    #[test]
    fn any_name_is_a_model() {
        let known = Weights::of("qwen3:8b");
        assert_eq!((known.parameters().as_str(), known.quantization.as_str()), ("8.2B", "Q4_K_M"));
        let unknown = Weights::of("acme/assistant:13b-instruct");
        assert_eq!((unknown.billions, unknown.embeds), (13.0, false));
        assert!((8_000_000_000..8_200_000_000).contains(&unknown.size), "{}", unknown.size);
        assert_eq!(Weights::of("nomic-embed-text").name, "nomic-embed-text:latest");
        assert_eq!(Weights::of("nomic-embed-text").parameters(), "137M");
        assert_eq!(Weights::of("a/b").name, "a/b:latest");
        assert_eq!(unknown.digest.len(), 64);
    }
}
