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
const X_AIVONX_ESTIMATED: HeaderName = HeaderName::from_static("x-aivonx-estimated");

/// Answers a request for the count of its tokens.
pub(crate) async fn answer(
    exchange: &mut Exchange,
    flight: Watched,
    call: Call<'_>,
) -> Result<Answer, Refusal> {
    let (peek, body) = (call.peek, call.body.segments.clone());
    match forward(exchange, flight, call).await {
        // One that has the model set up for something else says so.
        Ok(counted) if counted.status() != StatusCode::NOT_IMPLEMENTED => return Ok(counted),
        Ok(_) | Err(Refusal::NoNode(NoNode::Unserved(_))) => {}
        Err(refusal) => return Err(refusal),
    }
    let estimated = limit::estimate(peek, &body).await;
    let tokens = exchange.worker.shared.token_rates.corrected(exchange.model(), estimated);
    let mut answer = answer::json(StatusCode::OK, json!({ "input_tokens": tokens }).to_string().into());
    answer.headers_mut().insert(X_AIVONX_ESTIMATED, HeaderValue::from_static("tokens"));
    Ok(answer)
}
