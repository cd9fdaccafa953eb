//! Model policy: what a request for a model is given or bound to, and aliases of models.
//!
//! A policy or alias belongs to an organization, or to the fleet and so to everybody. An organization is named by
//! its slug or id; None is the caller's own organization, or the fleet for who has none.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    operation::operations,
};

/// How long a model stays in memory after a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepAlive {
    /// As nodes read it: `30m`, `1h30m`, a number of seconds; negative is for ever, `0` unloads at once.
    pub value: String,
    /// Whether it replaces what the client asks for; else it stands in for what the client leaves out.
    pub force: bool,
}

/// Size of a model's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextSize {
    /// Tokens.
    pub tokens: u32,
    /// Whether it replaces what the client asks for; else it stands in for what the client leaves out.
    pub force: bool,
}

/// What applies to the models that match a pattern. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Stable id, never reused.
    pub id: String,
    /// Slug of the organization whose requests it is for; None is everybody's.
    pub organization: Option<String>,
    /// Glob (`*`, `?`) of the models it is for.
    pub model: String,
    /// How long they stay in memory.
    pub keep_alive: Option<KeepAlive>,
    /// Size of their context.
    pub num_ctx: Option<ContextSize>,
    /// Most tokens of an answer.
    pub output_max: Option<u32>,
    /// When it was added.
    pub created: UnixMillis,
    /// Revision of the record.
    pub revision: u64,
}

/// What to change in a policy; `None` leaves a field as it is, `Some(None)` takes it out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// How long the models stay in memory.
    pub keep_alive: Option<Option<KeepAlive>>,
    /// Size of their context.
    pub num_ctx: Option<Option<ContextSize>>,
    /// Most tokens of an answer.
    pub output_max: Option<Option<u32>>,
}

impl PolicyChange {
    fn noted(&self, model: &str) -> Noted {
        let Self { keep_alive, num_ctx, output_max } = self;
        Noted::new(Action::Update, "policy", model)
            .maybe("keep_alive", keep_alive)
            .maybe("num_ctx", num_ctx)
            .maybe("output_max", output_max)
    }
}

/// Another name for a model. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// Stable id, never reused.
    pub id: String,
    /// Slug of the organization whose requests it is for; None is everybody's.
    pub organization: Option<String>,
    /// The name that clients ask for.
    pub alias: String,
    /// What is served: the first that a node can serve now.
    pub models: Vec<String>,
    /// When it was added.
    pub created: UnixMillis,
    /// Revision of the record.
    pub revision: u64,
}

/// A model of a weighted alias, and what came of the requests for it since the daemon started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The model.
    pub model: String,
    /// Its share of the keys, of the sum of all weights.
    pub weight: u32,
    /// Requests it was asked for under the alias.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Average time to the first byte of those that did not, milliseconds. None without one.
    pub first_byte_ms: Option<f64>,
    /// Average time to the end of those that did not, milliseconds. None without one.
    pub duration_ms: Option<f64>,
}

/// What is served for an alias, model by model. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AliasShares {
    /// Slug of the organization whose requests it is for; None is everybody's.
    pub organization: Option<String>,
    /// The name that clients ask for.
    pub alias: String,
    /// Whether weights decide which model a key is served; else it is the first that a node can serve.
    pub weighted: bool,
    /// The models, in order.
    pub shares: Vec<Share>,
}

/// A model, and its weight among those of an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighted {
    /// The model.
    pub model: String,
    /// Its share of the keys, of the sum of all weights; 0 is served only where no other can be.
    pub weight: u32,
}

/// For whom the models are that match a pattern. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelAccess {
    /// Glob (`*`, `?`) of the models.
    pub model: String,
    /// Slugs of the organizations that alone see and use them; empty is everyone.
    pub only: Vec<String>,
    /// Slugs of organizations that do not.
    pub deny: Vec<String>,
    /// When it was set first.
    pub created: UnixMillis,
    /// Revision of the record.
    pub revision: u64,
}

