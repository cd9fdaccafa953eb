//! The rules in force, as requests are judged by them.

use std::{borrow::Cow, cmp::Reverse, sync::Arc};

use aivonx_domain::{Globs, model_name, table::Map};
use aivonx_fleet::RoutingRules;
use aivonx_protocol::policy::Share;
use aivonx_store::{AliasRecord, AliasWeightsRecord, PolicyRecord};

use super::{
    plan::{Candidate, Governed, Plan, Value},
    shares::Tally,
};

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
    id: Box<str>,
    pub(super) name: Arc<str>,
    pub(super) models: Vec<Arc<str>>,
    /// Of the models, where they decide what a key is served.
    weights: Option<Vec<u32>>,
    /// Of the models.
    tallies: Vec<Arc<Tally>>,
    /// Whether it is everybody's.
    pub(super) of_fleet: bool,
}

impl Alias {
    /// The models of its list that one who may use what `eligible` says may be served under its name.
    pub(super) fn allowed<'a>(&'a self, eligible: &'a RoutingRules) -> impl Iterator<Item = &'a Arc<str>> {
        self.models.iter().filter(|model| self.allows(eligible, model))
    }

    fn allows(&self, eligible: &RoutingRules, model: &str) -> bool {
        eligible.allows_as(&self.name, self.of_fleet, model)
    }

    /// What is served, model by model, with what came of it.
    pub(super) fn shares(&self) -> (bool, Vec<Share>) {
        let weight = |at: usize| self.weights.as_ref().and_then(|all| all.get(at)).copied().unwrap_or(0);
        let share = |(at, (model, tally)): (usize, (&Arc<str>, &Arc<Tally>))| tally.share(model, weight(at));
        let shares = self.models.iter().zip(&self.tallies).enumerate().map(share).collect();
        (self.weights.is_some(), shares)
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
                id: record.id.into(),
                name: record.alias.as_str().into(),
                weights: None,
                tallies: record.models.iter().map(|_| Arc::default()).collect(),
                models: record.models.iter().map(|model| model.as_str().into()).collect(),
                of_fleet: record.organization.is_none(),
            };
            rules.level(record.organization).aliases.insert(record.normal.into(), Arc::new(alias));
        }
        Some(rules)
    }

    /// The same with these weights, and with what was counted under `old` rules.
    #[must_use]
    pub(super) fn with_shares(mut self, weights: Vec<AliasWeightsRecord>, old: Option<&Self>) -> Self {
        let weights: Map<String, Vec<(String, u32)>> =
            weights.into_iter().map(|record| (record.id, record.weights)).collect();
        let before: Map<&str, &Arc<Alias>> = old.map(Self::all_aliases).into_iter().flatten().collect();
        let levels = std::iter::once(&mut self.fleet).chain(self.organizations.values_mut());
        for alias in levels.flat_map(|level| level.aliases.values_mut()).filter_map(Arc::get_mut) {
            let given = weights.get(&*alias.id);
            alias.weights = given.map(|given| {
                let of = |model: &Arc<str>| given.iter().find(|(name, _)| **name == **model);
                alias.models.iter().map(|model| of(model).map_or(0, |(_, weight)| *weight)).collect()
            });
            let Some(before) = before.get(&*alias.id) else { continue };
            for (model, tally) in alias.models.iter().zip(&mut alias.tallies) {
                if let Some(at) = before.models.iter().position(|other| other == model) {
                    *tally = before.tallies[at].clone();
                }
            }
        }
        self
    }

    /// What is served for the alias of this id, model by model; whether weights decide that.
    pub(super) fn shares(&self, id: &str) -> Option<(bool, Vec<Share>)> {
        self.all_aliases().find(|(other, _)| *other == id).map(|(_, alias)| alias.shares())
    }

    /// Every alias, by its id.
    fn all_aliases(&self) -> impl Iterator<Item = (&str, &Arc<Alias>)> {
        let levels = std::iter::once(&self.fleet).chain(self.organizations.values());
        levels.flat_map(|level| level.aliases.values()).map(|alias| (&*alias.id, alias))
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
                let allowed = (0..alias.models.len()).filter(|at| alias.allows(eligible, &alias.models[*at]));
                let candidates = allowed.clone().map(|at| {
                    let tally = Some(alias.tallies[at].clone());
                    Candidate { tally, ..self.candidate(own, &alias.models[at]) }
                });
                return Some(Plan {
                    alias: Some(alias.name.clone()),
                    of_fleet: alias.of_fleet,
                    candidates: candidates.collect(),
                    weights: alias.weights.as_ref().map(|weights| allowed.map(|at| weights[at]).collect()),
                });
            }
            let governed = self.governed(own, normal);
            let candidate =
                || Candidate { model: asked.into(), granted: false, governed: governed.clone(), tally: None };
            governed.any().then(|| Plan {
                alias: None,
                of_fleet: false,
                candidates: vec![candidate()],
                weights: None,
            })
        })
    }

    fn candidate(&self, own: Option<&Level>, model: &Arc<str>) -> Candidate {
        let governed = model_name::with_normal(model, |normal| self.governed(own, normal));
        // What may be served under the alias was decided with it.
        Candidate { model: model.clone(), granted: true, governed, tally: None }
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

    /// Whether policy bounds the answers of a model for `organization`.
    #[must_use]
    pub fn bounds_output(&self, organization: Option<&str>, model: &str) -> bool {
        let own = organization.and_then(|id| self.organizations.get(id));
        model_name::with_normal(model, |normal| self.governed(own, normal).output_max.is_some())
    }

    /// The size of the context that a request of `organization` gets which does not say one, for a model by its normal
    /// name.
    #[must_use]
    pub fn context(&self, organization: Option<&str>, normal: &str) -> Option<u64> {
        let own = organization.and_then(|id| self.organizations.get(id));
        self.governed(own, normal).num_ctx.map(|size| size.value)
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
