//! What a node said of itself at one check: its models and what it holds in memory, as it wrote them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use aivonx_domain::model_name;
use aivonx_protocol::UnixMillis;
use jiff::Timestamp;
use memchr::memmem;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Seen,
    node::{Counting, parse_version},
    via,
};

/// One good check's findings.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Version as reported.
    pub(super) version: Option<Box<str>>,
    /// Models it has, in its own order.
    pub(super) models: Vec<SeenModel>,
    /// Models in memory, in its own order.
    pub(super) loaded: Vec<SeenLoaded>,
    /// Whether it says what it holds in memory: then it loads and unloads models as it is asked to.
    pub(super) tells: bool,
}

/// A model as a node lists it.
#[derive(Debug)]
pub(super) struct SeenModel {
    /// Name as reported.
    pub(super) name: Box<str>,
    /// What the node wrote about it.
    pub(super) raw: Box<RawValue>,
    /// The parts of it that matter here.
    pub(super) facts: ModelFacts,
}

/// The parts of a listed model that the gateway reads. Anything may be absent, or of another type: servers write sizes
/// as `65.3` or `"4.7 GB"`, and nothing but the name is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelFacts {
    #[serde(deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    model: Option<String>,
    #[serde(deserialize_with = "lenient")]
    id: Option<String>,
    /// RFC 3339.
    #[serde(deserialize_with = "lenient")]
    pub(super) modified_at: Option<String>,
    /// Bytes on disk.
    #[serde(deserialize_with = "lenient")]
    pub(super) size: Option<u64>,
    /// Content digest.
    #[serde(deserialize_with = "lenient")]
    pub(super) digest: Option<String>,
    #[serde(deserialize_with = "lenient")]
    remote_host: Option<String>,
    #[serde(deserialize_with = "lenient")]
    remote_model: Option<String>,
    #[serde(deserialize_with = "lenient")]
    owned_by: Option<String>,
    #[serde(deserialize_with = "gateways")]
    aivonx_gateways: Option<Vec<String>>,
    /// Of llama.cpp as a router.
    #[serde(deserialize_with = "lenient")]
    status: Option<RouterStatus>,
    /// Family and the like.
    #[serde(deserialize_with = "lenient")]
    pub(super) details: Option<ModelDetails>,
}

/// Whether a router holds a model in memory.
#[derive(Debug, Deserialize)]
struct RouterStatus {
    value: String,
}

/// `details` of a listed model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelDetails {
    /// `llama`, `qwen3`.
    #[serde(deserialize_with = "lenient")]
    pub(super) family: Option<String>,
    /// `8.0B`.
    #[serde(deserialize_with = "lenient")]
    pub(super) parameter_size: Option<String>,
    /// `Q4_K_M`.
    #[serde(deserialize_with = "lenient")]
    pub(super) quantization_level: Option<String>,
}

/// A model in a node's memory.
#[derive(Debug)]
pub(super) struct SeenLoaded {
    /// Name as reported.
    pub(super) name: Box<str>,
    /// What the node wrote about it.
    pub(super) raw: Box<RawValue>,
    /// The parts of it that matter here.
    pub(super) facts: LoadedFacts,
}

/// The parts of a loaded model that the gateway reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoadedFacts {
    #[serde(deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    model: Option<String>,
    /// RFC 3339.
    #[serde(deserialize_with = "lenient")]
    pub(super) expires_at: Option<String>,
    /// Bytes of GPU memory.
    #[serde(deserialize_with = "lenient")]
    pub(super) size_vram: Option<u64>,
    /// Tokens.
    #[serde(deserialize_with = "lenient")]
    pub(super) context_length: Option<u64>,
    node: Option<serde::de::IgnoredAny>,
}

impl ModelFacts {
    /// The gateways that a request for this model goes through, as far as they said so, the last one first.
    pub(super) fn gateways(&self) -> impl Iterator<Item = &str> {
        self.aivonx_gateways.iter().flatten().map(String::as_str)
    }

