//! A generation without a prompt that keeps its model for no time, as `ollama stop` sends it: every node that may hold
//! the model takes it out of memory, not the one that a request would go to.

use aivonx_fleet::{Keeps, RoutingRules};
use aivonx_wire::{
    api::{Peek, route::Forward},
    translate::Api,
};
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::manage::STOPPED;
use crate::{
    answer::{self, Answer},
    body::{Collected, VerdictError},
    deadline::{InFlight, Waiting},
    error_response::Refusal,
    exchange::Exchange,
    policy::Plan,
};

/// What a client wants out of memory.
pub(crate) struct Stopped {
    /// What the client calls it.
    asked: String,
    /// The models that it may stand for.
    models: Vec<String>,
    chat: bool,
}

impl Stopped {
    /// What the request wants out of memory; None if that is not what it is for.
    pub(crate) fn of(
        peek: &Peek,
        route: &Forward,
        body: &Collected,
        plan: Option<&Plan>,
        eligible: &RoutingRules,
    ) -> Option<Self> {
        let unloads = |written| peek.unloads(route, &body.segments, written);
        let asked = peek.model(route.legacy_name)?;
        let models: Vec<String> = match plan {
            None => (eligible.allows(asked) && unloads(None)).then(|| asked.to_owned()).into_iter().collect(),
            Some(plan) => {
                let served = plan.candidates.iter();
                let served = served.filter(|one| one.granted || eligible.allows(&one.model));
                let served = served.filter(|one| unloads(one.changes(peek, None).keep_alive));
                served.map(|one| one.model.to_string()).collect()
            }
        };
        let chat = Api::of(route.path) == Some(Api::OllamaChat);
        (!models.is_empty()).then(|| Self { asked: asked.to_owned(), models, chat })
    }

    /// Has the nodes do it, also if the client leaves. None if there is no node for it.
    pub(crate) async fn answer(
        self,
        exchange: &Exchange,
        flight: &InFlight,
        before: Vec<HeaderValue>,
        eligible: &RoutingRules,
    ) -> Result<Option<Answer>, Refusal> {
        flight.allow(Waiting::Work, exchange.worker.now(), exchange.settings.header_wait);
        let shared = &exchange.worker.shared;
        let (fleet, eligible, models) = (shared.fleet.clone(), eligible.clone(), self.models);
        let unloading = shared.control.spawn(async move {
            let mut done = false;
            for model in models {
                done |= fleet.unload_everywhere(&before, &eligible, &model).await?;
            }
            Ok::<bool, Keeps>(done)
        });
        let done = flight.watch(unloading).await.map_err(VerdictError)?.map_err(|_| STOPPED)?;
        if !done.map_err(|Keeps { node, why }| Refusal::NodeFailed { node, why })? {
            return Ok(None);
        }
        // In the order in which a node writes it.
        let (model, created) = (json!(self.asked), json!(Timestamp::now().to_string()));
        let empty =
            if self.chat { r#""message":{"role":"assistant","content":""}"# } else { r#""response":"""# };
        let said = format!(
            r#"{{"model":{model},"created_at":{created},{empty},"done":true,"done_reason":"unload"}}"#
        );
        Ok(Some(answer::json(StatusCode::OK, said.into())))
    }
}
