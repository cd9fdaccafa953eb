//! Aliases among the models that the gateway lists.

use std::borrow::Cow;

use aivonx_domain::{model_name, table};
use aivonx_fleet::{Lists, RoutingRules, Snapshot};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::Rules;

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Of `GET /api/tags`.
    Tags,
    /// Of `GET /v1/models`, as OpenAI has it.
    Models,
}

#[derive(Deserialize)]
struct Tags<'a> {
    #[serde(borrow)]
    models: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Id<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// The caller's list of models with its aliases at the end: each looks like the first model of its list that is there,
/// under its own name. An alias in the place of a model of the same name is not listed twice, and one none of
/// whose models is there not at all.
#[must_use]
pub fn with_aliases(shape: Shape, rules: &Rules, snapshot: &Snapshot, eligible: &RoutingRules) -> Bytes {
    let own = snapshot.lists(eligible);
    let list = if shape == Shape::Tags { &own.tags } else { &own.models };
    // What is served under an alias need not be allowed by its own name.
    let all = snapshot.lists(&eligible.for_all_models());
    let tags = if shape == Shape::Tags { by_name(&all.tags) } else { table::Map::default() };
    let listed = if shape == Shape::Tags { by_name(&own.tags) } else { table::Map::default() };
    let mut added: Vec<(&str, String)> = rules
        .aliases(eligible.organization())
        .filter(|(normal, _)| match shape {
            Shape::Tags => !listed.contains_key(*normal),
            Shape::Models => own.model(normal).is_none(),
        })
        .filter_map(|(_, alias)| {
            let object = alias.allowed(eligible).find_map(|model| match shape {
                Shape::Tags => model_name::with_normal(model, |normal| tags.get(normal).map(|raw| raw.get())),
                Shape::Models => all.model(model).and_then(|object| std::str::from_utf8(object).ok()),
            })?;
            Some((&*alias.name, renamed(object, &alias.name)?))
        })
        .collect();
    let Some(head) = list.strip_suffix(b"]}") else { return list.clone() };
    if added.is_empty() {
        return list.clone();
    }
    added.sort_unstable();
    let mut text = head.to_vec();
    for (_, object) in added {
        if text.last() != Some(&b'[') {
            text.push(b',');
        }
        text.extend_from_slice(object.as_bytes());
    }
    text.extend_from_slice(b"]}");
    text.into()
}

/// The answer to `GET /v1/models/:model` for an alias; None if `name` is not an alias, or the caller may use none of
/// its models.
#[must_use]
pub fn entry(name: &str, rules: &Rules, snapshot: &Snapshot, eligible: &RoutingRules) -> Option<Bytes> {
    let alias = rules.alias(eligible.organization(), name)?;
    let all: &Lists = &snapshot.lists(&eligible.for_all_models());
    let object = alias.allowed(eligible).find_map(|model| all.model(model))?;
    renamed(std::str::from_utf8(object).ok()?, &alias.name).map(Into::into)
}

/// The object of a model under the name that it was asked for, as Ollama answers.
#[must_use]
pub fn as_asked(object: Bytes, name: &str) -> Bytes {
    if serde_json::from_slice(&object).is_ok_and(|Id { id }| id == name) {
        return object;
    }
    let renamed = std::str::from_utf8(&object).ok().and_then(|object| renamed(object, name));
    renamed.map_or(object, Into::into)
}

fn by_name(tags: &[u8]) -> table::Map<String, &RawValue> {
    let tags: Tags<'_> = serde_json::from_slice(tags).unwrap_or(Tags { models: Vec::new() });
    let named =
        |raw: &&RawValue| serde_json::from_str(raw.get()).map(|named: Named<'_>| named.name.into_owned());
    let of = |raw: &'_ &RawValue| named(raw).ok().map(|name| model_name::normalize(&name).into_owned());
    tags.models.into_iter().filter_map(|raw| Some((of(&raw)?, raw))).collect()
}

/// The object of a model under another name.
fn renamed(object: &str, name: &str) -> Option<String> {
    let mut object: Map<String, Value> = serde_json::from_str(object).ok()?;
    for key in ["name", "model", "id"] {
        if let Some(value) = object.get_mut(key) {
            *value = name.into();
        }
    }
    Some(Value::Object(object).to_string())
}
