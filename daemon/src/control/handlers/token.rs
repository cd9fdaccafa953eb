//! Operations on the caller's control tokens.

use aivonx_identity::too_many_keys;
use aivonx_protocol::{
    Fault,
    operation::Serve,
    session::{NewSession, Session},
    token,
};

use crate::control::{By, Services};

impl Serve<token::Create> for Services {
    async fn serve(&self, by: By<token::Create>, asked: token::Create) -> Result<NewSession, Fault> {
        let (identity, actor) = (&self.identity, by.actor());
        identity.count_own_key(actor).map_err(|exceeded| too_many_keys(&exceeded))?;
        identity.create_token(actor, &asked.name, asked.role, asked.lasts_ms).await
    }
}

impl Serve<token::List> for Services {
    async fn serve(&self, by: By<token::List>, _: token::List) -> Result<Vec<Session>, Fault> {
        self.identity.control_tokens(by.actor()).await
    }
}

impl Serve<token::Revoke> for Services {
    async fn serve(&self, by: By<token::Revoke>, asked: token::Revoke) -> Result<(), Fault> {
        self.identity.revoke_token(by.actor(), &asked.token).await
    }
}
