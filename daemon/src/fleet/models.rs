//! Models of the fleet, as administrators manage them.

use std::time::Duration;

use aivonx_protocol::{
    model::{Model, ModelRemoved},
    node::{AdminState, NodeKind},
};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Fleet,
    client::Session,
    error::FleetError,
    jobs::{check_name, fit_for_models},
    model_name,
    nearest::nearest_models,
    pull::refusal,
    realm::Realm,
    registry::Contact,
};
use crate::store::Reach;

/// How long a node may take to delete a model.
const DELETE: Duration = Duration::from_secs(60);

impl Fleet {
    /// The models of the caller's own nodes and those it may use elsewhere, whatever the nodes' state, by name.
    /// Nodes that are not its own are not told.
    #[must_use]
    pub fn models(&self, reach: &Reach) -> Vec<Model> {
        self.models_in(&reach.into())
    }

    fn models_in(&self, realm: &Realm) -> Vec<Model> {
        self.checker.registry.models(realm).into_iter().map(|(_, model)| model).collect()
    }

    /// One model; `:latest` is implied.
    ///
    /// # Errors
    /// [`FleetError::UnknownModel`], with names like it.
    pub fn model(&self, reach: &Reach, name: &str) -> Result<Model, FleetError> {
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
    /// [`Reach`](crate::store::Reach), or a client's [`Eligible`](super::Eligible)), and says what came of it
    /// on each.
    ///
    /// # Errors
    /// No node has the model, there is no such node, or it cannot remove models.
    pub async fn remove_model(
        &self,
        realm: impl Into<Realm>,
        name: &str,
        node: Option<&str>,
    ) -> Result<ModelRemoved, FleetError> {
        check_name(name)?;
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
            return Err(self.unknown_model(&realm, name));
        }
        let mut removals = JoinSet::new();
        let mut done = ModelRemoved { removed: Vec::new(), failed: Vec::new() };
        for (node, model) in having {
            if node.admin_state == AdminState::Disabled {
                done.failed.push((node.name, "the node is disabled".into()));
                continue;
            }
            let checker = self.checker.clone();
            removals.spawn(async move {
                let result = delete(&node, checker.connect, &model).await;
                // Also after a failure: the catalogue may have been wrong.
                checker.check(&node.id).await;
                (node.name, node.organization, model, result)
            });
        }
        while let Some(removal) = removals.join_next().await {
            let Ok((node, owner, model, result)) = removal else { continue };
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

    fn unknown_model(&self, realm: &Realm, name: &str) -> FleetError {
        let models = self.models_in(realm);
        let nearest = nearest_models(name, models.iter().map(|m| m.name.as_str()));
        FleetError::UnknownModel { wanted: name.to_owned(), nearest }
    }
}

async fn delete(node: &Contact, connect: Duration, model: &str) -> Result<(), String> {
    if let Some(why) = &node.at.unusable {
        return Err(why.clone());
    }
    let mut session = Session::new(&node.at.endpoint, connect);
    // Older versions know the field as `name`.
    let body = json!({"model": model, "name": model}).to_string();
    let sent = session.whole(Method::DELETE, "/api/delete", Some(body.into()));
    let answer = tokio::time::timeout(DELETE, sent)
        .await
        .map_err(|_| format!("no answer within {} s", DELETE.as_secs()))?;
    match answer {
        Ok((StatusCode::OK, ..)) => Ok(()),
        Ok((status, body, _)) => Err(refusal(status, &body)),
        Err(error) => Err(error.to_string()),
    }
}
