//! Operations on routes.

use aivonx_gateway::endpoints::routes;
use aivonx_protocol::{
    Fault,
    operation::Serve,
    route::{self, RouteAccess},
};

use crate::control::{By, Services};

impl Serve<route::List> for Services {
    async fn serve(&self, _: By<route::List>, _: route::List) -> Result<Vec<RouteAccess>, Fault> {
        let (config, addresses) = (self.config.get(), (self.status)().listen);
        let each = config.listen.iter().zip(&addresses);
        Ok(each.flat_map(|(listen, address)| routes::access(&config, listen, address)).collect())
    }
}
