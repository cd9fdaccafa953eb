//! Requests about models.

use aivonx_protocol::{Reply, model::ModelRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<ModelRequest>) -> Answer {
    let fleet = &services.fleet;
    Answer::Reply(match permitted.into_request() {
        ModelRequest::List => Ok(Reply::Models(fleet.models())),
        ModelRequest::Show { model } => fleet.model(&model).map(|model| Reply::Model(Box::new(model))),
        ModelRequest::Pull { model, nodes, insecure } => {
            fleet.jobs().pull(&model, &nodes, insecure).await.map(|job| Reply::Job(Box::new(job)))
        }
        ModelRequest::Remove { model, node } => {
            fleet.remove_model(&model, node.as_deref()).await.map(Reply::ModelRemoved)
        }
    })
}
