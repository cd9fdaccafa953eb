//! Operations on blocks.

use aivonx_protocol::{
    Fault,
    block::{self, Block},
    operation::Serve,
};

use crate::control::{By, Services};

impl Serve<block::List> for Services {
    async fn serve(&self, _: By<block::List>, _: block::List) -> Result<Vec<Block>, Fault> {
        self.blocks.list().await
    }
}

impl Serve<block::Add> for Services {
    async fn serve(&self, by: By<block::Add>, asked: block::Add) -> Result<Block, Fault> {
        self.blocks.add(by.actor(), &asked.target, asked.lasts_ms, asked.reason).await
    }
}

impl Serve<block::Remove> for Services {
    async fn serve(&self, by: By<block::Remove>, asked: block::Remove) -> Result<(), Fault> {
        self.blocks.remove(by.actor(), &asked.target).await
    }
}
