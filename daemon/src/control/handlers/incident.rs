//! Operations on incidents.

use aivonx_protocol::{
    Fault,
    incident::{self, Contained},
    operation::Serve,
};

use crate::control::{By, Services};

impl Serve<incident::Contain> for Services {
    async fn serve(
        &self,
        by: By<incident::Contain>,
        asked: incident::Contain,
    ) -> Result<Vec<Contained>, Fault> {
        self.blocks.contain(by.actor(), asked).await
    }
}
