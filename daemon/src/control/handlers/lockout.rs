//! Operations on failed logins.

use aivonx_protocol::{
    Fault,
    lockout::{self, Lockout},
    operation::Serve,
};

use crate::control::{By, Services};

impl Serve<lockout::List> for Services {
    async fn serve(&self, by: By<lockout::List>, asked: lockout::List) -> Result<Vec<Lockout>, Fault> {
        Ok(self.identity.lockouts_within(by.actor(), asked.all))
    }
}

impl Serve<lockout::Clear> for Services {
    async fn serve(&self, by: By<lockout::Clear>, asked: lockout::Clear) -> Result<u32, Fault> {
        let lockout::Clear { user, address } = asked;
        let cleared = self.identity.clear_lockouts(by.actor(), user.as_deref(), address.as_deref()).await?;
        Ok(u32::try_from(cleared).unwrap_or(u32::MAX))
    }
}
