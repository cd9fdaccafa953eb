//! The rules in force, as requests are judged by them.

use std::{borrow::Cow, cmp::Reverse, sync::Arc};

use aivonx_domain::{Globs, model_name, table::Map};
use aivonx_fleet::RoutingRules;
use aivonx_store::{AliasRecord, PolicyRecord};

use super::plan::{Candidate, Governed, Plan, Value};

/// All policies and aliases.
#[derive(Debug, Default)]
pub struct Rules {
    fleet: Level,
    /// By the organization's id.
    organizations: Map<Box<str>, Level>,
}

/// Those of the fleet, or of one organization.
#[derive(Debug, Default)]
struct Level {
    /// The most particular first.
    policies: Vec<Policy>,
    /// By the normal form of the alias.
    aliases: Map<Box<str>, Arc<Alias>>,
}

#[derive(Debug)]
struct Policy {
    models: Globs,
    governed: Governed,
}

/// An alias.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) name: Arc<str>,
    pub(super) models: Vec<Arc<str>>,
    /// Whether it is everybody's.
    pub(super) of_fleet: bool,
}

impl Alias {
    /// The models of its list that one who may use what `eligible` says may be served under its name.
    pub(super) fn allowed<'a>(&'a self, eligible: &'a RoutingRules) -> impl Iterator<Item = &'a Arc<str>> {
        self.models.iter().filter(|model| eligible.allows_as(&self.name, self.of_fleet, model))
    }
}

impl Rules {
    /// The rules of these records; None if there are none.
    #[must_use]
    pub fn new(mut policies: Vec<PolicyRecord>, aliases: Vec<AliasRecord>) -> Option<Self> {
        if policies.is_empty() && aliases.is_empty() {
            return None;
        }
        let mut rules = Self::default();
        // Fewer wildcards and more text is more particular; the text itself makes the order certain.
        policies.sort_by(|a, b| {
            let rank = |p: &PolicyRecord| {
                let wild = p.normal.matches(['*', '?']).count();
                (wild > 0, Reverse(p.normal.len() - wild), wild)
            };
            rank(a).cmp(&rank(b)).then_with(|| a.normal.cmp(&b.normal))
        });
        for record in policies {
            let governed = Governed {
                keep_alive: record
                    .keep_alive
                    .map(|keep| Value { value: json_of_duration(&keep.value).into(), force: keep.force }),
                num_ctx: record.num_ctx.map(|size| Value { value: size.tokens.into(), force: size.force }),
                output_max: record.output_max.map(u64::from),
            };
            let models = Globs::new(std::slice::from_ref(&record.model));
            rules.level(record.organization).policies.push(Policy { models, governed });
        }
        for record in aliases {
            let alias = Alias {
                name: record.alias.as_str().into(),
                models: record.models.iter().map(|model| model.as_str().into()).collect(),
                of_fleet: record.organization.is_none(),
            };
            rules.level(record.organization).aliases.insert(record.normal.into(), Arc::new(alias));
        }
        Some(rules)
    }

    fn level(&mut self, organization: Option<String>) -> &mut Level {
        match organization {
            None => &mut self.fleet,
            Some(id) => self.organizations.entry(id.into()).or_default(),
        }
    }

    /// What a request for `asked` comes to, of one who may use what `eligible` says and belongs to `organization` (its
    /// id). None if no rule is about it.
    #[must_use]
    pub fn plan(&self, organization: Option<&str>, asked: &str, eligible: &RoutingRules) -> Option<Plan> {
        let own = organization.and_then(|id| self.organizations.get(id));
        model_name::with_normal(asked, |normal| {
            let alias =
                own.and_then(|own| own.aliases.get(normal)).or_else(|| self.fleet.aliases.get(normal));
            if let Some(alias) = alias {
                let candidates = alias.allowed(eligible).map(|model| self.candidate(own, model)).collect();
                return Some(Plan { alias: Some(alias.name.clone()), candidates });
            }
            let governed = self.governed(own, normal);
            let candidate = || Candidate { model: asked.into(), granted: false, governed: governed.clone() };
            governed.any().then(|| Plan { alias: None, candidates: vec![candidate()] })
        })
    }

    fn candidate(&self, own: Option<&Level>, model: &Arc<str>) -> Candidate {
        let governed = model_name::with_normal(model, |normal| self.governed(own, normal));
        // What may be served under the alias was decided with it.
        Candidate { model: model.clone(), granted: true, governed }
    }

    /// What applies to a model. Of one level the most particular policy that says something of a value decides. What
    /// the fleet forces holds for everyone, else the organization's word, else the fleet's default; of bounds the
    /// tightest.
    fn governed(&self, own: Option<&Level>, normal: &str) -> Governed {
        let fleet = self.fleet.governed(normal);
        let Some(own) = own else { return fleet };
        let own = own.governed(normal);
        Governed {
            keep_alive: stronger(fleet.keep_alive, own.keep_alive),
            num_ctx: stronger(fleet.num_ctx, own.num_ctx),
            output_max: fleet.output_max.into_iter().chain(own.output_max).min(),
        }
    }

    /// The aliases that one of `organization` sees, by normal name.
    pub(super) fn aliases<'a>(
        &'a self,
        organization: Option<&str>,
    ) -> impl Iterator<Item = (&'a str, &'a Arc<Alias>)> {
        let own = organization.and_then(|id| self.organizations.get(id));
        let hidden = move |normal: &str| own.is_some_and(|own| own.aliases.contains_key(normal));
        let fleet = self.fleet.aliases.iter().filter(move |(normal, _)| !hidden(normal));
        let all = own.into_iter().flat_map(|own| own.aliases.iter()).chain(fleet);
        all.map(|(normal, alias)| (&**normal, alias))
    }

    /// One of them, by the name a client writes.
    pub(super) fn alias(&self, organization: Option<&str>, name: &str) -> Option<&Arc<Alias>> {
        let own = organization.and_then(|id| self.organizations.get(id));
        model_name::with_normal(name, |normal| {
            own.and_then(|own| own.aliases.get(normal)).or_else(|| self.fleet.aliases.get(normal))
        })
    }
}

impl Level {
    fn governed(&self, normal: &str) -> Governed {
        let mut found = Governed::default();
        for policy in self.policies.iter().filter(|policy| policy.models.allow_normal(normal)) {
            let Governed { keep_alive, num_ctx, output_max } = &policy.governed;
            found.keep_alive = found.keep_alive.or_else(|| keep_alive.clone());
            found.num_ctx = found.num_ctx.or_else(|| num_ctx.clone());
            found.output_max = found.output_max.into_iter().chain(*output_max).min();
        }
        found
    }
}

fn stronger<T>(fleet: Option<Value<T>>, own: Option<Value<T>>) -> Option<Value<T>> {
    if fleet.as_ref().is_some_and(|value| value.force) { fleet } else { own.or(fleet) }
}

/// A duration as it stands in JSON: seconds are a number, all else is text.
fn json_of_duration(value: &str) -> Cow<'_, str> {
    if value.parse::<i64>().is_ok() {
        value.into()
    } else {
        serde_json::Value::from(value).to_string().into()
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