    /// Whether the node hands this model's prompts on to a third party.
    #[must_use]
    pub(super) fn remote(&self) -> bool {
        [&self.remote_host, &self.remote_model].into_iter().flatten().any(|text| !text.is_empty())
    }
}

impl SeenModel {
    /// Whether the node says that it holds the model in memory; None if it says nothing of that.
    pub(super) fn is_loaded(&self) -> Option<bool> {
        self.facts.status.as_ref().map(|status| status.value == "loaded" || status.value == "sleeping")
    }

    /// The engine, as far as it names itself.
    pub(super) fn owner(&self) -> &str {
        self.facts.owned_by.as_deref().unwrap_or_default()
    }

    /// The same as a model in memory.
    pub(super) fn as_loaded(&self) -> SeenLoaded {
        SeenLoaded { name: self.name.clone(), raw: self.raw.clone(), facts: LoadedFacts::default() }
    }
}

impl LoadedFacts {
    /// When it leaves memory.
    pub(super) fn expires(&self) -> Option<UnixMillis> {
        let at: Timestamp = self.expires_at.as_deref()?.parse().ok()?;
        u64::try_from(at.as_millisecond()).ok()
    }

    /// Whether the node itself writes a field `node`.
    pub(super) fn has_node(&self) -> bool {
        self.node.is_some()
    }
}

/// A value of the type that is wanted; one of another type counts as absent.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(value: D) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(value)?.get();
    Ok(serde_json::from_str(raw).ok().or_else(|| last_of_each(raw.as_bytes())))
}

/// Most gateways in a row.
const MOST_GATEWAYS: usize = 16;

/// The first [`MOST_GATEWAYS`] names of a list; none of anything else.
fn gateways<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<String>>, D::Error> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of gateways")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut listed: A) -> Result<Vec<String>, A::Error> {
            let mut names = Vec::new();
            while let Some(raw) = listed.next_element::<&RawValue>()? {
                if names.len() < MOST_GATEWAYS {
                    names.extend(serde_json::from_str::<String>(raw.get()));
                }
            }
            Ok(names)
        }
    }

    let raw = <&RawValue>::deserialize(value)?.get();
    Ok(Some(serde_json::Deserializer::from_str(raw).deserialize_seq(Names).unwrap_or_default()))
}

/// Leaves out of the models that a node lists those that it has from here: two gateways that are nodes of each other
/// would go on listing a model for each other that no node has any more. If the node is a `gateway`, its name is
/// added to the others, for the gateways that list them in turn.
pub(super) fn without_circles(models: &mut Vec<SeenModel>, gateway: Option<&str>) {
    models.retain_mut(|model| {
        let mut path: Vec<String> = model.facts.gateways().map(str::to_owned).collect();
        if path.len() >= MOST_GATEWAYS || path.iter().any(|name| name == via::pseudonym()) {
            return false;
        }
        if let Some(gateway) = gateway {
            path.push(gateway.to_owned());
            model.set_gateways(path);
        }
        true
    });
}

impl SeenModel {
    /// Writes `gateways` into what the node wrote.
    fn set_gateways(&mut self, gateways: Vec<String>) {
        match self.raw.get().strip_suffix('}') {
            // It has a name at least.
            Some(body) if self.facts.aivonx_gateways.is_none() => {
                let listed = serde_json::Value::from(gateways.as_slice());
                let text = format!("{},\"aivonx_gateways\":{listed}}}", body.trim_end());
                if let Ok(raw) = RawValue::from_string(text) {
                    self.raw = raw;
                }
            }
            _ => set(&mut self.raw, "aivonx_gateways", gateways.as_slice().into()),
        }
        self.facts.aivonx_gateways = Some(gateways);
    }
}

/// An object whose members stay as they were written; of one that stands twice the last, as for most who read JSON.
type Object<'a> = BTreeMap<String, &'a RawValue>;

/// Sets a member of an object. What is no object stays as it is.
fn set(raw: &mut Box<RawValue>, member: &str, value: serde_json::Value) {
    let written = || {
        let value = serde_json::value::to_raw_value(&value)?;
        let mut object: Object<'_> = serde_json::from_str(raw.get())?;
        object.insert(member.to_owned(), &value);
        serde_json::value::to_raw_value(&object)
    };
    if let Ok(written) = written() {
        *raw = written;
    }
}

