//! Requests about models.

use aivonx_gateway::policy;
use aivonx_protocol::{Reply, model::ModelRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<ModelRequest>) -> Answer {
    let fleet = &services.fleet;
    let actor = permitted.actor().clone();
    let reach = &actor.reach();
    let done = match permitted.into_request() {
        ModelRequest::List => Ok(Reply::Models(fleet.models(reach))),
        ModelRequest::Show { model } => fleet.model(reach, &model).map(|model| Reply::Model(Box::new(model))),
        ModelRequest::Pull { model, nodes, insecure } => {
            fleet.jobs().pull(reach, &model, &nodes, insecure).await.map(|job| Reply::Job(Box::new(job)))
        }
        ModelRequest::Remove { model, node } => {
            fleet.remove_model(reach, &model, node.as_deref()).await.map(Reply::ModelRemoved)
        }
        ModelRequest::Load { model, node, keep_alive } => {
            let keep_alive = match keep_alive.as_deref().map(policy::keep_alive).transpose() {
                Ok(keep_alive) => keep_alive,
                Err(fault) => return Answer::Reply(Err(fault)),
            };
            fleet.load_model(reach, &model, node.as_deref(), keep_alive).map(|job| Reply::Job(Box::new(job)))
        }
        ModelRequest::Unload { model, node } => {
            fleet.unload_model(reach, &model, node.as_deref()).map(|job| Reply::Job(Box::new(job)))
        }
    };
    Answer::Reply(done.map_err(|error| services.fault(&actor, error)))
}
