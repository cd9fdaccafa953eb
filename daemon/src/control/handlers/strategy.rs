//! Requests about the scheduling strategy.

use aivonx_protocol::{Reply, strategy::StrategyRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<StrategyRequest>) -> Answer {
    let actor = permitted.actor().clone();
    let done = match permitted.into_request() {
        StrategyRequest::Show => Ok(Reply::Strategy(services.fleet.strategy())),
        StrategyRequest::Set(strategy) => {
            services.fleet.set_strategy(&actor.reach(), strategy).await.map(Reply::Strategy)
        }
    };
    Answer::Reply(done.map_err(|error| services.fault(&actor, error)))
}