/// The name of an entry, which stands in `member`, or else in one of `others`: clients look for it in `member` alone.
fn named(
    raw: &mut Box<RawValue>,
    member: &str,
    name: Option<String>,
    others: [Option<String>; 2],
) -> Result<Box<str>, String> {
    let is_there = name.is_some();
    let name = name.into_iter().chain(others.into_iter().flatten()).next();
    let name = name.filter(|name| !name.is_empty() && name.len() <= 1024);
    let name = name.ok_or("a model in the list has no name")?;
    if !is_there {
        set(raw, member, name.as_str().into());
    }
    Ok(name.into())
}

#[derive(Deserialize)]
struct Listed {
    /// It must be there, though it may be null.
    #[serde(deserialize_with = "Option::deserialize")]
    models: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct OpenaiListed {
    /// It must be there, though it may be null.
    #[serde(deserialize_with = "Option::deserialize")]
    data: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// Reads `GET /api/version`.
pub(super) fn read_version(body: &[u8]) -> Result<Box<str>, String> {
    let version: Version = read(body, r#"{"version":"..."}"#)?;
    match version.version.trim() {
        "" => Err("the version is empty".into()),
        text if text.len() > 64 => Err("the version is longer than 64 bytes".into()),
        text => Ok(text.into()),
    }
}

/// Reads `GET /api/tags`. Go writes an empty list as `null` in places.
pub(super) fn read_tags(body: &[u8]) -> Result<Vec<SeenModel>, String> {
    let listed: Listed = read(body, r#"{"models":[...]}"#)?;
    readable(listed.models, |mut raw| {
        let mut facts: ModelFacts = entry(&raw)?;
        let name = named(&mut raw, "name", facts.name.take(), [facts.model.take(), facts.id.take()])?;
        Ok(SeenModel { name, facts, raw })
    })
}

/// Reads `GET /v1/models`, which some hosts answer with the list alone. The `id` is what requests name a model by; a
/// `name` beside it is for people.
pub(super) fn read_openai(body: &[u8]) -> Result<Vec<SeenModel>, String> {
    const EXPECTED: &str = r#"{"data":[...]}"#;
    let listed = if unmarked(body).trim_ascii_start().starts_with(b"[") {
        read(body, EXPECTED)?
    } else {
        read::<OpenaiListed>(body, EXPECTED)?.data
    };
    readable(listed, |mut raw| {
        let mut facts: ModelFacts = entry(&raw)?;
        let name = named(&mut raw, "id", facts.id.take(), [facts.name.take(), facts.model.take()])?;
        Ok(SeenModel { name, facts, raw })
    })
}

/// Reads `GET /api/ps`.
pub(super) fn read_ps(body: &[u8]) -> Result<Vec<SeenLoaded>, String> {
    let listed: Listed = read(body, r#"{"models":[...]}"#)?;
    readable(listed.models, |mut raw| {
        let mut facts: LoadedFacts = entry(&raw)?;
        let name = named(&mut raw, "name", facts.name.take(), [facts.model.take(), None])?;
        Ok(SeenLoaded { name, facts, raw })
    })
}

/// The entries of a list that can be read: an odd one does not cost the others. A list of nothing else is something
/// else than a list of models.
fn readable<T>(
    listed: Option<Vec<Box<RawValue>>>,
    read: impl Fn(Box<RawValue>) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut entries = Vec::new();
    let mut odd = None;
    for raw in listed.unwrap_or_default() {
        match read(raw) {
            Ok(entry) => entries.push(entry),
            Err(why) => odd = odd.or(Some(why)),
        }
    }
    odd.filter(|_| entries.is_empty()).map_or(Ok(entries), Err)
}

fn entry<T: DeserializeOwned>(raw: &RawValue) -> Result<T, String> {
    if !raw.get().starts_with('{') {
        return Err("a model in the list is no object".into());
    }
    let read = serde_json::from_str(raw.get()).or_else(|e| last_of_each(raw.get().as_bytes()).ok_or(e));
    read.map_err(|e| format!("a model in the list cannot be read: {e}"))
}

/// The body without a byte order mark, which some servers begin it with.
fn unmarked(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Reads an object in which members stand twice.
fn last_of_each<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let object: Object<'_> = serde_json::from_slice(json).ok()?;
    serde_json::from_str(&serde_json::to_string(&object).ok()?).ok()
}

fn read<T: DeserializeOwned>(body: &[u8], expected: &str) -> Result<T, String> {
    let body = unmarked(body);
    let html = body.trim_ascii_start().starts_with(b"<");
    let lenient = || match without_nan(body) {
        _ if html => None,
        Some(body) => serde_json::from_slice(&body).ok().or_else(|| last_of_each(&body)),
        None => last_of_each(body),
    };
    serde_json::from_slice(body).or_else(|e| lenient().ok_or(e)).map_err(|e| {
        if html { format!("it is HTML, not {expected}") } else { format!("it is not {expected}: {e}") }
    })
}

/// The body with null in the place of the numbers that JSON does not have and Python writes all the same; None without
/// any.
fn without_nan(body: &[u8]) -> Option<Vec<u8>> {
    memmem::find(body, b"NaN").or_else(|| memmem::find(body, b"Infinity"))?;
    let mut out = Vec::with_capacity(body.len());
    let (mut copied, mut at, mut quoted) = (0, 0, false);
    while let Some(byte) = body.get(at) {
        let number = match byte {
            b'-' | b'I' | b'N' if !quoted => ["-Infinity", "Infinity", "NaN"]
                .into_iter()
                .find(|name| body[at..].starts_with(name.as_bytes())),
            _ => None,
        };
        if let Some(name) = number {
            out.extend_from_slice(&body[copied..at]);
            out.extend_from_slice(b"null");
            copied = at + name.len();
        }
        quoted ^= *byte == b'"';
        at += match number {
            Some(name) => name.len(),
            None if quoted && *byte == b'\\' => 2,
            None => 1,
        };
    }
    out.extend_from_slice(&body[copied..]);
    Some(out)
}

/// What a version text says. Builds from source and those of distributions all say 0.0.0, which is not a version.
fn known_version(text: &str) -> Option<(u32, u32, u32)> {
    parse_version(text).filter(|version| *version != (0, 0, 0))
}

impl Inventory {
    /// How the engine counts the tokens of a stream, if it says which one it is.
    pub(super) fn counting(&self) -> Option<Counting> {
        match self.models.first()?.facts.owned_by.as_deref()? {
            "llamacpp" => Some(Counting::Unasked),
            "vllm" | "sglang" => Some(Counting::Usage),
            _ => None,
        }
    }

    /// The part of it that the data path needs.
    #[must_use]
    pub(super) fn seen(&self) -> Seen {
        Seen {
            version: self.version.as_ref().and_then(|text| Some((text.clone(), known_version(text)?))),
            loaded: self.loaded.iter().map(|m| model_name::normalize(&m.name).into()).collect(),
            dozes: self.dozes(),
        }
    }

    /// Whether it is vLLM in its sleep mode: it says that it holds nothing. Other engines load what a request asks for.
    fn dozes(&self) -> bool {
        self.tells
            && self.loaded.is_empty()
            && self.models.first().is_some_and(|model| model.owner() == "vllm")
    }

    /// The loaded models by normal name.
    #[must_use]
    pub(super) fn loaded_by_name(&self) -> HashMap<Box<str>, &SeenLoaded> {
        self.loaded.iter().map(|m| (model_name::normalize(&m.name).into(), m)).collect()
    }
}

impl PartialEq for Inventory {
    /// Equal if the node wrote the same: everything else follows from that.
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
            && self.tells == other.tells
            && self.models.iter().map(|m| m.raw.get()).eq(other.models.iter().map(|m| m.raw.get()))
            && self.loaded.iter().map(|m| m.raw.get()).eq(other.loaded.iter().map(|m| m.raw.get()))
    }
}

#[cfg(test)]
#[path = "inventory_tests.rs"]
mod tests;
