//! Operations on the scheduling strategy.

use aivonx_protocol::{
    Fault,
    operation::Serve,
    strategy::{self, Strategy},
};

use crate::control::{By, Services};

impl Serve<strategy::Show> for Services {
    async fn serve(&self, _: By<strategy::Show>, _: strategy::Show) -> Result<Strategy, Fault> {
        Ok(self.fleet.strategy())
    }
}

impl Serve<strategy::Set> for Services {
    async fn serve(&self, by: By<strategy::Set>, asked: strategy::Set) -> Result<Strategy, Fault> {
        self.fleet.set_strategy(&by.reach(), asked.0).await.map_err(self.fault(&by))
    }
}
