//! Requests about the caller's control tokens.

use aivonx_identity::too_many_keys;
use aivonx_protocol::{Reply, token::TokenRequest};

use crate::control::{Answer, Services, access::Permitted};

pub(super) async fn handle(services: &Services, permitted: Permitted<TokenRequest>) -> Answer {
    let (identity, actor) = (&services.identity, permitted.actor().clone());
    Answer::Reply(match permitted.into_request() {
        TokenRequest::Create { name, role, lasts_ms } => match identity.count_own_key(&actor) {
            Ok(()) => {
                let made = identity.create_token(&actor, &name, role, lasts_ms).await;
                made.map(|token| Reply::NewSession(Box::new(token)))
            }
            Err(exceeded) => Err(too_many_keys(&exceeded)),
        },
        TokenRequest::List => identity.control_tokens(&actor).await.map(Reply::Sessions),
        TokenRequest::Revoke { token } => identity.revoke_token(&actor, &token).await.map(|()| Reply::Done),
    })
}
