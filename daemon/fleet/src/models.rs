//! Models of the fleet, as administrators manage them.

use std::{collections::HashMap, time::Duration};

use aivonx_domain::TenantScope;
use aivonx_domain::model_name;
use aivonx_protocol::{
    job::Job,
    model::{Model, ModelRemoved},
    node::{AdminState, NodeKind},
};
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Fleet,
    client::Session,
    contact::Contact,
    error::FleetError,
    job_state::Deed,
    jobs::{fit_for_models, in_service},
    nearest::nearest_models,
    node_scope::NodeScope,
    pull::refusal,
    record::check_model_name,
    sanitize::shown,
};

/// How long a node may take to delete a model.
const DELETE: Duration = Duration::from_secs(60);

impl Fleet {
    /// The models of the caller's own nodes and those it may use elsewhere, on nodes of every state, by name. Nodes
    /// that are not its own are left out.
    #[must_use]
    pub fn models(&self, realm: impl Into<NodeScope>) -> Vec<Model> {
        self.models_in(&realm.into())
    }

    fn models_in(&self, realm: &NodeScope) -> Vec<Model> {
        self.checker.registry.models(realm).into_iter().map(|(_, model)| model).collect()
    }

    /// One model; `:latest` is implied.
    ///
    /// # Errors
    /// [`FleetError::UnknownModel`], with names like it.
    pub fn model(&self, reach: &TenantScope, name: &str) -> Result<Model, FleetError> {
        let realm = reach.into();
        let mut models = self.checker.registry.models(&realm);
        let normal = model_name::normalize(name);
        // Names of `openai` nodes are exact; an exact name wins over one that is only spelled otherwise.
        let same = |(kind, model): &(NodeKind, Model)| {
            *kind == NodeKind::Ollama && model_name::normalize(&model.name) == normal
        };
        let exact = models.iter().position(|(_, model)| model.name == name);
        match exact.or_else(|| models.iter().position(same)) {
            Some(at) => Ok(models.swap_remove(at).1),
            None => Err(self.unknown_model(&realm, name)),
        }
    }

    /// Removes a model from one node, or from every node that has it, as far as they are the caller's own (a
    /// [`TenantScope`](aivonx_domain::TenantScope), or a client's [`RoutingRules`](super::RoutingRules)), and says what came of it
    /// on each.
    ///
    /// # Errors
    /// No node has the model, there is no such node, or it cannot remove models.
    pub async fn remove_model(
        &self,
        realm: impl Into<NodeScope>,
        name: &str,
        node: Option<&str>,
    ) -> Result<ModelRemoved, FleetError> {
        self.remove_after(Vec::new(), realm, name, node).await
    }

    /// The same for a request that came with these values of `Via`.
    ///
    /// # Errors
    /// As [`Self::remove_model`].
    pub async fn remove_after(
        &self,
        before: Vec<HeaderValue>,
        realm: impl Into<NodeScope>,
        name: &str,
        node: Option<&str>,
    ) -> Result<ModelRemoved, FleetError> {
        check_model_name(name)?;
        let realm = realm.into();
        let mut having = self.checker.registry.having(&realm, &model_name::normalize(name));
        if let Some(wanted) = node {
            let id = self.checker.registry.resolve(&realm, wanted)?;
            having.retain(|(node, _)| node.id == id);
            if let Some(node) = self.checker.registry.contact(&id) {
                fit_for_models(&node)?;
                // The catalogue may be older than the model: the node itself knows.
                if having.is_empty() {
                    having.push((node, name.to_owned()));
                }
            }
        }
        if having.is_empty() {
            self.jobs().has_own(&realm)?;
            return Err(self.unknown_model(&realm, name));
        }
        let mut removals = JoinSet::new();
        let mut names = HashMap::new();
        let mut done = ModelRemoved { removed: Vec::new(), failed: Vec::new() };
        for (node, model) in having {
            if node.admin_state == AdminState::Disabled {
                done.failed.push((node.name, "the node is disabled".into()));
                continue;
            }
            let (checker, before) = (self.checker.clone(), before.clone());
            let name = node.name.clone();
            let task = removals.spawn(async move {
                let result = delete(&node, checker.connect, &model, &before).await;
                // Also after a failure: the catalogue may have been wrong.
                checker.check(&node.id).await;
                (node.name, node.organization, model, result)
            });
            names.insert(task.id(), name);
        }
        while let Some(removal) = removals.join_next().await {
            let (node, owner, model, result) = match removal {
                Ok(removed) => removed,
                Err(failed) => {
                    // It is not known whether the node removed it.
                    let node = names.remove(&failed.id()).unwrap_or_default();
                    done.failed.push((node, "the gateway failed while it asked the node".into()));
                    continue;
                }
            };
            match result {
                Ok(()) => {
                    let model = aivonx_protocol::Untrusted::new(&model);
                    tracing::info!(event = "model_removed", node = %node, organization = owner.as_deref(), model = %model, "model removed");
                    done.removed.push(node);
                }
                Err(why) => done.failed.push((node, why)),
            }
        }
        done.removed.sort_unstable();
        done.failed.sort_unstable();
        Ok(done)
    }

