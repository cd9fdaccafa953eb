//! Models of a node, on disk and in memory.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// How long a model stays in memory unless the request says.
const KEEP: SignedDuration = SignedDuration::from_mins(5);
/// What stands for "for ever".
const FOR_EVER: SignedDuration = SignedDuration::from_hours(24 * 365 * 100);

/// One model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Name as the node reports it.
    pub name: String,
    /// Bytes on disk.
    pub size: u64,
    /// Digest, hexadecimal.
    pub digest: String,
    /// Digest of its weights, in hexadecimal.
    pub weights: String,
    /// When it was last modified.
    pub modified_at: Timestamp,
    /// Family.
    pub family: String,
    /// Set while it is in memory.
    pub loaded: Option<Loaded>,
    /// Set for a model the node hands on to a third party.
    pub remote_host: Option<String>,
    /// Parameters, thousands of millions.
    pub(crate) billions: f64,
    pub(crate) quantization: &'static str,
    /// Context it was trained for, tokens.
    pub(crate) context: u64,
    /// Whether its context takes memory beside its weights.
    cached: bool,
}

/// A model in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    pub(crate) expires: Timestamp,
    /// When it was last used.
    pub(crate) used: Timestamp,
    /// Bytes.
    pub(crate) memory: u64,
    /// Tokens.
    pub(crate) context: u64,
}

/// How long a model is kept in memory after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// As long as usual.
    Usual,
    /// This long; negative is for ever.
    For(SignedDuration),
}

impl Keep {
    /// The `keep_alive` of a request: seconds, or a duration such as `5m` or `1h30m`.
    pub(crate) fn of(body: &Value) -> Self {
        let seconds = |seconds: f64| SignedDuration::try_from_secs_f64(seconds).ok();
        let kept = match body.get("keep_alive") {
            Some(Value::Number(number)) => number.as_f64().and_then(seconds),
            Some(Value::String(text)) => go_duration(text).and_then(seconds),
            _ => None,
        };
        kept.map_or(Self::Usual, Self::For)
    }

    pub(crate) fn is_zero(self) -> bool {
        self == Self::For(SignedDuration::ZERO)
    }
}

/// A duration as Go reads it, in seconds.
fn go_duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let scale = match &unit[..end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * scale;
        rest = &unit[end..];
    }
    (!text.is_empty()).then_some(sign * sum)
}

/// Models of the public Ollama library: name, family, parameters (thousands of millions), quantization, bytes, and
/// context in tokens; sizes are rounded.
const LIBRARY: [(&str, &str, f64, &str, u64, u64); 15] = [
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

impl Model {
    /// A small model for tests; its digest follows from the name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            size: 1_234_567_890,
            digest: digest(name),
            weights: digest(name),
            modified_at: Timestamp::constant(1_767_323_045, 678_901_234),
            family: "llama".to_owned(),
            loaded: None,
            remote_host: None,
            billions: 3.2,
            quantization: "Q4_K_M",
            context: 131_072,
            cached: false,
        }
    }

    /// The model of this name in the library; another is made up from its name. `latest` is added as a tag.
    pub(crate) fn known(name: &str) -> Self {
        let name = tagged(name);
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
            family: family.to_owned(),
            modified_at: Timestamp::now(),
            loaded: None,
            remote_host: None,
            cached: true,
            billions,
            quantization,
            size,
            context,
            weights: digest.clone(),
            digest,
            name,
        }
    }

    #[cfg(test)]
    pub(crate) fn is_in_library(&self) -> bool {
        LIBRARY.iter().any(|known| known.0 == self.name)
    }

    /// Puts it into memory, to stay there.
    pub fn load(&mut self) {
        self.keep(self.context, Keep::For(FOR_EVER));
    }

    /// Puts it into memory with this context, or keeps it there, for so long from now on.
    pub(crate) fn keep(&mut self, context: u64, keep: Keep) {
        let now = Timestamp::now();
        let keep = match keep {
            Keep::Usual => KEEP,
            Keep::For(time) if time.is_negative() => FOR_EVER,
            Keep::For(time) => time,
        };
        let expires = now.checked_add(keep).unwrap_or(Timestamp::MAX);
        self.loaded = Some(Loaded { expires, used: now, memory: self.memory(context), context });
    }

    /// Bytes of memory with a context of `context` tokens.
    pub(crate) fn memory(&self, context: u64) -> u64 {
        if !self.cached {
            return self.size;
        }
        let cache = (self.billions.sqrt() * 45_000.0 * context as f64) as u64;
        self.size + self.size / 20 + cache
    }

    /// Whether it makes embeddings instead of text.
    pub(crate) fn embeds(&self) -> bool {
        self.family.contains("bert") || self.name.contains("embed")
    }

    /// Parameters as Ollama writes them: `8.2B`, `137M`.
    pub(crate) fn parameters(&self) -> String {
        if self.billions < 1.0 {
            format!("{:.0}M", self.billions * 1000.0)
        } else {
            format!("{:.1}B", self.billions)
        }
    }

    /// Whether a client of an Ollama means this model by `name`: case, the default registry and the tag `latest` may
    /// be left out.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        normal(&self.name) == normal(name)
    }
}

fn normal(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("registry.ollama.ai/").unwrap_or(&name);
    tagged(name.strip_prefix("library/").unwrap_or(name))
}

/// The name with its tag; without one, `latest`.
pub(crate) fn tagged(name: &str) -> String {
    let tail = name.rsplit('/').next().unwrap_or(name);
    if tail.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

/// Billions of parameters as the tag says: `qwen3:8b`, `x:1.5b-instruct`.
fn billions(name: &str) -> Option<f64> {
    let tag = name.rsplit(':').next()?;
    let number = tag.split('-').find_map(|part| part.strip_suffix(['b', 'B']))?;
    number.parse().ok().filter(|billions| (0.01..=1000.0).contains(billions))
}

/// A digest that follows from the text, in hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_a_model() {
        let known = Model::known("qwen3:8b");
        assert_eq!((known.parameters().as_str(), known.quantization), ("8.2B", "Q4_K_M"));
        let unknown = Model::known("acme/assistant:13b-instruct");
        assert_eq!((unknown.billions, unknown.embeds()), (13.0, false));
        assert!((8_000_000_000..8_200_000_000).contains(&unknown.size), "{}", unknown.size);
        assert_eq!(Model::known("nomic-embed-text").name, "nomic-embed-text:latest");
        assert_eq!(Model::known("nomic-embed-text").parameters(), "137M");
        assert_eq!(Model::known("a/b").name, "a/b:latest");
        assert_eq!(unknown.digest.len(), 64);
        assert!(known.is_called("registry.ollama.ai/library/QWEN3:8b") && !known.is_called("qwen3"));
    }

    #[test]
    fn keep_alive_is_read_as_ollama_reads_it() {
        let of = |value: Value| Keep::of(&serde_json::json!({ "keep_alive": value }));
        let secs = |n| Keep::For(SignedDuration::from_secs(n));
        for (value, keep) in [
            (0.into(), secs(0)),
            (90.into(), secs(90)),
            ((-1).into(), secs(-1)),
            ("5m".into(), secs(300)),
            ("1h30m".into(), secs(5400)),
            ("-1s".into(), secs(-1)),
            ("0".into(), secs(0)),
            ("1500ms".into(), Keep::For(SignedDuration::from_millis(1500))),
            ("soon".into(), Keep::Usual),
            ("".into(), Keep::Usual),
            (Value::Null, Keep::Usual),
        ] {
            assert_eq!(of(value.clone()), keep, "{value}");
        }
    }
}