operations! {
    /// Requests about model policy.
    Request::Policy(PolicyRequest);

    /// Policies that apply within the caller's reach, the fleet's first.
    "policy.list" List {
        /// Only those of this organization, and the fleet's.
        organization: Option<String>,
    } -> Vec<Policy> as Policies, needs PolicyRead;

    /// Add a policy or change the one for this pattern.
    "policy.set" Set {
        /// Whose.
        organization: Option<String>,
        /// Glob of the models.
        model: String,
        /// Revision the caller saw; None changes any revision.
        revision: Option<u64>,
        /// The change.
        change: Box<PolicyChange>,
    } -> Policy as Policy, needs PolicyWrite,
        noted |op| op.change.noted(&op.model).of_organization(op.organization.as_deref());

    /// Remove a policy.
    "policy.remove" Remove {
        /// Whose.
        organization: Option<String>,
        /// Glob of the models, as it was given.
        model: String,
    } -> () as Done, needs PolicyWrite,
        noted |op| {
            Noted::new(Action::Delete, "policy", &op.model).of_organization(op.organization.as_deref())
        };

    /// Aliases that apply within the caller's reach, the fleet's first.
    "policy.aliases" Aliases {
        /// Only those of this organization, and the fleet's.
        organization: Option<String>,
    } -> Vec<Alias> as Aliases, needs PolicyRead;

    /// Add an alias, or replace its models.
    "policy.set_alias" SetAlias {
        /// Whose.
        organization: Option<String>,
        /// The name that clients ask for.
        alias: String,
        /// What is served, in order.
        models: Vec<String>,
        /// Revision the caller saw; None replaces any revision.
        revision: Option<u64>,
    } -> Alias as Alias, needs PolicyWrite,
        noted |op| Noted::new(Action::Update, "alias", &op.alias)
            .of_organization(op.organization.as_deref())
            .with("models", &op.models);

    /// Remove an alias.
    "policy.remove_alias" RemoveAlias {
        /// Whose.
        organization: Option<String>,
        /// The name that clients ask for.
        alias: String,
    } -> () as Done, needs PolicyWrite,
        noted |op| {
            Noted::new(Action::Delete, "alias", &op.alias).of_organization(op.organization.as_deref())
        };

    /// What is served for an alias, and what came of it.
    "policy.shares" Shares {
        /// Whose.
        organization: Option<String>,
        /// The name that clients ask for.
        alias: String,
    } -> AliasShares as AliasShares, needs PolicyRead;

    /// Add an alias whose models are served by weight, or replace its models.
    "policy.set_weighted" SetWeighted {
        /// Whose.
        organization: Option<String>,
        /// The name that clients ask for.
        alias: String,
        /// What is served: each key is served one of them, as many keys as its weight says.
        models: Vec<Weighted>,
        /// Revision the caller saw; None replaces any revision.
        revision: Option<u64>,
    } -> Alias as Alias, needs PolicyWrite,
        noted |op| Noted::new(Action::Update, "alias", &op.alias)
            .of_organization(op.organization.as_deref())
            .with("models", &op.models);

    /// For whom models are, where that is not everyone. Empty for who is bound to an organization.
    "policy.access" Access -> Vec<ModelAccess> as ModelAccess, needs PolicyRead;

    /// Say for which organizations the models are that match a pattern; it is the fleet's to say.
    "policy.set_access" SetAccess {
        /// Glob of the models.
        model: String,
        /// Slugs or ids of those that alone have them, in place of those before; empty is everyone. None leaves it.
        only: Option<Vec<String>>,
        /// Slugs or ids of those that do not have them, in place of those before. None leaves it.
        deny: Option<Vec<String>>,
    } -> Vec<ModelAccess> as ModelAccess, needs PolicyWrite,
        noted |op| Noted::new(Action::PermissionChange, "policy", &op.model)
            .maybe("only", &op.only)
            .maybe("deny", &op.deny);
}