    /// Begins to load a model into the memory of one node, or of every active one that has it. `keep_alive` is how
    /// long it stays without a request, as the API writes it; None is the node's own habit.
    ///
    /// # Errors
    /// No active node has the model, there is no such node, or its API cannot load models; or `keep_alive` is zero.
    pub fn load_model(
        &self,
        reach: &TenantScope,
        name: &str,
        node: Option<&str>,
        keep_alive: Option<serde_json::Value>,
    ) -> Result<Job, FleetError> {
        check_model_name(name)?;
        if keep_alive.as_ref().is_some_and(is_nothing) {
            let message = "a model that is kept for no time is not loaded";
            return Err(FleetError::field("keep_alive", message, "give a time, or unload the model instead"));
        }
        let realm = NodeScope::from(reach);
        let targets = match node {
            Some(node) => vec![self.for_loads(&realm, node)?],
            None => {
                let having = self.checker.registry.loading(&realm, &model_name::normalize(name));
                if having.is_empty() {
                    return Err(self.unknown_model(&realm, name));
                }
                having.into_iter().filter(|node| node.active).collect()
            }
        };
        if targets.is_empty() {
            return Err(FleetError::NowhereToLoad(name.to_owned()));
        }
        self.jobs().start(&realm, name, Deed::Load { keep_alive }, targets, Vec::new())
    }

    /// Begins to take a model out of the memory of one node, or of every node that holds it. What a node still works
    /// on with it is done first.
    ///
    /// # Errors
    /// No node holds the model, there is no such node, or its API cannot unload models.
    pub fn unload_model(
        &self,
        reach: &TenantScope,
        name: &str,
        node: Option<&str>,
    ) -> Result<Job, FleetError> {
        check_model_name(name)?;
        let realm = NodeScope::from(reach);
        let normal = model_name::normalize(name);
        let registry = &self.checker.registry;
        let targets = match node {
            Some(node) => vec![self.for_loads(&realm, node)?],
            None => {
                let having = registry.loading(&realm, &normal);
                if having.is_empty() {
                    return Err(self.unknown_model(&realm, name));
                }
                having.into_iter().filter(|node| registry.holds(&node.id, &normal)).collect()
            }
        };
        if targets.is_empty() {
            return Err(FleetError::NotLoaded(name.to_owned()));
        }
        self.jobs().start(&realm, name, Deed::Unload, targets, Vec::new())
    }

    /// One node of the caller's own that loads and unloads models when asked to. Whether it has one it knows best itself.
    fn for_loads(&self, realm: &NodeScope, wanted: &str) -> Result<Contact, FleetError> {
        let registry = &self.checker.registry;
        let id = registry.resolve(realm, wanted)?;
        let node = registry.contact(&id).ok_or_else(|| FleetError::gone(wanted))?;
        if registry.tells(&id) {
            in_service(&node)?
        } else {
            fit_for_models(&node)?
        }
        Ok(node)
    }

    /// One node of the caller's own on which models can be managed. Whether it has the model it knows best itself.
    pub(super) fn for_models(&self, realm: &NodeScope, wanted: &str) -> Result<Contact, FleetError> {
        let registry = &self.checker.registry;
        let id = registry.resolve(realm, wanted)?;
        let node = registry.contact(&id).ok_or_else(|| FleetError::gone(wanted))?;
        fit_for_models(&node)?;
        Ok(node)
    }

    pub(super) fn unknown_model(&self, realm: &NodeScope, name: &str) -> FleetError {
        let models = self.models_in(realm);
        let nearest = nearest_models(name, models.iter().map(|m| m.name.as_str()));
        FleetError::UnknownModel { wanted: name.to_owned(), nearest }
    }
}

/// Whether a time to keep a model is zero: `0`, `0s`.
fn is_nothing(keep_alive: &serde_json::Value) -> bool {
    let digits = keep_alive.to_string();
    !digits.contains(|c: char| c.is_ascii_digit() && c != '0')
}

async fn delete(
    node: &Contact,
    connect: Duration,
    model: &str,
    before: &[HeaderValue],
) -> Result<(), String> {
    if let Some(why) = &node.at.unusable {
        return Err(why.clone());
    }
    let mut session = Session::new(&node.at.endpoint, connect).after(before);
    // Older versions know the field as `name`.
    let body = json!({"model": model, "name": model}).to_string();
    let sent = session.whole(Method::DELETE, "/api/delete", Some(body.into()));
    let answer = tokio::time::timeout(DELETE, sent)
        .await
        .map_err(|_| format!("no answer within {} s", DELETE.as_secs()))?;
    match answer {
        Ok((StatusCode::OK, ..)) => Ok(()),
        Ok((status, body, _)) => Err(shown(refusal(status, &body))),
        Err(error) => Err(error.to_string()),
    }
}
