//! Operations on incidents.

use aivonx_protocol::{
    Fault,
    incident::{self, Contained, Finding},
    operation::Serve,
};

use crate::{
    control::{By, Services},
    detect,
};

impl Serve<incident::Contain> for Services {
    async fn serve(
        &self,
        by: By<incident::Contain>,
        asked: incident::Contain,
    ) -> Result<Vec<Contained>, Fault> {
        self.blocks.contain(by.actor(), asked).await
    }
}

impl Serve<incident::Detect> for Services {
    async fn serve(&self, by: By<incident::Detect>, asked: incident::Detect) -> Result<Vec<Finding>, Fault> {
        detect::run(self, by.actor(), asked.since).await
    }
}
