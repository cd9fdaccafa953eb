//! The tokens of a request of Anthropic's API: counted by a node that can, and otherwise estimated.

use aivonx_fleet::NoNode;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use crate::{
    answer::{self, Answer},
    error_response::Refusal,
    exchange::Exchange,
    forward::{Call, forward},
    limit,
    worker::Watched,
};

/// What of an answer is estimated by the gateway.
pub(crate) const X_AIVONX_ESTIMATED: HeaderName = HeaderName::from_static("x-aivonx-estimated");

/// Whether a node that was asked has not counted for a reason that an estimate is better than: it is busy, it failed, or
/// it has the model set up for something else.
fn is_in_vain(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// Answers a request for the count of its tokens.
pub(crate) async fn answer(
    exchange: &mut Exchange,
    flight: Watched,
    call: Call<'_>,
) -> Result<Answer, Refusal> {
    let (peek, body) = (call.peek, call.body.segments.clone());
    let first = call.plan.as_ref().and_then(|plan| plan.candidates.first());
    let model = first.map(|candidate| candidate.model.clone());
    match forward(exchange, flight, call).await {
        Ok(counted) if !is_in_vain(counted.status()) => return Ok(counted),
        Ok(_)
        | Err(
            Refusal::NoNode(NoNode::Unserved(_) | NoNode::Down)
            | Refusal::NodesBusy { .. }
            | Refusal::NodeFailed { .. }
            | Refusal::Queue { .. },
        ) => {}
        Err(refusal) => return Err(refusal),
    }
    let estimated = limit::estimate(peek, &body).await;
    let model = model.as_deref().unwrap_or(exchange.model());
    let tokens = exchange.worker.shared.token_rates.corrected(model, estimated);
    let mut answer = answer::json(StatusCode::OK, json!({ "input_tokens": tokens }).to_string().into());
    answer.headers_mut().insert(X_AIVONX_ESTIMATED, HeaderValue::from_static("tokens"));
    Ok(answer)
}
