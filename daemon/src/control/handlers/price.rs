//! Operations on prices.

use aivonx_protocol::{
    Fault,
    operation::Serve,
    price::{self, Price},
};

use crate::control::{By, Services};

impl Serve<price::List> for Services {
    async fn serve(&self, _: By<price::List>, _: price::List) -> Result<Vec<Price>, Fault> {
        self.prices.list().await
    }
}

impl Serve<price::Set> for Services {
    async fn serve(&self, _: By<price::Set>, asked: price::Set) -> Result<Price, Fault> {
        self.prices.set(asked.model, asked.prompt, asked.output).await
    }
}

impl Serve<price::Remove> for Services {
    async fn serve(&self, _: By<price::Remove>, asked: price::Remove) -> Result<(), Fault> {
        self.prices.remove(&asked.model).await
    }
}
