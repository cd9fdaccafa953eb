//! Operations on models.

use aivonx_fleet::{Definition, FleetError, NewPlacement};
use aivonx_gateway::policy;
use aivonx_protocol::{
    Fault,
    job::Job,
    model::{self, Drift, Model, ModelRemoved, Placement},
    operation::Serve,
};

use crate::control::{By, Services};

impl Serve<model::List> for Services {
    async fn serve(&self, by: By<model::List>, _: model::List) -> Result<Vec<Model>, Fault> {
        Ok(self.fleet.models(&by.reach()))
    }
}

impl Serve<model::Show> for Services {
    async fn serve(&self, by: By<model::Show>, asked: model::Show) -> Result<Model, Fault> {
        self.fleet.model(&by.reach(), &asked.model).map_err(self.fault(&by))
    }
}

impl Serve<model::Pull> for Services {
    async fn serve(&self, by: By<model::Pull>, asked: model::Pull) -> Result<Job, Fault> {
        let model::Pull { model, nodes, insecure } = asked;
        self.fleet.jobs().pull(&by.reach(), &model, &nodes, insecure).await.map_err(self.fault(&by))
    }
}

impl Serve<model::Remove> for Services {
    async fn serve(&self, by: By<model::Remove>, asked: model::Remove) -> Result<ModelRemoved, Fault> {
        let node = asked.node.as_deref();
        self.fleet.remove_model(&by.reach(), &asked.model, node).await.map_err(self.fault(&by))
    }
}

impl Serve<model::Load> for Services {
    async fn serve(&self, by: By<model::Load>, asked: model::Load) -> Result<Job, Fault> {
        let model::Load { model, node, keep_alive } = asked;
        let keep_alive = keep_alive.as_deref().map(policy::keep_alive).transpose()?;
        self.fleet.load_model(&by.reach(), &model, node.as_deref(), keep_alive).map_err(self.fault(&by))
    }
}

impl Serve<model::Unload> for Services {
    async fn serve(&self, by: By<model::Unload>, asked: model::Unload) -> Result<Job, Fault> {
        let unload = || self.fleet.unload_model(&by.reach(), &asked.model, asked.node.as_deref());
        let mut unloading = unload();
        if matches!(unloading, Err(FleetError::NotLoaded(_))) {
            // A request may have loaded it a moment ago.
            self.fleet.look_again().await;
            unloading = unload();
        }
        unloading.map_err(self.fault(&by))
    }
}

impl Serve<model::Copy> for Services {
    async fn serve(&self, by: By<model::Copy>, asked: model::Copy) -> Result<Job, Fault> {
        let model::Copy { model, destination, node } = asked;
        let copying = self.fleet.copy_model(Vec::new(), &by.reach(), &model, &destination, node.as_deref());
        copying.map_err(self.fault(&by))
    }
}

impl Serve<model::Create> for Services {
    async fn serve(&self, by: By<model::Create>, asked: model::Create) -> Result<Job, Fault> {
        let model::Create { model, definition, nodes } = asked;
        let definition = Definition::read(definition.as_bytes()).map_err(self.fault(&by))?;
        let creating = self.fleet.create_model(Vec::new(), &by.reach(), &model, definition, &nodes).await;
        creating.map_err(self.fault(&by))
    }
}

impl Serve<model::Push> for Services {
    async fn serve(&self, by: By<model::Push>, asked: model::Push) -> Result<Job, Fault> {
        let model::Push { model, node, insecure } = asked;
        let pushing = self.fleet.push_model(Vec::new(), &by.reach(), &model, node.as_deref(), insecure);
        pushing.map_err(self.fault(&by))
    }
}

impl Serve<model::Place> for Services {
    async fn serve(&self, by: By<model::Place>, asked: model::Place) -> Result<Placement, Fault> {
        let model::Place { model, copies, on, pin, pull } = asked;
        let place = NewPlacement { model, copies, on, pin, pull };
        self.fleet.place_model(&by.reach(), place).await.map_err(self.fault(&by))
    }
}

impl Serve<model::Placements> for Services {
    async fn serve(&self, by: By<model::Placements>, _: model::Placements) -> Result<Vec<Placement>, Fault> {
        self.fleet.placements(&by.reach()).await.map_err(self.fault(&by))
    }
}

impl Serve<model::Unplace> for Services {
    async fn serve(&self, by: By<model::Unplace>, asked: model::Unplace) -> Result<(), Fault> {
        self.fleet.unplace_model(&by.reach(), &asked.model).await.map_err(self.fault(&by))
    }
}

impl Serve<model::Drifts> for Services {
    async fn serve(&self, by: By<model::Drifts>, _: model::Drifts) -> Result<Vec<Drift>, Fault> {
        Ok(self.fleet.drifts(&by.reach()).await)
    }
}
