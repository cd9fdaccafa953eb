//! How safely the gateway is set up.

use aivonx_protocol::{Fault, check, operation::Serve, secrets::Check};

use crate::{
    checks,
    control::{By, Services},
};

impl Serve<check::Isolation> for Services {
    async fn serve(&self, _: By<check::Isolation>, _: check::Isolation) -> Result<Vec<Check>, Fault> {
        (self.isolation)().await
    }
}

impl Serve<check::Run> for Services {
    async fn serve(&self, by: By<check::Run>, _: check::Run) -> Result<Vec<Check>, Fault> {
        checks::run(self, by.actor()).await
    }
}
