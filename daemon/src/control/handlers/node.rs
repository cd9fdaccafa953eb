//! Operations on nodes.

use aivonx_protocol::{
    Fault,
    node::{self, Node, NodeChange, NodeTraits, NodeWake, Probe, Probed},
    operation::Serve,
};
use futures_util::StreamExt as _;

use crate::control::{By, Events, Services};

impl Serve<node::List> for Services {
    async fn serve(&self, by: By<node::List>, _: node::List) -> Result<Vec<Node>, Fault> {
        Ok(self.fleet.list(&by.reach()))
    }
}

impl Serve<node::Show> for Services {
    async fn serve(&self, by: By<node::Show>, asked: node::Show) -> Result<Node, Fault> {
        self.fleet.show(&by.reach(), &asked.node).map_err(self.fault(&by))
    }
}

impl Serve<node::Add> for Services {
    async fn serve(&self, by: By<node::Add>, node::Add(new): node::Add) -> Result<Probe, Fault> {
        self.fleet.add(&by.reach(), *new).await.map_err(self.fault(&by))
    }
}

impl Serve<node::Set> for Services {
    async fn serve(&self, by: By<node::Set>, asked: node::Set) -> Result<Node, Fault> {
        let node::Set { node, revision, change } = asked;
        self.fleet.set(&by.reach(), &node, revision, *change).await.map_err(self.fault(&by))
    }
}

impl Serve<node::SetState> for Services {
    async fn serve(&self, by: By<node::SetState>, asked: node::SetState) -> Result<Node, Fault> {
        let node::SetState { node, revision, state } = asked;
        self.fleet.set_state(&by.reach(), &node, revision, state).await.map_err(self.fault(&by))
    }
}

impl Serve<node::Remove> for Services {
    async fn serve(&self, by: By<node::Remove>, asked: node::Remove) -> Result<(), Fault> {
        self.fleet.remove(&by.reach(), &asked.node, asked.revision).await.map_err(self.fault(&by))
    }
}

impl Serve<node::Check> for Services {
    async fn serve(&self, by: By<node::Check>, asked: node::Check) -> Result<Probe, Fault> {
        self.fleet.check(&by.reach(), &asked.node).await.map_err(self.fault(&by))
    }
}

impl Serve<node::ProbeNew> for Services {
    async fn serve(&self, by: By<node::ProbeNew>, asked: node::ProbeNew) -> Result<Probed, Fault> {
        self.fleet.probe(&by.reach(), &asked.0).await.map_err(self.fault(&by))
    }
}

impl Serve<node::ProbeChange> for Services {
    async fn serve(&self, by: By<node::ProbeChange>, asked: node::ProbeChange) -> Result<Probed, Fault> {
        self.fleet.probe_change(&by.reach(), &asked.node, &asked.change).await.map_err(self.fault(&by))
    }
}

impl Serve<node::Watch> for Services {
    async fn serve(&self, by: By<node::Watch>, _: node::Watch) -> Result<Events, Fault> {
        Ok(self.fleet.watch(&by.reach()).map(Ok).boxed())
    }
}

impl Serve<node::Rename> for Services {
    async fn serve(&self, by: By<node::Rename>, asked: node::Rename) -> Result<Node, Fault> {
        let change = NodeChange { name: Some(asked.name), ..NodeChange::default() };
        self.fleet.set(&by.reach(), &asked.node, None, change).await.map_err(self.fault(&by))
    }
}

impl Serve<node::Traits> for Services {
    async fn serve(&self, by: By<node::Traits>, asked: node::Traits) -> Result<Vec<NodeTraits>, Fault> {
        self.fleet.traits(&by.reach(), asked.node.as_deref()).await.map_err(self.fault(&by))
    }
}

impl Serve<node::SetTraits> for Services {
    async fn serve(&self, by: By<node::SetTraits>, asked: node::SetTraits) -> Result<Vec<NodeTraits>, Fault> {
        self.fleet.set_traits(&by.reach(), &asked.node, &asked.change).await.map_err(self.fault(&by))
    }
}

impl Serve<node::Wakes> for Services {
    async fn serve(&self, by: By<node::Wakes>, asked: node::Wakes) -> Result<Vec<NodeWake>, Fault> {
        self.fleet.wakes(&by.reach(), asked.node.as_deref()).await.map_err(self.fault(&by))
    }
}

impl Serve<node::SetWake> for Services {
    async fn serve(&self, by: By<node::SetWake>, asked: node::SetWake) -> Result<Vec<NodeWake>, Fault> {
        self.fleet.set_wake(&by.reach(), &asked.node, asked.wake).await.map_err(self.fault(&by))
    }
}

impl Serve<node::WakeUp> for Services {
    async fn serve(&self, by: By<node::WakeUp>, asked: node::WakeUp) -> Result<Node, Fault> {
        self.fleet.wake_up(&by.reach(), &asked.node).await.map_err(self.fault(&by))
    }
}

impl Serve<node::AddWith> for Services {
    async fn serve(&self, by: By<node::AddWith>, asked: node::AddWith) -> Result<Probe, Fault> {
        self.fleet.add_with(&by.reach(), *asked.node, &asked.traits).await.map_err(self.fault(&by))
    }
}
